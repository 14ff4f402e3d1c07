"""The games that the learner samples positions from: whole games, and an index of their positions with a window that
grows.

In the flow: the driver adds finished games, the learner samples batches. A game is stored once, with all its positions
as they were seen. The index has a row for each time that a position may be sampled: `experience.targets` says how
often. So the game can be followed for some moves from a sample on. Symmetries are applied to the sample. Rows are drawn
uniformly, or by the errors that the learner made on them (`selfplay.replay.priorities`).

Window: KataGo (Wu 2019, appendix C) samples the newest c * (1 + b * ((N / c)^a - 1) / a) of N rows, here with b = 1
(slope 1 at N = c).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped

from games import Symmetry
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import (
    NO_ACTION,
    PADDING,
    Ending,
    GameRecord,
    TargetRecord,
    no_sampled_actions,
    widen,
)
from selfplay.experience.targets import (
    NO_LABEL,
    TargetSettings,
    labels_seen,
    rewards_of,
    rows_by_weight,
    seen_by_movers,
    targets_of,
    weights_of,
)
from selfplay.replay.priorities import Priorities, rescaled

INDEX_TYPE = np.dtype(np.int64)
"""Number type of the index, which holds numbers of positions."""

FIRST_ROOM = 4096
"""Number of positions that there is room for at first, if the replay may keep that many."""

SPARE_ROOM = 1.03
"""Room for positions against what is foreseen: games have different numbers of positions for a row."""

COPIED_AT_ONCE = 1 << 16
"""Positions that move to larger arrays together."""


@dataclass(frozen=True)
class Following:
    """The K moves played from B sampled positions on, and the positions after each of them.

    Move k was played if `moved[:, k]`, and a player was to move after it if `exists[:, k]`. The entries of all others
    are zero, or NO_ACTION. Where a game is over or was judged, `is_over` is true of every position that there is no
    more; nobody knows what would have come after a game that was cut off.
    """

    action: Int64[np.ndarray, "B K"]  # the moves
    # What each move paid, as the network sees values for the player who made it; a judge pays with the last move.
    reward: Float32[np.ndarray, "B K V"]
    moved: Bool[np.ndarray, "B K"]
    exists: Bool[np.ndarray, "B K"]
    is_over: Bool[np.ndarray, "B K"]
    is_learned: Bool[np.ndarray, "B K"]  # the position after the move has a weight above 0
    observation: Shaped[np.ndarray, "B K *observation"]  # as the replay keeps them, in bytes where it can: K are many
    legal_mask: Bool[np.ndarray, "B K A"]
    policy_target: Float32[np.ndarray, "B K A"]
    value_target: Float32[np.ndarray, "B K V"]
    root_value: Float32[np.ndarray, "B K V"]  # what the search expected there, as the network sees it
    to_play: Int64[np.ndarray, "B K"]  # who moves after the move
    sampled_actions: Float32[np.ndarray, "B K A_sampled D"]  # as `GameRecord.sampled_actions`


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
    to_play: Int64[np.ndarray, " B"]  # who made the move
    # Whose each cell was at the end of the game, and by how much it was won, for `to_play`; nan where nobody says.
    final_labels: Float32[np.ndarray, "B H W"]
    final_score: Float32[np.ndarray, " B"]
    following: Following | None = None
    """What came after, where it was asked for."""
    sampled_actions: Float32[np.ndarray, "B A_sampled D"] | None = None
    """As `GameRecord.sampled_actions`."""
    root_value: Float32[np.ndarray, "B V"] | None = None
    """What the search expected, as the network sees it."""
    weight: Float32[np.ndarray, " B"] | None = None
    """Corrects for the priorities, at most 1; None where rows are drawn uniformly."""
    row: Int64[np.ndarray, " B"] | None = None
    """The numbers of the rows, for `PositionReplay.learned`; None likewise."""

    def __len__(self) -> int:
        return len(self.action)


def window_size(total: int, config: ReplayConfig) -> int:
    """How many of the newest rows are sampled once there have been `total`; at most `capacity`."""
    start, exponent = config.window_start, config.window_exponent
    if total <= start or exponent == 1.0:
        return min(total, config.capacity)
    if exponent == 0.0:
        grown = float(start)
    else:
        grown = start * (1.0 + ((total / start) ** exponent - 1.0) / exponent)
    return int(min(grown, total, config.capacity))


def row_bytes(position_bytes: float, rows_per_position: float) -> float:
    """Memory of the positions for each row of the replay; several where some of them have no row."""
    return position_bytes / min(1.0, rows_per_position)


@dataclass(frozen=True)
class _Kept:
    """Where a game is: its rows in the index, and its first position."""

    first_row: int
    rows_end: int
    first_position: int


class PositionReplay:
    """Whole games with the newest rows, at most `capacity` rows, in arrays that grow as they are needed.

    Rows and positions are numbered from 0 on, in the order in which they came. Position n is kept in place
    n % `_room` of the columns, row n in place n % `capacity` of the index.
    """

    def __init__(
        self,
        config: ReplayConfig,
        num_actions: int,
        symmetries: Sequence[Symmetry],
        targets: TargetSettings,
        steps: int = 0,
        priorities: Priorities | None = None,
    ) -> None:
        """`symmetries` are applied at random when sampling; empty for none. `targets` say what is learned from a game
        that is added. `steps`: number of moves that samples are followed for, where `sample` is not told. `priorities`
        of as many rows as the capacity, by which rows are drawn; None draws them uniformly."""
        self.config, self.num_actions, self.targets, self.steps = config, num_actions, targets, steps
        self.total = 0
        """Rows ever added."""
        self._symmetries = symmetries
        self._games: deque[_Kept] = deque()
        self._columns: dict[str, np.ndarray] = {}
        self._room = 0  # positions that the columns can hold
        self._end = 0  # number of the next position
        self._index = np.zeros(0, INDEX_TYPE)  # the position of each row
        self._followed_from = 0  # number of the first position after the last game that does not know its rewards
        self._priorities = priorities
        self._drawn_from = 0  # number of the oldest row that has a priority
        self._saved = 0, np.zeros(0)  # of a resumed run: number of a row, and the priorities from there on

    def __len__(self) -> int:
        return min(self.total, self.config.capacity)

    @property
    def capacity(self) -> int:
        """Rows that are kept at most."""
        return self.config.capacity

    @property
    def window(self) -> int:
        """Rows that are sampled at present."""
        return window_size(self.total, self.config)

    @property
    def positions(self) -> int:
        """Positions that are kept, those that are only there to be followed too."""
        return self._end - self._games[0].first_position if self._games else 0

    @property
    def nbytes(self) -> int:
        """Memory of positions, index and priorities; what is reserved and was never used counts too."""
        priorities = self._priorities.nbytes if self._priorities is not None else 0
        return priorities + self._index.nbytes + sum(column.nbytes for column in self._columns.values())

    def rows_of(self, record: GameRecord | TargetRecord) -> int:
        """Number of rows that a game gets."""
        return len(rows_by_weight(weights_of(record, self.targets), record.action))

    def add(self, record: GameRecord | TargetRecord) -> None:
        """Keep a game, with a row for each time that its weights let a position be sampled; the oldest make room.

        A game without any such row is not kept: nothing leads to it.
        """
        columns, weight = columns_of(record, self.targets)
        rows = rows_by_weight(weight, record.action)
        if len(rows) == 0:
            return
        self._games.append(_Kept(self.total, self.total + len(rows), self._end))
        self.total += len(rows)
        self.keep(self.config.capacity)
        self._fit(columns)
        places = np.arange(self._end, self._end + len(record)) % self._room
        for name, array in columns.items():
            column = self._columns[name]
            column[places] = widen(array, column.shape[1], PADDING[name]) if name in PADDING else array
        numbers = np.arange(self.total - len(rows), self.total)
        self._index[numbers % self.config.capacity] = self._end + rows
        if self._priorities is not None:
            self._priorities.set(numbers % self.config.capacity, self._first_priorities(numbers))
        self._end += len(record)
        if isinstance(record, TargetRecord):
            self._followed_from = self._end

    def keep(self, rows: int) -> None:
        """Give up the games without one of the newest `rows` rows."""
        while self._games and self._games[0].rows_end <= self.total - rows:
            self._games.popleft()
        if not self._games:
            self._columns, self._room = {}, 0

    def sample(self, size: int, rng: np.random.Generator, steps: int | None = None, window: int | None = None) -> Batch:
        """`size` rows drawn (with replacement) from the newest `window` ones, each under a random symmetry; with
        `steps` K also what was played in the K moves from there on, under the same one. `window` None is as the
        settings say; where rows have priorities, it must not grow by more than what is added.

        Raises ValueError while the replay is empty, and for `steps` while it has a game that does not know its rewards.
        """
        if self.total == 0:
            raise ValueError("replay: nothing to sample yet")
        steps = self.steps if steps is None else steps
        window = self.window if window is None else window
        rows, weight, numbers = self._drawn(size, rng, window)
        positions = self._index[rows]
        places = positions % self._room
        legal_mask, policy_target = self._policies(places)
        batch = Batch(
            observation=self._columns["observation"][places].astype(np.float32),
            legal_mask=legal_mask,
            policy_target=policy_target,
            value_target=self._columns["value_target"][places],
            outcome=self._columns["outcome"][places],
            action=self._columns["action"][places].astype(np.int64),
            version=self._columns["version"][places].astype(np.int64),
            reply=self._columns["reply"][places].astype(np.int64),
            moves_left=self._columns["moves_left"][places].astype(np.float32),
            to_play=self._columns["to_play"][places].astype(np.int64),
            final_labels=_floats(self._columns["final_labels"][places]),
            final_score=self._columns["final_score"][places],
            following=self._following(positions, steps) if steps else None,
            sampled_actions=self._columns["sampled_actions"][places],
            root_value=self._columns["root_value"][places],
            weight=weight,
            row=numbers,
        )
        if self._symmetries:
            self._mirror(batch, rng.integers(0, 1 + len(self._symmetries), size=size))
        return batch

    def learned(self, batch: Batch, errors: np.ndarray | None, progress: float) -> None:
        """New priorities of the rows of a batch, where rows have any, from its absolute errors [B]; None for a batch
        that was left out, which keeps those that it has."""
        if self._priorities is None:
            return
        self._priorities.progress_changed(progress)
        if errors is not None and batch.row is not None:
            is_kept = batch.row >= self.total - len(self)
            self._priorities.learned(batch.row[is_kept] % self.config.capacity, errors[is_kept])

    def state_dict(self) -> dict[str, Any]:
        """See `algorithm.Replay.state_dict`; the games are no part of it, they are on disk."""
        state: dict[str, Any] = {"kept": self.total}
        if (priorities := self._priorities) is not None:
            newest = np.arange(self.total - len(self), self.total) % self.config.capacity
            state |= {
                "priorities": torch.from_numpy(priorities.of(newest)),
                "priority_exponent": priorities.exponent,
                "largest_priority": priorities.largest,
                "importance": priorities.importance,
            }
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Count on from `kept` rows, for an empty replay: the next one follows theirs. Rows that come back get the
        priorities that they had; where settings now give positions other rows, those of others, until they are drawn.

        Raises ValueError for priorities that are none.
        """
        self.total = state["kept"]
        if self._priorities is not None and "priorities" in state:
            saved, largest = state["priorities"].numpy().astype(np.float64), float(state["largest_priority"])
            if saved.ndim != 1 or not (np.isfinite(saved).all() and (saved >= 0).all() and 0 < largest < np.inf):
                raise ValueError("its priorities are no numbers of 0 or more")
            largest, saved = rescaled(largest, saved, float(state["priority_exponent"]), self._priorities.exponent)
            self._priorities.largest, self._priorities.importance = largest, float(state["importance"])
            self._saved = self.total - len(saved), saved

    def _first_priorities(self, numbers: np.ndarray) -> np.ndarray:
        """Of rows that are added: the largest priority, or the one that a row had in the run that goes on."""
        first, saved = self._saved
        priorities = np.full(len(numbers), self._priorities.largest if self._priorities is not None else 1.0)
        known = (numbers >= first) & (numbers < first + len(saved))
        had = saved[numbers[known] - first]
        priorities[known] = np.where(had > 0, had, priorities[known])
        return priorities

    def _drawn(
        self, size: int, rng: np.random.Generator, window: int
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Places of `size` rows of the newest `window` ones; where they have priorities, weights and numbers too."""
        capacity = self.config.capacity
        if self._priorities is None:
            return (self.total - 1 - rng.integers(0, window, size=size)) % capacity, None, None
        too_old = np.arange(max(self._drawn_from, self.total - capacity), self.total - window)
        self._priorities.set(too_old % capacity, 0.0)
        self._drawn_from = max(self._drawn_from, self.total - window)
        rows, weight = self._priorities.draw(size, rng)
        return rows, weight, self.total - 1 - (self.total - 1 - rows) % capacity

    def _policies(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Legal mask and policy target [n, A] of the positions in `places` [n]."""
        legal_actions = self._columns["legal_actions"][places]
        legal_mask = np.zeros((len(places), self.num_actions), dtype=np.bool_)
        policy_target = np.zeros((len(places), self.num_actions), dtype=np.float32)
        is_legal = legal_actions != NO_ACTION
        entries = (legal_actions + self.num_actions * np.arange(len(places))[:, None])[is_legal]  # of the flat arrays
        legal_mask.reshape(-1)[entries] = True
        policy_target.reshape(-1)[entries] = self._columns["policy_target"][places][is_legal]
        return legal_mask, policy_target

    def _following(self, positions: np.ndarray, steps: int) -> Following:
        """What was played from `positions` [B] on."""
        if self._games[0].first_position < self._followed_from:
            raise ValueError("replay: games that were recorded with targets have no rewards to follow")
        left = self._columns["moves_left"][positions % self._room][:, None]
        moved, exists = (np.arange(steps) < left), (np.arange(1, steps + 1) < left)
        last = positions[:, None] + left - 1
        before = np.minimum(positions[:, None] + np.arange(steps), last) % self._room
        after = np.minimum(positions[:, None] + np.arange(1, steps + 1), last) % self._room

        def known(name: str, places: np.ndarray, where: np.ndarray, fill: float = 0) -> np.ndarray:
            column = self._columns[name]
            return np.where(
                where.reshape(*where.shape, *(1,) * (column.ndim - 1)), column[places], column.dtype.type(fill)
            )

        legal_mask, policy_target = (flat.reshape(*after.shape, -1) for flat in self._policies(after.ravel()))
        return Following(
            action=known("action", before, moved, NO_ACTION).astype(np.int64),
            reward=known("reward", before, moved),
            moved=moved,
            exists=exists,
            is_over=known("is_over", after, ~exists),
            is_learned=known("is_learned", after, exists),
            observation=known("observation", after, exists),
            legal_mask=legal_mask & exists[..., None],
            policy_target=np.where(exists[..., None], policy_target, np.float32(0)),
            value_target=known("value_target", after, exists),
            root_value=known("root_value", after, exists),
            to_play=known("to_play", after, exists).astype(np.int64),
            sampled_actions=known("sampled_actions", after, exists),
        )

    def _mirror(self, batch: Batch, choice: np.ndarray) -> None:
        """Apply symmetry number `choice[i]`, counted from 1 (0 is none), to row i, in place."""
        following = batch.following
        for k, symmetry in enumerate(self._symmetries, start=1):
            rows = np.nonzero(choice == k)[0]
            _turn(symmetry, rows, batch.observation, batch.legal_mask, batch.policy_target, batch.action, batch.reply)
            if labels := batch.final_labels[0].size:
                flat = batch.final_labels.reshape(-1, labels)
                flat[rows] = flat[rows][:, symmetry.observation[:labels] % labels]  # cells turn as in the first plane
            if following is not None:
                policies = following.legal_mask, following.policy_target
                _turn(symmetry, rows, following.observation, *policies, following.action)

    def _fit(self, columns: dict[str, np.ndarray]) -> None:
        """Make room for one more game with these `columns`: more positions and rows, more legal actions, or floats
        instead of bytes."""
        length = len(columns["action"])
        begin, room = self._games[0].first_position, self._room
        needed, rows = self._end + length - begin, self.total - self._games[0].first_row
        if needed > room:
            foreseen = int(SPARE_ROOM * needed * self.config.capacity / rows)  # once the index is full
            room = max(needed, min(max(2 * room, FIRST_ROOM), foreseen))
        for name, array in columns.items():
            column = self._columns.get(name)
            if column is None:
                column = np.zeros((0, *array.shape[1:]), dtype=array.dtype)
            if name in PADDING and array.shape[1] > column.shape[1]:
                column = widen(column, array.shape[1], PADDING[name])
            if array.dtype != column.dtype and array.dtype == np.float32:
                column = column.astype(np.float32)
            if room > len(column):
                column = self._moved(column, room, begin)
            self._columns[name] = column
        self._room = room
        rows_needed = min(self.total, self.config.capacity)
        if rows_needed > len(self._index):
            size = min(max(2 * len(self._index), rows_needed, FIRST_ROOM), self.config.capacity)
            self._index = np.concatenate([self._index, np.zeros(size - len(self._index), INDEX_TYPE)])

    def _moved(self, column: np.ndarray, room: int, begin: int) -> np.ndarray:
        """A column with more room, and the positions from number `begin` on in their places."""
        grown = np.zeros((room, *column.shape[1:]), dtype=column.dtype)
        for start in range(begin, self._end, COPIED_AT_ONCE):
            positions = np.arange(start, min(start + COPIED_AT_ONCE, self._end))
            grown[positions % room] = column[positions % len(column)]
        return grown


def columns_of(
    record: GameRecord | TargetRecord, settings: TargetSettings
) -> tuple[dict[str, np.ndarray], Float32[np.ndarray, " T"]]:
    """What is kept of each position of a game, [T, ...] each, and the weights of the positions."""
    targets, length = targets_of(record, settings), len(record)
    labels, score = labels_seen(record, settings)
    if isinstance(record, GameRecord):
        reward = seen_by_movers(record, rewards_of(record), settings.num_values)
        root_value = seen_by_movers(record, record.root_value, settings.num_values)
        is_over, sampled = record.ending != Ending.CUT_OFF, record.sampled_actions
    else:
        reward, is_over, sampled = np.zeros_like(targets.value), False, no_sampled_actions(length)
        root_value = record.root_value
    columns = {
        "observation": record.observation,
        "legal_actions": record.legal_actions,
        "policy_target": record.policy_target,
        "value_target": targets.value,
        "outcome": targets.outcome,
        "root_value": root_value,
        "action": record.action,
        "version": record.version,
        "to_play": record.to_play,
        "reply": np.append(record.action[1:], np.int32(NO_ACTION)),
        "moves_left": np.arange(length, 0, -1, dtype=np.int32),
        "reward": reward,
        "is_over": np.full(length, is_over),
        "is_learned": targets.weight > 0,
        "final_labels": labels,
        "final_score": score,
        "sampled_actions": sampled,
    }
    return columns, targets.weight


def _floats(labels: np.ndarray) -> Float32[np.ndarray, "B H W"]:
    """Labels as numbers, nan for NO_LABEL."""
    return np.where(labels == NO_LABEL, np.float32(np.nan), labels.astype(np.float32))


def _turn(
    symmetry: Symmetry,
    rows: np.ndarray,
    observation: np.ndarray,
    legal_mask: np.ndarray,
    policy_target: np.ndarray,
    *moves: np.ndarray,
) -> None:
    """Apply a symmetry to some `rows` of a batch, in place. Behind the first axis, arrays may have one of steps."""
    flat = observation.reshape(*legal_mask.shape[:-1], -1)
    flat[rows] = flat[rows][..., symmetry.observation]
    legal_mask[rows] = legal_mask[rows][..., symmetry.action]
    policy_target[rows] = policy_target[rows][..., symmetry.action]
    moved_to = np.argsort(symmetry.action)  # the mirrored policy has the old entry a at moved_to[a]
    for move in moves:
        move[rows] = np.where(move[rows] >= 0, moved_to[move[rows]], NO_ACTION)
