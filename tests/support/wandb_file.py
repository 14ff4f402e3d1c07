"""Reads the file of an offline run in W&B, as its own uploader does: records of protobuf in LevelDB's log format."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER_BYTES, BLOCK_BYTES = 7, 32768
FULL, FIRST, LAST = 1, 2, 4
"""Kinds of chunks; a record that does not fit a block is a FIRST, any MIDDLE ones and a LAST."""


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file that are whole, in order."""
    from wandb.proto import wandb_internal_pb2

    data, place, parts = path.read_bytes(), HEADER_BYTES, b""
    assert data[:4] == b":W&B"
    while place + HEADER_BYTES <= len(data):
        left = BLOCK_BYTES - place % BLOCK_BYTES
        if left < HEADER_BYTES:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + HEADER_BYTES])
        if kind == 0:
            return
        chunk = data[place + HEADER_BYTES : place + HEADER_BYTES + size]
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        place += HEADER_BYTES + size
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record


class OfflineRun:
    """What one `.wandb` file says of its run."""

    def __init__(self, path: Path) -> None:
        self.run: Any = None
        self.config: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.artifacts: list[Any] = []
        self.exit_code: int | None = None
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                self.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                self.rows.append({_name(item): json.loads(item.value_json) for item in record.history.item})
            elif kind == "summary":
                self.summary |= {_name(item): json.loads(item.value_json) for item in record.summary.update}
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "exit":
                self.exit_code = record.exit.exit_code


def _name(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def offline_runs(run_dir: Path) -> list[OfflineRun]:
    """The offline runs in the folder of a run, oldest first."""
    return [OfflineRun(path) for path in sorted(run_dir.glob("wandb/offline-run-*/run-*.wandb"))]
