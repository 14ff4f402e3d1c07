"""Groups against each other: who ends better how likely, and human-normalised scores over several Atari games.

Everything is of each run's last evaluation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from selfplay.reports.curves import BOOTSTRAP_SEED, Curve
from selfplay.reports.groups import Group
from selfplay.reports.panels import EVALUATION, RETURN, Panel, games_of, main_curve
from selfplay.stats.scores import (
    Estimate,
    Statistic,
    atari_game,
    bootstrap,
    human_normalised,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    probability_of_improvement,
)

AGGREGATES: dict[str, Statistic] = {
    "IQM": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality gap": optimality_gap,
}
"""Aggregates of human-normalised scores over several games."""

FEWEST_COMPARED = 3
"""Fewest runs of a group that is compared with another."""


@dataclass(frozen=True)
class Comparison:
    """How likely a run of one group ends better than a run of another."""

    game: str | None  # None: over all games
    first: str
    second: str
    probability: Estimate


@dataclass(frozen=True)
class Aggregate:
    """Human-normalised scores of a method over several Atari games."""

    label: str
    runs: int  # of each game
    games: int
    estimates: dict[str, Estimate]  # by the names of AGGREGATES


def compare_groups(panels: Sequence[Panel]) -> list[Comparison]:
    """All pairs of groups with enough runs, by the main evaluation of their game."""
    by_game: dict[str, list[Comparison]] = {}
    for panel in panels:
        if panel.kind == EVALUATION and panel.game not in by_game:
            by_game[panel.game] = _compare(
                {curve.group.label: _last_scores(curve) for curve in panel.curves}, panel.game
            )
    return list(itertools.chain(*by_game.values()))


def compare_over_games(
    groups: Sequence[Group], panels: Sequence[Panel], notes: list[str]
) -> tuple[list[Aggregate], list[Comparison]]:
    """Aggregates over several Atari games, and comparisons of methods by them; nothing for other games, or one alone.

    A method must have as many evaluated runs of every game as of the others, else it is left out with a note.
    """
    games = games_of(groups)
    if len(games) < 2 or not all(map(atari_game, games)):
        return [], []
    scores: dict[str, np.ndarray] = {}
    for label in dict.fromkeys(group.label for group in groups):
        curves = {group.game: main_curve(group, panels) for group in groups if group.label == label}
        columns = [_normalised(game, curves.get(game)) for game in games]
        if len({len(column) for column in columns}) == 1 and len(columns[0]):
            scores[label] = np.array(columns).T
        else:
            notes.append(f"{label}: not aggregated over games, it has not as many evaluated runs of each of them")
    aggregates = [
        Aggregate(label, len(values), len(games), {name: _bootstrap(AGGREGATES[name], values) for name in AGGREGATES})
        for label, values in scores.items()
    ]
    return aggregates, _compare(scores, None)


def _compare(scores: dict[str, np.ndarray], game: str | None) -> list[Comparison]:
    enough = [label for label, values in scores.items() if len(values) >= FEWEST_COMPARED]
    return [
        Comparison(game, first, second, _bootstrap(probability_of_improvement, scores[first], scores[second]))
        for first, second in itertools.combinations(enough, 2)
    ]


def _last_scores(curve: Curve) -> Float[np.ndarray, "runs 1"]:
    return np.array([series.y[-1:] for series in curve.members])


def _normalised(game: str, curve: Curve | None) -> list[float]:
    """The last human-normalised scores of a group's runs; none where it has no evaluation by returns."""
    if curve is None or curve.metric != RETURN:
        return []
    return [human_normalised(game, value) for value in _last_scores(curve)[:, 0]]


def _bootstrap(statistic: Statistic, *scores: np.ndarray) -> Estimate:
    return bootstrap(statistic, *scores, rng=np.random.default_rng(BOOTSTRAP_SEED))
