"""From the series of several runs to one curve with a 95 % interval.

Runs write rows at different places. Between two rows of a run its value is taken to lie on the straight line; before
its first and after its last row nothing is known, and nothing is assumed. So the curve of a group goes over the part of
the axis that *all* of its runs have covered: every point is of the same runs, and a seed that ends early cannot make
the others seem to jump. The mean of such broken lines is broken at the places of all their rows, and those are the
places where a curve is computed, so nothing is smoothed away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from selfplay.reports.groups import Group
from selfplay.reports.runs import Series
from selfplay.stats.scores import Estimate, Statistic, bootstrap, bootstrap_band

MOST_POINTS = 300
"""Largest number of places of a curve; where the runs have more rows, the places are at equal distances."""

BOOTSTRAP_SEED = 0
"""Seed of the resampling, so that reports of the same rows are the same."""


@dataclass(frozen=True)
class Curve:
    """A metric of a group: of its single run as the run wrote it, of several their statistic and its interval."""

    group: Group
    metric: str
    x: Float[np.ndarray, " N"]  # empty where the runs have covered no common part of the axis
    y: Float[np.ndarray, " N"]
    low: Float[np.ndarray, " N"]  # NaN where there is no interval
    high: Float[np.ndarray, " N"]
    members: tuple[Series, ...]  # of the runs that have the metric

    def last(self, statistic: Statistic) -> Estimate:
        """The statistic of each run's own last value; the interval is NaN for a single run that wrote none."""
        if len(self.members) == 1:
            only = self.members[0]
            return Estimate(float(only.y[-1]), float(only.low[-1]), float(only.high[-1]))
        values = np.array([series.y[-1:] for series in self.members])
        return bootstrap(statistic, values, rng=np.random.default_rng(BOOTSTRAP_SEED))


def make_curve(group: Group, metric: str, x_axis: str, statistic: Statistic) -> Curve:
    """A curve of the runs of a group that have the metric; there must be one."""
    members = [run.series(metric, x_axis) for run in group.runs if metric in run.names]
    if len(members) == 1:
        only = members[0]
        return Curve(group, metric, only.x, only.y, only.low, only.high, (only,))
    x = common_places(members)
    y, low, high = np.empty((3, 0))
    if len(x):
        values = np.array([np.interp(x, series.x, series.y) for series in members])
        y, low, high = bootstrap_band(statistic, values, np.random.default_rng(BOOTSTRAP_SEED))
    return Curve(group, metric, x, y, low, high, tuple(members))


def common_places(members: Sequence[Series], most: int = MOST_POINTS) -> Float[np.ndarray, " N"]:
    """Where a curve of these series is computed: every place of a row that lies within all of them, at most `most`."""
    start = max(series.x[0] for series in members)
    end = min(series.x[-1] for series in members)
    places = np.unique(np.concatenate([series.x for series in members]))
    places = places[(places >= start) & (places <= end)]
    return places if len(places) <= most else np.linspace(start, end, most)
