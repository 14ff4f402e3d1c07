"""What MuZero learns from K moves in a row: inputs and targets of an unroll, from the facts of the games.

In the flow: the replay samples positions with what was played from them on, and the learner asks here for the targets.
Pure functions of arrays; nothing that is learned from is stored.

Depth k of an unroll is the position after k moves, 0 the sampled one. Three rules say what is behind the end of a game
(Schrittwieser et al. 2020, appendix G: "absorbing states"):

* a game that only has a result: the value stays the result, as the player sees it whose turn it would be, for the
  players take turns there;
* a game with rewards: value and reward are 0;
* a game that was cut off: nothing is known, so nothing is learned.

Moves behind the end are drawn at random, and no policy is learned there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from search.perspective import seen_after
from selfplay.replay.positions import Batch, Following


@dataclass(frozen=True)
class Bootstrap:
    """What is still missing in value targets that are n-step returns: values that the learner has to ask for.

    The value target of depth k is `value_target[:, k] + factor[:, k] * v`, where v is the value of the position in
    `observation[:, k]`, for the player who moves at depth k: entry j of v is entry `(j - turns[:, k]) % V` of what the
    network says. With V = 1 and two players, it is the network's value less than zero if `turns` is odd.
    """

    observation: Float32[np.ndarray, "B depths *observation"]  # K + 1 of them
    factor: Float32[np.ndarray, "B depths"]  # 0 where nothing is missing
    turns: Int64[np.ndarray, "B depths"]  # seats from the player who moves at depth k to the one who moves there


@dataclass(frozen=True)
class UnrolledBatch:
    """B sampled positions with K moves each."""

    observation: Float32[np.ndarray, "B *observation"]
    action: Int64[np.ndarray, "B K"] | Float32[np.ndarray, "B K D"]  # by number, or of D real numbers
    policy_target: Float32[np.ndarray, "B K+1 A"]
    policy_mask: Bool[np.ndarray, "B K+1"]
    value_target: Float32[np.ndarray, "B K+1 V"]
    value_mask: Bool[np.ndarray, "B K+1"]
    reward_target: Float32[np.ndarray, "B K V"]  # of the move that leads to depth k + 1
    reward_mask: Bool[np.ndarray, "B K"]
    turns: Int64[np.ndarray, "B K"]  # seats from the player who moved to the next one; 1 behind the end of a game
    turns_mask: Bool[np.ndarray, "B K"]
    exists: Bool[np.ndarray, "B K"]  # a player was to move at depth k + 1
    legal_mask: Bool[np.ndarray, "B K+1 A"]
    following: Float32[np.ndarray, "B K *observation"]  # observations of depth 1 to K, zeros where there is none
    version: Int64[np.ndarray, " B"]  # the network that searched the sampled position
    bootstrap: Bootstrap | None = None
    weight: Float32[np.ndarray, " B"] | None = None
    """As `Batch.weight`."""
    sampled_actions: Float32[np.ndarray, "B K+1 A D"] | None = None
    """What the numbers of real actions stand for at each depth, zeros where there is no position; None without them."""

    def __len__(self) -> int:
        return len(self.action)


def unrolled(
    batch: Batch,
    steps: int,
    num_players: int,
    has_rewards: bool,
    td_steps: int,
    discount: float,
    rng: np.random.Generator,
) -> UnrolledBatch:
    """The unroll of a batch.

    Args:
        batch: positions, with what follows them for `steps` + `td_steps` moves at least.
        steps: K.
        num_players: P.
        has_rewards: whether the game pays on the way; see the rules above.
        td_steps: n of n-step returns of games with rewards. With 0 value targets are those of the batch.
        discount: of a reward that comes a move later.
        rng: draws the moves behind the end.
    """
    following = batch.following
    assert following is not None
    is_bootstrapped = has_rewards and td_steps > 0
    moved, exists, is_over = (part[:, :steps] for part in (following.moved, following.exists, following.is_over))
    is_position = np.concatenate([np.ones((len(batch), 1), np.bool_), exists], axis=1)
    value_target = np.concatenate([batch.value_target[:, None], following.value_target[:, :steps]], axis=1)
    value_mask = np.concatenate([np.ones((len(batch), 1), np.bool_), exists | is_over], axis=1)
    bootstrap = None
    if is_bootstrapped:
        value_target, value_mask, bootstrap = _n_step(batch, following, steps, num_players, td_steps, discount)
    elif not has_rewards:
        _keep_results(value_target, following, steps, num_players)
    num_actions = batch.policy_target.shape[1]
    random = rng.integers(0, num_actions, size=moved.shape)
    to_play = np.concatenate([batch.to_play[:, None], following.to_play[:, :steps]], axis=1)
    return UnrolledBatch(
        observation=batch.observation,
        action=np.where(moved, following.action[:, :steps], random),
        policy_target=np.concatenate([batch.policy_target[:, None], following.policy_target[:, :steps]], axis=1),
        policy_mask=is_position
        & np.concatenate([np.ones((len(batch), 1), np.bool_), following.is_learned[:, :steps]], axis=1),
        value_target=value_target,
        value_mask=value_mask,
        reward_target=following.reward[:, :steps],
        reward_mask=moved | is_over,
        turns=np.where(exists, to_play[:, 1:] - to_play[:, :-1], 1) % num_players,
        turns_mask=exists | is_over,
        exists=exists,
        legal_mask=np.concatenate([batch.legal_mask[:, None], following.legal_mask[:, :steps]], axis=1),
        following=following.observation[:, :steps].astype(np.float32),
        version=batch.version,
        bootstrap=bootstrap,
        weight=batch.weight,
    )


def _keep_results(value_target: np.ndarray, following: Following, steps: int, num_players: int) -> None:
    """Fill the value targets [B, K+1, V] behind the end with the result, in place."""
    result = np.zeros_like(value_target[:, 0])
    for k in range(steps):
        is_last = following.moved[:, k] & ~following.exists[:, k]
        result[is_last] = following.reward[is_last, k]
        result = seen_after(result, 1, num_players)  # the move was that of the player before
        behind = following.is_over[:, k] & ~following.exists[:, k]
        value_target[behind, k + 1] = result[behind]


def _n_step(
    batch: Batch, following: Following, steps: int, num_players: int, td_steps: int, discount: float
) -> tuple[np.ndarray, np.ndarray, Bootstrap]:
    """Returns over n moves without the value behind them [B, K+1, V], which of them are known, and what is missing.

    Where the game ends before, the return is all that was paid. Where it was cut off before, the value of the last
    position stands behind; that position itself has no target.
    """
    depths = steps + td_steps
    assert following.action.shape[1] >= depths
    size = len(batch)
    to_play = np.concatenate([batch.to_play[:, None], following.to_play[:, :depths]], axis=1)
    exists = np.concatenate([np.ones((size, 1), np.bool_), following.exists[:, :depths]], axis=1)
    is_over = following.is_over[:, :depths].any(axis=1, keepdims=True)  # an end by the rules lies within these moves
    last = exists.sum(axis=1, keepdims=True) - 1  # depth of the last position within these moves
    ends = depths > last  # there is none behind it: the game ended, or was cut off
    depth, begins = np.arange(steps + 1), to_play[:, : steps + 1]
    # Moves that are counted: up to n, no further than the end, or than the last position of a game cut off.
    end = np.minimum(depth + td_steps, np.where(ends, last + is_over, depths))
    move = depth[:, None] + np.arange(td_steps)
    paid = seen_after(following.reward[:, move], begins[..., None] - to_play[:, move], num_players)
    discounts = np.array([discount**i for i in range(td_steps)], np.float32)
    counted = np.where((move < end[..., None])[..., None], discounts[:, None] * paid, np.float32(0))
    target = np.cumsum(counted, axis=2, dtype=np.float64)[:, :, -1]
    goes_on = ~(ends & is_over & (end > last)) & (end > depth)
    at = np.where(goes_on, end, 0)
    factor = np.where(goes_on, discount ** np.maximum(end - depth, 0), 0.0).astype(np.float32)
    turns = np.where(goes_on, (np.take_along_axis(to_play, at, axis=1) - begins) % num_players, 0)
    behind = ~exists[:, : steps + 1]
    target[behind], factor[behind] = 0.0, 0.0
    mask = np.where(behind, is_over, ~(ends & ~is_over & (last == depth)))
    observation = following.observation[np.arange(size)[:, None], np.maximum(at, 1) - 1].astype(np.float32)
    nothing_missing, where = np.nonzero(at == 0)
    observation[nothing_missing, where] = batch.observation[nothing_missing]
    return target.astype(np.float32), mask, Bootstrap(observation, factor, turns)
