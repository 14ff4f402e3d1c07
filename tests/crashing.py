"""Run something in a forked child that is killed at a failpoint. For tests only."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from selfplay import failpoints


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
