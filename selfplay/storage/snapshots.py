"""The checkpoints of a run over its time: which there are, and a few of them spread evenly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfplay.errors import UserError
from selfplay.storage import checkpoint


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint and what the run had done by then, as the checkpoint itself says."""

    version: int
    steps: int
    minutes: float
    games: int
    positions: int


def read_snapshots(folder: Path, warn: Callable[[str], None]) -> list[Snapshot]:
    """All sound checkpoints, oldest first; `warn` gets a line about each that cannot be read.

    Raises UserError when there is none.
    """
    found = []
    for version in checkpoint.versions(folder):
        try:
            _, state = checkpoint.load_weights(folder, version)
        except UserError as error:  # damaged, or removed by the run since the folder was listed
            warn(f"version {version} is left out: {error}")
            continue
        minutes = state["seconds"] / 60
        found.append(Snapshot(version, state["steps"], minutes, state["games"], state["positions"]))
    if not found:
        raise UserError(f"{folder}: no checkpoints that can be read")
    return found


def spread(snapshots: list[Snapshot], count: int) -> list[Snapshot]:
    """The `count` snapshots nearest to as many equally spaced times, the last one among them."""
    times = np.array([snapshot.minutes for snapshot in snapshots])
    chosen: set[int] = set()
    for target in np.linspace(times[-1], times[0], count):
        free = [i for i in range(len(times)) if i not in chosen]
        if free:
            chosen.add(min(free, key=lambda i: abs(times[i] - target)))
    return [snapshots[i] for i in sorted(chosen)]
