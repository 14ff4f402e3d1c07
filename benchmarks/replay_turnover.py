"""Memory and work of MuZero's learner while its replay turns over: both have to stay as they are.

    python benchmarks/replay_turnover.py tic_tac_toe_muzero --capacity 20000 --turnovers 4

Games of an untrained network are played once and fed to the replay again and again, with a step of the learner for as
many new rows as in the file (`learner.batch_size` / `replay.sample_reuse`). Settings after the file are those of
`selfplay train`. For each turnover: bytes of the replay, memory of the process that is its own, and the least and the
mean time of its processor for a step, which does not depend on what else the machine does. The first turnover fills.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from bench_report import machine_header

from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.registry import load_algorithm
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.shipped import SETTINGS
from selfplay.system.machine import give_back_memory


def own_megabytes() -> float:
    """Memory of this process that is in no file."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1000


def main() -> None:
    """Play, fill, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", metavar="FILE", help="a file of settings or a name, as for `selfplay train`")
    parser.add_argument("--capacity", metavar="N", type=int, default=20_000, help="rows of the replay (20000)")
    parser.add_argument("--turnovers", metavar="N", type=int, default=4, help="(4)")
    parser.add_argument("--positions", metavar="N", type=int, default=4_000, help="that are played (4000)")
    given, more = parser.parse_known_args()
    size = ["--replay.capacity", str(given.capacity), "--replay.window_start", str(given.capacity)]
    config = reader.load(Config, SETTINGS.find(given.settings), [*size, *more])
    torch.set_num_threads(1)
    algorithm = load_algorithm(config)
    learner, replay, inference = algorithm.make_learner(), algorithm.make_replay(), algorithm.make_inference()
    inference.load(learner.weights(), 0)
    playing, records = algorithm.make_collector({PLAYER: inference}, np.random.default_rng(config.seed), 0, 0), []
    while sum(map(len, records)) < given.positions:
        records += playing.collect()
    playing.close()
    print(f"{machine_header()}\n\nturnover      rows  steps  replay MB   own MB  ms a step, least    mean", flush=True)
    rng, order, owed = np.random.default_rng(0), 0, 0.0
    for turnover in range(given.turnovers):
        end, times = replay.total + given.capacity, []
        while replay.total < end:
            before = replay.total
            replay.add(records[order % len(records)])
            order += 1
            owed += (replay.total - before) * config.replay.sample_reuse / config.learner.batch_size
            while owed >= 1:
                owed -= 1
                started = time.process_time()
                batch = replay.sample(config.learner.batch_size, rng)
                result = learner.step(batch, 0.0)
                replay.learned(batch, result.errors, 0.0)
                times.append(time.process_time() - started)
        give_back_memory()
        least, mean = 1e3 * min(times), 1e3 * float(np.mean(times))
        print(
            f"{turnover:>8} {len(replay):>9,} {len(times):>6} {replay.nbytes / 1e6:>10.2f} {own_megabytes():>8.1f} "
            f"{least:>17.2f} {mean:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
