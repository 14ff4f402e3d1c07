"""The real package against a stand-in for its server: an outage, and weights for which room is made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import wandb_server
from mirrors import open_mirror
from no_wandb import forget_wandb
from run_helpers import wait_until

from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder
from selfplay.training import tracking
from selfplay.training.tracking import Tracker
from selfplay.training.wandb_run import WandbRun

pytestmark = pytest.mark.slow

PATIENCE = 300.0
"""Seconds for what ends by itself: enough on a machine that is busy with other things."""


class Online:
    """A server that can go and come back, and the mirror of a run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_wandb(monkeypatch, folder)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        self.folder, self.lines, self.warnings = folder, 0, list[str]()
        self._monkeypatch = monkeypatch

    @contextmanager
    def server(self) -> Iterator[None]:
        port = self.folder / "port"
        port.unlink(missing_ok=True)
        command = [sys.executable, wandb_server.__file__, str(self.folder)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: port.exists() and port.read_text().endswith("\n"), "the server listens")
            self._monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port.read_text().strip()}")
            yield
        finally:
            process.kill()
            process.wait()

    def open(self, run: Path, **options: Any) -> Tracker:
        record = run / "metrics.jsonl"
        return open_mirror(
            run, self.warnings.append, known=WandbRun("run1", "sweep1"), record=record, lines=self.lines,
            init_seconds=PATIENCE, mode="online", project="p", entity="me", group="group1", tags=("t",), **options,
        )  # fmt: skip

    def write(self, run: Path, tracker: Tracker) -> None:
        row = {"step": self.lines, "positions": 1, "time_s": 1.0}
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.lines += 1
        tracker.log(row, self.lines - 1)

    def fail(self, **faults: str) -> None:
        """What happens to requests from now on, by operation; see `wandb_server`."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())


def test_rows_of_an_outage_are_filled_in_and_the_end_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online, run = Online(tmp_path, monkeypatch), tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(tracking, "_GRACE_SECONDS", PATIENCE)  # what is bounded here is W&B's own end
    with online.server():
        tracker = online.open(run, finish_seconds=PATIENCE)
        for _ in range(3):
            online.write(run, tracker)
        tracker.finish()
        assert online.warnings == []
        tracker = online.open(run, finish_seconds=3.0)
        wait_until(lambda: tracker.where is not None, "the run has begun")
    online.write(run, tracker)  # nobody is there to take it
    tracker.finish()
    (warning,) = online.warnings
    assert warning.startswith("W&B: not all of 1 rows and of the files was uploaded within 3 s; `wandb sync ")
    with online.server():
        tracker = online.open(run, finish_seconds=PATIENCE)
        online.write(run, tracker)
        tracker.finish()
    assert [json.loads(row)["train/step"] for row in online.state["rows"]] == [0, 1, 2, 3, 4]
    first = online.state["runs"][0]
    assert (first["name"], first["sweep"], first["groupName"], first["tags"]) == ("run1", "sweep1", "group1", ["t"])


VERSION_BYTES = 24_000
"""Size of a version in these tests, but for a few bytes of settings."""


def save_version(run: Path, version: int) -> None:
    """A checkpoint of a run, as far as W&B gets it."""
    folder = RunFolder(run)
    folder.config.write_text("name: small\n")
    place = folder.checkpoints / f"{version:08d}"
    place.mkdir(parents=True)
    for name in (checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST):
        (place / name).write_bytes(bytes([version]) * (VERSION_BYTES // 3))


@pytest.mark.parametrize("fault", [None, "refuse", "error", "hang"])
def test_old_versions_are_removed_and_a_server_that_does_not_lets_no_more_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    online, run = Online(tmp_path, monkeypatch), tmp_path / "run"
    run.mkdir()
    if fault is not None:
        online.fail(DeleteArtifact=fault)
    with online.server():
        tracker = online.open(run, finish_seconds=PATIENCE, weights_megabytes=2.5e-6 * VERSION_BYTES)
        for version, goal in enumerate([0.1, 0.9, 0.2, 0.3]):
            save_version(run, version)
            tracker.weights(version, goal)
            online.write(run, tracker)
        tracker.finish()
    state = online.state
    assert (len(state["rows"]), state["exit_codes"], state["unknown"]) == (4, [0], [])
    assert state["largest"] < 2.5 * VERSION_BYTES
    kept = {json.loads(one["metadata"])["step"]: set(one["aliases"]) for one in state["artifacts"].values()}
    if fault is None:
        assert kept == {1: {"best", "step-1"}, 3: {"latest", "step-3"}}
        assert (state["deleted"], online.warnings) == (["a0", "a2"], [])
        assert not list((run / "wandb" / "weights").iterdir())
    else:
        assert kept == {0: {"step-0"}, 1: {"latest", "best", "step-1"}}
        (warning,) = online.warnings
        assert warning.startswith("W&B could not make room for weights (")
