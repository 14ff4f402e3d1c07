"""How fast this machine searches, evaluates and plays: what `selfplay bench` and the scripts in `benchmarks/` measure.

Self-play is measured on the very processes that training starts; its ceiling is the network alone, in as many
processes, at the batch that the actors had.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import games
from games import CHANCE, Game, StatePool
from games.base import chance_rounds
from nets.inference import one_thread
from search import Search, SearchConfig
from selfplay.actors.fleet import ACTOR_NAME, Fleet
from selfplay.algorithms import networks
from selfplay.algorithms.models import uniform_models
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.experience.figures import SelfPlayCounts, add_counts, selfplay_metrics
from selfplay.profiling.table import BenchmarkRow
from selfplay.storage.tensors import publish_weights
from selfplay.system.machine import resident_bytes
from selfplay.system.together import run_together

POLL_SECONDS = 0.2
"""Longest wait for one message of the actors."""


@dataclass(frozen=True)
class SearchSpeed:
    """Simulations on one core, and the time they took."""

    simulations: int
    seconds: float
    cpu_seconds: float
    """Time on the processor: the same as `seconds` on a machine that does nothing else."""
    first_seconds: float
    """Time of the first search of all trees, which is not counted above: it compiles the kernels, or loads them."""

    @property
    def per_second(self) -> float:
        """Simulations/s by the clock on the wall."""
        return self.simulations / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Simulations/s of processor time."""
        return self.simulations / self.cpu_seconds


@dataclass(frozen=True)
class SelfPlaySpeed:
    """The measurement of `num_actors` actor processes together."""

    counts: SelfPlayCounts
    num_actors: int
    inference: dict[str, Any]
    """Device, number type and batch of an actor's network (`Inference.describe`)."""
    start_seconds: float
    """Time until every actor was ready to play."""
    actor_bytes: int = 0
    """Memory of the largest actor, after the measurement."""

    @property
    def evaluations_per_second(self) -> float:
        """Positions/s that went to the network; those that the cache knew are not among them."""
        return self.counts.predictions * self.num_actors / self.counts.seconds

    @property
    def mean_batch(self) -> float:
        """Mean number of positions in a call of the network."""
        return self.counts.predictions / max(1, self.counts.network_calls)


def measure_search(game: Game, config: SearchConfig, num_trees: int, seconds: float) -> SearchSpeed:
    """Search the start of the game again and again with a constant evaluator, as self-play does: noise and all.

    A search is `begin`, `run` and `statistics` of all trees. At least one is measured after the first.
    """
    pool, slots = game.new_pool(num_trees), np.arange(num_trees)
    _first_positions(pool, slots)
    search = Search(uniform_models(game).make_model(), config, num_trees, noise=True)
    rng = np.random.default_rng(0)

    def search_once() -> int:
        search.clear(slots)
        search.begin(slots, pool, slots, rng.integers(0, 2**64, num_trees, np.uint64))
        made = search.run(slots)
        search.statistics(slots)
        return made

    start = time.perf_counter()
    search_once()
    first_seconds = time.perf_counter() - start
    simulations, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while simulations == 0 or time.perf_counter() - start < seconds:
        simulations += search_once()
    return SearchSpeed(simulations, time.perf_counter() - start, time.process_time() - cpu_start, first_seconds)


def _first_positions(pool: StatePool, slots: np.ndarray) -> None:
    """Put the start of the game into every slot; a chance event at the start has its first outcome."""
    pool.reset(slots)
    events = chance_rounds(pool.game)
    while (waiting := slots[pool.to_play(slots) == CHANCE]).size:
        next(events)
        offsets, outcomes, _ = pool.chance(waiting)
        pool.step(waiting, outcomes[offsets[:-1]], waiting)


def measure_warm_up(config: Config) -> float:
    """Seconds until the kernels of the search are compiled; a moment where they are cached already."""
    start = time.perf_counter()
    load_algorithm(config).warm_up()
    return time.perf_counter() - start


def measure_selfplay(config: Config, seconds: float, warm_up: float, warn: Callable[[str], None]) -> SelfPlaySpeed:
    """Start the actors of the settings with a fresh network; count what they do in `seconds`, after `warm_up` seconds.

    As many reports as there are actors are waited for. All games start together, and the cache knows more of their
    first moves: `warm_up` should last longer than those, and the rate of games is true only over several lengths.
    """
    config = with_actors(config)
    num_actors = config.actors.num_actors
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        publish_weights(weights, networks.make_net(config, games.load(config.game)).state_dict(), version=0)
        start = time.monotonic()
        fleet = Fleet(config, weights, np.random.SeedSequence(config.seed), lambda: 0, warn)
        fleet.allow(math.inf, None)
        try:
            descriptions: list[dict[str, Any]] = []
            while len(descriptions) < num_actors:
                descriptions += [content[0] for kind, *content in fleet.poll(POLL_SECONDS) if kind == "hello"]
            start_seconds = time.monotonic() - start
            _listen(fleet, warm_up, 0)
            counts = _listen(fleet, seconds, num_actors)
            actors = [child for child in multiprocessing.active_children() if child.name == ACTOR_NAME]
            actor_bytes = max((resident_bytes(actor.pid) for actor in actors), default=0)
        finally:
            fleet.stop()
    return SelfPlaySpeed(counts, num_actors, descriptions[0], start_seconds, actor_bytes)


def with_actors(config: Config) -> Config:
    """The settings with at least one actor process (a run may play in the driver instead)."""
    return replace(config, actors=replace(config.actors, num_actors=max(1, config.actors.num_actors)))


def _listen(fleet: Fleet, seconds: float, min_reports: int) -> SelfPlayCounts:
    """The actors' counts of the next `seconds`, and of at least `min_reports` reports."""
    total, reports, end = SelfPlayCounts(), 0, time.monotonic() + seconds
    while time.monotonic() < end or reports < min_reports:
        fleet.allow(math.inf, None)  # those too that took the place of others
        for kind, *content in fleet.poll(POLL_SECONDS):
            if kind == "games":
                add_counts(total, content[0].counts)
                reports += 1
    return total


def measure_network(config: Config, batch: int, seconds: float) -> float:
    """Positions/s of as many processes as there are actors, together, that only evaluate batches of `batch`."""
    config = with_actors(config)
    return sum(run_together(_network_speed, config.actors.num_actors, config, batch, seconds))


def _network_speed(ready: Callable[[], object], config: Config, batch: int, seconds: float) -> float:
    """Positions/s of one process. A mean, not a median: what the actors do is a mean too."""
    one_thread()
    game = games.load(config.game)
    inference = networks.make_inference(config, game, config.actors, config.actors.games_per_actor)
    inference.load(networks.make_net(config, game).state_dict(), version=0)
    observations = np.random.default_rng(0).standard_normal((batch, *game.observation_shape), dtype=np.float32)
    inference.predict(observations)  # kernels for this size are prepared on first use
    ready()
    positions, start = 0, time.perf_counter()
    while positions == 0 or time.perf_counter() - start < seconds:
        inference.predict(observations)
        positions += batch
    return positions / (time.perf_counter() - start)


def measure_selfplay_and_network(
    config: Config, seconds: float, warm_up: float, network_seconds: float, warn: Callable[[str], None]
) -> tuple[SelfPlaySpeed, float]:
    """Self-play, and the positions/s of the network alone at the same batch, precision and number of processes."""
    speed = measure_selfplay(config, seconds, warm_up, warn)
    same = replace(config, actors=replace(config.actors, dtype=speed.inference["dtype"]))
    return speed, measure_network(same, max(1, round(speed.mean_batch)), network_seconds)


def selfplay_rows(name: str, speed: SelfPlaySpeed, network_rate: float, game: Game) -> list[BenchmarkRow]:
    """Self-play as rows, their names beginning with `name`; `network_rate` is that of the network alone.

    Finished games are not among them: see `games_row`.
    """
    metrics = selfplay_metrics(speed.counts, speed.num_actors, game)
    in_network = 100 * metrics["selfplay/network_share"]
    return [
        BenchmarkRow(f"{name} simulations", metrics["selfplay/simulations_per_second"], "simulations/s"),
        BenchmarkRow(f"{name} positions", metrics["selfplay/positions_per_second"], "positions/s"),
        BenchmarkRow(f"{name} network evaluations", speed.evaluations_per_second, "positions/s"),
        BenchmarkRow(f"{name} network alone, {speed.num_actors} processes", network_rate, "positions/s"),
        BenchmarkRow(f"{name} share of the network alone", 100 * speed.evaluations_per_second / network_rate, "%"),
        BenchmarkRow(f"{name} actor time in the network call", in_network, "%"),
        BenchmarkRow(f"{name} actor time in search and games", 100 - in_network, "%"),
        BenchmarkRow(f"{name} cache hits", 100 * metrics.get("selfplay/cache_hit_rate", 0.0), "%"),
        BenchmarkRow(f"{name} mean batch", speed.mean_batch, "positions"),
        BenchmarkRow(f"{name} start of the actors", speed.start_seconds, "s"),
    ]


def games_row(name: str, speed: SelfPlaySpeed, game: Game) -> BenchmarkRow:
    """Finished games; true only of a measurement that lasts several games."""
    return BenchmarkRow(
        f"{name} games",
        selfplay_metrics(speed.counts, speed.num_actors, game)["selfplay/games_per_minute"],
        "games/min",
    )
