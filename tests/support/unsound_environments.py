"""Environments that say what none may say, for tests: `environment: unsound_environments:SensorGap-v0` and the like."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Short(gym.Env):
    """Twenty steps; 1 for the action that fits the parity of the step. One answer in `every` is a wrong one."""

    metadata = {"render_modes": []}
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(2)
    length = 20
    every = 37
    answers = 0  # of all copies

    def __init__(self, render_mode: str | None = None) -> None:
        self.t = 0

    def look(self) -> Any:
        return np.array([self.t / 20, np.sin(self.t), 1.0], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action: int) -> Any:
        self.t += 1
        type(self).answers += 1
        answer = self.look(), float(action == self.t % 2), self.t >= self.length, False, {}
        return self.wrong(*answer) if self.is_wrong() else answer

    def is_wrong(self) -> bool:
        return self.answers % self.every == 0

    def wrong(self, observation: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Any:
        observation[1] = np.nan
        return observation, reward, terminated, truncated, info


class SensorGap(Short):
    """A number of an observation is missing."""


class AlwaysNan(Short):
    """The same, at every step."""

    every = 1


class NanStart(Short):
    """Some episodes begin with an observation that lacks a number."""

    starts = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(seed=seed, options=options)
        type(self).starts += 1
        if self.starts % 3 == 0:
            observation[0] = np.inf
        return observation, info

    def wrong(self, *answer: Any) -> Any:
        return answer


class NeverStarts(NanStart):
    """All of them do."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.full(3, np.nan, np.float32), {}


class NanReward(Short):
    def wrong(self, observation: Any, reward: Any, *rest: Any) -> Any:
        return observation, float("nan"), *rest


class NoReward(Short):
    def wrong(self, observation: Any, reward: Any, *rest: Any) -> Any:
        return observation, None, *rest


class ManyRewards(Short):
    def wrong(self, observation: Any, reward: Any, *rest: Any) -> Any:
        return observation, np.ones(2), *rest


class HugeReward(Short):
    """Finite, but not as float32."""

    def wrong(self, observation: Any, reward: Any, *rest: Any) -> Any:
        return observation, 1e300, *rest


class WrongShape(Short):
    def wrong(self, observation: Any, *rest: Any) -> Any:
        return observation[:2], *rest


class WrongType(Short):
    def wrong(self, observation: Any, *rest: Any) -> Any:
        return np.array(["a", "b", "c"]), *rest


class NoObservation(Short):
    def wrong(self, observation: Any, *rest: Any) -> Any:
        return None, *rest


class NoEnd(Short):
    def wrong(self, observation: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> Any:
        return observation, reward, None, truncated, info


class NanEnd(Short):
    """The last observation of every episode is not finite."""

    def is_wrong(self) -> bool:
        return self.t >= self.length


class NanCopy(Short):
    """Every second copy that is made says nothing else."""

    made = 0

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        type(self).made += 1
        self.is_broken = self.made % 2 == 0

    def is_wrong(self) -> bool:
        return self.is_broken


class OutOfBounds(Short):
    """Finite, but beyond the declared bounds; that is no fault."""

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def wrong(self, observation: Any, *rest: Any) -> Any:
        observation[0] = 3.0
        return observation, *rest


class PartOutOfBounds(OutOfBounds):
    """The same, beside a choice."""

    observation_space = spaces.Dict(gear=spaces.Discrete(2), speed=OutOfBounds.observation_space)

    def look(self) -> Any:
        return {"gear": 1, "speed": super().look()}

    def wrong(self, observation: Any, *rest: Any) -> Any:
        observation["speed"][0] = 3.0
        return observation, *rest


CUT_OFF = (
    SensorGap, NanStart, NanReward, NoReward, ManyRewards, HugeReward, WrongShape, WrongType, NoObservation, NoEnd,
)  # fmt: skip
for kind in (*CUT_OFF, AlwaysNan, NeverStarts, NanEnd, NanCopy, OutOfBounds, PartOutOfBounds):
    gym.register(id=f"{kind.__name__}-v0", entry_point=f"unsound_environments:{kind.__name__}")
