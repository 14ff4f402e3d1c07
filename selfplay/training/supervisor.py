"""Keeps a run going that nobody watches: its driver in a process of its own, resumed whenever it dies.

    selfplay train CONFIG --restarts 5

What ends by itself is over: the budget is spent, somebody asked to stop, the input is bad. A driver that was killed
(for its memory, say) or ended by an error of the program is resumed from its last checkpoint, at once the first time,
then after breaks that double. Deaths are counted from the last one that a new checkpoint came before.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from selfplay.storage.run_folder import RunFolder
from selfplay.system.child_process import become_child

BACKOFF_SECONDS = 1.0
"""The break before the second death in a row is made good."""

CRASHED = 1
"""Exit status of Python after an error that nobody caught."""

IN_VAIN = 3
"""Exit status of a driver whose command has ended by itself with status 1."""


Command = Callable[[list[str]], int]
"""Runs the command line with some arguments, and returns its exit status; picklable."""


def keep_going(main: Command, first: Sequence[str], run_dir: Path, restarts: int) -> int:
    """Run the command `first`, which works in `run_dir`, then `resume` as long as the driver dies; at most `restarts`
    times in a row. `main` is the program. Returns the exit status of the last: 128 + n where signal n ended it."""
    folder, requests = RunFolder(run_dir), _Requests(main)
    again = first if first[0] == "resume" else ["resume", str(run_dir)]
    deaths, saved = 0, -1
    with requests:
        while True:
            status = requests.run(again if deaths and folder.config.is_file() else first)
            if status == IN_VAIN:
                return 1
            if requests.number or (status >= 0 and status != CRASHED):
                return status if status >= 0 else 128 - status
            from selfplay.storage import checkpoint  # here, because torch takes seconds to import

            newest = max(checkpoint.versions(folder.checkpoints), default=-1)
            deaths = 1 if newest > saved else deaths + 1
            saved = newest
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else "ended by an error"
            if deaths > restarts:
                print(f"selfplay: the driver was {how} {deaths} times in a row; giving up", file=sys.stderr)
                return status if status >= 0 else 128 - status
            pause = BACKOFF_SECONDS * 2 ** (deaths - 2) if deaths > 1 else 0.0
            when = f" in {pause:g} s" if pause else ""
            print(f"selfplay: the driver was {how}; going on from the last checkpoint{when}", file=sys.stderr)
            if requests.wait(pause):
                return 128 + requests.number


class _Requests:
    """Passes SIGINT and SIGTERM on to the driver, and remembers them."""

    def __init__(self, main: Command) -> None:
        self._main = main
        self.number = 0
        """The signal by which somebody asked to stop; 0 while nobody has."""
        self._event = threading.Event()
        self._driver: BaseProcess | None = None
        self._early = 0
        """A signal that came while no driver was there to be told."""

    def wait(self, seconds: float) -> bool:
        """Wait `seconds`, or until somebody asks to stop; returns whether somebody did."""
        return self._event.wait(seconds)

    def run(self, command: Sequence[str]) -> int:
        """A driver from beginning to end; returns its exit status, -n where signal n killed it."""
        driver = multiprocessing.get_context("spawn").Process(
            target=_driver_main, args=(self._main, list(command)), name="driver"
        )
        driver.start()
        self._driver = driver
        if self._early:
            self._pass_on(self._early, None)
        driver.join()
        self._driver, status = None, driver.exitcode
        assert status is not None
        return status

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._event.set()
        if self._driver is None:
            self._early = number
        elif self._driver.is_alive():
            assert self._driver.pid is not None
            os.kill(self._driver.pid, number)


def _driver_main(main: Command, command: list[str]) -> None:
    """The process: the command line once more."""
    os.setpgrp()  # Ctrl-C reaches it once, by way of the parent, and not a second time from the terminal
    become_child()
    status = main(command)
    sys.exit(IN_VAIN if status == CRASHED else status)
