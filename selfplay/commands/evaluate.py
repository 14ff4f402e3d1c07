"""The share of labelled positions in which a player's move keeps the best value, with 95 % intervals.

A PLAYER is written as for `selfplay match`. The file, as `selfplay label` writes it, has one position a line:
{"game": "connect_four", "moves": [3, 3, 2], "values": {"0": -1, ...}}, moves and values by action id, values for the
side to move. Where the lines have "scores" too, perfect moves are those with the greatest score. Players that say what
a position is worth are judged by that as well.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress

if TYPE_CHECKING:
    from selfplay.accuracy import Share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player and the file."""
    parser.add_argument("player", metavar="PLAYER", help="the player to measure")
    parser.add_argument("--positions", metavar="FILE.jsonl", type=Path, required=True, help="labelled positions")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the player (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Measure and print."""
    from selfplay.accuracy import measure_accuracy
    from selfplay.players import read_player
    from selfplay.positions import read_positions

    spec = read_player(args.player)
    positions = read_positions(args.positions)
    player = spec.make(positions.game, args.seed)
    try:
        result = measure_accuracy(player, positions, show_progress("positions"))
    finally:
        player.close()
    if args.json:
        print(json.dumps(asdict(result)))
        return 0
    print(f"{result.player}: {result.game}, {args.positions}")
    print(f"  value kept  {result.kept} of {result.positions} positions")
    print(f"  accuracy    {result.accuracy:.1%}  (95 %: {result.low:.1%} to {result.high:.1%})")
    for name, share in result.phases.items():
        print(f"    {name:8}  {_text(share)}")
    if result.perfect is not None:
        print(f"  perfect     {_text(result.perfect)}")
    if (values := result.values) is not None:
        print(
            f"  its values  {values.sign_right:.1%} nearest to the true result, mean error {values.mean_error:.3f},"
            f" calibration error {values.calibration_error:.3f}"
        )
    return 0


def _text(share: Share) -> str:
    return f"{share.share:.1%}  (95 %: {share.low:.1%} to {share.high:.1%})  {share.count} of {share.positions}"
