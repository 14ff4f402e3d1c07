"""The position that a chess program has sent: from the start or a FEN, and the moves after it.

OpenSpiel ends a game at the third repetition and after 50 moves without progress; a chess program may go on. The
position then starts anew from its own FEN, without the moves that led to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from games.open_spiel.game import OpenSpielGame, OpenSpielPool
from selfplay.engines.chess_moves import ChessState, legal_moves, start_state, write_moves
from selfplay.errors import UserError


class ChessPool(OpenSpielPool):
    """A pool of chess that takes positions that do not follow from the usual start."""

    def __init__(self, game: OpenSpielGame) -> None:
        super().__init__(game, 1)

    def put(self, slot: int, state: ChessState) -> None:
        """Store a state, which must not be changed afterwards."""
        self._states[slot] = state


@dataclass(frozen=True)
class ChessPosition:
    """A position of chess (`selfplay.servers.positions.Position`)."""

    state: ChessState
    """Never applied to, only asked for children."""
    is_usual: bool
    """Whether it follows from the usual start by `state.history()`; players that keep their own board need that."""

    @property
    def side(self) -> str:
        """Who is to move, `w` or `b`, also where the game is over."""
        return str(self.state).split()[1]

    @property
    def is_over(self) -> bool:
        """See `Position.is_over`."""
        return bool(self.state.is_terminal())

    @property
    def history(self) -> list[int]:
        """See `Position.history`."""
        return list(self.state.history())

    @property
    def text(self) -> str:
        """See `Position.text`."""
        return str(self.state)

    def legal_actions(self) -> list[int]:
        """See `Position.legal_actions`."""
        return list(self.state.legal_actions())

    def write(self, actions: Sequence[int]) -> list[str]:
        """See `Position.write`."""
        return write_moves(self.state, actions)

    def after(self, moves: Sequence[str]) -> ChessPosition:
        """The position after moves in UCI's text. Raises UserError that names the first illegal one."""
        position = self
        for number, move in enumerate(moves, start=1):
            position = position.playable()
            action = legal_moves(position.state).get(move)
            if action is None:
                raise UserError(f"move {number}, {move[:10]!r}, is illegal")
            position = ChessPosition(position.state.child(action), position.is_usual)
        return position

    def playable(self) -> ChessPosition:
        """The same position; where OpenSpiel calls it drawn and there are moves, one in which they can be played."""
        if not self.state.is_terminal():
            return self
        board, side, castling, en_passant, _, number = str(self.state).split()
        revived = start_state(f"{board} {side} {castling} {en_passant} 0 {number}")
        return self if revived.is_terminal() else ChessPosition(revived, False)


def set_up(fen: str | None = None) -> ChessPosition:
    """The start of a game, or the position of a FEN. Raises UserError where the FEN is not sound."""
    return ChessPosition(start_state(fen), fen is None)
