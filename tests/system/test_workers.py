"""Processes for tasks: prepared once, ended with the block, and an error of one line where one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

from selfplay.errors import UserError
from selfplay.system.workers import process_pool

_offset = 0


def prepare(offset: int) -> None:
    global _offset
    _offset += offset


def plus(number: int) -> int:
    return number + _offset


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_is_prepared_once_and_ends_with_the_block():
    before = set(multiprocessing.active_children())
    with process_pool(1, prepare, 5) as pool:
        assert list(pool.map(plus, range(3))) == [5, 6, 7]
        (child,) = set(multiprocessing.active_children()) - before
    assert not child.is_alive() and _offset == 0


def test_a_process_that_is_killed_is_an_error_of_one_line():
    with pytest.raises(UserError) as caught, process_pool(1, prepare, 0) as pool:
        pool.submit(die, 1).result()
    assert str(caught.value) == "a process was ended, for its memory perhaps; try fewer of them"


def test_tasks_that_have_not_begun_are_dropped_after_an_error():
    with pytest.raises(TypeError), process_pool(1, prepare, 0) as pool:  # noqa: PT012
        tasks = [pool.submit(plus, number) for number in ("a", *range(100))]
        tasks[0].result()
    assert any(task.cancelled() for task in tasks)
