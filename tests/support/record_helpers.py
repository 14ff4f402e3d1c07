"""Records of games that were never played, and a look into the replay."""

from __future__ import annotations

from typing import Any

import numpy as np

from selfplay.experience.records import UNDECIDED, Ending, GameRecord
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
    }
    return GameRecord(**{**values, **given})


def kept_rows(replay: PositionReplay) -> dict[str, np.ndarray]:
    """What the replay knows of the position of each of its rows, the oldest row first."""
    numbers = np.arange(replay.total - len(replay), replay.total)
    places = replay._index[numbers % replay.config.capacity] % replay._room
    return {name: column[places] for name, column in replay._columns.items()}
