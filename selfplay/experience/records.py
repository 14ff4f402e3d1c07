"""A finished game as the learner needs it, and the value targets of its positions.

In the flow: actors make `GameRecord`s, `replay` keeps their positions, `shards` stores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8

NO_ACTION = -1
"""Fills `legal_actions` where a position has fewer of them than the row has room for."""


@dataclass(frozen=True)
class GameRecord:
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

    def leave_out_older(self, version: int) -> int:
        """See `algorithm.Record.leave_out_older`: their weights become 0, on disk too."""
        stale = (self.version < version) & (self.weight > 0)
        self.weight[stale] = 0
        return int(stale.sum())

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


def rows_of(record: GameRecord) -> Int64[np.ndarray, " K"]:
    """The positions of a game as the replay keeps them, int64 [K]: position t about `weight[t]` times, in order.

    Fractions are rounded at random (systematic resampling: K is the sum of the weights, rounded up or down). The random
    numbers come from the moves of the game, so that a resumed run has the same rows.
    """
    if (record.weight == 1).all():
        return np.arange(len(record))
    start = np.random.default_rng(record.action.astype(np.uint32)).random()
    steps = np.floor(np.cumsum(record.weight, dtype=np.float64) + start)
    return np.repeat(np.arange(len(record)), np.diff(steps, prepend=0.0).astype(np.int64))


def compact_observations(observations: np.ndarray) -> np.ndarray:
    """Float observations as uint8 where nothing is lost, a quarter of the memory."""
    with np.errstate(invalid="ignore"):  # what no byte holds shows in the comparison
        small = observations.astype(np.uint8)
    return small if np.array_equal(small, observations) else observations


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


def pad_columns(rows: Sequence[np.ndarray], width: int, fill: float) -> np.ndarray:
    """1-D arrays of different lengths as one [n, width] array of their dtype."""
    out = np.full((len(rows), width), fill, dtype=rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def widen(array: np.ndarray, width: int, fill: float) -> np.ndarray:
    """[T, L] as [T, width] with `fill` in the new columns."""
    if array.shape[1] == width:
        return array
    out = np.full((len(array), width), fill, dtype=array.dtype)
    out[:, : array.shape[1]] = array
    return out
