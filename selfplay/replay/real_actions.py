"""Real-valued actions in the unroll of a batch (Sampled MuZero, Hubert et al. 2021).

In the flow: after `selfplay.replay.unroll`, which knows the numbers of actions alone. The learner is given what they
stood for in each game.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from selfplay.replay.positions import Batch
from selfplay.replay.unroll import UnrolledBatch


def with_real_actions(
    sample: UnrolledBatch,
    batch: Batch,
    low: Float32[np.ndarray, " D"],
    high: Float32[np.ndarray, " D"],
    rng: np.random.Generator,
) -> UnrolledBatch:
    """The unroll of `batch` with real actions [B, K, D] in the place of their numbers, and those that were sampled at
    each depth. Actions behind the end of a game are drawn uniformly from `low` to `high`."""
    following, sampled = batch.following, batch.sampled_actions
    assert following is not None and sampled is not None
    steps = sample.action.shape[1]
    at_depths = np.concatenate([sampled[:, None], following.sampled_actions[:, :steps]], axis=1)
    numbers = np.maximum(following.action[:, :steps], 0)[:, :, None, None]
    played = np.take_along_axis(at_depths[:, :steps], numbers, axis=2)[:, :, 0]
    drawn = rng.uniform(low, high, played.shape).astype(np.float32)
    action = np.where(following.moved[:, :steps, None], played, drawn)
    return replace(sample, action=action, sampled_actions=at_depths)
