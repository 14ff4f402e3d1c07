"""Positions of Hex with the exact value of every move, as `selfplay evaluate --positions` reads them.

    python benchmarks/label_hex.py --positions 500 --seed 1 > benchmarks/data/hex_5x5_positions.jsonl

Random games, in which a player takes a move that wins at once; a position is kept where at most half of the legal moves
keep its value. Solved by depth-first search over bitboards with a table of positions; one side has won as soon as the
other could not join its edges with all empty cells.
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
LEAST_STONES, MOST_STONES = 2, 16

_ALL = (1 << CELLS) - 1
_ROW = (1 << SIZE) - 1
_LEFT = sum(1 << (row * SIZE) for row in range(SIZE))
_RIGHT = _LEFT << (SIZE - 1)
_TOP, _BOTTOM = _ROW, _ROW << (CELLS - SIZE)
_ORDER = np.array(sorted(range(CELLS), key=lambda cell: abs(cell // SIZE - 2) + abs(cell % SIZE - 2)))
"""Cells from the middle outwards: the order in which moves are tried."""


@njit(cache=True)
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


@njit(cache=True)
def _mover_wins(x, o, x_moves, keys, values):  # type: ignore[no-untyped-def]
    """Whether the player to move wins; x joins top and bottom, o left and right. No side has won yet."""
    key = x | (o << CELLS)
    row = (key * 0x9E3779B97F4A7C1) >> 17 & ((1 << TABLE_BITS) - 1)
    if keys[row] == key:
        return values[row]
    empty = _ALL & ~(x | o)
    wins = False
    for cell in _ORDER:
        move = 1 << cell
        if not empty & move:
            continue
        after_x, after_o = (x | move, o) if x_moves else (x, o | move)
        if x_moves:
            over = not _joined(_ALL & ~after_x, _LEFT, _RIGHT)
        else:
            over = not _joined(_ALL & ~after_o, _TOP, _BOTTOM)
        if over or not _mover_wins(after_x, after_o, not x_moves, keys, values):
            wins = True
            break
    keys[row], values[row] = key, wins
    return wins


class Solver:
    """Exact values of positions; remembers what it has seen."""

    def __init__(self) -> None:
        self._keys = np.full(1 << TABLE_BITS, -1, np.int64)
        self._values = np.zeros(1 << TABLE_BITS, np.bool_)

    def is_over(self, x: int, o: int) -> bool:
        """Whether a side has joined its edges."""
        return not _joined(_ALL & ~x, _LEFT, _RIGHT) or not _joined(_ALL & ~o, _TOP, _BOTTOM)

    def move_values(self, moves: list[int]) -> dict[int, int]:
        """1 or -1 for the player to move, for every legal move after `moves`. Nobody may have won."""
        x, o = sides(moves)
        x_moves = len(moves) % 2 == 0
        found = {}
        for cell in range(CELLS):
            move = 1 << cell
            if (x | o) & move:
                continue
            after = (x | move, o) if x_moves else (x, o | move)
            wins = self.is_over(*after) or not _mover_wins(*after, not x_moves, self._keys, self._values)
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
