"""A report as small multiples: one axes a panel, a colour a label, bands for intervals, thin lines for single runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from selfplay.reports.curves import Curve
from selfplay.reports.html import as_png, new_figure
from selfplay.reports.panels import Panel, unit_of, with_anchor
from selfplay.reports.report import STATISTICS, Report
from selfplay.reports.runs import MINUTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LineStyle = Literal["-", "--", ":"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of labels, which people with colour blindness tell apart too (Okabe and Ito 2008)."""

LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", ":")
"""Styles of lines: the next one when the colours are used up."""

FEW_POINTS = 40
"""Largest number of points of a curve that are marked."""

HOURS_FROM = 240.0
"""Minutes from which time is shown in hours."""

FEW_COLUMNS, MOST_COLUMNS = 2, 3
"""Numbers of columns of a picture: few where two lines are enough, else most."""

LONGEST_GAME = 30
"""Largest number of characters of a game in a title."""

_AXIS_NAMES = {"positions": "positions", "time": "minutes of training", "steps": "steps of the learner"}
_CELL, _LARGE_CELL, _ROW = (4.6, 2.9), (9.2, 4.4), 0.4  # inches


def draw(report: Report, panels: Sequence[Panel]) -> bytes:
    """Some panels of the report as PNG, each kind in rows of its own. One panel alone is large."""
    from matplotlib.lines import Line2D

    rows = _rows(report, panels)
    columns = max(map(len, rows), default=1)
    width, height = _CELL if len(panels) > 1 else _LARGE_CELL
    without_curves = all(map(is_of_one_time, panels))
    if without_curves:
        height = 1.0 + _ROW * max((len(panel.curves) for panel in panels), default=1)
    figure = new_figure(max(7.0, width * columns), 0.5 + height * max(1, len(rows)))
    grid = figure.subplots(max(1, len(rows)), columns, squeeze=False)
    looks = _looks(report)
    for i, row in enumerate(rows or [[]]):
        for j, axes in enumerate(grid[i]):
            if j >= len(row):
                axes.remove()
                continue
            _draw_panel(axes, row[j], report, looks)
            if i + 1 < len(rows) and j < len(rows[i + 1]):
                axes.set_xlabel("")  # the panel below says it
    if without_curves:  # the rows have names
        return as_png(figure)
    lines = [
        Line2D([], [], color=colour, linestyle=style, label=_plain(_legend(report, label)))
        for label, (colour, style) in looks.items()
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=2 if len(lines) > 1 else 1, frameon=False)
    return as_png(figure)


def _legend(report: Report, label: str) -> str:
    """The label with how many runs it has, of each game if there are several."""
    counts = sorted({len(group.runs) for group in report.groups if group.label == label})
    if counts == [1]:
        return label
    return f"{label} ({counts[0]} runs)" if len(counts) == 1 else f"{label} ({counts[0]} to {counts[-1]} runs)"


def _plain(text: str) -> str:
    """Text that Matplotlib shows as it is: no formula between dollars, no label hidden for its underscore."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _rows(report: Report, panels: Sequence[Panel]) -> list[list[Panel]]:
    """Panels line by line: a kind begins a new line, with several games a metric does, so that games are columns."""
    several = len(report.games) > 1
    blocks: dict[tuple[str, str], list[Panel]] = {}
    for panel in panels:
        blocks.setdefault((panel.kind, panel.metric if several else ""), []).append(panel)
    most = MOST_COLUMNS if several or max(map(len, blocks.values()), default=0) > 2 * FEW_COLUMNS else FEW_COLUMNS
    return [block[i : i + most] for block in blocks.values() for i in range(0, len(block), most)]


def _looks(report: Report) -> dict[str, tuple[str, LineStyle]]:
    """Colour and line of every label."""
    every = itertools.product(LINE_STYLES, COLOURS)
    labels = dict.fromkeys(group.label for group in report.groups)
    return {label: (colour, style) for label, (style, colour) in zip(labels, itertools.cycle(every))}


def _draw_panel(axes: Axes, panel: Panel, report: Report, looks: dict[str, tuple[str, LineStyle]]) -> None:
    from matplotlib.ticker import EngFormatter

    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if is_of_one_time(panel):
        _draw_last_values(axes, panel, report, looks)
        return
    longest = max(run.end(report.x_axis) for group in report.groups for run in group.runs)
    in_hours = report.x_axis == "time" and longest >= HOURS_FROM
    for curve in panel.curves:
        _draw_curve(axes, curve, *looks[curve.group.label], MINUTE if in_hours else 1.0)
    axes.set_title(_title(panel, report), fontsize=10, loc="left")
    unit = unit_of(panel.metric)
    if unit == "share":
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    else:
        axes.set_ylabel(_plain(with_anchor(unit, panel.metric, [curve.group for curve in panel.curves])))
    axes.set_xlabel("hours of training" if in_hours else _AXIS_NAMES[report.x_axis])
    if report.x_axis != "time":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0.0)


def is_of_one_time(panel: Panel) -> bool:
    """Whether no run has more than one value, so that there is no curve."""
    return all(len(series.x) == 1 for curve in panel.curves for series in curve.members)


def _draw_last_values(axes: Axes, panel: Panel, report: Report, looks: dict[str, tuple[str, LineStyle]]) -> None:
    """Values of groups below each other, with their intervals."""
    labels = [curve.group.label for curve in panel.curves]
    for row, curve in enumerate(panel.curves):
        last, colour = curve.last(STATISTICS[report.statistic]), looks[curve.group.label][0]
        spread = np.nan_to_num([[last.value - last.low], [last.high - last.value]])
        axes.errorbar(last.value, row, xerr=np.maximum(spread, 0.0), fmt="o", color=colour, capsize=3)
        if len(curve.members) > 1:
            values = [float(series.y[-1]) for series in curve.members]
            axes.plot(values, [row] * len(values), "|", color=colour, alpha=0.5)
    axes.set_yticks(range(len(labels)), [_plain(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(_title(panel, report), fontsize=10, loc="left")
    unit = unit_of(panel.metric)
    if unit == "share":
        axes.set_xlim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    else:
        axes.set_xlabel(_plain(with_anchor(unit, panel.metric, [curve.group for curve in panel.curves])))


def _title(panel: Panel, report: Report) -> str:
    game = panel.game if len(panel.game) <= LONGEST_GAME else f"{panel.game[: LONGEST_GAME - 1]}…"
    return _plain(panel.metric if len(report.games) == 1 else f"{game}: {panel.metric}")


def _draw_curve(axes: Axes, curve: Curve, colour: str, style: LineStyle, scale: float) -> None:
    """Draw one curve; an x is divided by `scale`."""
    few = max(len(series.x) for series in curve.members) <= FEW_POINTS
    if len(curve.members) > 1:
        for series in curve.members:
            width, alpha = (0.8, 0.45) if few else (0.5, 0.2)
            marker = "o" if len(series.x) == 1 else ""
            axes.plot(
                series.x / scale,
                series.y,
                style,
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=width,
                alpha=alpha,
            )
    x = curve.x / scale
    marker = "o" if few and (len(curve.members) == 1 or len(x) == 1) else ""
    width = 1.8 if few or len(curve.members) > 1 else 1.0
    axes.plot(x, curve.y, style, color=colour, marker=marker, markersize=3.5, linewidth=width)
    if len(x) == 1 and math.isfinite(curve.low[0]):
        spread = np.array([[curve.y[0] - curve.low[0]], [curve.high[0] - curve.y[0]]])
        axes.errorbar(x, curve.y, yerr=np.maximum(spread, 0.0), color=colour, capsize=3)
    else:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
