"""A run on disk and back: finished games as shards, everything else as checkpoints.

A checkpoint is written after the games that it counts, so what it says has been played is on disk.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from selfplay.algorithms.algorithm import Algorithm, Replay
from selfplay.algorithms.learner import Learner
from selfplay.config.run import CheckpointConfig
from selfplay.errors import UserError
from selfplay.experience.record_faults import record_of_game
from selfplay.experience.records import GameRecord, TargetRecord, from_arrays, rows_for_a_shard
from selfplay.replay import saved as saved_replay
from selfplay.replay.games import GamesReplay
from selfplay.replay.saved import SavedReplay
from selfplay.storage import checkpoint, shards
from selfplay.storage.checkpoint_faults import GATHERED, LOSS, RAW, fault_for, fault_within, under
from selfplay.storage.files import StorageError, publish
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import (
    check_weights,
    flatten_optimizer,
    generator_from_state,
    generator_state,
    unflatten_optimizer,
)
from selfplay.training.budget import Progress
from selfplay.training.sample_reuse import SampleReuse

MOST_DAMAGED = 0.01
"""Share of the shards that a resume goes on without, by itself."""

FEW_SHARDS = 3
"""Number of shards that may be damaged whatever their share."""

BAD_BATCH = "bad_batch.npz"

Record = GameRecord | TargetRecord

Understand = Callable[[shards.StoredRecord], Record]
"""Makes a record of each game that a shard stores; raises ValueError for one that is none."""

NUMBER = "number"
"""Field of a stored game beside those of its record, where games of several shapes were saved together: how many games
were saved before it."""

FIRST_SHARD = "first_shard"
"""Another: the id of the first of the shards that were written together with its own."""

MOST_SHARD_BYTES = shards.MAX_SHARD_BYTES // 4
"""Unpacked size from which on games go to another shard; one game may be larger."""


def save_games(folder: RunFolder, records: list[GameRecord], most_bytes: int | None = None) -> None:
    """Finished games as one more shard, or as several where they are many or on boards of several sizes; none for an
    empty list.

    The oldest go beyond `most_bytes` of them.
    """
    if not records:
        return
    before, _, first = shards.totals(folder.games)
    shard_id = first
    by_shape: dict[tuple[int, ...], list[int]] = {}  # the places of records whose arrays fit together
    for place, record in enumerate(records):
        by_shape.setdefault(record.observation.shape[1:], []).append(place)
    for places in by_shape.values():
        same = [records[place] for place in places]
        rows = rows_for_a_shard(same)
        if len(by_shape) > 1:
            rows = [
                {**row, NUMBER: np.array(before + place), FIRST_SHARD: np.array(first)}
                for row, place in zip(rows, places, strict=True)
            ]
        shard_id = _write_games(folder, shard_id, same, rows)
    if most_bytes is not None:
        shards.trim(folder.games, most_bytes)


def _write_games(
    folder: RunFolder, shard_id: int, records: Sequence[GameRecord], rows: Sequence[dict[str, np.ndarray]]
) -> int:
    """Games of one shape as the shards from `shard_id` on; returns the next free id."""
    kept: list[dict[str, np.ndarray]] = []
    positions = size = 0
    for record, row in zip(records, rows, strict=True):
        row_size = sum(array.nbytes for array in row.values())
        if kept and size + row_size > MOST_SHARD_BYTES:
            shards.write_shard(folder.games, shard_id, kept, positions)
            shard_id, kept, positions, size = shard_id + 1, [], 0, 0
        kept.append(row)
        positions, size = positions + len(record), size + row_size
    shards.write_shard(folder.games, shard_id, kept, positions)
    return shard_id + 1


def in_order_of_play(
    found: Sequence[tuple[int, Sequence[tuple[shards.StoredRecord, Record]]]],
) -> list[tuple[int, Record]]:
    """The games of some shards, each with its shard, in the order in which they were finished: several games are in
    several shards that were written together, where each has its `NUMBER`."""
    numbered, newest = [], -1
    for shard_id, games in found:
        for row, record in games:
            number = int(row[NUMBER]) if NUMBER in row else newest
            newest = max(newest, number)
            numbered.append((number, shard_id, record))
    return [(shard_id, record) for _, shard_id, record in sorted(numbered, key=itemgetter(0))]


def is_cut(found: Sequence[tuple[int, Sequence[tuple[shards.StoredRecord, Record]]]]) -> bool:
    """Whether shards are left out that were written together with the oldest of these: some of their games belong
    between games of these."""
    oldest, games = found[0] if found else (0, ())
    return any(FIRST_SHARD in row and row[FIRST_SHARD] < oldest for row, _ in games)


def understand_games(algorithm: Algorithm) -> Understand:
    """How a run reads its games on disk."""
    if not algorithm.games:
        return from_arrays
    return lambda row: record_of_game(row, *algorithm.games)


def save_bad_batch(folder: RunFolder, batch: Any) -> Path:
    """A batch whose loss was not finite, to be looked at with numpy; returns the file. Replaces an earlier one."""
    path, buffer = folder.path / BAD_BATCH, io.BytesIO()
    arrays = {name: value for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    publish(path, buffer.getvalue())
    return path


class Stateful(Protocol):
    """Who owns a part of what a run needs to go on."""

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON and tensors by name; no two owners of a run use the same name."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Names that are younger than the checkpoint are missing."""
        ...


class RunState:
    """What a run needs to go on, part by part with its owners: in checkpoints, and in the games beside them."""

    def __init__(
        self,
        folder: RunFolder,
        settings: CheckpointConfig,
        learner: Learner,
        replay: Replay,
        reuse: SampleReuse,
        progress: Progress,
        rng: np.random.Generator,
        understand: Understand = from_arrays,
        **others: Stateful,
    ) -> None:
        self.folder, self.learner, self.replay, self.reuse, self.progress = folder, learner, replay, reuse, progress
        self.rng = rng
        """Random numbers of the sampling."""
        self.games_with_targets = 0
        """Number of games in the replay that an older version recorded with their targets, which these keep."""
        self._settings, self._understand = settings, understand
        self._unsaved: list[GameRecord] = []
        self._written_replay = replay if isinstance(replay, SavedReplay) and settings.replay else None
        self.owners: dict[str, Stateful] = {
            "learner": learner, "replay": replay, "reuse": reuse, "progress": progress, **others
        }  # fmt: skip

    @property
    def replay_bytes(self) -> int | None:
        """Largest size of the replay that is written when the run stops; None where none is written."""
        return None if self._written_replay is None else self._written_replay.most_bytes

    def add_game(self, record: GameRecord) -> None:
        """A finished game for the next shard."""
        self._unsaved.append(record)

    def save_games(self) -> None:
        """The games since the last call, as a shard."""
        limit = self._settings.games_gigabytes
        save_games(self.folder, self._unsaved, int(limit * 1e9) if limit else None)
        self._unsaved = []

    def check_weights(self) -> None:
        """Raises UserError rather than let weights that are not finite out of the learner."""
        if not self.learner.is_finite:
            newest = max(checkpoint.versions(self.folder.checkpoints), default=None)
            raise UserError(
                f"learner: the weights are not finite at step {self.learner.steps}; lower learner.learning_rate and "
                + ("start again" if newest is None else f"resume from the last checkpoint, of step {newest}")
            )

    def save(self, pinned: Collection[int] = ()) -> None:
        """A checkpoint of the learner's present step, unless there is one; then remove what need not be kept.

        Versions that are `pinned` stay whatever the settings say. Raises UserError for a state that nothing could go on
        from.
        """
        checkpoints = self.folder.checkpoints
        if self.learner.steps in checkpoint.versions(checkpoints):
            return
        _, _, next_shard = shards.totals(self.folder.games)
        made = self._pack(next_shard - 1)
        if fault := fault_within(made):
            raise UserError(
                f"{checkpoints}: step {self.learner.steps} is not saved, nothing could go on from it: {fault}"
            )
        checkpoint.save(checkpoints, made)
        checkpoint.prune(checkpoints, self._settings.keep_last, self._settings.keep_every, pinned)

    def write_replay(self, warn: Callable[[str], None]) -> None:
        """The replay for the next start, where it is asked for. The run is saved without it: what goes wrong here is a
        warning."""
        if self._written_replay is None:
            return
        try:
            saved_replay.save(self.folder.replay, self.learner.steps, self._written_replay)
        except StorageError as error:
            warn(f"the replay is not saved, a resumed run fills it again: {error}")

    def restore(self, exactly: bool, warn: Callable[[str], None]) -> bool:
        """The last checkpoint to its owners, and games or the replay on disk into the replay; False without any.

        `exactly` drops games that were played after the checkpoint: they will be played again, the same. Otherwise they
        are kept and counted. A checkpoint that nothing can go on from is set aside as a damaged one is.
        """
        folder = self.folder
        damaged = shards.damaged(folder.games)
        if folder.games.is_dir():
            shards.recover(folder.games, warn)
        fresh = self._pack(last_shard=-1)
        saved = checkpoint.load_latest(folder.checkpoints, warn, lambda found: fault_for(found, fresh))
        if saved is None:
            self.reuse.go_on(is_same_replay=True)
            return False
        hand_out(saved, self.owners, str(folder.checkpoints))
        self.rng = generator_from_state(saved.state["sampling_rng"])
        if exactly:
            shards.drop_after(folder.games, saved.state["last_shard"])
        is_same_replay = isinstance(self.replay, GamesReplay)  # as the checkpoint counted it
        if isinstance(self.replay, GamesReplay):
            self._read_games(self.replay, saved.state["last_shard"], damaged, warn)
        elif isinstance(self.replay, SavedReplay):
            step = saved_replay.load_latest(folder.replay, self.replay, warn)
            is_same_replay = step == self.learner.steps
        self.reuse.go_on(is_same_replay)
        return True

    def begin_with(self, source: checkpoint.Checkpoint) -> None:
        """Start a run with the network of another one, and with the moments of observations and returns that it
        gathered. The weights must fit (`selfplay.training.initial`)."""
        gathered = under(GATHERED, source.learner)
        self.learner.adopt(source.weights, gathered)
        own = self.replay.state_dict()
        self.replay.load_state_dict({**own, **{name: gathered[name] for name in own if name in gathered}})

    def _pack(self, last_shard: int) -> checkpoint.Checkpoint:
        states = {name: owner.state_dict() for name, owner in self.owners.items()}
        return pack(states, {"last_shard": last_shard, "sampling_rng": generator_state(self.rng)})

    def _read_games(self, replay: GamesReplay, last_shard: int, damaged: int, warn: Callable[[str], None]) -> None:
        """The games on disk into a replay that counts on from the checkpoint, whose last shard is `last_shard`."""
        folder, kept = self.folder, replay.total
        self.progress.recount(*shards.totals(folder.games)[:2])
        records, is_full = self._newest_games(replay, warn)
        _refuse_many(folder, shards.damaged(folder.games) - damaged)
        # So that every position gets the row that it had: what was kept before the oldest of these games. Where they do
        # not fill the replay, there is nothing before them (or it was damaged), and no row may be left without one.
        known = sum(replay.rows_of(record) for shard_id, record in records if shard_id <= last_shard)
        before = kept - known  # below 0 where the settings now give positions more rows
        first = max(0, before) if is_full else 0
        replay.load_state_dict({"kept": first})
        self.reuse.forget(before - first)
        for _, record in records:
            replay.add(record)
        self.games_with_targets = sum(isinstance(record, TargetRecord) for _, record in records)

    def _newest_games(self, replay: GamesReplay, warn: Callable[[str], None]) -> tuple[list[tuple[int, Record]], bool]:
        """The newest games with their shards, oldest first, and whether they fill the replay.

        A shard knows how many positions were played, which may be several for a row of the replay: more are read until
        there are enough rows in shards that go together, or all have been read.
        """
        wanted = replay.capacity
        while True:
            found = shards.read_shards(self.folder.games, wanted, warn, lambda row: (row, self._understand(row)))
            records = in_order_of_play(found)
            is_full = sum(replay.rows_of(record) for _, record in records) >= replay.capacity
            if (is_full and not is_cut(found)) or sum(len(record) for _, record in records) < wanted:
                return records, is_full
            wanted *= 2


def pack(states: Mapping[str, Mapping[str, Any]], more: Mapping[str, Any]) -> checkpoint.Checkpoint:
    """The states of all owners as a checkpoint, with `more` plain JSON. Among `states` is the `learner`.

    Raises ValueError where two owners use one name.
    """
    learner = dict(states["learner"])
    weights = learner.pop("average")
    tensors, description = flatten_optimizer(learner.pop("optimizer"))
    for prefix, name in ((RAW, "raw"), (LOSS, "loss")):
        tensors |= {f"{prefix}{key}": tensor for key, tensor in learner.pop(name).items()}
    plain = {**description, **more}
    for state in ({**states, "learner": learner}).values():
        for name, value in state.items():
            if name in plain or f"{GATHERED}{name}" in tensors:
                raise ValueError(f"{name}: two owners of a run's state use this name")
            if isinstance(value, Tensor):
                tensors[f"{GATHERED}{name}"] = value
            else:
                plain[name] = value
    return checkpoint.Checkpoint(plain["steps"], weights, tensors, plain)


def unpack(saved: checkpoint.Checkpoint) -> dict[str, Any]:
    """The states of all owners together, by name. Checkpoints from before positions had weights kept all of them.

    Raises UserError for an optimiser that is incomplete.
    """
    return {
        "kept": saved.state["positions"],
        **saved.state,
        **under(GATHERED, saved.learner),
        "average": saved.weights,
        "raw": under(RAW, saved.learner),
        "loss": under(LOSS, saved.learner),
        "optimizer": unflatten_optimizer(saved.learner, saved.state),
    }


def hand_out(saved: checkpoint.Checkpoint, owners: Mapping[str, Stateful], where: str) -> None:
    """Load a checkpoint into its owners, each of which gets what it has a name for; the `learner` first.

    Raises UserError, which begins with `where` for weights of another network and for what does not fit its owner, and
    before anything is changed for another optimiser.
    """
    state, raw = unpack(saved), owners["learner"].state_dict()["raw"]
    expected = {name: tuple(tensor.shape) for name, tensor in raw.items()}
    for weights in (state["average"], state["raw"]):
        check_weights(weights, expected, where)
    try:
        for owner in owners.values():
            owner.load_state_dict({name: state[name] for name in owner.state_dict() if name in state})
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:  # of torch, say
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{where}: version {saved.version} does not fit this run: {line}") from error


def _refuse_many(folder: RunFolder, newly_damaged: int) -> None:
    """A shard may be lost to a kill or a flipped bit; many are a sign that the disk fails."""
    present = len(shards.shard_ids(folder.games)) + newly_damaged
    if newly_damaged > max(FEW_SHARDS, MOST_DAMAGED * present):
        raise UserError(
            f"{folder.games}: {newly_damaged} of {present} shards are damaged and were moved to quarantine; put sound "
            "copies back, or resume once more to go on without them"
        )
