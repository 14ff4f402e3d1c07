"""Play two players against each other: paired openings with seats swapped (or one colour), Elo with a 95 % interval.

A PLAYER is random, human, solver, mcts:simulations=N, uniform:simulations=N, run:RUN_DIR[@VERSION]:simulations=N,
net:RUN_DIR[@VERSION], pretrained:GAME:simulations=N, gtp:COMMAND, uci:COMMAND or usi:COMMAND (docs/engines.md); more
options follow after commas, e.g. mcts:simulations=1000,c=1.4,seed=3.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.commands.arguments import integer, require_new_file
from selfplay.commands.progress import show_progress
from selfplay.console.output import json_text
from selfplay.errors import UserError
from selfplay.stats.intervals import ELO_FORM, SHARE_FORM, with_interval

if TYPE_CHECKING:
    from selfplay.evaluation.match import MatchResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the players, the game and how many games."""
    parser.add_argument("first", metavar="PLAYER", help="the player whose score is reported")
    parser.add_argument("second", metavar="PLAYER", help="its opponent")
    parser.add_argument("--game", metavar="G", help="the game; may be left out when a player is a run")
    parser.add_argument("--games", metavar="N", type=integer(1, 10**7), required=True, help="number of games")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of everything random (0)")
    parser.add_argument(
        "--colour",
        choices=("both", "first", "second"),
        default="both",
        help="seat of the first PLAYER: both in turn with each opening, or one of them in every game (both)",
    )
    parser.add_argument(
        "--opening-plies", metavar="K", type=integer(0, 10_000), help="random moves at the start (2 to 4, as needed)"
    )
    parser.add_argument(
        "--max-plies",
        metavar="K",
        type=integer(1, 10**9),
        help="longer games are judged or drawn (as the rules allow)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--save", metavar="FILE.jsonl", type=Path, help="write the games, one a line; must not exist")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play the match and print its result."""
    import numpy as np

    import games
    from selfplay.evaluation.match import play_match
    from selfplay.players.kinds import read_player

    specs = [read_player(text) for text in (args.first, args.second)]
    require_new_file("--save", args.save)
    name = args.game or next(filter(None, (spec.game for spec in specs)), None)
    if name is None:
        raise UserError("match: --game is missing; `selfplay games` lists them")
    game = games.load(name)
    *seeds, match_seed = (int(seed) for seed in np.random.SeedSequence(args.seed).generate_state(3))
    players = [spec.make_player(game, seed) for spec, seed in zip(specs, seeds)]
    try:
        result = play_match(
            game,
            players[0],
            players[1],
            args.games,
            match_seed,
            opening_plies=args.opening_plies,
            max_plies=args.max_plies,
            games_at_once=1 if any(spec.kind.is_person for spec in specs) else None,
            on_progress=show_progress("games"),
            colour=args.colour,
        )
    finally:
        for player in players:
            player.close()
    print(json_text(result.as_json()) if args.json else _text(result), file=args.output, flush=True)
    if args.save is not None:
        _save(args.save, result)
    return 0


def _save(path: Path, result: MatchResult) -> None:
    from selfplay.storage.files import publish

    names = (result.first, result.second)
    lines = [
        json_text(
            {
                "game": result.game,
                "seats": [names[who] for who in record.seats],
                "moves": record.moves,
                "returns": record.returns,
                "finished": record.finished,
                "score": record.score,
            }
        )
        for record in result.records
    ]
    publish(path, ("\n".join(lines) + "\n").encode())


def _text(result: MatchResult) -> str:
    cut_off = f", {result.unfinished} cut off" if result.unfinished else ""
    seat = "" if result.colour == "both" else f", {result.first} always moves {result.colour}"
    return "\n".join(
        [
            f"{result.first} against {result.second}: {result.game}, {result.games} games{seat}",
            f"  score           {with_interval(result.score, result.score_low, result.score_high, SHARE_FORM)}",
            f"  wins            {result.wins}",
            f"  draws           {result.draws}",
            f"  losses          {result.losses}",
            f"  distinct games  {result.distinct_games}",
            f"  mean length     {result.mean_length:.1f} moves{cut_off}",
            f"  Elo difference  {_elo_text(result)}",
        ]
    )


def _elo_text(result: MatchResult) -> str:
    """The points by which the first player is ahead, with their interval; open ends are infinite."""
    low, high = result.elo_low, result.elo_high
    if low is not None and high is not None and result.elo is not None:
        return f"{with_interval(result.elo, low, high, ELO_FORM)}, {result.second} = 0"
    if low is not None:
        return f"> {low:{ELO_FORM}} (95 %), {result.second} = 0"
    return f"< {high:{ELO_FORM}} (95 %), {result.second} = 0" if high is not None else "unknown: too few games"
