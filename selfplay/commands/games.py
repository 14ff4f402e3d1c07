"""List every known game with its sizes: players, actions, observation, longest game, chance, rewards on the way."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from games import Game

_HEADINGS = ("game", "players", "actions", "observation", "longest", "chance", "rewards")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the names."""
    parser.add_argument(
        "games", metavar="GAME", nargs="*", help="games to list, e.g. 'hex(board_size=5)'; all if left out"
    )


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print one line a game and, when all are listed, why the others cannot be played."""
    import games

    known = [] if args.games else games.names()
    loaded = [games.load(name) for name in args.games or [info.name for info in known if info.supported]]
    rows = [_HEADINGS, *map(_facts, loaded)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    by_reason: dict[str, list[str]] = {}
    for info in known:
        by_reason.setdefault(info.reason, []).append(info.name)
    for reason, names in by_reason.items():
        if reason:
            print(f"\nnot supported, {reason}:")
            print(textwrap.fill(", ".join(names), 100, initial_indent="  ", subsequent_indent="  "))
    return 0


def _facts(game: Game) -> tuple[str, ...]:
    return (
        game.name,
        str(game.num_players),
        str(game.num_actions),
        "x".join(map(str, game.observation_shape)),
        str(game.max_game_length),
        "yes" if game.max_chance_outcomes else "no",
        "yes" if game.has_rewards else "no",
    )
