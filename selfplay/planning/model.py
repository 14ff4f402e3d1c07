"""How many positions, games and steps a run will make: a simple model of the training loop.

In the flow: `selfplay.planning.measurements` measures machine and game, and `predict` makes the forecast of settings
there. `selfplay.planning.rules` chooses settings by it, and `selfplay.planning.warnings` names what is wrong with them.
`selfplay plan` prints all of it. Nothing here measures anything.

The model, with S simulations a move as set, G games an actor, N actors, T threads of the learner:

* a simulation takes an actor `overhead + e / r` seconds. The first is its share of tree, rules and cache; `e` is the
  number of evaluations, less than one by cache hits and finished games; the network makes `r` positions/s in batches of
  `e * G`;
* an actor makes `1 / (q * S * seconds)` positions/s, where q counts searches that end early (proofs, fast searches);
* the learner makes `l * gain(T)` samples/s, with l that of one thread, and draws `sample_reuse` samples for each
  position that is learned from: `steps * batch_size = sample_reuse * positions`;
* N + T busy cores do their work at `cores / (N + T)` of the speed when there are fewer; on a GPU, and on a single core,
  they take turns: `positions/s * (q * S * e / r + sample_reuse / l) <= 1` (on a single core with `overhead` too);
* whoever is faster waits: the learner at `sample_reuse`, the actors at `least_reuse` (where that is 0, at the same);
* a game lasts `N * G * length / (positions/s)` seconds, as all are played at once. Half of the positions of games that
  are under way when the budget ends are lost; actors need some seconds to start.

What it leaves out: a fresh network is measured, whose games are shorter and find less in the cache than those of a
trained one (real runs play 10 to 20 % more positions); matches during training take cores for a while.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nets.config import NetConfig
from selfplay.config.run import Config
from selfplay.replay.positions import row_bytes, window_size


@dataclass(frozen=True)
class NetSpeed:
    """One network on this machine."""

    net: NetConfig
    name: str
    weights: int
    """Number of weights of the trunk."""
    dtype: str
    """Number type in which actors evaluate it."""
    inference: Mapping[int, float]
    """Batch size to positions/s of one actor process, while the other cores are busy."""
    learner: float
    """Samples/s with one thread."""


@dataclass(frozen=True)
class Measurements:
    """The measurements of a machine with a game."""

    cores: int
    memory: int  # bytes that are free
    on_gpu: bool  # actors and learner share one
    squares: int  # of the board; actions where there is none
    game_length: float  # plies, of players that know nothing
    learned_share: float  # rows of the replay for each position played
    position_bytes: float  # in the replay
    compile_seconds: float
    start_seconds: float  # until an actor plays
    overhead: float  # seconds a simulation, all but the network
    evaluations: float  # network evaluations a simulation
    searched: float  # simulations a move over `search.num_simulations`
    cache_hits: float
    actor_bytes: int  # of a process without trees
    tree_bytes: float  # a simulation
    learner_bytes: int  # of a process without replay
    thread_gain: Mapping[int, float]  # threads to the learner's speed over that with one
    nets: tuple[NetSpeed, ...]  # the smallest first

    @property
    def row_bytes(self) -> float:
        """See `replay.positions.row_bytes`."""
        return row_bytes(self.position_bytes, self.learned_share)


@dataclass(frozen=True)
class Prediction:
    """The forecast of a run with certain settings. Shares are in [0, 1]."""

    positions_per_second: float
    positions: float  # of finished games, within the budget
    games: float
    steps: float
    samples: float
    samples_per_weight: float
    actors_busy: float  # share of their time in which actors do not wait for the learner
    learner_busy: float
    turns_taken: float  # share of the GPU (or only core) that actors alone would use, where they share it; else 0
    game_seconds: float
    play_seconds: float  # budget less the start of the actors
    window: int  # positions that are sampled at the end
    actor_memory: float  # bytes, all actors
    learner_memory: float  # bytes, with the replay


def predict(config: Config, measured: Measurements, speed: NetSpeed) -> Prediction:
    """The forecast of settings with `budget.minutes` and the network of `speed` (`config.net` is not used)."""
    actors, learner, replay = config.actors, config.learner, config.replay
    num_actors = max(1, actors.num_actors)
    # Samples for each position played: the most, and the least with which actors do not wait.
    reuse = replay.sample_reuse * measured.learned_share
    least = (replay.least_reuse or replay.sample_reuse) * measured.learned_share
    playing, learning = _seconds_a_position(config, measured, speed)
    if takes_turns(config, measured):
        turn = _turn_seconds(config, measured, speed)
        alone = min(num_actors / playing if measured.on_gpu else math.inf, 1.0 / turn)
        rate = min(alone, 1.0 / (turn + reuse * learning))
        turns_taken = alone * turn
    else:
        crowded = min(1.0, measured.cores / (num_actors + learner.threads))
        alone = crowded * num_actors / playing
        rate = min(alone, crowded / (least * learning))
        reuse = min(reuse, crowded / (rate * learning))
        learning, turns_taken = learning / crowded, 0.0
    play_seconds = max(0.0, 60 * config.budget.minutes - measured.start_seconds)
    in_flight = num_actors * actors.games_per_actor * measured.game_length
    positions = max(0.0, rate * play_seconds - in_flight / 2)
    kept = int(positions * measured.learned_share)
    samples = reuse * positions
    return Prediction(
        positions_per_second=rate,
        positions=positions,
        games=positions / measured.game_length,
        steps=samples / learner.batch_size,
        samples=samples,
        samples_per_weight=samples / max(1, speed.weights),  # a trunk without layers has none
        actors_busy=rate / alone,
        learner_busy=rate * reuse * learning,
        turns_taken=turns_taken,
        game_seconds=in_flight / rate,
        play_seconds=play_seconds,
        window=window_size(kept, replay),
        actor_memory=num_actors * actor_bytes(config, measured),
        learner_memory=measured.learner_bytes + min(kept, replay.capacity) * measured.row_bytes,
    )


def takes_turns(config: Config, measured: Measurements) -> bool:
    """True where actors and learner cannot work at the same time: one core, one process, or one GPU for both."""
    return measured.on_gpu or measured.cores == 1 or config.actors.num_actors == 0


def network_rate(speed: NetSpeed, batch: float) -> float:
    """Positions/s at a batch size: between those measured on a line, below in proportion, above as the largest."""
    sizes = sorted(speed.inference)
    return float(np.interp(batch, [0, *sizes], [0.0, *(speed.inference[size] for size in sizes)]))


def actor_bytes(config: Config, measured: Measurements) -> float:
    """Memory of one actor with its cache and its trees."""
    trees = config.actors.games_per_actor * config.search.num_simulations * measured.tree_bytes
    return measured.actor_bytes + 1e6 * config.search.cache_megabytes + trees


def _seconds_a_position(config: Config, measured: Measurements, speed: NetSpeed) -> tuple[float, float]:
    """Seconds of one actor for a position and of the learner for a sample, each with its cores to itself."""
    network = measured.evaluations / _batch_rate(config, measured, speed)
    playing = (measured.overhead + network) * measured.searched * config.search.num_simulations
    threads = sorted(measured.thread_gain)
    gain = float(np.interp(config.learner.threads, threads, [measured.thread_gain[n] for n in threads]))
    return playing, 1.0 / (speed.learner * gain)


def _turn_seconds(config: Config, measured: Measurements, speed: NetSpeed) -> float:
    """Seconds that a position keeps busy what actors and learner share: the core, or the GPU (by the network alone)."""
    if not measured.on_gpu:
        return _seconds_a_position(config, measured, speed)[0]
    network = measured.evaluations / _batch_rate(config, measured, speed)
    return network * measured.searched * config.search.num_simulations


def _batch_rate(config: Config, measured: Measurements, speed: NetSpeed) -> float:
    """Positions/s of the network in the batches that the actors will make."""
    return network_rate(speed, measured.evaluations * config.actors.games_per_actor)
