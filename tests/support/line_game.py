"""Three in a row on a board of any size, for tests of one network on several sizes: `line_game:line_game(size=4)`.

It says where its actions are on the board, whose each cell is at the end, and a score.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import games
from games import TERMINAL, ActionPlanes, Game, PythonGame, State, Symmetry
from games.base import NO_CELL
from games.seats import with_seats

NAME = "line_game:line_game"

LINE = 3
FREE = 0


class LineState(State):
    """The players put their stones on cells in turn; who has three in a row wins. The last action passes: only two
    passes a game are legal, so that it comes to an end."""

    def __init__(self, game: LineGame) -> None:
        self.game, self.mover, self.winner, self.passes = game, 0, -1, 0
        self.board = np.zeros((game.size, game.size), np.int8)  # 1 is player 0's, -1 player 1's

    def clone(self) -> LineState:
        other = LineState(self.game)
        other.mover, other.winner, other.passes = self.mover, self.winner, self.passes
        other.board = self.board.copy()
        return other

    def to_play(self) -> int:
        return TERMINAL if self.winner >= 0 or (self.board != FREE).all() else self.mover

    def legal_actions(self) -> list[int]:
        free = np.flatnonzero(self.board.ravel() == FREE).tolist()
        return [*free, self.game.pass_action] if self.passes < 2 else free

    def apply(self, action: int) -> None:
        if action == self.game.pass_action:
            self.passes += 1
        else:
            stone = 1 - 2 * self.mover
            self.board.ravel()[action] = stone
            if self._has_line(stone):
                self.winner = self.mover
        self.mover = 1 - self.mover

    def _has_line(self, stone: int) -> bool:
        own = np.pad(self.board == stone, LINE)
        steps = ((0, 1), (1, 0), (1, 1), (1, -1))
        return any(np.logical_and.reduce([np.roll(own, (k * a, k * b), (0, 1)) for k in range(LINE)]).any()
                   for a, b in steps)  # fmt: skip

    def rewards(self) -> list[float]:
        if self.winner < 0:
            return [0.0, 0.0]
        return [1.0, -1.0] if self.winner == 0 else [-1.0, 1.0]

    def observation(self) -> np.ndarray:
        own = self.board if self.mover == 0 else -self.board
        return np.stack([own == 1, own == -1, np.ones_like(own)]).astype(np.float32)

    def final_labels(self) -> np.ndarray:
        return self.board

    def final_score(self) -> float:
        """How many more stones player 0 has."""
        return float(self.board.sum())

    def __str__(self) -> str:
        return f"{self.board.tolist()} {self.mover} {self.passes}"


class LineGame(PythonGame):
    """See `LineState`."""

    num_players = 2

    def __init__(self, size: int = 4) -> None:
        self.size, cells = size, size * size
        self.num_actions, self.pass_action = cells + 1, cells
        self.max_game_length = cells + 2
        self.observation_shape = with_seats((3, size, size), 2)
        where = np.append(np.arange(cells), NO_CELL)
        self.action_planes = ActionPlanes(1, (size, size), np.where(where < 0, NO_CELL, 0), where)
        self.final_label_shape, self.largest_score = (size, size), float(cells)

    def new_state(self) -> LineState:
        return LineState(self)

    def symmetries(self) -> list[Symmetry]:
        """A quarter turn."""
        cells = np.rot90(np.arange(self.size**2).reshape(self.size, self.size)).ravel()
        planes = np.arange(self.observation_shape[0])[:, None] * self.size**2
        return [Symmetry((planes + cells).ravel(), np.append(cells, self.pass_action))]


class WideLineGame(LineGame):
    """The same with two planes of actions, of which the second is never read."""

    def __init__(self, size: int = 4) -> None:
        super().__init__(size)
        assert self.action_planes is not None
        self.action_planes = replace(self.action_planes, num_planes=2)


class ScaledLineGame(LineGame):
    """The same with planes that are scaled."""

    def __init__(self, size: int = 4) -> None:
        super().__init__(size)
        planes = self.observation_shape[0]
        self.plane_scaling = np.zeros(planes, np.float32), np.full(planes, 0.5, np.float32)


class PlainLineGame(LineGame):
    """The same, and it does not say where its actions are."""

    def __init__(self, size: int = 4) -> None:
        super().__init__(size)
        self.action_planes = None


games.register("line_game", LineGame)
games.register("wide_line_game", WideLineGame)
games.register("scaled_line_game", ScaledLineGame)
games.register("plain_line_game", PlainLineGame)


def load(size: int) -> Game:
    """The game on a board of a size."""
    return games.load(f"{NAME}(size={size})")
