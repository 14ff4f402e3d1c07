"""What is drawn: the metrics that groups have in common, one panel a metric and game."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from selfplay.reports.curves import Curve, make_curve
from selfplay.reports.groups import Group
from selfplay.reports.runs import Run
from selfplay.stats.scores import Statistic
from selfplay.storage.metrics import METRICS

RETURN = "eval/return"

ELO = "Elo"
"""The unit of ratings."""

FIRST = (RETURN, "eval/elo", "selfplay/return", "selfplay/game_length", "train/loss")
"""Metrics that are shown before the others of their kind."""

_KINDS = {
    "Evaluation": re.compile(r"eval/(return|elo|score/.+)"),
    "Self-play": re.compile(r"selfplay/(return|game_length)"),
    "Losses": re.compile(r"train/((\w+_)?loss|td_error|bellman_residual)"),
}

KINDS = tuple(_KINDS)
"""Kinds of panels, in the order in which they are shown."""

EVALUATION = KINDS[0]


@dataclass(frozen=True)
class Panel:
    """One picture: a metric on one game, a curve a group."""

    kind: str
    game: str
    metric: str
    curves: tuple[Curve, ...]


def games_of(groups: Sequence[Group]) -> list[str]:
    """The games of groups, in their order."""
    return list(dict.fromkeys(group.game for group in groups))


def make_panels(groups: Sequence[Group], x_axis: str, statistic: Statistic, notes: list[str]) -> list[Panel]:
    """All panels, by kind, then metric, the main ones first. A kind that groups have nothing in common of is noted.

    A group that has nothing of a kind yet, such as a run before its first evaluation, does not keep the others from it.
    """
    panels = []
    for kind in KINDS:
        of_kind = []
        for game in games_of(groups):
            having, names = _in_common(kind, [group for group in groups if group.game == game], notes)
            for name in names:
                curves = tuple(make_curve(group, name, x_axis, statistic) for group in having)
                of_kind.append(Panel(kind, game, name, curves))
        metrics = sorted(dict.fromkeys(panel.metric for panel in of_kind), key=_place)
        panels += sorted(of_kind, key=lambda panel: metrics.index(panel.metric))
    return panels


def unit_of(metric: str) -> str:
    """The unit of a metric as docs/metrics.md has it; empty for plain numbers."""
    known = METRICS.get("eval/score/OPPONENT" if metric.startswith("eval/score/") else metric)
    return known.unit if known else ""


def anchors_of(runs: Iterable[Run]) -> list[str]:
    """The opponents that the ratings of runs count from, each once."""
    opponents = [run.settings["evaluation.opponents"] for run in runs]
    return list(dict.fromkeys(str(one[0]) for one in opponents if one))


def with_anchor(text: str, metric: str, groups: Iterable[Group]) -> str:
    """A text about a metric; where it is a rating, with the player that has 0."""
    if unit_of(metric) != ELO:
        return text
    anchors = anchors_of(run for group in groups for run in group.runs)
    return f"{text}, {' or '.join(anchors) or 'an unknown player'} = 0"


def main_curve(group: Group, panels: Sequence[Panel]) -> Curve | None:
    """The group's curve of the first evaluation that is drawn for its game; None where it has not been evaluated."""
    curves = [curve for panel in main_panels(panels) for curve in panel.curves]
    return next((curve for curve in curves if curve.group is group), None)


def main_panels(panels: Sequence[Panel]) -> list[Panel]:
    """The panel of the main evaluation of each game, as far as there is one."""
    first: dict[str, Panel] = {}
    for panel in panels:
        if panel.kind == EVALUATION:
            first.setdefault(panel.game, panel)
    return list(first.values())


def _in_common(kind: str, groups: Sequence[Group], notes: list[str]) -> tuple[list[Group], list[str]]:
    """The groups of a game that have metrics of a kind, and the metrics that all of these have."""
    names = {
        group.label: dict.fromkeys(name for run in group.runs for name in run.names if _KINDS[kind].fullmatch(name))
        for group in groups
    }
    having = [group for group in groups if names[group.label]]
    every = dict.fromkeys(itertools.chain(*names.values()))
    common = [name for name in every if all(name in names[group.label] for group in having)]
    if having and not common:
        notes.append(f"{groups[0].game}: the groups have no metric of this kind in common: {kind.lower()}")
    return having, common


def _place(metric: str) -> int:
    return FIRST.index(metric) if metric in FIRST else len(FIRST)
