"""What is a player's for good in Go: chains that no move can kill, and the territory that they surround.

D. B. Benson, "Life in the Game of Go", Information Sciences 10 (1976): a region is a connected set of points without
stones of the player. It is vital to a chain if all of its empty points are liberties of the chain. Chains each of which
has two vital regions that are bordered by such chains alone live even if their player always passes.

A region that is bordered by such chains alone is the player's too where at most one of its points, empty or not, has no
stone of the player beside it: an eye is such a point, so the opponent gets no two eyes in there, and stones of it there
are dead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.native.bit_sets import (
    ZERO,
    add,
    clear,
    count_bits,
    flood,
    is_empty,
    meet,
    neighbours,
    put,
    remove,
    take_lowest,
)

NUM_SPARE = 8
"""Sets of `spare` that are used before the list of regions: the first is given, the empty points."""

MAX_REGIONS = 181
"""Largest number of regions: every second point of the largest board."""


@njit(cache=True)
def spare_sets(words):  # type: ignore[no-untyped-def]
    """Room for the sets that `write_alive` and other kernels of Go work with."""
    return np.empty((NUM_SPARE + MAX_REGIONS) * len(words), np.uint64)


@njit(cache=True)
def write_alive(row, stones, chains, num_chains, empty, board, size, words, spare, out):  # type: ignore[no-untyped-def]
    """Write what is a player's for good into the set `out` of a row.

    `stones` of the player, `chains` (of both players, one after the other) and `out` are places in `row`, `empty` is
    one in `spare`, the first. The other sets of `spare` are used.
    """
    W = len(words)
    near, others, region, beside, living = 2 * W, 3 * W, 4 * W, 5 * W, 6 * W
    clear(row, out, words)
    neighbours(row, stones, board, size, words, spare, near)
    # Regions with an empty point away from the player's stones are vital to no chain: leave them out at once.
    for w in range(W):
        spare[others + w] = board[w] & ~row[stones + w]
        spare[region + w] = spare[empty + w] & ~spare[near + w]
    flood(spare, region, spare, others, board, size, words, spare, beside)
    remove(spare, region, spare, others, words)
    num_regions = _list_regions(spare, others, board, size, words)
    if num_regions < 2:
        return
    put(row, stones, spare, living, words)
    if not _keep_living(row, stones, chains, num_chains, empty, num_regions, living, board, size, words, spare):
        return
    add(spare, living, row, out, words)
    # Territory: of all regions now, those whose border lives.
    for w in range(W):
        spare[others + w] = board[w] & ~row[stones + w]
    for r in range(_list_regions(spare, others, board, size, words)):
        at = (NUM_SPARE + r) * W
        neighbours(spare, at, board, size, words, spare, beside)
        inside, mortal = 0, ZERO
        for w in range(W):
            inside += count_bits(spare[at + w] & ~spare[near + w])
            mortal |= spare[beside + w] & row[stones + w] & ~spare[living + w]
        if inside <= 1 and mortal == ZERO:
            add(spare, at, row, out, words)


@njit(cache=True)
def _list_regions(spare, points, board, size, words):  # type: ignore[no-untyped-def]
    """Write the connected parts of a set of `spare`, one after the other, behind its first sets; returns their number.

    The set is empty afterwards.
    """
    W = len(words)
    number = 0
    while not is_empty(spare, points, words):
        at = (NUM_SPARE + number) * W
        take_lowest(spare, points, words, spare, at)
        flood(spare, at, spare, points, board, size, words, spare, 5 * W)
        remove(spare, at, spare, points, words)
        number += 1
    return number


@njit(cache=True)
def _keep_living(row, stones, chains, num_chains, empty, num_regions, living, board, size, words, spare):  # type: ignore[no-untyped-def]
    """Benson's fixed point: take chains without two vital regions out of `living`, then regions that these border.

    Until there are no more. Returns whether any chain is left.
    """
    W = len(words)
    beside = 5 * W
    while True:
        is_changed = False
        for at in range(chains, chains + num_chains * W, W):
            if meet(row, at, spare, living, words):
                neighbours(row, at, board, size, words, spare, beside)
                if not _has_two_eyes(spare, beside, empty, num_regions, words):
                    remove(row, at, spare, living, words)
                    is_changed = True
        if not is_changed:
            return not is_empty(spare, living, words)
        for w in range(W):
            spare[beside + w] = row[stones + w] & ~spare[living + w]
        neighbours(spare, beside, board, size, words, spare, beside)
        kept = 0
        for r in range(num_regions):
            if not meet(spare, (NUM_SPARE + r) * W, spare, beside, words):
                put(spare, (NUM_SPARE + r) * W, spare, (NUM_SPARE + kept) * W, words)
                kept += 1
        num_regions = kept
        if num_regions < 2:
            return False


@njit(cache=True)
def _has_two_eyes(spare, beside, empty, num_regions, words):  # type: ignore[no-untyped-def]
    """Whether two of the regions have all of their empty points in the set `beside` a chain."""
    vital = 0
    for r in range(num_regions):
        outside = ZERO
        for w in range(len(words)):
            outside |= spare[(NUM_SPARE + r) * len(words) + w] & spare[empty + w] & ~spare[beside + w]
        if outside == ZERO:
            vital += 1
            if vital == 2:
                return True
    return False
