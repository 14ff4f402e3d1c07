"""Checkpoints: everything that a run needs to go on, and what players are made from.

    checkpoints/00001200/
        weights.safetensors   averaged weights (EMA), the ones that play
        learner.safetensors   raw weights, optimiser state, what the loss and the algorithm remember
        state.json            counters, random numbers of the sampling, the last shard of games
        manifest.json         size and sha256 of the three, sealed

One folder a version, written under a temporary name, fsynced, and renamed as a whole. The newest is decided by version
number, never by a clock. Neither safetensors nor torch notices flipped bits, hence the sha256. A damaged checkpoint is
moved to `checkpoints/quarantine/` and the one before it used, with a warning; when none is left the run stops, for a
silent fresh start would throw the training away.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from selfplay.errors import UserError
from selfplay.storage.failpoints import failpoint
from selfplay.storage.files import (
    QUARANTINE,
    StorageError,
    digest,
    quarantine,
    seal,
    storage_errors,
    sync_folder,
    temporary_name,
    unseal,
    write_synced,
)
from selfplay.storage.tensors import from_bytes, to_bytes

FORMAT_VERSION = 1

WEIGHTS = "weights.safetensors"
LEARNER = "learner.safetensors"
STATE = "state.json"
MANIFEST = "manifest.json"

# What reading a damaged folder can meet; any other OSError (no permission, too many open files) is not damage.
_DAMAGE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO}


@dataclass(frozen=True)
class Checkpoint:
    """One version of a run. Tensors are on the CPU after loading."""

    version: int
    weights: dict[str, Tensor]
    """Averaged weights, as the network's `state_dict` names them."""
    learner: dict[str, Tensor]
    """Any tensors that the learner needs, under any names."""
    state: dict[str, Any]
    """Plain JSON: string keys, lists, numbers, strings, booleans, None."""


class _DamagedError(Exception):
    """The checkpoint is not what was saved; the message says which file and how."""


def versions(folder: Path) -> list[int]:
    """Versions in the folder, ascending, damaged ones included; empty when the folder does not exist."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"\d{8}|[1-9]\d{8,}", path.name))


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; when this returns it survives a power cut. Returns its folder.

    Raises `StorageError` (nothing is left behind, earlier checkpoints are untouched), and `ValueError` for a version
    that exists already: versions only grow.
    """
    final = _path(folder, checkpoint.version)
    if final.exists():
        raise ValueError(f"{final} exists already; versions of checkpoints only grow")
    contents = {
        WEIGHTS: to_bytes(checkpoint.weights),
        LEARNER: to_bytes(checkpoint.learner),
        STATE: json.dumps(checkpoint.state, indent=1).encode(),
    }
    temporary = temporary_name(final)
    with storage_errors(final, sum(map(len, contents.values()))):
        try:
            temporary.mkdir(parents=True)
            files = {
                name: {"sha256": write_synced(temporary / name, data, "checkpoint"), "bytes": len(data)}
                for name, data in contents.items()
            }
            failpoint("checkpoint.before_manifest")
            manifest = {"format_version": FORMAT_VERSION, "version": checkpoint.version, "files": files}
            write_synced(temporary / MANIFEST, seal(manifest), "checkpoint")
            sync_folder(temporary)
            failpoint("checkpoint.before_rename")
            os.rename(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        failpoint("checkpoint.after_rename")
        sync_folder(folder)
    return final


def load(folder: Path, version: int | None = None) -> Checkpoint:
    """One version, the newest when None. Changes nothing, so it may be used on a run that is running.

    Raises `UserError` when it does not exist or is damaged.
    """
    version, files = _read_for_user(folder, version, (WEIGHTS, LEARNER, STATE))
    return Checkpoint(version, files[WEIGHTS], files[LEARNER], files[STATE])


def load_weights(folder: Path, version: int | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights and the state of one version, without the learner's tensors. Otherwise as `load`."""
    _, files = _read_for_user(folder, version, (WEIGHTS, STATE))
    return files[WEIGHTS], files[STATE]


def weights_digest(folder: Path, version: int | None = None) -> str:
    """The sha256 of the weights of one version, the newest when None, by its manifest. Otherwise as `load`."""
    _, found = _read_for_user(folder, version, (MANIFEST,))
    return str(found[MANIFEST]["files"][WEIGHTS]["sha256"])


def load_latest(
    folder: Path, warn: Callable[[str], None], fault: Callable[[Checkpoint], str] = lambda checkpoint: ""
) -> Checkpoint | None:
    """The newest sound checkpoint, or None when the run never wrote one. Only for the holder of the run's lock.

    Damaged ones, and those of which `fault` says what is wrong with them, are moved to `quarantine/`, each with one
    line to `warn`. Raises `UserError` when checkpoints were written but none is sound, also the next time, when they
    are all in quarantine.
    """
    for version in reversed(versions(folder)):
        try:
            files = _read(folder, version, (WEIGHTS, LEARNER, STATE))
            found = Checkpoint(version, files[WEIGHTS], files[LEARNER], files[STATE])
            if what := fault(found):
                raise _DamagedError(f"{_path(folder, version)}: {what}")
            return found
        except _DamagedError as error:
            moved = quarantine(_path(folder, version))
            warn(f"damaged checkpoint: {error}; moved to {moved}, going on with the one before it")
    damaged = folder / QUARANTINE
    if damaged.is_dir() and any(damaged.iterdir()):
        raise UserError(
            f"{folder}: every checkpoint is damaged (see {damaged}); put a sound copy back or start a new run"
        )
    return None


def prune(folder: Path, keep_last: int, keep_every: int = 0, needed: Collection[int] = ()) -> list[int]:
    """Remove old checkpoints; returns their versions.

    Kept are the newest `keep_last`, those `needed` and, where `keep_every` is not 0, the first version at or after each
    of its multiples. A kill in between leaves a temporary, never half a checkpoint.
    """
    if keep_last < 1:
        raise ValueError(f"keep_last is {keep_last}; at least one checkpoint must stay")
    present = versions(folder)
    keep = {*present[-keep_last:], *needed}
    if keep_every:
        first_in_span = {version // keep_every: version for version in reversed(present)}
        keep.update(first_in_span.values())
    removed = [version for version in present if version not in keep]
    for version in removed:
        path = _path(folder, version)
        with storage_errors(path):
            hidden = temporary_name(path)
            os.rename(path, hidden)
            failpoint("checkpoint.during_prune")
            shutil.rmtree(hidden)
    return removed


def _path(folder: Path, version: int) -> Path:
    return folder / f"{version:08d}"


def _read_for_user(folder: Path, version: int | None, names: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """`_read` of a version or the newest, with every failure as one line for a person."""
    present = versions(folder)
    if not present:
        raise UserError(f"{folder}: no checkpoints yet")
    if version is None:
        version = present[-1]
    elif version not in present:
        raise UserError(f"{folder}: no version {version}; there are {_listing(present)}")
    try:
        return version, _read(folder, version, names)
    except _DamagedError as error:
        raise UserError(f"damaged checkpoint: {error}; use another version") from error


def _listing(present: list[int]) -> str:
    shown = [str(version) for version in present]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:2], "...", *shown[-3:]])


def _read(folder: Path, version: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Verified and decoded files of a checkpoint. Raises `_DamagedError`, or `UserError` where it is not damage."""
    path = _path(folder, version)
    try:
        manifest = unseal((path / MANIFEST).read_bytes())
        if manifest is None:
            raise _DamagedError(f"{path / MANIFEST} is not what was written")
        if manifest["format_version"] != FORMAT_VERSION:
            raise UserError(
                f"{path} has format {manifest['format_version']}, this program reads {FORMAT_VERSION}; "
                "use the version of selfplay that wrote it"
            )
        if manifest["version"] != version:
            raise _DamagedError(f"{path} holds version {manifest['version']}")
        return {
            name: manifest if name == MANIFEST else _read_file(path / name, manifest["files"][name]) for name in names
        }
    except KeyError as error:
        raise _DamagedError(f"{path / MANIFEST} has no {error}") from error
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror}"
        raise (_DamagedError if error.errno in _DAMAGE else StorageError)(message) from error


def _read_file(path: Path, entry: dict[str, Any]) -> Any:
    """Tensors of a safetensors file or the value of a JSON file, if it is what the manifest says."""
    size = path.stat().st_size  # before reading: whatever took the file's place may be larger than memory
    if size != entry["bytes"]:
        raise _DamagedError(f"{path} has {size:,} bytes instead of {entry['bytes']:,}")
    data = path.read_bytes()
    if digest(data) != entry["sha256"]:
        raise _DamagedError(f"{path} does not match its sha256")
    try:
        return json.loads(data) if path.suffix == ".json" else from_bytes(data)
    except ValueError as error:
        raise _DamagedError(f"{path}: {error}") from error
