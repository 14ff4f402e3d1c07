"""Files whose hashes are right and whose numbers are wrong: `verify` names them, a resumed run goes on without them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import Watcher, tiny_config
from test_resume_targets import as_an_older_version

import selfplay
from selfplay.cli import main
from selfplay.errors import UserError
from selfplay.storage import shards
from selfplay.training.verification import verify

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with several shards; not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    often = ("--checkpoint.every_steps", "2", "--replay.sample_reuse", "0.5", "--budget.steps", "14")
    selfplay.train(tiny_config(folder, *often), folder / "run", Watcher())
    return folder / "run"


@pytest.fixture(scope="module")
def made_before(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with shards of format 1."""
    return as_an_older_version(shutil.copytree(made, tmp_path_factory.mktemp("made_before") / "run"))


def longer(config: selfplay.Config) -> selfplay.Config:
    return replace(config, budget=replace(config.budget, steps=config.budget.steps + 2))


def rewrite(path: Path, change: Callable[[Arrays], object]) -> None:
    """Change a shard as a program would that wrote it so: its hash is right."""
    arrays = shards.load_arrays(path.read_bytes())
    change(arrays)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    (path.parent / shards.MANIFEST).unlink()
    shards.recover(path.parent, pytest.fail)


def put(field: str, value: Any, *place: int) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[field][place] = value

    return change


def more_planes(arrays: Arrays) -> None:
    names = [name for name in arrays if name.startswith("ragged/") and "observation" in name]
    arrays.update({name: arrays[name].repeat(2, axis=1) for name in names})


FAULTS: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "an action outside the game": (put("ragged/action", 10**6, 0), "action[0] is 1000000"),
    "another number of planes": (more_planes, "observation has the shape "),
    "no distribution": (put("ragged/policy_target", 0.0, 1), "policy_target[1] sums to 0, not 1"),
    "another player": (put("ragged/to_play", 7, 0), "to_play[0] is 7"),
}

FAULTS_BEFORE = FAULTS | {
    "a negative weight": (put("ragged/weight", -2.0, 1), "weight[1] is -2"),
    "a weight that is NaN": (put("ragged/weight", np.nan, 1), "weight[1] is nan"),
    "a huge weight": (put("ragged/weight", 1e12, 1), "weight is "),
}

CASES = [("made", name) for name in FAULTS] + [("made_before", name) for name in FAULTS_BEFORE]


@pytest.mark.parametrize(("of", "name"), CASES)
def test_wrong_numbers_in_a_sound_shard_ended_a_resume_in_a_traceback(
    of: str, name: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(request.getfixturevalue(of), tmp_path / "run")
    assert verify(run).problems == []
    change, fault = FAULTS_BEFORE[name]
    shard = sorted((run / "games").glob("*.npz"))[-2]
    rewrite(shard, change)
    (problem,) = verify(run).problems
    assert problem.startswith(f"{shard}: game 0: ") and fault in problem
    assert main(["verify", str(run)]) == 1
    watcher = Watcher()
    assert selfplay.resume(run, longer, watcher).version == 16
    (line,) = [line for line in watcher.lines if "bad shard" in line]
    assert line.startswith(f"warning: bad shard: {shard} game 0: ") and fault in line
    assert verify(run).problems == []


def test_many_shards_with_wrong_numbers_stop_a_resume_once(made: Path, tmp_path: Path) -> None:
    run = shutil.copytree(made, tmp_path / "run")
    for shard in sorted((run / "games").glob("*.npz"))[-4:]:
        rewrite(shard, put("ragged/action", -3, 0))
    with pytest.raises(UserError, match=r": 4 of \d+ shards are damaged"):
        selfplay.resume(run, longer, Watcher())
    assert selfplay.resume(run, longer, Watcher()).version == 16
