"""Gymnasium's vector environments in the one form that `games.environments.gymnasium` uses.

Episodes begin again within the step that ends them (autoreset mode SAME_STEP), and an observation that was handed out
is not written again. An environment's own vector class is used where it can do that, Gymnasium's `SyncVectorEnv`, a
loop over single ones, otherwise: CartPole's is several times as fast.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from games.base import GameError
from games.environments.gymnasium_spaces import ObservationSpace

NO_LIMIT = -1
"""Value of `max_episode_steps` for episodes that are not cut off."""


class SameStepCartPole(CartPoleVectorEnv):
    """Gymnasium's CartPole in arrays, which would spend the step after an end on starting again.

    Environment i of one batch and of another with the same seed agree only where the batches are equally large: one
    generator draws the starts of all.
    """

    metadata = {**CartPoleVectorEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        ended = self.prev_done
        if ended.any():
            info = {**info, "final_obs": observation}
            assert self.state is not None
            self.state[:, ended] = self.np_random.uniform(self.low, self.high, size=(4, int(ended.sum())))
            self.steps[ended] = 0
            self.prev_done = np.zeros_like(ended)  # or the next step would start them once more
            observation = self.state.T.astype(np.float32)
        return observation, reward, terminated, truncated, info


class ReadObservation(gym.ObservationWrapper):
    """Observations of any space as arrays, which are their own too."""

    def __init__(self, env: gym.Env, reader: ObservationSpace) -> None:
        super().__init__(env)
        self._reader = reader
        self.observation_space = reader.box

    def observation(self, observation: Any) -> np.ndarray:
        try:
            return self._reader.read_one(observation)
        except GameError as error:
            raise GameError(f"{self.env.spec.id if self.env.spec else self.env}: {error}") from None


def new_vector_env(
    spec: EnvSpec,
    num_envs: int,
    parameters: Mapping[str, Any],
    wrapper: Callable[[gym.Env], gym.Wrapper],
    reader: ObservationSpace | None = None,
) -> VectorEnv:
    """`num_envs` copies with autoreset mode SAME_STEP. `parameters` are those of `gymnasium.make`.

    `wrapper` goes around each copy where they are single environments, and gives observations of their own:
    `SyncVectorEnv` keeps the last one of an episode while it starts the next, and an environment may write that into
    the same array. `reader` turns single observations into arrays, where they are none.
    """
    own = _own_vector_class(spec) if reader is None else None
    limit = parameters.get("max_episode_steps")
    # A limit that the environment has not asked for, or none, may be what only `gymnasium.make` understands.
    if own is not None and limit != NO_LIMIT and (limit is None or spec.max_episode_steps is not None):
        return gym.make_vec(dataclasses.replace(spec, vector_entry_point=own), num_envs, **parameters)
    wrappers: list[Callable[[gym.Env], gym.Wrapper]] = [wrapper]
    if reader is not None:
        wrappers.append(partial(ReadObservation, reader=reader))
    return gym.make_vec(
        spec,
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP, "copy": False},
        wrappers=wrappers,
        # The checker looks at the first steps of every copy, and warns; what matters here is checked here.
        disable_env_checker=True,
        **parameters,
    )


def _own_vector_class(spec: EnvSpec) -> Callable[..., VectorEnv] | None:
    """The environment's own vector class; None where it has none that starts episodes within a step."""
    own: Any = spec.vector_entry_point
    if isinstance(own, str):
        with contextlib.suppress(ImportError):  # of JAX, say; the single environment will speak up if it needs it too
            own = load_env_creator(own)
    if own is CartPoleVectorEnv:
        return SameStepCartPole
    mode = getattr(own, "metadata", {}).get("autoreset_mode")
    return own if mode is AutoresetMode.SAME_STEP else None


def is_mujoco(spec: EnvSpec) -> bool:
    """Whether MuJoCo makes it move."""
    return "mujoco" in str(spec.entry_point)


def tame_mujoco() -> None:
    """Turn warnings of MuJoCo into Python's: it writes each into a file MUJOCO_LOG.TXT, wherever that may be."""
    with contextlib.suppress(ImportError):  # making the environment says what is missing
        import mujoco

        mujoco.set_mju_user_warning(_warn_of_mujoco)


def _warn_of_mujoco(message: str) -> None:
    if "settotalmass" not in message:  # about Gymnasium's own model of HalfCheetah, which is not ours to change
        warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=2)


def episode_seeds(seed: int, num_envs: int) -> np.ndarray:
    """A seed for each copy, int64 [N] in [1, 2**31).

    Gymnasium and ALE would count up from one: batches with neighbouring seeds would play the same episodes.
    """
    drawn = np.random.SeedSequence(seed).generate_state(num_envs, np.uint64)
    return (drawn % np.uint64(2**31 - 1)).astype(np.int64) + 1
