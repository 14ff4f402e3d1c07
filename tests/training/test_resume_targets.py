"""A resumed run makes its targets and weights from the facts of stored games by the settings that it is given."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import old_records
import pytest
from record_helpers import kept_rows
from run_helpers import Watcher, tiny_config

import games
import selfplay
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.experience.records import GameRecord, from_arrays
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import PositionReplay
from selfplay.storage import checkpoint, shards
from selfplay.storage.run_folder import RunFolder
from selfplay.training.resuming import WITH_GAMES, WITH_TARGETS, only_new_games
from selfplay.training.trainer import Trainer
from selfplay.training.verification import verify

CHANGED = {
    "search.discount": "0.5",
    "learner.td_steps": "1",
    "learner.root_value_share": "0.5",
    "learner.policy_surprise": "0.9",
    "actors.resign_weight": "1",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose games have fast searches and verdicts; not to be written to."""
    folder = tmp_path_factory.mktemp("base")
    options = ["--actors.full_search_share", "0.7", "--actors.fast_simulations", "2", "--actors.resign_value", "0.01"]
    options += ["--actors.resign_plies", "1", "--budget.steps", "6", "--replay.sample_reuse", "1"]
    selfplay.train(tiny_config(folder, *options), folder / "run", Watcher())
    return folder / "run"


@pytest.fixture
def old_run(base: Path, tmp_path: Path) -> Path:
    """The same run as an older version would have left it."""
    return as_an_older_version(shutil.copytree(base, tmp_path / "old"))


def as_an_older_version(run: Path) -> Path:
    """Rewrite the games of a run as an older version would have left them: recorded with their targets."""
    config = reader.load(Config, run / "config.yaml")
    settings = TargetSettings.of(config, games.load(config.game))
    contents = list(shards.read_shards(run / "games", None, pytest.fail))
    shutil.rmtree(run / "games")
    (run / "games").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "FORMAT_VERSION", 1)
        for shard_id, rows in contents:
            records = [from_arrays(row) for row in rows]
            facts = [record for record in records if isinstance(record, GameRecord)]
            old = [old_records.with_targets(record, settings).arrays() for record in facts]
            shards.write_shard(run / "games", shard_id, old, sum(map(len, records)))
    return run


def opened(run: Path, *overrides: str) -> tuple[Trainer, Watcher]:
    """A run that has just been resumed with some settings changed: nothing new has been played."""
    config, watcher = reader.load(Config, run / "config.yaml", overrides), Watcher()
    with RunFolder.resume(run) as folder:
        trainer = Trainer(config, folder, watcher)
        trainer.close()
    return trainer, watcher


def one_step(trainer: Trainer) -> bytes:
    """The weights after a step from the games that were there."""
    batch = trainer.replay.sample(64, np.random.default_rng(0))
    trainer.learner.step(batch, 0.0)
    return b"".join(tensor.numpy().tobytes() for tensor in trainer.learner.raw_weights().values())


def test_the_settings_of_targets_are_known() -> None:
    assert CHANGED.keys() == set(WITH_TARGETS) and not set(WITH_TARGETS) & set(WITH_GAMES)


@pytest.mark.parametrize("key", CHANGED)
def test_other_targets_are_learned_from_games_that_were_played_before(tmp_path: Path, base: Path, key: str) -> None:
    run = shutil.copytree(base, tmp_path / "run")
    before, watcher = opened(run)
    after, _ = opened(run, f"--{key}", CHANGED[key])
    assert not any("warning" in line for line in watcher.lines)
    assert one_step(opened(run)[0]) == one_step(before) != one_step(after)
    assert isinstance(before.replay, PositionReplay) and isinstance(after.replay, PositionReplay)
    old, new = kept_rows(before.replay), kept_rows(after.replay)
    if key in ("learner.policy_surprise", "actors.resign_weight"):
        assert old["observation"].tolist() != new["observation"].tolist(), "positions have other numbers of rows"
    else:
        assert old["observation"].tolist() == new["observation"].tolist()
        assert not np.array_equal(old["value_target"], new["value_target"])
    changed = reader.load(Config, run / "config.yaml", [f"--{key}", CHANGED[key]])
    assert only_new_games(before.config, changed) == []


@pytest.mark.parametrize("key", CHANGED)
def test_the_learner_owes_no_more_and_no_less_for_other_weights(tmp_path: Path, base: Path, key: str) -> None:
    run = shutil.copytree(base, tmp_path / "run")
    before, after = opened(run)[0], opened(run, f"--{key}", CHANGED[key])[0]
    assert before.reuse.owed(1.0) == after.reuse.owed(1.0)


@pytest.mark.parametrize("key", CHANGED)
def test_games_that_were_recorded_with_targets_keep_them_and_one_line_says_so(
    base: Path, old_run: Path, key: str
) -> None:
    same, changed = opened(old_run)[0], opened(old_run, f"--{key}", CHANGED[key])[0]
    assert one_step(changed) == one_step(same) == one_step(opened(base)[0])
    played, watcher = shards.totals(old_run / "games")[0], Watcher()
    config = reader.load(Config, old_run / "config.yaml", [f"--{key}", CHANGED[key]])
    selfplay.resume(old_run, lambda old: config, watcher)
    (line,) = [line for line in watcher.lines if "recorded with their targets" in line]
    assert line.startswith(f"warning: {key}: {played:,} games in {old_run / 'games'} ")


def test_a_run_of_an_older_version_goes_on_with_both_kinds_of_games(old_run: Path) -> None:
    assert not verify(old_run).problems
    longer, watcher = reader.load(Config, old_run / "config.yaml", ["--budget.steps", "30"]), Watcher()
    assert selfplay.resume(old_run, lambda _: longer, watcher).version == 30
    assert not any("targets" in line for line in watcher.lines), "nothing has changed for them"
    found = verify(old_run)
    assert not found.problems and checkpoint.load(old_run / "checkpoints").version == 30
    formats = {int(shards.load_arrays(path.read_bytes())["meta"][0]) for path in (old_run / "games").glob("*.npz")}
    assert formats == {1, 2} == set(shards.READABLE)
