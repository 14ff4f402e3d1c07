"""Solve animal shogi: all positions that can come up, with who wins and in how many moves, by retrograde analysis.

    python benchmarks/animal_shogi_table.py --out FOLDER

It needs 5 GB of memory and four minutes of one core. The folder gets 0.9 GB: `keys.npy`, the positions in ascending
order, and `values.npy`, their values. `animal_shogi_positions.py` makes labelled positions of it.

A position is a key (`packed`): board and hands as the player to move sees them, or their mirror image, whichever is the
smaller number. History does not count: a position from which nobody can force an end is a draw. Where the player to
move can capture the lion (`CAPTURE`), or the opponent's lion has come home (`HOME`), the value is seen at once. So
nothing is played on from there, and the folder leaves them out. Tanaka (2009, "An analysis of a board game 'Doubutsu
Shogi'") counts so too: 246,803,167 positions, 99,485,568 of them to be solved.

First all positions are found, forwards. Then each that is solved tells those before it, nearest ends first: before a
lost position one wins; where the last move that was not known to lose becomes known, one loses.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import njit

from games.native.animal_shogi import CHICK, COLUMNS, HANDS, HEN, LION, ROWS, AnimalShogi

RULES = AnimalShogi().shogi_rules
CELLS = ROWS * COLUMNS
MOST = 160
"""More than the moves from a position, and more than the moves that may have led to one."""

THEIRS = 8
"""Bit of an opponent's piece; the bits below are its kind. Cell 0 has the lowest four bits of a key, and so on."""

OWN_HAND, THEIR_HAND = 4 * CELLS, 4 * CELLS + 2 * HANDS
"""First bits of the hands in a key: the numbers of chicks, elephants and giraffes, two bits each."""

BOARD = (1 << OWN_HAND) - 1
ONES = 0x111111111111
LEFT_COLUMN = 0x00F00F00F00F
LAST_SIX = (1 << 24) - 1
UPPER_THREE, LOWER_THREE = 0xFFF000FFF000, 0x000FFF000FFF

UNSOLVED = 200
"""A value below tells the number of moves to the end, lost where it is even, won where it is odd. From here on nobody
is known to win, and as many moves as the difference are not known to lose. In the end these are the draws."""

CAPTURE, HOME, NEW, EMPTY = range(252, 256)
"""Values of other places of the table: ends, see above; not played on from yet; without a position."""

BUCKETS = 28
"""Binary logarithm of the places in the table of positions."""

STEP = 1 << 22
"""Places, or positions, of a step between two reports."""


def _targets() -> np.ndarray:
    """[kind, cell, 8] int8: cells that a piece on a cell reaches; -1 behind the last."""
    targets = np.full((HEN + 1, CELLS, 8), -1, np.int8)
    for kind in range(1, HEN + 1):
        for cell in range(CELLS):
            ends = [RULES.moves.lines[cell, d, 0] for d in range(8) if RULES.moves.near[kind] >> d & 1]
            ends = [end for end in ends if end >= 0]
            targets[kind, cell, : len(ends)] = ends
    return targets


TARGETS = _targets()


def _origins() -> np.ndarray:
    """[kind, cell, 9] int8: where a piece that moved to a cell came from, plus 16 times its kind there; then -1."""
    origins = np.full((HEN + 1, CELLS, 9), -1, np.int8)
    for kind in range(1, HEN + 1):
        for cell in range(CELLS):
            found = []
            for before in range(1, HEN + 1):
                after = HEN if before == CHICK and cell < COLUMNS else before
                if after == kind:
                    found += [start + 16 * before for start in range(CELLS) if cell in TARGETS[before, start]]
            origins[kind, cell, : len(found)] = found
    return origins


def _reaches() -> np.ndarray:
    """[kind, cell, cell] bool: whether a piece on the first cell reaches the second one."""
    reaches = np.zeros((HEN + 1, CELLS, CELLS), np.bool_)
    for kind in range(1, HEN + 1):
        for cell in range(CELLS):
            ends = TARGETS[kind, cell]
            reaches[kind, cell, ends[ends >= 0]] = True
    return reaches


REACHES, ORIGINS, NEIGHBOURS = _reaches(), _origins(), TARGETS[LION].copy()


def packed(cells: np.ndarray) -> int:
    """The key of a position of the game's pool: its board by cell, then both hands."""
    key = 0
    for cell, piece in enumerate(cells[:CELLS].tolist()):
        key |= (piece if piece >= 0 else THEIRS - piece) << 4 * cell
    for kind, number in enumerate(cells[CELLS : CELLS + 2 * HANDS].tolist()):
        key |= number << OWN_HAND + 2 * kind
    return int(canonical(key))


@njit(cache=True)
def canonical(key):  # type: ignore[no-untyped-def]
    """The smaller of a key and that of its mirror image."""
    middle = key & ~(LEFT_COLUMN | LEFT_COLUMN << 8)
    return min(key, middle | (key & LEFT_COLUMN) << 8 | key >> 8 & LEFT_COLUMN)


@njit(cache=True)
def turned(key):  # type: ignore[no-untyped-def]
    """The position as the other player sees it, up to its mirror image: the rows are in the other order."""
    board = key & BOARD
    board = board >> 24 | (board & LAST_SIX) << 24
    board = (board & UPPER_THREE) >> 12 | (board & LOWER_THREE) << 12
    pieces = (board | board >> 1 | board >> 2) & ONES
    return board ^ pieces << 3 | (key >> OWN_HAND & 63) << THEIR_HAND | key >> THEIR_HAND << OWN_HAND


@njit(cache=True)
def piece_at(key, cell):  # type: ignore[no-untyped-def]
    return key >> 4 * cell & 15


@njit(cache=True)
def lion_of(key, lion):  # type: ignore[no-untyped-def]
    """The cell of a lion, LION or THEIRS + LION."""
    cell = 0
    while piece_at(key, cell) != lion:
        cell += 1
    return cell


@njit(cache=True)
def is_attacked(key, cell):  # type: ignore[no-untyped-def]
    """Whether the opponent could capture on a cell."""
    for near in NEIGHBOURS[cell]:
        if near < 0:
            break
        piece = piece_at(key, near)
        if piece > THEIRS and REACHES[piece - THEIRS, CELLS - 1 - near, CELLS - 1 - cell]:
            return True
    return False


@njit(cache=True)
def attackers_of(key, cell):  # type: ignore[no-untyped-def]
    """How many pieces of the player to move could capture on a cell, and the cell of the last one, or -1."""
    count, last = 0, -1
    for near in NEIGHBOURS[cell]:
        if near < 0:
            break
        piece = piece_at(key, near)
        if 0 < piece < THEIRS and REACHES[piece, near, cell]:
            count, last = count + 1, np.int64(near)
    return count, last


@njit(cache=True)
def kind_after(key, lion):  # type: ignore[no-untyped-def]
    """What a move led to, seen by who made it and has the lion there: CAPTURE, HOME, or NEW for neither."""
    if is_attacked(key, lion):
        return CAPTURE
    return HOME if lion < COLUMNS else NEW


@njit(cache=True)
def kind_of(key):  # type: ignore[no-untyped-def]
    """The same, seen by the player to move then."""
    key = turned(key)
    return kind_after(key, lion_of(key, LION))


@njit(cache=True)
def add(keys, count, key):  # type: ignore[no-untyped-def]
    """Append a key unless it is among the first `count`; returns their number then."""
    for i in range(count):
        if keys[i] == key:
            return count
    keys[count] = key
    return count + 1


@njit(cache=True)
def children(key, keys, kinds):  # type: ignore[no-untyped-def]
    """Write the different positions after one move, and what they are. Returns their number.

    The player to move cannot capture the lion.
    """
    count, own_lion = 0, lion_of(key, LION)
    for start in range(CELLS):
        piece = piece_at(key, start)
        if piece == 0 or piece > THEIRS:
            continue
        for end in TARGETS[piece, start]:
            if end < 0:
                break
            victim = piece_at(key, end)
            if victim == 0 or victim > THEIRS:
                after = HEN if piece == CHICK and end < COLUMNS else piece
                child = (key & ~(15 << 4 * start | 15 << 4 * end)) | after << 4 * end
                if victim:
                    child += 1 << OWN_HAND + 2 * RULES.held[victim - THEIRS]
                lion = end if piece == LION else own_lion
                kinds[count] = kind_after(child, lion)
                count = add(keys, count, canonical(turned(child)))
    for held in range(HANDS):
        if key >> OWN_HAND + 2 * held & 3:
            for end in range(CELLS):
                if piece_at(key, end) == 0:
                    child = (key - (1 << OWN_HAND + 2 * held)) | (held + 1) << 4 * end
                    kinds[count] = kind_after(child, own_lion)
                    count = add(keys, count, canonical(turned(child)))
    return count


@njit(cache=True)
def parents(key, keys):  # type: ignore[no-untyped-def]
    """Write the different positions that one move leads from to this one, and others that cannot come up.

    Leaves out those where the lion could be captured instead. Returns their number.
    """
    here, count = turned(key), 0  # as who made the move sees it
    lion = lion_of(here, THEIRS + LION)
    attackers, attacker = attackers_of(here, lion)
    if attackers > 1:
        return 0
    for end in range(CELLS):
        piece = piece_at(here, end)
        if piece == 0 or piece > THEIRS or (attackers == 1 and end != attacker):
            continue
        without = here & ~(15 << 4 * end)
        if piece <= HANDS:
            count = add(keys, count, canonical(without + (1 << OWN_HAND + 2 * (piece - 1))))
        for origin in ORIGINS[piece, end]:
            if origin < 0:
                break
            start, before = np.int64(origin & 15), np.int64(origin >> 4)
            if piece_at(here, start) or REACHES[before, start, lion]:
                continue
            parent = without | before << 4 * start
            count = add(keys, count, canonical(parent))
            for held in range(HANDS):
                if here >> OWN_HAND + 2 * held & 3:
                    captured = parent - (1 << OWN_HAND + 2 * held)
                    count = add(keys, count, canonical(captured | (THEIRS + held + 1) << 4 * end))
                    if held + 1 == CHICK:
                        count = add(keys, count, canonical(captured | (THEIRS + HEN) << 4 * end))
    return count


@njit(cache=True)
def first_place(keys, key):  # type: ignore[no-untyped-def]
    """Where to look first for a key in the table."""
    return (key * -7046029254386353131 >> 34) & keys.shape[0] - 1  # these bits depend on the whole key


@njit(cache=True)
def place_of(keys, key):  # type: ignore[no-untyped-def]
    """The place of a key in the table, or the empty one where it belongs."""
    place = first_place(keys, key)
    while keys[place] != key and keys[place] != 0:
        place = (place + 1) & keys.shape[0] - 1
    return place


@njit(cache=True)
def play_on(keys, values, first, last, with_ends, room):  # type: ignore[no-untyped-def]
    """Play on from the NEW positions at places from `first` to `last`, while `room` places more may be filled.

    Positions not played on from are added only `with_ends`. Returns the number of positions found.
    """
    after, kinds, found = np.empty(MOST, np.int64), np.empty(MOST, np.uint8), 0
    for place in range(first, last):
        if found + MOST > room:
            break
        if values[place] != NEW:
            continue
        count, open_moves, wins = children(keys[place], after, kinds), 0, False
        for i in range(count):
            if with_ends or kinds[i] == NEW:
                there = place_of(keys, after[i])
                if keys[there] == 0:
                    keys[there], values[there] = after[i], kinds[i]
                    found += 1
            open_moves += kinds[i] == NEW
            wins |= kinds[i] == HOME
        values[place] = 1 if wins else UNSOLVED + open_moves if open_moves else 2 if count else 0
    return found


@njit(cache=True)
def first_solved(values, queue):  # type: ignore[no-untyped-def]
    """Put the places of the positions that are solved into the queue, nearest ends first. Returns their number."""
    count = 0
    for value in range(3):
        for place in range(values.shape[0]):
            if values[place] == value:
                queue[count] = place
                count += 1
    return count


@njit(cache=True)
def go_back(keys, values, queue, head, tail, most):  # type: ignore[no-untyped-def]
    """Tell the positions before up to `most` of the queue what follows. Returns where it begins and ends then."""
    before, is_used = np.empty(MOST, np.int64), np.empty(MOST, np.bool_)
    for _ in range(min(most, tail - head)):
        value, count = values[queue[head]], parents(keys[queue[head]], before)
        for i in range(count):  # memory answers many questions at a time; most of the answers are no
            is_used[i] = keys[first_place(keys, before[i])] != 0
        for i in range(count):
            if not is_used[i]:
                continue
            place = place_of(keys, before[i])
            if UNSOLVED < values[place] < CAPTURE:
                values[place] -= value & 1
                if value & 1 == 0 or values[place] == UNSOLVED:
                    values[place] = value + 1
                    queue[tail] = place
                    tail += 1
        head += 1
    return head, tail


class Table:
    """Positions by key, and their values, in a table with open addressing of 2 ** `buckets` places."""

    def __init__(self, start: int, buckets: int = BUCKETS) -> None:
        """A table with the one position of the key `start`."""
        self.keys, self.values = np.full(1 << buckets, 0, np.int64), np.full(1 << buckets, EMPTY, np.uint8)
        place = place_of(self.keys, start)
        self.keys[place], self.values[place] = start, NEW

    def find(self, with_ends: bool = False) -> Iterator[int]:
        """Find all positions, in steps; yields the number found so far. Raises MemoryError where they are too many."""
        places, count, before = len(self.keys), 1, 0
        while count > before:
            before = count
            for first in range(0, places, STEP):
                room = places * 4 // 5 - count
                count += play_on(self.keys, self.values, first, min(first + STEP, places), with_ends, room)
                if room < MOST:
                    raise MemoryError("the table is too small for so many positions")
                yield count

    def solve(self) -> Iterator[tuple[int, int]]:
        """Solve the positions, in steps; yields the number solved so far, and the moves to the end of the last ones."""
        queue = np.empty(np.count_nonzero(self.values < CAPTURE), np.int32)
        head, tail = 0, first_solved(self.values, queue)
        while head < tail:
            head, tail = go_back(self.keys, self.values, queue, head, tail, STEP)
            yield tail, int(self.values[queue[tail - 1]])


def start_key() -> int:
    """The key of the first position."""
    pool = AnimalShogi().new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    return packed(pool._rows.position[0])


def run(folder: Path, start: int, with_ends: bool, buckets: int) -> None:
    """Make the table of what can come up from the key `start`, and write it."""
    table = Table(start, buckets)
    for step, count in enumerate(table.find(with_ends)):
        if step % 32 == 0:
            report(f"{count:,} positions found")
    for kind, what in ((CAPTURE, "the lion can be captured"), (HOME, "the opponent's lion has come home")):
        if with_ends:
            report(f"{np.count_nonzero(table.values == kind):,} positions where {what}")
    report(f"{np.count_nonzero(table.values < CAPTURE):,} positions to be solved, {count:,} in all")
    solve(folder, table, start)


def solve(folder: Path, table: Table, start: int) -> None:
    """Solve what is in the table, and write it."""
    for step, (solved, value) in enumerate(table.solve()):
        if step % 4 == 0:
            report(f"{solved:,} positions solved, the last ones end in {value} moves")
    report(f"the first position ends in {table.values[place_of(table.keys, start)]} moves")
    is_kept = table.values < CAPTURE
    keys, values = table.keys[is_kept], table.values[is_kept]
    del table, is_kept
    order = np.argsort(keys)
    keys, values = keys[order], values[order]
    for value, number in enumerate(np.bincount(values)[:UNSOLVED].tolist()):
        if number:
            report(f"{number:,} positions end in {value} moves")
    is_solved, is_odd = values < UNSOLVED, values % 2 == 1
    sizes = [np.count_nonzero(chosen) for chosen in (is_solved & is_odd, is_solved & ~is_odd, ~is_solved)]
    report("{:,} won, {:,} lost, {:,} drawn".format(*sizes))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "keys.npy", keys)
    np.save(folder / "values.npy", values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--ends", action="store_true", help="count the ends too, with 7 GB of memory")
    arguments = parser.parse_args()
    run(arguments.out, start_key(), arguments.ends, BUCKETS + arguments.ends)


def report(text: str) -> None:
    print(f"{time.process_time():,.0f} s: {text}", flush=True)


if __name__ == "__main__":
    main()
