"""Sets of points of a square board as bits, for kernels: neighbours, floods, counts.

Point `row * size + column` is bit `point % 64` of word `point // 64`. A set is a run of words in a flat array of
uint64, given as the array and the place of its first word. Every kernel is handed `words`, a tuple with an entry for
each word: its length is part of its type, so that Numba compiles loops over the words of a set for that number.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WORD = 64
"""Bits of a word."""

ZERO, ONE = np.uint64(0), np.uint64(1)

FULL, NOT_FIRST, NOT_LAST, BESIDE = 0, 1, 2, 3
"""Sets of `geometry`: all points, those outside the first and the last column, and from BESIDE on the points beside
each point."""


def words_of(size: int) -> tuple[int, ...]:
    """The `words` of a board: 1, 2 or 6 of them, so that there are three compiled forms of a kernel at most."""
    needed = -(-size * size // WORD)
    return (0,) * min(words for words in (1, 2, 6) if words >= needed)


def geometry(size: int) -> np.ndarray:
    """Sets that kernels need of a board, in a flat array of uint64; see `FULL`."""
    count = len(words_of(size))
    cells = np.arange(size * size).reshape(size, size)
    rows, columns = np.divmod(cells.ravel(), size)
    distances = abs(rows[:, None] - rows) + abs(columns[:, None] - columns)
    beside = [np.flatnonzero(row == 1).tolist() for row in distances]
    sets = [cells.ravel().tolist(), cells[:, 1:].ravel().tolist(), cells[:, :-1].ravel().tolist(), *beside]
    bits = [sum(1 << point for point in points) for points in sets]
    return np.array([(bits_ >> WORD * w) % 2**WORD for bits_ in bits for w in range(count)], dtype=np.uint64)


@njit(cache=True)
def count_bits(bits):  # type: ignore[no-untyped-def]
    """Number of bits that are set, as a signed number (added up in groups of 2, 4, 8, then all)."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def lowest_bit(bits):  # type: ignore[no-untyped-def]
    """Place of the lowest bit that is set."""
    return count_bits((bits - ONE) & ~bits)


@njit(cache=True)
def count(a, i, words):  # type: ignore[no-untyped-def]
    """Number of points of a set."""
    total = 0
    for w in range(len(words)):
        total += count_bits(a[i + w])
    return total


@njit(cache=True)
def is_empty(a, i, words):  # type: ignore[no-untyped-def]
    """Whether a set has no point."""
    found = ZERO
    for w in range(len(words)):
        found |= a[i + w]
    return found == ZERO


@njit(cache=True)
def meet(a, i, b, j, words):  # type: ignore[no-untyped-def]
    """Whether two sets have a point in common."""
    found = ZERO
    for w in range(len(words)):
        found |= a[i + w] & b[j + w]
    return found != ZERO


@njit(cache=True)
def put(a, i, b, j, words):  # type: ignore[no-untyped-def]
    """Copy set a to b."""
    for w in range(len(words)):
        b[j + w] = a[i + w]


@njit(cache=True)
def clear(a, i, words):  # type: ignore[no-untyped-def]
    """Take all points out of a set."""
    for w in range(len(words)):
        a[i + w] = ZERO


@njit(cache=True)
def add(a, i, b, j, words):  # type: ignore[no-untyped-def]
    """Add the points of set a to b."""
    for w in range(len(words)):
        b[j + w] |= a[i + w]


@njit(cache=True)
def remove(a, i, b, j, words):  # type: ignore[no-untyped-def]
    """Take the points of set a out of b."""
    for w in range(len(words)):
        b[j + w] &= ~a[i + w]


@njit(cache=True)
def has(a, i, point):  # type: ignore[no-untyped-def]
    """Whether a point is in a set."""
    return (a[i + (point >> 6)] >> np.uint64(point & 63)) & ONE != ZERO


@njit(cache=True)
def include(a, i, point):  # type: ignore[no-untyped-def]
    """Add a point to a set."""
    a[i + (point >> 6)] |= ONE << np.uint64(point & 63)


@njit(cache=True)
def exclude(a, i, point):  # type: ignore[no-untyped-def]
    """Take a point out of a set."""
    a[i + (point >> 6)] &= ~(ONE << np.uint64(point & 63))


@njit(cache=True)
def neighbours(a, i, board, size, words, out, o):  # type: ignore[no-untyped-def]
    """Write the points beside those of set a into `out`, which may be a itself."""
    last, row = len(words) - 1, np.uint64(size)
    rest = np.uint64(WORD - size)
    below = ZERO
    for w in range(len(words)):
        here = a[i + w]
        above = ZERO
        if w < last:
            above = a[i + w + 1]
        up = (here << row) | (below >> rest)
        down = (here >> row) | (above << rest)
        right = ((here << ONE) | (below >> np.uint64(WORD - 1))) & board[len(words) + w]
        left = ((here >> ONE) | (above << np.uint64(WORD - 1))) & board[2 * len(words) + w]
        out[o + w] = (up | down | right | left) & board[w]
        below = here


@njit(cache=True)
def flood(a, i, through, t, board, size, words, spare, s):  # type: ignore[no-untyped-def]
    """Add to set a all points of `through` that are connected with it through such points. Uses a set of `spare`."""
    while True:
        neighbours(a, i, board, size, words, spare, s)
        grown = ZERO
        for w in range(len(words)):
            more = spare[s + w] & through[t + w] & ~a[i + w]
            a[i + w] |= more
            grown |= more
        if grown == ZERO:
            return


@njit(cache=True)
def take_lowest(a, i, words, out, o):  # type: ignore[no-untyped-def]
    """Write the set of the lowest point of set a into `out`; empty where a is."""
    found = False
    for w in range(len(words)):
        bits = a[i + w]
        out[o + w] = ZERO if found else bits & (~bits + ONE)
        found = found or bits != ZERO


@njit(cache=True)
def nth(a, i, n, words):  # type: ignore[no-untyped-def]
    """The point of a set with n smaller ones."""
    for w in range(len(words)):
        bits = a[i + w]
        here = count_bits(bits)
        if n < here:
            for _ in range(n):
                bits &= bits - ONE
            return WORD * w + lowest_bit(bits)
        n -= here
    return -1


@njit(cache=True)
def write_points(a, i, size, out):  # type: ignore[no-untyped-def]
    """Write 1 for every point of a set and 0 for the others into the first numbers of `out`."""
    for point in range(size * size):
        out[point] = has(a, i, point)


@njit(cache=True)
def list_points(a, i, words, out, number):  # type: ignore[no-untyped-def]
    """Write the points of a set, ascending, into `out` behind `number` others; returns the number with them."""
    for w in range(len(words)):
        bits = a[i + w]
        while bits:
            out[number] = WORD * w + lowest_bit(bits)
            number += 1
            bits &= bits - ONE
    return number
