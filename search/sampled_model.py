"""A learned model of a game whose actions are real numbers: every node has a few actions that were sampled for it.

The tree knows numbers of actions, as ever. In each position a number is the place of one of K actions, which are drawn
from the policy that the network gives there. The policy is a normal distribution of D numbers u, and an action is
`tanh(u)` on the scale of its bounds, so that no action lies outside.

Source: Hubert et al. 2021, "Learning and planning in complex action spaces" (Sampled MuZero). Actions are drawn from
the policy itself, so its improvement among them begins with equal priors (Danihelka et al. 2022, section 6, says so
for Gumbel). At the roots of self-play some of them are drawn uniformly, in the place of the noise that other games have
in their priors. At the roots of players the first one is the middle of the policy.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from games import Game, StatePool
from search import random
from search.evaluators import EvaluationCounts
from search.kernels import kernel
from search.learned_model import LearnedModel, LearnedModelFactory, WorldFunctions
from search.model import ModelTraits

STREAM = np.uint64(0xD1B54A32D192ED03)
"""Sets the random numbers of a model apart from those of the trees, which have the same seeds."""


class SampledModel(LearnedModel):
    """Latents with sampled actions. See `search.model.Model`.

    The policy outputs of its network are 2 D numbers: the means of u, then the logarithms of its standard deviations.
    When a root is evaluated, the pool that it was loaded from is told what the numbers of actions stand for there.
    """

    def __init__(
        self,
        game: Game,
        world: WorldFunctions,
        traits: ModelTraits,
        width: int,
        counts: EvaluationCounts,
        uniform: int | None,
    ) -> None:
        """As `LearnedModel`. `uniform`: number of actions of a root that are drawn uniformly; None: as for players."""
        super().__init__(game, world, traits, width, counts)
        assert game.action_low is not None and game.action_high is not None
        self._low, self._high = game.action_low.astype(np.float64), game.action_high.astype(np.float64)
        self._uniform = uniform

    def allocate(self, num_slots: int) -> None:
        """See `Model.allocate`."""
        super().allocate(num_slots)
        self._sampled = np.zeros((num_slots, *self._game.sampled_shape), np.float32)
        self._streams = np.zeros(num_slots, np.uint64)
        self._origins: dict[int, tuple[StatePool, int]] = {}  # of roots that were loaded and not yet evaluated
        self._nodes.actions[:] = np.arange(self._width)

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Model.load`."""
        self._streams[slots] = STREAM if seeds is None else seeds ^ STREAM
        for slot, pool_slot in zip(slots.tolist(), pool_slots.tolist(), strict=True):
            self._origins[slot] = pool, pool_slot
        return super().load(slots, pool, pool_slots, seeds)

    def _meant(self, src: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The real numbers [n, D]."""
        return self._sampled[src, actions]

    def _list(self, outputs: np.ndarray, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> None:
        """Draw the actions of the nodes in `dst`; what they are depends on the way to them, and on no other tree."""
        branch(self._streams, src, actions, dst)
        draw(outputs, dst, 0, self._width, self._low, self._high, self._streams, self._sampled)
        self._nodes.num_actions[dst] = self._width
        self._nodes.logits[dst] = 0.0

    def _root_logits(self, outputs: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Draw the actions of the roots, and tell the pools; all are equally likely."""
        count = self.traits.num_actions
        from_policy = count - (self._uniform or 0)
        middle = 1 if self._uniform is None else 0
        draw(outputs, slots, middle, from_policy, self._low, self._high, self._streams, self._sampled)
        draw_uniformly(slots, from_policy, self._low, self._high, self._streams, self._sampled)
        for slot in slots.tolist():
            pool, pool_slot = self._origins.pop(slot)
            pool.set_sampled_actions(np.array([pool_slot]), self._sampled[slot : slot + 1])
        return np.zeros((len(slots), count), np.float32)


class SampledModelFactory(LearnedModelFactory):
    """Makes the models of one network, for a game whose actions are real numbers. See `search.model.ModelFactory`."""

    def __init__(self, game: Game, world: WorldFunctions, inner_actions: int, uniform: int | None) -> None:
        """`inner_actions`: how many actions a node below the root has, at most as many as the root. `uniform` as for
        `SampledModel`."""
        super().__init__(game, world, inner_actions)
        self.traits, self._uniform = sampled_traits(game, self.traits), uniform

    def make_model(self) -> SampledModel:
        """See `ModelFactory.make_model`."""
        return SampledModel(self._game, self._world, self.traits, self._width, self._counts, self._uniform)


def sampled_traits(game: Game, traits: ModelTraits) -> ModelTraits:
    """The traits of a learned model, with the memory of sampled actions; the same for a game without them."""
    return dataclasses.replace(traits, slot_bytes=traits.slot_bytes + 4 * math.prod(game.sampled_shape))


@kernel
def branch(streams: np.ndarray, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> None:
    """Random numbers for the nodes `dst` [n] behind `actions` [n] in `src` [n], of their own and decided by those."""
    for i in range(src.shape[0]):
        streams[dst[i]] = streams[src[i]] ^ (np.uint64(actions[i] + 1) * np.uint64(0x9E3779B97F4A7C15))
        streams[dst[i]] = random.next_uint64(streams, dst[i])


@kernel
def draw(
    outputs: np.ndarray,
    slots: np.ndarray,
    middle: int,
    count: int,
    low: np.ndarray,
    high: np.ndarray,
    streams: np.ndarray,
    sampled: np.ndarray,
) -> None:
    """Draw the first `count` actions of each of `slots` [n] from its policy, by `outputs` float32 [n, 2 D], into
    `sampled` [S, K, D]; the first `middle` of them are its middle."""
    size = low.shape[0]
    for i in range(slots.shape[0]):
        for k in range(count):
            for d in range(size):
                noise = 0.0 if k < middle else random.normal(streams, slots[i])
                u = outputs[i, d] + math.exp(outputs[i, size + d]) * noise
                action = low[d] + 0.5 * (math.tanh(u) + 1.0) * (high[d] - low[d])
                sampled[slots[i], k, d] = min(max(action, low[d]), high[d])


@kernel
def draw_uniformly(
    slots: np.ndarray, first: int, low: np.ndarray, high: np.ndarray, streams: np.ndarray, sampled: np.ndarray
) -> None:
    """Draw the actions from number `first` on of each of `slots` uniformly between the bounds, into `sampled`."""
    for i in range(slots.shape[0]):
        for k in range(first, sampled.shape[1]):
            for d in range(low.shape[0]):
                sampled[slots[i], k, d] = low[d] + random.uniform(streams, slots[i]) * (high[d] - low[d])
