"""What every process that is started with multiprocessing does first, and how a hung one is asked where it hangs."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from selfplay.storage.files import StorageError, publish

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

DUMP_SECONDS = 2.0
"""A hung process that has been silent for so long has said where it hangs: it takes milliseconds, but writes line by
line, and on a busy machine it may have to wait between two lines."""

_kept_open: list[Connection] = []


class Stacks:
    """A pipe through which a child says what its threads are doing, at the parent's wish and whatever holds it up.

    `faulthandler` writes from a signal handler: no lock of the interpreter is needed, no file of the run is open.
    """

    def __init__(self, context: SpawnContext) -> None:
        self._read, self.child_end = context.Pipe(duplex=False)

    def close(self) -> None:
        """Close both ends here; the child's own stays open."""
        self._read.close()
        self.child_end.close()

    def save(self, process: BaseProcess, path: Path) -> str:
        """Ask a hung child, which is to be killed next, and write its stacks to `path`.

        Returns `; its stacks are in PATH` for a message, nothing where it did not answer.
        """
        assert process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            _ask_main_thread(process.pid)
            os.kill(process.pid, signal.SIGCONT)  # it may only have been stopped; the signal before comes first
        text = b""
        while self._read.poll(DUMP_SECONDS) and (part := os.read(self._read.fileno(), 1 << 16)):
            text += part
        if not text:
            return ""
        try:
            publish(path, text)
        except StorageError:
            return ""
        return f"; its stacks are in {path}"


def _ask_main_thread(pid: int) -> None:
    """SIGUSR1 for the main thread of a process alone, on Linux.

    Sent to the process, it may be taken by any thread once a stopped one goes on, while the main thread moves away from
    where it hung and its frames are changed under the reader.
    """
    tgkill = getattr(ctypes.CDLL(None), "tgkill", None)
    if tgkill is None or tgkill(pid, pid, signal.SIGUSR1) != 0:
        os.kill(pid, signal.SIGUSR1)


def become_child(stacks: Connection | None = None) -> None:
    """Ask Linux to kill this process when its parent ends (elsewhere the closed pipe has to do), and to show what it is
    in `ps` and `top`: `sp-actor`, `sp-evaluator`. `stacks` is the `child_end` of the parent's `Stacks`."""
    if stacks is not None:
        _kept_open.append(stacks)
        faulthandler.register(signal.SIGUSR1, file=stacks.fileno(), all_threads=True)
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NAME, f"sp-{multiprocessing.current_process().name}".encode()[:15])
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it died before the call
        os._exit(1)
