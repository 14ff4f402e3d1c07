"""`selfplay verify`: what was announced as saved and is gone is a problem, what a kill leaves behind is a note."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from run_helpers import Watcher, tiny_config

import selfplay
from selfplay.cli import main
from selfplay.errors import UserError
from selfplay.storage import checkpoint, shards
from selfplay.storage.files import append_line, publish, seal, unseal
from selfplay.storage.tensors import publish_weights
from selfplay.training.verification import verify

LIMITS = (
    "--budget.steps",
    "20",
    "--replay.sample_reuse",
    "1",
    "--checkpoint.every_steps",
    "8",
    "--checkpoint.keep_last",
    "9",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with several checkpoints and shards; not to be written to."""
    folder = tmp_path_factory.mktemp("verified")
    selfplay.train(tiny_config(folder, *LIMITS), folder / "run", Watcher())
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def newest(run: Path, pattern: str) -> Path:
    return sorted(run.glob(pattern))[-1]


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_a_run_is_sound_and_everything_is_counted(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify(made)
    assert (found.problems, found.notes) == ([], [])
    assert (found.checkpoints, found.newest) == (4, 20)
    assert (found.games, found.positions) == shards.totals(made / "games")[:2]
    assert found.rows >= 1 and found.shards >= 3, "or the tests below show less"
    assert main(["verify", str(made)]) == 0
    assert "sound" in capsys.readouterr().out
    assert main(["verify", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["newest"] == 20


def rewrite_state(run: Path, **changes: int) -> None:
    """A checkpoint with sound hashes whose counters are wrong."""
    state = newest(run, "checkpoints/*/state.json")
    sha256 = publish(state, json.dumps(json.loads(state.read_text()) | changes).encode())
    manifest = unseal((state.parent / "manifest.json").read_bytes())
    assert manifest is not None
    manifest["files"]["state.json"] = {"sha256": sha256, "bytes": state.stat().st_size}
    publish(state.parent / "manifest.json", seal(manifest))


def forget_rows(run: Path) -> None:
    tampered(run, lambda saved: saved.state.pop("kept"))


def forget_field(run: Path) -> None:
    """A shard with sound hashes whose games lack what a resumed run reads."""
    path = newest(run, "games/*.npz")
    arrays = shards.load_arrays(path.read_bytes())
    kept = {name: array for name, array in arrays.items() if not name.endswith("/root_value")}
    np.savez(path, **kept)  # type: ignore[arg-type]
    (run / "games" / shards.MANIFEST).unlink()
    shards.recover(run / "games", pytest.fail)


PROBLEMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in weights": (lambda run: flip(newest(run, "checkpoints/*/weights.safetensors")), "sha256"),
    "a flipped bit in a shard": (lambda run: flip(newest(run, "games/*.npz")), "00000"),
    "a shard whose games no resume could read": (forget_field, "no field 'root_value'"),
    "a shard that is gone": (lambda run: newest(run, "games/*.npz").unlink(), "No such file"),
    "no games at all": (lambda run: shutil.rmtree(run / "games"), "No such file"),
    "another step": (lambda run: rewrite_state(run, steps=21), "step 21"),
    "fewer games than before": (lambda run: rewrite_state(run, games=1), "games falls"),
    "rows of the replay are not counted any more": (forget_rows, "kept falls"),
    "a setting that is none": (lambda run: append_line(run / "config.yaml", b"sped: 3"), "sped"),
    "a broken row of metrics": (lambda run: (run / "metrics.jsonl").write_text("{\n"), "metrics.jsonl:1"),
    "a temporary of an earlier start": (lambda run: (run / "games" / ".1.npz.1.tmp").touch(), "earlier process"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_was_saved_and_is_not_there_is_a_problem(run, name, capsys):
    damage, complaint = PROBLEMS[name]
    damage(run)
    (problem,) = {complaint in problem for problem in verify(run).problems}  # several shards may be gone
    assert problem
    assert main(["verify", str(run)]) == 1
    assert "DAMAGED" in capsys.readouterr().out


def forget_last_line(run: Path) -> None:
    manifest = run / "games" / "manifest.jsonl"
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:-1]))


NOTES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard without its line": (forget_last_line, "no line of the manifest"),
    "a temporary": (
        lambda run: (run / "checkpoints" / f".00000021.{os.getpid()}.tmp").mkdir(),
        "the next start removes it",
    ),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_a_kill_leaves_is_a_note(run, name):
    damage, note = NOTES[name]
    damage(run)
    found = verify(run)
    assert found.problems == []
    assert [note in line for line in found.notes] == [True]


@pytest.mark.parametrize("pattern", ["checkpoints/*/learner.safetensors", "games/*.npz"])
def test_a_resumed_run_is_sound_again(run, pattern):
    flip(newest(run, pattern))
    assert verify(run).problems
    watcher = Watcher()
    longer = tiny_config(run.parent, *LIMITS, "--budget.steps", "30")
    selfplay.resume(run, lambda old: longer, watcher)
    assert any(line.startswith("warning: ") for line in watcher.lines)
    found = verify(run)
    assert found.problems == [] and found.newest == 30
    assert found.notes, "what was set aside is said"


def test_a_checkpoint_that_the_run_removes_meanwhile_is_no_problem(run, monkeypatch):
    load = checkpoint.load

    def remove_first(folder: Path, version: int) -> checkpoint.Checkpoint:
        if version == min(checkpoint.versions(folder)) and len(checkpoint.versions(folder)) == 4:
            shutil.rmtree(folder / f"{version:08d}")
        return load(folder, version)

    monkeypatch.setattr("selfplay.training.verification.checkpoint.load", remove_first)
    found = verify(run)
    assert (found.problems, found.checkpoints, found.newest) == ([], 3, 20)


def test_nothing_is_changed(run: Path) -> None:
    flip(newest(run, "games/*.npz"))
    forget_last_line(run)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}
    verify(run)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")} == before


def test_no_run_is_one_line(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert "no such run" in capsys.readouterr().err


def tampered(run: Path, change: Callable[[checkpoint.Checkpoint], None]) -> int:
    """Change the newest checkpoint as a program would that wrote it so, hashes included; returns its version."""
    saved = checkpoint.load(run / "checkpoints")
    change(saved)
    shutil.rmtree(run / "checkpoints" / f"{saved.version:08d}")
    checkpoint.save(run / "checkpoints", saved)
    return saved.version


UNUSABLE: dict[str, Callable[[checkpoint.Checkpoint], object]] = {
    "a weight is NaN": lambda saved: _floats(saved.weights).view(-1)[0].fill_(float("nan")),
    "a raw weight is infinite": lambda saved: _first(saved, "raw.").view(-1)[0].fill_(float("inf")),
    "a moment is NaN": lambda saved: _first(saved, "optimizer").view(-1)[0].fill_(float("nan")),
    "a moment is missing": lambda saved: saved.learner.pop(_name(saved, "optimizer")),
    "a weight is missing": lambda saved: saved.weights.pop(next(iter(saved.weights))),
    "a raw weight is missing": lambda saved: saved.learner.pop(_name(saved, "raw.")),
    "a moment of another shape": lambda saved: saved.learner.update({_name(saved, "exp_avg"): torch.zeros(3, 3, 3)}),
    "the steps are missing": lambda saved: saved.state.pop("steps"),
    "the random numbers are broken": lambda saved: saved.state.update(sampling_rng={"bit_generator": "PCG64"}),
    "the time is NaN": lambda saved: saved.state.update(seconds=float("nan")),
    "a number is text": lambda saved: saved.state.update(reuse_samples="7"),
    "a number is not whole": lambda saved: saved.state.update(kept=8.5),
    "a number is below 0": lambda saved: saved.state.update(rounds=-1),
    "a number is huge": lambda saved: saved.state.update(positions=10**40),
    "the champion is text": lambda saved: saved.state.update(champion="best"),
    "the id of W&B is a number": lambda saved: saved.state.update(wandb_id=7),
    "the random numbers are below 0": lambda saved: saved.state["sampling_rng"].update(uinteger=-1),
    "the steps are of another version": lambda saved: saved.state.update(steps=7),
    "a weight is whole": lambda saved: saved.weights.update(_whole(saved.weights, "")),
    "a raw weight is whole": lambda saved: saved.learner.update(_whole(saved.learner, "raw.")),
    "a moment is whole": lambda saved: saved.learner.update(_whole(saved.learner, "exp_avg")),
    "the layout of a moment is that of images": lambda saved: saved.state["optimizer"]["dict"].append(
        ["more", {"channels_last": _name(saved, "exp_avg")}]
    ),
}


def _name(saved: checkpoint.Checkpoint, part: str) -> str:
    tensors = saved.learner.items()
    return next(name for name, tensor in tensors if part in name and tensor.ndim and tensor.is_floating_point())


def _whole(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    name = next(name for name, tensor in tensors.items() if part in name and tensor.ndim)
    return {name: tensors[name].long()}


def _floats(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return next(tensor for tensor in tensors.values() if tensor.is_floating_point())


def _first(saved: checkpoint.Checkpoint, part: str) -> torch.Tensor:
    return saved.learner[_name(saved, part)]


@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE)
def test_a_checkpoint_that_nothing_can_go_on_from_is_found_and_set_aside(run: Path, change) -> None:
    version = tampered(run, change)
    (problem,) = verify(run).problems
    assert f"{version:08d}" in problem
    watcher = Watcher()
    resumed = selfplay.resume(run, more_steps, watcher)
    assert resumed.run_dir == run and (run / "checkpoints" / "quarantine").is_dir()
    assert verify(run).problems == [], "it went on from the one before"


def more_steps(config: selfplay.Config) -> selfplay.Config:
    return replace(config, budget=replace(config.budget, steps=22))


def test_running_moments_that_are_not_finite_are_found_and_never_saved(tmp_path: Path) -> None:
    overrides = [
        "--algorithm", "actor_critic", "--environment", "CartPole-v1", "--net.input-transform", "running",
        "--actors.rollout-steps", "8", "--budget.steps", "6", "--checkpoint.every-steps", "2",
        "--evaluation.final-games", "2",
    ]  # fmt: skip
    run = selfplay.train(tiny_config(tmp_path, *overrides), tmp_path / "run", Watcher()).run_dir
    assert verify(run).problems == []
    version = tampered(run, lambda saved: saved.learner["algorithm.observations.mean"][0].fill_(float("nan")))
    (problem,) = verify(run).problems
    assert "algorithm.observations.mean" in problem and f"{version:08d}" in problem
    selfplay.resume(run, lambda config: replace(config, budget=replace(config.budget, steps=8)), Watcher())
    assert verify(run).problems == []
    tampered(run, lambda saved: saved.learner.pop("algorithm.returns.settings"))
    assert verify(run).problems == [], "runs from before this was saved go on"
    tampered(run, lambda saved: saved.learner.pop("algorithm.returns.count"))
    assert "algorithm.returns.count is missing" in verify(run).problems[0]


class Sensors(gym.Env):
    """An environment that somebody works on."""

    numbers = 3
    action_space = spaces.Discrete(2)

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (self.numbers,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(self.numbers, np.float32), {}

    def step(self, action):
        return np.ones(self.numbers, np.float32), 1.0, False, False, {}


gym.register("Sensors-v0", Sensors, max_episode_steps=9)


@pytest.mark.parametrize("algorithm", [("dqn",), ("actor_critic", "--net.input-transform", "running")])
def test_a_changed_environment_sent_all_checkpoints_into_quarantine(tmp_path, monkeypatch, algorithm) -> None:
    overrides = [
        "--environment", "Sensors-v0", "--actors.rollout-steps", "8", "--budget.steps", "6",
        "--checkpoint.every-steps", "2", "--evaluation.final-games", "2", "--algorithm", *algorithm,
    ]  # fmt: skip
    run = selfplay.train(tiny_config(tmp_path, *overrides), tmp_path / "run", Watcher()).run_dir
    saved = checkpoint.versions(run / "checkpoints")
    monkeypatch.setattr(Sensors, "numbers", 4)
    assert verify(run).problems
    with pytest.raises(UserError, match="checkpoints"):
        selfplay.resume(run, more_steps, Watcher())
    assert checkpoint.versions(run / "checkpoints") == saved
    monkeypatch.undo()
    assert verify(run).problems == []
    selfplay.resume(run, lambda config: replace(config, budget=replace(config.budget, steps=8)), Watcher())


def test_published_weights_that_are_not_finite_are_a_problem(run: Path) -> None:
    publish_weights(run / "weights.safetensors", {"normaliser.mean": torch.tensor([float("nan")])}, 3)
    assert "normaliser.mean" in verify(run).problems[0]
