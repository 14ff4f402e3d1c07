"""Episodes of an agent in an environment, and what they say about it: the evaluation of runs on environments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from games.environment import Environment
from selfplay.agents import MAX_BATCH, Agent
from selfplay.episode_counter import EpisodeCounter


@dataclass(frozen=True)
class EpisodeResults:
    """Returns of some episodes, as the environment pays them."""

    returns: Float64[np.ndarray, " E"]
    lengths: Int64[np.ndarray, " E"]

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
    episodes: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> EpisodeResults:
    """Play so many episodes, several at once.

    Every copy of the environment has its share of them from the start, so that short episodes are not counted more
    often than long ones.
    """
    num_envs = min(episodes, MAX_BATCH)
    left = np.full(num_envs, episodes // num_envs)
    left[: episodes % num_envs] += 1
    batch = environment.new_batch(num_envs, seed)
    returns: list[float] = []
    lengths: list[int] = []
    counter = EpisodeCounter(num_envs)
    try:
        while (left > 0).any():
            step = batch.step(agent.act(batch))
            for row, paid, length in counter.add(step):
                if left[row] > 0:
                    returns.append(paid)
                    lengths.append(length)
                    if progress is not None:
                        progress(len(returns), episodes)
                left[row] -= 1
    finally:
        batch.close()
    return EpisodeResults(np.array(returns), np.array(lengths))
