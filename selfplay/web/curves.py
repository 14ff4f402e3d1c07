"""Training curves: the rows of `metrics.jsonl`, read on as the file grows."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from selfplay.errors import UserError
from selfplay.storage.metrics import AXES, METRICS, Row, add_row
from selfplay.web.panels import panels_of
from selfplay.web.thinking import finite

MAX_READ = 64 << 20
"""Largest number of bytes that are read at once; the rest follows with the next request."""

POINTS = 400
"""Largest number of rows that are sent, evenly spaced, the last one included."""


class Curves:
    """The metrics of one run; safe to use from several threads."""

    def __init__(self, path: Path, anchor: str = "", in_environment: bool = False) -> None:
        """`anchor` is the player that ratings count from; empty where there is none.

        `in_environment` says that the run plays in an environment, and not a game.
        """
        self._path, self._anchor, self._in_environment = path, anchor, in_environment
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        self._read_to = 0

    def as_json(self) -> dict[str, Any]:
        """Names with their meaning, and for each the values of some rows (None where a row has none)."""
        with self._lock:
            self._read_on()
            rows = _spread(self._rows)
            total = len(self._rows)
        names = list(dict.fromkeys(name for row in rows for name in row))
        series = {name: [_number(row.get(name)) for row in rows] for name in names}
        meaning = {name: self._meaning(name) for name in names}
        drawn = [name for name in names if name not in AXES and any(value is not None for value in series[name])]
        return {
            "rows": total,
            "series": series,
            "meaning": meaning,
            "panels": panels_of(drawn, meaning, self._in_environment),
        }

    def _meaning(self, name: str) -> list[str]:
        """Unit and meaning."""
        unit, meaning = _meaning(name)
        return [f"{unit}, {self._anchor} = 0" if unit == "Elo" and self._anchor else unit, meaning]

    def _read_on(self) -> None:
        """Rows that were added since the last look; a file that became shorter is read anew."""
        try:
            with open(self._path, "rb") as file:
                size = file.seek(0, 2)
                if size < self._read_to:
                    self._rows, self._read_to = [], 0
                file.seek(self._read_to)
                data = file.read(MAX_READ)
        except FileNotFoundError:
            return  # a run that has just begun
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}") from None
        whole = data[: data.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                add_row(self._rows, row)


def _spread(rows: list[Row]) -> list[Row]:
    """At most `POINTS` rows, evenly spaced. Evaluations are in few rows: each is kept, in the next row that is sent."""
    if len(rows) <= POINTS:
        return rows
    chosen: list[Row] = []
    start = 0
    for i in range(1, POINTS + 1):
        end = len(rows) * i // POINTS
        merged: Row = {}
        for row in rows[start:end]:
            merged |= row
        chosen.append(merged)
        start = end
    return chosen


def _number(value: Any) -> float | None:
    return finite(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _meaning(name: str) -> list[str]:
    """Unit and meaning."""
    metric = AXES.get(name) or METRICS.get(name)
    if metric is None and name.startswith("eval/score/"):
        metric = METRICS["eval/score/OPPONENT"]
    return ["", ""] if metric is None else [metric.unit, metric.meaning]
