"""The interface of environments to the rest of the project: `Environment` and `EnvironmentBatch`.

As `Game` and `StatePool` are to search, these are to the algorithms that learn from experience alone (DQN, REINFORCE,
actor-critic): an `Environment` has sizes and makes batches, a batch steps N copies at once. Gymnasium's environments
(`games.environments.gymnasium`, `games.environments.atari`), grid worlds and every game of `games.load` stand behind
it.

Episodes end and begin within `step`. The consequence of an end is one number, `discount`, and every algorithm uses the
same equation, `G_t = r_t + gamma * discount_t * G_{t+1}`:

* 1: the episode goes on, or was cut off by a limit (truncated): what comes next has a value.
* 0: nothing follows: the episode terminated, or a life was lost where that counts as an end.
* -1: the opponent of a two-player zero-sum game moves next, and the value of that position is its value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from games.base import EPISODE_STEPS, GameError

EPISODES_SEED = 1 << 30
"""Seeds of training episodes are smaller; those of evaluations begin here."""


@dataclass(frozen=True)
class Step:
    """Outcome of one step of N environments."""

    observation: Shaped[np.ndarray, "N *observation"]  # the first one of a new episode where one has ended
    reward: Float32[np.ndarray, " N"]  # the environment's own, not clipped
    discount: Float32[np.ndarray, " N"]  # 1, 0 or -1, see above
    ended: Bool[np.ndarray, " N"]  # the episode is over, terminated or cut off
    final_observation: Shaped[np.ndarray, "N *observation"] | None = None
    """Its rows of ended episodes are their last observations; None where none ended."""
    legal_mask: Bool[np.ndarray, "N A"] | None = None
    """For `observation`; None where every action is always legal."""
    final_legal_mask: Bool[np.ndarray, "N A"] | None = None
    """For `final_observation`, all True where nothing follows; None where `legal_mask` or that is None."""
    unsound: Bool[np.ndarray, " N"] | None = None
    """Copies whose environment gave an output that is no number to learn from (`games.soundness`).

    The episode was cut off before this step, the reward is 0, and the observation before the step is the last. None
    where there are none."""
    faults: tuple[str, ...] = ()
    """One line for each unsound output, those at starts of episodes included."""
    warnings: tuple[str, ...] = ()
    """Lines that a person should read once."""


class Environment(ABC):
    """The sizes of an environment, and batches of it. Cheap to make; subclasses set the attributes below."""

    name: str
    """Canonical text that `load_environment` makes this environment from."""
    observation_shape: tuple[int, ...]
    observation_dtype: np.dtype
    """uint8 (pixels in [0, 255]) or float32."""
    frame_stack: int = 1
    """Number of frames of an observation, along its first axis, the newest last; frames before an episode are 0."""
    num_actions: int = 0
    """Actions are int64 [N] in `range(num_actions)`; 0 for continuous ones."""
    action_low: np.ndarray | None = None  # [D] float32: actions are float32 [N, D] from here ...
    action_high: np.ndarray | None = None  # ... to here
    has_legal_mask: bool = False
    """True where some actions may be illegal; `EnvironmentBatch.legal_mask` and `Step.legal_mask` are then set."""
    notes: tuple[str, ...] = ()
    """How observations and actions were read where there was something to decide, one line each."""
    default_limit: int = 0
    """Steps after which an episode is cut off because the environment has no limit of its own; 0 where it has one, or
    was given one."""
    step_limit: int = 0
    """Steps after which an episode is cut off at the latest, whoever set that limit; 0 where none is known."""
    is_endless: bool = False
    """True where the limit was switched off: episodes end by themselves or never, and measurements must stop them."""
    limit_parameter: str = ""
    """Name of the parameter that sets another limit."""
    solved_return: float | None = None
    """Mean return that counts as solved (Gymnasium's `reward_threshold`)."""

    @property
    def limit_note(self) -> str:
        """One line for a person when `default_limit` was reached."""
        return (
            f"{self.name}: an episode was cut off after {self.default_limit or EPISODE_STEPS:,} steps, for it has no "
            "limit of its own; "
            f"{self.limit_parameter}=N among its parameters sets another limit"
        )

    @property
    def is_continuous(self) -> bool:
        """True where actions are vectors of real numbers."""
        return self.action_low is not None

    @abstractmethod
    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> EnvironmentBatch:
        """`num_envs` copies at the start of an episode each. Equal seeds give equal episodes for equal actions."""


class EnvironmentBatch(ABC):
    """N copies of an environment."""

    environment: Environment
    num_envs: int
    observation: np.ndarray
    """[N, *observation_shape], the present observations. Arrays that a batch has handed out are not written again."""
    legal_mask: np.ndarray | None = None
    """[N, A] bool for `observation`; None where every action is always legal."""

    @abstractmethod
    def step(self, actions: np.ndarray) -> Step:
        """One step of every copy. Raises GameError for an action that does not exist."""

    def frame(self) -> np.ndarray:
        """A picture, uint8 [H, W, 3], of the first copy at its present `observation`. Raises GameError where there is
        none; Gymnasium's environments draw only when made with `render_mode=rgb_array`."""
        raise GameError(f"{self.environment.name}: there are no pictures of it")

    def close(self) -> None:  # noqa: B027 (a default, not a stub)
        """Free what the batch holds."""
