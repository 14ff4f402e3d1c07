"""How an agent without search acts on what its network says: a policy head's output in, actions out.

In the flow: `selfplay.experience.rollouts` asks for an action in every environment at every step,
`selfplay.evaluation.episodes` does so in evaluation. Plain numpy, for the network has spoken already.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np


class Behaviour(Protocol):
    """Chooses actions."""

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions for N environments, and their log-probabilities float32 [N] (0 where nobody asks for them).

        `output` [N, ...] is that of the policy head, `legal_mask` bool [N, A] or None where all actions are legal.
        Actions are int64 [N], or float32 [N, D] for real numbers.
        """
        ...


class Greedy:
    """The legal action with the greatest logit or action value."""

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Behaviour.act`."""
        return _masked(output, legal_mask).argmax(axis=1), np.zeros(len(output), np.float32)


class EpsilonGreedy:
    """`Greedy`, but for a share of actions that are drawn uniformly; the share falls linearly.

    Mnih et al. 2015, "Training details".
    """

    def __init__(self, first: float, last: float, positions: int, played: int, stride: int) -> None:
        """From `first` to `last` over `positions` steps, of which `played` are past; `stride` of them an action, for
        all actors of the run step at once."""
        self.first, self.last, self.positions = first, last, positions
        self.played, self.stride = played, stride

    @property
    def epsilon(self) -> float:
        """The present share of random actions."""
        return self.first + (self.last - self.first) * min(1.0, self.played / self.positions)

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Behaviour.act`."""
        actions = _masked(output, legal_mask).argmax(axis=1)
        is_random = rng.random(len(output)) < self.epsilon
        noise = rng.random(output.shape)  # the greatest of equal draws is uniform
        actions[is_random] = _masked(noise, legal_mask).argmax(axis=1)[is_random]
        self.played += self.stride * len(output)
        return actions, np.zeros(len(output), np.float32)


class Sample:
    """A draw from the softmax over the legal actions."""

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Behaviour.act`; by the greatest of logit plus Gumbel noise."""
        logits = _masked(output.astype(np.float64), legal_mask)
        actions = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probability = shifted[np.arange(len(actions)), actions] - np.log(np.exp(shifted).sum(axis=1))
        return actions, log_probability.astype(np.float32)


class GaussianMean:
    """The mean of a Gaussian policy."""

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Behaviour.act`."""
        return output[:, : output.shape[1] // 2].copy(), np.zeros(len(output), np.float32)


class GaussianSample:
    """A draw from a Gaussian policy. The environment may cut it to its bounds; what is learned from is the draw."""

    def act(
        self, output: np.ndarray, legal_mask: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Behaviour.act`."""
        mean, log_std = np.split(output, 2, axis=1)
        noise = rng.standard_normal(mean.shape, np.float32)
        log_probability = (-0.5 * np.square(noise) - log_std - 0.5 * math.log(2.0 * math.pi)).sum(axis=1)
        return mean + np.exp(log_std) * noise, log_probability.astype(np.float32)


def _masked(scores: np.ndarray, legal_mask: np.ndarray | None) -> np.ndarray:
    return scores if legal_mask is None else np.where(legal_mask, scores, -np.inf)
