"""How the rows of a replay of transitions that was saved fit one that has other settings.

In the flow: `TransitionReplay.refill` reads rows stream after stream and asks here where they go.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class StreamLayout:
    """Where the rows of a saved replay go: the newest of each stream, cut anew where the number of streams differs."""

    def __init__(self, saved: np.ndarray, num_streams: int, length: int) -> None:
        """`saved` int64 [S]: rows of each stream, one stream after the other; rings of `length` rows are filled."""
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


def check_columns(piece: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError where a piece has not the columns of a replay."""
    if piece.keys() != {*columns, "priorities"}:
        raise ValueError(f"it has the columns {', '.join(sorted(piece))}")
    count = len(piece["priorities"])
    for name, column in columns.items():
        if piece[name].shape != (count, *column.shape[1:]) or piece[name].dtype != column.dtype:
            raise ValueError(f"its {name} are {piece[name].dtype} {list(piece[name].shape[1:])}")


def rescaled(largest: float, priorities: np.ndarray, old: float, new: float) -> tuple[float, np.ndarray]:
    """Priorities that are errors to the power `old` as errors to the power `new`; 1 where either is 0."""
    if old == new:
        return largest, priorities
    if old == 0 or new == 0:
        return 1.0, np.where(priorities > 0, 1.0, 0.0)
    return largest ** (new / old), priorities ** (new / old)
