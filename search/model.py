"""What the search asks of a model of the world, and the model that is the game itself.

A model holds positions in numbered *slots*, and steps and evaluates many slots in one call. A `Search` decides how many
slots there are: slot `b * N + n` holds node n of tree b. Three of the calls are those of MuZero (Schrittwieser et al.
2020): `load` is its representation h, `step` its dynamics g, `evaluate` its prediction f. `SimulatorModel` implements
them with the rules of a game and an `Evaluator`; a learned model implements them with latents. What a slot holds is
known to the model alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from games import Game, StatePool
from search.evaluators import Evaluation, EvaluationCounts, Evaluator

POSITION_BYTES = 100
"""Memory of a position in the pool of a game, about."""


@dataclass(frozen=True)
class ModelTraits:
    """What a search has to know of a model before it builds its trees.

    The defaults are those of a learned model: no chance nodes, returns of any size, ends that are not recognised.
    """

    name: str
    """The world's name, for messages."""
    num_players: int
    """P: rewards and values have one number for each player."""
    num_actions: int
    """A: actions are numbers in `range(A)`."""
    max_chance_outcomes: int = 0
    """The most outcomes of a chance node; 0 for a model without chance nodes."""
    has_codes: bool = False
    """True where outcomes of chance nodes are codes of the model, which mean nothing to the game."""
    max_return: float = math.inf
    """1 where every return lies in [-1, 1]; infinite where no bound is known. Without a bound, the search rescales
    values by the least and the greatest one in the tree (MuZero, equation 5)."""
    can_prove: bool = False
    """True where `step` recognises the ends of the game. Only then can the search prove values."""
    can_reuse: bool = False
    """True where a position that steps have led to is as good as one that was loaded, and `copy` works. Only then can
    the search keep a subtree for the next move."""
    slot_bytes: int = POSITION_BYTES
    """Memory of a slot, about."""

    @staticmethod
    def of_game(game: Game) -> ModelTraits:
        """The traits of the game itself."""
        return ModelTraits(
            name=game.name,
            num_players=game.num_players,
            num_actions=game.num_actions,
            max_chance_outcomes=game.max_chance_outcomes,
            max_return=math.inf if game.has_rewards else 1.0,
            can_prove=True,
            can_reuse=True,
        )


class Model(Protocol):
    """The world, for a search. `slots`, `src` and `dst` are int64 `[n]`."""

    traits: ModelTraits

    def allocate(self, num_slots: int) -> None:
        """Make room for `num_slots` positions. The search that uses the model calls this once, before anything else."""
        ...

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        """Put real positions into slots; returns `to_play` int64 [n].

        `seeds` uint64 [n] decide what a model draws there and in all positions that steps lead to; None: the same
        everywhere.
        """
        ...

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play `actions` (or outcomes) in `src`, results in `dst`: `to_play` int64 [n], `rewards` float64 [n, P].

        `to_play` is a player, `games.CHANCE` or `games.TERMINAL`.
        """
        ...

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Outcomes of chance nodes: `offsets` [n + 1], `outcomes` [K], `probabilities` [K]."""
        ...

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        """Actions, logits and values of positions where a player moves.

        Every row has one action at least. A loaded position lists its legal actions, and no others.
        """
        ...

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Copy positions, one after the other in the order given."""
        ...

    def collect_unsound(self) -> None:
        """From now on, keep faults of the game for `take_unsound`. Until then they raise UnsoundError.

        Nothing happens in a model that does not ask the game.
        """
        ...

    def take_unsound(self) -> dict[int, str]:
        """Slots in which the game answered what no game may answer, with a line each, since the last call."""
        ...


class ModelFactory(Protocol):
    """Makes the models of one world, all with the same judgement of positions: one for each search."""

    traits: ModelTraits
    """The traits of every model that it makes."""

    def make_model(self) -> Model:
        """A model without slots."""
        ...

    def take_counts(self) -> EvaluationCounts:
        """What the evaluations of all models cost since the last call."""
        ...

    def weights_changed(self) -> None:
        """The network has new weights: forget the evaluations of the old ones."""
        ...


class SimulatorModel:
    """The game itself, with an evaluator at the leaves (AlphaZero, and plain MCTS)."""

    pool: StatePool
    """The positions by slot; there are none before `allocate`."""

    def __init__(self, game: Game, evaluator: Evaluator) -> None:
        self.traits = ModelTraits.of_game(game)
        self._game, self._evaluator = game, evaluator

    def allocate(self, num_slots: int) -> None:
        """See `Model.allocate`."""
        self.pool = self._game.new_pool(num_slots)

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Model.load`. Nothing is drawn."""
        self.pool.load(slots, pool, pool_slots)
        to_play = self.pool.to_play(slots)
        if self.pool.unsound:  # their trees go on until `take_unsound` is called
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
        return self._evaluator.evaluate(self.pool, slots)

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """See `StatePool.copy`."""
        self.pool.copy(src, dst)

    def collect_unsound(self) -> None:
        """See `Model.collect_unsound`."""
        self.pool.unsound = {}

    def take_unsound(self) -> dict[int, str]:
        """See `Model.take_unsound`."""
        if not self.pool.unsound:
            return {}
        unsound, self.pool.unsound = self.pool.unsound, {}
        return unsound


class SimulatorFactory:
    """Makes models that are the game itself and share one evaluator."""

    def __init__(self, game: Game, evaluator: Evaluator) -> None:
        self.traits = ModelTraits.of_game(game)
        self._game, self._evaluator = game, evaluator

    def make_model(self) -> SimulatorModel:
        """See `ModelFactory.make_model`."""
        return SimulatorModel(self._game, self._evaluator)

    def take_counts(self) -> EvaluationCounts:
        """See `ModelFactory.take_counts`."""
        return self._evaluator.take_counts()

    def weights_changed(self) -> None:
        """See `ModelFactory.weights_changed`."""
        self._evaluator.weights_changed()
