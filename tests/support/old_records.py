"""Records and replay as they were while a record kept targets: shards of format 1 have such records.

The code is that of then, unchanged but for names, so that targets and batches can be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8

from games import Symmetry
from search.perspective import from_players
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import NO_ACTION, UNDECIDED, Ending, GameRecord, widen
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import window_size


def with_targets(record: GameRecord, settings: TargetSettings) -> OldRecord:
    """The record that was made at the end of the game."""
    rewards, root_values, is_terminal = list(record.reward), record.root_value, record.ending != Ending.CUT_OFF
    if record.ending == Ending.JUDGED:
        rewards[-1] = rewards[-1] + record.judge_reward
    outcome = returns_of_game(np.array(rewards), root_values, settings.discount, 0, is_terminal)
    target = returns_of_game(np.array(rewards), root_values, settings.discount, settings.td_steps, is_terminal)
    share = settings.root_value_share
    target = (1.0 - share) * target + share * root_values

    def seen(values: np.ndarray) -> np.ndarray:
        return from_players(values, record.to_play, settings.num_values).astype(np.float32)

    weight = sampling_weights(record.is_chosen, np.maximum(record.surprise, 0.0), settings.policy_surprise)
    if record.decided_at != UNDECIDED:
        weight[record.decided_at :] *= settings.resign_weight
    weight = weight.astype(np.float32)
    weight[~record.learn] = 0  # those of old networks, which were left out after that
    return OldRecord(
        observation=record.observation,
        legal_actions=record.legal_actions,
        policy_target=record.policy_target,
        value_target=seen(target),
        outcome=seen(outcome),
        root_value=seen(root_values),
        action=record.action,
        to_play=record.to_play,
        version=record.version,
        weight=weight,
    )


@dataclass(frozen=True)
class OldRecord:
    """T positions of one game, in order. V numbers a value, as the network sees it (`search.perspective`)."""

    observation: UInt8[np.ndarray, "T *observation"] | Float32[np.ndarray, "T *observation"]  # bytes where exact
    legal_actions: Int32[np.ndarray, "T L"]  # NO_ACTION beyond the last
    policy_target: Float32[np.ndarray, "T L"]  # before temperature
    value_target: Float32[np.ndarray, "T V"]
    outcome: Float32[np.ndarray, "T V"]  # what the game paid from here on
    root_value: Float32[np.ndarray, "T V"]  # what the search expected
    action: Int32[np.ndarray, " T"]  # the move played
    to_play: Int32[np.ndarray, " T"]
    version: Int32[np.ndarray, " T"]  # the network that searched
    weight: Float32[np.ndarray, " T"]  # how often the position is learned from, on average; 0 leaves it out

    def __len__(self) -> int:
        return len(self.action)

    @property
    def games(self) -> int:
        """Games in the record."""
        return 1

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def sampling_weights(
    is_full: Bool[np.ndarray, " T"], surprise: Float[np.ndarray, " T"], share: float
) -> Float[np.ndarray, " T"]:
    """Weights [T] of the positions of a game: 0 where `is_full` is false, 1 on average elsewhere.

    `share` of a weight goes by `surprise` [T] >= 0 (the divergence of the search's policy from the network's) against
    its mean, the rest is the same for all. Source: "policy surprise weighting" in KataGo's KataGoMethods.md.
    """
    weights = is_full.astype(np.float64)
    mean = surprise[is_full].mean() if is_full.any() else 0.0
    if share > 0 and mean > 0:
        weights *= (1.0 - share) + share * surprise / mean
    return weights


def rows_of(record: OldRecord) -> Int64[np.ndarray, " K"]:
    """The positions of a game as the replay keeps them, int64 [K]: position t about `weight[t]` times, in order.

    Fractions are rounded at random (systematic resampling: K is the sum of the weights, rounded up or down). The random
    numbers come from the moves of the game, so that a resumed run has the same rows.
    """
    if (record.weight == 1).all():
        return np.arange(len(record))
    start = np.random.default_rng(record.action.astype(np.uint32)).random()
    steps = np.floor(np.cumsum(record.weight, dtype=np.float64) + start)
    return np.repeat(np.arange(len(record)), np.diff(steps, prepend=0.0).astype(np.int64))


def discounted_returns(
    rewards: Float[np.ndarray, "T P"], discount: float, bootstrap: Float[np.ndarray, " P"]
) -> Float[np.ndarray, "T P"]:
    """G_t = r_{t+1} + discount * G_{t+1} for every player, [T, P]; `bootstrap` [P] stands at the end.

    `rewards[t]` is what the move at t (and the chance after it) paid.
    """
    returns = np.empty_like(rewards)
    following = bootstrap
    for t in reversed(range(len(rewards))):
        following = rewards[t] + discount * following
        returns[t] = following
    return returns


def n_step_returns(
    rewards: Float[np.ndarray, "T P"],
    root_values: Float[np.ndarray, "T P"],
    discount: float,
    td_steps: int,
    bootstrap: Float[np.ndarray, " P"],
) -> Float[np.ndarray, "T P"]:
    """n-step returns that end in the root value of the search, [T, P] (MuZero, Schrittwieser et al. 2020, appendix G).

    `td_steps` 0 means all rewards to the end.
    """
    length = len(rewards)
    if td_steps == 0 or td_steps >= length:
        return discounted_returns(rewards, discount, bootstrap)
    returns = np.empty_like(rewards)
    for t in range(length):
        end = min(t + td_steps, length)
        tail = root_values[end] if end < length else bootstrap
        returns[t] = discounted_returns(rewards[t:end], discount, tail)[0]
    return returns


def returns_of_game(
    rewards: Float[np.ndarray, "T P"],
    root_values: Float[np.ndarray, "T P"],
    discount: float,
    td_steps: int,
    is_terminal: bool,
) -> Float[np.ndarray, "T P"]:
    """`n_step_returns` of a whole game, [T, P].

    In a game that was cut off nobody knows where the last move led: its position is worth what its search expected.
    """
    if is_terminal:
        return n_step_returns(rewards, root_values, discount, td_steps, np.zeros(rewards.shape[1]))
    known = n_step_returns(rewards[:-1], root_values[:-1], discount, td_steps, root_values[-1])
    return np.concatenate([known, root_values[-1:]])


@dataclass(frozen=True)
class OldBatch:
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


class OldReplay:
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

    def add(self, record: OldRecord) -> None:
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

    def sample(self, size: int, rng: np.random.Generator) -> OldBatch:
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
        batch = OldBatch(
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

    def _mirror(self, batch: OldBatch, choice: np.ndarray) -> None:
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


def kept_columns(record: OldRecord) -> dict[str, np.ndarray]:
    """What is kept of each position of a game, [T, ...] each: the record, and what follows from its moves."""
    columns = record.arrays()
    del columns["weight"], columns["root_value"], columns["to_play"]
    columns["reply"] = np.append(record.action[1:], np.int32(NO_ACTION))
    columns["moves_left"] = np.arange(len(record), 0, -1, dtype=np.int32)
    return columns
