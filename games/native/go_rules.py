"""The rules of Go on positions that are rows of numbers: stones, captures, legal moves, superko, area.

A row of uint64 holds a few numbers, sets of points (`games.native.bit_sets`), the chains of stones in any order, and
the hashes of all boards so far. The number of chains and of hashes grows, so that a copy takes what is filled alone.

* Suicide is illegal. A move that makes a board that was there before is illegal too, whoever was to move then
  (positional superko); a pass is always legal. A move can repeat a board only where a stone of its colour stood before
  and was captured since: `CAPTURED` keeps those points, and only there a move is tried out.
* Boards are compared by Zobrist's hashes of 64 bits (Zobrist 1970). Two boards of one game have the same one with a
  probability below 1e-13.
* Two players, 0 black and 1 white. What depends on who moves next is written by `analyse`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.native.bit_sets import (
    BESIDE,
    ONE,
    WORD,
    ZERO,
    add,
    clear,
    count,
    count_bits,
    exclude,
    flood,
    include,
    is_empty,
    lowest_bit,
    meet,
    neighbours,
    put,
    remove,
    take_lowest,
    words_of,
)
from games.native.go_alive import write_alive

NUM_CHAINS, NUM_BOARDS, KOMI = 0, 1, 2
"""Places of numbers in a row: chains on the board, hashes, and the index of the komi that is played with."""

NUMBERS = 3
"""Numbers at the beginning of a row; sets follow."""

STONES, CAPTURED, LEGAL, FORBIDDEN, LIBERTIES, ALIVE, CHAINS = 0, 2, 4, 5, 6, 9, 11
"""Sets of a row, in this order: stones of each player, points where stones of each player were captured, points where
the player to move may place a stone, points where only superko forbids it, stones of chains with one liberty, with two,
with three, what is each player's for good (`games.native.go_alive`), then every chain."""

LARGEST = 19
"""Rows and columns of the largest board."""

ZOBRIST = np.random.default_rng(20261130).integers(2**64, size=2 * LARGEST**2, dtype=np.uint64)
"""Random numbers of the stones of player 0 on points 0 to 360, then of player 1."""


def row_sizes(size: int) -> tuple[int, int]:
    """Places of the first hash and of the first word behind the hashes in a row of a board."""
    boards = _boards_at(size, words_of(size))
    return boards, boards + 2 * size * size + 1


@njit(cache=True)
def set_at(kind, words):  # type: ignore[no-untyped-def]
    """Place of a set in a row."""
    return NUMBERS + kind * len(words)


@njit(cache=True)
def _boards_at(size, words):  # type: ignore[no-untyped-def]
    """Place of the hashes in a row. Every chain needs a liberty, and a point is one of four chains at most: so no more
    than four fifths of the points are chains. One more is there while a move is made."""
    return NUMBERS + (CHAINS + 4 * size * size // 5 + 2) * len(words)


@njit(cache=True)
def set_up(row, points, mover, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Make a row of zeros the position with the stones of `points`, by point 0 or 1 for a player's and else -1, where
    `mover` is to move and nothing was there before."""
    W = len(words)
    hashed, number, left = ZERO, 0, 0
    for player in range(2):
        clear(spare, left, words)
        for point in range(size * size):
            if points[point] == player:
                include(spare, left, point)
                hashed ^= ZOBRIST[player * LARGEST * LARGEST + point]
        put(spare, left, row, set_at(STONES + player, words), words)
        while not is_empty(spare, left, words):
            chain = set_at(CHAINS + number, words)
            take_lowest(spare, left, words, row, chain)
            flood(row, chain, spare, left, board, size, words, spare, W)
            remove(row, chain, spare, left, words)
            number += 1
    row[NUM_CHAINS] = np.uint64(number)
    row[NUM_BOARDS] = ONE
    row[_boards_at(size, words)] = hashed
    analyse(row, mover, board, size, words, spare)


@njit(cache=True)
def copy_row(source, target, size, words):  # type: ignore[no-untyped-def]
    """Copy what is filled of a row, but for the actions."""
    filled = set_at(CHAINS, words) + np.int64(source[NUM_CHAINS]) * len(words)
    for i in range(filled):
        target[i] = source[i]
    boards = _boards_at(size, words)
    for i in range(boards, boards + np.int64(source[NUM_BOARDS])):
        target[i] = source[i]


@njit(cache=True)
def place(row, mover, point, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Put a stone of `mover` on a point where that is legal. What `analyse` writes is out of date afterwards."""
    W = len(words)
    own, other = set_at(STONES + mover, words), set_at(STONES + 1 - mover, words)
    beside, chain, liberties = (BESIDE + point) * W, 0, W
    clear(spare, chain, words)
    include(spare, chain, point)
    hashed = row[_boards_at(size, words) + np.int64(row[NUM_BOARDS]) - 1] ^ ZOBRIST[mover * LARGEST * LARGEST + point]
    include(row, own, point)
    first, last = set_at(CHAINS, words), set_at(CHAINS, words) + (np.int64(row[NUM_CHAINS]) - 1) * W
    at = first
    while at <= last:
        if meet(row, at, board, beside, words):
            is_gone = meet(row, at, row, own, words)
            if is_gone:
                add(row, at, spare, chain, words)
            else:
                neighbours(row, at, board, size, words, spare, liberties)
                remove(row, own, spare, liberties, words)
                remove(row, other, spare, liberties, words)
                is_gone = is_empty(spare, liberties, words)
                if is_gone:
                    remove(row, at, row, other, words)
                    add(row, at, row, set_at(CAPTURED + 1 - mover, words), words)
                    hashed ^= _hash_of(row, at, 1 - mover, words)
            if is_gone:
                put(row, last, row, at, words)
                last -= W
                continue
        at += W
    put(spare, chain, row, last + W, words)
    row[NUM_CHAINS] = (last + W - first) // W + 1
    row[_boards_at(size, words) + np.int64(row[NUM_BOARDS])] = hashed
    row[NUM_BOARDS] += ONE


@njit(cache=True)
def _hash_of(a, i, player, words):  # type: ignore[no-untyped-def]
    """Hash of the stones of a set, all of them of one player."""
    hashed = ZERO
    for w in range(len(words)):
        bits = a[i + w]
        while bits:
            hashed ^= ZOBRIST[player * LARGEST * LARGEST + WORD * w + lowest_bit(bits)]
            bits &= bits - ONE
    return hashed


@njit(cache=True)
def analyse(row, mover, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Write what follows from the stones where `mover` is to move: the sets from LEGAL to ALIVE."""
    W = len(words)
    legal, forbidden, few = set_at(LEGAL, words), set_at(FORBIDDEN, words), set_at(LIBERTIES, words)
    own, other = set_at(STONES + mover, words), set_at(STONES + 1 - mover, words)
    empty, liberties = 0, W
    for w in range(W):
        spare[empty + w] = board[w] & ~(row[own + w] | row[other + w])
        row[forbidden + w] = row[few + w] = row[few + W + w] = row[few + 2 * W + w] = ZERO
    neighbours(spare, empty, board, size, words, row, legal)
    for k in range(np.int64(row[NUM_CHAINS])):
        at = set_at(CHAINS + k, words)
        neighbours(row, at, board, size, words, spare, liberties)
        number, is_own = 0, ZERO
        for w in range(W):
            spare[liberties + w] &= spare[empty + w]
            number += count_bits(spare[liberties + w])
            is_own |= row[at + w] & row[own + w]
        if number <= 3:
            add(row, at, row, few + (number - 1) * W, words)
        if (number > 1) == (is_own != ZERO):  # chains of its own that keep a liberty, and chains that it captures
            add(spare, liberties, row, legal, words)
    captured, repeats = set_at(CAPTURED + mover, words), ZERO
    for w in range(W):
        row[legal + w] &= spare[empty + w]
        repeats |= row[legal + w] & row[captured + w]
    if repeats != ZERO:
        _forbid_repeats(row, mover, board, size, words, spare)
    for player in range(2):
        stones, alive = set_at(STONES + player, words), set_at(ALIVE + player, words)
        write_alive(
            row, stones, set_at(CHAINS, words), np.int64(row[NUM_CHAINS]), empty, board, size, words, spare, alive
        )


@njit(cache=True)
def _forbid_repeats(row, mover, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Move points from LEGAL to FORBIDDEN where a stone would make a board that was there before."""
    W = len(words)
    legal, captured = set_at(LEGAL, words), set_at(CAPTURED + mover, words)
    for w in range(W):
        bits = row[legal + w] & row[captured + w]
        while bits:
            point = WORD * w + lowest_bit(bits)
            bits &= bits - ONE
            if _was_there(row, _hash_after(row, mover, point, board, size, words, spare), size, words):
                exclude(row, legal, point)
                include(row, set_at(FORBIDDEN, words), point)


@njit(cache=True)
def _hash_after(row, mover, point, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Hash of the board after a stone on a point. Chains with one liberty are known, and set 0 of `spare` is empty."""
    W = len(words)
    beside = (BESIDE + point) * W
    hashed = row[_boards_at(size, words) + np.int64(row[NUM_BOARDS]) - 1] ^ ZOBRIST[mover * LARGEST * LARGEST + point]
    for k in range(np.int64(row[NUM_CHAINS])):
        at = set_at(CHAINS + k, words)
        if (
            meet(row, at, board, beside, words)
            and meet(row, at, row, set_at(STONES + 1 - mover, words), words)
            and meet(row, at, row, set_at(LIBERTIES, words), words)
        ):
            hashed ^= _hash_of(row, at, 1 - mover, words)
    return hashed


@njit(cache=True)
def _was_there(row, hashed, size, words):  # type: ignore[no-untyped-def]
    """Whether a board was there before, or is now."""
    boards, found = _boards_at(size, words), False
    for i in range(boards, boards + np.int64(row[NUM_BOARDS])):
        found |= row[i] == hashed
    return found


@njit(cache=True)
def is_settled(row, board, words):  # type: ignore[no-untyped-def]
    """Whether every point is one of the players' for good."""
    left = ZERO
    for w in range(len(words)):
        left |= board[w] & ~(row[set_at(ALIVE, words) + w] | row[set_at(ALIVE + 1, words) + w])
    return left == ZERO


@njit(cache=True)
def owners(row, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Write whose each point is, into two sets of `spare`, player 0's and player 1's; returns the places of both.

    Stones in what is the opponent's for good are taken off. Then stones count, and empty points that reach stones of
    one player alone.
    """
    W = len(words)
    empty, other = 2 * W, 3 * W
    for player in range(2):
        own = player * W
        for w in range(W):
            spare[own + w] = row[set_at(STONES + player, words) + w] & ~row[set_at(ALIVE + 1 - player, words) + w]
            spare[own + w] |= row[set_at(ALIVE + player, words) + w]
    for w in range(W):
        spare[empty + w] = board[w] & ~(spare[w] | spare[W + w])
    for player in range(2):
        flood(spare, player * W, spare, empty, board, size, words, spare, other)
    for w in range(W):
        both = spare[w] & spare[W + w]
        spare[w] &= ~both
        spare[W + w] &= ~both
    return 0, W


@njit(cache=True)
def area_lead(row, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Points of player 0 less those of player 1, without komi."""
    black, white = owners(row, board, size, words, spare)
    return count(spare, black, words) - count(spare, white, words)
