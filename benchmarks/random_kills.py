"""`kill -9` of whole runs at random times, again and again: nothing that was announced as saved is ever lost.

    python benchmarks/random_kills.py --out runs/kills --kills 100

Three runs in turn, each with an actor process and a checkpoint every few steps: AlphaZero on tic-tac-toe with many
shards, DQN, and PPO with running normalisation, these two on an environment that leaves out a number of an observation
now and then (tests/support/unsound_environments.py). After each kill

* the folder is checked (`selfplay verify`), and compared with what was there before the kill; no process may be left;
* every checkpoint must be sound, and a copy of the run without the later ones must resume for a step;
* the run is resumed, to be killed again.

Ends with a table, and with exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench_report import machine_header

import selfplay
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.storage import checkpoint, shards
from selfplay.system.machine import processes_with
from selfplay.training.display import PlainDisplay
from selfplay.training.verification import verify

ROOT = Path(__file__).parent.parent
SHARED = (
    "--actors.num-actors 1 --actors.dtype float32 --actors.device cpu --learner.device cpu --learner.batch-size 32 "
    "--learner.publish-steps 5 --checkpoint.every-steps 10 --checkpoint.keep-last 2 --wandb.mode disabled "
    "--evaluation.final-games 2 --budget.minutes 100000 --budget.positions 0"
).split()
ENVIRONMENT = (
    "--environment unsound_environments:SensorGap-v0 --net.hidden 16 --net.layers 1 --evaluation.every-minutes 0"
)
RUNS = {
    "alphazero": (
        "smoke.yaml",
        "--actors.games-per-actor 16 --search.num-simulations 8 --replay.min-positions 200 --replay.capacity 5000 "
        "--replay.window-start 5000 --evaluation.every-minutes 0.05 --evaluation.games 4",
    ),
    "dqn": ("cartpole_dqn.yaml", f"{ENVIRONMENT} --replay.min-positions 100 --replay.capacity 4000"),
    "ppo": ("cartpole_ppo.yaml", f"{ENVIRONMENT} --net.input-transform running --rewards.normalise True"),
}
"""File of settings and options of each run."""

MARKER = "SELFPLAY_RANDOM_KILLS"
EARLY = 0.25
"""Share of the kills that come in the first seconds, while the run starts."""

SPREAD = 3.0
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


def train_command(kind: str, run: Path) -> list[str]:
    """The command that starts a run of RUNS."""
    config, options = RUNS[kind]
    return ["train", str(ROOT / "configs" / config), "--run-dir", str(run), *SHARED, *options.split()]


def kill_once(kind: str, run: Path, log: Path, is_early: bool, seconds: float) -> list[str]:
    """Start or resume, kill `seconds` after the start or the first new checkpoint; returns what is wrong."""
    newest = Published.read(run).version
    resumes = (run / "config.yaml").exists()
    command = ["resume", str(run)] if resumes else train_command(kind, run)
    environment = os.environ | {
        MARKER: str(run),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]),
    }
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


@dataclass
class Tally:
    """What came of the kills of one run."""

    kills: int = 0
    bad: int = 0
    resumed: int = 0
    """Checkpoints from which a copy made a step."""


def resume_each(run: Path, copy: Path) -> tuple[int, list[str]]:
    """From every checkpoint, in a copy without the later ones, one step. Returns how many, and what went wrong."""
    wrong: list[str] = []
    versions = checkpoint.versions(run / "checkpoints")
    for version in versions:
        later = {f"{other:08d}" for other in versions if other > version}
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(run, copy, ignore=lambda _, names, later=later: later & set(names))
        try:
            selfplay.resume(copy, partial(one_step, steps=version + 1), PlainDisplay(io.StringIO()))
        except (UserError, ValueError) as error:
            wrong.append(f"version {version} cannot be resumed: {error}")
            continue
        made = checkpoint.versions(copy / "checkpoints")
        if made[-1] != version + 1 or (copy / "checkpoints" / "quarantine").exists():
            wrong.append(f"version {version} was resumed and left the versions {made}")
    shutil.rmtree(copy, ignore_errors=True)
    return len(versions) - len(wrong), wrong


def one_step(config: Config, steps: int) -> Config:
    """The settings with a budget of `steps`, in one process, without matches."""
    return replace(
        config,
        actors=replace(config.actors, num_actors=0),
        evaluation=replace(config.evaluation, opponents=(), every_minutes=0.0),
        budget=replace(config.budget, minutes=0.0, positions=0, steps=steps),
    )


def main() -> int:
    """Kill, check, print a line each and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for the runs and their logs")
    parser.add_argument("--kills", metavar="N", type=int, default=100, help="of all runs together (100)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the times (0)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    sys.path.insert(0, str(ROOT / "tests" / "support"))  # for the environment
    print(machine_header(), end="\n\n", flush=True)
    rng, tallies = random.Random(arguments.seed), {kind: Tally() for kind in RUNS}
    for number in range(arguments.kills):
        kind = list(RUNS)[number % len(RUNS)]
        run, tally = arguments.out / kind, tallies[kind]
        is_early, seconds = rng.random() < EARLY, rng.uniform(0.0, SPREAD)
        wrong = kill_once(kind, run, arguments.out / f"{kind}.log", is_early, seconds)
        resumed, cannot = resume_each(run, arguments.out / "copy")
        wrong += cannot
        now, since = Published.read(run), "its start" if is_early else "a checkpoint"
        print(f"{number + 1}: {kind} killed {seconds:.1f} s after {since}; step {now.version}, ", end="")
        print(f"{resumed} checkpoints resumed: {'; '.join(wrong) or 'sound'}", flush=True)
        tally.kills, tally.bad, tally.resumed = tally.kills + 1, tally.bad + bool(wrong), tally.resumed + resumed
    print("\n| run | kills | something lost or left behind | checkpoints resumed for a step |\n|---|---|---|---|")
    for kind, tally in tallies.items():
        print(f"| {kind} | {tally.kills} | {tally.bad} | {tally.resumed} |")
    bad = sum(tally.bad for tally in tallies.values())
    print(f"\n{arguments.kills} kills, {bad} of them lost something or left something behind")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
