"""Whether the folder of a run is whole: the one judge after every fault.

Looks and changes nothing, so it may be used on a run that is running. A *problem* is something that was announced as
saved and is not there, or not as it was written. What a kill leaves behind and the next start puts right (a temporary,
a shard without its line), and what was damaged and has been set aside with a warning, are *notes*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from selfplay.algorithms.registry import load_algorithm
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.records import from_arrays
from selfplay.replay.saved import SavedReplay, damage, numbers
from selfplay.storage import checkpoint, shards
from selfplay.storage.checkpoint_faults import fault_for, fault_within, not_finite
from selfplay.storage.files import QUARANTINE, temporaries, writer_of
from selfplay.storage.locks import last_holder
from selfplay.storage.metrics import read_metrics
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import read_weights
from selfplay.training.run_state import Stateful, Understand, hand_out, pack, understand_games

GROWING = ("steps", "samples", "seconds")
"""Counters of a checkpoint that never fall from one version to the next."""

COUNTED = ("games", "positions", "kept")
"""Counters that fall when a shard has been set aside, and for no other reason; but for `kept` in runs without games on
disk, which may begin with an empty replay each time."""


@dataclass
class Verification:
    """What was found."""

    path: Path
    checkpoints: int = 0
    newest: int | None = None
    """Version of the newest checkpoint."""
    shards: int = 0
    removed: int = 0
    """Shards that were removed to save space."""
    games: int = 0
    positions: int = 0
    """Positions in sound shards."""
    rows: int = 0
    """Rows of metrics."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(path: Path) -> Verification:
    """Read every file that a run has published. Raises UserError where `path` holds no run.

    A problem is what two looks agree on: a run that goes on may remove a checkpoint after it was listed.
    """
    first = _look(path)
    if not first.problems:
        return first
    second = _look(path)
    second.problems = [problem for problem in second.problems if problem in first.problems]
    return second


def _look(path: Path) -> Verification:
    folder = RunFolder.open(path)
    found = Verification(path)
    run: _Run | None = None
    try:
        run = _Run.make(reader.load(Config, folder.config), found)
    except UserError as error:
        found.problems += str(error).splitlines()
    states = _checkpoints(folder.checkpoints, run, found)
    last_shard = max([state.get("last_shard", -1) for _, state in states], default=-1)
    lost = _shards(folder.games, last_shard, from_arrays if run is None else run.understand, found)
    counted = () if lost else COUNTED if last_shard >= 0 else tuple(name for name in COUNTED if name != "kept")
    _counters(folder.checkpoints, states, (*GROWING, *counted), found)
    replay = None if run is None else run.owners["replay"]
    replay = replay if isinstance(replay, SavedReplay) else None
    for number in numbers(folder.replay):
        path = folder.replay / f"{number:08d}"
        if fault := damage(path, replay):
            found.problems.append(f"{path}: {fault}")
    if folder.weights.exists():
        try:
            weights, _ = read_weights(folder.weights)
            if name := not_finite(weights):
                found.problems.append(f"{folder.weights}: {name} holds values that are not finite")
        except UserError as error:
            found.problems.append(str(error))
    if folder.metrics.exists():
        try:
            for _ in read_metrics(folder.metrics):
                found.rows += 1
        except UserError as error:
            found.problems.append(str(error))
    found.notes += _leftovers(folder, found)
    return found


@dataclass(frozen=True)
class _Run:
    """What a resume would put a checkpoint into."""

    owners: dict[str, Stateful]
    fresh: checkpoint.Checkpoint
    """The first checkpoint of such a run."""
    understand: Understand

    @classmethod
    def make(cls, config: Config, found: Verification) -> _Run | None:
        """What the settings make, on the processor; None, with a note, where the game or environment is missing."""
        try:
            algorithm = load_algorithm(replace(config, learner=replace(config.learner, device="cpu")))
            owners: dict[str, Stateful] = {"learner": algorithm.make_learner(), "replay": algorithm.make_replay()}
            fresh = pack({name: owner.state_dict() for name, owner in owners.items()}, {})
            understand = understand_games(algorithm)
        except Exception as error:  # whatever their code raises
            line = (str(error).splitlines() or [type(error).__name__])[0]
            found.notes.append(f"it is not known whether the checkpoints fit the game or environment: {line}")
            return None
        return cls(owners, fresh, understand)

    def fault(self, saved: checkpoint.Checkpoint, path: Path) -> str:
        """Why a resume could not go on from a checkpoint; empty where it can."""
        if fault := fault_for(saved, self.fresh):
            return f"{path}: {fault}"
        try:
            hand_out(saved, self.owners, str(path))
        except UserError as error:
            return str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        return ""


def _checkpoints(folder: Path, run: _Run | None, found: Verification) -> list[tuple[int, dict[str, Any]]]:
    """Version and state of every sound checkpoint."""
    states = []
    for version in checkpoint.versions(folder):
        try:
            saved = checkpoint.load(folder, version)
        except UserError as error:
            found.problems.append(str(error))
            continue
        path = folder / f"{version:08d}"
        fault = fault_within(saved)
        line = run.fault(saved, path) if run is not None else f"{path}: {fault}" if fault else ""
        if line:
            found.problems.append(line)
        else:
            states.append((version, saved.state))
    found.checkpoints = len(states)
    found.newest = states[-1][0] if states else None
    return states


def _shards(folder: Path, last_counted: int, understand: Understand, found: Verification) -> int:
    """The shards, up to the last that a checkpoint counts at least; returns how many have been set aside."""
    aside = 0
    for state in shards.inspect(folder, last_counted, understand):
        if state.is_removed:
            found.removed += 1
        elif state.damage is None:
            found.shards += 1
            found.games += state.games
            found.positions += state.positions
            if not state.is_listed:
                found.notes.append(f"{state.path} is in no line of the manifest yet; the next start adds it")
        elif state.is_listed_as_damaged:
            aside += 1
            found.notes.append(f"{state.path} was set aside: it {state.damage}")
        else:
            found.problems.append(f"{state.path}: {state.damage}")
    if found.removed:
        found.notes.append(f"{folder}: {found.removed} of the oldest shards were removed (checkpoint.games_gigabytes)")
    return aside


def _counters(
    folder: Path, states: Sequence[tuple[int, dict[str, Any]]], names: Sequence[str], found: Verification
) -> None:
    """Whether the counters never fall."""
    for (before, old), (after, new) in pairwise(states):
        for name in names:
            larger, smaller = old.get(name, 0), new.get(name, 0)
            if smaller < larger:
                found.problems.append(
                    f"{folder}: {name} falls from {larger} in version {before} to {smaller} in version {after}"
                )


def _leftovers(folder: RunFolder, found: Verification) -> Iterator[str]:
    """Temporaries and what is in quarantine. The last start should have swept away those of other processes."""
    holder = last_holder(folder.lock_file)
    for place in (folder.path, folder.checkpoints, folder.games, folder.replay):
        for path in temporaries(place):
            if writer_of(path) != holder:
                found.problems.append(f"{path} was left by an earlier process")
            else:
                yield f"{path} is being written, or its writer was killed; the next start removes it"
        aside = place / QUARANTINE
        if aside.is_dir():
            yield from (f"{path} is what was found damaged" for path in sorted(aside.iterdir()))
