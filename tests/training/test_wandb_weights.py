"""Weights in W&B: versions with aliases that play, within a number of bytes."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mirrors import open_mirror
from no_wandb import forget_wandb
from run_helpers import Watcher, tiny_config
from wandb_file import offline_runs

import games
import selfplay
from selfplay.players.kinds import parse_player
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics
from selfplay.training import wandb_worker
from selfplay.training.tracking import WandbTracker
from selfplay.training.wandb_weights import newest, stage
from selfplay.training.wandb_worker import Weights

PATIENCE = {"init_seconds": 300.0, "finish_seconds": 300.0}
"""Seconds for what ends by itself: enough on a machine that is busy with other things."""


class Server:
    """A stand-in for the package: artifacts have versions, and an alias moves to the newest that has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, limit: int) -> None:
        self.versions: list[SimpleNamespace] = []
        self.largest = 0
        self.breaks = False
        self.notices = io.StringIO()
        self.folder = folder
        monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Artifact=self.artifact, Api=self.api))
        self.start = {"run_dir": str(folder), "run_id": "r1", "weights_bytes": limit}
        self.run: Any = SimpleNamespace(entity="e", project="p", log_artifact=self.log, resumed=False)

    def artifact(self, name: str, kind: str, metadata: dict[str, Any]) -> SimpleNamespace:
        made = SimpleNamespace(name=name, kind=kind, metadata=metadata, aliases=[], size=0)

        def add_dir(path: str, policy: str, skip_cache: bool) -> None:
            assert policy == "immutable" and skip_cache
            made.size = sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())

        made.add_dir = add_dir
        return made

    def log(self, made: SimpleNamespace, aliases: list[str]) -> SimpleNamespace:
        for other in self.versions:
            other.aliases = [alias for alias in other.aliases if alias not in aliases]
        made.aliases, made.version = aliases, f"v{made.metadata['step']}"
        made.delete = lambda delete_aliases: self.versions.remove(made)
        made.wait = lambda: self.wait(made)
        self.versions.append(made)
        self.largest = max(self.largest, sum(one.size for one in self.versions))
        return made

    def wait(self, made: SimpleNamespace) -> None:
        """Until the artifact has arrived."""

    def api(self, timeout: int) -> Any:
        if self.breaks:
            raise ConnectionError("gone")
        return SimpleNamespace(
            artifact_collection_exists=lambda path, kind: (path, kind) == ("e/p/weights-r1", "model"),
            artifacts=lambda kind, path: list(reversed(self.versions)),
        )

    def weights(self, is_online: bool = True, best: float | None = None) -> Weights:
        return Weights(self.run, self.start, is_online, best, self.notices)

    def order(self, version: int, goal: float | None, size: int = 100) -> dict[str, Any]:
        folder = self.folder / "wandb" / "weights" / str(version)
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(size))
        return {"weights": str(folder), "version": version, "bytes": size, "goal": goal}

    def kept(self) -> dict[int, list[str]]:
        return {one.metadata["step"]: one.aliases for one in self.versions}


def test_old_versions_go_so_that_all_fit_and_the_best_goes_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = Server(monkeypatch, tmp_path, limit=300)
    weights = server.weights()
    for version, goal in enumerate([0.1, 0.9, 0.2, 0.3, None, 0.9]):
        weights.add(server.order(version, goal))
    assert server.kept() == {1: ["best", "step-1"], 4: ["step-4"], 5: ["latest", "step-5"]}
    assert server.largest == 300
    weights.uploaded()
    assert not list((tmp_path / "wandb" / "weights").iterdir())


def test_one_version_fits_where_there_is_room_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server(monkeypatch, tmp_path, limit=150)
    weights = server.weights()
    for version, goal in enumerate([0.9, 0.1]):
        weights.add(server.order(version, goal))
    assert server.kept() == {1: ["latest", "step-1"]} and server.largest == 100


def test_a_resumed_run_knows_its_best(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server(monkeypatch, tmp_path, limit=1000)
    weights = server.weights(best=0.5)
    for version, goal in enumerate([0.4, 0.6]):
        weights.add(server.order(version, goal))
    assert server.kept() == {0: ["step-0"], 1: ["latest", "best", "step-1"]}


def test_nothing_is_sent_while_nothing_can_be_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server(monkeypatch, tmp_path, limit=300)
    weights = server.weights()
    weights.add(server.order(0, None))
    server.breaks = True
    for version in (1, 2):
        weights.add(server.order(version, None))
    server.breaks = False
    weights.add(server.order(3, None))
    assert list(server.kept()) == [0, 3]
    assert [json.loads(line) for line in server.notices.getvalue().splitlines()] == [
        {"warning": "W&B could not make room for weights (ConnectionError: gone); it gets no new ones until it can"}
    ]
    assert sorted(path.name for path in (tmp_path / "wandb" / "weights").iterdir()) == ["0", "3"]


def test_a_server_that_hangs_holds_one_version_for_a_bounded_time_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, answers = Server(monkeypatch, tmp_path, limit=300), threading.Event()
    monkeypatch.setattr(wandb_worker, "ROOM_SECONDS", 0.1)
    monkeypatch.setattr(server, "wait", lambda made: answers.wait())
    weights = server.weights()
    for version in range(3):
        weights.add(server.order(version, None))
    assert list(server.kept()) == [0]
    answers.set()
    monkeypatch.setattr(wandb_worker, "ROOM_SECONDS", 60.0)
    assert weights._removal is not None
    weights._removal.join()
    weights.add(server.order(3, None))
    assert list(server.kept()) == [0, 3]
    reason = "TimeoutError: not done within 0.1 s"
    assert [json.loads(line) for line in server.notices.getvalue().splitlines()] == [
        {"warning": f"W&B could not make room for weights ({reason}); it gets no new ones until it can"}
    ]


def test_a_version_of_which_nothing_is_known_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A question that failed once let all later versions in, because none was known to be there."""
    server = Server(monkeypatch, tmp_path, limit=200)
    answers: list[Exception | None] = [ConnectionError("gone"), None, None, None]

    def wait(made: SimpleNamespace) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(server, "wait", wait)
    weights = server.weights()
    for version in range(5):
        weights.add(server.order(version, None))
    assert list(server.kept()) == [3, 4] and server.largest == 200


def test_an_upload_that_failed_is_said_and_the_next_version_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = Server(monkeypatch, tmp_path, limit=300)

    def lose(made: SimpleNamespace) -> None:
        server.versions.remove(made)
        raise ValueError("disk full")

    monkeypatch.setattr(server, "wait", lose)
    weights = server.weights()
    for version in range(2):
        weights.add(server.order(version, None))
    assert list(server.kept()) == [1]
    assert [json.loads(line) for line in server.notices.getvalue().splitlines()] == [
        {"warning": "W&B did not take weights (ValueError: disk full); rows are still sent"}
    ]


def test_weights_that_wandb_does_not_take_are_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server(monkeypatch, tmp_path, limit=300)

    def refuse(made: object, aliases: list[str]) -> None:
        raise ValueError("no such type")

    server.run.log_artifact = refuse
    weights = server.weights()
    for version in range(2):
        weights.add(server.order(version, None))
    assert [json.loads(line) for line in server.notices.getvalue().splitlines()] == [
        {"warning": "W&B did not take weights (ValueError: no such type); rows are still sent"}
    ]
    assert not list((tmp_path / "wandb" / "weights").iterdir())


@pytest.mark.parametrize(
    ("limit", "kept"), [(300, {1: ["best", "step-1"], 3: ["latest", "step-3"]}), (150, {3: ["latest", "step-3"]})]
)
def test_an_offline_run_writes_the_newest_and_the_best_at_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, kept: dict[int, list[str]]
) -> None:
    server = Server(monkeypatch, tmp_path, limit)
    weights = server.weights(is_online=False)
    for version, goal in enumerate([0.1, 0.9, 0.2, None]):
        weights.add(server.order(version, goal))
        assert len(list((tmp_path / "wandb" / "weights").iterdir())) <= 2
    assert server.kept() == {}
    weights.end()
    assert server.kept() == kept


@pytest.fixture
def run_with_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run in the real package, offline."""
    forget_wandb(monkeypatch, tmp_path)
    words = [
        "--wandb.mode",
        "offline",
        "--wandb.weights_megabytes",
        "5",
        "--budget.steps",
        "2",
        "--evaluation.opponents",
        "random",
    ]
    selfplay.train(tiny_config(tmp_path, *words), tmp_path / "run", Watcher())
    return tmp_path / "run"


def test_a_run_has_its_weights_as_an_artifact_within_its_folder(run_with_weights: Path, tmp_path: Path) -> None:
    (offline,) = offline_runs(run_with_weights)
    (artifact,) = [one for one in offline.artifacts if one.type == "model"]
    (goal,) = [row["eval/goal"] for row in read_metrics(run_with_weights / "metrics.jsonl") if "eval/goal" in row]
    assert (artifact.name, artifact.type) == (f"weights-{offline.run.run_id}", "model")
    assert set(artifact.aliases) == {"latest", "best", "step-2"}
    assert json.loads(artifact.metadata) == {"step": 2, "eval/goal": goal}
    files = {Path(entry.path): Path(entry.local_path) for entry in artifact.manifest.contents}
    names = (checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST)
    assert set(files) == {Path("config.yaml"), *(Path("checkpoints/00000002") / name for name in names)}
    assert all(path.is_relative_to(run_with_weights.resolve() / "wandb" / "weights") for path in files.values())
    downloaded = tmp_path / "downloaded"
    for name, path in files.items():
        (downloaded / name).parent.mkdir(parents=True, exist_ok=True)
        (downloaded / name).write_bytes(path.read_bytes())
    player = parse_player(f"run:{downloaded}", games.load("tic_tac_toe"))
    player.close()


def test_weights_are_off_unless_asked_for_and_too_large_ones_are_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget_wandb(monkeypatch, tmp_path)
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, "--wandb.mode", "disabled", "--budget.steps", "2"), run, Watcher())
    warnings: list[str] = []
    for megabytes in (None, 0.001):
        tracker = open_mirror(run, warnings.append, weights_megabytes=megabytes, **PATIENCE)
        assert isinstance(tracker, WandbTracker)
        tracker.weights(newest(run))
        tracker.weights(0, 1.0)
        tracker.finish()
    assert [offline.artifacts for offline in offline_runs(run)] == [[], []]
    (warning,) = warnings
    assert warning.startswith("W&B gets no weights: a version has ") and "wandb.weights_megabytes" in warning
    assert not list((run / "wandb" / "weights").iterdir())


def test_a_version_that_is_gone_is_said_and_training_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_wandb(monkeypatch, tmp_path)
    warnings: list[str] = []
    tracker = open_mirror(tmp_path, warnings.append, weights_megabytes=1.0, **PATIENCE)
    tracker.weights(7)
    tracker.finish()
    assert warnings == ["W&B does not get the weights of version 7: No such file or directory"]


def test_a_staged_version_is_made_of_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, "--wandb.mode", "disabled", "--budget.steps", "2"), run, Watcher())
    folder, size = stage(run, 2)
    weights = folder / "checkpoints" / "00000002" / checkpoint.WEIGHTS
    assert weights.samefile(run / "checkpoints" / "00000002" / checkpoint.WEIGHTS)
    assert size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert not list(folder.rglob(checkpoint.LEARNER))
