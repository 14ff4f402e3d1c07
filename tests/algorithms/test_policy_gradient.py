"""REINFORCE's estimator is the gradient of the expected return: by enumeration against finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from nets.models import build
from selfplay.algorithms.actor_critic import make_loss
from selfplay.config.run import ActorCriticConfig, Config, LearnerConfig, NetConfig, RewardsConfig
from selfplay.experience.rollouts import Rollout
from selfplay.replay.on_policy import RolloutReplay, monte_carlo_returns
from selfplay.replay.rewards import Rewards

GAMMA = 0.9
NET = NetConfig(kind="mlp", layers=0, value_hidden=0, batch_norm=False, policy="categorical", value_transform="linear")
REWARDS = {(0, 0): (1.0, -2.0), (0, 1): (1.0, 3.0), (1, 0): (0.5, 0.0), (1, 1): (0.5, 4.0)}
"""Two steps with two actions each: what both pay."""
STATES = np.eye(3, dtype=np.float32)
"""The start, and where the first action leads."""


def probabilities(net: torch.nn.Module) -> np.ndarray:
    """[3, 2] of both actions in each state."""
    with torch.no_grad():
        return torch.softmax(net(torch.from_numpy(STATES))[0].double(), dim=1).numpy()


def expected_return(net: torch.nn.Module) -> float:
    """`sum over trajectories of p (r_1 + gamma r_2)`, exactly."""
    chance = probabilities(net)
    return sum(chance[0, a] * chance[1 + a, b] * (r + GAMMA * s) for (a, b), (r, s) in REWARDS.items())


def trajectory(first: int, second: int, value: np.ndarray) -> Rollout:
    """The episode of two actions, with what the network expected."""
    r, s = REWARDS[first, second]
    return Rollout(
        observation=STATES[[0, 1 + first]][:, None],
        action=np.array([[first], [second]]),
        reward=np.array([[r], [s]], np.float32),
        discount=np.array([[1], [0]], np.float32),
        ended=np.array([[False], [True]]),
        final_observation=STATES[:1],
        legal_mask=None,
        final_legal_mask=None,
        value=value[[0, 1 + first]][:, None],
        next_value=np.zeros((2, 1), np.float32),
        log_probability=np.zeros((2, 1), np.float32),
        counted=np.ones((2, 1), np.bool_),
        begins=True,
        version=0,
    )


def make_config(baseline: bool) -> Config:
    settings = ActorCriticConfig(baseline=baseline)
    return Config(algorithm="reinforce", net=NET, learner=LearnerConfig(value_weight=0.0), actor_critic=settings)


@pytest.mark.parametrize("baseline", [False, True])
@pytest.mark.parametrize("reward_to_go", [False, True])
def test_the_mean_of_the_estimator_over_all_trajectories_is_the_gradient(baseline, reward_to_go):
    net = build(NET, (3,), 2, 1, seed=3)
    with torch.no_grad():
        net.policy_head.weight.normal_(generator=torch.Generator().manual_seed(0))
        value = net(torch.from_numpy(STATES))[1][:, 0].numpy()
    chance = probabilities(net)
    loss = make_loss(make_config(baseline), NET, "mlp", sums_episodes=True)
    estimate = torch.zeros_like(net.policy_head.weight)
    for first, second in itertools.product(range(2), repeat=2):
        replay = RolloutReplay(monte_carlo_returns(GAMMA, reward_to_go, baseline), Rewards(RewardsConfig()))
        replay.add(trajectory(first, second, value))
        net.zero_grad()
        loss(net, replay.sample(0, np.random.default_rng(0)), torch.device("cpu")).total.backward()
        estimate += chance[0, first] * chance[1 + first, second] * net.policy_head.weight.grad
    # With the return to go of step t, that counts gamma^t less than the return of the episode: the estimator leaves the
    # factor out, as everybody does, and so is exact where gamma is 1. Here the second step is put right by hand.
    if reward_to_go:
        estimate[:, 1:] *= GAMMA
    exact = torch.zeros_like(estimate)
    for i, j in itertools.product(*map(range, exact.shape)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                net.policy_head.weight[i, j] += sign * 1e-3
                ends.append(expected_return(net))
                net.policy_head.weight[i, j] -= sign * 1e-3
        exact[i, j] = (ends[0] - ends[1]) / 2e-3
    torch.testing.assert_close(-estimate, exact, atol=2e-4, rtol=1e-3)


def test_a_baseline_takes_variance_away():
    net = build(NET, (3,), 2, 1, seed=3)
    chance = probabilities(net)
    spread = {}
    for baseline in (False, True):
        # The true values, which a trained baseline comes near to.
        second = np.array([sum(chance[1 + a, b] * REWARDS[a, b][1] for b in range(2)) for a in range(2)])
        first = sum(chance[0, a] * (REWARDS[a, 0][0] + GAMMA * second[a]) for a in range(2))
        value = np.array([first, *second], np.float32)
        loss, gradients, weights = make_loss(make_config(baseline), NET, "mlp", sums_episodes=True), [], []
        for a, b in itertools.product(range(2), repeat=2):
            replay = RolloutReplay(monte_carlo_returns(GAMMA, True, baseline), Rewards(RewardsConfig()))
            replay.add(trajectory(a, b, value))
            net.zero_grad()
            loss(net, replay.sample(0, np.random.default_rng(0)), torch.device("cpu")).total.backward()
            gradients.append(net.policy_head.weight.grad.flatten().numpy().copy())
            weights.append(chance[0, a] * chance[1 + a, b])
        mean = np.average(gradients, axis=0, weights=weights)
        spread[baseline] = np.average(np.square(np.array(gradients) - mean).sum(axis=1), weights=weights)
    assert spread[True] < 0.7 * spread[False]
