"""Runs on grid worlds against exact values: sweeps of the Bellman equation, and Q-learning with a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_helpers import ROOT, Watcher

import selfplay
from games.environments.mdp import greedy_policy, optimal_q, policy_evaluation
from games.environments.registry import load_environment
from selfplay.cli import main
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.policy_pictures import policy_in
from selfplay.players.kinds import read_player
from selfplay.storage import checkpoint
from selfplay.training.checks import check

SMALL = ("--environment", "grid_world(map=russell_norvig)", "--evaluation.final-games", "4")


def shipped(name: str, *overrides: str) -> Config:
    return selfplay.load_config(Config, ROOT / "configs" / f"{name}.yaml", [*SMALL, *overrides])


def learned_q(run: Path) -> np.ndarray:
    """The table [S, A] of a run."""
    weights, _ = checkpoint.load_weights(run / "checkpoints")
    return weights["policy_head.weight"].numpy().T


def test_sweeps_converge_to_the_exact_values_and_evaluate_draws_them(tmp_path, capsys):
    watcher, run = Watcher(), tmp_path / "run"
    config = shipped("gridworld_q_iteration", "--budget.steps", "400")
    selfplay.train(config, run, watcher)
    mdp = load_environment(config.environment).to_mdp()
    assert np.abs(learned_q(run) - optimal_q(mdp, config.rewards.discount)).max() < 1e-9
    assert any(line.startswith("distance from the exact values") for line in watcher.lines)
    assert not list(run.glob("*.png"))
    picture = tmp_path / "values.png"
    assert main(["evaluate", f"run:{run}", "--episodes", "4", "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert main(["report", str(run), "--x", "steps", "--json"]) == 0
    assert "train/bellman_residual" in capsys.readouterr().out, "its curve shows how they converged"
    world = load_environment(config.environment)
    policy = policy_in(world, read_player(f"run:{run}").make_agent(world))
    np.testing.assert_allclose(policy_evaluation(mdp, policy, config.rewards.discount), learned_q(run).max(axis=1))


def test_a_picture_of_anything_but_a_grid_world_is_refused(tmp_path, capsys):
    arguments = ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "2"]
    assert main([*arguments, "--picture", str(tmp_path / "values.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not list(tmp_path.iterdir())
    assert main(["evaluate", "random", "--positions", "none.jsonl", "--picture", "values.png"]) == 2


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
