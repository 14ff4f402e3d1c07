"""An environment of one step whose actions are real numbers: the best one is known, and what every other one costs."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

NAME = "real_bandit:RealBandit-v0"
LOW, HIGH = -2.0, 4.0


class RealBandit(gymnasium.Env):
    """Shows one number x, -1 or 1, and pays the squared distance of D actions from `best(x)`, less than 0.

    `taken` are the actions of all copies, in the order in which they came.
    """

    taken: list[np.ndarray] = []

    def __init__(self, size: int = 1) -> None:
        self.observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(LOW, HIGH, (size,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.shown = np.float32([self.np_random.choice([-1.0, 1.0])])
        return self.shown, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        RealBandit.taken.append(np.array(action))
        paid = -float(np.square(action - best(float(self.shown[0]))).sum())
        return self.shown, paid, True, False, {}


def best(shown: float) -> float:
    """The action that pays 0."""
    return 0.8 + 1.2 * shown


gymnasium.register("RealBandit-v0", RealBandit, max_episode_steps=5)
