"""Compare runs: their evaluations with intervals, learning curves, speed. The runs may be running.

Runs that differ in nothing but seed and name are one group: its curve is their mean, with a 95 % interval over runs
(bootstrap). --group puts runs together whatever their settings. Every kind of run can be compared; what is shown is
what the groups of a game have in common of evaluations, self-play and losses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from selfplay.console.output import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the runs, how they are put together, and where the report goes."""
    parser.add_argument("runs", metavar="RUN", nargs="*", help="folders of runs")
    parser.add_argument(
        "--group",
        metavar="NAME=RUN,RUN",
        action="append",
        default=[],
        help="a group of runs; may be given several times",
    )
    parser.add_argument("--x", choices=("positions", "time", "steps"), default="positions", help="axis (positions)")
    parser.add_argument(
        "--statistic",
        choices=("mean", "iqm"),
        default="mean",
        help="of a group's runs: the mean, or the interquartile mean, which an odd run does not move (mean)",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with tables and plots, all in one file")
    parser.add_argument("--png", metavar="FILE", type=Path, help="write the plots as one picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Read, compute, print, write."""
    from selfplay.reports.groups import read_groups
    from selfplay.reports.page import make_page, text
    from selfplay.reports.pictures import draw
    from selfplay.reports.report import make_report
    from selfplay.storage.files import publish

    notes: list[str] = []
    groups = read_groups(args.runs, args.group, notes)
    report = make_report(groups, args.x, args.statistic, notes)
    if args.html is not None:
        publish(args.html, make_page(report).encode())
    if args.png is not None:
        publish(args.png, draw(report, report.panels))
    print(json_text(report.as_json()) if args.json else text(report), file=args.output)
    return 0
