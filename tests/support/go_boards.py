"""Positions of Go from diagrams, for tests."""

from __future__ import annotations

import numpy as np

import games
from games.go_text import read_board
from games.native.go import GoPool
from games.native.go_alive import spare_sets
from games.native.go_rules import set_up

HERE = np.zeros(1, np.int64)
MARKS = {"X": 0, "O": 1, ".": -1}


def at(text: str, size: int) -> int:
    """The action of a point such as `C3`, or of `pass`."""
    return size * size if text == "pass" else (int(text[1:]) - 1) * size + "ABCDEFGHJKLMNOPQRST".index(text[0])


def diagram(text: str, to_play: str = "X", komi: float = 0.5, **parameters: object) -> GoPool:
    """A pool whose slot 0 has the stones of a diagram, row 1 last, and no boards before it."""
    rows = text.split()
    size = len(rows)
    given = "".join(f",{key}={value}" for key, value in parameters.items())
    pool = games.load(f"go(board_size={size},komi={komi}{given})").new_pool(1)
    assert isinstance(pool, GoPool)
    pool.reset(HERE)
    points = np.array([MARKS[mark] for row in reversed(rows) for mark in row])
    board, _, words, _ = pool._rules
    pool._boards[0] = 0
    set_up(pool._boards[0], points, "XO".index(to_play), board, size, words, spare_sets(words))
    pool._to_play[0] = "XO".index(to_play)
    return pool


def play(pool: GoPool, moves: str) -> None:
    """Play moves such as `C3 pass A1`; each has to be legal."""
    for move in moves.split():
        action = at(move, pool.game.size)
        games.check_action(pool, 0, action)
        pool.step(HERE, np.array([action]), HERE)


def legal(pool: GoPool, point: str) -> bool:
    return at(point, pool.game.size) in pool.legal(HERE)[1]


def shown(pool: GoPool) -> list[str]:
    """The board, row 1 last, as a diagram has it."""
    return ["".join(row).replace("+", ".") for row in reversed(read_board(pool.text(0)))]


def labels(pool: GoPool) -> list[str]:
    """Whose each point is, row 1 last: `X`, `O`, and `.` for nobody's."""
    out = np.empty((1, pool.game.size, pool.game.size), np.int8)
    pool.final_labels(HERE, out)
    return ["".join(".XO"[label] for label in row) for row in out[0, ::-1]]


def planes(pool: GoPool) -> np.ndarray:
    """The observation of slot 0, row 1 first."""
    out = np.empty((1, *pool.game.observation_shape), np.uint8)
    pool.observe(HERE, out)
    return out[0]


def points_of(plane: np.ndarray) -> set[str]:
    """The points with a 1."""
    return {f"{'ABCDEFGHJKLMNOPQRST'[column]}{row + 1}" for row, column in np.argwhere(plane == 1)}
