"""Rewards as they are learned from: cut to a size, and divided by how far returns have varied so far.

In the flow: `RolloutReplay` counts the rewards of a rollout that it takes in, and asks for them as they count then.

Source: Engstrom et al. 2020, "Implementation Matters in Deep Policy Gradients", section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from selfplay.config.run import RewardsConfig
from selfplay.experience.rollouts import Rollout
from selfplay.stats.moments import RunningMoments

LIMIT = 10.0
"""Largest size of a normalised reward, as in implementations of PPO."""


class Rewards:
    """The rewards of rollouts, and the moments of the discounted returns that they add up to."""

    def __init__(self, config: RewardsConfig) -> None:
        self._config = config
        self._returns = RunningMoments()
        self._running: dict[int, np.ndarray] = {}  # discounted return so far, by actor

    def count(self, rollout: Rollout) -> None:
        """Take the returns of a rollout into the moments, where rewards are normalised by them."""
        if not self._config.normalise:
            return
        reward = self._cut(rollout)
        running = self._running.get(rollout.actor_index)
        if running is None or rollout.begins:
            running = np.zeros(reward.shape[1])
        sums = np.empty(reward.shape)
        for t in range(len(reward)):
            sums[t] = running = self._config.discount * running + reward[t]
            running = np.where(rollout.ended[t], 0.0, running)
        self._running[rollout.actor_index] = running
        self._returns.add(sums.ravel())

    def shaped(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        """The rewards of a rollout as they are learned from, by the moments so far."""
        reward = self._cut(rollout)
        if not self._config.normalise:
            return reward
        return np.clip(reward / np.sqrt(self._returns.variance + 1e-8), -LIMIT, LIMIT)

    def state_dict(self) -> dict[str, Any]:
        """Tensors: the moments, and the settings that they depend on."""
        moments = {f"returns.{name}": torch.from_numpy(array) for name, array in self._returns.state().items()}
        return {**moments, "returns.settings": self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; from nothing, where the moments are missing or of other settings."""
        settings = self._settings()
        if "returns.count" in state and torch.equal(state.get("returns.settings", settings), settings):
            arrays = {name: tensor.numpy() for name, tensor in state.items() if isinstance(tensor, Tensor)}
            self._returns = RunningMoments.from_state(arrays, "returns.")

    def _cut(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        limit = self._config.clip
        return np.clip(rollout.reward, -limit, limit) if limit > 0 else rollout.reward

    def _settings(self) -> Tensor:
        """The settings that decide how large returns are: moments of others say nothing of them."""
        return torch.tensor([self._config.discount, self._config.clip], dtype=torch.float64)
