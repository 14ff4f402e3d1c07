"""What the search asks of a model of the world, and the model that is the game itself.

A model steps and evaluates *slots* in batches; slot `b * N + n` is node n of tree b. The three calls are those of
MuZero (Schrittwieser et al. 2020): `load` is its representation h, `step` its dynamics g, `evaluate` its prediction f.
`SimulatorModel` implements them with the rules of a game and an `Evaluator`; a learned model implements them with
latents.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from games import Game, StatePool
from search.evaluators import Evaluation, Evaluator


class Model(Protocol):
    """The world as the search sees it. `slots` are int64 `[n]`."""

    game: Game

    def load(self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray) -> np.ndarray:
        """Put real positions into slots; returns `to_play` [n]."""
        ...

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play `actions` (or outcomes) in `src`, results in `dst`: `to_play` int64 [n], `rewards` float64 [n, P]."""
        ...

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Outcomes of chance nodes: `offsets` [n + 1], `outcomes` [K], `probabilities` [K]."""
        ...

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        """Legal actions, logits and values of positions where a player moves."""
        ...

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Move positions, one after the other in the order given."""
        ...


class SimulatorModel:
    """The game itself, with an evaluator at the leaves (AlphaZero, and plain MCTS)."""

    def __init__(self, game: Game, evaluator: Evaluator, capacity: int) -> None:
        """`capacity`: positions to hold, `slots_needed` of the search that will use it."""
        self.game = game
        self.evaluator = evaluator
        self.pool = game.new_pool(capacity)

    def take_unsound(self) -> dict[int, str]:
        """Slots whose game said what no game may say since the last call, with a line each. The first call asks for
        that: until then the pool raises UnsoundError."""
        found, self.pool.unsound = self.pool.unsound or {}, {}
        return found

    def load(self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray) -> np.ndarray:
        """Copy real positions into slots; returns `to_play` [n]."""
        self.pool.load(slots, pool, pool_slots)
        to_play = self.pool.to_play(slots)
        if self.pool.unsound:  # their trees go on until `take_unsound` is asked
            to_play[np.isin(slots, list(self.pool.unsound))] = 0
        return to_play

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rules: see `StatePool.step`."""
        return self.pool.step(src, actions, dst)

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `StatePool.chance`."""
        return self.pool.chance(slots)

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        """See `Evaluator.evaluate`."""
        return self.evaluator.evaluate(self.pool, slots)

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """See `StatePool.copy`."""
        self.pool.copy(src, dst)
