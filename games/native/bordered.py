"""Boards that hold colours and history at once, inside a border: how Connect Four and Hex store a position.

A cell is 0 while empty; else its size grows with the ply that filled it, and its sign says who did, negative for
player 1. A border of empty cells lies around the board (one column serves as the left and the right border), so that a
walk over the board ends without a check of the bounds. Cell (row, column) is at
`(row + 1) * (columns + 1) + column + 1`.
"""

from __future__ import annotations

import numpy as np

from games.base import GameError

MAX_CELLS = 1_024
"""Larger boards are refused: nobody plays on them, games take minutes, and a search needs gigabytes for its positions.
The number of a ply must fit 16 bits."""


def check_size(name: str, rows: int, columns: int) -> None:
    """Raise GameError for boards that are too large."""
    if rows * columns > MAX_CELLS:
        raise GameError(f"{name}: {rows} rows of {columns} columns are more than {MAX_CELLS} cells")


def empty_board(rows: int, columns: int, largest: int) -> np.ndarray:
    """A board with border `[(rows + 2) * (columns + 1) + 1]` of the smallest integers that hold `largest`."""
    # Asked for a negative number, and by one: that side of an integer type reaches one further than the other.
    return np.zeros((rows + 2) * (columns + 1) + 1, dtype=np.min_scalar_type(-largest - 1))


def inner(board: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The board without its border, `[rows, columns]`, a view."""
    return board[:-1].reshape(rows + 2, columns + 1)[1:-1, 1:]


def filled(cells: np.ndarray, played: int) -> np.ndarray:
    """The filled cells of `inner`, as numbers `row * columns + column`, in the order of play."""
    return np.argsort(np.abs(cells), axis=None, kind="stable")[cells.size - played :]
