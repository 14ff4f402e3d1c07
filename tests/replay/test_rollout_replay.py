"""Returns and advantages: against the sums of the textbook, written out; what the replay hands out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from selfplay.config.run import RewardsConfig
from selfplay.experience.rollouts import Rollout
from selfplay.replay.on_policy import RolloutReplay, generalised_advantages, monte_carlo_returns
from selfplay.replay.rewards import Rewards

GAMMA, LAMBDA = 0.9, 0.8


def make_rollout(steps: int, envs: int, seed: int, two_players: bool = False) -> Rollout:
    """Random rewards and values; episodes end, by themselves or cut off, about every fourth step."""
    rng = np.random.default_rng(seed)
    ended = rng.random((steps, envs)) < 0.25
    discount = np.where(rng.random((steps, envs)) < 0.3, -1.0 if two_players else 1.0, 1.0)
    discount[ended & (rng.random((steps, envs)) < 0.6)] = 0.0
    return Rollout(
        observation=rng.standard_normal((steps, envs, 3)).astype(np.float32),
        action=rng.integers(0, 2, (steps, envs)),
        reward=rng.standard_normal((steps, envs)).astype(np.float32),
        discount=discount.astype(np.float32),
        ended=ended,
        final_observation=rng.standard_normal((int(ended.sum()), 3)).astype(np.float32),
        legal_mask=None,
        final_legal_mask=None,
        value=rng.standard_normal((steps, envs)).astype(np.float32),
        next_value=rng.standard_normal((steps, envs)).astype(np.float32),
        log_probability=rng.standard_normal((steps, envs)).astype(np.float32),
        counted=np.ones((steps, envs), np.bool_),
        begins=True,
        version=0,
    )


def episode_rest(rollout: Rollout, t: int, env: int) -> range:
    """The steps from t to the end of the episode, or of the rollout."""
    last = t
    while not rollout.ended[last, env] and last + 1 < len(rollout.reward):
        last += 1
    return range(t, last + 1)


def advantage_by_sum(rollout: Rollout, gae_lambda: float, t: int, env: int) -> float:
    """`sum_l (gamma lambda)^l (d_t ... d_{t+l-1}) delta_{t+l}`, each delta with its own value of what follows."""
    total, weight = 0.0, 1.0
    for k in episode_rest(rollout, t, env):
        factor = GAMMA * float(rollout.discount[k, env])
        delta = (
            float(rollout.reward[k, env]) + factor * float(rollout.next_value[k, env]) - float(rollout.value[k, env])
        )
        total += weight * delta
        weight *= gae_lambda * factor
    return total


def return_by_sum(rollout: Rollout, t: int, env: int) -> float:
    """Rewards to the end of the episode, and the value of what follows a cut."""
    total, weight = 0.0, 1.0
    for k in episode_rest(rollout, t, env):
        total += weight * float(rollout.reward[k, env])
        weight *= GAMMA * float(rollout.discount[k, env])
    return total + weight * float(rollout.next_value[k, env]) * bool(rollout.ended[k, env])


@pytest.mark.parametrize("two_players", [False, True])
@pytest.mark.parametrize("gae_lambda", [0.0, LAMBDA, 1.0])
def test_generalised_advantages_are_the_sum_of_equation_16(two_players, gae_lambda):
    rollout = make_rollout(14, 5, 0, two_players)
    advantage, target = generalised_advantages(GAMMA, gae_lambda)(rollout, rollout.reward)
    expected = [[advantage_by_sum(rollout, gae_lambda, t, env) for env in range(5)] for t in range(14)]
    np.testing.assert_allclose(advantage, expected, atol=1e-5)
    np.testing.assert_allclose(target, advantage + rollout.value, atol=1e-5)


@pytest.mark.parametrize("two_players", [False, True])
def test_returns_to_go_are_the_rewards_that_follow(two_players):
    rollout = make_rollout(14, 5, 1, two_players)
    expected = [[return_by_sum(rollout, t, env) for env in range(5)] for t in range(14)]
    advantage, target = monte_carlo_returns(GAMMA, reward_to_go=True, baseline=False)(rollout, rollout.reward)
    np.testing.assert_allclose(advantage, expected, atol=1e-5)
    np.testing.assert_allclose(target, expected, atol=1e-5)
    advantage, _ = monte_carlo_returns(GAMMA, reward_to_go=True, baseline=True)(rollout, rollout.reward)
    np.testing.assert_allclose(advantage, expected - rollout.value, atol=1e-5)


def test_without_reward_to_go_every_step_counts_the_whole_return_of_its_player():
    rollout = make_rollout(14, 5, 2, two_players=True)
    advantage, target = monte_carlo_returns(GAMMA, reward_to_go=False, baseline=False)(rollout, rollout.reward)
    for env in range(5):
        start, sign = 0, 1.0
        for t in range(14):
            assert advantage[t, env] == pytest.approx(sign * target[start, env], abs=1e-5)
            sign = -sign if rollout.discount[t, env] < 0 else sign
            if rollout.ended[t, env]:
                start, sign = t + 1, 1.0


def test_a_pass_sees_every_step_once_and_in_another_order():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()))
    rollout = make_rollout(8, 4, 3)
    replay.add(rollout)
    rng = np.random.default_rng(0)
    passes = [np.concatenate([replay.sample(8, rng).observation for _ in range(4)]) for _ in range(2)]
    wanted = sorted(map(tuple, rollout.observation.reshape(-1, 3)))
    for seen in passes:
        assert sorted(map(tuple, seen)) == wanted
    assert not np.array_equal(*passes)


def test_size_zero_is_everything_in_the_order_of_time():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()))
    rollout = make_rollout(8, 4, 4)
    replay.add(rollout)
    batch = replay.sample(0, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.observation, rollout.observation.swapaxes(0, 1).reshape(-1, 3))
    np.testing.assert_array_equal(batch.action, rollout.action.T.ravel())


def test_new_rollouts_take_the_place_of_the_old_after_a_pass():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()))
    rng = np.random.default_rng(0)
    replay.add(make_rollout(4, 2, 5))
    replay.sample(4, rng)
    newer = make_rollout(4, 2, 6)
    replay.add(newer)
    replay.sample(4, rng)  # the rest of the first pass
    seen = np.concatenate([replay.sample(4, rng).observation for _ in range(2)])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, newer.observation.reshape(-1, 3)))
    assert replay.total == 16


def test_rollouts_are_passed_over_as_often_as_was_asked_before_newer_ones_come():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()), passes=2)
    rng = np.random.default_rng(0)
    older, newer = make_rollout(4, 2, 5), make_rollout(4, 2, 6)
    replay.add(older)
    seen = [replay.sample(8, rng).observation]
    replay.add(newer)
    seen += [replay.sample(8, rng).observation for _ in range(4)]
    assert [any((frame == newer.observation[0, 0]).all() for frame in batch) for batch in seen] == [0, 0, 1, 1, 1]


def test_no_step_is_left_alone():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()))
    rollout, rng = make_rollout(11, 3, 5), np.random.default_rng(0)
    replay.add(rollout)
    batches = [replay.sample(8, rng) for _ in range(4)]
    assert [len(batch) for batch in batches] == [8, 8, 8, 9]
    seen = np.concatenate([batch.observation for batch in batches])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, rollout.observation.reshape(-1, 3)))


def test_steps_after_the_one_episode_that_was_asked_for_are_left_out():
    rollout = make_rollout(6, 3, 7)
    counted = np.ones((6, 3), np.bool_)
    counted[2:, 0] = False
    rollout = dataclasses.replace(rollout, counted=counted)
    replay = RolloutReplay(monte_carlo_returns(GAMMA, True, True), Rewards(RewardsConfig()))
    replay.add(rollout)
    batch = replay.sample(0, np.random.default_rng(0))
    assert replay.total == len(batch) == 14
    np.testing.assert_array_equal(batch.observation[:2], rollout.observation[:2, 0])
    np.testing.assert_array_equal(batch.observation[2:8], rollout.observation[:, 1])


def test_an_empty_memory_has_nothing_to_sample():
    replay = RolloutReplay(generalised_advantages(GAMMA, LAMBDA), Rewards(RewardsConfig()))
    with pytest.raises(ValueError, match="nothing"):
        replay.sample(4, np.random.default_rng(0))
