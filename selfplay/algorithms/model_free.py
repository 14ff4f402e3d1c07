"""What DQN, REINFORCE and actor-critic have in common: an environment in place of a game and a search.

In the flow: the algorithms of `selfplay.algorithms.dqn` and `selfplay.algorithms.actor_critic` are subclasses. They
play the environment of the settings, or the game where none is named; a game with two players is played by both sides
with one network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from games.environments.registry import load_environment
from nets.inference import Inference
from nets.models import PolicyValueNet
from selfplay.algorithms.algorithm import PLAYER, Inferences
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.networks import (
    environment_net_config,
    environment_text,
    make_environment_inference,
    make_environment_net,
    without_memory,
)
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.openings import with_openings
from selfplay.experience.rollouts import Experience, Rollout
from selfplay.stats.averages import Averages
from selfplay.system.preflight import MemoryNeed, Needs, PlayNeed, first_batch


class ModelFree(ABC):
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    keeps_games = False
    games = ()
    warm_up_note = "starting"

    def __init__(self, config: Config) -> None:
        """Raises UserError or GameError where environment and settings do not fit together."""
        self.config = config
        self.title = environment_text(config)
        if config.actors.max_plies > 0:
            raise UserError(
                f"actors.max_plies: {config.algorithm} does not cut games off; give environment: "
                f"game:NAME(max_plies={config.actors.max_plies}) in place of game"
            )
        self.environment = with_openings(load_environment(self.title), config.actors.opening_plies)
        self.notes = self.environment.notes
        self.limit_note = self.environment.limit_note
        self.threads = config.learner.threads if config.actors.num_actors == 0 else 1  # of the environments
        if config.net.policy not in ("auto", "gaussian" if self.environment.is_continuous else "categorical"):
            raise UserError(f"net.policy: {config.net.policy} does not fit the actions of {self.title}; use auto")
        transform = environment_net_config(config, self.environment).input_transform
        if (transform == "pixels") != (self.environment.observation_dtype == np.uint8):
            raise UserError(
                f"net.input_transform: {transform} is not for the {self.environment.observation_dtype} numbers of "
                f"{self.title}; use none"
            )
        try:
            without_memory(self.make_net)
        except ValueError as error:
            raise UserError(str(error)) from None

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`."""
        return self._needs_of(self.config.replay.min_positions)

    def _needs_of(self, min_positions: int, memory: tuple[MemoryNeed, ...] = ()) -> Needs:
        """Those of an algorithm that waits for rollouts, which come from all actors at the same time."""
        actors, sample_reuse = self.config.actors, self.config.replay.sample_reuse
        rollouts = max(1, actors.num_actors) * actors.games_per_actor * actors.rollout_steps
        needs = first_batch(self.config, min_positions, sample_reuse)
        needs.append(PlayNeed("a rollout of actors.games_per_actor times actors.rollout_steps", rollouts))
        needs.sort(key=lambda need: need.positions, reverse=True)
        first_step = [replace(need, positions=-(-need.positions // rollouts) * rollouts) for need in needs]
        return Needs(min_positions, sample_reuse, memory, tuple(first_step))

    def make_net(self) -> PolicyValueNet:
        """See `Algorithm.make_net`."""
        return make_environment_net(self.config, self.environment)

    def make_inference(self) -> Inference:
        """See `Algorithm.make_inference`."""
        actors = self.config.actors
        return make_environment_inference(self.config, self.environment, actors, actors.games_per_actor)

    @abstractmethod
    def make_experience(
        self, inference: Inference, rng: np.random.Generator, positions_played: int, endless: bool
    ) -> Experience:
        """Environments and who acts in them."""

    def make_collector(
        self, inferences: Inferences, rng: np.random.Generator, positions_played: int, actor_index: int
    ) -> Experience:
        """See `Algorithm.make_collector`."""
        experience = self.make_experience(inferences[PLAYER], rng, positions_played, endless=True)
        experience.actor_index = actor_index
        return experience

    def next_round(
        self, last: Experience | None, inferences: Inferences, rng: np.random.Generator, positions_played: int
    ) -> Experience:
        """See `Algorithm.next_round`: episodes go on from round to round."""
        experience = last or self.make_experience(inferences[PLAYER], rng, positions_played, endless=False)
        experience.begin_round()
        return experience

    def warm_up(self) -> None:  # noqa: B027 (a default, not a stub)
        """Nothing is compiled."""

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        """See `Algorithm.finish`."""
        return []

    def describe_record(self, averages: Averages, record: Rollout, version: int) -> None:
        """See `Algorithm.describe_record`."""
        values = {
            "selfplay/weight_staleness": float(version - record.version),
            "selfplay/root_value": float(record.value.mean()),
        }
        averages.add_mean(values, len(record))

    def metrics(self, counts: SelfPlayCounts, records: Sequence[Any]) -> dict[str, float]:
        """See `Algorithm.metrics`."""
        if counts.seconds <= 0:
            return {}
        wall = counts.seconds / max(1, self.config.actors.num_actors)
        values = {
            "selfplay/positions_per_second": counts.positions / wall,
            "selfplay/games_per_minute": 60 * counts.games / wall,
            "selfplay/network_share": counts.network_seconds / counts.seconds,
        }
        if counts.games:
            values["selfplay/game_length"] = counts.game_plies / counts.games
            values["selfplay/return"] = counts.return_first / counts.games
        return values


class ModelFreeLearner(Learner):
    """Its actors play with the newest weights; the average would be another policy than the one that learns."""

    def acting_weights(self) -> dict[str, Tensor]:
        """See `Learner.acting_weights`."""
        return self.raw_weights()
