"""`kill -9` of a whole run at random times, again and again: nothing that was announced as saved is ever lost.

    python benchmarks/random_kills.py --out runs/kills --kills 100

One run of tic-tac-toe with an actor process, a checkpoint every few steps and many shards. After each kill its folder
is checked (`selfplay verify`), what was there before the kill is compared with what is there now, no process may be
left, and the run is resumed. Exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench_report import machine_header

from selfplay import checkpoint, shards
from selfplay.machine import processes_with
from selfplay.verification import verify

CONFIG = Path(__file__).parent.parent / "configs" / "smoke.yaml"
OPTIONS = (
    "--actors.num-actors 1 --actors.games-per-actor 16 --search.num-simulations 8 --replay.min-positions 200 "
    "--replay.capacity 5000 --replay.window-start 5000 --learner.batch-size 32 --learner.publish-steps 5 "
    "--checkpoint.every-steps 10 --evaluation.every-minutes 0.05 --evaluation.games 4 --wandb.mode disabled "
    "--budget.minutes 100000"
).split()
MARKER = "SELFPLAY_RANDOM_KILLS"
EARLY = 0.25
"""Share of the kills that come in the first seconds, while the run starts."""

SPREAD = 4.0
"""A kill comes up to so many seconds after the start, or after the first new checkpoint."""

LONGEST = 120.0
"""Seconds until a checkpoint at most."""


@dataclass(frozen=True)
class Published:
    """What a run has announced."""

    version: int
    shard: int
    games: int

    @classmethod
    def read(cls, run: Path) -> Published:
        """From the folder, at any time."""
        games, _, next_shard = shards.totals(run / "games")
        return cls(max(checkpoint.versions(run / "checkpoints"), default=-1), next_shard - 1, games)


def kill_once(run: Path, log: Path, is_early: bool, seconds: float) -> list[str]:
    """Start or resume, kill `seconds` after the start or the first new checkpoint; returns what is wrong."""
    newest = Published.read(run).version
    resumes = (run / "config.yaml").exists()
    command = ["resume", str(run)] if resumes else ["train", str(CONFIG), "--run-dir", str(run), *OPTIONS]
    environment = os.environ | {MARKER: str(run)}
    with log.open("ab") as output:
        driver = subprocess.Popen(
            [sys.executable, "-m", "selfplay", *command],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + LONGEST
    while not is_early and Published.read(run).version <= max(0, newest) and driver.poll() is None:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    time.sleep(seconds)
    before = Published.read(run)  # a little earlier than the kill: what comes in between is not demanded
    if driver.poll() is not None:
        return [f"the driver ended by itself with status {driver.returncode}; see {log}"]
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + 5.0
    while processes_with(f"{MARKER}={run}") and time.monotonic() < deadline:
        time.sleep(0.05)
    wrong = [f"process {pid} is left" for pid in processes_with(f"{MARKER}={run}")]
    if not (run / "config.yaml").exists():
        return wrong  # it had not begun
    found, after = verify(run), Published.read(run)
    wrong += found.problems
    for name in ("version", "shard", "games"):
        if getattr(after, name) < getattr(before, name):
            wrong.append(f"{name} fell from {getattr(before, name)} to {getattr(after, name)}")
    return wrong


def main() -> int:
    """Kill, check, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for the run and its log")
    parser.add_argument("--kills", metavar="N", type=int, default=100, help="(100)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the times (0)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    print(machine_header(), end="\n\n", flush=True)
    rng, run, bad = random.Random(arguments.seed), arguments.out / "run", 0
    for number in range(1, arguments.kills + 1):
        is_early, seconds = rng.random() < EARLY, rng.uniform(0.0, SPREAD)
        wrong = kill_once(run, arguments.out / "log.txt", is_early, seconds)
        now, since = Published.read(run), "its start" if is_early else "a checkpoint"
        print(f"{number}: killed {seconds:.1f} s after {since}; step {now.version}, {now.games:,} games: ", end="")
        print("; ".join(wrong) or "sound", flush=True)
        bad += bool(wrong)
    print(f"\n{arguments.kills} kills, {bad} of them lost something or left something behind")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
