"""Any Gymnasium environment as an `Environment`: its spaces, its parameters, and batches of it.

`games.gymnasium_spaces` says which spaces are taken, and how. What is refused a wrapper of Gymnasium's can turn into
one of them; an environment with its wrappers can be registered (`my_module:MyEnv-v0` imports `my_module` first).

Gymnasium: Towers et al. 2024, "Gymnasium: A Standard Interface for Reinforcement Learning Environments".
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from games.base import EPISODE_STEPS, GameError
from games.environment import Environment, EnvironmentBatch, Step
from games.environment_actions import checked_choices, checked_vectors
from games.gymnasium_spaces import ActionSpace, ObservationSpace, one_line
from games.gymnasium_vector import NO_LIMIT, episode_seeds, is_mujoco, new_vector_env, tame_mujoco
from games.observation_layout import CHANNELS
from games.parameters import Value, canonical

RENDER_MODE = "rgb_array"
MAX_EPISODE_STEPS = "max_episode_steps"


class GymnasiumEnvironment(Environment):
    """A registered environment. Made by `load_gymnasium`.

    Its own parameter `channels` (see `games.observation_layout`) says where the channels of pictures are; the others
    are those of `gymnasium.make`. An episode that Gymnasium knows no limit for is cut off after `EPISODE_STEPS`; the
    parameter `max_episode_steps` sets another limit.
    """

    limit_parameter = MAX_EPISODE_STEPS

    def __init__(self, env_id: str, parameters: Mapping[str, Value], prefix: str = "") -> None:
        """Raises GameError when the environment cannot be made or used."""
        self.name = canonical(prefix + env_id, parameters)
        self.spec = gym.spec(env_id)
        self.parameters: dict[str, Any] = dict(parameters)
        channels = self._take_channels()
        self.solved_return = self.spec.reward_threshold
        if self.spec.max_episode_steps is None and MAX_EPISODE_STEPS not in parameters:
            self.default_limit = EPISODE_STEPS
        self.is_endless = parameters.get(MAX_EPISODE_STEPS) == NO_LIMIT
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
            raise GameError(f"{self.name} cannot be made: {one_line(error)}") from error
        try:
            self._read_spaces(env, channels)
        finally:
            env.close()

    def _take_channels(self) -> str:
        """The parameter `channels`; a number is left for an environment that has a parameter of that name."""
        channels = self.parameters.get("channels", "")
        if not isinstance(channels, str):
            return ""
        if channels and channels not in CHANNELS:
            raise GameError(f"{self.name}: channels is {', '.join(CHANNELS)} or left out, not {channels[:40]!r}")
        self.parameters.pop("channels", None)
        return channels

    def _read_spaces(self, env: gym.Env, channels: str) -> None:
        try:
            self._actions = ActionSpace(env.action_space)
            self._observations = ObservationSpace(env.observation_space, channels)
        except GameError as error:
            raise GameError(f"{self.name}: {error}") from None
        self.num_actions = self._actions.num_choices
        self.action_low, self.action_high = self._actions.low, self._actions.high
        layout = self._observations.layout
        self.observation_shape, self.observation_dtype = layout.shape, layout.dtype
        self.notes = tuple(f"{self.name}: {note}" for note in self._observations.notes + self._actions.notes)

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> GymnasiumBatch:
        """See `Environment`. The copies are stepped one after the other: `threads` changes nothing."""
        return GymnasiumBatch(self, num_envs, seed)

    def observations(self, given: np.ndarray) -> np.ndarray:
        """Observations [n, ...] of `new_vector`, in an array of their own [n, *observation_shape]."""
        return self._observations.read_batch(given)

    def actions(self, num_envs: int, actions: np.ndarray) -> np.ndarray:
        """Actions of agents as Gymnasium wants them; continuous ones are clipped to the bounds. Raises GameError."""
        if self.is_continuous:
            return self._actions.vectors(checked_vectors(self, num_envs, actions))
        return self._actions.choices(checked_choices(self, num_envs, actions))

    def new_vector(self, num_envs: int) -> gym.vector.VectorEnv:
        """Copies behind Gymnasium's vector interface, with arrays for observations."""
        reader = self._observations if self._observations.needs_reading else None
        limit = {MAX_EPISODE_STEPS: self.default_limit} if self.default_limit else {}
        return new_vector_env(self.spec, num_envs, self.parameters | limit, reader)


class GymnasiumBatch(EnvironmentBatch):
    """Copies behind Gymnasium's vector interface."""

    def __init__(self, environment: GymnasiumEnvironment, num_envs: int, seed: int) -> None:
        self.environment: GymnasiumEnvironment = environment
        self.num_envs = num_envs
        self._vector = environment.new_vector(num_envs)
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
            raise GameError(f"{self.environment.name} cannot be drawn: {one_line(error)}") from error
        picture = np.asarray(frames[0] if frames else None)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
            raise GameError(
                f"{self.environment.name}: render() gives {picture.dtype} {list(picture.shape)}; a picture is bytes, "
                "[rows, columns, 3]"
            )
        return np.array(picture[:, :, :3])  # without the opacity that some have

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
