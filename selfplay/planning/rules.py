"""Rules that choose settings for a machine, a game and a budget, by the model of `selfplay.planning.model`.

For each network, in this order:

1. as many games an actor as fill the network's batch;
2. all cores but those of the learner play, an actor each; on a GPU no more than keep it busy. The learner gets the
   fewest threads with which it can draw TARGET_REUSE samples a position (the most, if none suffices);
3. simulations grow with the square root of the positions that the budget gives: four times the budget is twice the
   positions with twice the simulations. REFERENCE_SIMULATIONS belong to REFERENCE_POSITIONS for each square of the
   board (action, where there is no board). More, where the learner could not follow the actors otherwise;
4. fewer games an actor where a game would take more than LONG_GAME of the budget, or the trees too much memory;
5. `sample_reuse` is what the learner can do with SPARE to spare, so that actors never wait, within REUSE; `least_reuse`
   is no more than that;
6. the window starts with 5 % of the positions expected, and FEWEST_GAMES at least.

Of the networks the largest is taken for which the learner draws SAMPLES_PER_WEIGHT samples for each weight of the trunk
(heads are left out: their size is the game's, not the network's), the smallest where the budget is too short for all.
Those that are evaluated more slowly than a larger one are not considered (kernels for bytes like multiples of 64
channels). The numbers come from 15 minutes of Connect Four on two cores, where 64x3 with 650,000 positions was best
(benchmarks/results/2026-11-27-zen4-xeon-connect-four-settings.md).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from selfplay.config.run import Config, ReplayConfig
from selfplay.config.schema import with_values
from selfplay.planning.model import (
    Measurements,
    NetSpeed,
    Prediction,
    actor_bytes,
    predict,
    takes_turns,
)
from selfplay.replay.positions import window_size

SAMPLES_PER_WEIGHT = 4.0
"""Fewest samples for each weight of the trunk of a network. 64x3 had 6.1 in 15 minutes, 64x5 would have had 2.4."""

OUTDONE = 1.2
"""A larger network must be this many times as fast for a smaller one to be left out; less may be noise."""

TARGET_REUSE = 2.0
"""Samples a position for which the learner is given more threads (`configs/connect_four.yaml`: between 1.5 and 4)."""

REUSE = (1.0, 4.0)
"""Least and greatest `sample_reuse` proposed (KataGo: about 4)."""

SPARE = 0.1
"""Share of the learner's speed that is not planned with."""

REFERENCE_SIMULATIONS = {"gumbel": 40, "puct": 80}
"""A search that is good for REFERENCE_POSITIONS; PUCT needs more than Gumbel (Danihelka et al. 2022)."""

REFERENCE_POSITIONS = 15_000
"""Number of positions for each square: 630,000 in Connect Four."""

SIMULATIONS = (16, 24, 32, 40, 48, 64, 80, 100, 128, 160, 200, 400, 800)
GAMES_AT_ONCE = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)

UNBOUND = 0.01
"""A `sample_reuse` (the least that settings may have) with which no actor waits."""

FULL_BATCH = 0.95
"""Share of the best speed at which a batch counts as full, and a GPU as busy."""

LONG_GAME = 0.05
"""Share of the budget that a game may take."""

FEWEST_GAMES = 500
"""Fewest games in the window from which the learner samples."""

TREE_SHARE, REPLAY_SHARE = 0.5, 0.25
"""Shares of the memory for actors and for the replay."""

PLANNED = (
    "net.channels", "net.blocks", "net.hidden", "net.layers", "search.num_simulations", "actors.num_actors",
    "actors.games_per_actor", "learner.threads", "replay.sample_reuse", "replay.least_reuse", "replay.capacity",
    "replay.window_start",
)  # fmt: skip
"""The settings that a plan may change."""


@dataclass(frozen=True)
class Plan:
    """The proposed settings, and the measurements and forecasts behind them."""

    original: Config
    config: Config
    given: tuple[str, ...]
    """Settings of PLANNED that the command line fixed."""
    chosen: NetSpeed
    prediction: Prediction
    candidates: tuple[tuple[NetSpeed, Prediction], ...]
    """All networks with their best settings."""
    measured: Measurements

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Dotted keys with the old and the new value."""
        pairs = {key: (attrgetter(key)(self.original), attrgetter(key)(self.config)) for key in PLANNED}
        return {key: (old, new) for key, (old, new) in pairs.items() if old != new}

    @property
    def overrides(self) -> list[str]:
        """The changes as options of the command line."""
        return [token for key, (_, new) in self.changes.items() for token in (f"--{key.replace('_', '-')}", str(new))]


def propose(config: Config, given: Sequence[str], measured: Measurements) -> Plan:
    """The plan for settings with `budget.minutes`; those whose dotted keys are in `given` are kept."""
    kept = tuple(key for key in PLANNED if key in given)
    planned = [(speed, _plan_for(config, kept, measured, speed)) for speed in measured.nets]
    candidates = tuple((speed, predict(settings, measured, speed)) for speed, settings in planned)
    sensible = [i for i, speed in enumerate(measured.nets) if not _is_outdone(speed, measured)]
    good = [i for i in sensible if candidates[i][1].samples_per_weight >= SAMPLES_PER_WEIGHT]
    best = max(good, default=sensible[0])
    return Plan(config, planned[best][1], kept, *candidates[best], candidates, measured)


def _is_outdone(speed: NetSpeed, measured: Measurements) -> bool:
    """True where a larger network is clearly faster to evaluate."""
    rate = max(speed.inference.values())
    return any(max(s.inference.values()) > OUTDONE * rate for s in measured.nets if s.weights > speed.weights)


# The rules, one by one: each looks at settings and says what one or two of them should be.


def _plan_for(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> Config:
    """The settings with everything decided but what is `given`, for one network."""
    config = dataclasses.replace(config, net=speed.net)
    if "actors.num_actors" not in given:  # the rules must not think of a single process that plays and learns in turn
        config = with_values(config, {"actors.num_actors": 1})
    for decide in (_games, _cores, _simulations, _shorter_games, _reuse, _window):
        values = {key: value for key, value in decide(config, given, measured, speed).items() if key not in given}
        config = with_values(config, values)
    return config


def _games(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    enough = FULL_BATCH * max(speed.inference.values())
    batch = min(size for size, rate in speed.inference.items() if rate >= enough)
    full = [n for n in GAMES_AT_ONCE if n * measured.evaluations >= batch]
    return {"actors.games_per_actor": min(full, default=GAMES_AT_ONCE[-1])}


def _cores(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    room = max(1, int(TREE_SHARE * measured.memory / actor_bytes(config, measured)))
    threads = [config.learner.threads] if "learner.threads" in given else sorted(measured.thread_gain)
    options: list[dict[str, Any]] = []
    for count in threads[:1] if takes_turns(config, measured) else threads:
        num_actors = min(room, max(1, measured.cores - count))
        if "actors.num_actors" in given:
            num_actors = config.actors.num_actors
        if not options or num_actors + count <= measured.cores:
            options.append({"actors.num_actors": num_actors, "learner.threads": count})
    if measured.on_gpu and "actors.num_actors" not in given:
        options = [{**option, "actors.num_actors": _busy_gpu(config, option, measured, speed)} for option in options]
    enough = (o for o in options if _affordable_reuse(with_values(config, o), measured, speed) >= TARGET_REUSE)
    return next(enough, options[-1])


def _busy_gpu(config: Config, option: dict[str, Any], measured: Measurements, speed: NetSpeed) -> int:
    """The fewest actors that play nearly as fast as all of `option` together."""

    def rate(num_actors: int) -> float:
        settings = with_values(config, {**option, "actors.num_actors": num_actors})
        return predict(settings, measured, speed).positions_per_second

    most = option["actors.num_actors"]
    return next(n for n in range(1, most + 1) if rate(n) >= FULL_BATCH * rate(most))


def _simulations(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    reference = REFERENCE_SIMULATIONS[config.search.rule]
    at_reference = _unbound(with_values(config, {"search.num_simulations": reference}))
    positions = predict(at_reference, measured, speed).positions
    wanted = reference * math.sqrt(positions / (REFERENCE_POSITIONS * measured.squares))
    affordable = max((n for n in SIMULATIONS if n <= wanted), default=SIMULATIONS[0])
    for count in (n for n in SIMULATIONS if n >= affordable):
        settings = with_values(config, {"search.num_simulations": count})
        if _affordable_reuse(settings, measured, speed) >= REUSE[0]:
            break
    return {"search.num_simulations": count}


def _shorter_games(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    count = config.actors.games_per_actor
    while count > GAMES_AT_ONCE[0]:
        prediction = predict(_unbound(with_values(config, {"actors.games_per_actor": count})), measured, speed)
        is_long = prediction.game_seconds > LONG_GAME * 60 * config.budget.minutes
        if not is_long and prediction.actor_memory <= TREE_SHARE * measured.memory:
            break
        count //= 2
    return {"actors.games_per_actor": count}


def _reuse(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    least, greatest = REUSE
    affordable = min(greatest, max(least, _affordable_reuse(config, measured, speed)))
    reuse = math.floor(10 * affordable) / 10
    if "replay.least_reuse" in given:
        reuse = max(reuse, config.replay.least_reuse)
    return {"replay.sample_reuse": reuse, "replay.least_reuse": min(reuse, config.replay.least_reuse)}


def _window(config: Config, given: Sequence[str], measured: Measurements, speed: NetSpeed) -> dict[str, Any]:
    kept = predict(config, measured, speed).positions * measured.learned_share
    start = config.replay.window_start
    if "replay.window_start" not in given:
        start = _round_up(max(0.05 * kept, FEWEST_GAMES * measured.game_length * measured.learned_share))
    endless = ReplayConfig(capacity=10**12, window_start=start, window_exponent=config.replay.window_exponent)
    room = _round_up(max(1.25 * window_size(int(kept), endless), start))
    fitting = int(REPLAY_SHARE * measured.memory / measured.row_bytes)
    return {"replay.window_start": start, "replay.capacity": max(config.replay.min_positions, min(room, fitting))}


def _affordable_reuse(config: Config, measured: Measurements, speed: NetSpeed) -> float:
    """Samples a position that the learner can draw, with SPARE, while the actors play as fast as they can.

    Where both take turns every sample costs positions: TARGET_REUSE, or more where a GPU would be idle otherwise.
    """
    alone = predict(_unbound(config), measured, speed)
    affordable = (1.0 - SPARE) * UNBOUND * (1.0 - alone.turns_taken) / max(alone.learner_busy, 1e-12)
    return max(TARGET_REUSE, affordable) if takes_turns(config, measured) else affordable


def _unbound(config: Config) -> Config:
    """The settings with actors that never wait for the learner."""
    return with_values(config, {"replay.sample_reuse": UNBOUND, "replay.least_reuse": 0.0})


def _round_up(number: float) -> int:
    """The number rounded up to its first two digits."""
    step = 10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return math.ceil(number / step) * step
