"""`init`: a run that starts with the network and the normaliser of another one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from run_helpers import Watcher, tiny_config
from torch import Tensor

import selfplay
from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import CARD

EPISODES = (
    *("--environment", "CartPole-v1", "--actors.rollout_steps", "8", "--replay.min_positions", "64"),
    *("--replay.capacity", "200", "--net.batch_norm", "false"),
)
PPO = (
    *(*EPISODES, "--algorithm", "actor_critic", "--actor_critic.clip", "0.2", "--rewards.normalise"),
    *("--net.input_transform", "running"),
)
TABLE = (
    *("--environment", "grid_world(map=four_rooms)", "--algorithm", "q_iteration"),
    *("--net.kind", "table", "--learner.dtype", "float64", "--learner.optimizer", "sgd"),
    *("--learner.learning_rate", "1", "--learner.schedule", "constant"),
    *("--learner.warmup_steps", "0", "--learner.momentum", "0"),
    *("--learner.weight_decay", "0", "--learner.gradient_clip", "0", "--learner.ema_decay", "0"),
    *("--learner.batch_size", "0"),
)
KINDS: Mapping[str, tuple[str, ...]] = {
    "alphazero": (),
    "muzero": ("--algorithm", "muzero", "--muzero.unroll_steps", "3", "--muzero.inner_actions", "5"),
    "dqn": (*EPISODES, "--algorithm", "dqn", "--dqn.target_steps", "3"),
    "ppo": PPO,
    "reinforce": (*EPISODES, "--algorithm", "reinforce", "--net.input_transform", "running"),
    "q_iteration": TABLE,
}


def config(folder: Path, *settings: str, steps: int = 4) -> Config:
    return tiny_config(folder, *settings, "--budget.steps", str(steps), "--checkpoint.every_steps", "2")


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    assert set(one) == set(other)
    return [name for name in one if one[name].dtype != other[name].dtype or not torch.equal(one[name], other[name])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of tic-tac-toe."""
    folder = tmp_path_factory.mktemp("source")
    selfplay.train(config(folder), folder / "run", Watcher())
    return folder / "run"


def newest(run: Path) -> checkpoint.Checkpoint:
    return checkpoint.load(run / "checkpoints")


@pytest.mark.parametrize("kind", KINDS)
def test_version_0_has_the_playing_weights_and_the_moments_of_the_source(tmp_path: Path, kind: str) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    selfplay.train(config(tmp_path, *KINDS[kind]), source, Watcher())
    seen = Watcher()
    selfplay.train(config(tmp_path, *KINDS[kind], "--init", str(source), "--seed", "8"), run, seen)

    before, first = newest(source), checkpoint.load(run / "checkpoints", 0)
    assert before.version > 0 and differing(before.weights, first.weights) == []
    raw = {name.removeprefix("raw."): tensor for name, tensor in first.learner.items() if name.startswith("raw.")}
    assert differing(before.weights, raw) == []  # what the optimiser goes on from
    gathered = {name for name in before.learner if name.startswith("algorithm.")}
    assert ("algorithm.observations.mean" in gathered) == (kind in ("ppo", "reinforce"))
    assert differing({n: before.learner[n] for n in gathered}, {n: first.learner[n] for n in gathered}) == []
    if kind in ("ppo", "reinforce"):
        assert first.learner["algorithm.observations.count"] > 1 and "normaliser.mean" in first.weights
    if kind == "dqn":  # the target network begins as the network
        target = {n.partition("target.")[2]: t for n, t in first.learner.items() if n.startswith("loss.target.")}
        assert differing(before.weights, target) == []
    assert differing(newest(run).weights, first.weights) != []  # and then it learns
    assert f"starting with the network of {source}@{before.version}" in seen.lines
    assert reader.load(Config, run / "config.yaml").init == f"{source}@{before.version}"


def test_a_version_may_be_named_by_a_folder_or_by_a_player(tmp_path: Path, trained: Path) -> None:
    expected = checkpoint.load(trained / "checkpoints", 2).weights
    for number, text in enumerate((f"{trained}@2", f"run:{trained}@2:simulations=3", f"net:{trained}@2")):
        run = tmp_path / str(number)
        selfplay.train(config(tmp_path, "--init", text), run, Watcher())
        assert differing(checkpoint.load(run / "checkpoints", 0).weights, expected) == []
        assert reader.load(Config, run / "config.yaml").init == f"{trained}@2"


def test_a_network_that_comes_with_the_program_is_a_source(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, saved = tmp_path / "shipped", newest(trained)
    shutil.copytree(trained, shipped, ignore=shutil.ignore_patterns("checkpoints"))
    alone = checkpoint.Checkpoint(saved.version, saved.weights, {}, {})  # nothing to go on from
    checkpoint.save(shipped / "checkpoints", alone)
    (shipped / CARD).write_text("{}")
    monkeypatch.setattr("selfplay.players.pretrained.pretrained_runs", lambda: {"oxo": shipped})
    selfplay.train(config(tmp_path, "--init", "pretrained:tic_tac_toe"), tmp_path / "run", Watcher())
    assert differing(checkpoint.load(tmp_path / "run" / "checkpoints", 0).weights, saved.weights) == []
    assert reader.load(Config, tmp_path / "run" / "config.yaml").init == "pretrained:tic_tac_toe"


def test_a_resumed_run_does_not_start_again(tmp_path: Path, trained: Path) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(trained, source)
    selfplay.train(config(tmp_path, "--init", str(source)), run, Watcher())
    before = newest(run)
    shutil.rmtree(source)
    seen = Watcher()
    selfplay.resume(run, lambda old: old, seen)  # its budget is spent: nothing is learned
    assert newest(run).version == before.version and differing(newest(run).weights, before.weights) == []
    assert not any("starting with" in line for line in seen.lines)


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_with_the_source(
    tmp_path: Path, trained: Path
) -> None:
    run = tmp_path / "run"
    selfplay.train(config(tmp_path, "--init", str(trained)), run, Watcher())
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "games")
    selfplay.resume(run, display=Watcher())
    assert differing(checkpoint.load(run / "checkpoints", 0).weights, newest(trained).weights) == []


def test_the_source_cannot_change_later(tmp_path: Path, trained: Path) -> None:
    run = tmp_path / "run"
    selfplay.train(config(tmp_path), run, Watcher())
    changed = config(tmp_path, "--init", str(trained))
    with pytest.raises(UserError, match="init cannot change in a run that has started; start a new run for it"):
        selfplay.resume(run, lambda _: changed, Watcher())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--net.hidden", "24"), r"trunk\S* is \[16, \d+\] instead of \[24, \d+\] .*with$"),
        (("--net.layers", "2"), r"\S+ is missing .*with$"),
        (
            ("--game", "connect_four"),
            r"\S+ is \[16, \d+\] instead of \[16, \d+\] \(the first of \d+ tensors that differ\); use the game .*: "
            r"it learned tic_tac_toe by alphazero, and this run learns connect_four by alphazero$",
        ),
        (KINDS["muzero"], r"learned tic_tac_toe by alphazero, and this run learns tic_tac_toe by muzero$"),
        (KINDS["dqn"], r"learned tic_tac_toe by alphazero, and this run learns CartPole-v1 by dqn$"),
    ],
)
def test_another_shape_is_one_line_and_nothing_is_made(
    tmp_path: Path, trained: Path, settings: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(reader.dump(config(tmp_path, *settings)))
    run = tmp_path / "run"
    assert cli.main(["train", str(file), "--run-dir", str(run), "--init", str(trained)]) == cli.BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and not run.exists()
    assert lines[0].startswith(f"selfplay: error: init: {trained}@4: the weights do not fit the network: ")
    assert len(re.findall(r"\b(is missing|is unknown|instead of)\b", lines[0])) == 1
    assert re.search(message, lines[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "nowhere: no such run"),
        ("{run}@3000", "init: {run} has no version 3000; it has 0 to 4"),
        ("{empty}", "init: {empty} has no checkpoint yet"),
        ("mcts:simulations=10", "mcts:simulations=10: has no network of a run; use run:RUN_DIR or pretrained:GAME"),
        ("pretrained:go", "pretrained: no network for 'go' comes with selfplay; there are"),
        ("nothing:here", "player 'nothing:here': unknown kind 'nothing'"),
    ],
)
def test_a_source_without_a_network_is_one_line(tmp_path: Path, trained: Path, text: str, message: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").write_text("")
    places = {"run": str(trained), "empty": str(empty)}
    with pytest.raises(UserError) as refused:
        selfplay.train(config(tmp_path, "--init", text.format_map(places)), tmp_path / "run", Watcher())
    assert str(refused.value).startswith(message.format_map(places)) and "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_source_is_one_line(tmp_path: Path, trained: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(trained, source)
    weights = source / "checkpoints" / "00000004" / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="damaged checkpoint: .* does not match its sha256"):
        selfplay.train(config(tmp_path, "--init", str(source)), tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()
