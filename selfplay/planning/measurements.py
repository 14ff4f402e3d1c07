"""Measures a machine for a plan: every network with actors and learner at work at the same time, as in a run.

In the flow: `selfplay plan` calls `measure` and hands the result to `selfplay.planning.rules`. As many processes as
cores (at most MOST_PROCESSES) go through the networks together: one learns, the others evaluate. So what they cost each
other (shared caches, clock, half cores) is part of the result. On a GPU and on a single core one process measures
everything in turn, because there a run has to take turns too.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import games
from games import Game
from nets.config import NetConfig
from nets.inference import Inference, one_thread
from nets.models import resolve_kind
from selfplay.algorithms import networks
from selfplay.algorithms.precision import choose_device
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.config.schema import with_values
from selfplay.experience.openings import random_observations
from selfplay.planning.model import Measurements, NetSpeed
from selfplay.profiling.breakdown import (
    ActorProfile,
    learned_share,
    measure_learner,
    position_bytes,
    profile_actor,
    random_records,
    tree_bytes,
)
from selfplay.profiling.speed import measure_warm_up
from selfplay.system.machine import free_memory, resident_bytes, usable_cores
from selfplay.system.together import run_together

TOWERS = ((32, 4), (64, 3), (64, 5), (96, 6), (128, 6), (128, 10))
"""Channels and blocks of the networks that are tried on boards."""

MLPS = ((128, 2), (256, 2), (256, 3), (512, 3), (1024, 3))
"""Width and layers of the networks that are tried elsewhere."""

CPU_BATCHES, GPU_BATCHES = (32, 64, 128, 256), (128, 256, 512, 1024, 2048, 4096)

MOST_PROCESSES = 8
"""Largest number of measuring processes; more show nothing new."""

TRIAL_GAMES = 256
"""Number of games at once in the trial of self-play."""

NET_SHARE, TRIAL_SHARE = 0.3, 0.2
"""Shares of the time: of all networks, without building them, and of the trial, which warms up for half of its own."""

LEAST_EVALUATIONS = 0.2
"""Fewest evaluations a simulation that are planned with: the cache soon knows everything in a small game, but in a run
new weights empty it again and again."""

MIN_ROUNDS = 3
"""Fewest evaluations of every batch size; the first is not counted."""

MIN_CORES_FOR_THREADS = 3
"""Fewest cores with which threads of the learner are tried: with two, a second thread would have the actor's core."""

LEARNER_BATCH = 256
"""Batch size of the measured learner on a CPU, where larger batches cost as much a sample."""


@dataclass
class _Results:
    """The measurements of one process: lists have an entry for each network, and are empty where it measured none."""

    inference: list[dict[int, float]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    learner: list[float] = field(default_factory=list)
    learner_bytes: int = 0
    thread_gain: dict[int, float] = field(default_factory=lambda: {1: 1.0})
    profile: ActorProfile | None = None
    start_seconds: float = 0.0
    actor_bytes: int = 0
    tree_bytes: float = 0.0


def measure(config: Config, given: Sequence[str], seconds: float) -> Measurements:
    """Measure for about `seconds`, longer where networks or compiler are slow. The kernels are compiled first.

    `given`: dotted keys of settings that a plan must not change.
    """
    game = games.load(config.game)
    compile_seconds = measure_warm_up(config)
    nets = candidate_nets(config, game, given)
    cores, on_gpu = usable_cores(), _on_gpu(config)
    processes = 1 if on_gpu else min(cores, MOST_PROCESSES)
    results = run_together(_measure, processes, config, nets, seconds, processes, cores, time.time())
    return combine(config, game, nets, results, cores, compile_seconds)


def combine(
    config: Config,
    game: Game,
    nets: Sequence[NetConfig],
    results: Sequence[_Results],
    cores: int,
    compile_seconds: float,
) -> Measurements:
    """The results of all processes, together with the averages of random games."""
    records = random_records(config, game)
    actors, learner = [f for f in results if f.inference], next(f for f in results if f.learner)
    profiles = [f.profile for f in actors if f.profile is not None]
    simulations = max(1, sum(p.counts.simulations for p in profiles))
    a_move = [p.simulations_per_move for p in profiles if p.simulations_per_move is not None]
    predictions = sum(p.counts.predictions for p in profiles)
    images = 1 + len(game.symmetries()) if config.actors.symmetries == "mean" else 1  # the network is asked for each
    speeds = [
        NetSpeed(
            net=net,
            name=net_name(net, game),
            weights=trunk_weights(replace(config, net=net), game),
            dtype=actors[0].dtypes[i],
            inference={b: statistics.fmean(f.inference[i][b] for f in actors) for b in actors[0].inference[i]},
            learner=learner.learner[i],
        )
        for i, net in enumerate(nets)
    ]
    return Measurements(
        cores=cores,
        memory=free_memory(),
        on_gpu=_on_gpu(config),
        squares=squares(game),
        game_length=sum(map(len, records)) / len(records),
        learned_share=learned_share(config, game, records),
        position_bytes=position_bytes(config, game, records),
        compile_seconds=compile_seconds,
        start_seconds=max(f.start_seconds for f in actors),
        overhead=sum(p.seconds - p.network for p in profiles) / simulations,
        evaluations=images * max(LEAST_EVALUATIONS, predictions / simulations),
        searched=statistics.fmean(a_move) / config.search.num_simulations if a_move else 1.0,
        cache_hits=1 - predictions / max(1, sum(p.counts.evaluations for p in profiles)),
        actor_bytes=max(f.actor_bytes for f in actors),
        tree_bytes=max(f.tree_bytes for f in actors),
        learner_bytes=learner.learner_bytes,
        thread_gain=learner.thread_gain,
        nets=tuple(speeds),
    )


def _on_gpu(config: Config) -> bool:
    """True where actors and learner use the same GPU."""
    return choose_device(config.actors.device).type == choose_device(config.learner.device).type == "cuda"


def candidate_nets(config: Config, game: Game, given: Sequence[str]) -> list[NetConfig]:
    """Networks to choose from, the smallest first: the usual sizes and that of the settings, without those that differ
    from what is `given`."""
    is_tower = resolve_kind(config.net, game.observation_shape) == "resnet"
    names = ("channels", "blocks") if is_tower else ("hidden", "layers")
    own = tuple(getattr(config.net, name) for name in names)
    sizes = {
        tuple(mine if f"net.{name}" in given else size for name, mine, size in zip(names, own, usual))
        for usual in (own, *(TOWERS if is_tower else MLPS))
    }
    nets = [replace(config.net, **dict(zip(names, size))) for size in sizes]
    return sorted(nets, key=lambda net: trunk_weights(replace(config, net=net), game))


def net_name(net: NetConfig, game: Game) -> str:
    """`64x5`: channels by blocks, or width by layers."""
    is_tower = resolve_kind(net, game.observation_shape) == "resnet"
    return f"{net.channels}x{net.blocks}" if is_tower else f"{net.hidden}x{net.layers}"


def trunk_weights(config: Config, game: Game) -> int:
    """Parameters of the network without its heads."""
    return sum(parameter.numel() for parameter in networks.make_net(config, game).trunk.parameters())


def squares(game: Game) -> int:
    """The size of a game: squares of a board [C, H, W], else actions."""
    shape = game.observation_shape
    return math.prod(shape[1:]) if len(shape) == 3 else game.num_actions


def _measure(
    ready: Callable[[], object],
    config: Config,
    nets: Sequence[NetConfig],
    seconds: float,
    processes: int,
    cores: int,
    started: float,
) -> _Results:
    """One of the processes: the first at the barrier learns while the others play; a single one does both in turn.

    `started` is the time of day when they were started. Every process calls `ready` equally often.
    """
    one_thread()
    game = games.load(config.game)
    load_algorithm(config).warm_up()  # loads the kernels
    first_here = ready() == 0
    results = _Results()
    learner = _LearnerPart(config, game, results) if first_here else None
    actor = _ActorPart(config, game, results, started) if processes == 1 or not first_here else None
    each = NET_SHARE * seconds / len(nets)
    for net in nets:
        if actor:
            actor.build(net)
        ready()
        if actor:
            actor.evaluate(each)
        if learner:
            learner.learn(net, each)
        ready()
    if actor:
        actor.play(TRIAL_SHARE * seconds)
    elif learner:  # keeps its core busy meanwhile, as in a run
        learner.learn(nets[0], 1.5 * TRIAL_SHARE * seconds, count=False)
    ready()
    if learner:
        learner.measure_threads(nets[len(nets) // 2], cores, each)
    return results


class _LearnerPart:
    """The work of the learning process; results go into `results`."""

    def __init__(self, config: Config, game: Game, results: _Results) -> None:
        self.config, self.game, self.results = config, game, results
        self.records = random_records(config, game)

    def learn(self, net: NetConfig, seconds: float, count: bool = True, threads: int = 1) -> float:
        """Samples/s of the learner with a network."""
        settings = replace(self.config.learner, threads=threads)
        if choose_device(settings.device).type == "cpu":
            settings = replace(settings, batch_size=min(settings.batch_size, LEARNER_BATCH))
        config = replace(self.config, net=net, learner=settings)
        speed = measure_learner(config, self.game, self.records, seconds)
        if count:
            self.results.learner.append(speed.per_second)
            self.results.learner_bytes = max(self.results.learner_bytes, speed.resident_bytes)
        return speed.per_second

    def measure_threads(self, net: NetConfig, cores: int, seconds: float) -> None:
        """Speed with 2, 4, 8 ... threads against one, while nothing else runs; up to three quarters of the cores."""
        if choose_device(self.config.learner.device).type != "cpu" or cores < MIN_CORES_FOR_THREADS:
            return
        one = self.learn(net, seconds, count=False)
        for threads in (2**k for k in range(1, cores.bit_length()) if 2**k <= 3 * cores // 4):
            self.results.thread_gain[threads] = self.learn(net, seconds, count=False, threads=threads) / one


class _ActorPart:
    """The work of a playing process; results go into `results`."""

    def __init__(self, config: Config, game: Game, results: _Results, started: float) -> None:
        self.config, self.game, self.results, self.started = config, game, results, started
        self.observations = random_observations(game, 256, np.random.default_rng(0))
        self.trial: tuple[Config, Inference] | None = None

    def build(self, net: NetConfig) -> None:
        """Inference with a network, in the best number type."""
        config = with_values(replace(self.config, net=net), {"actors.games_per_actor": TRIAL_GAMES})
        on_gpu = choose_device(config.actors.device).type == "cuda"
        self.batches = GPU_BATCHES if on_gpu else CPU_BATCHES
        self.inference = networks.make_inference(config, self.game, config.actors, self.batches[-1])
        self.inference.load(networks.make_net(config, self.game).state_dict(), version=0)
        self.results.dtypes.append(str(self.inference.describe()["dtype"]))
        if self.trial is None:
            self.trial = config, self.inference
            self.results.start_seconds = time.time() - self.started
            self.results.actor_bytes = resident_bytes()

    def evaluate(self, seconds: float) -> None:
        """Positions/s for each batch size, by the median time of a batch; the sizes take turns, so that what disturbs
        one disturbs all."""
        sizes = {batch: np.resize(self.observations, (batch, *self.game.observation_shape)) for batch in self.batches}
        times: dict[int, list[float]] = {batch: [] for batch in sizes}
        start = time.perf_counter()
        while min(map(len, times.values())) < MIN_ROUNDS or time.perf_counter() - start < seconds:
            for batch, observations in sizes.items():
                began = time.perf_counter()
                self.inference.predict(observations)
                times[batch].append(time.perf_counter() - began)
        # Kernels for a size are prepared on first use.
        self.results.inference.append({batch: batch / statistics.median(row[1:]) for batch, row in times.items()})

    def play(self, seconds: float) -> None:
        """Self-play with the first network."""
        assert self.trial is not None
        config, inference = self.trial
        self.results.profile = profile_actor(config, self.game, inference, seconds, seconds / 2)
        self.results.tree_bytes = tree_bytes(config, self.game)
