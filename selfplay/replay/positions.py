"""The positions that the learner samples from: a ring buffer with a window that grows.

In the flow: the driver adds finished games, the learner samples batches. Positions are stored once, as they were seen;
symmetries are applied to the sample.

Window: KataGo (Wu 2019, appendix C) keeps the newest c * (1 + b * ((N / c)^a - 1) / a) of N positions, here with
b = 1 (slope 1 at N = c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from games import Symmetry
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import NO_ACTION, GameRecord, rows_of, widen


@dataclass(frozen=True)
class Batch:
    """Positions for one step of the learner."""

    observation: Float32[np.ndarray, "B *observation"]
    legal_mask: Bool[np.ndarray, "B A"]
    policy_target: Float32[np.ndarray, "B A"]
    value_target: Float32[np.ndarray, "B V"]
    outcome: Float32[np.ndarray, "B V"]
    action: Int64[np.ndarray, " B"]  # the move played
    version: Int64[np.ndarray, " B"]  # the network that searched
    reply: Int64[np.ndarray, " B"]  # the move played after `action`, NO_ACTION at the end
    moves_left: Float32[np.ndarray, " B"]  # moves until the game ended or was cut off, at least 1

    def __len__(self) -> int:
        return len(self.action)


def window_size(total: int, config: ReplayConfig) -> int:
    """How many of the newest positions are sampled once `total` have been played; at most `capacity`."""
    start, exponent = config.window_start, config.window_exponent
    if total <= start or exponent == 1.0:
        return min(total, config.capacity)
    if exponent == 0.0:
        grown = float(start)
    else:
        grown = start * (1.0 + ((total / start) ** exponent - 1.0) / exponent)
    return int(min(grown, total, config.capacity))


class Replay:
    """The newest positions, at most `capacity` of them, in arrays that grow as they are needed."""

    def __init__(self, config: ReplayConfig, num_actions: int, symmetries: Sequence[Symmetry]) -> None:
        """`symmetries` are applied at random when sampling; empty for none."""
        self.config, self.num_actions = config, num_actions
        self.total = 0
        """Positions ever added, by their weight; number n is kept in row n % capacity."""
        self._columns: dict[str, np.ndarray] = {}
        self._symmetries = symmetries

    def __len__(self) -> int:
        return min(self.total, self.config.capacity)

    @property
    def window(self) -> int:
        """Positions that are sampled at present."""
        return window_size(self.total, self.config)

    def add(self, record: GameRecord) -> None:
        """Append the positions of a game, each as often as its weight says; the oldest make room."""
        kept = rows_of(record)
        arrays = {name: array[kept] for name, array in kept_columns(record).items()}
        self._fit(arrays)
        for name, array in arrays.items():
            column = self._columns[name]
            if name in ("legal_actions", "policy_target"):
                array = widen(array, column.shape[1], NO_ACTION if name == "legal_actions" else 0.0)
            rows = np.arange(self.total, self.total + len(kept)) % self.config.capacity
            column[rows] = array
        self.total += len(kept)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """`size` positions drawn uniformly (with replacement) from the window, each under a random symmetry.

        Raises ValueError while the replay is empty.
        """
        if self.total == 0:
            raise ValueError("replay: nothing to sample yet")
        rows = (self.total - 1 - rng.integers(0, self.window, size=size)) % self.config.capacity
        legal_actions = self._columns["legal_actions"][rows]
        legal_mask = np.zeros((size, self.num_actions), dtype=np.bool_)
        policy_target = np.zeros((size, self.num_actions), dtype=np.float32)
        row, column = np.nonzero(legal_actions != NO_ACTION)
        actions = legal_actions[row, column]
        legal_mask[row, actions] = True
        policy_target[row, actions] = self._columns["policy_target"][rows][row, column]
        batch = Batch(
            observation=self._columns["observation"][rows].astype(np.float32),
            legal_mask=legal_mask,
            policy_target=policy_target,
            value_target=self._columns["value_target"][rows],
            outcome=self._columns["outcome"][rows],
            action=self._columns["action"][rows].astype(np.int64),
            version=self._columns["version"][rows].astype(np.int64),
            reply=self._columns["reply"][rows].astype(np.int64),
            moves_left=self._columns["moves_left"][rows].astype(np.float32),
        )
        if self._symmetries:
            self._mirror(batch, rng.integers(0, 1 + len(self._symmetries), size=size))
        return batch

    def learned(self, batch: Batch, errors: np.ndarray | None, progress: float) -> None:
        """Every position is drawn as often as another."""

    def state_dict(self) -> dict[str, Any]:
        """See `algorithm.Replay.state_dict`; the positions are no part of it, the games on disk have them."""
        return {"kept": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Count on from `kept` positions, for an empty replay: the next one goes to the row that follows theirs."""
        self.total = state["kept"]

    def _mirror(self, batch: Batch, choice: np.ndarray) -> None:
        """Apply symmetry number `choice[i]`, counted from 1 (0 is none), to row i, in place."""
        flat = batch.observation.reshape(len(choice), -1)
        for k, symmetry in enumerate(self._symmetries, start=1):
            rows = np.nonzero(choice == k)[0]
            flat[rows] = flat[rows][:, symmetry.observation]
            batch.legal_mask[rows] = batch.legal_mask[rows][:, symmetry.action]
            batch.policy_target[rows] = batch.policy_target[rows][:, symmetry.action]
            moved_to = np.argsort(symmetry.action)  # the mirrored policy has the old entry a at moved_to[a]
            batch.action[rows] = moved_to[batch.action[rows]]
            batch.reply[rows] = np.where(batch.reply[rows] >= 0, moved_to[batch.reply[rows]], NO_ACTION)

    def _fit(self, arrays: dict[str, np.ndarray]) -> None:
        """Make columns that can hold `arrays`: more rows, more legal actions, or floats instead of bytes."""
        rows_needed = min(self.total + len(arrays["action"]), self.config.capacity)
        for name, array in arrays.items():
            column = self._columns.get(name)
            if column is None:
                column = np.zeros((0, *array.shape[1:]), dtype=array.dtype)
            if name in ("legal_actions", "policy_target") and array.shape[1] > column.shape[1]:
                column = widen(column, array.shape[1], NO_ACTION if name == "legal_actions" else 0.0)
            if array.dtype != column.dtype and array.dtype == np.float32:
                column = column.astype(np.float32)
            if rows_needed > len(column):
                rows = min(max(2 * len(column), rows_needed, 4096), self.config.capacity)
                grown = np.zeros((rows, *column.shape[1:]), dtype=column.dtype)
                grown[: len(column)] = column
                column = grown
            self._columns[name] = column


def kept_columns(record: GameRecord) -> dict[str, np.ndarray]:
    """What is kept of each position of a game, [T, ...] each: the record, and what follows from its moves."""
    columns = record.arrays()
    del columns["weight"], columns["root_value"], columns["to_play"]
    columns["reply"] = np.append(record.action[1:], np.int32(NO_ACTION))
    columns["moves_left"] = np.arange(len(record), 0, -1, dtype=np.int32)
    return columns
