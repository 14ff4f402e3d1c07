"""A replay on disk: what a run that stopped had to sample from, so that a resumed one goes on learning at once.

    replay/00000003/
        00000.npz ...   its rows in pieces, compressed numpy arrays, no pickled objects
        manifest.json   the learner's step, what is known of the whole, size and sha256 of the pieces; sealed

One folder a time that it was written, under a temporary name and renamed as a whole; the one before it is removed
afterwards. In the flow: the trainer writes it when a run stops. A run of games needs none: its replay is made from them
(`selfplay.storage.shards`).
"""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from selfplay.errors import UserError
from selfplay.storage.failpoints import failpoint
from selfplay.storage.files import (
    digest,
    quarantine,
    seal,
    storage_errors,
    sync_folder,
    temporary_name,
    unseal,
    write_synced,
)
from selfplay.storage.shards import MISMATCH, load_arrays

FORMAT_VERSION = 1
MANIFEST = "manifest.json"

FAULTS = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What wrong values in a manifest whose seal is right may raise."""

COMPRESSION = 1
"""The fastest level of zlib: frames of Atari take a twentieth of their size."""


@runtime_checkable
class SavedReplay(Protocol):
    """A replay that can be written in pieces, and read back."""

    @property
    def most_bytes(self) -> int:
        """Size of all pieces, uncompressed, once it is full."""
        ...

    def facts(self) -> dict[str, Any]:
        """Plain JSON that `refill` needs beside the pieces."""
        ...

    def pieces(self) -> Iterator[dict[str, np.ndarray]]:
        """All of its rows, in arrays of some megabytes."""
        ...

    def refill(self, pieces: Iterable[dict[str, np.ndarray]], facts: Mapping[str, Any]) -> None:
        """Take in what `pieces` and `facts` gave. Raises what `check` does, and stays empty, where it does not fit."""
        ...

    def check(self, pieces: Iterable[dict[str, np.ndarray]], facts: Mapping[str, Any]) -> None:
        """Raise ValueError, KeyError or TypeError where `refill` could not take them in; changes nothing."""
        ...


@dataclass(frozen=True)
class Found:
    """A replay that lies on disk."""

    path: Path
    step: int
    """The learner's, when it was written."""
    facts: dict[str, Any]
    files: dict[str, dict[str, Any]]


def save(folder: Path, step: int, replay: SavedReplay) -> None:
    """Write it; when this returns it survives a power cut, and takes the place of the one before.

    Holds one piece in memory beside the replay. Raises `StorageError`; the one before is then untouched.
    """
    present = numbers(folder)
    final = folder / f"{max(present, default=-1) + 1:08d}"
    temporary = temporary_name(final)
    with storage_errors(final, replay.most_bytes):
        try:
            temporary.mkdir(parents=True)
            files = {}
            for i, piece in enumerate(replay.pieces()):
                name, data = f"{i:05d}.npz", _pack(piece)
                files[name] = {"sha256": write_synced(temporary / name, data, "replay"), "bytes": len(data)}
            failpoint("replay.before_manifest")
            facts = {"format_version": FORMAT_VERSION, "step": step, "facts": replay.facts(), "files": files}
            write_synced(temporary / MANIFEST, seal(facts), "replay")
            sync_folder(temporary)
            failpoint("replay.before_rename")
            os.rename(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder)
        failpoint("replay.before_remove")
        for number in present:
            hidden = temporary_name(folder / f"{number:08d}")
            os.rename(folder / f"{number:08d}", hidden)
            shutil.rmtree(hidden)


def load_latest(folder: Path, replay: SavedReplay, warn: Callable[[str], None]) -> int | None:
    """The newest into an empty replay; returns the learner's step when it was written, None where there is none.

    One that is damaged or does not fit is moved to `quarantine/`, with one line to `warn`. Only for the holder of the
    run's lock.
    """
    for number in reversed(numbers(folder)):
        path = folder / f"{number:08d}"
        try:
            found = look(path)
            for _ in _contents(found):  # all of it is sound, before any of it is taken in
                pass
            replay.refill((_load(path / name, data) for name, data in _contents(found)), found.facts)
            return found.step
        except FAULTS as error:
            warn(f"damaged replay: {path}: {error}; moved to {quarantine(path)}, it is filled again by playing")
    return None


def numbers(folder: Path) -> list[int]:
    """Numbers of the replays in the folder, ascending; there are several after a kill at the wrong instant."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"\d{8}", path.name))


def look(path: Path) -> Found:
    """What the manifest says. Raises ValueError when it is damaged, UserError for another format."""
    try:
        manifest = unseal((path / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        manifest = None
    except OSError as error:
        raise UserError(f"{path / MANIFEST}: {error.strerror}") from error
    if manifest is None:
        raise ValueError(f"{MANIFEST} is not what was written")
    if manifest["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{path} has format {manifest['format_version']}, this program reads {FORMAT_VERSION}; "
            "use the version of selfplay that wrote it"
        )
    return Found(path, manifest["step"], manifest["facts"], manifest["files"])


def damage(path: Path, replay: SavedReplay | None = None) -> str | None:
    """What is wrong with a replay on disk, also for the run that has an empty `replay`; None for a sound one.

    Changes nothing.
    """
    try:
        found = look(path)
        pieces = (_load(path / name, data) for name, data in _contents(found))
        if replay is not None:
            replay.check(pieces, found.facts)
        for _ in pieces:
            pass
    except (*FAULTS, UserError) as error:
        return str(error)
    return None


def _contents(found: Found) -> Iterator[tuple[str, bytes]]:
    """The pieces as bytes, in their order. Raises ValueError for one that is not what was written."""
    for name, entry in sorted(found.files.items()):
        path = found.path / name
        try:
            size = path.stat().st_size  # before reading: whatever took the file's place may be larger than memory
            data = path.read_bytes() if size == entry["bytes"] else b""
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ValueError(f"{name} is missing") from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        if digest(data) != entry["sha256"]:
            raise ValueError(f"{name} {MISMATCH}")
        yield name, data


def _pack(piece: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an npz file. numpy itself compresses six times as long, for a tenth less."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for name, array in piece.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _load(path: Path, data: bytes) -> dict[str, np.ndarray]:
    try:
        return load_arrays(data)
    except Exception as error:  # zipfile and numpy raise a dozen kinds on bytes that are no archive of arrays
        raise ValueError(f"{path.name} cannot be read ({str(error)[:200]!r})") from error
