"""Everything that a report says, as plain data: what is drawn, what the tables say, and what a reader should know.

In the flow: `selfplay report` reads groups of runs (`selfplay.reports.groups`) and makes a `Report`, which
`selfplay.reports.page` shows as text and as a page, and `selfplay.reports.pictures` draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfplay.reports.comparisons import Aggregate, Comparison, compare_groups, compare_over_games
from selfplay.reports.curves import Curve
from selfplay.reports.groups import Group
from selfplay.reports.panels import ELO, RETURN, Panel, anchors_of, games_of, main_curve, make_panels, unit_of
from selfplay.reports.runs import MINUTE
from selfplay.stats.scores import Estimate, Statistic, atari_game, human_normalised, interquartile_mean, mean

STATISTICS: dict[str, Statistic] = {"mean": mean, "iqm": interquartile_mean}
"""Statistics of several runs that a curve can show, by name."""

UNEVEN = 0.1
"""Runs of a group end at different places when they are further apart than this share of the last end."""


@dataclass(frozen=True)
class Summary:
    """A group's row of the table; what the group does not have is None."""

    group: Group
    metric: str | None  # the main evaluation
    last: Estimate | None  # of each run's own last value
    best: float | None  # highest point of the curve ...
    best_at: float | None  # ... and where
    human_normalised: float | None  # of `last`, for Atari games
    positions: float  # mean over runs, as the next two
    minutes: float
    positions_per_second: float


@dataclass(frozen=True)
class Report:
    """Everything that a report shows, as plain data."""

    x_axis: str
    statistic: str
    groups: tuple[Group, ...]
    panels: tuple[Panel, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    aggregates: tuple[Aggregate, ...]
    notes: tuple[str, ...]

    @property
    def games(self) -> list[str]:
        """The games, in the order of the groups."""
        return games_of(self.groups)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; None where there is no number."""
        curves = [
            {"group": curve.group.label, "game": panel.game, "metric": panel.metric, "runs": len(curve.members)}
            | {name: [_finite(value) for value in getattr(curve, name)] for name in ("x", "y", "low", "high")}
            for panel in self.panels
            for curve in panel.curves
        ]
        comparisons = [
            {"game": one.game, "first": one.first, "second": one.second, **_estimate_json(one.probability)}
            for one in self.comparisons
        ]
        aggregates = [
            {"group": one.label, "runs": one.runs, "games": one.games}
            | {name: _estimate_json(estimate) for name, estimate in one.estimates.items()}
            for one in self.aggregates
        ]
        return {
            "x": self.x_axis,
            "statistic": self.statistic,
            "groups": [_summary_json(row) for row in self.summaries],
            "comparisons": comparisons,
            "aggregates": aggregates,
            "curves": curves,
            "notes": list(self.notes),
        }


def make_report(groups: Sequence[Group], x_axis: str, statistic: str, notes: Sequence[str] = ()) -> Report:
    """Compute everything; `x_axis` is one of `X_AXES`, `statistic` one of `STATISTICS`, `notes` go before its own."""
    remarks = list(notes)
    panels = make_panels(groups, x_axis, STATISTICS[statistic], remarks)
    summaries = [_summary(group, main_curve(group, panels), STATISTICS[statistic]) for group in groups]
    for group in groups:
        remarks += _notes(group, [(panel, curve) for panel in panels for curve in panel.curves if curve.group is group])
        remarks += _ends(group, x_axis)
    remarks += _different_anchors(panels)
    aggregates, over_games = compare_over_games(groups, panels, remarks)
    comparisons = (*compare_groups(panels), *over_games)
    return Report(
        x_axis,
        statistic,
        tuple(groups),
        tuple(panels),
        tuple(summaries),
        comparisons,
        tuple(aggregates),
        tuple(dict.fromkeys(remarks)),
    )


def _summary(group: Group, curve: Curve | None, statistic: Statistic) -> Summary:
    last = None if curve is None else curve.last(statistic)
    best = best_at = normalised = None
    if curve is not None and len(curve.x):
        where = int(np.argmax(curve.y))
        best, best_at = float(curve.y[where]), float(curve.x[where])
    if curve is not None and last is not None and curve.metric == RETURN and atari_game(group.game):
        normalised = human_normalised(group.game, last.value)
    positions = float(np.mean([run.positions for run in group.runs]))
    minutes = float(np.mean([run.minutes for run in group.runs]))
    rate = positions / (MINUTE * minutes) if minutes > 0 else 0.0
    metric = None if curve is None else curve.metric
    return Summary(group, metric, last, best, best_at, normalised, positions, minutes, rate)


def _notes(group: Group, drawn: Sequence[tuple[Panel, Curve]]) -> list[str]:
    """Notes on curves that are not of all runs, or are none."""
    remarks = []
    if main_curve(group, [panel for panel, _ in drawn]) is None:
        remarks.append(f"{group.label}: no evaluation is finished yet")
    apart = [curve.metric for _, curve in drawn if not len(curve.x)]
    if apart:
        remarks.append(f"{group.label}: no curve of {', '.join(apart)}: its runs have no part of the axis in common")
    for panel, curve in drawn:
        if len(curve.members) < len(group.runs):
            remarks.append(f"{group.label}: {panel.metric} is of {len(curve.members)} of {len(group.runs)} runs")
    return remarks


def _different_anchors(panels: Sequence[Panel]) -> list[str]:
    """Notes on ratings that count from different players."""
    remarks = []
    for panel in panels:
        anchors = anchors_of(run for curve in panel.curves for run in curve.group.runs)
        if unit_of(panel.metric) == ELO and len(anchors) > 1:
            remarks.append(
                f"{panel.game}: {panel.metric} counts from {' in some runs, from '.join(anchors)} in others, so their "
                f"ratings cannot be compared"
            )
    return remarks


def _ends(group: Group, x_axis: str) -> list[str]:
    """Notes on where the runs of a group end, unless all end at about the same place."""
    ends = {run.path: run.end(x_axis) for run in group.runs}
    first, last = min(ends, key=lambda path: ends[path]), max(ends, key=lambda path: ends[path])
    if ends[last] - ends[first] <= UNEVEN * ends[last]:
        return []
    unit = "minutes" if x_axis == "time" else x_axis
    return [
        f"{group.label}: its curves end at {ends[first]:,.0f} {unit}, where {first} does; {last} went on to "
        f"{ends[last]:,.0f} (each counts with its own last value)"
    ]


def _summary_json(row: Summary) -> dict[str, Any]:
    return {
        "group": row.group.label,
        "game": row.group.game,
        "runs": [run.path for run in row.group.runs],
        "metric": row.metric,
        "last": None if row.last is None else _estimate_json(row.last),
        "best": row.best,
        "best_at": row.best_at,
        "human_normalised": row.human_normalised,
        "positions": row.positions,
        "minutes": row.minutes,
        "positions_per_second": row.positions_per_second,
    }


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    return {"value": _finite(estimate.value), "low": _finite(estimate.low), "high": _finite(estimate.high)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
