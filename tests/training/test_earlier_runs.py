"""Runs from before each part of a run saved its own state (version 1c00484) go on, to the weights that they had then.

`tests/golden/earlier_runs` holds a checkpoint of AlphaZero, DQN and PPO each, and the weights that version 1c00484 got
when it resumed them: without actors, in float32, on one thread.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from run_helpers import ROOT, Watcher
from safetensors.torch import load_file

import selfplay
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder
from selfplay.training.trainer import Trainer
from selfplay.training.verification import verify

RUNS = ROOT / "tests" / "golden" / "earlier_runs"
STEPS = {"alphazero": 12, "dqn": 30, "ppo": 30}


@pytest.fixture(params=STEPS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(RUNS / request.param, tmp_path / request.param)


def test_a_checkpoint_from_before_gives_and_takes_the_same_tensors(run: Path) -> None:
    config = reader.load(Config, run / "config.yaml", [])
    saved = checkpoint.load(run / "checkpoints")
    with RunFolder.resume(run) as folder:
        trainer = Trainer(config, folder, Watcher())
        trainer.close()
        shutil.rmtree(run / "checkpoints")
        trainer.state.save()
    again = checkpoint.load(run / "checkpoints")
    for before, after in ((saved.weights, again.weights), (saved.learner, again.learner)):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    changing = {"seconds", "reuse_kept", "reuse_samples", "kept", "last_shard"}  # replays without games begin empty
    assert saved.state.keys() == again.state.keys()
    differing = {name for name in saved.state if saved.state[name] != again.state[name]}
    assert differing <= (changing if config.algorithm != "alphazero" else {"seconds"})


def test_a_run_from_before_goes_on_to_the_same_weights(run: Path) -> None:
    steps = STEPS[run.name]
    assert verify(run).problems == []
    options = ["--budget.steps", str(steps), "--evaluation.final_games", "2"]
    selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", options), Watcher())
    saved, expected = checkpoint.load(run / "checkpoints"), load_file(RUNS / run.name / "expected.safetensors")
    assert saved.version == steps and saved.weights.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(saved.weights[name], tensor, rtol=1e-4, atol=1e-5)
