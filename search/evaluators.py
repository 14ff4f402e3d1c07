"""Values and priors of leaves: by a network (or any function), by random play, or without any knowledge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32

from games import Game, StatePool, Symmetry
from search.cache import Answers, EvaluationCache
from search.perspective import num_values, to_players

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`observations` float32 [n, *observation_shape] -> `policy_logits` float32 [n, A], `value` float32 [n, V] for the
player to move (V as in `search.perspective`)."""


class Evaluation(NamedTuple):
    """Actions to look at and their logits in compressed rows, and a value for every player.

    The actions are `StatePool.candidates`: the legal ones, less those that the game leaves out."""

    offsets: np.ndarray  # [n + 1] int64
    actions: np.ndarray  # [K] int64
    logits: np.ndarray  # [K] float32, any offset per row
    values: np.ndarray  # [n, P] float64


@dataclass
class EvaluationCounts:
    """What evaluations cost since the counts were last taken."""

    evaluations: int = 0
    """Positions that were evaluated, by the network or from the cache."""
    predictions: int = 0
    """Positions that the network evaluated."""
    network_calls: int = 0
    """Batches that the network evaluated."""
    network_seconds: float = 0.0
    """Time inside the network's calls."""
    cache_seconds: float = 0.0
    """Time inside the cache's calls."""


class Evaluator(Protocol):
    """Judges positions where a player is to move."""

    def evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """Evaluate the positions in `slots` [n]. The arrays are valid until the next call."""
        ...

    def take_counts(self) -> EvaluationCounts:
        """The counts so far, which start again at zero; all zero for an evaluator without a network."""
        return EvaluationCounts()

    def weights_changed(self) -> None:
        """Forget the evaluations of older weights. An evaluator without a network has none."""
        return


class ConstantEvaluator(Evaluator):
    """Every move equally likely, every value zero: what a search costs by itself, and the weakest baseline."""

    def __init__(self) -> None:
        self._logits = np.zeros(0, np.float32)
        self._values = np.zeros((0, 0))

    def evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """Zeros for the candidates."""
        offsets, actions = pool.candidates(slots)
        if len(actions) > len(self._logits):
            self._logits = np.zeros(2 * len(actions), np.float32)
        if self._values.shape != (len(slots), pool.game.num_players):
            self._values = np.zeros((len(slots), pool.game.num_players))
        return Evaluation(offsets, actions, self._logits[: len(actions)], self._values)


class RolloutEvaluator(Evaluator):
    """Every move equally likely, the value is the mean result of random games (plain MCTS)."""

    def __init__(self, rng: np.random.Generator, rollouts: int = 1) -> None:
        self.rng, self.rollouts = rng, rollouts

    def evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """One or more random games from each position."""
        offsets, actions = pool.candidates(slots)
        values = pool.rollout(slots, self.rng)
        for _ in range(self.rollouts - 1):
            values = values + pool.rollout(slots, self.rng)
        return Evaluation(offsets, actions, np.zeros(len(actions), np.float32), values / self.rollouts)


class NetworkEvaluator(Evaluator):
    """A function of the observation, asked in one batch for all positions that the cache does not know."""

    def __init__(
        self,
        game: Game,
        predict: Predict,
        cache_megabytes: int = 0,
        symmetries: Sequence[Symmetry] = (),
        symmetry_rng: np.random.Generator | None = None,
    ) -> None:
        """`predict` may be a network's inference object or a user's own function.

        With `symmetries`, an evaluation is the mean over the position and its mirror images, which costs a prediction
        for each of them. With `symmetry_rng` too, it is that of one of these, drawn at random (AlphaGo Zero).
        """
        self.game, self.predict, self.symmetries, self.symmetry_rng = game, predict, symmetries, symmetry_rng
        self.num_values = num_values(game)
        self.cache: EvaluationCache | None = None
        if cache_megabytes > 0:
            self.cache = EvaluationCache(cache_megabytes, game.num_actions, self.num_values)
        self._observations = np.zeros((0, *game.observation_shape), np.float32)
        self._counts = EvaluationCounts()

    def evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """Observe, look up, predict what is new."""
        n = len(slots)
        if n > len(self._observations):
            self._observations = np.zeros((n, *self.game.observation_shape), np.float32)
        observations = self._observations[:n]
        offsets, actions = pool.candidates(slots)
        pool.observe(slots, observations)
        answers = Answers.allocate(offsets, actions, self.num_values)
        self._counts.evaluations += n
        if self.cache is None:
            policy_logits, values = self._timed_predict(observations)
            rows = np.repeat(np.arange(n), np.diff(offsets))
            answers.logits[:] = policy_logits[rows, actions]
            answers.values[:] = values
        else:
            start = time.perf_counter()
            misses = self.cache.lookup(observations, answers)
            self._counts.cache_seconds += time.perf_counter() - start
            if len(misses):
                fresh = observations if len(misses) == n else np.ascontiguousarray(observations[misses])
                policy_logits, values = self._timed_predict(fresh)
                start = time.perf_counter()
                self.cache.store(policy_logits, values, answers)
                self._counts.cache_seconds += time.perf_counter() - start
        per_player = np.empty((n, self.game.num_players))
        to_players(answers.values, pool.to_play(slots), per_player)
        return Evaluation(offsets, actions, answers.logits, per_player)

    def take_counts(self) -> EvaluationCounts:
        """See `Evaluator.take_counts`."""
        counts, self._counts = self._counts, EvaluationCounts()
        return counts

    def weights_changed(self) -> None:
        """See `Evaluator.weights_changed`."""
        if self.cache is not None:
            self.cache.clear()

    def _timed_predict(
        self, observations: Float32[np.ndarray, "n *observation"]
    ) -> tuple[Float32[np.ndarray, "n A"], Float32[np.ndarray, "n V"]]:
        start = time.perf_counter()
        if self.symmetries and self.symmetry_rng:
            policy_logits, value = self._predict_one_of(observations, self.symmetry_rng)
        else:
            policy_logits, value = self.predict(observations)
            if self.symmetries:
                policy_logits, value = self._average(observations, policy_logits, value)
        self._counts.network_seconds += time.perf_counter() - start
        self._counts.network_calls += 1
        self._counts.predictions += len(observations)
        return policy_logits, value.reshape(len(observations), self.num_values)

    def _predict_one_of(self, observations: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The prediction for one image of each position, drawn at random, mirrored back."""
        drawn = rng.integers(0, 1 + len(self.symmetries), size=len(observations))  # 0 is the position itself
        images = observations.reshape(len(observations), -1).copy()
        for k, symmetry in enumerate(self.symmetries, start=1):
            rows = np.nonzero(drawn == k)[0]
            images[rows] = images[rows][:, symmetry.observation]
        output, value = self.predict(images.reshape(observations.shape))
        policy_logits = output.copy()  # a user's own function may want to keep its array
        for k, symmetry in enumerate(self.symmetries, start=1):
            rows = np.nonzero(drawn == k)[0]
            policy_logits[rows[:, None], symmetry.action] = output[rows]
        return policy_logits, value

    def _average(
        self, observations: np.ndarray, policy_logits: np.ndarray, value: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The mean of a prediction and those of the mirror images, mirrored back."""
        logits_sum, value_sum = policy_logits.copy(), value.copy()
        flat = observations.reshape(len(observations), -1)
        for symmetry in self.symmetries:
            mirrored = np.ascontiguousarray(flat[:, symmetry.observation]).reshape(observations.shape)
            mirrored_logits, mirrored_value = self.predict(mirrored)
            logits_sum[:, symmetry.action] += mirrored_logits  # entry i of the mirror image is the old entry action[i]
            value_sum += mirrored_value
        count = 1 + len(self.symmetries)
        return logits_sum / count, value_sum / count
