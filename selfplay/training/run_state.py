"""A run on disk and back: finished games as shards, everything else as checkpoints.

A checkpoint is written after the games that it counts, so what it says has been played is on disk.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from selfplay.algorithms.learner import Learner
from selfplay.config.run import CheckpointConfig
from selfplay.errors import UserError
from selfplay.experience.records import NO_ACTION, GameRecord, rows_of, widen
from selfplay.replay.positions import Replay
from selfplay.storage import checkpoint, shards
from selfplay.storage.checkpoint_faults import ALGORITHM, LOSS, RAW, fault_for, fault_within, under
from selfplay.storage.files import publish
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import (
    check_weights,
    flatten_optimizer,
    generator_from_state,
    generator_state,
    unflatten_optimizer,
)

MOST_DAMAGED = 0.01
"""Share of the shards that a resume goes on without, by itself."""

FEW_SHARDS = 3
"""So many may be damaged whatever their share."""

BAD_BATCH = "bad_batch.npz"

MOST_SHARD_BYTES = shards.MAX_SHARD_BYTES // 4
"""Unpacked size from which on games go to another shard; one game may be larger."""


@dataclass
class Counters:
    """What a run has done so far; saved in every checkpoint."""

    samples: int = 0  # positions drawn by the learner
    games: int = 0
    positions: int = 0
    unfinished: int = 0  # positions of games that are not over, or never were: no shard has them
    kept: int = 0  # positions that the replay has ever kept, by their weight; it starts again where games are lost
    reuse: list[float] | None = None  # `replay.sample_reuse` and `least_reuse`, and from which `kept` and `samples` on
    reuse_kept: int = 0  # they are meant: what was drawn under other numbers is neither owed nor paid
    reuse_samples: int = 0
    rounds: int = 0  # of `InlineSource`
    seconds: float = 0.0  # of training, before this start of the process
    wandb_id: str | None = None
    champion: int | None = None  # version that the actors play with, where a gate decides that


def save_games(folder: RunFolder, records: list[GameRecord], most_bytes: int | None = None) -> None:
    """Finished games as one more shard, or as several where they are many; none for an empty list.

    The oldest go beyond `most_bytes` of them.
    """
    if not records:
        return
    _, _, shard_id = shards.totals(folder.games)
    width = max(record.legal_actions.shape[1] for record in records)
    exact = all(record.observation.dtype == np.uint8 for record in records)
    rows: list[dict[str, np.ndarray]] = []
    positions = size = 0
    for record in records:
        row = record.arrays()
        row["legal_actions"] = widen(record.legal_actions, width, NO_ACTION)
        row["policy_target"] = widen(record.policy_target, width, 0.0)
        row["observation"] = record.observation if exact else record.observation.astype(np.float32)
        row_size = sum(array.nbytes for array in row.values())
        if rows and size + row_size > MOST_SHARD_BYTES:
            shards.write_shard(folder.games, shard_id, rows, positions)
            shard_id, rows, positions, size = shard_id + 1, [], 0, 0
        rows.append(row)
        positions, size = positions + len(record), size + row_size
    shards.write_shard(folder.games, shard_id, rows, positions)
    if most_bytes is not None:
        shards.trim(folder.games, most_bytes)


def save_bad_batch(folder: RunFolder, batch: Any) -> Path:
    """A batch whose loss was not finite, to be looked at with numpy; returns the file. Replaces an earlier one."""
    path, buffer = folder.path / BAD_BATCH, io.BytesIO()
    arrays = {name: value for name, value in vars(batch).items() if isinstance(value, np.ndarray)}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    publish(path, buffer.getvalue())
    return path


def save_checkpoint(
    folder: RunFolder,
    learner: Learner,
    rng: np.random.Generator,
    counters: Counters,
    keep: CheckpointConfig,
    needed: Collection[int] = (),
    gathered: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """The learner's state at its present step, unless it is saved already; then remove what need not be kept.

    `needed` are versions that stay whatever `keep` says, `gathered` is the algorithm's state.
    """
    if learner.steps in checkpoint.versions(folder.checkpoints):
        return
    _, _, next_shard = shards.totals(folder.games)
    optimizer, description = flatten_optimizer(learner.optimizer_state())
    tensors = {f"{RAW}{name}": tensor for name, tensor in learner.raw_weights().items()} | optimizer
    tensors |= {f"{LOSS}{name}": tensor for name, tensor in learner.loss_state().items()}
    tensors |= {f"{ALGORITHM}{name}": tensor for name, tensor in gathered.items()}
    state = {
        **dataclasses.asdict(counters),
        **description,
        "steps": learner.steps,
        "last_shard": next_shard - 1,
        "sampling_rng": generator_state(rng),
    }
    made = checkpoint.Checkpoint(learner.steps, learner.weights(), tensors, state)
    if fault := fault_within(made):
        raise UserError(
            f"{folder.checkpoints}: step {learner.steps} is not saved, nothing could go on from it: {fault}"
        )
    checkpoint.save(folder.checkpoints, made)
    checkpoint.prune(folder.checkpoints, keep.keep_last, keep.keep_every, needed)


def restore(
    folder: RunFolder,
    learner: Learner,
    replay: Replay | None,
    exactly: bool,
    warn: Callable[[str], None],
    restore_gathered: Callable[[dict[str, Tensor]], None] = lambda state: None,
    gathered: Mapping[str, Tensor] = MappingProxyType({}),
) -> tuple[np.random.Generator, Counters] | None:
    """The last checkpoint into `learner`, the games on disk into `replay`; None for a run without a checkpoint.

    `exactly` drops games that were played after the checkpoint: they will be played again, the same. Otherwise they
    are kept and counted. Without a `replay` there are no games on disk. `restore_gathered` gets what the algorithm has
    gathered, which looks like `gathered`. A checkpoint that nothing can go on from is set aside as a damaged one is.
    Returns the learner's random numbers and the counters.
    """
    damaged = shards.damaged(folder.games)
    if folder.games.is_dir():
        shards.recover(folder.games, warn)
    saved = checkpoint.load_latest(
        folder.checkpoints,
        warn,
        lambda found: fault_for(found, learner.net.state_dict(), learner.loss_state(), gathered),
    )
    if saved is None:
        return None
    state = saved.state
    restore_learner(saved, learner, str(folder.checkpoints))
    restore_gathered(under(ALGORITHM, saved.learner))
    if exactly:
        shards.drop_after(folder.games, state["last_shard"])
    state.setdefault("kept", state["positions"])  # runs from before positions had weights
    state.setdefault("champion", None)  # and from before there was a gate
    for name in ("reuse", "reuse_kept", "reuse_samples", "unfinished"):  # and from before these were
        state.setdefault(name, getattr(Counters, name))
    counters = Counters(**{field.name: state[field.name] for field in dataclasses.fields(Counters)})
    if replay is None:
        return generator_from_state(state["sampling_rng"]), counters
    counters.games, counters.positions, _ = shards.totals(folder.games)
    counters.positions += counters.unfinished
    records, is_full = _newest_games(folder, replay.config.capacity, warn)
    _refuse_many(folder, shards.damaged(folder.games) - damaged)
    # So that every position gets the row that it had: what was kept before the oldest of these games. Where they do
    # not fill the replay, there is nothing before them (or it was damaged), and no row may be left without a position.
    known = sum(len(rows_of(record)) for shard_id, record in records if shard_id <= state["last_shard"])
    replay.total = max(0, counters.kept - known) if is_full else 0
    counters.reuse_kept -= max(0, counters.kept - known) - replay.total  # the learner owes what it did, no more or less
    for _, record in records:
        replay.add(record)
    return generator_from_state(state["sampling_rng"]), counters


def restore_learner(saved: checkpoint.Checkpoint, learner: Learner, where: str) -> None:
    """Weights, optimiser and loss of a checkpoint into `learner`.

    Raises UserError, which begins with `where`, for one of another network or optimiser.
    """
    raw = under(RAW, saved.learner)
    expected = {name: tuple(tensor.shape) for name, tensor in learner.net.state_dict().items()}
    for weights in (saved.weights, raw):
        check_weights(weights, expected, where)
    learner.restore(raw, saved.weights, unflatten_optimizer(saved.learner, saved.state), saved.state["steps"])
    learner.restore_loss(under(LOSS, saved.learner))


def _refuse_many(folder: RunFolder, newly_damaged: int) -> None:
    """A shard may be lost to a kill or a flipped bit; many are a sign that the disk fails."""
    present = len(shards.shard_ids(folder.games)) + newly_damaged
    if newly_damaged > max(FEW_SHARDS, MOST_DAMAGED * present):
        raise UserError(
            f"{folder.games}: {newly_damaged} of {present} shards are damaged and were moved to quarantine; put sound "
            "copies back, or resume once more to go on without them"
        )


def _newest_games(
    folder: RunFolder, capacity: int, warn: Callable[[str], None]
) -> tuple[list[tuple[int, GameRecord]], bool]:
    """The newest games with their shards, oldest first, and whether they fill a replay of `capacity` positions.

    A shard knows how many positions were played, which may be several for one that is kept: more are read until enough
    are kept, or all have been read.
    """
    wanted = capacity
    while True:
        found = list(shards.read_shards(folder.games, wanted, warn))
        records = [(shard_id, _game_record(row)) for shard_id, rows in found for row in rows]
        is_full = sum(len(rows_of(record)) for _, record in records) >= capacity
        if is_full or sum(len(record) for _, record in records) < wanted:
            return records, is_full
        wanted *= 2


def _game_record(row: dict[str, np.ndarray]) -> GameRecord:
    """A record of a shard; in runs from before positions had weights, all of them count once."""
    return GameRecord(**{"weight": np.ones(len(row["action"]), np.float32), **row})
