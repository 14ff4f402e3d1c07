"""Returns over n moves, all depths of a batch at once, are those of the plain loops that they were at first."""

from __future__ import annotations

import numpy as np
import pytest
from test_unroll import ACTIONS, random_game

from search.perspective import seen_after
from selfplay.config.run import ReplayConfig
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import Batch, Following, PositionReplay
from selfplay.replay.unroll import Bootstrap, _n_step


def slow_n_step(
    batch: Batch, following: Following, steps: int, num_players: int, td_steps: int, discount: float
) -> tuple[np.ndarray, np.ndarray, Bootstrap]:
    """Returns over n moves without the value behind them [B, K+1, V], which of them are known, and what is missing.

    Where the game ends before, the return is all that was paid. Where it was cut off before, the value of the last
    position stands behind; that position itself has no target.
    """
    depths = steps + td_steps
    assert following.action.shape[1] >= depths
    size, num_values = len(batch), batch.value_target.shape[1]
    to_play = np.concatenate([batch.to_play[:, None], following.to_play[:, :depths]], axis=1)
    exists = np.concatenate([np.ones((size, 1), np.bool_), following.exists[:, :depths]], axis=1)
    is_over = following.is_over[:, :depths].any(axis=1)  # an end by the rules lies within these moves
    last = exists.sum(axis=1) - 1  # depth of the last position within these moves
    ends = exists.shape[1] - 1 > last  # there is none behind it: the game ended, or was cut off
    target = np.zeros((size, steps + 1, num_values), np.float64)
    factor = np.zeros((size, steps + 1), np.float32)
    turns = np.zeros((size, steps + 1), np.int64)
    mask = np.ones((size, steps + 1), np.bool_)
    at = np.zeros((size, steps + 1), np.int64)
    for k in range(steps + 1):
        begins = to_play[:, k]
        # Moves that are counted: up to n, no further than the end, or than the last position of a game cut off.
        end = np.minimum(k + td_steps, np.where(ends, last + is_over, depths))
        for i in range(td_steps):
            counted = k + i < end
            paid = seen_after(following.reward[:, k + i], begins - to_play[:, k + i], num_players)
            target[counted, k] += discount**i * paid[counted]
        goes_on = ~(ends & is_over & (end > last)) & (end > k)
        at[:, k] = np.where(goes_on, end, 0)
        factor[:, k] = np.where(goes_on, discount ** np.maximum(end - k, 0), 0.0)
        turns[:, k] = np.where(goes_on, (to_play[np.arange(size), at[:, k]] - begins) % num_players, 0)
        behind = ~exists[:, k]
        target[behind, k] = 0.0
        factor[behind, k] = 0.0
        mask[:, k] = np.where(behind, is_over, ~(ends & ~is_over & (last == k)))
    observation = following.observation[np.arange(size)[:, None], np.maximum(at, 1) - 1].astype(np.float32)
    nothing_missing, depth = np.nonzero(at == 0)
    observation[nothing_missing, depth] = batch.observation[nothing_missing]
    return target.astype(np.float32), mask, Bootstrap(observation, factor, turns)


@pytest.mark.parametrize("discount", [1.0, 0.997])
@pytest.mark.parametrize("players", [1, 2, 3])
def test_returns_of_all_depths_at_once_equal_the_loops_bit_for_bit(players: int, discount: float) -> None:
    rng, goes_on = np.random.default_rng(players), 0
    for case in range(12):
        steps, td_steps = int(rng.integers(1, 8)), int(rng.integers(1, 12))
        replay = PositionReplay(ReplayConfig(), ACTIONS, [], TargetSettings(1 if players < 3 else players))
        for number in range(6):
            replay.add(random_game(rng, number, players, True, doubles=case % 2 == 1))
        batch = replay.sample(33, rng, steps + td_steps)
        assert batch.following is not None
        given = batch, batch.following, steps, players, td_steps, discount
        (target, mask, bootstrap), (slow_target, slow_mask, slow_bootstrap) = _n_step(*given), slow_n_step(*given)
        found = {"target": target, "mask": mask, **vars(bootstrap)}
        expected = {"target": slow_target, "mask": slow_mask, **vars(slow_bootstrap)}
        for name, array in expected.items():
            assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
            assert found[name].tobytes() == array.tobytes(), name
        goes_on += int(np.count_nonzero(bootstrap.factor))
    assert goes_on > 100, "some returns end in a value"
