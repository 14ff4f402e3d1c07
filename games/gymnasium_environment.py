"""Any Gymnasium environment as an `Environment`: its spaces, its parameters, and batches of it.

Actions are one Discrete choice or a Box of real numbers with bounds, observations are one Box. What else there is
(Dict, MultiDiscrete, Discrete observations) is refused: a wrapper of Gymnasium's turns it into these, and an
environment with its wrappers can be registered (`my_module:MyEnv-v0` imports `my_module` first).

Gymnasium: Towers et al. 2024, "Gymnasium: A Standard Interface for Reinforcement Learning Environments".
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from games.base import GameError
from games.environment import Environment, EnvironmentBatch, Step
from games.environment_actions import checked_choices, checked_vectors
from games.gymnasium_vector import episode_seeds, is_mujoco, new_vector_env, tame_mujoco
from games.parameters import Value, canonical

RENDER_MODE = "rgb_array"


class GymnasiumEnvironment(Environment):
    """A registered environment. Made by `load_gymnasium`.

    Observations are float32, or uint8 where they are declared with the range [0, 255]; pictures [H, W, C] become
    [C, H, W].
    """

    def __init__(self, env_id: str, parameters: Mapping[str, Value], prefix: str = "") -> None:
        """`parameters` are those of `gymnasium.make`. Raises GameError when the environment cannot be made or used."""
        self.name = canonical(prefix + env_id, parameters)
        self.spec = gym.spec(env_id)
        self.parameters: dict[str, Any] = dict(parameters)
        self.solved_return = self.spec.reward_threshold
        if parameters.get("render_mode", RENDER_MODE) != RENDER_MODE:
            raise GameError(f"{self.name}: render_mode is {RENDER_MODE} or left out")
        if "disable_env_checker" in parameters:
            raise GameError(f"{self.name}: disable_env_checker is always on here; leave it out")
        if is_mujoco(self.spec):
            tame_mujoco()
            if "render_mode" in parameters and not {"camera_id", "camera_name"} & parameters.keys():
                self.parameters["camera_name"] = "track"  # a camera that stays behind lets runners out of the picture
        try:
            env = gym.make(self.spec, **self.parameters)
        except Exception as error:  # whatever an environment, or a library that it misses, raises
            raise GameError(f"{self.name} cannot be made: {_one_line(error)}") from error
        self._read_actions(env.action_space)
        self._read_observations(env.observation_space)
        env.close()

    def _read_actions(self, space: Space) -> None:
        self.action_space = space
        if isinstance(space, Discrete):
            self.num_actions = int(space.n)
        elif isinstance(space, Box) and space.dtype.kind == "f":
            if not space.is_bounded():
                raise GameError(f"{self.name}: its actions have no bounds")
            self.action_low = space.low.ravel().astype(np.float32)
            self.action_high = space.high.ravel().astype(np.float32)
        else:
            raise GameError(
                f"{self.name}: its actions are {_one_line(space)}, not one Discrete choice or a Box of real numbers"
            )

    def _read_observations(self, space: Space) -> None:
        if not isinstance(space, Box):
            raise GameError(f"{self.name}: its observations are {_one_line(space)}, not one Box of numbers")
        shape = space.shape or (1,)
        is_bytes = space.dtype == np.uint8 and space.low.min() == 0 and space.high.max() == 255
        self._planes_last = is_bytes and len(shape) == 3 and shape[-1] in (1, 3, 4) and shape[0] not in (1, 3, 4)
        self.observation_shape = (shape[2], shape[0], shape[1]) if self._planes_last else shape
        self.observation_dtype = np.dtype(np.uint8 if is_bytes else np.float32)

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> GymnasiumBatch:
        """See `Environment`. The copies are stepped one after the other: `threads` changes nothing."""
        return GymnasiumBatch(self, num_envs, seed)

    def observations(self, given: np.ndarray) -> np.ndarray:
        """Observations [n, ...] as Gymnasium has them, in an array of their own [n, *observation_shape]."""
        moved = np.moveaxis(given, -1, 1) if self._planes_last else given
        return np.array(moved, dtype=self.observation_dtype, order="C").reshape(len(given), *self.observation_shape)

    def actions(self, num_envs: int, actions: np.ndarray) -> np.ndarray:
        """Actions of agents as Gymnasium wants them; continuous ones are clipped to the bounds. Raises GameError."""
        space = self.action_space
        if isinstance(space, Discrete):
            return checked_choices(self, num_envs, actions) + int(space.start)
        assert isinstance(space, Box)
        given = checked_vectors(self, num_envs, actions).reshape(num_envs, *space.shape)
        # In the type of the bounds, which float32 may overstep.
        return np.clip(given.astype(space.dtype), space.low, space.high)


class GymnasiumBatch(EnvironmentBatch):
    """Copies behind Gymnasium's vector interface."""

    def __init__(self, environment: GymnasiumEnvironment, num_envs: int, seed: int) -> None:
        self.environment: GymnasiumEnvironment = environment
        self.num_envs = num_envs
        self._vector = new_vector_env(environment.spec, num_envs, environment.parameters)
        seeds = episode_seeds(seed, num_envs).tolist()
        one_generator = not isinstance(self._vector, gym.vector.SyncVectorEnv)
        given, _ = self._vector.reset(seed=seeds[0] if one_generator else seeds)
        self.observation = environment.observations(given)

    def step(self, actions: np.ndarray) -> Step:
        """See `EnvironmentBatch`. Continuous actions outside the bounds count as the bounds."""
        given, reward, terminated, truncated, info = self._vector.step(self.environment.actions(self.num_envs, actions))
        ended = terminated | truncated
        final_observation = None
        if ended.any():
            last = np.array(given)
            for i in np.flatnonzero(ended):
                last[i] = info["final_obs"][i]
            final_observation = self.environment.observations(last)
        self.observation = self.environment.observations(given)
        return Step(
            observation=self.observation,
            reward=reward.astype(np.float32),
            discount=1.0 - terminated.astype(np.float32),
            ended=ended,
            final_observation=final_observation,
        )

    def frame(self) -> np.ndarray:
        """See `EnvironmentBatch`. All copies are drawn: meant for a batch of one.

        Without a display, MuJoCo draws where the variable MUJOCO_GL is `egl` or `osmesa` before it is imported.
        """
        if self._vector.render_mode != RENDER_MODE:
            raise GameError(f"{self.environment.name}: no pictures without the parameter render_mode={RENDER_MODE}")
        try:
            frames = self._vector.render()
        except Exception as error:  # no library to draw with, no display
            raise GameError(f"{self.environment.name} cannot be drawn: {_one_line(error)}") from error
        assert frames is not None
        return np.array(frames[0], dtype=np.uint8)

    def close(self) -> None:
        self._vector.close()


def load_gymnasium(name: str, given: Mapping[str, str]) -> GymnasiumEnvironment:
    """The environment of a registered id, or of `module:id`, and parameters as text. Raises GameError.

    Parameters go to `gymnasium.make`, as numbers and truths where they read as such: `HalfCheetah-v5(frame_skip=4)`.
    """
    prefix, colon, env_id = name.rpartition(":")
    if colon:
        try:
            importlib.import_module(prefix)
        except (ImportError, TypeError, ValueError) as error:  # the last two for names that are none
            raise GameError(f"cannot import the module of environment {name[:80]!r}: {str(error)[:200]}") from None
        if env_id not in gym.registry:
            raise GameError(f"module {prefix} does not register {env_id!r} with Gymnasium")
    return GymnasiumEnvironment(env_id, {key: _value(text) for key, text in given.items()}, prefix + colon)


def _value(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _one_line(what: object) -> str:
    """The first line of a message, or the name of an exception without one."""
    lines = str(what).strip().splitlines()
    return lines[0][:300] if lines else type(what).__name__
