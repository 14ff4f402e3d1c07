"""What a report reads of a run: its settings, the rows that count, and one metric over one axis.

In the flow: a run's folder, running or not, comes in; `Series` go to `selfplay.reports.curves`. Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.storage.metrics import AXES, Row, add_row, read_metrics
from selfplay.storage.run_folder import RunFolder

X_AXES = {"positions": "positions", "time": "time_s", "steps": "step"}
"""What a report can be drawn over, with the field of a row that has it."""

MINUTE = 60.0


@dataclass(frozen=True)
class Series:
    """A metric of one run over one axis; rows without it are left out."""

    x: Float[np.ndarray, " N"]  # strictly ascending; time in minutes
    y: Float[np.ndarray, " N"]
    low: Float[np.ndarray, " N"]  # the 95 % interval that the run wrote beside it; NaN where it wrote none
    high: Float[np.ndarray, " N"]


@dataclass(frozen=True)
class Run:
    """A run as it was when it was read."""

    path: str  # as it was given
    settings: dict[str, Any]  # values by dotted key
    rows: tuple[Row, ...]  # oldest first, see `rows_that_count`
    names: tuple[str, ...]  # metrics with a number in some row, in the order of their appearance

    @property
    def game(self) -> str:
        """The environment, or else the game."""
        return str(self.settings["environment"] or self.settings["game"])

    @property
    def positions(self) -> float:
        """Positions at the last row."""
        return float(self.rows[-1]["positions"])

    @property
    def minutes(self) -> float:
        """Minutes of training at the last row."""
        return float(self.rows[-1]["time_s"]) / MINUTE

    def end(self, x_axis: str) -> float:
        """Where on an axis of `X_AXES` its last row is."""
        return _x(self.rows[-1], x_axis)

    def series(self, name: str, x_axis: str) -> Series:
        """A metric over an axis of `X_AXES`. Of rows at the same place the last counts."""
        at = {_x(row, x_axis): row for row in self.rows if _number(row.get(name)) is not None}
        columns = [
            np.array([math.nan if (value := _number(row.get(column))) is None else value for row in at.values()])
            for column in (name, f"{name}_low", f"{name}_high")
        ]
        return Series(np.array(list(at)), *columns)


def read_run(path: Path) -> Run:
    """A run's settings and rows; a run that has just begun has no rows.

    Raises UserError when there is no such run, or its settings or rows are damaged.
    """
    folder = RunFolder.open(path)
    settings = reader.flatten(reader.load(Config, folder.config))
    rows: list[Row] = []
    if folder.metrics.exists():
        for number, row in enumerate(read_metrics(folder.metrics), start=1):
            if any(_number(row.get(axis)) is None for axis in AXES):
                raise UserError(f"{folder.metrics}:{number}: not a row of metrics, it lacks one of {', '.join(AXES)}")
            rows.append(row)
    rows = rows_that_count(rows)
    names = dict.fromkeys(name for row in rows for name, value in row.items() if _number(value) is not None)
    return Run(str(path), settings, tuple(rows), tuple(name for name in names if name not in AXES))


def rows_that_count(rows: Iterable[Row]) -> list[Row]:
    """The rows without those that a resumed run has undone."""
    kept: list[Row] = []
    for row in rows:
        add_row(kept, row)
    return kept


def _x(row: Row, x_axis: str) -> float:
    value = float(row[X_AXES[x_axis]])
    return value / MINUTE if x_axis == "time" else value


def _number(value: Any) -> float | None:
    """A finite number, or None for anything else that a row may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
