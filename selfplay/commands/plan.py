"""Measure this machine for a minute and propose settings for a game and a budget: network, actors, simulations, replay.

Settings given as --section.option are kept and planned around; those of the file may be changed. `selfplay train
CONFIG --plan` trains with what this proposes.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.commands.arguments import CONFIG_HELP, integer, require_measurable
from selfplay.errors import UserError

if TYPE_CHECKING:
    from selfplay.planning.rules import Plan

SECONDS = 60
"""Default time of the measurement, in seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the settings and how long to measure."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help=f"settings to begin with: {CONFIG_HELP}")
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=integer(1, 3600),
        default=SECONDS,
        help=f"about how long to measure, compiling not included ({SECONDS})",
    )


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Measure and print."""
    make_plan(args.config, overrides, args.seconds)
    return 0


def make_plan(path: Path, overrides: Sequence[str], seconds: int) -> Plan:
    """Measure, print the plan, return it. Raises UserError for settings that cannot work or have no budget of time."""
    import games
    from selfplay.config import reader
    from selfplay.config.run import Config

    config = reader.load(Config, path, overrides)
    require_measurable(config, "plan")
    if config.budget.minutes <= 0:
        raise UserError("plan: the budget needs a time, e.g. --budget.minutes 60")
    games.load(config.game)  # complain before the first sign of life
    print("selfplay: loading", flush=True)  # torch takes seconds to import
    from selfplay.planning.measurements import measure
    from selfplay.planning.report import plan_text
    from selfplay.planning.rules import propose
    from selfplay.system.together import TogetherError
    from selfplay.training.checks import check

    check(config)
    given = reader.given_keys(Config, overrides)
    print(
        f"selfplay: measuring for about {seconds} s; the first time it compiles for up to a minute before", flush=True
    )
    try:
        with _seconds_shown(seconds):
            measured = measure(config, given, seconds)
    except TogetherError as error:
        raise UserError(f"plan: measuring failed: {error}") from None
    plan = propose(config, given, measured)
    check(plan.config)
    print(f"\n{plan_text(plan, str(path))}", flush=True)
    return plan


@contextmanager
def _seconds_shown(seconds: int) -> Iterator[None]:
    """Show the seconds that have gone by on standard error, where a person watches."""
    if not sys.stderr.isatty():
        yield
        return
    over, start = threading.Event(), time.monotonic()

    def tick() -> None:
        while not over.wait(1.0):
            passed = time.monotonic() - start
            print(f"\rmeasuring: {passed:.0f} of about {seconds} s", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        print(file=sys.stderr)
