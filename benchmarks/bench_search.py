"""Simulations per second of the search on one core, with a constant evaluator: what everything but the network costs.

    python benchmarks/bench_search.py --seconds 2 --json search.json

Every tree searches the start of its game, with the noise of self-play. A row is simulations by the clock, followed by
the same in processor time: equal on a machine that does nothing else. OpenSpiel's Python MCTS is measured last, on its
own Connect Four, with the same evaluator and number of simulations.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyspiel
from bench_report import BenchmarkRow, machine_header, print_table, write_json
from open_spiel.python.algorithms import mcts

import games
from search import SearchConfig
from selfplay.profiling.speed import measure_search

TREES = 256
"""Trees where --trees is not given, and for all games but those in TREES_OF."""

TREES_OF = {"connect_four": [128, 256, 512]}

GAMES = [
    "connect_four",
    "openspiel:connect_four",
    "tic_tac_toe",
    "othello",
    "openspiel:othello",
    "hex(board_size=5)",
    "openspiel:hex(board_size=5)",
    "breakthrough(rows=6,columns=6)",
    "go(board_size=5)",
    "pig",
    "chinese_checkers(players=3)",
    "2048",
]


class UniformEvaluator(mcts.Evaluator):
    """The constant evaluator for OpenSpiel's search."""

    def evaluate(self, state: pyspiel.State) -> np.ndarray:
        """Zero for every player."""
        return np.zeros(state.num_players())

    def prior(self, state: pyspiel.State) -> list[tuple[int, float]]:
        """Every move equally likely."""
        actions = state.legal_actions()
        return [(action, 1.0 / len(actions)) for action in actions]


def measure_openspiel(num_simulations: int, seconds: float) -> tuple[float, float]:
    """Simulations/s of OpenSpiel's Python MCTS by the clock and by processor time."""
    game = pyspiel.load_game("connect_four")
    bot = mcts.MCTSBot(
        game,
        uct_c=1.25,
        max_simulations=num_simulations,
        evaluator=UniformEvaluator(),
        solve=False,
        child_selection_fn=mcts.SearchNode.puct_value,
    )
    state = game.new_initial_state()
    bot.mcts_search(state)
    simulations, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while simulations == 0 or time.perf_counter() - start < seconds:
        bot.mcts_search(state)
        simulations += num_simulations
    return simulations / (time.perf_counter() - start), simulations / (time.process_time() - cpu_start)


def rate_rows(name: str, per_second: float, per_cpu_second: float) -> list[BenchmarkRow]:
    """The two rows of one measurement, printed as they are made."""
    rows = [
        BenchmarkRow(name, per_second, "simulations/s"),
        BenchmarkRow(f"{name} cpu", per_cpu_second, "simulations/CPU s"),
    ]
    print_table(rows)
    return rows


def run(arguments: argparse.Namespace) -> list[BenchmarkRow]:
    """All rows."""
    rows = []
    for name in arguments.games:
        game = games.load(name)
        for rule in arguments.rules:
            config = SearchConfig(rule=rule, num_simulations=arguments.simulations)
            for trees in arguments.trees or TREES_OF.get(name, [TREES]):
                speed = measure_search(game, config, trees, arguments.seconds)
                print(f"(first call {speed.first_seconds:.2f} s)")
                rows += rate_rows(f"search {name} {rule} trees {trees}", speed.per_second, speed.per_cpu_second)
    rates = measure_openspiel(arguments.simulations, arguments.seconds)
    return rows + rate_rows("OpenSpiel Python MCTS connect_four", *rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each row")
    parser.add_argument("--games", nargs="+", default=GAMES, metavar="GAME")
    parser.add_argument("--rules", nargs="+", default=["puct", "gumbel"], choices=["puct", "gumbel", "uct"])
    parser.add_argument("--simulations", type=int, default=100, help="simulations of a search")
    parser.add_argument("--trees", nargs="+", type=int, help=f"trees at once ({TREES}; Connect Four also with others)")
    parser.add_argument("--json", metavar="FILE", help="write the rows as a JSON list of {name, value, unit}")
    arguments = parser.parse_args()
    print(f"{machine_header()}\n")
    rows = run(arguments)
    if arguments.json:
        write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
