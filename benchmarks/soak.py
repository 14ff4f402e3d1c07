"""A long run while its actors are killed at random: memory, open files and threads of every process stay as they are.

    python benchmarks/soak.py --out runs/soak --minutes 30        # `make soak`

Tic-tac-toe with two actors and a small replay that is full early. Every few seconds one of the actors is killed; the
other one, the driver and the evaluator live as long as the run. They are measured every second; after the first
third, a line is fitted through the memory that is theirs alone (RssAnon): through its mean of every minute, or through
its least for the evaluator, whose work comes and goes. The slope has a 95 % interval from resampling stretches of the
residuals (they are not independent). All measurements are kept in DIR/samples.jsonl. Exit status 1 when the upper end
for any process is over 1 MB an hour, or descriptors or threads have grown, or the run did not go on, or is not sound
(`selfplay verify`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from bench_report import machine_header

from selfplay.storage.metrics import read_metrics
from selfplay.training.verification import verify

CONFIG = Path(__file__).parent.parent / "configs" / "smoke.yaml"
OPTIONS = (
    "--actors.num-actors 2 --actors.games-per-actor 16 --search.num-simulations 8 --replay.min-positions 200 "
    "--replay.capacity 2000 --replay.window-start 2000 --learner.batch-size 32 --evaluation.every-minutes 0.3 "
    "--evaluation.games 4 --evaluation.final-games 4 --checkpoint.every-minutes 0.3 --checkpoint.keep-every 0 "
    "--wandb.mode disabled"
).split()
EVERY = 1.0
"""Seconds between measurements."""

LEVEL: dict[str, Callable[[list[float]], float]] = {"driver": fmean, "sp-actor": fmean, "sp-evaluator": min}
"""What is fitted of the measurements of a minute, by process. Once a minute a process gives memory back, of which the
driver takes 4 MB again within seconds: its least of a minute is a matter of which second was measured."""

BREAK = (3.0, 12.0)
"""Seconds between kills, at least and at most."""

WARM_UP = 1 / 3
"""Share of the time that is not judged."""

MOST_GROWTH = 1.0
"""MB an hour."""

MINUTE = 60
"""Measurements in a minute."""

STRETCH = 3
"""Minutes in a stretch."""


@dataclass(frozen=True)
class Sample:
    """One measurement of one process."""

    seconds: float
    megabytes: float
    descriptors: int
    threads: int


def measure(pid: int, seconds: float) -> Sample | None:
    """None when it has ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if "RssAnon" not in status:
            return None  # it is being taken away
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        return Sample(seconds, int(status["RssAnon"].split()[0]) / 1000, descriptors, int(status["Threads"]))
    except OSError:
        return None


def children(pid: int) -> list[int]:
    """The processes that a process has started, in the order of their start."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return sorted(map(int, text.split()))


def name_of(pid: int) -> str:
    """What `selfplay.system.child_process` calls it; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def growth(
    samples: list[Sample], level: Callable[[list[float]], float], rng: np.random.Generator
) -> tuple[float, float]:
    """MB an hour of the `level` of every minute, and the upper end of its 95 % interval."""
    minutes = [samples[start : start + MINUTE] for start in range(0, len(samples) - MINUTE + 1, MINUTE)]
    hours = np.array([minute[0].seconds for minute in minutes]) / 3600
    memory = np.array([level([sample.megabytes for sample in minute]) for minute in minutes])
    slope, intercept = np.polyfit(hours, memory, 1)
    residuals = memory - (slope * hours + intercept)
    slopes = []
    for _ in range(2000):
        starts = rng.integers(0, max(1, len(residuals) - STRETCH + 1), -(-len(residuals) // STRETCH))
        drawn = np.concatenate([residuals[start : start + STRETCH] for start in starts])
        drawn = np.resize(drawn, len(residuals))
        slopes.append(np.polyfit(hours, slope * hours + intercept + drawn, 1)[0])
    return float(slope), float(np.quantile(slopes, 0.975))


def watch(driver: subprocess.Popen[bytes], minutes: float, rng: random.Random) -> tuple[dict[int, list[Sample]], int]:
    """Measure and kill until the driver ends or the time is over; returns the samples by process, and the kills."""
    samples: dict[int, list[Sample]] = defaultdict(list)
    started = time.monotonic()
    next_sample, next_kill, kills = 0.0, 30.0, 0
    spared: int | None = None  # an actor that lives as long as the run
    while driver.poll() is None and (now := time.monotonic() - started) < 60 * minutes:
        processes = {pid: name_of(pid) for pid in children(driver.pid)}
        actors = [pid for pid, name in processes.items() if name == "sp-actor"]
        if spared is None and actors:
            spared = actors[0]
        if now >= next_sample:
            next_sample += EVERY
            for pid in (driver.pid, *(pid for pid, name in processes.items() if name.startswith("sp-"))):
                if found := measure(pid, now):
                    samples[pid].append(found)
        if now >= next_kill:
            next_kill = now + rng.uniform(*BREAK)
            if others := [pid for pid in actors if pid != spared]:
                os.kill(rng.choice(others), signal.SIGKILL)
                kills += 1
        time.sleep(0.1)
    return samples, kills


def judge(name: str, samples: list[Sample], rng: np.random.Generator) -> list[str]:
    """Print a row; returns what has grown."""
    slope, upper = growth(samples, LEVEL[name], rng)
    half = len(samples) // 2
    grown = [f"memory by up to {upper:.2f} MB an hour"] if upper > MOST_GROWTH else []
    counts = []
    for what in ("descriptors", "threads"):
        first, last = (max(getattr(sample, what) for sample in part) for part in (samples[:half], samples[half:]))
        counts.append(f"{last:>6}")
        if last > first:
            grown.append(f"{what} from {first} to {last}")
    memory = samples[-1].megabytes
    print(f"{name:<16} {len(samples):>7} {memory:>8.1f} {slope:>+9.2f} {upper:>+9.2f} {' '.join(counts)}", flush=True)
    return [f"{name}: {what}" for what in grown]


def main() -> int:
    """Run, watch, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for the run and its log")
    parser.add_argument("--minutes", metavar="N", type=float, default=30.0, help="(30)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the kills (0)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    run, log = arguments.out / "run", arguments.out / "log.txt"
    print(machine_header(), end="\n\n", flush=True)
    command = ["train", str(CONFIG), "--run-dir", str(run), *OPTIONS, "--budget.minutes", str(10 * arguments.minutes)]
    with log.open("wb") as output:
        driver = subprocess.Popen([sys.executable, "-m", "selfplay", *command], stdout=output, stderr=output)
    try:
        samples, kills = watch(driver, arguments.minutes, random.Random(arguments.seed))
        names = {pid: "driver" if pid == driver.pid else name_of(pid) for pid in samples}
        ended_early = driver.poll() is not None
        driver.terminate()
        status = driver.wait(timeout=60)
    finally:
        driver.kill()
    wrong = [f"the run ended by itself with status {status}; see {log}"] if ended_early else []
    if not ended_early and status != 128 + signal.SIGTERM:
        wrong.append(f"the run was asked to stop and ended with status {status}; see {log}")
    print(f"{kills} kills\n\nprocess          samples       MB      MB/h   at most  files threads")
    warm = 60 * arguments.minutes * WARM_UP
    with (arguments.out / "samples.jsonl").open("w") as output:
        for pid, taken in samples.items():
            output.writelines(json.dumps({"process": names[pid], "pid": pid, **asdict(one)}) + "\n" for one in taken)
    for pid, name in names.items():
        judged = [sample for sample in samples[pid] if sample.seconds >= warm]
        if name and len(judged) >= 4 * MINUTE:
            wrong += judge(name, judged, np.random.default_rng(0))
    rows = list(read_metrics(run / "metrics.jsonl"))
    restarts = max(row.get("selfplay/actor_restarts", 0) for row in rows)
    print(f"\nsteps {rows[-1]['step']:,}, positions {rows[-1]['positions']:,}, actors replaced {restarts}")
    if restarts < kills - 1:
        wrong.append(f"{kills} actors were killed, {restarts} replaced")
    wrong += verify(run).problems
    print("\n".join(wrong) or "nothing grows, nothing is lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
