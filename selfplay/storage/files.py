"""Files that are there whole or not at all. Everything that a run writes to its folder goes through here.

A file is written under a temporary name, fsynced, renamed, and its folder fsynced, so that a kill or a power cut at
any instant leaves the old file, the new file, or a temporary that the next start sweeps away. Records that say what a
folder holds (the manifests of checkpoints and shards) are *sealed* with a checksum of their own, because one flipped
bit can turn valid JSON into other valid JSON.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfplay.errors import UserError
from selfplay.storage.failpoints import failpoint

QUARANTINE = "quarantine"
"""Folder, beside what was damaged, that damaged things are moved to."""

MOST_READ = 256_000_000
"""Largest number of bytes of a file of positions, openings or games that a person names."""

_SEAL = "seal"


class StorageError(UserError):
    """The file system refused: disk full, no permission, input/output error. One line that names the path."""


@contextmanager
def storage_errors(path: Path, size: int = 0) -> Iterator[None]:
    """Turn an `OSError` into a `StorageError` about `path`; `size` is how many bytes were to be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = _free_bytes(path)
            message = f"disk full: {path} needs {size:,} bytes, {free:,} are free; make room and resume the run"
        else:
            message = f"{path}: {error.strerror or error}"
        raise StorageError(message) from error


def _free_bytes(path: Path) -> int:
    folder = path
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def read_named(path: Path) -> bytes:
    """The bytes of a file that a person named. Raises UserError where it cannot be read, or has no end within
    `MOST_READ`, as `/dev/zero` has none."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_READ + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > MOST_READ:
        raise UserError(f"{path}: larger than {MOST_READ:,} bytes; no such file is read")
    return data


def read_named_lines(path: Path) -> list[str]:
    """The lines of a file of UTF-8 text that a person named, with a byte-order mark or without. Raises UserError."""
    try:
        return read_named(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None


def digest(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def publish(path: Path, data: bytes, label: str = "publish") -> str:
    """Make `path` hold exactly `data`, replacing what was there in one step; returns the sha256.

    `label` is the first part of the failpoint names. Raises `StorageError`; the old file is then untouched.
    """
    temporary = temporary_name(path)
    with storage_errors(path, len(data)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            checksum = write_synced(temporary, data, label)
            failpoint(f"{label}.before_rename")
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)
    return checksum


def write_synced(path: Path, data: bytes, label: str) -> str:
    """Write and fsync one file that nobody looks at yet; returns the sha256. Raises `OSError`."""
    view = memoryview(data)
    with open(path, "wb", buffering=0) as file:
        failpoint(f"{label}.after_open")
        half = len(view) // 2
        _write_all(file.fileno(), view[:half])
        failpoint(f"{label}.mid_write")
        _write_all(file.fileno(), view[half:])
        failpoint(f"{label}.before_fsync")
        os.fsync(file.fileno())
    return digest(data)


def append_line(path: Path, line: bytes) -> None:
    """Append one line and fsync. Raises `StorageError`; the file then has its old length.

    The torn last line of a writer that was killed is ended first, so that it cannot swallow the new one.
    """
    with storage_errors(path, len(line)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            try:
                _write_all(file.fileno(), memoryview((b"\n" if torn else b"") + line + b"\n"))
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
        if size == 0:
            sync_folder(path.parent)


def _write_all(descriptor: int, view: memoryview) -> None:
    while len(view):
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """fsync a folder: a rename survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Where `path` is written before it is renamed: same folder, hence same file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sweep_temporaries(folder: Path) -> int:
    """Remove what killed writers left in `folder`; returns how many. Only for the process that holds the run's lock."""
    removed = 0
    with storage_errors(folder):
        for path in temporaries(folder):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed += 1
    return removed


def temporaries(folder: Path) -> list[Path]:
    """What is being written in `folder`, or was when its writer was killed; empty when the folder does not exist."""
    return sorted(path for path in folder.glob(".*.tmp") if re.fullmatch(r"\..+\.\d+\.tmp", path.name))


def writer_of(temporary: Path) -> int:
    """Process id of who writes a temporary."""
    return int(temporary.name.split(".")[-2])


def quarantine(path: Path) -> Path:
    """Move a damaged file or folder to `quarantine/` beside it, never over an earlier one; returns where it went."""
    with storage_errors(path):
        folder = path.parent / QUARANTINE
        folder.mkdir(exist_ok=True)
        target, attempt = folder / path.name, 1
        while target.exists():
            attempt += 1
            target = folder / f"{path.name}.{attempt}"
        os.rename(path, target)
        sync_folder(folder)
        sync_folder(path.parent)
    return target


def seal(record: Mapping[str, Any]) -> bytes:
    """One line of JSON with a checksum of itself. The record holds plain JSON values under string keys."""
    return json.dumps({**record, _SEAL: _seal_of(record)}, sort_keys=True).encode()


def unseal(line: bytes) -> dict[str, Any] | None:
    """The record of a sealed line, or None if it is torn, damaged or foreign."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or record.pop(_SEAL, None) != _seal_of(record):
            return None
    except (ValueError, RecursionError):
        return None
    return record


def _seal_of(record: Mapping[str, Any]) -> str:
    return digest(json.dumps(record, sort_keys=True).encode())[:16]
