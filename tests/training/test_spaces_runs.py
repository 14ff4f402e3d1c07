"""Whole runs on environments whose observations or actions are not one Box or one choice."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from run_helpers import ROOT, Watcher

import selfplay


class Fields(gym.Env):
    """Ten steps; a nested observation, and two choices at a time."""

    observation_space = Dict(image=Box(0, 1, (6, 6, 2), np.float32), side=Discrete(2), mission=Text(20))
    action_space = MultiDiscrete([2, 3])

    def see(self):
        return {"image": np.full((6, 6, 2), self.age / 10, np.float32), "side": self.age % 2, "mission": "go"}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self.see(), {}

    def step(self, action):
        assert action.shape == (2,)
        self.age += 1
        return self.see(), float(action[0] == self.age % 2), self.age == 10, False, {}


gym.register("Fields-v0", Fields)


def run(tmp_path, name: str, environment: str, *overrides: str) -> tuple[selfplay.training.train.Result, Watcher]:
    words = ["--environment", environment, "--evaluation.final-games", "4", *overrides]
    watcher = Watcher()
    config = selfplay.load_config(selfplay.Config, ROOT / "configs" / f"{name}.yaml", words)
    return selfplay.train(config, tmp_path / "run", watcher), watcher


@pytest.mark.parametrize(
    ("name", "environment", "note"),
    [
        ("taxi_q_learning", "Taxi-v4(max_episode_steps=20)", "row of 500 numbers"),
        ("cartpole_dqn", "Fields-v0", "one choice of 6 combinations"),
        ("cartpole_reinforce", "FrozenLake-v1", "row of 16 numbers"),
        ("blackjack_ppo", "Blackjack-v1", "row of 45 numbers"),
        ("cartpole_a2c", "Fields-v0", "2 channels, 6 rows, 6 columns"),
    ],
)
def test_every_algorithm_learns_from_choices_and_says_how_it_reads_them(tmp_path, name, environment, note) -> None:
    result, watcher = run(tmp_path, name, environment, "--budget.positions", "1500", "--replay.min-positions", "500")
    assert result.evaluation.mean_return is not None and np.isfinite(result.evaluation.mean_return)
    assert max(status.step for status in watcher.statuses) > 0
    assert any(note in line and line.startswith(environment) for line in watcher.lines)


@pytest.mark.slow
def test_q_learning_walks_along_the_cliff(tmp_path) -> None:
    cliff, shorter = "CliffWalking-v1(max_episode_steps=200)", ("--budget.positions", "20000")
    result, _ = run(tmp_path, "cliff_walking_q_learning", cliff, "--seed", "3", *shorter)
    assert result.evaluation.mean_return == -13.0
