"""What every process that is started with multiprocessing does first."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


def become_child() -> None:
    """Ask Linux to kill this process when its parent ends (elsewhere the closed pipe has to do), and to show what it is
    in `ps` and `top`: `sp-actor`, `sp-evaluator`."""
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, f"sp-{multiprocessing.current_process().name}".encode()[:15])
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it died before the call
        os._exit(1)
