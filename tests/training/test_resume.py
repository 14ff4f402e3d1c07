"""A run that was killed goes on: exactly where nothing is left to chance, and with its games where actors play."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from record_helpers import kept_rows
from run_helpers import Watcher, start, tiny_config, tiny_file, wait_until

import games
import selfplay
from selfplay.algorithms import networks
from selfplay.algorithms.models import selfplay_models
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.records import from_arrays
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import PositionReplay
from selfplay.storage import checkpoint, shards
from selfplay.storage.metrics import read_metrics
from selfplay.storage.run_folder import RunFolder
from selfplay.system.machine import processes_with
from selfplay.training import run_state
from selfplay.training.budget import Progress
from selfplay.training.run_state import RunState, save_games
from selfplay.training.sample_reuse import SampleReuse
from selfplay.training.trainer import Trainer

STEPS = 23
EVERY = 5

# The third checkpoint is that of step 10: the first is written at the start.
PLACES = ["checkpoint.after_rename:kill:3", "shard.before_manifest:kill:3"]


def exact_options() -> list[str]:
    """A run in one process that depends on nothing but its seed, with all that makes positions count differently."""
    fast = ["--actors.full_search_share", "0.7", "--actors.fast_simulations", "2"]
    weighted = [*fast, "--learner.policy_surprise", "0.5"]
    heads = ["--net.reply_head", "--net.moves_left_head", "--actors.symmetries", "random"]
    ends = ["--budget.steps", str(STEPS), "--checkpoint.every_steps", str(EVERY), "--replay.sample_reuse", "1"]
    return [*weighted, *heads, *ends]


class NoActors:
    """Stands for the source, the gate and the mirror of a run whose parts are looked at one by one."""

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": 0}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def parts_of(config: Config, folder: RunFolder) -> RunState:
    """What a run of AlphaZero has to save, without symmetries in its replay."""
    algorithm = load_algorithm(config)
    game = games.load(config.game)
    replay = PositionReplay(config.replay, game.num_actions, [], TargetSettings.of(config, game))
    reuse, progress = SampleReuse(config, algorithm.needs, replay), Progress(config.budget, lambda: 0)
    rng = np.random.default_rng(1)
    learner = algorithm.make_learner()
    return RunState(folder, config.checkpoint, learner, replay, reuse, progress, rng, source=NoActors())


def state_of(run: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict, dict[str, np.ndarray]]:
    """Averaged weights, the learner's tensors, counters and random state, and the replay as a resume would fill it."""
    folder = RunFolder.open(run)
    config = selfplay.load_config(Config, folder.config)
    parts = parts_of(config, folder)
    assert parts.restore(True, pytest.fail)
    replay, saved = parts.replay, checkpoint.load(folder.checkpoints)
    state = {key: value for key, value in saved.state.items() if key not in ("seconds", "last_shard")}
    return saved.weights, saved.learner, state, kept_rows(replay) | {"total": np.array(replay.total)}


def assert_equal_runs(first: Path, second: Path) -> None:
    for one, other in zip(state_of(first), state_of(second), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other[name]), name
            elif isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, other[name], err_msg=name)
            else:
                assert value == other[name], name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    selfplay.train(tiny_config(folder, *exact_options()), folder / "run", Watcher())
    return folder / "run"


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_killed_and_resumed_equals_an_uninterrupted_one(tmp_path, uninterrupted, place) -> None:
    run = tmp_path / "run"
    child = start("train", tiny_file(tmp_path), "--run-dir", run, *exact_options(), SELFPLAY_FAILPOINT=place)
    output, _ = child.communicate(timeout=600)
    assert child.returncode == -signal.SIGKILL, output
    left = checkpoint.versions(run / "checkpoints")
    assert left and left[-1] < STEPS, "killed in the middle"
    watcher = Watcher()
    result = selfplay.resume(run, display=watcher)
    assert (result.version, result.stopped_by) == (STEPS, "budget")
    assert any(line.startswith(f"resumed at step {left[-1]} with ") for line in watcher.lines)
    assert_equal_runs(run, uninterrupted)


def test_a_run_in_parts_equals_an_uninterrupted_one(tmp_path: Path, uninterrupted: Path) -> None:
    """Stopped twice, at steps where nothing would have been saved or published."""
    run = tmp_path / "run"
    config = tiny_config(tmp_path, *exact_options())

    def stop_at(step: int) -> Watcher:
        return Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == step else None)

    result = selfplay.train(config, run, stop_at(7))
    assert (result.version, result.stopped_by) == (7, "SIGTERM")
    first = checkpoint.load(run / "checkpoints").state
    assert selfplay.resume(run, display=stop_at(13)).version == 13
    second = checkpoint.load(run / "checkpoints").state
    for name in ("samples", "games", "positions", "rounds", "seconds"):
        assert second[name] > first[name] > 0, "counters go on"
    assert selfplay.resume(run, display=Watcher()).version == STEPS
    assert_equal_runs(run, uninterrupted)
    steps = [row["step"] for row in read_metrics(run / "metrics.jsonl")]
    assert steps == [7, 13, STEPS]


def test_another_seed_is_another_run(tmp_path: Path, uninterrupted: Path) -> None:
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, *exact_options(), "--seed", "2"), run, Watcher())
    with pytest.raises(AssertionError):
        assert_equal_runs(run, uninterrupted)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at /proc: it needs Linux")
def test_a_killed_driver_leaves_no_process_and_its_run_goes_on(tmp_path: Path) -> None:
    marker = f"SELFPLAY_TEST_MARKER={tmp_path}"
    run = tmp_path / "run"
    options = ["--actors.num_actors", "2", "--checkpoint.every_steps", "5", "--checkpoint.keep_last", "100"]
    driver = start("train", tiny_file(tmp_path), "--run-dir", run, *options, SELFPLAY_TEST_MARKER=str(tmp_path))
    try:
        wait_until(lambda: len(checkpoint.versions(run / "checkpoints")) > 3, "checkpoints of a run with actors")
        # The driver, its actors, and the process with which multiprocessing tracks resources.
        assert len(processes_with(marker)) >= 3
        driver.kill()
        driver.communicate()
        wait_until(lambda: not processes_with(marker), "the end of every process of the killed run")
    finally:
        driver.kill()

    left = checkpoint.load(run / "checkpoints")
    shards.recover(run / "games", pytest.fail)
    games_on_disk, positions_on_disk, _ = shards.totals(run / "games")
    assert games_on_disk >= left.state["games"] > 0
    watcher = Watcher()
    result = selfplay.resume(run, lambda config: config_with_steps(run, left.version + 10), watcher)
    assert result.version >= left.version + 10
    assert f"resumed at step {left.version} with {positions_on_disk:,} positions in the replay" in watcher.lines
    assert watcher.statuses[0].games >= games_on_disk
    final = checkpoint.load(run / "checkpoints").state
    assert final["games"] >= games_on_disk and final["samples"] > left.state["samples"]
    assert shards.totals(run / "games")[:2] == (final["games"], final["positions"] - final["unfinished"])


def config_with_steps(run: Path, steps: int) -> Config:
    return selfplay.load_config(Config, run / "config.yaml", ["--budget.steps", str(steps)])


def test_games_after_the_checkpoint_are_kept_where_actors_play_and_replayed_where_not(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny_config(tmp_path, "--budget.steps", "3")
    selfplay.train(config, run, Watcher())
    folder = RunFolder.open(run)
    played, positions, next_shard = shards.totals(folder.games)
    newest = [rows for _, rows in shards.read_shards(folder.games, None, pytest.fail)][-1]
    shards.write_shard(folder.games, next_shard, newest, sum(len(row["action"]) for row in newest))

    def restored(exactly: bool) -> tuple[PositionReplay, Progress]:
        parts = parts_of(config, folder)
        assert parts.restore(exactly, pytest.fail)
        return parts.replay, parts.progress

    replay, counters = restored(exactly=False)
    assert (counters.games, counters.positions) == shards.totals(folder.games)[:2]
    assert counters.games == played + len(newest) and replay.total == counters.positions > positions
    replay, counters = restored(exactly=True)
    assert (counters.games, counters.positions) == (played, positions) == shards.totals(folder.games)[:2]
    assert replay.total == positions


def saved_run(folder: RunFolder, capacity: int) -> tuple[PositionReplay, Config]:
    """Forty games with fast searches on disk, in ten shards before a checkpoint; the replay that took them in."""
    options = ["--actors.full_search_share", "0.25", "--replay.capacity", str(capacity), "--replay.min_positions", "9"]
    config = tiny_config(folder.path, *options, "--actors.games_per_actor", "4")
    game, parts, rng = games.load(config.game), parts_of(config, folder), np.random.default_rng(1)
    inference = networks.make_inference(config, game, config.actors, 4)
    inference.load(parts.learner.weights(), 0)
    for _ in range(10):
        models = selfplay_models(config, game, inference.predict, rng)
        collector = SelfPlay(game, models, config.search, config.actors, rng, endless=False)
        records = []
        while not collector.done:
            records += collector.collect()
        save_games(folder, records)
        for record in records:
            parts.replay.add(record)
    parts.save()
    return parts.replay, config


@pytest.mark.parametrize(("count", "is_refused"), [(3, False), (4, True)])
def test_many_damaged_shards_stop_a_resume_once(tmp_path: Path, count: int, is_refused: bool) -> None:
    often = ("--checkpoint.every_steps", "2", "--replay.sample_reuse", "0.5", "--budget.steps", "20")
    selfplay.train(tiny_config(tmp_path, *often), tmp_path / "run", Watcher())
    files = sorted((tmp_path / "run" / "games").glob("*.npz"))
    assert len(files) > 5
    for file in files[-count:]:
        file.write_bytes(file.read_bytes()[:-9])
    longer = tiny_config(tmp_path, *often, "--budget.steps", "25")
    if is_refused:
        with pytest.raises(UserError, match=f": 4 of {len(files)} shards are damaged"):
            selfplay.resume(tmp_path / "run", lambda old: longer, Watcher())
    assert selfplay.resume(tmp_path / "run", lambda old: longer, Watcher()).version == 25


@pytest.mark.parametrize("capacity", [20, 10_000])
def test_a_replay_of_few_kept_positions_is_filled_again(tmp_path: Path, capacity: int) -> None:
    """Only one position of four is kept, so the newest shards with `capacity` positions would not fill the replay."""
    with RunFolder.create(tmp_path / "run", "run") as folder:
        replay, config = saved_run(folder, capacity)
        parts = parts_of(config, folder)
        assert parts.restore(True, pytest.fail)
    again = parts.replay
    assert again.total == replay.total and len(again) == min(capacity, again.total)
    for name, column in kept_rows(replay).items():
        np.testing.assert_array_equal(kept_rows(again)[name], column, err_msg=name)


def test_games_that_are_lost_change_nothing_in_what_the_learner_owes(tmp_path: Path) -> None:
    """Else it would stand still until as much is played again as was lost."""
    run = tmp_path / "run"
    often = ("--budget.steps", "60", "--checkpoint.every_steps", "9")
    config = tiny_config(tmp_path, *often, "--replay.sample_reuse", "1")
    selfplay.train(config, run, Watcher())
    newest = sorted((run / "games").glob("*.npz"))[-2:]
    shards.trim(run / "games", sum(file.stat().st_size for file in newest))
    with RunFolder.resume(run) as folder:
        trainer = Trainer(config, folder, Watcher())
        trainer.close()
    counters = checkpoint.load(run / "checkpoints").state
    assert len(trainer.replay) == trainer.replay.total < counters["kept"] / 2
    assert trainer.reuse.owed(1.0) == counters["kept"] - counters["samples"] >= 0
    assert trainer.reuse.owed(3.0) == 3 * counters["kept"] - counters["samples"]


def test_many_games_go_to_several_shards(tmp_path: Path, monkeypatch) -> None:
    """A shard that unpacks to more than a reader takes could never be read again."""
    with RunFolder.create(tmp_path / "run", "run") as folder:
        saved_run(folder, 10_000)
        games_played, positions, next_shard = shards.totals(folder.games)
        found = shards.read_shards(folder.games, None, pytest.fail)
        records = [from_arrays(row) for _, rows in found for row in rows]
        monkeypatch.setattr(
            run_state, "MOST_SHARD_BYTES", 3 * sum(array.nbytes for array in records[0].arrays().values())
        )
        save_games(folder, records)
        assert shards.totals(folder.games)[:2] == (2 * games_played, 2 * positions)
        again = list(shards.read_shards(folder.games, None, pytest.fail))
    sizes = [len(rows) for shard_id, rows in again if shard_id >= next_shard]
    assert len(sizes) > 5 and max(sizes) <= 5
    written = [row for shard_id, rows in again if shard_id >= next_shard for row in rows]
    assert all((row["action"] == record.action).all() for row, record in zip(written, records, strict=True))


def test_games_that_are_lost_leave_no_empty_rows_in_the_replay(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "run") as folder:
        replay, config = saved_run(folder, 10_000)
        (folder.games / "00000003.npz").write_bytes(b"damaged")
        parts, warnings = parts_of(config, folder), []
        assert parts.restore(False, warnings.append)
    again = parts.replay
    assert len(warnings) == 1
    assert 0 < again.total < replay.total
    assert (kept_rows(again)["moves_left"] > 0).all(), "every row holds a position"
