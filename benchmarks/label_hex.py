"""Positions of Hex with the exact value of every move, as `selfplay evaluate --positions` reads them.

    python benchmarks/label_hex.py --positions 500 --seed 1 > benchmarks/data/hex_5x5_positions.jsonl

Random games, in which a player takes a move that wins at once; a position is kept where at most half of the legal moves
keep its value. Solved by depth-first search over bitboards with a table of positions and must-play regions ("Solving
7x7 Hex: Virtual Connections and Game-State Reduction", Hayward et al. 2003): a win comes with the empty cells that it
needs, and a reply outside of them changes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
from numba import njit

from selfplay.commands.arguments import integer

SIZE = 5
CELLS = SIZE * SIZE
TABLE_BITS = 22
LEAST_STONES, MOST_STONES = 4, 16

_ALL = (1 << CELLS) - 1
_ROW = (1 << SIZE) - 1
_LEFT = sum(1 << (row * SIZE) for row in range(SIZE))
_RIGHT = _LEFT << (SIZE - 1)
_TOP, _BOTTOM = _ROW, _ROW << (CELLS - SIZE)
_ORDER = np.array(sorted(range(CELLS), key=lambda cell: abs(cell // SIZE - 2) + abs(cell % SIZE - 2)))
"""Cells from the middle outwards: the order in which moves are tried."""


@njit
def _joined(stones, start, goal):  # type: ignore[no-untyped-def]
    """Whether `stones` join the cells of `start` to those of `goal`: grow from the one until nothing is new."""
    reached = stones & start
    while True:
        left, right = reached & ~_LEFT, reached & ~_RIGHT
        grown = reached | (left >> 1) | (right << 1) | (reached >> SIZE) | (reached << SIZE)
        grown |= (right >> (SIZE - 1)) | (left << (SIZE - 1))
        grown &= stones & _ALL
        if grown == reached:
            return (reached & goal) != 0
        reached = grown


@njit
def _solve(own, other, x_moves, keys, wins, carriers):  # type: ignore[no-untyped-def]
    """Whether the player to move, with stones `own`, wins, and the empty cells that the winner needs for it.

    x joins top and bottom, o left and right. No side has won yet.
    """
    x, o = (own, other) if x_moves else (other, own)
    key = x | (o << CELLS)
    row = ((key * 0x9E3779B97F4A7C1) >> 17) & ((1 << TABLE_BITS) - 1)
    if keys[row] == key:
        return wins[row], carriers[row]
    start, goal = (_TOP, _BOTTOM) if x_moves else (_LEFT, _RIGHT)
    empty = _ALL & ~(x | o)
    won, carrier = False, 0
    for cell in _ORDER:
        move = 1 << cell
        if empty & move and _joined(own | move, start, goal):
            won, carrier = True, move
            break
    must_play = 0 if won else empty
    while must_play:
        move = _first_in_order(must_play)
        lost, needed = _solve(other, own | move, not x_moves, keys, wins, carriers)
        if not lost:
            won, carrier = True, move | needed
            break
        must_play &= needed & ~move
        carrier |= needed
    keys[row], wins[row], carriers[row] = key, won, carrier
    return won, carrier


@njit
def _first_in_order(cells):  # type: ignore[no-untyped-def]
    """The cell of `cells` nearest to the middle, as a bit."""
    for cell in _ORDER:
        if cells & (1 << cell):
            return 1 << cell
    return 0


class Solver:
    """Exact values of positions; remembers what it has seen."""

    def __init__(self) -> None:
        self._keys = np.full(1 << TABLE_BITS, -1, np.int64)
        self._wins = np.zeros(1 << TABLE_BITS, np.bool_)
        self._carriers = np.zeros(1 << TABLE_BITS, np.int64)

    def is_over(self, x: int, o: int) -> bool:
        """Whether a side has joined its edges."""
        return _joined(x, _TOP, _BOTTOM) or _joined(o, _LEFT, _RIGHT)

    def move_values(self, moves: list[int]) -> dict[int, int]:
        """1 or -1 for the player to move, for every legal move after `moves`. Nobody may have won."""
        x, o = sides(moves)
        x_moves = len(moves) % 2 == 0
        found = {}
        for cell in range(CELLS):
            move = 1 << cell
            if (x | o) & move:
                continue
            own, other = (x | move, o) if x_moves else (o | move, x)
            wins = self.is_over(*((own, other) if x_moves else (other, own)))
            if not wins:
                wins = not _solve(other, own, not x_moves, self._keys, self._wins, self._carriers)[0]
            found[cell] = 1 if wins else -1
        return found


def sides(moves: list[int]) -> tuple[int, int]:
    """The stones of both players after `moves`, as bits."""
    return sum(1 << move for move in moves[::2]), sum(1 << move for move in moves[1::2])


def random_position(rng: np.random.Generator, solver: Solver) -> list[int] | None:
    """The moves of a random game that is not over; None for one that ended too early."""
    moves: list[int] = []
    for _ in range(int(rng.integers(LEAST_STONES, MOST_STONES, endpoint=True))):
        moves.append(int(rng.choice([cell for cell in range(CELLS) if cell not in moves])))
        if solver.is_over(*sides(moves)):
            return None
    return moves


def main() -> int:
    """Print the positions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", metavar="N", type=integer(1, 10**6), default=500, help="(500)")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=1, help="of the random games (1)")
    arguments = parser.parse_args()
    rng, solver = np.random.default_rng(arguments.seed), Solver()
    made = 0
    while made < arguments.positions:
        moves = random_position(rng, solver)
        if moves is None:
            continue
        values = solver.move_values(moves)
        best = max(values.values())
        kept = sum(value == best for value in values.values())
        if best == 1 and 2 * kept <= len(values):
            label = {"game": "hex(board_size=5)", "moves": moves, "values": {str(k): v for k, v in values.items()}}
            print(json.dumps(label))
            made += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
