"""Scores of several runs on several tasks: aggregates, and how sure they are, after Agarwal et al. 2021.

In the flow: `selfplay report` (`selfplay.reports`) compares groups of runs with these. Pure functions of numbers.
"Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021) says why: few runs a task, few
tasks, and a mean or median that a single one of them can move. `scores` are [runs, tasks], one score a run; aggregates
take any number of axes before these two, so that thousands of resamples are one call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from selfplay.errors import UserError, did_you_mean

REPETITIONS = 2000
"""Resamples of a bootstrap (Agarwal et al.: 50 000 for aggregates, 2 000 for the probability of improvement)."""

MOST_NUMBERS = 1 << 22
"""Largest number of values that are resampled at once: 32 MiB of them."""

_QUANTILES_95 = (0.025, 0.975)

Statistic = Callable[..., np.ndarray]
"""From scores [..., runs, tasks], of one group or two, to numbers [...]."""


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


# Aggregates.


def mean(scores: Float[np.ndarray, "*batch runs tasks"]) -> Float[np.ndarray, "*batch"]:
    """Mean over tasks of the mean over runs; one large score moves it."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def median(scores: Float[np.ndarray, "*batch runs tasks"]) -> Float[np.ndarray, "*batch"]:
    """Median over tasks of the mean over runs; half of the tasks may have any score below it."""
    return np.asarray(np.median(scores.mean(axis=-2), axis=-1))


def interquartile_mean(scores: Float[np.ndarray, "*batch runs tasks"]) -> Float[np.ndarray, "*batch"]:
    """Mean of the middle half of all runs of all tasks together.

    Of n scores the floor(n / 4) least and as many of the greatest are left out (the 25 % trimmed mean); with three or
    fewer this is the mean.
    """
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return np.asarray(flat[..., cut : flat.shape[-1] - cut].mean(axis=-1))


def optimality_gap(scores: Float[np.ndarray, "*batch runs tasks"], target: float = 1.0) -> Float[np.ndarray, "*batch"]:
    """How far the runs fall short of `target` on average, what lies above it not counted; less is better.

    target - mean of min(score, target) (Agarwal et al.: target 1 for human-normalised scores).
    """
    return np.asarray(target - np.minimum(scores, target).mean(axis=(-2, -1)))


def probability_of_improvement(
    scores: Float[np.ndarray, "*batch runs tasks"], others: Float[np.ndarray, "*batch others tasks"]
) -> Float[np.ndarray, "*batch"]:
    """How likely a run of the first group is better than one of the second on a task drawn at random; ties half.

    The mean over tasks of U / (runs * others), with U of Mann and Whitney (1947).
    """
    first, second = scores[..., :, None, :], others[..., None, :, :]
    return np.asarray(((first > second) + 0.5 * (first == second)).mean(axis=(-3, -2, -1)))


# Intervals.


def bootstrap(
    statistic: Statistic,
    *groups: Float[np.ndarray, "_ tasks"],
    rng: np.random.Generator,
    repetitions: int = REPETITIONS,
) -> Estimate:
    """A statistic of one or two groups of runs with its 95 % interval, by the stratified percentile bootstrap.

    Every resample draws, for each task by itself, as many runs as there are, with replacement; the interval goes from
    the 2.5 % to the 97.5 % quantile of the statistic. It says how other seeds might have come out, on the same tasks.
    With few runs it is too narrow (docs/reports.md has figures), and with one run it has no width.

    Raises ValueError for scores that are not [runs, tasks], empty, not finite, or of different tasks.
    """
    for scores in groups:
        if scores.ndim != 2 or 0 in scores.shape or scores.shape[1] != groups[0].shape[1]:
            raise ValueError(f"scores of shapes {[group.shape for group in groups]}, not [runs, tasks] each")
        if not np.isfinite(scores).all():
            raise ValueError("a score is not finite")
    numbers = int(np.prod([len(scores) for scores in groups])) * groups[0].shape[1]
    at_once = max(1, min(repetitions, MOST_NUMBERS // numbers))
    resampled: list[np.ndarray] = []
    for start in range(0, repetitions, at_once):
        count = min(at_once, repetitions - start)
        resampled.append(statistic(*(_resample(scores, count, rng) for scores in groups)))
    low, high = np.quantile(np.concatenate(resampled), _QUANTILES_95)
    return Estimate(float(statistic(*groups)), float(low), float(high))


def bootstrap_band(
    statistic: Statistic,
    curves: Float[np.ndarray, "runs points"],
    rng: np.random.Generator,
    repetitions: int = REPETITIONS,
) -> Float[np.ndarray, "3 points"]:
    """`bootstrap` at every point of curves: the statistic over runs, and the ends of its 95 % interval at each point.

    All points share the resamples, so whole curves are drawn and the band is as smooth as they are. It holds point by
    point: the whole true curve lies within it less often. Raises ValueError for curves that are empty or not finite.
    """
    if curves.ndim != 2 or 0 in curves.shape or not np.isfinite(curves).all():
        raise ValueError(f"curves of shape {curves.shape} are not finite [runs, points]")
    runs, points = curves.shape
    index = rng.integers(runs, size=(repetitions, runs))
    at_once = max(1, MOST_NUMBERS // index.size)
    band = np.empty((3, points))
    for start in range(0, points, at_once):
        some = curves[:, start : start + at_once]
        drawn = statistic(some[index].swapaxes(1, 2)[..., None])  # [repetitions, points, runs, 1 task]
        band[0, start : start + at_once] = statistic(some.T[..., None])
        band[1:, start : start + at_once] = np.quantile(drawn, _QUANTILES_95, axis=0)
    return band


def _resample(scores: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` times the runs of each task, drawn with replacement: [count, runs, tasks]."""
    index = rng.integers(len(scores), size=(count, *scores.shape))
    return np.asarray(scores[index, np.arange(scores.shape[1])])


# Atari.


def human_normalised(game: str, score: float) -> float:
    """A score of an Atari game on the scale where playing at random is 0 and a professional tester is 1.

    (score - random) / (human - random) (Mnih et al. 2015), `score` the return of whole games with the rewards of the
    game itself. `game` is a name of `HUMAN_SCORES` or an environment's, such as `ALE/Pong-v5` or `pong`. Raises
    UserError for another.
    """
    name = atari_game(game)
    if name is None:
        raise UserError(f"{game}: no human score is known{did_you_mean(game, HUMAN_SCORES)}")
    random, human = HUMAN_SCORES[name]
    return (score - random) / (human - random)


def atari_game(text: str) -> str | None:
    """The name in `HUMAN_SCORES` of an environment's text, or None where it is another environment."""
    match = re.fullmatch(r"(?:ALE/)?([A-Za-z_]+?)(?:NoFrameskip|Deterministic)?(?:-v\d+)?(?:\(.*\))?", text)
    return None if match is None else _BY_PLAIN_NAME.get(match[1].replace("_", "").lower())


# fmt: off
HUMAN_SCORES: dict[str, tuple[float, float]] = {
    "Alien": (227.8, 7127.7), "Amidar": (5.8, 1719.5), "Assault": (222.4, 742.0), "Asterix": (210.0, 8503.3),
    "Asteroids": (719.1, 47388.7), "Atlantis": (12850.0, 29028.1), "BankHeist": (14.2, 753.1),
    "BattleZone": (2360.0, 37187.5), "BeamRider": (363.9, 16926.5), "Berzerk": (123.7, 2630.4),
    "Bowling": (23.1, 160.7), "Boxing": (0.1, 12.1), "Breakout": (1.7, 30.5), "Centipede": (2090.9, 12017.0),
    "ChopperCommand": (811.0, 7387.8), "CrazyClimber": (10780.5, 35829.4), "Defender": (2874.5, 18688.9),
    "DemonAttack": (152.1, 1971.0), "DoubleDunk": (-18.6, -16.4), "Enduro": (0.0, 860.5),
    "FishingDerby": (-91.7, -38.7), "Freeway": (0.0, 29.6), "Frostbite": (65.2, 4334.7), "Gopher": (257.6, 2412.5),
    "Gravitar": (173.0, 3351.4), "Hero": (1027.0, 30826.4), "IceHockey": (-11.2, 0.9), "Jamesbond": (29.0, 302.8),
    "Kangaroo": (52.0, 3035.0), "Krull": (1598.0, 2665.5), "KungFuMaster": (258.5, 22736.3),
    "MontezumaRevenge": (0.0, 4753.3), "MsPacman": (307.3, 6951.6), "NameThisGame": (2292.3, 8049.0),
    "Phoenix": (761.4, 7242.6), "Pitfall": (-229.4, 6463.7), "Pong": (-20.7, 14.6), "PrivateEye": (24.9, 69571.3),
    "Qbert": (163.9, 13455.0), "Riverraid": (1338.5, 17118.0), "RoadRunner": (11.5, 7845.0), "Robotank": (2.2, 11.9),
    "Seaquest": (68.4, 42054.7), "Skiing": (-17098.1, -4336.9), "Solaris": (1236.3, 12326.7),
    "SpaceInvaders": (148.0, 1668.7), "StarGunner": (664.0, 10250.0), "Surround": (-10.0, 6.5),
    "Tennis": (-23.8, -8.3), "TimePilot": (3568.0, 5229.2), "Tutankham": (11.4, 167.6), "UpNDown": (533.4, 11693.2),
    "Venture": (0.0, 1187.5), "VideoPinball": (16256.9, 17667.9), "WizardOfWor": (563.5, 4756.5),
    "YarsRevenge": (3092.9, 54576.9), "Zaxxon": (32.5, 9173.3),
}
# fmt: on
"""Scores of random play and of a human in the 57 games of the literature, named as in the Arcade Learning Environment.

Games begin with up to 30 actions that do nothing and last 30 minutes at most (Wang et al., "Dueling Network
Architectures for Deep Reinforcement Learning", ICML 2016; for some games Mnih et al. 2015 had other values).
"""

_BY_PLAIN_NAME = {name.lower(): name for name in HUMAN_SCORES}
