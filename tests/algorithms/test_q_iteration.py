"""Runs on grid worlds against exact values: sweeps of the Bellman equation, and Q-learning with a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_helpers import ROOT, Watcher

import selfplay
from games.environments.mdp import greedy_policy, optimal_q
from games.environments.registry import load_environment
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.storage import checkpoint
from selfplay.training.checks import check

SMALL = ("--environment", "grid_world(map=russell_norvig)", "--evaluation.final-games", "4")


def shipped(name: str, *overrides: str) -> Config:
    return selfplay.load_config(Config, ROOT / "configs" / f"{name}.yaml", [*SMALL, *overrides])


def learned_q(run: Path) -> np.ndarray:
    """The table [S, A] of a run."""
    weights, _ = checkpoint.load_weights(run / "checkpoints")
    return weights["policy_head.weight"].numpy().T


def test_sweeps_converge_to_the_exact_values_and_leave_pictures(tmp_path):
    watcher, run = Watcher(), tmp_path / "run"
    config = shipped("gridworld_q_iteration", "--budget.steps", "400")
    selfplay.train(config, run, watcher)
    mdp = load_environment(config.environment).to_mdp()
    assert np.abs(learned_q(run) - optimal_q(mdp, config.rewards.discount)).max() < 1e-9
    for name in ("values.png", "convergence.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")
    assert any(line.startswith("distance from the exact values") for line in watcher.lines)


def test_a_table_learned_from_experience_is_optimal_in_every_state(tmp_path):
    world = (
        "--environment",
        "grid_world(map=russell_norvig,slip=0)",
        "--budget.positions",
        "1500",
        "--actors.rollout-steps",
        "4",
    )
    config = shipped("gridworld_q_learning", *world)
    selfplay.train(config, tmp_path / "run", Watcher())
    mdp = load_environment(config.environment).to_mdp()
    is_best = greedy_policy(optimal_q(mdp, config.rewards.discount)) > 0
    chosen = learned_q(tmp_path / "run").argmax(axis=1)
    assert is_best[np.arange(len(chosen)), chosen][~mdp.terminal].all()


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (("--environment", "CartPole-v1"), "grid_world"),
        (("--net.kind", "mlp"), "table"),
        (("--learner.learning-rate", "0.5"), "learning_rate"),
        (("--actors.num-actors", "1"), "num_actors"),
        (("--algorithm", "actor_critic"), "float64"),
    ],
)
def test_settings_that_are_not_sweeps_are_refused(overrides, complaint):
    with pytest.raises(UserError, match=complaint):
        check(shipped("gridworld_q_iteration", *overrides))
