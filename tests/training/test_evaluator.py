"""The evaluator's process dies or hangs: training hears of it, and the next evaluation has another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from run_helpers import Watcher, tiny_config, wait_until

import selfplay
from selfplay.training import evaluator as evaluator_module
from selfplay.training.evaluator import CheckpointResult, EvaluationProcess

pytestmark = pytest.mark.slow


def test_an_evaluator_that_dies_or_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(tmp_path, "--budget.steps", "2", "--evaluation.opponents", "random")
    run = tmp_path / "run"
    selfplay.train(config, run, Watcher())
    driver = EvaluationProcess(config, run)
    answers: list[CheckpointResult | str | None] = []

    def answer() -> CheckpointResult | str | None:
        answers.append(driver.result(0.05))
        return answers[-1]

    try:
        driver.request(2, 2)
        assert driver._process is not None
        os.kill(driver._process.pid, signal.SIGKILL)
        wait_until(lambda: answer() is not None, "the death is seen")
        assert answers[-1] == "evaluation: its process ended; training goes on"

        driver.request(2, 2)
        wait_until(lambda: isinstance(answer(), CheckpointResult), "another process evaluates")
        os.kill(driver._process.pid, signal.SIGSTOP)
        driver.request(2, 2)
        assert driver.result() is None and driver.busy
        monkeypatch.setattr(evaluator_module, "HUNG_SECONDS", 0.0)
        stacks = run / "hung_evaluator.txt"
        assert driver.result() == (
            f"evaluation: no result within 0 s; its stacks are in {stacks}; its process was ended, training goes on"
        )
        assert 'evaluator.py", line' in stacks.read_text()
        monkeypatch.undo()

        driver.request(2, 2)
        wait_until(lambda: isinstance(answer(), CheckpointResult), "and again")
    finally:
        driver.stop()
