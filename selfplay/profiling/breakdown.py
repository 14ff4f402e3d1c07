"""Where the time and the memory of the training loop go, each part measured by itself.

In the flow: `selfplay bench` and `selfplay plan` call these in processes of their own. An actor is taken apart by
clocks around the methods of its game pools; they are put on the pools of this one measurement, so the actors of a run
have none. The network and its cache are timed in every actor.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

import games
from games import Game, StatePool
from nets.inference import Inference, one_thread
from selfplay.algorithms import alphazero, networks
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.models import blind_models, selfplay_models
from selfplay.config.run import Config
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.records import PADDING, GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import INDEX_TYPE, PositionReplay, columns_of
from selfplay.system.machine import resident_bytes

RANDOM_GAMES, RANDOM_PLIES = 16, 200
"""Number of games of `random_records`, and the number of moves after which they are cut off."""

LEAST_SHARE = 0.01
"""Least share of positions with a row in the replay: a few random games may have none."""

PROBE_SAMPLES = 16
"""Number of samples of the learner's first steps, which show the cost of a larger batch."""

POOL_CALLS = ("reset", "step", "copy", "load", "to_play", "legal", "chance", "observe")
"""Methods of a pool whose time counts as rules and observation."""


@dataclass(frozen=True)
class LearnerSpeed:
    """Steps on positions of random games: sampling from the replay and gradient descent, as in the loop of a run."""

    samples: int
    seconds: float
    sampling_seconds: float
    """The part of `seconds` in the replay."""
    resident_bytes: int
    """Memory of the whole process that learned."""

    @property
    def per_second(self) -> float:
        """Samples/s."""
        return self.samples / self.seconds


@dataclass(frozen=True)
class ActorProfile:
    """The time of one actor, in seconds, by its parts."""

    seconds: float
    network: float
    games: float
    """Time in rules and observations."""
    cache: float
    counts: SelfPlayCounts
    unfinished: int
    """Number of simulations of searches under way at the end, less those at the beginning."""

    @property
    def tree(self) -> float:
        """The rest: kernels of the search, and the records of the games."""
        return self.seconds - self.network - self.games - self.cache

    @property
    def simulations_per_move(self) -> float | None:
        """Simulations of each move that was played; None where there was none.

        Games that start together move together: in a short measurement, all simulations over all moves would be wrong.
        """
        return (self.counts.simulations - self.unfinished) / self.counts.positions if self.counts.positions else None


def random_records(config: Config, game: Game, count: int = RANDOM_GAMES) -> list[GameRecord]:
    """`count` games of players that know nothing, as an actor would record them; long ones are cut off."""
    plies = min(config.actors.max_plies or RANDOM_PLIES, RANDOM_PLIES)
    actors = replace(
        config.actors, games_per_actor=count, opening_plies=0, max_plies=plies, temperature_plies=plies, temperature=1.0
    )
    collector = _blind_selfplay(replace(config, search=replace(config.search, num_simulations=2), actors=actors), game)
    records: list[GameRecord] = []
    while not collector.done:
        records += collector.collect()
    return records


def position_bytes(config: Config, game: Game, records: Sequence[GameRecord]) -> int:
    """Bytes of a position in the replay and of its row, with room for the most legal actions in `records`."""
    width = max(record.legal_actions.shape[1] for record in records)
    columns, _ = columns_of(records[0], TargetSettings.of(config, game))
    return INDEX_TYPE.itemsize + sum(
        array.dtype.itemsize * (width if name in PADDING else math.prod(array.shape[1:]))
        for name, array in columns.items()
    )


def learned_share(config: Config, game: Game, records: Sequence[GameRecord]) -> float:
    """Rows of the replay, by the weights of positions, for each position that was played; LEAST_SHARE at least."""
    replay = PositionReplay(config.replay, game.num_actions, [], TargetSettings.of(config, game))
    return max(LEAST_SHARE, sum(map(replay.rows_of, records)) / sum(map(len, records)))


def measure_learner(config: Config, game: Game, records: Sequence[GameRecord], seconds: float) -> LearnerSpeed:
    """Learn from `records` for `seconds`, and one step at least, with the network, batch, device and threads of the
    settings; the first two steps, with fewer samples, are not counted.

    A batch that takes more than half of `seconds` is measured with fewer samples.
    """
    rng = np.random.default_rng(0)
    with torch_threads(config.learner.threads):
        net, loss = networks.make_net(config, game), alphazero.make_loss(config, game)
        learner = Learner(net, config.learner, loss)
        symmetries = game.symmetries() if config.learner.symmetries else []
        replay = PositionReplay(config.replay, game.num_actions, symmetries, TargetSettings.of(config, game))
        for record in records:
            replay.add(record)
        for _ in range(2):
            start = time.perf_counter()
            learner.step(replay.sample(PROBE_SAMPLES, rng), 0.5)
            probe = time.perf_counter() - start
        size = min(config.learner.batch_size, max(PROBE_SAMPLES, int(PROBE_SAMPLES * seconds / 2 / probe)))
        samples, sampling_seconds, start = 0, 0.0, time.perf_counter()
        while samples == 0 or time.perf_counter() - start < seconds:
            sampling = time.perf_counter()
            batch = replay.sample(size, rng)
            sampling_seconds += time.perf_counter() - sampling
            learner.step(batch, 0.5)
            samples += size
        return LearnerSpeed(samples, time.perf_counter() - start, sampling_seconds, resident_bytes())


def learner_speed(ready: Callable[[], object], config: Config, seconds: float) -> LearnerSpeed:
    """`measure_learner` for `run_together`: in a process of its own, so that its memory is the learner's alone."""
    game = games.load(config.game)
    records = random_records(config, game)
    ready()
    return measure_learner(config, game, records, seconds)


def profile_actor(config: Config, game: Game, inference: Inference, seconds: float, warm_up: float) -> ActorProfile:
    """Play with `inference` for `seconds`, after `warm_up` seconds that are not counted; a call of the search each at
    least."""
    clock = _Clock()
    timed, rng = _timed(game, clock), np.random.default_rng(config.seed)
    collector = SelfPlay(
        timed, selfplay_models(config, timed, inference.predict, rng), config.search, config.actors, rng
    )
    _play(collector, warm_up)
    collector.take_counts()
    clock.seconds, under_way = 0.0, collector.search.simulations()
    counted = _play(collector, seconds)
    counts, under_way = collector.take_counts(), collector.search.simulations() - under_way
    return ActorProfile(counted, counts.network_seconds, clock.seconds, counts.cache_seconds, counts, under_way)


def actor_profile(ready: Callable[[], object], config: Config, seconds: float, warm_up: float) -> ActorProfile:
    """`profile_actor` for `run_together`, with a fresh network."""
    one_thread()
    game = games.load(config.game)
    inference = networks.make_inference(config, game, config.actors, config.actors.games_per_actor)
    inference.load(networks.make_net(config, game).state_dict(), version=0)
    ready()
    return profile_actor(config, game, inference, seconds, warm_up)


def tree_bytes(config: Config, game: Game) -> float:
    """Memory of a simulation: node, edges and position, by how much the process grows over one move of all games.

    The kernels must be loaded already, or their memory is counted too. Never less than the arrays of the tree.
    """
    before = resident_bytes()
    collector = _blind_selfplay(replace(config, search=replace(config.search, cache_megabytes=0)), game)
    for _ in range(config.search.num_simulations):
        collector.collect()
    grown = max(collector.search.nbytes, resident_bytes() - before)
    return grown / (config.search.num_simulations * config.actors.games_per_actor)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use `threads` threads within the block, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _blind_selfplay(config: Config, game: Game) -> SelfPlay:
    """One round of games with a network that returns zeros."""
    models, rng = blind_models(game), np.random.default_rng(0)
    return SelfPlay(game, models, config.search, config.actors, rng, endless=False)


def _timed(game: Game, clock: _Clock) -> Game:
    """The same game, whose pools count their time on the clock."""

    def new_pool(capacity: int) -> StatePool:
        pool = game.new_pool(capacity)
        clock.wrap(pool, POOL_CALLS)
        return pool

    timed = copy.copy(game)
    timed.new_pool = new_pool  # type: ignore[method-assign]
    return timed


def _play(collector: SelfPlay, seconds: float) -> float:
    """Play for `seconds`; returns how long it really was."""
    start = time.perf_counter()
    collector.collect()
    while time.perf_counter() - start < seconds:
        collector.collect()
    return time.perf_counter() - start


class _Clock:
    """Sums the time inside the methods that it wraps; a call within a call counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def wrap(self, owner: object, names: Sequence[str]) -> None:
        """Replace methods of this one object."""
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            self._depth += 1
            try:
                return method(*arguments, **named)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.perf_counter() - start

        return call
