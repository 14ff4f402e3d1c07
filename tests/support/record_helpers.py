"""Records of games that were never played, and a look into the replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from games import Game
from selfplay.experience.records import NO_ACTION, UNDECIDED, Ending, GameRecord, no_sampled_actions
from selfplay.replay.positions import PositionReplay


def facts(length: int, players: int = 2, **given: Any) -> GameRecord:
    """A game of `length` moves that was searched in full and paid nothing, but for what is `given`."""
    zeros, nothing = np.zeros(length, np.int32), np.zeros(0, np.int32)
    values: dict[str, Any] = {
        "observation": np.zeros((length, 1), np.uint8),
        "legal_actions": zeros[:, None],
        "policy_target": np.ones((length, 1), np.float32),
        "action": zeros,
        "to_play": zeros,
        "version": zeros,
        "reward": np.zeros((length, players)),
        "root_value": np.zeros((length, players)),
        "surprise": np.zeros(length),
        "is_chosen": np.ones(length, np.bool_),
        "learn": np.ones(length, np.bool_),
        "decided_at": UNDECIDED,
        "ending": Ending.OVER,
        "judge_reward": np.zeros(players),
        "opening": nothing,
        "chance": nothing,
        "chance_count": zeros,
        "final_observation": np.zeros((0, 1), np.uint8),
        "final_to_play": nothing,
        "final_legal_actions": nothing,
        "final_labels": np.zeros((0, 0), np.int8),
        "final_score": np.zeros(0),
        "sampled_actions": no_sampled_actions(length),
    }
    return GameRecord(**{**values, **given})


def kept_rows(replay: PositionReplay) -> dict[str, np.ndarray]:
    """What the replay knows of the position of each of its rows, the oldest row first."""
    numbers = np.arange(replay.total - len(replay), replay.total)
    places = replay._index[numbers % replay.config.capacity] % replay._room
    return {name: column[places] for name, column in replay._columns.items()}


def row_of(batch: Any, i: int) -> Any:
    """One sample of a batch as a batch of its own."""
    parts = {}
    for field in dataclasses.fields(batch):
        part = getattr(batch, field.name)
        is_batch = dataclasses.is_dataclass(part)
        parts[field.name] = row_of(part, i) if is_batch else part if part is None else part[i : i + 1]
    return type(batch)(**parts)


def played_game(game: Game, actions: Sequence[int], policies: Sequence[np.ndarray], **given: Any) -> GameRecord:
    """A game without chance as the rules show it, with policies [A] that are made up. Version t is that of move t."""
    pool, at, length = game.new_pool(1), np.zeros(1, np.int64), len(actions)
    pool.reset(at)
    seen = np.zeros((length, *game.observation_shape), np.float32)
    legal = np.full((length, game.num_actions), NO_ACTION, np.int32)
    shares = np.zeros((length, game.num_actions), np.float32)
    movers, paid = [], np.zeros((length, game.num_players))
    for t, action in enumerate(actions):
        movers.append(int(pool.to_play(at)[0]))
        pool.observe(at, seen[t : t + 1])
        possible = pool.legal(at)[1].copy()
        legal[t, : len(possible)] = possible
        shares[t, : len(possible)] = policies[t][possible] / policies[t][possible].sum()
        paid[t] = pool.step(at, np.array([action]), at)[1][0]
    values: dict[str, Any] = {
        "observation": seen,
        "legal_actions": legal,
        "policy_target": shares,
        "action": np.array(actions, np.int32),
        "to_play": np.array(movers, np.int32),
        "version": np.arange(length, dtype=np.int32),
        "reward": paid,
        "final_observation": np.zeros((0, *game.observation_shape), np.float32),
    }
    return facts(length, game.num_players, **{**values, **given})
