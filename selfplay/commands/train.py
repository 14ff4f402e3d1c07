"""Train a player for a game from nothing; ends with a table of its results.

With --plan, this machine is measured first, and the run has the settings that `selfplay plan` proposes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from selfplay.commands.arguments import CONFIG_HELP, add_restarts, integer
from selfplay.commands.plan import SECONDS, make_plan

NOTHING_LEARNED = 1
"""Exit status of a new run whose budget was spent before the learner made a step."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the folder."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help=f"settings of the run: {CONFIG_HELP}")
    parser.add_argument("--run-dir", type=Path, help="folder of the run; runs/NAME-TIME if left out")
    parser.add_argument("--plan", action="store_true", help="measure first and train as `selfplay plan` proposes")
    parser.add_argument(
        "--plan-seconds",
        metavar="N",
        type=integer(1, 3600),
        default=SECONDS,
        help=f"how long to measure for that, beside the budget ({SECONDS})",
    )
    add_restarts(parser)


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train."""
    import games
    from selfplay.config import reader
    from selfplay.config.run import Config
    from selfplay.training.tracking import run_of_environment

    settings = reader.load(Config, args.config, overrides)
    games.load(settings.game)  # complain before the first sign of life
    if (known := run_of_environment(settings.wandb.mode, args.run_dir)) is not None:
        print(f"selfplay: WANDB_RUN_ID names {known}, which goes on", flush=True)
        args.run_dir, args.plan = known, False  # `train` resumes it
    if args.restarts:
        return _keep_going(args, overrides, settings.name)
    if args.plan:
        settings = make_plan(args.config, overrides, args.plan_seconds).config
    else:
        print("selfplay: loading", flush=True)  # torch takes seconds to import
    from selfplay.training.train import train

    result = train(settings, args.run_dir)
    return exit_status(result.stopped_by) if result.learned else NOTHING_LEARNED


def _keep_going(args: argparse.Namespace, overrides: list[str], name: str) -> int:
    from selfplay.storage.run_folder import RUNS, make_fresh
    from selfplay.training.supervisor import keep_going

    run_dir = args.run_dir or make_fresh(RUNS, name)
    command = ["train", str(args.config), "--run-dir", str(run_dir), "--plan-seconds", str(args.plan_seconds)]
    return keep_going(args.program, [*command, *(["--plan"] if args.plan else []), *overrides], run_dir, args.restarts)


def exit_status(stopped_by: str) -> int:
    """0 for a budget that is spent, 128 + n after signal n."""
    import signal

    return 0 if stopped_by == "budget" else 128 + signal.Signals[stopped_by].value
