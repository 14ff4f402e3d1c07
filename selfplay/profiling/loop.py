"""The training loop part by part, as rows: what an actor's time goes into, the learner, who waits for whom, memory.

In the flow: `selfplay bench` prints these after the rows of self-play (`selfplay.profiling.speed`). Each part is
measured in a process of its own while nothing else runs (`selfplay.profiling.breakdown`).
"""

from __future__ import annotations

from dataclasses import dataclass

import games
from games import Game
from selfplay.config.run import Config
from selfplay.experience.figures import selfplay_metrics
from selfplay.profiling.breakdown import (
    ActorProfile,
    LearnerSpeed,
    actor_profile,
    learned_share,
    learner_speed,
    position_bytes,
    random_records,
)
from selfplay.profiling.speed import SelfPlaySpeed, with_actors
from selfplay.profiling.table import BenchmarkRow
from selfplay.replay.positions import row_bytes
from selfplay.system.together import run_together


@dataclass(frozen=True)
class LoopParts:
    """The measurements of the loop, self-play itself left out."""

    profile: ActorProfile
    learner: LearnerSpeed
    position_bytes: int
    learned_share: float
    """Rows of the replay, by the weights of positions, for each position that is played."""

    @property
    def row_bytes(self) -> float:
        """See `replay.positions.row_bytes`."""
        return row_bytes(self.position_bytes, self.learned_share)


def measure_loop(config: Config, seconds: float) -> LoopParts:
    """Take an actor and the learner apart, each for `seconds` (the actor for half as long before, to warm up)."""
    config = with_actors(config)
    (profile,) = run_together(actor_profile, 1, config, seconds, seconds / 2)
    (learner,) = run_together(learner_speed, 1, config, seconds)
    game = games.load(config.game)
    records = random_records(config, game)
    return LoopParts(profile, learner, position_bytes(config, game, records), learned_share(config, game, records))


def loop_rows(config: Config, game: Game, parts: LoopParts, speed: SelfPlaySpeed) -> list[BenchmarkRow]:
    """The rows; shares of one actor add up to 100 %."""
    return [
        *_actor_rows(parts.profile),
        *_learner_rows(config, game, parts, speed),
        *_memory_rows(config, parts, speed),
    ]


def _actor_rows(profile: ActorProfile) -> list[BenchmarkRow]:
    def share(seconds: float) -> float:
        return 100 * seconds / profile.seconds

    return [
        BenchmarkRow("one actor: network", share(profile.network), "%"),
        BenchmarkRow("one actor: games (rules and observation)", share(profile.games), "%"),
        BenchmarkRow("one actor: cache of evaluations", share(profile.cache), "%"),
        BenchmarkRow("one actor: tree and records", share(profile.tree), "%"),
    ]


def _learner_rows(config: Config, game: Game, parts: LoopParts, speed: SelfPlaySpeed) -> list[BenchmarkRow]:
    """The learner alone, and who would wait: it at `sample_reuse`, the actors at `least_reuse` (or the same)."""
    rate = parts.learner.per_second
    played = selfplay_metrics(speed.counts, speed.num_actors, game).get("selfplay/positions_per_second", 0.0)
    positions = parts.learned_share * played
    needed = config.replay.sample_reuse * positions
    least = (config.replay.least_reuse or config.replay.sample_reuse) * positions
    return [
        BenchmarkRow("learner alone samples", rate, "samples/s"),
        BenchmarkRow("learner alone steps", rate / config.learner.batch_size, "steps/s"),
        BenchmarkRow("learner time in the replay", 100 * parts.learner.sampling_seconds / parts.learner.seconds, "%"),
        BenchmarkRow("learner samples needed by sample_reuse", needed, "samples/s"),
        BenchmarkRow("learner would wait for positions", 100 * max(0.0, 1 - needed / rate), "%"),
        BenchmarkRow("actors would wait for the learner", 100 * max(0.0, 1 - rate / least) if least else 0.0, "%"),
    ]


def _memory_rows(config: Config, parts: LoopParts, speed: SelfPlaySpeed) -> list[BenchmarkRow]:
    return [
        BenchmarkRow("memory of an actor", speed.actor_bytes / 1e6, "MB"),
        BenchmarkRow("memory of the learner, replay empty", parts.learner.resident_bytes / 1e6, "MB"),
        BenchmarkRow("memory of a position in the replay", parts.position_bytes, "bytes"),
        BenchmarkRow("memory of a full replay", config.replay.capacity * parts.row_bytes / 1e6, "MB"),
    ]
