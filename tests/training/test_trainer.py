"""A run from end to end: what it writes, when it stops, and that it survives the death of an actor."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_helpers import Watcher, start, tiny_config, tiny_file, wait_until

import selfplay
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.alphazero import AlphaZero
from selfplay.commands.train import exit_status
from selfplay.config import reader
from selfplay.errors import UserError
from selfplay.replay.positions import PositionReplay
from selfplay.storage import checkpoint, shards
from selfplay.storage.files import publish
from selfplay.storage.metrics import AXES, read_metrics, unknown_names
from selfplay.storage.run_folder import RunFolder
from selfplay.system import preflight
from selfplay.training.trainer import Trainer
from selfplay.training.verification import verify


def test_a_run_writes_settings_metrics_checkpoints_and_games(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, "--budget.steps", "12", "--checkpoint.every_steps", "4",
        "--checkpoint.keep_last=2", "--checkpoint.keep_every=0",
    )  # fmt: skip
    watcher = Watcher()
    result = selfplay.train(config, tmp_path / "run", watcher)
    assert (result.version, result.stopped_by, result.evaluation) == (12, "budget", None)
    folder = RunFolder.open(tmp_path / "run")
    assert selfplay.load_config(selfplay.Config, folder.config) == config

    rows = list(read_metrics(folder.metrics))
    assert rows and all(unknown_names(row) == [] and set(AXES) <= set(row) for row in rows)
    last = rows[-1]
    assert last["step"] == 12
    assert {"train/policy_loss", "selfplay/game_length", "selfplay/simulations_per_second"} <= set(last)
    shares = [last[f"selfplay/{name}"] for name in ("first_player_win", "draw", "second_player_win")]
    assert sum(shares) == pytest.approx(1.0)

    assert checkpoint.versions(folder.checkpoints) == [8, 12]
    saved = checkpoint.load(folder.checkpoints)
    games_played, positions, _ = shards.totals(folder.games)
    assert games_played == saved.state["games"] == last["train/games"] > 0
    assert positions == saved.state["positions"] == last["positions"]
    records = [record for _, rows in shards.read_shards(folder.games, None, pytest.fail) for record in rows]
    assert len(records) == games_played and sum(len(record["action"]) for record in records) == positions
    assert f"steps: {12}" in watcher.lines


@pytest.mark.parametrize(("limit", "number"), [("steps", 7), ("games", 30)])
def test_the_budget_stops_a_run(tmp_path: Path, limit: str, number: int) -> None:
    watcher = Watcher()
    selfplay.train(tiny_config(tmp_path, f"--budget.{limit}", str(number)), tmp_path / "run", watcher)
    state = checkpoint.load(tmp_path / "run" / "checkpoints").state
    if limit == "steps":
        assert state["steps"] == number
    else:
        assert number <= state["games"] < number + 8, "a round of eight games may pass the limit"
    assert watcher.statuses[-1].budget_fraction == 1.0
    fractions = [status.budget_fraction for status in watcher.statuses]
    assert fractions == sorted(fractions)


@pytest.mark.parametrize("sample_reuse", [0.5, 6.0])
def test_sample_reuse_is_kept_in_both_directions(tmp_path: Path, sample_reuse: float) -> None:
    config = tiny_config(tmp_path, "--budget.steps", "30", "--replay.sample_reuse", str(sample_reuse))
    watcher = Watcher()
    selfplay.train(config, tmp_path / "run", watcher)
    batch, longest_round = config.learner.batch_size, 8 * 9
    for status in watcher.statuses:
        drawn = status.step * batch
        assert drawn <= sample_reuse * status.positions, "the learner waits for the games"
        # Games wait for the learner: a round starts only when less than a batch is owed (or too little was played).
        enough = max(config.replay.min_positions, (drawn + batch) / sample_reuse)
        assert status.positions <= enough + longest_round
    row = list(read_metrics(tmp_path / "run" / "metrics.jsonl"))[-1]
    assert row["train/sample_reuse"] == pytest.approx(30 * batch / row["positions"])


@pytest.mark.parametrize(("least_reuse", "expected"), [("0", True), ("2", True), ("1", False)])
def test_actors_wait_for_the_learner_below_the_least_reuse(tmp_path: Path, least_reuse: str, expected: bool) -> None:
    config = tiny_config(tmp_path, "--replay.sample_reuse", "4", "--replay.least_reuse", least_reuse)
    with RunFolder.create(tmp_path / "run", "run") as folder:
        trainer = Trainer(config, folder, Watcher())
        trainer.replay.total, trainer.reuse.samples = 100_000, 150_000
        assert (trainer.reuse.ahead() < 0) == expected
        assert trainer.may_learn, "the learner goes on until 4 samples a position"
        trainer.reuse.samples = 400_000
        assert not trainer.may_learn and trainer.reuse.ahead() > 0
        trainer.close()


def test_a_change_of_the_reuse_owes_nothing_for_what_was_played_before(tmp_path: Path) -> None:
    """Else the learner would stand still until twice as much is played, or draw as much again from old positions."""
    run, budget = tmp_path / "run", ("--budget.steps", "20")
    selfplay.train(tiny_config(tmp_path, *budget, "--replay.sample_reuse", "4"), run, Watcher())
    before = list(read_metrics(run / "metrics.jsonl"))[-1]
    for reuse, steps in (("2", 40), ("8", 60)):
        changed = tiny_config(tmp_path, "--budget.steps", str(steps), "--replay.sample_reuse", reuse)
        for _ in range(2):  # as often as it is killed before its next checkpoint
            with RunFolder.resume(run) as folder:
                trainer = Trainer(changed, folder, Watcher())
                assert trainer.reuse.owed(float(reuse)) == 0
                trainer.close()
        selfplay.resume(run, lambda old, new=changed: new, Watcher())
        after = list(read_metrics(run / "metrics.jsonl"))[-1]
        drawn, played = 20 * 16, after["positions"] - before["positions"]
        assert drawn <= float(reuse) * played <= drawn + 16 + float(reuse) * 8 * 9, "a round of eight games more"
        assert after["train/sample_reuse"] == pytest.approx(drawn / played)
        before = after
    selfplay.resume(run, lambda old: replace(old, budget=replace(old.budget, steps=65)), Watcher())
    last = list(read_metrics(run / "metrics.jsonl"))[-1]
    assert last["train/sample_reuse"] == pytest.approx(25 * 16 / (played + last["positions"] - before["positions"]))


def test_training_goes_on_after_an_actor_is_killed(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_once(status) -> None:
        actors = [child for child in multiprocessing.active_children() if child.name == "actor"]
        if status.step >= 2 and not killed and actors:
            killed.append(actors[0].pid)
            os.kill(actors[0].pid, signal.SIGKILL)

    # There is one actor and no sample is drawn twice, so most steps need games of its replacement.
    config = tiny_config(
        tmp_path, "--actors.num_actors", "1", "--replay.sample_reuse", "1", "--budget.steps", "60",
        "--search.num_simulations", "64", "--learner.batch_size", "32",
    )  # fmt: skip
    watcher = Watcher(kill_once)
    result = selfplay.train(config, tmp_path / "run", watcher)
    assert result.version == 60 and len(killed) == 1
    assert "warning: actor 0 ended (exit status -9); starting another" in watcher.lines
    row = list(read_metrics(tmp_path / "run" / "metrics.jsonl"))[-1]
    assert row["selfplay/actor_restarts"] >= 1
    assert row["train/sample_reuse"] <= 1.0
    assert [child for child in multiprocessing.active_children() if child.name == "actor"] == []


def test_sigterm_saves_and_exits_143(tmp_path: Path) -> None:
    run = tmp_path / "run"
    driver = start("train", tiny_file(tmp_path), "--run-dir", run, "--checkpoint.every_steps", "5")
    try:
        wait_until(lambda: bool(checkpoint.versions(run / "checkpoints")[1:]), "a checkpoint in the middle")
        driver.terminate()
        output, _ = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert driver.returncode == 143 == exit_status("SIGTERM"), output
    assert "stopping: saving first" in output and "SIGTERM" in output and "Traceback" not in output
    state = checkpoint.load(run / "checkpoints").state
    row = list(read_metrics(run / "metrics.jsonl"))[-1]
    assert row["step"] == state["steps"] >= 5 and row["train/games"] == state["games"]


def test_two_requests_end_a_run_at_once_and_it_can_be_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def ask_twice(status) -> None:
        if status.step == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    config = tiny_config(tmp_path, "--checkpoint.every_steps", "3", "--actors.num_actors", "1", "--budget.steps", "9")
    with pytest.raises(KeyboardInterrupt):
        selfplay.train(config, run, Watcher(ask_twice))
    assert [child for child in multiprocessing.active_children() if child.name == "actor"] == []
    assert checkpoint.versions(run / "checkpoints")[-1] == 6
    assert verify(run).problems == []
    assert selfplay.resume(run, display=Watcher()).version == 9


@pytest.mark.parametrize("place", ["warm_up", "finish"])
def test_a_request_ends_at_once_what_has_nothing_to_save(tmp_path: Path, monkeypatch, place: str) -> None:
    def ask(*arguments) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")

    monkeypatch.setattr(AlphaZero, place, ask)
    result = selfplay.train(tiny_config(tmp_path, "--budget.steps", "3"), tmp_path / "run", Watcher())
    assert (result.stopped_by, result.version) == ("SIGTERM", 0 if place == "warm_up" else 3)
    assert verify(tmp_path / "run").problems == []


def test_a_batch_without_a_finite_loss_is_kept_to_be_looked_at(tmp_path: Path, monkeypatch) -> None:
    """Samples of steps 3 and 4 have no finite value."""
    sample, drawn = PositionReplay.sample, []

    def broken(self, size, rng):
        batch = sample(self, size, rng)
        drawn.append(batch)
        if len(drawn) in (3, 4):
            batch.value_target[:] = np.nan
        return batch

    monkeypatch.setattr(PositionReplay, "sample", broken)
    run, watcher = tmp_path / "run", Watcher()
    assert selfplay.train(tiny_config(tmp_path, "--budget.steps", "9"), run, watcher).version == 9
    assert [line for line in watcher.lines if line.startswith("warning")] == [
        f"warning: the loss of step 3 is not finite, it is left out; see {run / 'bad_batch.npz'}"
    ]
    with np.load(run / "bad_batch.npz") as kept:
        np.testing.assert_array_equal(kept["observation"], drawn[2].observation)
    assert list(read_metrics(run / "metrics.jsonl"))[-1]["train/skipped_steps"] == 2


@pytest.mark.parametrize("where", ["raw", "average"])
def test_weights_that_are_not_finite_stay_in_the_learner(tmp_path: Path, where: str) -> None:
    trainers: list[Trainer] = []
    run = tmp_path / "run"

    def spoil(status) -> None:
        if status.step == 5:
            learner = trainers[0].learner
            tensors = learner.net.state_dict() if where == "raw" else learner.average
            next(iter(tensors.values())).view(-1)[0] = math.inf

    config = tiny_config(tmp_path, "--checkpoint.every_steps", "2", "--budget.steps", "9")
    with RunFolder.create(run, "run") as folder:
        publish(folder.config, reader.dump(config).encode())
        trainers.append(Trainer(config, folder, Watcher(spoil)))
        with pytest.raises(UserError, match="not finite at step 6; .* of step 4") as caught:
            trainers[0].run()
        trainers[0].close()
    assert "\n" not in str(caught.value)
    assert verify(run).newest == 4 and verify(run).problems == []


def test_positions_of_old_weights_are_counted_and_not_learned_from(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "--replay.max_policy_lag", "10")
    with RunFolder.create(tmp_path / "run", "run") as folder:
        trainer = Trainer(config, folder, Watcher())
        trainer.reuse.min_positions = 10**9  # so that it only plays
        trainer.source.start()
        trainer.source.publish({PLAYER: (4, trainer.learner.weights())})
        trainer.version = 14
        trainer._play()
        taken = trainer.replay.total
        assert trainer._stale == 0 and taken == trainer.progress.positions > 0
        trainer.version = 15  # the actors should have had these weights long ago
        trainer._play()
        late = trainer.progress.positions - taken
        assert trainer._stale == late > 0 and trainer.replay.total == taken
        trainer.version = 14
        trainer._play()
        newest = trainer.progress.positions - taken - late
        assert trainer.replay.total == taken + newest and trainer._stale == late
        trainer.save()
        trainer.close()
        again = Trainer(config, folder, Watcher())
        assert again.replay.total == trainer.replay.total, "nor after a resume"
        again.close()


def test_games_on_disk_stay_within_their_limit(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny_config(
        tmp_path, "--budget.steps", "40", "--replay.sample_reuse", "1", "--checkpoint.every_steps", "4",
        "--checkpoint.games_gigabytes", "3e-5",
    )  # fmt: skip
    selfplay.train(config, run, Watcher())
    found = verify(run)
    assert found.problems == [] and found.removed > 0 < found.shards
    assert sum(path.stat().st_size for path in (run / "games").glob("*.npz")) <= 30_000
    state = checkpoint.load(run / "checkpoints").state
    assert found.games < state["games"] == shards.totals(run / "games")[0]
    assert any("of the oldest shards were removed" in note for note in found.notes)


def test_a_disk_without_room_for_a_checkpoint_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(preflight, "LEAST_DISK", 10**18)
    with pytest.raises(UserError, match="^disk full: .* needs at least 1,000,000,000.0 GB"):
        selfplay.train(tiny_config(tmp_path), tmp_path / "run", Watcher())


# Refusals: one clear line, before anything is made.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation.opponents": "randon"}, "did you mean 'random'"),
        ({"evaluation.opponents": "mcts:simulations=0"}, "simulations: 0 is out of range"),
        ({"game": "tic_tac_to"}, "did you mean tic_tac_toe"),
        ({"search.rule": "uct"}, r"search\.rule: uct"),
        ({"search.subtree_reuse": "true"}, r"search\.subtree_reuse: not with search\.rule gumbel"),
        ({"replay.least_reuse": "5"}, r"replay\.least_reuse: 5 is more than replay\.sample_reuse, 4;"),
        (
            {"algorithm": "reinforce", "replay.least_reuse": "2"},
            r"replay\.least_reuse: 2 is more than what reinforce draws, 1;",
        ),
        ({"algorithm": "dqn", "actors.max_plies": "9"}, r"actors\.max_plies: dqn .*game:NAME\(max_plies=9\)"),
        ({"learner.batch_size": "1"}, r"learner\.batch_size: 1 position has no variance"),
        ({"net.input_transform": "pixels"}, r"net\.input_transform: pixels is for bytes"),
        ({"evaluation.opponents": "human"}, r"evaluation\.opponents: human"),
        ({"evaluation.gate": "true"}, r"evaluation\.gate: with evaluation\.every_minutes 0"),
        ({"search.forced_playouts": "2"}, r"search\.forced_playouts: only with search\.rule puct"),
        ({"game": "2048", "actors.resign_value": "0.9"}, r"actors\.resign_value: 2048 is not won or lost"),
        ({"actors.dtype": "int8"}, r"actors\.dtype: int8 needs a resnet without separate_value"),
        ({"net.kind": "resnet", "game": "pig", "actors.dtype": "int8"}, r"net\.kind: resnet needs a board"),
        ({"replay.min_positions": "100", "replay.capacity": "99"}, r"replay\.min_positions: 100 is more than"),
        ({"replay.capacity": "1000000000000"}, r"replay\.capacity: 1,000,000,000,000 positions take at least"),
        ({"net.hidden": "65536", "net.layers": "3"}, r"net: the 8,59.* weights of the network, in learning take at"),
        ({"net.hidden": "65536", "algorithm": "muzero"}, r"net: the .* weights of the network, in learning take at"),
        ({"net.hidden": "65536", "net.layers": "3", "algorithm": "dqn"}, r"net: the 8,59.* weights of the network"),
        (
            {"game": "go(board_size=3)", "net.input_transform": "symlog"},
            r"input_transform: go\(board_size=3\) says how",
        ),
        (
            {"game": "go(board_size=3)", "net.input_transform": "running", "algorithm": "actor_critic"},
            r"each of its planes is scaled, which running would replace; use none",
        ),
        ({"search.num_simulations": "9999999", "actors.games_per_actor": "60000"}, r"search\.num_simulations: 60,000"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_folder_is_made(tmp_path, change, message) -> None:
    overrides = [f"--{key}={value}" for key, value in change.items()]
    with pytest.raises((UserError, ValueError), match=message) as caught:
        selfplay.train(tiny_config(tmp_path, "--budget.steps=1", *overrides), tmp_path / "run", Watcher())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_settings_out_of_range_from_python_are_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "--budget.steps", "1")
    config = replace(config, search=replace(config.search, num_simulations=0))
    with pytest.raises(UserError, match=r"search\.num_simulations: 0 is out of range"):
        selfplay.train(config, tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_used_twice(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "--budget.steps", "2")
    selfplay.train(config, tmp_path / "run", Watcher())
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match="already holds a run"):
        selfplay.train(config, tmp_path / "run", Watcher())
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "value", "name"),
    [
        ("--net.hidden", "32", "net"),
        ("--game", "connect_four", "game"),
        ("--muzero.support", "3", "muzero.support"),
        ("--muzero.sampled_actions", "5", "muzero.sampled_actions"),
        ("--muzero.consistency_weight", "1", "muzero.consistency_weight"),  # its layers are there or not
        ("--seed", "2", "seed"),
        ("--name", "other", "name"),
        ("--learner.optimizer", "sgd", "learner.optimizer"),
    ],
)
def test_resume_refuses_what_cannot_change(tmp_path: Path, flag: str, value: str, name: str) -> None:
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, "--budget.steps", "2"), run, Watcher())
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "run.lock"}
    changed = tiny_config(tmp_path, flag, value)
    with pytest.raises(UserError, match=f"{name} cannot change in a run that has started"):
        selfplay.resume(run, lambda _: changed, Watcher())
    assert before == {path: path.read_bytes() for path in before}


def test_resume_without_a_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run"):
        selfplay.resume(tmp_path / "nothing", display=Watcher())
    assert not (tmp_path / "nothing").exists()


def test_signals_are_given_back_after_a_run(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    selfplay.train(tiny_config(tmp_path, "--budget.steps", "1"), tmp_path / "run", Watcher())
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_request_to_stop_saves_what_was_played(tmp_path: Path) -> None:
    def ask(status) -> None:
        if status.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    result = selfplay.train(tiny_config(tmp_path, "--budget.steps", "50"), tmp_path / "run", Watcher(ask))
    assert (result.stopped_by, result.evaluation) == ("SIGINT", None)
    assert 4 <= result.version < 50
    assert checkpoint.versions(tmp_path / "run" / "checkpoints")[-1] == result.version
