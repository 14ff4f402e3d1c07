"""The positions that a chess or shogi program sends to our server, whatever the game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from games import Game, StatePool
from games.open_spiel.game import OpenSpielGame
from selfplay.engines.chess_moves import CHESS
from selfplay.engines.uci import UCI, Dialect
from selfplay.engines.uci_game import HERE, VariantGame, variant_game
from selfplay.errors import UserError
from selfplay.servers.chess_position import ChessPool, ChessPosition, set_up


class Position(Protocol):
    """A position of a game; it never changes."""

    @property
    def side(self) -> str:
        """The letter of the player to move, or of the one whose turn it would be where the game is over."""
        ...

    @property
    def is_usual(self) -> bool:
        """Whether it follows from the usual start by `history`; players that keep their own board need that."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the game is over by our rules."""
        ...

    @property
    def history(self) -> list[int]:
        """The actions from the start, or from the position that was set up."""
        ...

    @property
    def text(self) -> str:
        """The position as text."""
        ...

    def after(self, moves: Sequence[str]) -> Self:
        """The position after moves as text. Raises UserError that names the first illegal one."""
        ...

    def playable(self) -> Self:
        """The same position; one in which moves can be played, where our rules alone have ended the game."""
        ...

    def legal_actions(self) -> list[int]:
        """The legal actions; none where the game is over."""
        ...

    def write(self, actions: Sequence[int]) -> list[str]:
        """Actions that follow each other from here as text."""
        ...


class Board(Protocol):
    """Where positions come from, and where the player sees them."""

    @property
    def pool(self) -> StatePool:
        """One slot, which the player thinks about."""
        ...

    @property
    def variants(self) -> tuple[str, ...]:
        """The values of the option `UCI_Variant`; none where there is no such option."""
        ...

    def start(self, text: str | None) -> Position:
        """The usual start for None, else the position of a FEN or SFEN. Raises UserError."""
        ...

    def put(self, position: Position) -> None:
        """Put a position into the slot."""
        ...


def board_of(game: Game, dialect: Dialect) -> Board:
    """The board of a game. Raises UserError for one that is not played through the protocol."""
    if dialect is UCI and game.rules == CHESS:
        assert isinstance(game, OpenSpielGame)
        return ChessBoard(game)
    return VariantBoard(variant_game(game, dialect), dialect)


class ChessBoard:
    """Chess, from the usual start or any FEN."""

    variants = ()

    def __init__(self, game: OpenSpielGame) -> None:
        self.pool = ChessPool(game)

    def start(self, text: str | None) -> ChessPosition:
        """See `Board.start`."""
        return set_up(text)

    def put(self, position: Position) -> None:
        """See `Board.put`."""
        assert isinstance(position, ChessPosition)
        self.pool.put(0, position.state)


SHOGI_START = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
MINI_SHOGI_START = "rbsgk/4p/5/P4/KGSBR b - 1"
STARTS = {"shogi": SHOGI_START, "minishogi": MINI_SHOGI_START}
"""The usual starts as SFEN, which some programs send instead of `startpos`."""


class VariantBoard:
    """A game that writes its own moves (`selfplay.engines.uci_game.VariantGame`), from its usual start."""

    def __init__(self, rules: VariantGame, dialect: Dialect) -> None:
        self._rules, self._dialect = rules, dialect
        self.pool = rules.game.new_pool(1)
        self.variants = (rules.variant,)

    def start(self, text: str | None) -> VariantPosition:
        """See `Board.start`."""
        usual = STARTS.get(self._rules.variant)
        if text is not None and (usual is None or text.split()[:3] != usual.split()[:3]):
            raise UserError(f"position: {self._rules.game.name} is played from its usual start alone (startpos)")
        return VariantPosition(self._rules, self._dialect, ())

    def put(self, position: Position) -> None:
        """See `Board.put`."""
        _replay(self.pool, position.history)


@dataclass(frozen=True)
class VariantPosition:
    """A position after some actions from the usual start."""

    rules: VariantGame
    dialect: Dialect
    actions: tuple[int, ...]
    is_usual = True

    @property
    def side(self) -> str:
        """See `Position.side`: players take turns."""
        return self.dialect.sides[len(self.actions) % 2]

    @property
    def is_over(self) -> bool:
        """See `Position.is_over`."""
        return not self.legal_actions()

    @property
    def history(self) -> list[int]:
        """See `Position.history`."""
        return list(self.actions)

    @property
    def text(self) -> str:
        """See `Position.text`."""
        return self._pool().text(0)

    def after(self, moves: Sequence[str]) -> VariantPosition:
        """See `Position.after`."""
        pool, actions = self._pool(), list(self.actions)
        for number, move in enumerate(moves, start=len(actions) + 1):
            action = self.rules.legal(pool).get(move.lower())
            if action is None:
                raise UserError(f"move {number}, {move[:10]!r}, is illegal")
            pool.step(HERE, np.array([action], np.int64), HERE)
            actions.append(action)
        return VariantPosition(self.rules, self.dialect, tuple(actions))

    def playable(self) -> VariantPosition:
        """See `Position.playable`."""
        return self

    def legal_actions(self) -> list[int]:
        """See `Position.legal_actions`."""
        return list(self.rules.legal(self._pool()).values())

    def write(self, actions: Sequence[int]) -> list[str]:
        """See `Position.write`."""
        pool, moves = self._pool(), []
        for action in actions:
            moves.append(self.rules.text(pool, action))
            pool.step(HERE, np.array([action], np.int64), HERE)
        return moves

    def _pool(self) -> StatePool:
        """A pool with this position in slot 0."""
        pool = self.rules.game.new_pool(1)
        _replay(pool, self.actions)
        return pool


def _replay(pool: StatePool, actions: Sequence[int]) -> None:
    pool.reset(HERE)
    for action in actions:
        pool.step(HERE, np.array([action], np.int64), HERE)
