"""DQN's replay: the newest steps of some environments, each frame stored once.

In the flow: the driver adds rollouts, the learner samples transitions. An environment is a stream, a ring of rows:

    row t: frame, action, reward, discount, whether the episode ended with this step
    the step after an end: a row with the last observation of the episode, which is never drawn itself

so the successor of row t is row t + 1, whatever happened, and stacks of frames and n-step returns are put together when
they are drawn. The row of a step that is unsound (`Step.unsound`) is that of the last observation before it. Rows that
lack what a draw needs (the newest n of a stream, the oldest whose earlier frames are overwritten) have priority 0.

Sources: Mnih et al. 2015 (replay, stacks of 4 frames); Sutton 1988 by way of Hessel et al. 2018 (n-step); Schaul et al.
2016 (priorities).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from games.environments.environment import Environment
from selfplay.experience.rollouts import Rollout
from selfplay.replay.priorities import Priorities, rescaled
from selfplay.replay.stream_layout import StreamLayout, check_columns, check_facts

PIECE_BYTES = 32_000_000
"""Size of the arrays in which a replay is written and read: what that takes of memory beside it."""


@dataclass(frozen=True)
class TransitionBatch:
    """B transitions of up to n steps: `y = reward + factor * v(next_observation)`."""

    observation: Shaped[np.ndarray, "B *observation"]
    action: Int64[np.ndarray, " B"]
    reward: Float32[np.ndarray, " B"]  # discounted sum of the steps' rewards
    factor: Float32[np.ndarray, " B"]  # discount of what follows: 0 after an end, negative where the opponent moves
    next_observation: Shaped[np.ndarray, "B *observation"]
    next_legal_mask: Bool[np.ndarray, "B A"] | None
    weight: Float32[np.ndarray, " B"]  # corrects for the priorities, at most 1
    row: Int64[np.ndarray, " B"]  # where the replay has it

    def __len__(self) -> int:
        return len(self.action)


class TransitionReplay:
    """At most `capacity` rows, in rings of equal size for the environments that have been seen."""

    def __init__(
        self,
        environment: Environment,
        capacity: int,
        num_streams: int,
        n_step: int,
        discount: float,
        reward_clip: float,
        priority_exponent: float,
        importance_exponent: float = 1.0,
    ) -> None:
        """`num_streams`: environments of all actors together. `reward_clip` 0 leaves rewards as they are.
        The exponents are those of `Priorities`.

        Raises ValueError for a capacity that leaves an environment too few rows.
        """
        self.environment, self.num_streams, self.n_step = environment, num_streams, n_step
        self.discount, self.reward_clip = discount, reward_clip
        self._length = ring_length(capacity, num_streams, n_step, environment.frame_stack)
        rows = self._length * num_streams
        self._frame_shape = frame_shape(environment)
        self._frames = np.zeros((rows, *self._frame_shape), environment.observation_dtype)
        self._actions = np.zeros(rows, np.int64)
        self._rewards = np.zeros(rows, np.float32)
        self._discounts = np.zeros(rows, np.float32)
        self._ended = np.zeros(rows, np.bool_)
        self._begins = np.zeros(rows, np.bool_)  # the first row of an episode: no frames before it
        self._is_last = np.zeros(rows, np.bool_)  # holds the last observation of an episode
        self._legal = None
        if environment.has_legal_mask:
            self._legal = np.ones((rows, environment.num_actions), np.bool_)
        self._priorities = Priorities(rows, priority_exponent, importance_exponent)
        self._written = np.zeros(num_streams, np.int64)  # rows ever written to each stream
        self._next_begins = np.ones(num_streams, np.bool_)
        self._missing = 0  # steps that were added before and are not here: of a replay that was saved and read back
        self.total = 0
        """Steps ever added."""

    @property
    def window(self) -> int:
        """Steps that are kept."""
        return len(self)

    def __len__(self) -> int:
        return min(self.total - self._missing, self._length * self.num_streams)

    def add(self, rollout: Rollout) -> None:
        """Append the steps of a rollout. Streams go by the rollout's `actor_index`, its environments side by side."""
        num_envs = rollout.ended.shape[1]
        streams = rollout.actor_index * num_envs + np.arange(num_envs)
        if rollout.begins:  # also after an actor was replaced: what it was playing has no end
            self._break(streams)
        final = iter(rollout.final_observation)
        final_legal = iter(() if rollout.final_legal_mask is None else rollout.final_legal_mask)
        for t in range(len(rollout.ended)):
            unsound = np.zeros(num_envs, np.bool_) if rollout.unsound is None else rollout.unsound[t]
            if unsound.any():
                self._cut(streams[unsound])
            rows = self._write(streams, rollout.observation[t], self._next_begins[streams], unsound)
            self._actions[rows] = rollout.action[t]
            self._rewards[rows] = rollout.reward[t]
            self._discounts[rows] = rollout.discount[t]
            self._ended[rows] = rollout.ended[t] & ~unsound
            if self._legal is not None:
                assert rollout.legal_mask is not None
                self._legal[rows] = rollout.legal_mask[t]
            self._next_begins[streams] = rollout.ended[t]
            over, written = streams[rollout.ended[t]], ~unsound[rollout.ended[t]]
            if len(over):
                last = np.stack([next(final) for _ in over])
                masks = None if self._legal is None else np.stack([next(final_legal) for _ in over])
                rows = self._write(over[written], last[written], np.zeros(written.sum(), np.bool_), True)
                if self._legal is not None and masks is not None:
                    self._legal[rows] = masks[written]
        self.total += rollout.ended.size

    def sample(self, size: int, rng: np.random.Generator) -> TransitionBatch:
        """`size` transitions, drawn uniformly or by priority.

        Raises ValueError while nothing can be drawn.
        """
        rows, weight = self._priorities.draw(size, rng)
        reward, factor, following = self._n_steps(rows)
        return TransitionBatch(
            observation=self._stacked(rows),
            action=self._actions[rows],
            reward=reward.astype(np.float32),
            factor=factor.astype(np.float32),
            next_observation=self._stacked(following),
            next_legal_mask=None if self._legal is None else self._legal[following],
            weight=weight,
            row=rows,
        )

    def learned(self, batch: TransitionBatch, errors: np.ndarray | None, progress: float) -> None:
        """Priorities of a batch from its absolute errors [B], None for one that was left out; see `Priorities`."""
        self._priorities.progress_changed(progress)
        if errors is not None:
            self._priorities.learned(batch.row, errors)

    def state_dict(self) -> dict[str, Any]:
        """See `algorithm.Replay.state_dict`; the rows are no part of it, `pieces` has them."""
        return {"kept": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing: only `refill` brings rows back, and their number with them."""

    # To disk and back (`selfplay.replay.saved`).

    @property
    def most_bytes(self) -> int:
        """What `pieces` hold together, once it is full."""
        return len(self._actions) * self._row_bytes

    def facts(self) -> dict[str, Any]:
        """Plain JSON that `refill` needs beside the pieces."""
        return {
            "steps": self.total,
            "streams": np.minimum(self._written, self._length).tolist(),
            "priority_exponent": self._priorities.exponent,
            "largest_priority": self._priorities.largest,
        }

    def pieces(self) -> Iterator[dict[str, np.ndarray]]:
        """All rows in arrays of some megabytes: stream after stream, the oldest row of each first."""
        counts = np.minimum(self._written, self._length)
        order = np.concatenate(
            [
                self._row(np.full(count, stream), np.arange(written - count, written))
                for stream, (count, written) in enumerate(zip(counts, self._written, strict=True))
            ]
        )
        step = max(1, PIECE_BYTES // self._row_bytes)
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            yield {
                **{name: column[rows] for name, column in self._columns().items()},
                "priorities": self._priorities.of(rows),
            }

    def refill(self, pieces: Iterable[dict[str, np.ndarray]], facts: Mapping[str, Any]) -> None:
        """Take in what `pieces` and `facts` gave; for an empty replay.

        Capacity, number of streams, returns and priorities may be set otherwise than they were: the newest rows are
        kept, cut into as many streams as there are now. Whatever was under way when it was saved stays without a
        successor. Raises ValueError, and stays empty, where they do not fit the environment or each other.
        """
        layout = StreamLayout(np.array(facts["streams"], np.int64), self.num_streams, self._length)
        priorities, is_cut = np.zeros(len(self._actions)), np.zeros(len(self._actions), np.bool_)
        columns = self._columns()
        for number, piece in self._checked(pieces, facts, layout.num_rows):
            kept, rows, begins_a_part = layout.place(number)
            for name, column in columns.items():
                column[rows] = piece[name][kept]
            priorities[rows], is_cut[rows] = piece["priorities"][kept], begins_a_part
        self._priorities.largest, priorities = rescaled(
            facts["largest_priority"], priorities, facts["priority_exponent"], self._priorities.exponent
        )
        for stream, count in enumerate(layout.counts):
            self._reopen(stream, count, priorities, is_cut)
        self.total = int(facts["steps"])
        self._missing = max(0, self.total - int(layout.counts.sum()))

    def check(self, pieces: Iterable[dict[str, np.ndarray]], facts: Mapping[str, Any]) -> None:
        """See `SavedReplay.check`."""
        layout = StreamLayout(np.array(facts["streams"], np.int64), self.num_streams, self._length)
        for _ in self._checked(pieces, facts, layout.num_rows):
            pass

    def _checked(
        self, pieces: Iterable[dict[str, np.ndarray]], facts: Mapping[str, Any], num_rows: int
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """The numbers of the rows in each piece, and the piece; raises ValueError where one does not fit."""
        check_facts(facts)
        columns, position = self._columns(), 0
        for piece in pieces:
            check_columns(piece, columns, position, self.environment.num_actions)
            number = np.arange(position, position + len(piece["priorities"]))
            position += len(number)
            if position > num_rows:
                raise ValueError(f"it has more than {num_rows} rows")
            yield number, piece
        if position != num_rows:
            raise ValueError(f"it has {position} rows, not {num_rows}")

    def _reopen(self, stream: int, count: int, priorities: np.ndarray, is_cut: np.ndarray) -> None:
        """The first `count` rows of a stream are there: say which of them can be drawn, and break after the last."""
        if count == 0:
            return
        rows = stream * self._length + np.arange(count)
        number, starts = np.arange(count), self._begins[rows] | is_cut[rows]
        starts[0] = True
        first = np.maximum.accumulate(np.where(starts, number, 0))  # of the part of an episode that a row is in
        last = (np.append(np.flatnonzero(starts)[1:], count) - 1)[np.cumsum(starts) - 1]
        has_end = (last > first) & self._ended[rows[np.maximum(last - 1, 0)]]
        has_return = np.where(has_end, number < last, number <= last - self.n_step)
        has_frames = self._begins[rows[first]] | (number >= first + self.environment.frame_stack - 1)
        drawn = rows[has_return & has_frames]
        known = priorities[drawn]
        self._priorities.set(drawn, np.where(known > 0, known, self._priorities.largest))
        self._is_last[rows[-self.n_step :]] = True
        self._written[stream], self._next_begins[stream] = count, True

    def _columns(self) -> dict[str, np.ndarray]:
        """What a row holds, but for its priority, by name."""
        columns = {
            "frames": self._frames, "actions": self._actions, "rewards": self._rewards, "discounts": self._discounts,
            "ended": self._ended, "begins": self._begins,
        }  # fmt: skip
        return columns if self._legal is None else {**columns, "legal": self._legal}

    @property
    def _row_bytes(self) -> int:
        return 8 + sum(column.nbytes for column in self._columns().values()) // len(self._actions)

    def _write(
        self, streams: np.ndarray, frames: np.ndarray, begins: np.ndarray, is_last: np.ndarray | bool
    ) -> np.ndarray:
        """One row more in each of some streams; returns the rows."""
        written = self._written[streams]
        rows = self._row(streams, written)
        self._frames[rows] = frames.reshape(len(rows), *self._frame_shape)
        self._begins[rows], self._is_last[rows], self._ended[rows] = begins, is_last, False
        self._written[streams] = written + 1
        self._priorities.set(rows, 0.0)
        if self.environment.frame_stack > 1:  # their oldest frame is gone
            for ahead in range(1, self.environment.frame_stack):
                self._priorities.set(self._row(streams, written + ahead), 0.0)
        # The row n before this one has now all that its return needs.
        ready = self._row(streams, written - self.n_step)
        ready = ready[(written >= self.n_step) & ~self._is_last[ready]]
        self._priorities.set(ready, self._priorities.largest)
        return rows

    def _cut(self, streams: np.ndarray) -> None:
        """The newest rows of some streams are the last steps of their episodes, where these have any."""
        begun = streams[~self._next_begins[streams]]
        self._ended[self._row(begun, self._written[begun] - 1)] = True

    def _break(self, streams: np.ndarray) -> None:
        """The newest rows of some streams get no successors: they are never drawn."""
        begun = streams[self._written[streams] > 0]
        for back in range(1, self.n_step + 1):
            rows = self._row(begun, self._written[begun] - back)
            self._is_last[rows[self._written[begun] >= back]] = True
        self._next_begins[streams] = True

    def _row(self, streams: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Where the rows with some numbers, counted from 0 since the start of the stream, are kept."""
        return streams * self._length + number % self._length

    def _after(self, rows: np.ndarray, steps: int) -> np.ndarray:
        """The rows `steps` after some rows, in their rings."""
        start = rows - rows % self._length
        return start + (rows - start + steps) % self._length

    def _n_steps(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Discounted rewards, what discounts the value after them, and the row with that observation."""
        reward, factor, following = np.zeros(len(rows)), np.ones(len(rows)), rows
        goes_on = np.ones(len(rows), np.bool_)
        for _ in range(self.n_step):
            paid = self._rewards[following]
            if self.reward_clip > 0:
                paid = np.clip(paid, -self.reward_clip, self.reward_clip)
            reward = np.where(goes_on, reward + factor * paid, reward)
            factor = np.where(goes_on, factor * self.discount * self._discounts[following], factor)
            ended = self._ended[following]
            following = np.where(goes_on, self._after(following, 1), following)
            goes_on &= ~ended
        return reward, factor, following

    def _stacked(self, rows: np.ndarray) -> np.ndarray:
        """Observations [B, *observation_shape] of some rows, zeros for frames from before their episode."""
        stack = self.environment.frame_stack
        if stack == 1:
            return self._frames[rows].reshape(len(rows), *self.environment.observation_shape)
        out = np.zeros((len(rows), stack, *self._frame_shape), self._frames.dtype)
        goes_on = np.ones(len(rows), np.bool_)
        for back in range(stack):
            out[goes_on, stack - 1 - back] = self._frames[rows[goes_on]]
            goes_on &= ~self._begins[rows]
            rows = self._after(rows, -1)
        return out.reshape(len(rows), *self.environment.observation_shape)


def ring_length(capacity: int, num_streams: int, n_step: int, frame_stack: int) -> int:
    """Rows of each environment's ring. Raises ValueError for too few."""
    length = capacity // num_streams
    if length < n_step + frame_stack + 2:
        raise ValueError(
            f"replay.capacity: {capacity} is too little for {num_streams} environments and returns over {n_step} steps"
        )
    return length


def frame_shape(environment: Environment) -> tuple[int, ...]:
    """The shape of one frame of an observation."""
    first, *rest = environment.observation_shape
    return (first // environment.frame_stack, *rest)


def replay_bytes(environment: Environment, capacity: int) -> int:
    """Bytes of the frames of `capacity` rows; the rest of a row is small beside them."""
    return capacity * int(np.prod(frame_shape(environment))) * environment.observation_dtype.itemsize
