"""Does a game, or an environment, keep what it promises? And: what do the observations of a game hide from a network?

Plays random games, or random actions with --env, and checks the rules of docs/adding_a_game.md ("What the rules must
keep to") or docs/adding_an_environment.md ("What an environment must keep to"). A broken promise is named with the
moves that led to it; the status is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from selfplay.commands.arguments import integer
from selfplay.errors import UserError

if TYPE_CHECKING:
    from games import Broken, Game

GAME_PAGE = 'docs/adding_a_game.md, "What the rules must keep to"'
ENVIRONMENT_PAGE = 'docs/adding_an_environment.md, "What an environment must keep to"'
PROMISE_SHARE = 4
"""Number of positions of the report for each one that is checked for promises, which costs more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which game or environment, how many positions, and the seed."""
    parser.add_argument("game", metavar="GAME", nargs="?", help="a game, e.g. othello or 'hex(board_size=5)'")
    parser.add_argument("--all", action="store_true", help="what observations hide in every known game, as a table")
    parser.add_argument("--env", metavar="ENVIRONMENT", help="an environment, e.g. CartPole-v1 or my_module:MyEnv-v0")
    parser.add_argument(
        "--positions", metavar="N", type=integer(1, 10**8), default=4000, help="positions to visit in each game (4000)"
    )
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the random games (0)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print what is broken and return 1, or print the report of one game or environment, or the table of all."""
    if args.all + (args.game is not None) + (args.env is not None) != 1:
        raise UserError("audit: give either GAME, --env ENVIRONMENT or --all")
    import games

    if args.all:
        print(games.format_table(games.audit_all(args.positions, args.seed, progress=_show_progress)))
        return 0
    if args.env is not None:
        return _audit_environment(args)
    made = games.load_or_broken(args.game)
    if isinstance(made, games.Broken):
        return _show_broken(args.game, [made], GAME_PAGE)
    return _audit_game(made, args)


def _audit_game(game: Game, args: argparse.Namespace) -> int:
    import games
    from games.auditing.positions import describe

    broken = games.broken_promises(game, -(-args.positions // PROMISE_SHARE), args.seed)
    report = None
    try:
        report = None if broken else games.audit(game, args.positions, args.seed)
    except Exception as error:  # a mistake that only many games show: look for its moves
        broken = games.broken_promises(game, args.positions, args.seed + 1)
        broken = broken or [games.Broken("game", f"it raises {describe(error)} after some hundred moves")]
    if report is None:
        return _show_broken(game.name, broken, GAME_PAGE)
    print(games.format_report(report))
    print(f"  promises       kept, as far as random games show ({GAME_PAGE})")
    return 0


def _audit_environment(args: argparse.Namespace) -> int:
    from games import load_environment
    from games.environments.promises import audit_environment, format_environment_report

    report = audit_environment(load_environment(args.env), -(-args.positions // PROMISE_SHARE), args.seed)
    if report.broken:
        return _show_broken(report.environment, report.broken, ENVIRONMENT_PAGE)
    print(format_environment_report(report))
    print(f"  promises       kept, as far as random actions show ({ENVIRONMENT_PAGE})")
    return 0


def _show_broken(name: str, broken: Sequence[Broken], page: str) -> int:
    print(f"{name} breaks {len(broken)} {'promise' if len(broken) == 1 else 'promises'} of {page}:")
    for fault in broken:
        print(f"  {fault}")
    return 1


def _show_progress(name: str) -> None:
    if sys.stderr.isatty():
        print(f"auditing {name}", file=sys.stderr)
