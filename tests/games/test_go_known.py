"""What is known about Go on small boards: the number of legal boards, and the results of best play."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

import games
from games import StatePool
from games.native.bit_sets import geometry, is_empty, neighbours, remove, words_of
from games.native.go_alive import spare_sets
from games.native.go_rules import CHAINS, NUM_CHAINS, STONES, row_sizes, set_at, set_up


@njit
def count_legal(size, first, last, board, words, row, spare):  # type: ignore[no-untyped-def]
    """The number of boards, of those with the numbers from `first` to `last`, all of whose chains have a liberty."""
    points, legal = np.empty(size * size, np.int64), 0
    for number in range(first, last):
        rest = number
        for point in range(size * size):
            points[point] = rest % 3 - 1
            rest //= 3
        row[:] = 0
        set_up(row, points, 0, board, size, words, spare)
        is_legal = True
        for k in range(np.int64(row[NUM_CHAINS])):
            neighbours(row, set_at(CHAINS + k, words), board, size, words, spare, 0)
            for player in range(2):
                remove(row, set_at(STONES + player, words), spare, 0, words)
            is_legal = is_legal and not is_empty(spare, 0, words)
        legal += is_legal
    return legal


@pytest.mark.parametrize(
    ("size", "number"),
    [(1, 1), (2, 57), (3, 12_675), pytest.param(4, 24_318_165, marks=pytest.mark.slow)],
)
def test_legal_boards_are_as_many_as_tromp_counted(size: int, number: int) -> None:
    """OEIS A094777."""
    words = words_of(size)
    row, spare = np.zeros(row_sizes(size)[1], np.uint64), spare_sets(words)
    assert count_legal(size, 0, 3 ** (size * size), geometry(size), words, row, spare) == number


def wins(pool: StatePool, ply: int, order: list[int]) -> bool:
    """Whether the player to move in slot `ply` wins, by trying every move."""
    mover = int(pool.to_play(np.array([ply]))[0])
    moves = set(pool.legal(np.array([ply]))[1].tolist())
    for action in (move for move in order if move in moves):
        to_play, rewards = pool.step(np.array([ply]), np.array([action]), np.array([ply + 1]))
        is_won = rewards[0, mover] > 0
        if to_play[0] >= 0:
            is_won = not wins(pool, ply + 1, order)
        if is_won:
            return True
    return False


def test_black_owns_the_whole_board_of_three_rows() -> None:
    """Alpha-beta without a memory, so that superko counts as it should."""
    order = [4, 1, 3, 5, 7, 0, 2, 6, 8, 9]
    pool = games.load("go(board_size=3,komi=8.5)").new_pool(19)
    pool.reset(np.zeros(1, np.int64))
    assert wins(pool, 0, order)
