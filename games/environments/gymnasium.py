"""Any Gymnasium environment as an `Environment`: its spaces, its parameters, and batches of it.

`games.environments.gymnasium_spaces` has the spaces that are taken. A wrapper of Gymnasium's can turn another space
into one of them; an environment with its wrappers can be registered (`my_module:MyEnv-v0` imports `my_module` first).

Gymnasium: Towers et al. 2024, "Gymnasium: A Standard Interface for Reinforcement Learning Environments".
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from games.base import EPISODE_STEPS, GameError
from games.environments.actions import checked_choices, checked_vectors
from games.environments.checked import OBSERVATION, CheckedEnv, DeclaredRange
from games.environments.environment import Environment, EnvironmentBatch, Step
from games.environments.gymnasium_spaces import ActionSpace, ObservationSpace, one_line
from games.environments.gymnasium_vector import NO_LIMIT, episode_seeds, is_mujoco, new_vector_env, tame_mujoco
from games.modules import import_module_of
from games.observation_layout import CHANNELS
from games.parameters import Value, canonical
from games.soundness import MOST_IN_A_ROW, Faults, UnsoundError, array_fault

RENDER_MODE = "rgb_array"
MAX_EPISODE_STEPS = "max_episode_steps"


class GymnasiumEnvironment(Environment):
    """A registered environment. Made by `load_gymnasium`.

    Its own parameter `channels` (see `games.observation_layout`) says where the channels of pictures are; the others
    are those of `gymnasium.make`. An episode without a limit in Gymnasium is cut off after `EPISODE_STEPS`; the
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
        limit = parameters.get(MAX_EPISODE_STEPS, self.spec.max_episode_steps or self.default_limit)
        self.is_endless = limit == NO_LIMIT
        self.step_limit = limit if isinstance(limit, int) and not self.is_endless else 0
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
            with contextlib.suppress(Exception):  # the audit says it; here nothing was played
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
        self._spaces = env.observation_space, env.action_space
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

    def new_vector(self, num_envs: int, faults: Faults) -> gym.vector.VectorEnv:
        """Copies behind Gymnasium's vector interface, with arrays for observations. Unsound outputs are added to
        `faults`."""
        reader = self._observations if self._observations.needs_reading else None
        limit = {MAX_EPISODE_STEPS: self.default_limit} if self.default_limit else {}

        def wrapper(env: gym.Env) -> CheckedEnv:
            self._require_same_spaces(env)
            return CheckedEnv(env, self.name, faults)

        return new_vector_env(self.spec, num_envs, self.parameters | limit, wrapper, reader)

    def _require_same_spaces(self, env: gym.Env) -> None:
        """Raises GameError for a copy whose observations or actions are not those of the first."""
        for what, space, first in zip(
            ("observations", "actions"), (env.observation_space, env.action_space), self._spaces
        ):
            if space != first:
                raise GameError(
                    f"{self.name}: its {what} are {one_line(space)} in one copy and {one_line(first)} in another; "
                    "all copies need the same"
                )


class GymnasiumBatch(EnvironmentBatch):
    """Copies behind Gymnasium's vector interface."""

    def __init__(self, environment: GymnasiumEnvironment, num_envs: int, seed: int) -> None:
        self.environment: GymnasiumEnvironment = environment
        self.num_envs = num_envs
        self._faults = Faults()
        self._vector = environment.new_vector(num_envs, self._faults)
        is_bytes = environment.observation_dtype == np.uint8
        self._range = DeclaredRange(environment.name, self._vector.single_observation_space, is_bytes)
        self._is_arrays = not isinstance(self._vector, gym.vector.SyncVectorEnv)  # all copies in one object
        seeds = episode_seeds(seed, num_envs).tolist()
        given, _ = self._vector.reset(seed=seeds[0] if self._is_arrays else seeds)
        if self._is_arrays:
            given = self._checked_start(given)
        self.observation = environment.observations(given)

    def step(self, actions: np.ndarray) -> Step:
        """See `EnvironmentBatch`. Continuous actions outside the bounds count as the bounds."""
        before = self.observation
        given, reward, terminated, truncated, info = self._vector.step(self.environment.actions(self.num_envs, actions))
        if self._is_arrays and (fault := self._fault(given, reward, info)):
            return self._cut_all(before, fault)
        ended = terminated | truncated
        final_observation = None
        if ended.any():
            last = np.array(given)
            for i in np.flatnonzero(ended):
                last[i] = info["final_obs"][i]
            final_observation = self.environment.observations(last)
        self.observation = self.environment.observations(given)
        rows, faults = self._faults.take()
        warning = self._range.warning(given)
        return Step(
            observation=self.observation,
            reward=reward.astype(np.float32),
            discount=1.0 - terminated.astype(np.float32),
            ended=ended,
            final_observation=final_observation,
            unsound=np.isin(np.arange(self.num_envs), rows) if rows else None,
            faults=faults,
            warnings=(warning,) if warning else (),
        )

    def _fault(self, given: Any, reward: Any, info: dict[str, Any]) -> str:
        """The fault of the arrays of all copies after a step; empty where there is none."""
        space = self._vector.observation_space
        fault = array_fault("rewards", reward, (self.num_envs,)) or array_fault(
            f"{OBSERVATION}s", given, space.shape or (), space.dtype
        )
        if not fault and "final_obs" in info:
            last = [one for one in info["final_obs"] if one is not None]
            fault = array_fault(f"{OBSERVATION}s at the end", last, (len(last), *(space.shape or ())[1:]), space.dtype)
        return f"{self.environment.name}: {fault} after a step of all copies" if fault else ""

    def _cut_all(self, before: np.ndarray, fault: str) -> Step:
        """A step of copies in one object, which cannot be begun anew one by one: all their episodes are cut off."""
        given, _ = self._vector.reset()
        self.observation = self.environment.observations(self._checked_start(given))
        everywhere = np.ones(self.num_envs, np.bool_)
        return Step(
            observation=self.observation,
            reward=np.zeros(self.num_envs, np.float32),
            discount=np.ones(self.num_envs, np.float32),
            ended=everywhere,
            final_observation=before,
            unsound=everywhere,
            faults=(fault,) * self.num_envs,
        )

    def _checked_start(self, given: Any) -> Any:
        """First observations of copies in one object, drawn again where they are not sound."""
        space, fault = self._vector.observation_space, ""
        for _ in range(MOST_IN_A_ROW):
            fault = array_fault(f"{OBSERVATION}s", given, space.shape or (), space.dtype)
            if not fault:
                return given
            given, _ = self._vector.reset()
        raise UnsoundError(f"{self.environment.name}: {fault} at the start of {MOST_IN_A_ROW} episodes in a row")

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
        import_module_of("environment", name, prefix)
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
