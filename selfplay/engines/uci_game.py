"""The games that are played through UCI: chess, and every game with a `Game.uci_variant`.

The texts of OpenSpiel's chess are those of people (`Nf3`), so its moves are translated by `chess_moves`. A game with a
`uci_variant` writes its moves as Fairy-Stockfish does: squares from `a1` at the first player's left (`a2a3`), a letter
after the move that says what a pawn becomes (`a4a5q`), `+` for a piece of shogi that is promoted (`d4d5+`), and drops
with the letter of the piece (`P@c3`). The engine begins at its own start of the variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from games import Game
from selfplay.engines.chess_moves import CHESS, legal_moves, start_state, write_moves
from selfplay.engines.uci import USUAL_VARIANT
from selfplay.errors import UserError


class UciGame(Protocol):
    """A game as UCI knows it."""

    variant: str
    """The value of the engine's option `UCI_Variant`."""

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        """The moves of a game so far as text, and the legal actions after them by their texts in lower case."""
        ...


def uci_game(game: Game) -> UciGame:
    """The description of a game for UCI. Raises UserError for one that is not played through UCI."""
    if game.rules == CHESS:
        return _Chess()
    if game.uci_variant:
        return _Variant(game)
    raise UserError(f"UCI: {CHESS} and its variants are played through it, not {game.name}")


class _Chess:
    variant = USUAL_VARIANT

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        state = start_state()
        moves = write_moves(state, history)
        for action in history:
            state.apply_action(action)
        return moves, legal_moves(state)


class _Variant:
    def __init__(self, game: Game) -> None:
        self.variant = game.uci_variant
        self._pool, self._place = game.new_pool(1), np.zeros(1, np.int64)

    def write(self, history: Sequence[int]) -> tuple[list[str], dict[str, int]]:
        pool, place = self._pool, self._place
        pool.reset(place)
        moves = []
        for action in history:
            moves.append(pool.action_text(0, action))
            pool.step(place, np.array([action], np.int64), place)
        return moves, {pool.action_text(0, action).lower(): action for action in pool.legal(place)[1].tolist()}
