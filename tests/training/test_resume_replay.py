"""A run of DQN that stops and goes on with its replay: at once, without a burst, and without what is damaged."""

from __future__ import annotations

import os
import shutil
import signal
from collections import namedtuple
from pathlib import Path

import pytest
from run_helpers import Watcher, tiny_config

import selfplay
from selfplay.cli import main
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.replay import saved
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder
from selfplay.system import preflight
from selfplay.training.trainer import Trainer
from selfplay.training.verification import verify

OPTIONS = (
    *("--algorithm", "dqn", "--environment", "CartPole-v1", "--actors.rollout_steps", "4"),
    *("--replay.capacity", "900", "--replay.min_positions", "100", "--replay.sample_reuse", "2"),
    *("--dqn.n_step", "3", "--dqn.priority_exponent", "0.5", "--evaluation.final_games", "2"),
    *("--budget.positions", "2000", "--checkpoint.replay"),
)
STOP_AT = 60


def config(folder: Path, *more: str) -> Config:
    return tiny_config(folder, *OPTIONS, *more)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watcher]:
    """A run that was asked to stop at a step; not to be written to."""
    folder = tmp_path_factory.mktemp("stopped")
    watcher = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == STOP_AT else None)
    selfplay.train(config(folder), folder / "run", watcher)
    return folder / "run", watcher


@pytest.fixture
def run(made: tuple[Path, Watcher], tmp_path: Path) -> Path:
    return shutil.copytree(made[0], tmp_path / "run")


def opened(run: Path, watcher: Watcher, *more: str) -> Trainer:
    """What a resumed run begins with."""
    with RunFolder.resume(run) as folder:
        trainer = Trainer(config(run.parent, *more), folder, watcher)
        trainer.close()
    return trainer


def test_the_size_of_the_replay_is_said_before_it_is_written(made: tuple[Path, Watcher]) -> None:
    run, watcher = made
    assert f"the replay, 38 kB at most, is written to {run / 'replay'} when the run stops" in watcher.lines
    assert verify(run).problems == [] and saved.numbers(run / "replay") == [0]


def test_a_stopped_dqn_waited_for_its_replay_to_fill_again(run: Path) -> None:
    state = checkpoint.load(run / "checkpoints").state
    trainer = opened(run, Watcher())
    assert (trainer.learner.steps, trainer.replay.total) == (STOP_AT, state["kept"])
    assert len(trainer.replay) == min(state["kept"], 900 // 8 * 8) > 400
    owed = 2 * (state["kept"] - state["reuse_kept"]) - (state["samples"] - state["reuse_samples"])
    assert trainer.reuse.owed(2.0) == owed, "neither a burst nor a pause"

    played = []
    watcher = Watcher(lambda status: played.append((status.step, status.positions)))
    result = selfplay.resume(run, display=watcher)
    assert f"resumed at step {STOP_AT} with {len(trainer.replay)} positions in the replay" in watcher.lines
    owed_first = [step for step, positions in played if positions == state["positions"]]
    assert max(owed_first, default=STOP_AT) == STOP_AT + owed // 16, "it learned before it played"
    assert result.stopped_by == "budget"
    final = checkpoint.load(run / "checkpoints").state
    assert final["samples"] == pytest.approx(2 * final["kept"], abs=2 * 16 + 2 * 32)
    assert saved.numbers(run / "replay") == [1], "the replay of the budget's end has taken its place"


def test_a_replay_from_before_the_newest_checkpoint_is_used_and_owes_nothing(run: Path) -> None:
    """Of a run that was resumed, and killed later."""
    older = shutil.copytree(run / "replay", run.parent / "older")
    selfplay.resume(run, lambda old: config(run.parent, "--budget.positions", "1200"), Watcher())
    shutil.rmtree(run / "replay")
    older.rename(run / "replay")
    trainer = opened(run, Watcher())
    assert trainer.learner.steps > STOP_AT and len(trainer.replay) > 400
    assert trainer.reuse.owed(2.0) == 0


def test_a_resumed_run_without_a_replay_was_called_damaged(run: Path) -> None:
    """`kept` counts from an empty replay again: it falls, and nothing is lost."""
    shutil.rmtree(run / "replay")
    before = checkpoint.load(run / "checkpoints").state["kept"]
    overrides = ("--budget.steps", str(STOP_AT + 3), "--replay.min_positions", "60", "--checkpoint.no-replay")
    selfplay.resume(run, lambda old: config(run.parent, *overrides), Watcher())
    assert checkpoint.load(run / "checkpoints").state["kept"] < before
    assert verify(run).problems == []


def test_another_sample_reuse_is_meant_for_what_is_played_from_now_on(run: Path) -> None:
    assert opened(run, Watcher(), "--replay.sample_reuse", "4").reuse.owed(4.0) == 0


def test_a_resumed_run_with_more_environments_keeps_its_replay(run: Path) -> None:
    trainer = opened(run, Watcher(), "--actors.games_per_actor", "5", "--dqn.n_step", "1")
    assert len(trainer.replay) > 400
    trainer.replay.sample(16, trainer.state.rng)


def test_a_damaged_replay_of_a_run_is_found_and_set_aside(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = run / "replay" / "00000000" / "00000.npz"
    piece.write_bytes(piece.read_bytes()[:-1])
    assert main(["verify", str(run)]) == 1
    assert f"{piece.parent}: 00000.npz does not match its sha256" in capsys.readouterr().out
    watcher = Watcher()
    result = selfplay.resume(run, display=watcher)
    assert sum("damaged replay" in line for line in watcher.lines) == 1 and result.version > STOP_AT
    assert verify(run).problems == []


def test_a_run_without_room_for_its_replay_is_refused_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = preflight.LEAST_DISK + 1_000_000
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free))
    large = ("--replay.capacity", "100000", "--budget.steps", "1")
    with pytest.raises(UserError, match=r"for checkpoints and the replay, .*; make room first, or leave"):
        selfplay.train(config(tmp_path, *large), tmp_path / "run", Watcher())
    selfplay.train(config(tmp_path, *large, "--checkpoint.no-replay"), tmp_path / "other", Watcher())


def test_a_replay_that_finds_no_room_in_the_end_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, label: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, "write_synced", full)
    watcher = Watcher()
    result = selfplay.train(config(tmp_path, "--budget.positions", "200"), tmp_path / "run", watcher)
    assert result.stopped_by == "budget" and result.evaluation is not None
    assert any("warning: the replay is not saved" in line and "disk full" in line for line in watcher.lines)
    assert verify(tmp_path / "run").problems == []


def test_an_algorithm_without_transitions_has_no_replay_to_save(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint\.replay: alphazero has no replay of transitions"):
        selfplay.train(tiny_config(tmp_path, "--checkpoint.replay"), tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()
