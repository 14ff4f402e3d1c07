"""How the rows of a replay of transitions that was saved fit one that has other settings.

In the flow: `TransitionReplay.refill` reads rows stream after stream and asks here where they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from games.soundness import LARGEST, is_finite


class StreamLayout:
    """Where the rows of a saved replay go: the newest of each stream, cut anew where the number of streams differs."""

    def __init__(self, saved: np.ndarray, num_streams: int, length: int) -> None:
        """`saved` int64 [S]: rows of each stream, one stream after the other; rings of `length` rows are filled.

        Raises ValueError for numbers that are none of rows.
        """
        if len(saved) == 0 or saved.ndim != 1 or saved.min() < 0:
            raise ValueError(f"its streams have {saved.tolist()} rows")
        self.num_rows = int(saved.sum())
        kept = np.minimum(saved, length if len(saved) == num_streams else num_streams * length // len(saved))
        starts = np.cumsum(saved) - saved
        self._is_kept_from = starts + saved - kept  # by stream: its first row that is kept
        self._stream_ends = starts + saved
        self._before = np.cumsum(kept) - kept  # rows that are kept of the streams before
        self.counts = (
            kept if len(saved) == num_streams else np.diff(kept.sum() * np.arange(num_streams + 1) // num_streams)
        )
        """int64: rows of each new stream."""
        self._cuts = np.cumsum(self.counts) - self.counts
        self._length = length

    def place(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For rows by their `numbers` in the file: which are kept, their places, and which of those follow no other."""
        stream = np.searchsorted(self._stream_ends, numbers, side="right")
        kept = numbers >= self._is_kept_from[stream]
        numbers, stream = numbers[kept], stream[kept]
        rank = numbers - self._is_kept_from[stream] + self._before[stream]
        new = np.searchsorted(self._cuts, rank, side="right") - 1
        return kept, new * self._length + rank - self._cuts[new], numbers == self._is_kept_from[stream]


def check_columns(
    piece: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], first: int, num_actions: int
) -> None:
    """Raise ValueError where a piece, whose first row has the number `first`, does not fit the columns of a replay, or
    has numbers that no environment with `num_actions` gives."""
    if piece.keys() != {*columns, "priorities"}:
        raise ValueError(f"it has the columns {', '.join(sorted(piece))}")
    count = len(np.atleast_1d(piece["priorities"]))
    for name, column in {**columns, "priorities": np.zeros(0)}.items():
        if piece[name].shape != (count, *column.shape[1:]) or piece[name].dtype != column.dtype:
            raise ValueError(f"its {name} are {piece[name].dtype} {list(piece[name].shape[1:])}")
        if not is_finite(piece[name]):
            rows = np.flatnonzero(~(np.abs(piece[name]) <= LARGEST).reshape(count, -1).all(axis=1))
            raise ValueError(f"its {name} are not finite in row {first + rows[0]}")
    wrong = (piece["actions"] < 0) | (piece["actions"] >= num_actions)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"its actions have {piece['actions'][row]} in row {first + row}; actions are 0 to {num_actions - 1}"
        )
    if (piece["priorities"] < 0).any():
        raise ValueError(f"its priorities are below 0 in row {first + int(np.argmax(piece['priorities'] < 0))}")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError for numbers that no replay says of itself."""
    for name in ("steps", "largest_priority", "priority_exponent"):
        value = facts[name]
        if type(value) not in (int, float) or not 0 <= value <= LARGEST:
            raise ValueError(f"its {name} is {value!r}")
    if facts["largest_priority"] == 0:
        raise ValueError("its largest_priority is 0")
