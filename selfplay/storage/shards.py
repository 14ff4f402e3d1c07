"""Finished games on disk, so that a resumed run has its replay back.

    games/00000017.npz       one shard: some games, compressed numpy arrays, no pickled objects
    games/manifest.jsonl     one sealed line a shard: id, file, sha256, games, positions

A shard knows nothing about games: a record is a dictionary of arrays, the same fields in every record of a shard.
Arrays whose first axis differs from record to record (one row a ply) are joined along it, with offsets.

A shard is published first and its manifest line appended after it. A kill in between leaves a shard without a line,
which `recover` adopts; so a finished game that reached the disk is not lost, not even when the manifest is. A shard
that is found damaged is moved to `games/quarantine/` and gets a second line that says so; its id is not used again.
One that is removed to save space gets such a line too, before it goes, which still counts its games.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from selfplay.errors import UserError
from selfplay.storage.failpoints import failpoint
from selfplay.storage.files import append_line, digest, publish, quarantine, seal, storage_errors, sync_folder, unseal

FORMAT_VERSION = 2
"""Format of what is written: records are the facts of games. Those of format 1 are laid out the same and have targets
(`selfplay.experience.records`)."""

READABLE = (1, FORMAT_VERSION)
MANIFEST = "manifest.jsonl"
MAX_SHARD_BYTES = 1 << 30
"""A shard that unpacks to more than this is refused before anything is unpacked."""

MISMATCH = "does not match its sha256"

StoredRecord = dict[str, np.ndarray]
"""A record as a shard stores it: its arrays by name."""

Understood = TypeVar("Understood")


def write_shard(folder: Path, shard_id: int, records: Sequence[Mapping[str, np.ndarray]], positions: int) -> Path:
    """Write a shard of at least one record; when this returns it survives a power cut. Returns its path.

    `positions` is what the shard counts for in `totals` and `read_shards`. Raises `StorageError` (nothing is left
    behind), and `ValueError` for an id in use or records that differ in fields, dtypes or trailing shapes.
    """
    path = _path(folder, shard_id)
    if path.exists():
        raise ValueError(f"{path} exists already; ids of shards only grow")
    data = _pack(shard_id, records, positions)
    sha256 = publish(path, data, "shard")
    failpoint("shard.before_manifest")
    _append(folder, _entry(shard_id, sha256, len(records), positions))
    return path


def totals(folder: Path) -> tuple[int, int, int]:
    """Games and positions in the sound shards that the manifest lists, removed ones too, and the next free id. Changes
    nothing."""
    entries = _entries(folder)
    sound = [entry for entry in entries.values() if "damage" not in entry]
    next_id = max([-1, *entries, *_files(folder)]) + 1
    return sum(entry["games"] for entry in sound), sum(entry["positions"] for entry in sound), next_id


def damaged(folder: Path) -> int:
    """Shards that have been set aside since the run began."""
    return sum("damage" in entry for entry in _entries(folder).values())


def read_shards(
    folder: Path,
    newest_positions: int | None,
    warn: Callable[[str], None],
    understand: Callable[[StoredRecord], Understood] = lambda record: record,  # type: ignore[assignment, return-value]
) -> list[tuple[int, list[Understood]]]:
    """`(id, games)` of the newest shards that together hold at least `newest_positions`, oldest first; all when None.

    `understand` makes a game of each record and raises ValueError for one that is none. A shard that does not match its
    sha256, or has such a record, is quarantined with one line to `warn`, and an older one takes its place. Arrays are
    views of arrays of the whole shard: copy what is kept for long. Only for the holder of the run's lock; call
    `recover` first. Raises UserError for a shard of another format.
    """
    entries = _entries(folder)
    found: list[tuple[int, list[Understood]]] = []
    missing = newest_positions
    for shard_id in sorted(entries, reverse=True):
        if missing is not None and missing <= 0:
            break
        entry = entries[shard_id]
        if "damage" in entry or "removed" in entry:
            continue
        path = _path(folder, shard_id)
        try:
            with storage_errors(path):
                data = path.read_bytes() if path.exists() else None
            if data is None or digest(data) != entry["sha256"]:
                raise ValueError("is missing" if data is None else MISMATCH)
            records, _ = _unpack(data, shard_id)
            games = _understood(records, understand)
        except ValueError as error:
            set_aside(folder, shard_id, str(error), warn)
            continue
        found.append((shard_id, games))
        if missing is not None:
            missing -= entry["positions"]
    return found[::-1]


def shard_ids(folder: Path) -> list[int]:
    """Ids of the shards that are there, ascending; empty when the folder does not exist."""
    return _files(folder)


def read_shard(folder: Path, shard_id: int) -> list[StoredRecord]:
    """One shard, without touching anything, so it may be used on a run that is running.

    Raises `UserError` when it does not exist or is damaged, `StorageError` where it cannot be read.
    """
    path = _path(folder, shard_id)
    with storage_errors(path):
        data = path.read_bytes()
    try:
        return _unpack(data, shard_id)[0]
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


@dataclass(frozen=True)
class ShardState:
    """What is known of one shard."""

    path: Path
    damage: str | None
    """What is wrong with it, None for a sound one."""
    is_listed: bool
    """The manifest has a line of it."""
    is_listed_as_damaged: bool
    """The manifest has a line that says that it was set aside."""
    games: int
    positions: int
    is_removed: bool = False
    """It was removed to save space."""


def inspect(
    folder: Path, last_id: int, understand: Callable[[StoredRecord], object] = lambda record: None
) -> Iterator[ShardState]:
    """Every shard up to `last_id`, and those after it that are there or listed: whether it is what was written.

    A game for which `understand` raises ValueError is damage, too; by default none is looked at.
    """
    entries = _entries(folder)
    for shard_id in range(max([last_id, *entries, *_files(folder)]) + 1):
        path, entry = _path(folder, shard_id), entries.get(shard_id)
        if entry is not None and "damage" in entry:
            yield ShardState(path, entry["damage"], True, True, 0, 0)
            continue
        if entry is not None and "removed" in entry:
            yield ShardState(path, None, True, False, 0, 0, is_removed=True)
            continue
        damage, games, positions = None, 0, 0
        try:
            with storage_errors(path):
                data = path.read_bytes()
            records, positions = _unpack(data, shard_id)
            games = len(records)
            if entry is not None and digest(data) != entry["sha256"]:
                damage = MISMATCH
            else:
                _understood(records, understand)
        except (UserError, ValueError) as error:
            damage = str(error).removeprefix(f"{path}: ")
        yield ShardState(path, damage, entry is not None, False, games, positions)


def recover(folder: Path, warn: Callable[[str], None]) -> int:
    """Adopt shards that the manifest does not list; returns how many. Only for the holder of the run's lock.

    Those that cannot be read are quarantined, with one line to `warn`; a removal that a kill broke off is finished.
    """
    entries = _entries(folder)
    adopted = 0
    for shard_id in _files(folder):
        entry, path = entries.get(shard_id), _path(folder, shard_id)
        if entry is not None and "removed" in entry:
            with storage_errors(path):
                path.unlink()
            continue
        if entry is not None and "damage" not in entry:
            continue
        with storage_errors(path):
            data = path.read_bytes()
        try:
            records, positions = _unpack(data, shard_id)
        except ValueError as error:
            set_aside(folder, shard_id, str(error), warn)
            continue
        _append(folder, _entry(shard_id, digest(data), len(records), positions))
        adopted += 1
    return adopted


def set_aside(folder: Path, shard_id: int, damage: str, warn: Callable[[str], None]) -> None:
    """Move a shard to quarantine and write down why, with one line to `warn`. Only for the holder of the run's lock.

    `damage` follows the path in that line: "does not match its sha256".
    """
    path = _path(folder, shard_id)
    moved = f"moved to {quarantine(path)}" if path.exists() else "its games are lost"
    _append(folder, {"id": shard_id, "file": path.name, "damage": damage})
    warn(f"bad shard: {path} {damage}; {moved}")


def trim(folder: Path, most_bytes: int) -> int:
    """Remove the oldest shards until the rest take at most `most_bytes`; returns how many. The newest one stays.

    Their games go on counting in `totals`. Only for the holder of the run's lock; `recover` comes first, so that every
    shard has its line.
    """
    present, entries, removed = _files(folder), _entries(folder), 0
    with storage_errors(folder):
        sizes = [_path(folder, shard_id).stat().st_size for shard_id in present]
        excess = sum(sizes) - most_bytes
        for shard_id, size in zip(present[:-1], sizes[:-1], strict=True):
            if excess <= 0:
                break
            _append(folder, {**entries[shard_id], "removed": True})
            failpoint("shard.during_trim")
            _path(folder, shard_id).unlink()
            excess -= size
            removed += 1
    return removed


def drop_after(folder: Path, last_id: int) -> int:
    """Remove shards with an id above `last_id`, for a resume that must replay exactly; returns how many.

    Done again after a kill in the middle, it finishes the work. Only for the holder of the run's lock.
    """
    dropped = [shard_id for shard_id in _files(folder) if shard_id > last_id]
    entries = _entries(folder)
    with storage_errors(folder):
        for shard_id in dropped:
            _path(folder, shard_id).unlink()
        if dropped:
            sync_folder(folder)
    if any(shard_id > last_id for shard_id in entries):
        kept = [seal(entry) + b"\n" for shard_id, entry in sorted(entries.items()) if shard_id <= last_id]
        publish(folder / MANIFEST, b"".join(kept))
    return len(dropped)


def _path(folder: Path, shard_id: int) -> Path:
    return folder / f"{shard_id:08d}.npz"


def _files(folder: Path) -> list[int]:
    """Ids of the shard files present, ascending."""
    if not folder.is_dir():
        return []
    names = (re.fullmatch(r"(\d{8}|[1-9]\d{8,})\.npz", path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in names if match)


def _entry(shard_id: int, sha256: str, games: int, positions: int) -> dict[str, Any]:
    name = _path(Path(), shard_id).name
    return {"id": shard_id, "file": name, "sha256": sha256, "games": games, "positions": positions}


def _append(folder: Path, entry: Mapping[str, Any]) -> None:
    append_line(folder / MANIFEST, seal(entry))


def _entries(folder: Path) -> dict[int, dict[str, Any]]:
    """The last manifest line of each id. Torn and damaged lines are passed over: `recover` writes them anew."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    with storage_errors(path):
        records = map(unseal, path.read_bytes().splitlines())
    return {record["id"]: record for record in records if record is not None}


def _understood(records: Sequence[StoredRecord], understand: Callable[[StoredRecord], Understood]) -> list[Understood]:
    """The games of a shard. Raises ValueError, which says which game, for one that is none."""
    games = []
    for number, record in enumerate(records):
        try:
            games.append(understand(record))
        except ValueError as error:
            raise ValueError(f"game {number}: {error}") from error
    return games


def _pack(shard_id: int, records: Sequence[Mapping[str, np.ndarray]], positions: int) -> bytes:
    """A shard as the bytes of an npz file; equal records make equal bytes."""
    if not records:
        raise ValueError("a shard holds at least one record")
    arrays = {"meta": np.array([FORMAT_VERSION, shard_id, len(records), positions], dtype=np.int64)}
    for field in records[0]:
        if any(record.keys() != records[0].keys() for record in records):
            raise ValueError(f"records differ in their fields: {sorted(records[0])}")
        column = [np.asarray(record[field]) for record in records]
        if len({(array.dtype, array.ndim, array.shape[1:]) for array in column}) > 1 or column[0].dtype.hasobject:
            raise ValueError(f"field {field!r} differs between records in dtype or trailing shape, or holds objects")
        if column[0].ndim == 0:
            arrays[f"scalar/{field}"] = np.stack(column)
        else:
            arrays[f"ragged/{field}"] = np.concatenate(column)
            arrays[f"offset/{field}"] = np.cumsum([0, *map(len, column)], dtype=np.int64)
    buffer = io.BytesIO()
    # 6 000 Connect Four positions: 36 ms and 0.2 MB; uncompressed 2 ms and 1.4 MB. Playing them takes many seconds.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpack(data: bytes, shard_id: int) -> tuple[list[StoredRecord], int]:
    """Records and positions of a shard. Raises `ValueError` when it is damaged, `UserError` for another format."""
    try:
        arrays = load_arrays(data)
        format_version, stored_id, games, positions = arrays.pop("meta").tolist()
        if format_version not in READABLE:
            raise UserError(
                f"shard {shard_id} has format {format_version}, this program reads {' and '.join(map(str, READABLE))}; "
                "use the version of selfplay that wrote it"
            )
        if stored_id != shard_id:
            raise ValueError(f"holds shard {stored_id}")
        if not 0 < games <= max(array.size for array in arrays.values()):
            raise ValueError(f"says that it holds {games:,} games")
        if positions < games:
            raise ValueError(f"says that it holds {positions:,} positions of {games:,} games")
        records: list[StoredRecord] = [{} for _ in range(games)]
        for name, array in arrays.items():
            kind, _, field = name.partition("/")
            if kind == "offset":
                continue
            bounds = arrays[f"offset/{field}"] if kind == "ragged" else np.arange(games + 1)
            if len(bounds) != games + 1 or bounds[0] != 0 or bounds[-1] != len(array) or (np.diff(bounds) < 0).any():
                raise ValueError(f"field {field!r} does not fit its offsets")
            for record, start, stop in zip(records, bounds[:-1], bounds[1:], strict=True):
                record[field] = array[start:stop] if kind == "ragged" else array[start:stop].reshape(())
    except UserError:
        raise
    except Exception as error:  # zipfile and numpy raise a dozen kinds on bytes that are no archive of arrays
        raise ValueError(f"cannot be read ({str(error)[:200]!r})") from error
    return records, positions


def load_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file, none of them unpickled. Raises ValueError for a huge one, others for a damaged one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_SHARD_BYTES:
        raise ValueError(f"unpacks to {size:,} bytes, at most {MAX_SHARD_BYTES:,} are read")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
