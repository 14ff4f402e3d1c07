"""Faults for tests: a child killed at a failpoint, a disk that is full."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from selfplay.storage import failpoints


def killed_at(name: str, action: Callable[[], object]) -> None:
    """Run `action` in a child with the failpoint armed; fails the test unless SIGKILL ended the child there."""
    child = os.fork()
    if child == 0:
        try:
            failpoints.arm(f"{name}:kill")
            action()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        pytest.fail(f"{name} was never reached")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes fail, as on a full disk.

    The limit holds for the whole process, pytest's own output to a log file included: keep it around one call, never
    around a whole test (a report printed under it once ended the test run).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
