"""The games that are played through UCI and USI, and how their moves are written there.

Chess goes through UCI. The texts of OpenSpiel's chess are those of people (`Nf3`), so its moves are translated by
`chess_moves`. A game with a `Game.uci_variant` writes its moves as Fairy-Stockfish does: squares from `a1` at the
first player's left (`a2a3`), a letter after the move that says what a pawn becomes (`a4a5q`), `+` for a piece of shogi
that is promoted (`d4d5+`), and drops with the letter of the piece (`P@c3`). The engine begins at its own start of the
variant.

Shogi and its small forms go through USI, where files are numbers from the first player's right, ranks are letters from
the far side (`2d2e+`), and drops have a star (`P*3c`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from games import TERMINAL, Game, StatePool
from selfplay.engines.chess_moves import CHESS, legal_moves, start_state, write_moves
from selfplay.engines.uci import UCI, USI, Dialect
from selfplay.errors import UserError

SHOGI = "shogi"
"""OpenSpiel's shogi, whose texts of moves are those of USI."""

SMALL_SHOGIS = {"minishogi": 5, "dobutsu": 4}
"""Number of ranks of the variants that are forms of shogi."""

FILES = "abcdefghi"

HERE = np.zeros(1, np.int64)


class UciGame(Protocol):
    """A game as an engine knows it."""

    variant: str
    """The value of the engine's option `UCI_Variant`."""

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        """The moves of a game so far as text, and the legal actions after them by their texts in lower case."""
        ...


def uci_game(game: Game, dialect: Dialect = UCI) -> UciGame:
    """The description of a game for a protocol. Raises UserError for one that is not played through it."""
    return ChessGame() if dialect is UCI and game.rules == CHESS else variant_game(game, dialect)


class ChessGame:
    """Chess by OpenSpiel's rules."""

    variant = UCI.usual_variant

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        """See `UciGame.write`."""
        state = start_state()
        moves = write_moves(state, history)
        for action in history:
            state.apply_action(action)
        return moves, legal_moves(state)


class VariantGame:
    """A game whose texts of moves are those of engines, or become so letter by letter."""

    def __init__(self, game: Game, variant: str, num_ranks: int = 0) -> None:
        """`num_ranks`: of the board, where moves are written in USI's way and not in UCI's; else 0."""
        self.game, self.variant, self._num_ranks = game, variant, num_ranks

    def text(self, pool: StatePool, action: int) -> str:
        """The move from the position in slot 0."""
        text = pool.action_text(0, action)
        return usi_text(text, self._num_files, self._num_ranks) if self._num_ranks else text

    def legal(self, pool: StatePool) -> dict[str, int]:
        """The legal actions in slot 0 by their texts in lower case; empty where the game is over."""
        if pool.to_play(HERE)[0] == TERMINAL:
            return {}
        return {self.text(pool, action).lower(): action for action in pool.legal(HERE)[1].tolist()}

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        """See `UciGame.write`."""
        pool = self.game.new_pool(1)
        pool.reset(HERE)
        moves = []
        for action in history:
            moves.append(self.text(pool, action))
            pool.step(HERE, np.array([action], np.int64), HERE)
        return moves, self.legal(pool)

    @property
    def _num_files(self) -> int:
        return self.game.observation_shape[-1]


def variant_game(game: Game, dialect: Dialect) -> VariantGame:
    """A game that writes its own moves. Raises UserError for one that is not played through the protocol."""
    if dialect is USI:
        if game.rules == SHOGI:
            return VariantGame(game, SHOGI)
        if game.uci_variant in SMALL_SHOGIS:
            return VariantGame(game, game.uci_variant, SMALL_SHOGIS[game.uci_variant])
        raise UserError(f"USI: shogi, mini shogi and animal shogi are played through it, not {game.name}")
    if game.uci_variant:
        return VariantGame(game, game.uci_variant)
    also = "; shogi is played through USI" if game.rules == SHOGI else ""
    raise UserError(f"UCI: {CHESS} and its variants are played through it, not {game.name}{also}")


def usi_text(text: str, num_files: int, num_ranks: int) -> str:
    """A move of shogi as USI writes it, from the text that UCI has: `2d2e+` for `d2d3+`, `P*3c` for `P@c3`."""

    def square(match: re.Match[str]) -> str:
        return f"{num_files - FILES.index(match[1])}{FILES[num_ranks - int(match[2])]}"

    return re.sub(r"([a-i])([1-9])", square, text).replace("@", "*")
