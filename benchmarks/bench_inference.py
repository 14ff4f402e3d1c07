"""Positions per second of the actors' inference object, by network, batch size, precision and threads.

    python benchmarks/bench_inference.py --seconds 2 --json inference.json

The networks have Connect Four's sizes (5 planes of 6x7, 7 actions). A row is the median over the batches of its cell.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from bench_report import BenchmarkRow, machine_header, print_table, write_json

from nets import Inference, NetConfig, build, default_device
from nets.inference import DTYPES

OBSERVATION_SHAPE = (5, 6, 7)
NUM_ACTIONS = 7


def positions_per_second(inference: Inference, batch: int, seconds: float) -> float:
    """Median rate of `predict` over at least three batches and `seconds`."""
    observations = np.random.default_rng(0).standard_normal((batch, *OBSERVATION_SHAPE), dtype=np.float32)
    inference.predict(observations)  # kernels for this size are prepared on first use
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        inference.predict(observations)
        times.append(time.perf_counter() - start)
    return batch / statistics.median(times)


def make_inference(channels: int, blocks: int, dtype: str, max_batch: int) -> Inference:
    config = NetConfig(channels=channels, blocks=blocks)
    inference = Inference(
        config, OBSERVATION_SHAPE, NUM_ACTIONS, 1, dtype=dtype, max_batch=max_batch, measure_seconds=0.0,
        calibration=np.random.default_rng(1).random((256, *OBSERVATION_SHAPE), dtype=np.float32),
    )  # fmt: skip
    inference.load(build(config, OBSERVATION_SHAPE, NUM_ACTIONS, 1).state_dict(), version=0)
    return inference


def run(arguments: argparse.Namespace) -> list[BenchmarkRow]:
    """One row a cell, printed as it is made."""
    rows = []
    for net in arguments.nets:
        channels, blocks = map(int, net.split("x"))
        for dtype in arguments.dtypes:
            try:
                inference = make_inference(channels, blocks, dtype, max(arguments.batches))
            except ValueError as error:
                print(f"{net} {dtype}: left out: {error}")
                continue
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                for batch in arguments.batches:
                    rate = positions_per_second(inference, batch, arguments.seconds)
                    name = f"inference {net} {dtype} threads {threads} batch {batch}"
                    rows.append(BenchmarkRow(name, rate, "positions/s"))
                    print_table(rows[-1:])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each cell")
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
