"""A player that knows the value of every move (`games.solvers.solving`) and plays one of the best, drawn at random."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

import games
from games import StatePool
from games.solvers.solving import Solver, make_solver
from selfplay.players.player import Analysis, MoveAnalysis


@functools.lru_cache(maxsize=4)
def shared_solver(game: str) -> Solver:
    """The solver of a game, one for all players of the process: its table of solved positions is costly to fill."""
    return make_solver(games.load(game))


class SolverPlayer:
    """Perfect play. Where all moves have the same value they are all as good to it: it lays no traps."""

    def __init__(self, name: str, solver: Solver, seed: int) -> None:
        self.name = name
        self._solver = solver
        self._rng = np.random.default_rng(seed)

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """See `Player.choose`."""
        return np.array([self._choose(pool, slot) for slot in slots.tolist()], np.int64)

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """See `Analyst.analyse`."""
        values, best = self._solver.move_values(pool, slot), self._solver.best_moves(pool, slot)
        moves = tuple(
            MoveAnalysis(move, pool.action_text(slot, move), visits=0, q=values[move], prior=(move in best) / len(best))
            for move in sorted(values, key=lambda move: -values[move])
        )
        return Analysis(int(self._rng.choice(best)), moves[0].q, moves)

    def close(self) -> None:
        """Nothing to free."""

    def _choose(self, pool: StatePool, slot: int) -> int:
        return int(self._rng.choice(self._solver.best_moves(pool, slot)))
