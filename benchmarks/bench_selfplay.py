"""Self-play of real actor processes with a fresh network, against the network alone and against other people's code.

    python benchmarks/bench_selfplay.py --json selfplay.json

For every rule: what the actors make, then what the same number of processes make that do nothing but evaluate batches
of the same size. OpenSpiel's Python AlphaZero (as many actors) and mctx with pgx (all cores in one process) follow on
the same size of network and number of simulations, where they are installed (see `peers.py`). All games start
together, so `games` is only true where --seconds is several times as long as a game.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import peers
from bench_report import BenchmarkRow, machine_header, print_table, write_json

import games
from nets import NetConfig
from search import SearchConfig
from selfplay.config.run import ActorsConfig, Config
from selfplay.profiling.speed import games_row, measure_selfplay_and_network, measure_warm_up, selfplay_rows
from selfplay.system.together import TogetherError, run_together


def measure_ours(arguments: argparse.Namespace, rule: str) -> list[BenchmarkRow]:
    """The rows of our own actors."""
    channels, blocks = arguments.net
    config = Config(
        game=arguments.game,
        search=SearchConfig(rule=rule, num_simulations=arguments.simulations, cache_megabytes=arguments.cache),
        net=NetConfig(channels=channels, blocks=blocks),
        actors=ActorsConfig(num_actors=arguments.actors, games_per_actor=arguments.games_per_actor),
    )
    print(f"({rule}: search compiled or loaded in {measure_warm_up(config):.1f} s)", flush=True)
    speed, network_rate = measure_selfplay_and_network(
        config,
        arguments.seconds,
        arguments.warm_up,
        arguments.seconds / 4,
        warn=lambda text: print(text, file=sys.stderr),
    )
    print(f"({rule}: {speed.inference['device']}, {speed.inference['dtype']})")
    name, game = f"self-play {rule}", games.load(arguments.game)
    rows = [*selfplay_rows(name, speed, network_rate, game), games_row(name, speed, game)]
    print_table(rows)
    return rows


def measure_peer(
    name: str, needs: tuple[str, ...], work: Callable[..., float], processes: int, *rest: object
) -> BenchmarkRow:
    """The row of one peer: simulations/s of all its processes. Raises TogetherError where it cannot be measured."""
    absent = peers.missing(needs)
    if absent:
        raise TogetherError(f"not installed ({', '.join(absent)})")
    row = BenchmarkRow(name, sum(run_together(work, processes, *rest)), "simulations/s")
    print_table([row])
    return row


def measure_peers(arguments: argparse.Namespace) -> list[BenchmarkRow]:
    """The rows of the peers; a line says why one is left out."""
    size = (*arguments.net, arguments.simulations)
    cases = [
        (f"OpenSpiel Python AlphaZero {api}", peers.OPENSPIEL_NEEDS, peers.openspiel_alphazero, arguments.actors)
        + (api, *size, arguments.seconds)
        for api in peers.OPENSPIEL_APIS
    ]
    cases += [
        (f"mctx with pgx {rule}", peers.MCTX_NEEDS, peers.mctx_pgx, 1)
        + (rule, *size, arguments.games_per_actor, arguments.seconds)
        for rule in arguments.rules
    ]
    rows = []
    for name, *rest in cases:
        try:
            rows.append(measure_peer(name, *rest))
        except TogetherError as error:
            print(f"{name}: left out: {error}")
    return rows


def ratios(ours: list[BenchmarkRow], theirs: list[BenchmarkRow]) -> list[BenchmarkRow]:
    """How many times as many simulations ours makes, for each pair."""
    return [
        BenchmarkRow(f"{mine.name} / {peer.name}", mine.value / peer.value, "times")
        for mine in ours
        if mine.unit == "simulations/s"
        for peer in theirs
    ]


def net_size(text: str) -> tuple[int, int]:
    """`64x5` as channels and blocks."""
    channels, blocks = map(int, text.split("x"))
    return channels, blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="time for each measurement (120)")
    parser.add_argument("--warm-up", type=float, default=30.0, help="time before it that is not counted (30)")
    parser.add_argument("--game", default="connect_four", help="of our own actors; the peers play Connect Four")
    parser.add_argument("--rules", nargs="+", default=["puct", "gumbel"], choices=["puct", "gumbel"])
    parser.add_argument("--simulations", type=int, default=100, help="simulations a move (100)")
    parser.add_argument("--net", type=net_size, default=(64, 5), metavar="CHANNELSxBLOCKS", help="(64x5)")
    parser.add_argument("--actors", type=int, default=2, help="actor processes (2)")
    parser.add_argument("--games-per-actor", type=int, default=256, help="games an actor plays at once (256)")
    parser.add_argument("--cache", type=int, default=SearchConfig().cache_megabytes, help="megabytes of its cache (64)")
    parser.add_argument("--no-peers", action="store_true", help="measure only our own actors")
    parser.add_argument("--json", metavar="FILE", help="write the rows as a JSON list of {name, value, unit}")
    arguments = parser.parse_args()
    print(f"{machine_header(() if arguments.no_peers else peers.PACKAGES)}\n")
    ours = [row for rule in arguments.rules for row in measure_ours(arguments, rule)]
    theirs = [] if arguments.no_peers else measure_peers(arguments)
    compared = ratios(ours, theirs)
    print_table(compared)
    if arguments.json:
        write_json([*ours, *theirs, *compared], arguments.json)


if __name__ == "__main__":
    main()
