"""Go on with a run from its last checkpoint, with its replay and counters. Settings that are given replace the old."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfplay.commands.arguments import add_restarts
from selfplay.commands.train import exit_status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder."""
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="folder of the run")
    add_restarts(parser)


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Resume."""
    from selfplay.config import reader
    from selfplay.config.run import Config
    from selfplay.storage.run_folder import RunFolder

    folder = RunFolder.open(args.run_dir)
    reader.load(Config, folder.config, overrides)  # complain before anything is touched
    if args.restarts:
        from selfplay.training.supervisor import keep_going

        return keep_going(args.program, ["resume", str(args.run_dir), *overrides], args.run_dir, args.restarts)
    print("selfplay: loading", flush=True)
    from selfplay.training.train import resume

    result = resume(args.run_dir, lambda _: reader.load(Config, folder.config, overrides))
    return exit_status(result.stopped_by)
