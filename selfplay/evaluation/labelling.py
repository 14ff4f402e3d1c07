"""Positions of random games with the exact value of every move, for `selfplay evaluate`.

Positions are drawn here and solved in several processes; the result depends on the seed alone. A random game has
random moves only, so it has positions of all kinds, also those that no good player would reach.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

import games
from games import Game
from games.solvers.solving import ScoringSolver, Solver, make_solver
from selfplay.errors import UserError
from selfplay.evaluation.labelled import set_up
from selfplay.evaluation.openings import Opening, play_random
from selfplay.system.workers import process_pool

BATCH = 64
"""Number of positions drawn together."""

MAX_BARREN_BATCHES = 100
"""Number of batches in a row without a new position that end the search."""

HARD_SHARE = 0.5
"""A position is hard where at most this share of the legal moves keeps the value."""


@dataclass(frozen=True)
class Wanted:
    """Which positions to label, and how many."""

    game: str
    num_positions: int
    min_plies: int
    max_plies: int
    """Random moves before a position, drawn evenly from `min_plies` to `max_plies`."""
    hard: bool = False
    """Keep only positions where at most `HARD_SHARE` of the moves keep the value."""
    scores: bool = False
    """Give every move a score too, which tells how soon it wins or loses, where the solver knows."""
    seed: int = 0


def label_positions(wanted: Wanted, processes: int) -> Iterator[dict[str, Any]]:
    """The labelled positions, different from each other, one by one.

    Raises UserError where the game cannot be solved or has too few such positions.
    """
    game = games.load(wanted.game)
    solver = make_solver(game)
    if wanted.scores and not isinstance(solver, ScoringSolver):
        raise UserError(f"--scores: only Connect Four has them, not {game.name}")
    if processes == 1:
        yield from _kept(wanted, map(_Labeller(wanted.game, wanted.scores, solver), _drawn(wanted, game)))
        return
    del solver
    with process_pool(processes, _prepare, wanted.game, wanted.scores) as pool:
        yield from _kept(wanted, _in_order(pool, _drawn(wanted, game), 8 * processes))


class _Labeller:
    """Turns the moves to a position into its label, a line of the file."""

    def __init__(self, name: str, scores: bool, solver: Solver | None = None) -> None:
        self.game, self.scores = games.load(name), scores
        self.solver = solver or make_solver(self.game)
        self.pool = self.game.new_pool(1)

    def __call__(self, moves: Opening) -> dict[str, Any]:
        set_up(self.pool, 0, moves)
        label: dict[str, Any] = {"game": self.game.name, "moves": list(moves)}
        label["values"] = {str(move): value for move, value in self.solver.move_values(self.pool, 0).items()}
        if self.scores:
            assert isinstance(self.solver, ScoringSolver)
            scores = self.solver.move_scores(self.pool, 0)
            label["scores"] = {str(move): score for move, score in scores.items()}
        return label


_labeller: _Labeller
"""The labeller of this process, a worker."""


def _prepare(name: str, scores: bool) -> None:
    global _labeller
    _labeller = _Labeller(name, scores)


def _label(moves: Opening) -> dict[str, Any]:
    return _labeller(moves)


def _in_order(pool: ProcessPoolExecutor, drawn: Iterator[Opening], ahead: int) -> Iterator[dict[str, Any]]:
    """The labels of what is drawn, in its order, with at most `ahead` positions asked for and not taken."""
    waiting: deque[Future[dict[str, Any]]] = deque()
    for moves in drawn:
        waiting.append(pool.submit(_label, moves))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def _drawn(wanted: Wanted, game: Game) -> Iterator[Opening]:
    """Positions of random games in which a player is to move, none twice, until no new ones are found."""
    rng, pool = np.random.default_rng(wanted.seed), game.new_pool(BATCH)
    observations = np.empty((BATCH, *game.observation_shape), np.float32)
    drawn: set[bytes] = set()
    barren = 0
    while barren < MAX_BARREN_BATCHES:
        plies = rng.integers(wanted.min_plies, wanted.max_plies, size=BATCH, endpoint=True)
        slots, moves = play_random(pool, plies, rng)
        pool.observe(slots, observations[: len(slots)])
        barren += 1
        for i, slot in enumerate(slots):
            key = observations[i].tobytes()
            if key not in drawn:
                drawn.add(key)
                barren = 0
                yield tuple(moves[slot])


def _kept(wanted: Wanted, labels: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As many labels as wanted of those that are wanted. Raises UserError where there are fewer."""
    kept = 0
    for label in labels:
        values = label["values"].values()
        best = max(values)
        if wanted.hard and sum(value == best for value in values) > HARD_SHARE * len(values):
            continue
        kept += 1
        yield label
        if kept == wanted.num_positions:
            return
    raise UserError(
        f"label: random games of {wanted.game} with {wanted.min_plies} to {wanted.max_plies} moves gave only {kept}"
        " such positions; ask for fewer, or for other plies"
    )
