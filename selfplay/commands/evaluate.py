"""How good a player is: its accuracy on labelled positions, or its return in an environment, with 95 % intervals.

With --episodes N, `run:RUN_DIR` or `random` plays N episodes in the run's environment or in that of --env, by its
likeliest actions (`run:RUN_DIR:temperature=1` draws them).

A PLAYER is written as for `selfplay match`. The file, as `selfplay label` writes it, has one position a line:
{"game": "connect_four", "moves": [3, 3, 2], "values": {"0": -1, ...}}, moves and values by action id, values for the
side to move. Where the lines have "scores" too, perfect moves are those with the greatest score. Players that
give values of positions are judged by those as well.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress
from selfplay.console.output import json_text
from selfplay.shipped import POSITIONS
from selfplay.stats.intervals import SHARE_FORM, with_interval

if TYPE_CHECKING:
    from selfplay.evaluation.accuracy import Share
    from selfplay.evaluation.episodes import EpisodeResults


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player, and what it is measured on."""
    parser.add_argument("player", metavar="PLAYER", help="the player to measure")
    parser.add_argument(
        "--positions",
        metavar="FILE.jsonl",
        type=Path,
        help=f"labelled positions; or {' or '.join(POSITIONS.files())}, which come with selfplay",
    )
    parser.add_argument("--game", metavar="GAME", help="their game, where a module of your own has it (module:name)")
    parser.add_argument("--episodes", metavar="N", type=integer(1, 1_000_000), help="episodes of an environment")
    parser.add_argument("--env", metavar="E", help="the environment (the run's own)")
    parser.add_argument("--video", metavar="FILE.mp4", type=Path, help="film one episode more")
    parser.add_argument(
        "--picture", metavar="FILE.png", type=Path, help="draw a grid world: what it does, what is best"
    )
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the player (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Measure and print."""
    from selfplay.errors import UserError

    if (args.positions is None) == (args.episodes is None):
        raise UserError("give --positions FILE.jsonl for a game, or --episodes N for an environment")
    if args.episodes is None and (args.env or args.video or args.picture):
        raise UserError("--env, --video and --picture are for --episodes N")
    if args.positions is None and args.game:
        raise UserError("--game is for --positions FILE.jsonl")
    return _positions(args) if args.episodes is None else _episodes(args)


def _episodes(args: argparse.Namespace) -> int:
    from games.environments.registry import load_environment
    from selfplay.config.run import RewardsConfig
    from selfplay.errors import UserError
    from selfplay.evaluation.episodes import play_episodes
    from selfplay.evaluation.policy_pictures import draw_player, require_grid_world
    from selfplay.evaluation.video import check_film_path, film_episode, with_pictures
    from selfplay.players.kinds import read_player
    from selfplay.players.trained import discount_of, run_config
    from selfplay.storage.files import publish

    spec = read_player(args.player)
    name = args.env or spec.environment
    if name is None:
        raise UserError(f"{args.player}: say which environment with --env")
    environment = load_environment(name)
    if args.video is not None:  # complain before the episodes
        check_film_path(args.video)
        drawn = with_pictures(environment)
    world = None if args.picture is None else require_grid_world(environment)
    agent = spec.make_agent(environment, args.seed)
    results = play_episodes(agent, environment, args.episodes, args.seed, show_progress("episodes"))
    if results.cut_off:
        print(f"selfplay: {environment.limit_note}", file=sys.stderr)
    _print_episodes(args, agent.name, environment.name, results)
    if args.video is not None:  # after the figures, which a full disk must not take away
        film_episode(agent, drawn, args.seed, args.video)
    if world is not None:
        is_of_run = spec.environment is not None
        discount = discount_of(run_config(spec.target)) if is_of_run else RewardsConfig().discount
        publish(args.picture, draw_player(world, agent, discount))
    return 0


def _print_episodes(args: argparse.Namespace, agent: str, environment: str, results: EpisodeResults) -> None:
    from selfplay.training.reporting import mean_text, return_text

    for remark in results.remarks:
        print(f"warning: {remark}", file=sys.stderr)
    if args.json:
        low, high = results.interval or (None, None)
        figures = {"mean": results.mean, "low": low, "high": high, "returns": results.returns.tolist()}
        figures["unsound"] = results.unsound
        print(json_text({"agent": agent, "environment": environment, **figures}), file=args.output, flush=True)
        return
    print(f"{agent}: {environment}, {args.episodes} episodes")
    print(f"  mean return  {mean_text(results.mean, results.interval)}")
    print(
        f"  from         {return_text(results.returns.min())} to {return_text(results.returns.max())}, "
        f"median {return_text(float(np.median(results.returns)))}"
    )
    print(f"  length       {results.lengths.mean():.1f} steps", flush=True)


def _positions(args: argparse.Namespace) -> int:
    import games
    from selfplay.errors import UserError
    from selfplay.evaluation.accuracy import measure_accuracy
    from selfplay.evaluation.labelled import read_positions
    from selfplay.players.kinds import read_player

    spec = read_player(args.player)
    wanted = games.load(args.game) if args.game else None  # before they are read: it may bring the game
    positions = read_positions(args.positions)
    if wanted is not None and wanted.rules != positions.game.rules:
        raise UserError(f"--game: {args.positions} has positions of {positions.game.name}, not of {wanted.name}")
    player = spec.make_player(positions.game, args.seed)
    try:
        result = measure_accuracy(player, positions, show_progress("positions"))
    finally:
        player.close()
    if args.json:
        print(json_text(asdict(result)), file=args.output)
        return 0
    print(f"{result.player}: {result.game}, {args.positions}")
    print(f"  value kept  {result.kept} of {result.positions} positions")
    print(f"  accuracy    {with_interval(result.accuracy, result.low, result.high, SHARE_FORM)}")
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
    return f"{with_interval(share.share, share.low, share.high, SHARE_FORM)}  {share.count} of {share.positions}"
