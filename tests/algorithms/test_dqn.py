"""DQN's targets by hand, its target network, and its agreement with exact values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from run_helpers import ROOT, Watcher
from torch import nn

import selfplay
from games.environments.grid_world import GridWorld
from games.environments.mdp import greedy_policy, optimal_q
from nets.models import build
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.dqn import Dqn, DqnLoss
from selfplay.config.run import Config, DqnConfig, NetConfig
from selfplay.experience.behaviour import EpsilonGreedy
from selfplay.replay.transitions import TransitionBatch

NET = NetConfig(kind="mlp", layers=0, value_hidden=0, batch_norm=False, policy="categorical", value_transform="linear")


def linear_net(q: list[list[float]], value: list[float] | None = None):
    """A network whose policy head gives `q[state]` for one-hot states, and whose value head gives `value[state]`."""
    net = build(NET, (len(q),), len(q[0]), 1)
    with torch.no_grad():
        net.policy_head.weight.copy_(torch.tensor(q).T)
        net.policy_head.bias.zero_()
        net.value_head.weight.copy_(torch.tensor([value or [0.0] * len(q)]))
        net.value_head.bias.zero_()
    return net


def transition(factor: float = 0.9, legal: list[bool] | None = None) -> TransitionBatch:
    """From state 0 by action 1 with reward 2 to state 1."""
    return TransitionBatch(
        observation=np.array([[1, 0]], np.float32),
        action=np.array([1]),
        reward=np.array([2.0], np.float32),
        factor=np.array([factor], np.float32),
        next_observation=np.array([[0, 1]], np.float32),
        next_legal_mask=None if legal is None else np.array([legal]),
        weight=np.ones(1, np.float32),
        row=np.array([0]),
    )


def error(settings: DqnConfig, net: nn.Module, target: nn.Module, batch: TransitionBatch) -> float:
    """`y - Q(s, a)` in absolute value."""
    loss = DqnLoss(target, Config(algorithm="dqn", net=NET, dqn=settings))
    return float(loss(net, batch, torch.device("cpu")).errors[0])


ONLINE = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
TARGET = [[0.0, 0.0, 0.0], [30.0, 20.0, 10.0]]


@pytest.mark.parametrize(
    ("settings", "batch", "y"),
    [
        (DqnConfig(), transition(), 2 + 0.9 * 30),  # the greatest value of the target network
        (DqnConfig(double=True), transition(), 2 + 0.9 * 10),  # its value of the action that the network prefers
        (DqnConfig(), transition(legal=[False, True, True]), 2 + 0.9 * 20),
        (DqnConfig(double=True), transition(legal=[True, True, False]), 2 + 0.9 * 20),
        (DqnConfig(), transition(factor=0.0), 2),
        (DqnConfig(), transition(factor=-0.9), 2 - 0.9 * 30),  # the opponent moves next
    ],
)
def test_targets_worked_by_hand(settings, batch, y):
    assert error(settings, linear_net(ONLINE), linear_net(TARGET), batch) == pytest.approx(abs(y - 2.0), rel=1e-5)


def test_duelling_adds_the_value_to_centred_advantages():
    net, target = linear_net(ONLINE, [100.0, 0.0]), linear_net(TARGET, [0.0, 7.0])
    q = 100 + 2 - 2  # value + advantage - mean advantage
    y = 2 + 0.9 * (7 + 30 - 20)
    assert error(DqnConfig(duelling=True), net, target, transition()) == pytest.approx(abs(y - q), rel=1e-5)


def test_the_target_network_changes_only_when_it_is_renewed_and_gets_no_gradient():
    net = linear_net(ONLINE)
    loss = DqnLoss(linear_net(TARGET), Config(algorithm="dqn", net=NET))
    loss(net, transition(), torch.device("cpu")).total.backward()
    assert all(p.grad is None for p in loss.parameters())
    before = {name: tensor.clone() for name, tensor in loss.state_dict().items()}
    with torch.no_grad():
        net.policy_head.bias += 1.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in loss.state_dict().items())
    loss.renew(net)
    assert torch.equal(loss.target.policy_head.bias, net.policy_head.bias)


def test_epsilon_falls_linearly_over_the_steps_of_all_actors():
    behaviour = EpsilonGreedy(1.0, 0.1, positions=1000, played=100, stride=2)
    assert behaviour.epsilon == pytest.approx(0.91)
    rng = np.random.default_rng(0)
    behaviour.act(np.zeros((10, 3), np.float32), None, rng)
    assert behaviour.epsilon == pytest.approx(1.0 - 0.9 * 0.12)
    for _ in range(100):
        behaviour.act(np.zeros((10, 3), np.float32), None, rng)
    assert behaviour.epsilon == pytest.approx(0.1)


def test_epsilon_greedy_takes_legal_actions_only_and_every_one_of_them():
    behaviour = EpsilonGreedy(0.5, 0.5, positions=1, played=0, stride=1)
    output = np.tile(np.array([5.0, 1.0, 2.0, 3.0], np.float32), (4000, 1))
    legal = np.tile(np.array([False, True, True, True]), (4000, 1))
    actions, _ = behaviour.act(output, legal, np.random.default_rng(0))
    shares = np.bincount(actions, minlength=4) / 4000
    np.testing.assert_allclose(shares, [0, 1 / 6, 1 / 6, 2 / 3], atol=0.03)


STILL = "grid_world(map=four_rooms,slip=0,slip_back=0)"
"""From most cells several ways to the goal are equally short, and all of them count as optimal."""


@pytest.mark.parametrize("ema_decay", ["0", "0.99"])
@pytest.mark.parametrize("last_of_equals", [False, True])
def test_a_run_on_a_grid_world_says_in_how_many_states_its_policy_is_optimal(last_of_equals, ema_decay):
    overrides = ["--environment", STILL, "--net.kind", "table", "--learner.ema-decay", ema_decay]
    algorithm = Dqn(selfplay.load_config(Config, ROOT / "configs" / "gridworld_dqn.yaml", overrides))
    world = algorithm.environment
    assert isinstance(world, GridWorld)
    best = greedy_policy(optimal_q(world.to_mdp(), algorithm.config.rewards.discount)) > 0
    chosen = 3 - best[:, ::-1].argmax(axis=1) if last_of_equals else best.argmax(axis=1)
    learner = algorithm.make_learner()
    # What plays is the average where there is one, whatever the weights beside it are.
    table = (learner.net.state_dict() if ema_decay == "0" else learner.average)["policy_head.weight"]

    def said() -> str:
        table.copy_(torch.eye(4)[chosen].T)
        return dict(algorithm.finish(learner))["optimal policy"]

    states = world.num_states - 1  # less the goal
    assert said() == f"in {states} of {states} states"
    wrong = np.flatnonzero(~best.all(axis=1))[[0, 50]]
    chosen[wrong] = best[wrong].argmin(axis=1)
    assert said() == f"in {states - 2} of {states} states"


def test_the_shipped_settings_learn_an_optimal_policy_in_every_state(tmp_path):
    """With six tenths of their budget: five seconds."""
    shorter = ["--budget.positions", "120000", "--evaluation.final-games", "4"]
    watcher = Watcher()
    selfplay.train(
        selfplay.load_config(Config, ROOT / "configs" / "gridworld_dqn.yaml", shorter), tmp_path / "run", watcher
    )
    assert "optimal policy: in 103 of 103 states" in watcher.lines


def test_a_batch_that_is_left_out_changes_no_priority():
    overrides = ["--dqn.priority-exponent", "0.6", "--replay.min-positions", "9", "--actors.num-actors", "0"]
    config = selfplay.load_config(Config, ROOT / "configs" / "cartpole_dqn.yaml", overrides)
    algorithm = Dqn(config)
    learner, replay = algorithm.make_learner(), algorithm.make_replay()
    inference = algorithm.make_inference()
    inference.load(learner.weights(), 0)
    collector = algorithm.make_collector({PLAYER: inference}, np.random.default_rng(0), 0, 0)
    while replay.total < 100:
        for rollout in collector.collect():
            replay.add(rollout)
    batch = replay.sample(32, np.random.default_rng(0))
    batch.reward[0] = np.nan
    before = replay._priorities.total
    result = learner.step(batch, 0.0)
    assert result.is_left_out
    replay.learned(batch, result.errors, 0.0)
    assert replay._priorities.total == before
    batch = replay.sample(32, np.random.default_rng(0))
    result = learner.step(batch, 0.0)
    assert not result.is_left_out
    replay.learned(batch, result.errors, 0.0)
    assert np.isfinite(replay._priorities.total) and replay._priorities.total != before


def test_learning_begins_when_some_environment_has_the_steps_of_a_return():
    overrides = ["--dqn.n-step", "9", "--replay.min-positions", "1", "--actors.games-per-actor", "3"]
    config = selfplay.load_config(Config, ROOT / "configs" / "cartpole_dqn.yaml", overrides)
    algorithm = Dqn(config)
    inference, replay = algorithm.make_inference(), algorithm.make_replay()
    inference.load(algorithm.make_net().state_dict(), 0)
    collector = algorithm.make_collector({PLAYER: inference}, np.random.default_rng(0), 0, 0)
    while replay.total < algorithm.needs.min_positions:
        for rollout in collector.collect():
            replay.add(rollout)
    assert replay.total < 60 and len(replay.sample(4, np.random.default_rng(0))) == 4


def test_a_run_on_anything_else_says_nothing_of_that():
    config = selfplay.load_config(Config, ROOT / "configs" / "cartpole_dqn.yaml", [])
    algorithm = Dqn(config)
    learner = algorithm.make_learner()
    assert algorithm.finish(learner) == []


def test_the_learner_renews_its_target_network_every_few_steps():
    overrides = ["--dqn.target-steps", "3", "--replay.min-positions", "9", "--actors.num-actors", "0"]
    config = selfplay.load_config(Config, ROOT / "configs" / "cartpole_dqn.yaml", overrides)
    learner = Dqn(config).make_learner()
    shape = learner.net.observation_shape
    rng = np.random.default_rng(0)
    batch = TransitionBatch(
        observation=rng.random((8, *shape), np.float32),
        action=np.zeros(8, np.int64),
        reward=np.ones(8, np.float32),
        factor=np.full(8, 0.9, np.float32),
        next_observation=rng.random((8, *shape), np.float32),
        next_legal_mask=None,
        weight=np.ones(8, np.float32),
        row=np.arange(8),
    )

    def is_renewed() -> bool:
        target = learner.state_dict()["loss"]
        return all(torch.equal(tensor, target[f"target.{name}"]) for name, tensor in learner.raw_weights().items())

    assert is_renewed(), "it begins as the network does"
    renewed = []
    for _ in range(7):
        result = learner.step(batch, 0.0)
        assert result.errors.shape == (8,) and (result.errors >= 0).all()
        renewed.append(is_renewed())
    assert renewed == [False, False, True, False, False, True, False]
