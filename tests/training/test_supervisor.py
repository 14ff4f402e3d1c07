"""`--restarts`: a run whose driver is killed goes on, one that dies again and again is given up."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_helpers import start, tiny_file, wait_until

from selfplay.storage import checkpoint
from selfplay.system.machine import processes_with
from selfplay.training.supervisor import _Requests
from selfplay.training.verification import verify

pytestmark = pytest.mark.slow

MARKER = "SELFPLAY_TEST_SUPERVISOR"


def command(folder: Path, *more: str) -> list[str]:
    options = ["--run-dir", str(folder / "run"), "--checkpoint.every_steps", "5", *more]
    return ["train", str(tiny_file(folder)), *options]


def test_a_run_whose_driver_is_killed_again_and_again_is_finished(tmp_path):
    """Every driver is killed after its third checkpoint, when there is something new each time."""
    options = command(tmp_path, "--restarts", "1", "--budget.steps", "22")
    driver = start(*options, SELFPLAY_FAILPOINT="checkpoint.after_rename:kill:3")
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    assert output.count("killed by SIGKILL; going on from the last checkpoint\n") >= 2
    found = verify(tmp_path / "run")
    assert (found.problems, found.newest) == ([], 22)


def test_a_run_that_dies_without_a_new_checkpoint_is_given_up(tmp_path):
    options = command(tmp_path, "--restarts", "1", "--budget.steps", "9")
    driver = start(*options, SELFPLAY_FAILPOINT="checkpoint.after_open:kill")
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 128 + 9, output
    assert output.splitlines()[-1] == "selfplay: the driver was killed by SIGKILL 2 times in a row; giving up"


def test_what_ends_by_itself_is_not_resumed(tmp_path):
    driver = start(*command(tmp_path, "--restarts", "3", "--replay.min_positions", "10000000"))
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 2 and "replay.min_positions" in output and "going on" not in output


def test_a_request_while_the_driver_is_being_started_reaches_it(monkeypatch):
    requests, told = _Requests(lambda arguments: 0), []

    class Starting:
        pid, exitcode = None, 0

        def start(self) -> None:
            requests._pass_on(signal.SIGTERM, None)  # before there is a process
            self.pid = 7

        def is_alive(self) -> bool:
            return self.pid is not None

        def join(self) -> None:
            assert told == [(7, signal.SIGTERM)]

    context = SimpleNamespace(Process=lambda **_: Starting())
    monkeypatch.setattr("selfplay.training.supervisor.multiprocessing.get_context", lambda method: context)
    monkeypatch.setattr("selfplay.training.supervisor.os.kill", lambda pid, number: told.append((pid, number)))
    assert requests.run(["train"]) == 0 and told == [(7, signal.SIGTERM)]


def test_a_request_to_stop_reaches_the_driver_and_a_kill_leaves_nothing(tmp_path):
    for kill in (False, True):
        folder = tmp_path / str(kill)
        folder.mkdir()
        keeper = start(*command(folder, "--restarts", "3"), **{MARKER: str(folder)})
        try:
            wait_until(lambda at=folder: len(checkpoint.versions(at / "run" / "checkpoints")) > 1, "a checkpoint")
            keeper.kill() if kill else keeper.terminate()
            output, _ = keeper.communicate(timeout=300)
        finally:
            keeper.kill()
        assert keeper.returncode == (-9 if kill else 143), output
        assert kill or ("saving first" in output and "going on" not in output)
        wait_until(lambda at=folder: not processes_with(f"{MARKER}={at}"), "nothing is left")
        assert verify(folder / "run").problems == []


def test_the_processes_of_label_end_with_it(tmp_path):
    words = ["--game", "connect_four", "--positions", "100000", "--min-plies", "20", "--max-plies", "30"]
    labelling = start("label", *words, "--processes", "2", **{MARKER: str(tmp_path)})
    try:
        assert labelling.stdout is not None and labelling.stdout.readline().startswith("{")
        labelling.kill()
        wait_until(lambda: not processes_with(f"{MARKER}={tmp_path}"), "nothing is left")
    finally:
        labelling.kill()
        labelling.communicate()
