"""What is learned from real-valued actions: the numbers that were played, by hand, through replay and unroll."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from record_helpers import facts

from selfplay.config.run import ReplayConfig
from selfplay.experience.records import Ending, GameRecord
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import PositionReplay
from selfplay.replay.real_actions import with_real_actions
from selfplay.replay.unroll import UnrolledBatch, unrolled

LOW, HIGH = np.float32([-1.0, 10.0]), np.float32([1.0, 20.0])
SHAPE = (3, 2)


def game_of(length: int, number: int, **given: Any) -> GameRecord:
    """Position t of game g is number n = 10 g + t; its action k is [t / 10, 10 + n / 10 + k / 100]; move t is t % 3."""
    numbers = 10 * number + np.arange(length)
    sampled = np.zeros((length, *SHAPE), np.float32)
    sampled[:, :, 0] = np.arange(length)[:, None] / 10
    sampled[:, :, 1] = 10 + numbers[:, None] / 10 + np.arange(3) / 100
    values: dict[str, Any] = {
        "observation": numbers.astype(np.float32)[:, None] + 0.5,
        "legal_actions": np.tile(np.arange(3, dtype=np.int32), (length, 1)),
        "policy_target": np.tile(np.float32([0.5, 0.25, 0.25]), (length, 1)),
        "action": (np.arange(length) % 3).astype(np.int32),
        "version": numbers.astype(np.int32),
        "final_observation": np.zeros((0, 1), np.float32),
        "sampled_actions": sampled,
    }
    return facts(length, 1, **{**values, **given})


def unroll(steps: int, td_steps: int, *records: GameRecord, size: int = 400) -> UnrolledBatch:
    replay = PositionReplay(ReplayConfig(), 3, [], TargetSettings(1, 0.9, td_steps))
    for record in records:
        replay.add(record)
    batch = replay.sample(size, np.random.default_rng(0), steps + td_steps)
    sample = unrolled(batch, steps, 1, True, td_steps, 0.9, np.random.default_rng(1))
    return with_real_actions(sample, batch, LOW, HIGH, np.random.default_rng(2))


@pytest.mark.parametrize("td_steps", [0, 2])
def test_the_actions_are_those_that_were_played_from_the_sampled_position_on(td_steps: int) -> None:
    final = {
        "final_observation": np.zeros((1, 1), np.float32),
        "final_to_play": np.zeros(1, np.int32),
        "final_legal_actions": np.arange(3, dtype=np.int32),
    }
    records = game_of(5, 0), game_of(4, 3, ending=Ending.CUT_OFF, **final)
    found = unroll(3, td_steps, *records)
    assert found.action.shape == (400, 3, 2) and found.action.dtype == np.float32
    assert found.sampled_actions is not None and found.sampled_actions.shape == (400, 4, 3, 2)
    lengths, drawn = {0: 5, 3: 4}, []
    for i, version in enumerate(found.version.tolist()):
        game, t = divmod(version, 10)
        for k in range(4):
            exists = t + k < lengths[game]
            expected = records[game > 0].sampled_actions[t + k] if exists else np.zeros(SHAPE)
            np.testing.assert_array_equal(found.sampled_actions[i, k], expected)
            if k < 3 and exists:
                np.testing.assert_array_equal(found.action[i, k], expected[(t + k) % 3])
            elif k < 3:
                drawn.append(found.action[i, k])
    behind = np.array(drawn)
    assert (behind >= LOW).all() and (behind <= HIGH).all() and len(np.unique(behind[:, 0])) == len(behind)
    np.testing.assert_allclose(behind.mean(axis=0), [0.0, 15.0], atol=0.4)
    np.testing.assert_allclose(behind.std(axis=0), [2 / 12**0.5, 10 / 12**0.5], rtol=0.1)


def test_a_ring_that_turns_over_keeps_actions_beside_their_positions() -> None:
    replay = PositionReplay(ReplayConfig(capacity=12), 3, [], TargetSettings(1))
    for number in range(40):
        replay.add(game_of(5, number))
        batch = replay.sample(30, np.random.default_rng(number), 2)
        assert batch.sampled_actions is not None
        numbers = np.float32(batch.version[:, None] / 10 + 10) + np.arange(3) / 100
        np.testing.assert_allclose(batch.sampled_actions[:, :, 1], numbers, rtol=1e-6)
