"""Actions from agents, checked before an environment sees them.

Every `EnvironmentBatch.step` begins here. An environment that gets an action it does not have raises an error, or hangs
(Atari), so none ever gets one.
"""

from __future__ import annotations

import numpy as np

from games.base import GameError
from games.environments.environment import Environment


def checked_choices(environment: Environment, num_envs: int, actions: np.ndarray) -> np.ndarray:
    """Discrete actions as int64 [N]. Raises GameError unless they are N whole numbers in `range(num_actions)`."""
    actions = np.asarray(actions)
    if actions.shape != (num_envs,) or actions.dtype.kind not in "iu":
        raise GameError(
            f"{environment.name}: actions are {num_envs} whole numbers, not {actions.dtype} {list(actions.shape)}"
        )
    wrong = (actions < 0) | (actions >= environment.num_actions)
    if wrong.any():
        raise GameError(
            f"{environment.name}: there is no action {actions[wrong][0]}; they are 0 to {environment.num_actions - 1}"
        )
    return actions.astype(np.int64)


def checked_vectors(environment: Environment, num_envs: int, actions: np.ndarray) -> np.ndarray:
    """Continuous actions as float32 [N, D]. Raises GameError for another shape and for what is not a number (NaN).

    They are not clipped: an environment does that with bounds of its own type.
    """
    assert environment.action_low is not None, "a discrete environment has no action vectors"
    actions = np.asarray(actions)
    if actions.shape != (num_envs, environment.action_low.size) or actions.dtype.kind not in "fiu":
        raise GameError(
            f"{environment.name}: actions are [{num_envs}, {environment.action_low.size}] real numbers, "
            f"not {actions.dtype} {list(actions.shape)}"
        )
    if np.isnan(actions).any():
        raise GameError(f"{environment.name}: an action is not a number (NaN)")
    return actions.astype(np.float32)
