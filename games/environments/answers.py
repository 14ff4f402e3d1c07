"""Outputs of `reset` and `step` of a Gymnasium environment, checked: for `games.environments.promises`."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary, Space, Tuple

from games.auditing.positions import BrokenError, asked
from games.environments.gymnasium_spaces import is_text, one_line


def reset(env: gym.Env, seed: int | None = None) -> Any:
    """The first observation, checked."""
    output: Any = asked("reset", "reset(seed=..., options=None)", lambda: env.reset(seed=seed, options=None))
    if not isinstance(output, tuple) or len(output) != 2:
        raise BrokenError("reset", f"reset() gives {kind(output)}, not observation and info")
    observation, info = output
    if not isinstance(info, dict):
        raise BrokenError("reset", f"reset() gives {kind(info)} for info, not a dictionary")
    _check_observation(env.observation_space, observation, "the observation of reset()")
    return observation


def step(env: gym.Env, action: Any) -> tuple[Any, float, bool, bool]:
    """Observation, reward, terminated and truncated of a step, checked."""
    output: Any = asked("step", f"step({action_text(action)})", env.step, copy.deepcopy(action))
    if not isinstance(output, tuple) or len(output) != 5:
        raise BrokenError("step", f"step() gives {kind(output)}, not observation, reward, terminated, truncated, info")
    observation, reward, terminated, truncated, info = output
    _check_observation(env.observation_space, observation, "the observation")
    if not isinstance(reward, (numbers.Real, np.number)) or not math.isfinite(reward):
        raise BrokenError("reward", f"the reward is {one_line(repr(reward))}, not a finite number")
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, (bool, np.bool_)):
            raise BrokenError("ends", f"{name} is {one_line(repr(value))}, neither True nor False")
    if not isinstance(info, dict):
        raise BrokenError("step", f"step() gives {kind(info)} for info, not a dictionary")
    return observation, float(reward), bool(terminated), bool(truncated)


def _check_observation(space: Space, value: Any, name: str) -> None:
    """Raises BrokenError unless `value` is in the space."""
    if isinstance(space, Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            raise BrokenError("observation", f"{name} is {kind(value)}; it has the keys {', '.join(space.spaces)}")
        for key, inner in space.spaces.items():
            _check_observation(inner, value[key], f"{name}, its {key}")
    elif isinstance(space, Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            raise BrokenError("observation", f"{name} is {kind(value)}, not a tuple of {len(space.spaces)}")
        for index, inner in enumerate(space.spaces):
            _check_observation(inner, value[index], f"{name}, its number {index}")
    elif isinstance(space, (Box, MultiBinary)):
        _check_array(space, value, name)
    elif not is_text(space) and not asked("observation", f"{name}", space.contains, value):
        raise BrokenError("observation", f"{name} is {one_line(repr(value))}, which is not in {one_line(space)}")


def _check_array(space: Box | MultiBinary, value: Any, name: str) -> None:
    """Raises BrokenError unless `value` is an array of the space."""
    if not isinstance(value, (np.ndarray, np.generic)):
        raise BrokenError("observation", f"{name} is {kind(value)}, not an array of numpy")
    value = np.asarray(value)
    if value.shape != space.shape:
        raise BrokenError("observation", f"{name} has shape {list(value.shape)}, its space {list(space.shape)}")
    assert space.dtype is not None
    if value.dtype != space.dtype and not np.can_cast(value.dtype, space.dtype):
        raise BrokenError("observation", f"{name} has dtype {value.dtype}, its space {space.dtype}")
    if not np.isfinite(value).all():
        raise BrokenError("observation", f"{name} has {value[~np.isfinite(value)][0]} in it, no finite number")
    low, high = (space.low, space.high) if isinstance(space, Box) else (np.zeros(1), np.ones(1))
    outside = (value < low) | (value > high)
    if outside.any():
        raise BrokenError("observation", f"{name} has {value[outside][0]} in it, outside the bounds of its space")


def kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {list(value.shape)} of {value.dtype}"
    if isinstance(value, (tuple, list, Mapping)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{one_line(repr(value))} ({type(value).__name__})"


def action_text(action: Any) -> str:
    return " ".join(np.array2string(np.asarray(action), precision=3, separator=" ").split())
