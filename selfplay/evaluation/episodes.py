"""Episodes of an agent in an environment, and what they say about it: the evaluation of runs on environments."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from games.base import EPISODE_STEPS
from games.environments.environment import Environment
from games.soundness import MOST_IN_A_ROW, UnsoundError
from selfplay.experience.episode_counter import EpisodeCounter
from selfplay.players.agents import MAX_BATCH
from selfplay.players.player import Agent


@dataclass(frozen=True)
class EpisodeResults:
    """Returns and lengths of some episodes, by the rewards of the environment."""

    returns: Float64[np.ndarray, " E"]
    lengths: Int64[np.ndarray, " E"]
    cut_off: int = 0
    """Number of episodes that were cut off because the environment has no limit of its own
    (`Environment.limit_note`)."""
    unsound: int = 0
    """Number of episodes that were cut off because the environment's output was not sound (`games.soundness`)."""
    remarks: tuple[str, ...] = ()
    """Warnings for a person, one line each."""

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean, by its standard error; None for one episode."""
        if len(self.returns) < 2:
            return None
        margin = 1.96 * float(self.returns.std(ddof=1)) / math.sqrt(len(self.returns))
        return self.mean - margin, self.mean + margin


def play_episodes(
    agent: Agent,
    environment: Environment,
    num_episodes: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    seconds: float | None = None,
) -> EpisodeResults:
    """Play `num_episodes` episodes, several at once; after `seconds` only those count that have ended by then.

    Raises UnsoundError as `EpisodeCounter.add` does, and where one copy cannot play its share.

    Every copy of the environment has its share of them from the start, so that short episodes are not counted more
    often than long ones. Where an environment is endless, an episode is what happens in `EPISODE_STEPS`.
    """
    num_envs = min(num_episodes, MAX_BATCH)
    left = np.full(num_envs, num_episodes // num_envs)
    left[: num_episodes % num_envs] += 1
    until = math.inf if seconds is None else time.monotonic() + seconds
    batch = environment.new_batch(num_envs, seed)
    returns: list[float] = []
    lengths: list[int] = []
    faults: list[str] = []
    remarks: list[str] = []
    counter = EpisodeCounter(num_envs, environment.default_limit)
    not_begun = np.zeros(num_envs, np.int64)  # episodes in a row of each copy that were cut off before their first step
    try:
        while (left > 0).any() and time.monotonic() < until:
            step = batch.step(agent.act(batch))
            faults += step.faults
            remarks += step.warnings
            ended = counter.add(step)
            if environment.is_endless:
                ended += counter.cut_off_after(EPISODE_STEPS)
            for row, episode_return, length in ended:
                not_begun[row] = not_begun[row] + 1 if length == 0 else 0
                if not_begun[row] >= MOST_IN_A_ROW:
                    raise UnsoundError(f"{faults[-1]}; {MOST_IN_A_ROW} episodes in a row of one copy did not begin")
                if length == 0:
                    continue
                if left[row] > 0:
                    returns.append(episode_return)
                    lengths.append(length)
                    if progress is not None:
                        progress(len(returns), num_episodes)
                left[row] -= 1
    finally:
        batch.close()
    if faults:
        remarks.append(f"{len(faults)} episodes were cut off or did not begin, the last because {faults[-1]}")
    return EpisodeResults(
        np.array(returns, np.float64), np.array(lengths, np.int64), counter.cut_off, len(faults), tuple(remarks)
    )
