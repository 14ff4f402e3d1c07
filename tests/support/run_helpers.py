"""Tiny runs of training for tests: their settings, a display that acts in the middle, processes and their children."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import selfplay
from selfplay.training.display import Display, Status

ROOT = Path(__file__).parents[2]

TINY = """
game: tic_tac_toe
name: tiny
search: {rule: gumbel, num_simulations: 4, cache_megabytes: 1}
net: {kind: mlp, hidden: 16, layers: 1}
actors: {num_actors: 0, games_per_actor: 8, dtype: float32, device: cpu}
replay: {min_positions: 50}
learner: {batch_size: 16, device: cpu, publish_steps: 3}
evaluation: {opponents: [], every_minutes: 0}
wandb: {mode: disabled}
checkpoint: {every_minutes: 60}
"""
"""Plays and learns in turn in one process, as long as the budget that a test adds."""

BOUND_SECONDS = 300.0
"""A condition that has not come true after so long never will."""

CART_POLE = """
name: tiny
environment: CartPole-v1
algorithm: dqn
net: {kind: mlp, hidden: 8, layers: 1, batch_norm: false}
actors: {num_actors: 0, games_per_actor: 2, rollout_steps: 4, dtype: float32, device: cpu}
replay: {capacity: 200, min_positions: 20, sample_reuse: 2}
learner: {batch_size: 4, device: cpu}
evaluation: {games: 2, final_games: 2, every_minutes: 0}
budget: {positions: 60}
"""
"""Settings of a run of DQN that is over in seconds."""


def tiny_file(folder: Path) -> Path:
    """`TINY` as a file."""
    path = folder / "tiny.yaml"
    path.write_text(TINY)
    return path


def tiny_config(folder: Path, *overrides: str) -> selfplay.Config:
    """`TINY` with some settings replaced."""
    return selfplay.load_config(selfplay.Config, tiny_file(folder), overrides)


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own; its output is text in a pipe."""
    command = [sys.executable, "-m", "selfplay", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until `condition()`; fails after `BOUND_SECONDS`."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


class Watcher(Display):
    """Keeps what a person would see, and calls `act(status)` at every turn of the loop."""

    def __init__(self, act: Callable[[Status], None] = lambda status: None) -> None:
        self.act = act
        self.statuses: list[Status] = []
        self.lines: list[str] = []

    def start(self, title: str, budget_text: str) -> None:
        self.lines.append(title)

    def phase(self, text: str) -> None:
        pass

    def update(self, status: Status) -> None:
        self.statuses.append(status)
        self.act(status)

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def finish(self, summary_table, next_commands) -> None:
        self.lines += [f"{name}: {value}" for name, value in summary_table]
