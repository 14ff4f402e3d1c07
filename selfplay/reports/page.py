"""A report as text for a terminal and as one page that stands alone. Both are made of the same tables."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.reports.groups import differences
from selfplay.reports.html import html_answer, html_picture, html_table, page
from selfplay.reports.panels import ELO, KINDS, Panel, main_panels, unit_of, with_anchor
from selfplay.reports.pictures import draw, is_of_one_time
from selfplay.reports.report import STATISTICS, Report, Summary
from selfplay.stats.scores import Estimate

MOST_GAMES_IN_TITLE = 2

MOST_IN_A_SENTENCE = 3
"""Largest number of groups in the sentence that begins a page."""

_AXIS_NAMES = {"positions": "positions", "time": "time", "steps": "steps of the learner"}

_STATISTIC_NAMES = {"mean": "mean", "iqm": "interquartile mean"}

_HOW_TO_READ = (
    "A line is the {statistic} of a group's runs, its band the 95 % interval over runs (bootstrap); the thin lines are "
    "the runs. The line of a single run is the run itself, its band the interval of its evaluation where it wrote one. "
    "A curve of several runs ends where the shortest of them does."
)


@dataclass(frozen=True)
class ReportTable:
    """A table of the report: cells as text; the first column is left-aligned."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def text(report: Report) -> str:
    """The report for a terminal."""
    tables = [*_summaries(report), *_aggregates(report), *_comparisons(report)]
    lines = [line for table in tables for line in (*_table_lines(table), "")]
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines).rstrip("\n")


def make_page(report: Report) -> str:
    """The report as HTML, with tables and pictures."""
    lead = main_panels(report.panels)
    parts = [html_answer(sentence) for sentence in _answers(report)]
    if lead:
        parts.append(html_picture(_lead_title(report, lead), draw(report, lead)))
    tables = [*_summaries(report), *_aggregates(report), *_comparisons(report)]
    parts += [_html(table) for table in tables]
    parts += [f"<p>Note: {html.escape(note)}.</p>" for note in report.notes]
    parts.append(f"<p>{_HOW_TO_READ.format(statistic=_STATISTIC_NAMES[report.statistic])}</p>")
    for kind in KINDS:
        if panels := [panel for panel in report.panels if panel.kind == kind and panel not in lead]:
            parts.append(html_picture(kind, draw(report, panels)))
    parts += [_html(table) for table in (*_last_values(report), _settings(report), _runs(report)) if table.rows]
    games = report.games if len(report.games) <= MOST_GAMES_IN_TITLE else [f"{len(report.games)} games"]
    return page(f"Runs on {', '.join(games)}", "\n".join(parts))


def value_text(metric: str, value: float, beside: float = 0.0) -> str:
    """A number as its unit is written, with as many digits as the larger number beside it; empty for NaN."""
    if not math.isfinite(value):
        return ""
    unit = unit_of(metric)
    if unit == ELO:
        return f"{value:+z.0f}"
    if unit == "share":
        return f"{value:.1%}"
    size = max(abs(value), abs(beside))
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def _answers(report: Report) -> list[str]:
    """Who ends how high, a sentence for each game, or one for all of many."""
    if len(report.games) > MOST_GAMES_IN_TITLE:
        scores = [f"{one.label} {_with_interval('', one.estimates['IQM'])}" for one in report.aggregates]
        return [f"Interquartile mean of human-normalised scores: {'; '.join(scores)}."] if scores else []
    sentences = []
    for game in report.games:
        rows = [row for row in report.summaries if row.group.game == game and row.last is not None]
        rows.sort(key=lambda row: -math.inf if row.last is None else -row.last.value)
        ends = [f"{row.group.label} ends at {_with_interval(row.metric or '', row.last)}" for row in rows if row.last]
        ends[MOST_IN_A_SENTENCE:] = (
            [f"{len(ends) - MOST_IN_A_SENTENCE} more below"] if ends[MOST_IN_A_SENTENCE:] else []
        )
        where = "" if len(report.games) == 1 else f"{game}: "
        by = with_anchor(f"By {rows[0].metric}", rows[0].metric or "", [row.group for row in rows]) if rows else ""
        sentences.append(f"{where}{by}: {'; '.join(ends)}." if rows else f"{where}No evaluation is finished yet.")
    return sentences


def _lead_title(report: Report, lead: Sequence[Panel]) -> str:
    if all(map(is_of_one_time, lead)):
        return "Strength"
    return f"Strength over {_AXIS_NAMES[report.x_axis]}"


# Tables.


def _summaries(report: Report) -> list[ReportTable]:
    """A table of summaries for each game."""
    x_name = "minutes" if report.x_axis == "time" else report.x_axis
    tables = []
    for game in report.games:
        rows = [row for row in report.summaries if row.group.game == game]
        metric = next((row.metric for row in rows if row.metric), None)
        normalised = any(row.human_normalised is not None for row in rows)
        head = ["group", "runs", "last", "95 % interval", "best", f"at {x_name}"]
        head += ["human-normalised"] if normalised else []
        several = any(len(row.group.runs) > 1 for row in rows)
        what = with_anchor(metric, metric, [row.group for row in rows]) if metric else "no evaluation yet"
        what += f", {_STATISTIC_NAMES[report.statistic]} of runs" if several else ""
        tables.append(
            ReportTable(
                f"{game}: {what}",
                (*head, "positions", "minutes", "positions/s"),
                [_summary_cells(row, report.x_axis, normalised) for row in rows],
            )
        )
    return tables


def _summary_cells(row: Summary, x_axis: str, normalised: bool) -> tuple[str, ...]:
    metric = row.metric or ""
    last = ("", "") if row.last is None else _texts(metric, row.last)
    best = "" if row.best is None else value_text(metric, row.best)
    at = "" if row.best_at is None else f"{row.best_at:,.{1 if x_axis == 'time' else 0}f}"
    human = () if not normalised else ("" if row.human_normalised is None else f"{row.human_normalised:.1%}",)
    return (
        row.group.label,
        str(len(row.group.runs)),
        *last,
        best,
        at,
        *human,
        f"{row.positions:,.0f}",
        f"{row.minutes:,.1f}",
        f"{row.positions_per_second:,.0f}",
    )


def _aggregates(report: Report) -> list[ReportTable]:
    if not report.aggregates:
        return []
    head = ("group", "runs", "games", *report.aggregates[0].estimates)
    rows = [
        (one.label, str(one.runs), str(one.games), *(_with_interval("", each) for each in one.estimates.values()))
        for one in report.aggregates
    ]
    return [ReportTable("Human-normalised scores over all games, 95 % intervals", head, rows)]


def _comparisons(report: Report) -> list[ReportTable]:
    if not report.comparisons:
        return []
    rows = [
        (
            f"{one.first} above {one.second}" + _where(report, one.game),
            f"{one.probability.value:.0%}",
            f"{one.probability.low:.0%} to {one.probability.high:.0%}",
        )
        for one in report.comparisons
    ]
    return [
        ReportTable("How likely a run of one group ends above a run of another", ("", "likely", "95 % interval"), rows)
    ]


def _where(report: Report, game: str | None) -> str:
    if len(report.games) == 1:
        return ""
    return ", all games" if game is None else f", {game}"


def _last_values(report: Report) -> list[ReportTable]:
    """The last values of everything that is drawn, one table a game."""
    tables = []
    for game in report.games:
        panels = [panel for panel in report.panels if panel.game == game]
        labels = [group.label for group in report.groups if group.game == game]
        rows = []
        for panel in panels:
            last = {curve.group.label: curve.last(STATISTICS[report.statistic]) for curve in panel.curves}
            cells = (_with_interval(panel.metric, last[label]) if label in last else "" for label in labels)
            groups = [curve.group for curve in panel.curves]
            rows.append((with_anchor(panel.metric, panel.metric, groups), *cells))
        title = "Last values" if len(report.games) == 1 else f"Last values, {game}"
        tables.append(ReportTable(title, ("metric", *labels), rows))
    return tables


def _settings(report: Report) -> ReportTable:
    labels = tuple(dict.fromkeys(group.label for group in report.groups))
    different = differences(report.groups)
    return ReportTable(
        "Settings that differ",
        ("setting", *labels),
        [(key, *(one[label] for label in labels)) for key, one in different.items()],
    )


def _runs(report: Report) -> ReportTable:
    rows = [
        (run.path, group.label, str(run.settings["seed"]), f"{run.positions:,.0f}", f"{run.minutes:,.1f}")
        for group in report.groups
        for run in group.runs
    ]
    return ReportTable("Runs", ("run", "group", "seed", "positions", "minutes"), rows)


def _texts(metric: str, estimate: Estimate) -> tuple[str, str]:
    """The value and its interval; the latter empty where there is none."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return value_text(metric, estimate.value), ""
    largest = max(abs(estimate.low), abs(estimate.high))
    value, low, high = (value_text(metric, one, largest) for one in (estimate.value, estimate.low, estimate.high))
    return value, f"{low} to {high}"


def _with_interval(metric: str, estimate: Estimate) -> str:
    value, interval = _texts(metric, estimate)
    return f"{value} ({interval})" if interval else value


def _table_lines(table: ReportTable) -> list[str]:
    cells = [table.head, *table.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        for row in cells
    ]
    return [table.title, *(f"  {line.rstrip()}" for line in lines)]


def _html(table: ReportTable) -> str:
    return f"<h2>{html.escape(table.title)}</h2>\n{html_table(table.head, table.rows)}"
