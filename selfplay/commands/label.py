"""Make a file of positions with the exact value of every move, as `selfplay evaluate --positions` reads it.

Positions of random games, each with random moves before it, none twice. Games with a solver: Connect Four, Hex of up to
30 cells, and every game of one or two players that has few positions. The same seed makes the same file.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from selfplay.commands.arguments import integer, require_new_file
from selfplay.commands.progress import show_progress
from selfplay.console.output import json_text
from selfplay.errors import UserError

DEFAULT_MAX_PLIES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the game and which positions."""
    parser.add_argument("--game", metavar="G", required=True, help="the game")
    parser.add_argument("--positions", metavar="N", type=integer(1, 10**6), required=True, help="how many")
    parser.add_argument("--plies", metavar="K", type=integer(0, 10_000), help="random moves before each position")
    parser.add_argument(
        "--min-plies", metavar="K", type=integer(0, 10_000), help="fewest random moves before a position (0)"
    )
    parser.add_argument(
        "--max-plies",
        metavar="K",
        type=integer(0, 10_000),
        help=f"most random moves before a position ({DEFAULT_MAX_PLIES})",
    )
    parser.add_argument("--hard", action="store_true", help="only where at most half of the moves keep the value")
    parser.add_argument("--scores", action="store_true", help="also how soon each move wins or loses (Connect Four)")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the random games (0)")
    parser.add_argument(
        "--processes", metavar="N", type=integer(1, 1024), help="number of processes that solve (one a core)"
    )
    parser.add_argument("--out", metavar="FILE.jsonl", type=Path, help="must not exist; standard output if left out")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Label positions and write them."""
    from selfplay.evaluation.labelling import Wanted, label_positions
    from selfplay.storage.files import publish

    require_new_file("--out", args.out)
    least, most = _plies(args)
    wanted = Wanted(args.game, args.positions, least, most, args.hard, args.scores, args.seed)
    processes = min(args.processes or os.cpu_count() or 1, args.positions)
    progress, lines = show_progress("positions"), []
    try:
        for label in label_positions(wanted, processes):
            lines.append(json_text(label) + "\n")
            if args.out is None:
                print(lines[-1], end="", file=args.output, flush=True)
            elif progress:
                progress(len(lines), args.positions)
    finally:  # what was solved stays, whatever ended it
        if args.out is not None and lines:
            publish(args.out, "".join(lines).encode())
            if len(lines) < args.positions:
                print(f"selfplay label: {args.out} has the {len(lines)} that were found", file=sys.stderr)
    return 0


def _plies(args: argparse.Namespace) -> tuple[int, int]:
    """The least and most random moves. Raises UserError where the options contradict each other."""
    if args.plies is not None:
        if args.min_plies is not None or args.max_plies is not None:
            raise UserError("--plies: give either it, or --min-plies and --max-plies")
        return args.plies, args.plies
    least = args.min_plies or 0
    most = max(DEFAULT_MAX_PLIES, least) if args.max_plies is None else args.max_plies
    if most < least:
        raise UserError(f"--max-plies: {most} is less than --min-plies {least}")
    return least, most
