"""Exact values in animal shogi, as far as a forced end is near: proofs of wins and losses, deeper and deeper.

A proof is a tree in which one player wins by the capture of the lion, by its arrival or because the other cannot move,
whatever that one plays, within a number of moves. Shortest proofs repeat no position. So they hold in a game where no
position has occurred twice before; there, no third occurrence can come up on the way. Draws are not proven, and
neither is what takes longer: `move_values` raises `UnsolvedError` then.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, GameError, StatePool
from games.native.animal_shogi import AnimalShogi
from games.native.pieces import GOES_ON, LOSS, MAX_PLIES, WIN, copy_row
from games.native.shogi import ShogiPool, advance, legal_actions
from games.solvers.unsolved import UnsolvedError

DEPTH = 10
"""Largest number of moves of a proof, the first one included, unless given."""

TABLE_ENTRIES = 1 << 22
"""Positions that are remembered, 16 bytes each; a power of two."""

MOST_ACTIONS = 132


class AnimalShogiSolver:
    """Proves wins and losses of moves; remembers them from one position to the next."""

    def __init__(self, game: Game, depth: int = DEPTH) -> None:
        """Raises GameError for other games."""
        if not self.supports(game):
            raise GameError(f"{game.name}: this solver is for animal shogi")
        self.depth = depth
        self._pool = ShogiPool(game, depth + 2)  # type: ignore[arg-type]  # a row for each move of a proof
        self._keys = np.zeros(TABLE_ENTRIES, np.uint64)
        self._results = np.zeros(TABLE_ENTRIES, np.int16)

    @staticmethod
    def supports(game: Game) -> bool:
        """Whether the game is animal shogi."""
        return isinstance(game, AnimalShogi)

    def move_values(self, pool: StatePool, slot: int) -> dict[int, float]:
        """The return of the player to move, -1 or 1, after each legal move. Raises UnsolvedError unless all are proven.

        That is so too where a position of the game occurred twice, or where the limit of moves of the game is near.
        """
        here, own = np.zeros(1, np.int64), self._pool
        own.load(here, pool, np.array([slot]))
        ply = int(own._played[0])
        if int(own._to_play[0]) == TERMINAL:
            raise GameError("animal_shogi: the game is over, no move has a value")
        keys = own._rows.keys[0, : ply + 1]
        if len(set(keys[::2].tolist())) + len(set(keys[1::2].tolist())) <= ply or ply + self.depth >= MAX_PLIES:
            raise UnsolvedError(
                "animal_shogi: a position has occurred twice, or the game is nearly as long as it may be"
            )
        actions = pool.legal(np.array([slot]))[1].copy()
        values = np.zeros(len(actions), np.int64)
        for depth in range(1, self.depth + 1):
            _prove_moves(own._rows, own._rules, ply, actions, depth, self._keys, self._results, values)
            if values.all():
                return {action: float(value) for action, value in zip(actions.tolist(), values.tolist())}
        raise UnsolvedError(
            f"animal_shogi: {np.count_nonzero(values == 0)} moves are not decided in {self.depth} moves"
        )

    def best_moves(self, pool: StatePool, slot: int) -> list[int]:
        """The moves with the greatest value."""
        values = self.move_values(pool, slot)
        return [move for move, value in values.items() if value == max(values.values())]


@njit  # not kept on disk: Numba crashes where it loads a kernel that calls itself
def _prove_moves(rows, rules, ply, actions, depth, keys, results, values):  # type: ignore[no-untyped-def]
    """Values of the moves of row 0 that `depth` moves prove, in place; 0 where they do not."""
    packed, buffer = np.empty(MOST_ACTIONS, np.int64), np.empty((rows.words.shape[0], MOST_ACTIONS), np.int64)
    for i in range(actions.shape[0]):
        if values[i] == 0:
            copy_row(rows, 0, 1, ply)
            outcome = advance(rows, 1, rules, ply, actions[i], packed)
            if outcome == GOES_ON:
                values[i] = -_prove(rows, rules, 1, ply + 1, depth - 1, keys, results, packed, buffer)
            elif outcome == WIN or outcome == LOSS:
                values[i] = outcome


@njit  # not kept on disk: Numba crashes where it loads a kernel that calls itself
def _prove(rows, rules, row, ply, depth, keys, results, packed, buffer):  # type: ignore[no-untyped-def]
    """1 or -1 where the player to move in a row is proven to win or to lose in `depth` moves; else 0."""
    if depth == 0:
        return 0
    key = rows.keys[row, ply] ^ (np.uint64(ply & 1) << np.uint64(63))
    place = np.int64((key >> np.uint64(8)) & np.uint64(keys.shape[0] - 1))
    known = results[place]
    if keys[place] == key:
        if known < 0:
            return 1 if known == -1 else -1
        if known >= depth:
            return 0
    actions = buffer[row]
    count = legal_actions(rows.position[row], rows.info[row], rules, packed, actions, 0)
    result = -1
    for i in range(count):
        copy_row(rows, row, row + 1, ply)
        outcome = advance(rows, row + 1, rules, ply, actions[i], packed)
        if outcome == WIN:
            result = 1
            break
        if outcome == GOES_ON:
            result = 0  # for now: there is a move that does not lose at once
            actions[i] = -1 - actions[i]
        elif outcome != LOSS:
            result, actions[i] = 0, MOST_ACTIONS
    if result == 0:
        result = -1
        for i in range(count):
            if actions[i] == MOST_ACTIONS:
                result = 0
            elif actions[i] < 0:
                copy_row(rows, row, row + 1, ply)
                advance(rows, row + 1, rules, ply, -1 - actions[i], packed)
                value = -_prove(rows, rules, row + 1, ply + 1, depth - 1, keys, results, packed, buffer)
                if value == 1:
                    result = 1
                    break
                if value == 0:
                    result = 0
    keys[place] = key
    results[place] = -1 if result == 1 else -2 if result == -1 else depth
    return result
