"""Positions per second of the actors' inference object, by network, batch size, precision and threads.

    python benchmarks/bench_inference.py --seconds 2 --json inference.json
    python benchmarks/bench_inference.py --game 'chess(egocentric_obs_tensor=True)' --heads planes dense --threads 1

The networks have the sizes of a game. A row is the median over the batches of its cell.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np
import torch
from bench_report import BenchmarkRow, machine_header, print_table, write_json

import games
from games import Game
from nets import Inference, NetConfig, PolicyValueNet, build, default_device
from nets.inference import DTYPES
from selfplay.algorithms.networks import board_of


def positions_per_second(inference: Inference, game: Game, batch: int, seconds: float) -> float:
    """Median rate of `predict` over at least three batches and `seconds`."""
    observations = np.random.default_rng(0).standard_normal((batch, *game.observation_shape), dtype=np.float32)
    inference.predict(observations)  # kernels for this size are prepared on first use
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        inference.predict(observations)
        times.append(time.perf_counter() - start)
    return batch / statistics.median(times)


def make_inference(net: PolicyValueNet, game: Game, dtype: str, max_batch: int) -> Inference:
    inference = Inference(
        net.config, game.observation_shape, game.num_actions, 1, dtype=dtype, max_batch=max_batch, measure_seconds=0.0,
        calibration=np.random.default_rng(1).random((256, *game.observation_shape), dtype=np.float32),
        board=board_of(game),
    )  # fmt: skip
    inference.load(net.state_dict(), version=0)
    return inference


def run(arguments: argparse.Namespace) -> list[BenchmarkRow]:
    """One row a cell, printed as it is made."""
    rows, game = [], games.load(arguments.game)
    for size, heads in itertools.product(arguments.nets, arguments.heads):
        channels, blocks = map(int, size.split("x"))
        config = NetConfig(channels=channels, blocks=blocks, heads=heads)
        net = build(config, game.observation_shape, game.num_actions, 1, board=board_of(game))
        name = size if heads == "auto" else f"{size} {heads}"
        rows.append(BenchmarkRow(f"network {name}", sum(p.numel() for p in net.parameters()), "weights"))
        print_table(rows[-1:])
        for dtype in arguments.dtypes:
            try:
                inference = make_inference(net, game, dtype, max(arguments.batches))
            except ValueError as error:
                print(f"{name} {dtype}: left out: {error}")
                continue
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                for batch in arguments.batches:
                    rate = positions_per_second(inference, game, batch, arguments.seconds)
                    cell = f"inference {name} {dtype} threads {threads} batch {batch}"
                    rows.append(BenchmarkRow(cell, rate, "positions/s"))
                    print_table(rows[-1:])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each cell")
    parser.add_argument("--game", default="connect_four", metavar="GAME", help="whose sizes the networks have")
    parser.add_argument("--heads", nargs="+", default=["auto"], choices=["auto", "planes", "dense"])
    parser.add_argument("--nets", nargs="+", default=["64x5", "32x4"], metavar="CHANNELSxBLOCKS")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 64, 128, 256])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--json", metavar="FILE", help="write the rows as a JSON list of {name, value, unit}")
    arguments = parser.parse_args()
    print(f"{machine_header()}\ndevice: {default_device()}\n")
    rows = run(arguments)
    if arguments.json:
        write_json(rows, arguments.json)


if __name__ == "__main__":
    main()
