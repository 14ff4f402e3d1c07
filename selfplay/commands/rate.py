"""The ratings of a run's checkpoints over its time, against fixed anchors, with 95 % intervals.

Checkpoints spread evenly over the run meet every anchor and their neighbours; ratings are fitted to all games together,
with the first anchor at 0. The games stay in RUN_DIR/ratings. So nothing is played twice when the run has gone on, was
moved or is named by another path, or when more games are asked for. The run may be running; it leaves out its own
evaluations meanwhile, and says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress
from selfplay.console.output import json_text
from selfplay.stats.intervals import ELO_FORM, interval_text

if TYPE_CHECKING:
    from selfplay.storage.snapshots import Snapshot
    from selfplay.tournament.standings import Standings

ANCHORS = ("random", "mcts:simulations=100", "mcts:simulations=1000")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run and how it is rated."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder of the run")
    parser.add_argument("--anchors", metavar="PLAYER", nargs="+", default=ANCHORS, help=f"({' '.join(ANCHORS)})")
    parser.add_argument(
        "--checkpoints", metavar="K", type=integer(1, 10_000), default=8, help="largest number of checkpoints (8)"
    )
    parser.add_argument(
        "--simulations",
        metavar="S",
        type=integer(0, 10**6),
        help="simulations of the checkpoints; 0: network alone (the run's)",
    )
    parser.add_argument(
        "--games", metavar="N", type=integer(1, 10**6), default=40, help="number of games of each pair (40)"
    )
    parser.add_argument(
        "--processes", metavar="N", type=integer(1, 1024), help="number of processes that play (one a core)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play, rate, print."""
    import games
    from selfplay.evaluation.match import whole_groups
    from selfplay.players.trained import game_of_settings, player_of_checkpoint, run_config
    from selfplay.storage.files import publish
    from selfplay.storage.run_folder import RATINGS, RunFolder
    from selfplay.storage.snapshots import read_snapshots, spread
    from selfplay.tournament import report
    from selfplay.tournament.players import check_players
    from selfplay.tournament.schedule import ladder
    from selfplay.tournament.standings import make_standings
    from selfplay.tournament.store import TournamentFolder
    from selfplay.tournament.tournament import TournamentPlan, play_tournament
    from selfplay.training.evaluator import rating_conditions

    config = run_config(args.run_dir)
    game = games.load(game_of_settings(config, args.run_dir))
    folder = RunFolder.open(Path(args.run_dir))
    chosen = spread(read_snapshots(folder.checkpoints, _warn), args.checkpoints)
    texts = [player_of_checkpoint(config, f"{args.run_dir}@{one.version}", args.simulations) for one in chosen]
    chosen, texts = _different(chosen, texts, args.anchors)
    entrants = check_players([*args.anchors, *texts], game)
    names = tuple(one.name for one in entrants)
    num_games = whole_groups(game, args.games) * len(ladder(len(args.anchors), len(names)))
    tournament = TournamentFolder(folder.path / RATINGS, rating_conditions(config, game))
    try:
        plan = TournamentPlan(names, "ladder", num_games, len(args.anchors), tournament.recognise(entrants))
        outcome = play_tournament(tournament, plan, args.processes or os.cpu_count() or 1, None, show_progress("games"))
        standings = make_standings(outcome, names[0])
        curve = _curve(args.run_dir, chosen, names, len(args.anchors), standings)
        report.write(standings, tournament.path)
        publish(tournament.path / "curve.png", report.draw_curve(curve))
    finally:
        tournament.close()
    text = json_text(curve) if args.json else f"{_text(curve)}\n\npicture: {tournament.path / 'curve.png'}"
    print(text, file=args.output)
    return 0


def _different(snapshots: list[Snapshot], texts: list[str], anchors: Sequence[str]) -> tuple[list[Snapshot], list[str]]:
    """The checkpoints that are players of their own, and their texts: no anchor, and no weights twice."""
    from selfplay.players.kinds import read_player

    known = {read_player(text).identity: text for text in anchors}
    different = []
    for snapshot, text in zip(snapshots, texts):
        same = known.setdefault(read_player(text).identity, text)
        if same != text or text in anchors:
            _warn(f"version {snapshot.version} is left out: it is the same player as {same}")
        else:
            different.append((snapshot, text))
    return [snapshot for snapshot, _ in different], [text for _, text in different]


def _curve(
    run_dir: str, chosen: list[Snapshot], names: tuple[str, ...], num_anchors: int, standings: Standings
) -> dict[str, Any]:
    """Ratings in the order of time, for `json.dumps`. `rating_games` are those of the matches, a checkpoint's `games`
    those of the training."""
    by_name = {row.player: {"rating_games": row.games, **vars(row)} for row in standings.table}
    for ratings in by_name.values():
        del ratings["games"]
    return {
        "run": run_dir,
        "game": standings.game,
        "games": standings.games,
        "checkpoints": [by_name[name] | vars(one) for one, name in zip(chosen, names[num_anchors:])],
        "anchors": [by_name[name] for name in names[:num_anchors]],
    }


def _text(curve: dict[str, Any]) -> str:
    lines = [f"{curve['run']}: {curve['game']}, {curve['games']} games", ""]
    lines.append(f"{'minutes':>8} {'games':>10} {'positions':>12} {'steps':>8}  {'Elo':>6} {'95 % interval':>16}")
    for point in curve["checkpoints"]:
        interval = interval_text(point["low"], point["high"], ELO_FORM)
        lines.append(
            f"{point['minutes']:>8.1f} {point['games']:>10,} {point['positions']:>12,} {point['steps']:>8}"
            f"  {point['elo']:>+z6.0f} {interval:>16}"
        )
    lines += ["", f"Elo: by the expected score, draws counted half; {curve['anchors'][0]['player']} = 0"]
    for anchor in curve["anchors"]:
        interval = "anchor" if anchor is curve["anchors"][0] else interval_text(anchor["low"], anchor["high"], ELO_FORM)
        lines.append(f"{anchor['player']:>41}  {anchor['elo']:>+z6.0f} {interval:>16}")
    return "\n".join(lines)


def _warn(text: str) -> None:
    print(f"selfplay rate: {text}", file=sys.stderr, flush=True)
