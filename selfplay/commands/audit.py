"""Play random games and report positions that look the same but are not: what observations hide from a network."""

from __future__ import annotations

import argparse
import sys

from selfplay.commands.arguments import integer
from selfplay.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which games, how many positions, and the seed."""
    parser.add_argument("game", metavar="GAME", nargs="?", help="a game, e.g. othello or 'hex(board_size=5)'")
    parser.add_argument("--all", action="store_true", help="every known game, as a table")
    parser.add_argument(
        "--positions", metavar="N", type=integer(1, 10**8), default=4000, help="positions to visit in each game (4000)"
    )
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the random games (0)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print the report of one game, or the table of all."""
    if args.all == (args.game is not None):
        raise UserError("audit: give either GAME or --all")
    import games

    if args.all:
        print(games.format_table(games.audit_all(args.positions, args.seed, progress=_show_progress)))
    else:
        print(games.format_report(games.audit(games.load(args.game), args.positions, args.seed)))
    return 0


def _show_progress(name: str) -> None:
    if sys.stderr.isatty():
        print(f"auditing {name}", file=sys.stderr)
