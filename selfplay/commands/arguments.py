"""Types of command-line arguments that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from selfplay.config.run import Config
from selfplay.errors import UserError

CONFIG_HELP = "a YAML file, or a name that `selfplay configs` lists"
"""What `selfplay.config.reader.load` takes."""


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """An argparse `type` for whole numbers of a range, bounds included."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected an integer, got {text[:60]!r}") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text[:60]} is out of range; expected from {minimum} to {maximum}")
        return value

    return parse


def add_served_player(parser: argparse.ArgumentParser, game_help: str) -> None:
    """Declare the player and the game of a command that serves other programs."""
    parser.add_argument("player", metavar="PLAYER", help="who plays")
    parser.add_argument("--game", metavar="G", help=game_help)
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), help="of the player (new every time)")


def add_restarts(parser: argparse.ArgumentParser) -> None:
    """Declare the option of `selfplay.training.supervisor`."""
    parser.add_argument(
        "--restarts",
        metavar="N",
        type=integer(0, 1000),
        default=0,
        help="go on from the last checkpoint when the process dies, up to N times in a row (0)",
    )


def require_new_file(option: str, path: Path | None) -> None:
    """Raise UserError, before any work, for a file that exists or could not be made."""
    if path is None:
        return
    if path.exists():
        raise UserError(f"{option}: {path} exists already; name another file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{option}: {path} cannot be written: {folder} is no folder that takes files")


def require_measurable(config: Config, command: str) -> None:
    """Raise UserError for an algorithm that `command` cannot measure."""
    from selfplay.algorithms.registry import kind_of

    if not kind_of(config).can_be_measured:
        raise UserError(f"{command}: is for algorithm alphazero, these settings have {config.algorithm}")
