"""Finished games as they are kept: what happened in them, move by move, and how they ended.

In the flow: actors make `GameRecord`s, `shards` stores them, `replay` keeps their positions. What is learned from them
is made from these facts by `selfplay.experience.targets`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, get_type_hints

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32, Integer, UInt8, jaxtyped

NO_ACTION = -1
"""Fills `legal_actions` where a position has fewer of them than the row has room for."""

UNDECIDED = -1
"""Number of moves before a verdict (soft resignation), in a game that had none."""

PADDING: dict[str, float] = {"legal_actions": NO_ACTION, "policy_target": 0.0}
"""Columns with an entry for each legal action, and what fills them where a position has fewer."""


OF_THE_GAME = (
    "decided_at", "ending", "judge_reward", "opening", "chance",
    "final_observation", "final_to_play", "final_legal_actions", "final_labels", "final_score",
)  # fmt: skip
"""Fields of `GameRecord` that belong to the game as a whole; all others have a row for each move."""


class Ending(IntEnum):
    """How a game ended."""

    OVER = 0
    """It came to its end by its rules."""
    JUDGED = 1
    """Cut off after the largest number of moves; a judge said who was ahead (`games.judging`)."""
    CUT_OFF = 2
    """Cut off, and nobody knows who was ahead."""


@dataclass(frozen=True)
class SearchedMoves:
    """T moves of one game, in order, each with the position in which it was searched."""

    observation: UInt8[np.ndarray, "T *observation"] | Float32[np.ndarray, "T *observation"]  # bytes where exact
    legal_actions: Int32[np.ndarray, "T L"]  # NO_ACTION beyond the last
    policy_target: Float32[np.ndarray, "T L"]  # the search's policy, before temperature
    action: Int32[np.ndarray, " T"]  # the move played
    to_play: Int32[np.ndarray, " T"]  # the player who made it
    version: Int32[np.ndarray, " T"]  # the network that searched

    def __len__(self) -> int:
        return len(self.action)

    @property
    def games(self) -> int:
        """Games in the record."""
        return 1

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name, as a shard stores them."""
        return {entry.name: np.asarray(getattr(self, entry.name)) for entry in fields(self)}


@dataclass(frozen=True)
class GameRecord(SearchedMoves):
    """The facts of one game of P players: enough to play it again, and to make any target for learning.

    Rewards and values are in units of `Game.utility_scale`, and column p is player p's, whoever is to move. Rewards are
    as they were paid, without discount. A root value is the return that the search expected from its position on,
    discounted by `search.discount` for every move. Targets are mixed in float64, so that is what is kept.
    """

    reward: Float64[np.ndarray, "T P"]  # what the move paid, and the chance outcomes that followed it
    root_value: Float64[np.ndarray, "T P"]  # what the search expected before the move
    surprise: Float64[np.ndarray, " T"]  # divergence of the search's policy from the network's, nats
    is_chosen: Bool[np.ndarray, " T"]  # by lot, for a full search (`actors.full_search_share`); else its weight is 0
    learn: Bool[np.ndarray, " T"]  # whether the position may be learned from
    decided_at: int
    """Moves before it was as good as certain who would win (soft resignation), UNDECIDED where it never was."""
    ending: Ending
    judge_reward: Float64[np.ndarray, " P"]  # what the judge added where the game was JUDGED, else zeros
    opening: Int32[np.ndarray, " N"]  # moves and chance outcomes before the first position, in order
    chance: Int32[np.ndarray, " C"]  # chance outcomes after that, in order
    chance_count: Int32[np.ndarray, " T"]  # number of them that followed the move
    # The position after the last move, where a player would have gone on: one row, or none of a game that is OVER.
    final_observation: UInt8[np.ndarray, "F *observation"] | Float32[np.ndarray, "F *observation"]
    final_to_play: Int32[np.ndarray, " F"]
    final_legal_actions: Int32[np.ndarray, " M"]  # the legal actions of that one position; M is 0 without it
    # Whose each cell was at the end: 1 player 0's, -1 player 1's. No rows where nobody says, and in a game CUT_OFF.
    final_labels: Int8[np.ndarray, "labelled_rows columns"]
    final_score: Float64[np.ndarray, " S"]  # by how much player 0 was ahead then: one number or none, likewise
    # What the numbers of actions stood for in each position; A and D are 0 where they always mean the same.
    sampled_actions: Float32[np.ndarray, "T sampled D"]

    @property
    def is_full(self) -> Bool[np.ndarray, " T"]:
        """Whether the move had a full search: it was chosen for one, and the game was not decided before."""
        if self.decided_at == UNDECIDED:
            return self.is_chosen
        return self.is_chosen & (np.arange(len(self)) < self.decided_at)

    def history(self) -> list[list[int]]:
        """The game from its start: the opening, then T lists of a move and the chance outcomes that followed it."""
        chance = np.split(self.chance, np.cumsum(self.chance_count)[:-1])
        turns = [[int(action), *outcomes.tolist()] for action, outcomes in zip(self.action, chance, strict=True)]
        return [self.opening.tolist(), *turns]

    def leave_out_older(self, version: int) -> tuple[GameRecord, int]:
        """See `algorithm.Record.leave_out_older`."""
        stale = self.learn & (self.version < version)
        return replace(self, learn=self.learn & ~stale), int((stale & self.is_chosen).sum())


@dataclass(frozen=True)
class TargetRecord(SearchedMoves):
    """A game as shards of format 1 have it: with targets and weights that were made when it was played.

    V numbers a value, as the network sees it (`search.perspective`).
    """

    value_target: Float32[np.ndarray, "T V"]
    outcome: Float32[np.ndarray, "T V"]  # what the game paid from here on, discounted
    root_value: Float32[np.ndarray, "T V"]  # what the search expected
    weight: Float32[np.ndarray, " T"]  # how often the position is learned from, on average; 0 leaves it out


def from_arrays(row: Mapping[str, Any]) -> GameRecord | TargetRecord:
    """The record that a shard stores as `row`. Raises ValueError where arrays are missing or do not fit each other."""
    values = dict(row)
    kind: type[GameRecord] | type[TargetRecord] = TargetRecord if "value_target" in values else GameRecord
    if kind is TargetRecord:  # before positions had weights, all of them counted once
        values.setdefault("weight", np.ones(np.shape(values["value_target"])[:1], np.float32))
    elif "is_full" in values:  # the name that the lot had at first
        values.setdefault("is_chosen", values["is_full"])
    if kind is GameRecord:  # before games had labels
        values.setdefault("final_labels", np.zeros((0, 0), np.int8))
        values.setdefault("final_score", np.zeros(0))
        if "sampled_actions" not in values:  # before there were real-valued actions
            values["sampled_actions"] = no_sampled_actions(len(np.atleast_1d(values.get("action", 0))))
    names = {entry.name for entry in fields(kind)}
    if missing := names - values.keys():
        raise ValueError(f"a game has no field {min(missing)!r}")
    lengths = {len(np.atleast_1d(values[name])) for name in names.difference(OF_THE_GAME)}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(f"a game has fields of {sorted(lengths)} moves")
    _check_arrays(kind, values)
    if kind is GameRecord:
        if values["chance_count"].min() < 0 or values["chance_count"].sum() != len(values["chance"]):
            raise ValueError("a game has not as many chance outcomes as it says")
        values |= {"decided_at": int(values["decided_at"]), "ending": Ending(int(values["ending"]))}
    return kind(**{name: values[name] for name in names})


def no_sampled_actions(length: int) -> Float32[np.ndarray, "T sampled D"]:
    """`GameRecord.sampled_actions` of a game whose numbers of actions always mean the same."""
    return np.zeros((length, 0, 0), np.float32)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    """The types of the arrays of a record, by name; `decided_at` and `ending` are whole numbers on disk."""
    whole_number = Integer[np.ndarray, ""]
    return {
        name: whole_number if name in ("decided_at", "ending") else hint for name, hint in get_type_hints(kind).items()
    }


def _check_arrays(kind: type, values: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError for an array whose type or shape is not what its field says."""
    with jaxtyped("context"):  # letters stand for the same lengths in all fields
        for name, hint in _hints(kind).items():
            if not isinstance(values[name], hint):
                raise ValueError(f"a game has a field {name!r} of {values[name].dtype} {values[name].shape}")


def rows_for_a_shard(records: Sequence[GameRecord]) -> list[dict[str, np.ndarray]]:
    """The arrays of some games, as wide and of the same types in all of them."""
    width = max(record.legal_actions.shape[1] for record in records)
    exact = all(record.observation.dtype == np.uint8 for record in records)
    rows = []
    for record in records:
        row = record.arrays()
        row |= {name: widen(row[name], width, fill) for name, fill in PADDING.items()}
        if not exact:
            row |= {name: row[name].astype(np.float32) for name in ("observation", "final_observation")}
        rows.append(row)
    return rows


def compact_observations(observations: np.ndarray) -> np.ndarray:
    """Float observations as uint8 where nothing is lost, a quarter of the memory; those of bytes as they are."""
    if observations.dtype == np.uint8:
        return observations
    with np.errstate(invalid="ignore"):  # what no byte holds shows in the comparison
        small = observations.astype(np.uint8)
    return small if np.array_equal(small, observations) else observations


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
