"""Gymnasium's environments, checked: an output that no learner may get cuts the episode off.

In the flow: between an environment and Gymnasium's loop over copies of it, which would raise or pass a NaN on. The
episode ends as one that a limit cut off, with the observation before, and the next one begins. A finite number outside
the declared bounds is passed on, with one warning.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Space, Tuple

from games.environments.gymnasium_spaces import is_text
from games.soundness import MOST_IN_A_ROW, Faults, UnsoundError, array_fault, number_fault

OBSERVATION = "observation"


class CheckedEnv(gym.Wrapper):
    """One copy of an environment. Observations are arrays of their own: an environment may write the next one into the
    same memory. `info` is not passed on: nothing here reads it."""

    def __init__(self, env: gym.Env, name: str, faults: Faults) -> None:
        """`name` is for messages; `faults` is shared by the copies of a batch."""
        super().__init__(env)
        self._name, self._faults, self._row = name, faults, faults.new_row()
        self._space = env.observation_space
        self._last: Any = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The start of an episode, another one where it is not sound. Raises UnsoundError after MOST_IN_A_ROW."""
        fault = ""
        for _ in range(MOST_IN_A_ROW):
            output: Any = self.env.reset(seed=seed, options=options)
            if isinstance(output, tuple) and len(output) == 2:
                fault = space_fault(OBSERVATION, self._space, output[0])
            else:
                fault = "reset() does not return the pair (observation, info)"
            if not fault:
                self._last, self._steps = _copied(output[0]), 0
                return self._last, {}
            self._faults.texts.append(f"{self._name}: {fault} at the start of an episode")
            seed = None  # the same one would begin the same episode
        raise UnsoundError(f"{self._name}: {fault} at the start of {MOST_IN_A_ROW} episodes in a row")

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step, or the end of an episode that was cut off before it."""
        observation, reward, terminated, truncated, _ = self.env.step(action)
        self._steps += 1
        fault = (
            number_fault("reward", reward)
            or space_fault(OBSERVATION, self._space, observation)
            or _flag_fault("terminated", terminated)
            or _flag_fault("truncated", truncated)
        )
        if fault:
            self._faults.rows.append(self._row)
            self._faults.texts.append(f"{self._name}: {fault} after step {self._steps} of an episode")
            return self._last, 0.0, False, True, {}
        self._last = _copied(observation)
        return self._last, float(reward), bool(terminated), bool(truncated), {}


class DeclaredRange:
    """Bounds of a Box of observations, watched until a number lies outside."""

    def __init__(self, name: str, space: Space, is_cut: bool) -> None:
        """`name` is the environment's. Only a Box with bounds is watched. `is_cut`: numbers outside are replaced by the
        nearest within."""
        self._name, self._space, self._is_cut = name, space, is_cut
        self._is_watched = isinstance(space, Box) and space.dtype != np.uint8
        if isinstance(space, Box) and self._is_watched:
            self._is_watched = bool(np.isfinite(space.low).any() or np.isfinite(space.high).any())

    def warning(self, observations: np.ndarray) -> str:
        """A line for a person where `observations` [N, ...] leave the bounds for the first time; else empty."""
        space = self._space
        if not self._is_watched or not isinstance(space, Box):
            return ""
        outside = (observations < space.low) | (observations > space.high)
        if not outside.any():
            return ""
        self._is_watched = False
        row, *place = (int(i) for i in np.argwhere(outside)[0])
        where = tuple(place)
        return (
            f"{self._name}: {OBSERVATION}{place or ''} is {observations[row][where]:g}, outside the bounds that the "
            f"environment declares ({space.low[where]:g} to {space.high[where]:g}); "
            + ("the nearest within them is taken" if self._is_cut else "it is taken as it is")
        )


def space_fault(name: str, space: Space, value: Any) -> str:
    """The fault of `value` as an observation of a space, bounds of a Box aside; empty where there is none."""
    if is_text(space):  # no part of the observation
        return ""
    if isinstance(space, Box):
        return array_fault(name, value, space.shape, space.dtype)
    if isinstance(space, Dict) and isinstance(value, dict):
        parts: Any = [(f"{name}[{key!r}]", part, value.get(key)) for key, part in space.spaces.items()]
    elif isinstance(space, Tuple) and isinstance(value, tuple | list) and len(value) == len(space.spaces):
        parts = [(f"{name}[{i}]", part, value[i]) for i, part in enumerate(space.spaces)]
    else:
        return "" if space.contains(value) else f"{name} is not in {str(space)[:60]}"
    return next((fault for fault in (space_fault(*part) for part in parts) if fault), "")


def _flag_fault(name: str, value: Any) -> str:
    if isinstance(value, bool | np.bool_) or (np.ndim(value) == 0 and value in (0, 1)):
        return ""
    return f"{name} is neither True nor False"


def _copied(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _copied(part) for key, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(_copied(part) for part in observation)
    return observation if isinstance(observation, int | float | str | np.generic) else np.array(observation)
