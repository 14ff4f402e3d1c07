"""Print all settings, those of a file and flags and the defaults of the rest, as YAML that `train` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfplay.commands.arguments import CONFIG_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the optional file."""
    parser.add_argument(
        "config", metavar="CONFIG", type=Path, nargs="?", help=f"{CONFIG_HELP}; the defaults if left out"
    )


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print the settings with their help as comments."""
    from selfplay.config import reader
    from selfplay.config.run import Config

    print(reader.dump(reader.load(Config, args.config, overrides), comments=True), end="", file=args.output)
    return 0
