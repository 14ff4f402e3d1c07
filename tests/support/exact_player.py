"""A player that knows the value of every tic-tac-toe position, by minimax."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


@functools.cache
def position_value(board: str) -> float:
    """Value of a board (9 characters, `m` the player to move, `o` the other, `.` empty) for the player to move."""
    if any(board[a] == board[b] == board[c] == "o" for a, b, c in LINES):
        return -1.0
    values = board_values(board).values()
    return max(values) if values else 0.0


def board_values(board: str) -> dict[int, float]:
    """Value of each move for the player to move, whether or not the game is over."""
    seen_by_other = board.translate(str.maketrans("mo", "om"))
    return {
        cell: -position_value(seen_by_other[:cell] + "o" + seen_by_other[cell + 1 :])
        for cell in range(9)
        if board[cell] == "."
    }


def move_values(history: Sequence[int]) -> dict[int, float]:
    """Value of each legal move for the player to move after `history`."""
    board = ["."] * 9
    for ply, cell in enumerate(history):
        board[cell] = "m" if ply % 2 == len(history) % 2 else "o"
    return board_values("".join(board))


class ExactPlayer:
    """Plays a random best move, by the history alone."""

    name = "exact"

    def __init__(self, seed: int = 0, worst: bool = False) -> None:
        """`worst` plays a random worst move instead."""
        self._rng = np.random.default_rng(seed)
        self._sign = -1.0 if worst else 1.0

    def choose(self, pool, slots: np.ndarray, histories: Sequence[Sequence[int]]) -> np.ndarray:
        actions = []
        for history in histories:
            values = {action: self._sign * value for action, value in move_values(history).items()}
            best = max(values.values())
            actions.append(self._rng.choice([action for action, value in values.items() if value == best]))
        return np.array(actions)

    def close(self) -> None:
        pass
