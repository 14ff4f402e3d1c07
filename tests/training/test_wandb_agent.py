"""A real `wandb agent` with the sample sweep, against the stand-in: it starts a run, stops it and starts it again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb_server
import yaml
from no_wandb import forget_wandb
from run_helpers import wait_until

from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.storage.metrics import read_metrics
from selfplay.training.verification import verify
from selfplay.training.wandb_run import WandbRun, remembered

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

PARAMETERS = {
    "learner.learning_rate": 0.003,
    "learner.batch_size": 64,
    "dqn.target_steps": 25,
    "dqn.double": False,
    "budget.positions": 4_000_000,  # so many that no machine is done before it is stopped
}
RUN = {
    "run_id": "run1",
    "program": "selfplay",
    "args": {name: {"value": value} for name, value in PARAMETERS.items()},
}


class Sweep:
    """The server, and an agent that asks it what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, kind: str) -> None:
        """The next command for the agent; it has got it when the file is gone."""
        commands = self.folder / "commands.json"
        written = self.folder / "commands.new"
        written.write_text(json.dumps([RUN | {"type": kind}]))
        written.replace(commands)
        wait_until(lambda: not commands.exists(), f"the agent is told to {kind}")

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.state["rows"]]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    forget_wandb(monkeypatch, tmp_path)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "configs" / "sweeps" / "cartpole_dqn.yaml", tmp_path / "sweep.yaml")
    program = tmp_path / "bin" / "selfplay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m selfplay "$@"\n')
    program.chmod(0o755)
    server = subprocess.Popen([sys.executable, wandb_server.__file__, str(tmp_path)], stderr=subprocess.DEVNULL)
    port, found = tmp_path / "port", Sweep(tmp_path)
    wait_until(lambda: port.exists() and port.read_text().endswith("\n"), "the server listens")
    more = {
        "WANDB_BASE_URL": f"http://127.0.0.1:{port.read_text().strip()}",
        "WANDB_API_KEY": "0" * 40,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "wandb", "agent", "me/p/sweep1"]
    agent = subprocess.Popen(command, cwd=tmp_path, env=os.environ | more, stderr=subprocess.DEVNULL)
    try:
        yield found
    finally:
        for process in (agent, server):
            process.kill()
            process.wait()


def test_a_run_that_the_agent_stops_has_a_goal_and_goes_on_as_the_same_run(sweep: Sweep) -> None:
    sweep.tell("run")
    wait_until(lambda: any("eval/goal" in row for row in sweep.rows), "the goal is at the server")
    sweep.tell("stop")
    wait_until(lambda: bool(sweep.state["exit_codes"]), "the run has ended")
    wait_until(lambda: sweep.state["heartbeats"][-1] == "{}", "the agent has seen its end")
    (run,) = sweep.folder.glob("runs/*")
    assert verify(run).problems == []
    rows = len(sweep.rows)
    sweep.tell("resume")
    wait_until(lambda: len(sweep.rows) > rows + 1, "the run goes on")
    sweep.tell("stop")
    wait_until(lambda: len(sweep.state["exit_codes"]) == 2, "the run has ended again")
    wait_until(lambda: sweep.state["heartbeats"][-1] == "{}", "the agent has seen its end")
    assert list(sweep.folder.glob("runs/*")) == [run], "the second start is no second run"
    assert remembered(run) == WandbRun("run1", "sweep1")
    assert {one["name"] for one in sweep.state["runs"]} == {"run1"}
    assert sweep.state["exit_codes"] == [255, 255], "stopped by a person, not failed"
    settings = reader.flatten(reader.load(Config, run / "config.yaml"))
    assert {name: settings[name] for name in PARAMETERS} == PARAMETERS
    kept = list(read_metrics(run / "metrics.jsonl"))
    assert [row["train/step"] for row in sweep.rows] == [row["step"] for row in kept]
    assert sweep.state["summary"]["eval/goal"] == [row["eval/goal"] for row in kept if "eval/goal" in row][-1]
    assert yaml.safe_load((run / "config.yaml").read_text())["wandb"]["project"] == "p"
