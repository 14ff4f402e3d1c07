"""Train a player for a game from nothing; ends with a table of its results."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the folder."""
    parser.add_argument("config", metavar="CONFIG.yaml", type=Path, help="settings of the run")
    parser.add_argument("--run-dir", type=Path, help="folder of the run; runs/NAME-TIME if left out")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Train."""
    import games
    from selfplay import config
    from selfplay.settings import Config

    settings = config.load(Config, args.config, overrides)
    games.load(settings.game)  # complain before the first sign of life
    print("selfplay: loading", flush=True)  # torch takes seconds to import
    from selfplay.training import train

    return exit_status(train(settings, args.run_dir).stopped_by)


def exit_status(stopped_by: str) -> int:
    """0 for a budget that is spent, 128 + n after signal n."""
    import signal

    return 0 if stopped_by == "budget" else 128 + signal.Signals[stopped_by].value
