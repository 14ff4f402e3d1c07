"""Numbers in a stored game that no game of its rules could have given.

In the flow: games on disk pass through `record_of_game` before they are learned from or shown. A file may be what was
written, by its hash, and yet hold wrong numbers: memory can fail before the hash is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from games import Game
from games.soundness import array_fault, is_finite
from search.perspective import num_values
from selfplay.experience.records import NO_ACTION, UNDECIDED, Ending, GameRecord, TargetRecord, from_arrays

TOLERANCE = 1e-3
"""Largest difference from 1 of the sum of a policy, and of the mean weight of a game's positions above 1."""


def record_of_game(row: Mapping[str, Any], *games: Game) -> GameRecord | TargetRecord:
    """The record that a shard of one of `games` stores as `row`.

    Raises ValueError, one line, where arrays are missing or do not fit each other (`from_arrays`), and for numbers that
    the game cannot have given.
    """
    record = from_arrays(row)
    if fault := fault_of(record, game_of(record.observation, games)):
        raise ValueError(f"of another game, or with wrong numbers: {fault}")
    return record


def game_of(observation: Shaped[np.ndarray, "T *observation"], games: Sequence[Game]) -> Game:
    """The one of `games` that observations are of, by their shape; the first where they are of none."""
    return next((game for game in games if game.observation_shape == observation.shape[1:]), games[0])


def fault_of(record: GameRecord | TargetRecord, game: Game) -> str:
    """The first number of a record that a game of these rules could not have given; empty where there is none."""
    return next(filter(None, _faults(record, game)), "")


def _faults(record: GameRecord | TargetRecord, game: Game) -> Iterator[str]:
    """A text for each thing that is looked at, empty where it is sound; what is behind the first fault may not hold."""
    length = len(record)
    yield array_fault("observation", record.observation, (length, *game.observation_shape), np.float32)
    yield _outside("legal_actions", record.legal_actions, NO_ACTION, game.num_actions - 1)
    yield from _policy_faults(record)
    yield _outside("to_play", record.to_play, 0, game.num_players - 1)
    yield _outside("version", record.version, 0)
    if isinstance(record, TargetRecord):
        yield from _target_faults(record, num_values(game))
    else:
        yield from _fact_faults(record, game)


def _policy_faults(record: GameRecord | TargetRecord) -> Iterator[str]:
    legal, target = record.legal_actions, record.policy_target
    is_legal = legal != NO_ACTION
    ordered = np.sort(legal, axis=1)
    is_list = is_legal[:, 0] & (is_legal[:, 1:] <= is_legal[:, :-1]).all(axis=1)
    is_list &= ((np.diff(ordered, axis=1) > 0) | (ordered[:, 1:] == NO_ACTION)).all(axis=1)
    for t in _where(~is_list):
        yield f"legal_actions[{t}] is no list of different actions"
    for t in _where(~(legal == record.action[:, None]).any(axis=1)):
        yield f"action[{t}] is {record.action[t]}, which is not among its legal actions"
    yield array_fault("policy_target", target, legal.shape, np.float32)
    for t in _where((target < 0).any(axis=1) | (target * ~is_legal).any(axis=1)):
        yield f"policy_target[{t}] is {_shown(target[t])}, which is no distribution over its legal actions"
    total = target.sum(axis=1, dtype=np.float64)
    for t in _where(np.abs(total - 1.0) > TOLERANCE):
        yield f"policy_target[{t}] sums to {total[t]:.6g}, not 1"


def _target_faults(record: TargetRecord, num_values: int) -> Iterator[str]:
    length = len(record)
    for name in ("value_target", "outcome", "root_value"):
        yield array_fault(name, getattr(record, name), (length, num_values), np.float32)
    yield array_fault("weight", record.weight, (length,), np.float32)
    for t in _where(record.weight < 0):
        yield f"weight[{t}] is {record.weight[t]:g}"
    mean = record.weight.mean(dtype=np.float64)
    if mean > 1.0 + TOLERANCE:
        yield f"weight is {mean:g} on average, at most 1 is possible"


def _fact_faults(record: GameRecord, game: Game) -> Iterator[str]:
    length, players, num_rows = len(record), game.num_players, len(record.final_to_play)
    yield array_fault("reward", record.reward, (length, players))
    yield array_fault("root_value", record.root_value, (length, players))
    yield array_fault("judge_reward", record.judge_reward, (players,))
    largest = np.abs(record.reward).sum(axis=0) + np.abs(record.judge_reward) + np.abs(record.root_value).max(axis=0)
    if not is_finite(largest):
        yield "reward adds up to more than can be stored"
    yield array_fault("surprise", record.surprise, (length,))
    yield array_fault("sampled_actions", record.sampled_actions, (length, *game.sampled_shape), np.float32)
    if game.action_low is not None and game.action_high is not None:
        outside = np.abs(record.sampled_actions - record.sampled_actions.clip(game.action_low, game.action_high)) > 0
        for t in _where(outside.any(axis=(1, 2))):
            yield f"sampled_actions[{t}] has {_shown(record.sampled_actions[t][outside[t]])}, outside the bounds"
    if record.decided_at != UNDECIDED:
        yield _outside("decided_at", np.array(record.decided_at), 0, length)
    yield _outside("opening", record.opening, 0)
    yield _outside("chance", record.chance, 0)
    if num_rows != int(record.ending != Ending.OVER):
        yield f"final_to_play has {num_rows} rows in a game that is {record.ending.name}"
    yield array_fault("final_observation", record.final_observation, (num_rows, *game.observation_shape), np.float32)
    yield _outside("final_to_play", record.final_to_play, 0, players - 1)
    yield _outside("final_legal_actions", record.final_legal_actions, 0, game.num_actions - 1)
    if (len(record.final_legal_actions) > 0) != (num_rows > 0):
        yield f"final_legal_actions are {len(record.final_legal_actions)} in a game that is {record.ending.name}"
    if len(record.final_labels):
        if record.final_labels.shape != game.final_label_shape:
            yield f"final_labels are {list(record.final_labels.shape)}, not {list(game.final_label_shape or ())}"
        yield _outside("final_labels", record.final_labels, -1, 1)
    if len(record.final_score):
        yield array_fault("final_score", record.final_score, (1,))
        if abs(record.final_score[0]) > game.largest_score:
            yield f"final_score is {record.final_score[0]:g}, the largest possible is {game.largest_score:g}"


def _outside(name: str, array: np.ndarray, least: int, most: int | None = None) -> str:
    """The first of some whole numbers that is not from `least` to `most` (None: to any); empty where all are."""
    wrong = array < least if most is None else (array < least) | (array > most)
    if not wrong.any():
        return ""
    place = [int(i) for i in np.argwhere(wrong)[0]]
    allowed = f"{least} or more" if most is None else f"{least} to {most}"
    return f"{name}{place or ''} is {array[tuple(place)]}, not {allowed}"


def _where(wrong: np.ndarray) -> Sequence[int]:
    return np.flatnonzero(wrong)[:1].tolist()  # type: ignore[no-any-return]


def _shown(row: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in row[:8]) + (" ..." if len(row) > 8 else "")
