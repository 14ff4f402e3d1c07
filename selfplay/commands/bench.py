"""Measure this machine: where the time and the memory of training go, with the settings of a run (Connect Four if none
are given): search, self-play, an actor taken apart, the learner.

Takes about a minute, plus about another the first time, for compiling the search.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from selfplay.commands.arguments import CONFIG_HELP, integer, require_measurable
from selfplay.config.run import Config
from selfplay.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the settings, how long to measure, and the file."""
    parser.add_argument(
        "config", metavar="CONFIG", type=Path, nargs="?", help=f"{CONFIG_HELP}; the defaults if left out"
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=integer(0, 3600),
        default=12,
        help="of self-play; half of it before, to warm up, and a third each for network, search, learner and an actor "
        "alone (12)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows as a list of {name, value, unit}")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Measure, print the table, write the file."""
    from selfplay.config import reader

    config = reader.load(Config, args.config, overrides)
    require_measurable(config, "bench")
    if args.json is not None and not args.json.parent.is_dir():
        raise UserError(f"--json: there is no folder {args.json.parent}")
    import games

    games.load(config.game)  # complain before the first sign of life
    print("selfplay: loading", flush=True)  # torch takes seconds to import
    from selfplay.algorithms.precision import choose_device
    from selfplay.profiling.loop import loop_rows, measure_loop
    from selfplay.profiling.speed import (
        measure_search,
        measure_selfplay_and_network,
        measure_warm_up,
        selfplay_rows,
        with_actors,
    )
    from selfplay.profiling.table import BenchmarkRow, machine_header, print_table, write_json
    from selfplay.training.checks import check

    check(config, is_new=False)  # how long a run would be does not matter here
    choose_device(config.learner.device)  # complains where there is none
    config = with_actors(replace(config, curriculum=()))  # what is measured is `game`
    game = games.load(config.game)
    print(f"{machine_header()}\nsettings: {_settings_line(config)}", flush=True)
    rows = [BenchmarkRow("compile or load the search", measure_warm_up(config), "s")]
    search = measure_search(game, config.search, config.actors.games_per_actor, args.seconds / 3)
    rows.append(BenchmarkRow("search with a constant evaluator, one core", search.per_second, "simulations/s"))
    speed, network_rate = measure_selfplay_and_network(
        config, args.seconds, args.seconds / 2, args.seconds / 3, warn=lambda text: print(text, file=sys.stderr)
    )
    rows += selfplay_rows("self-play", speed, network_rate, game)
    rows += loop_rows(config, game, measure_loop(config, args.seconds / 3), speed)
    print(f"network: {speed.inference['device']}, {speed.inference['dtype']}\n")
    print_table(rows)
    if args.json is not None:
        write_json(rows, args.json)
    return 0


def _settings_line(config: Config) -> str:
    search, actors = config.search, config.actors
    return (
        f"{config.game}, {search.rule} with {search.num_simulations} simulations, "
        f"{actors.num_actors} actors with {actors.games_per_actor} games each"
    )
