"""Breaks off what runs in this process when its time is up, whatever it is doing.

In the flow: rounds of play inside the driver, and the evaluation at the end of a run, call games and environments that
other people wrote; a step of one may take minutes, or never end. An alarm of the system reaches Python code anywhere,
also while it sleeps; code in C is reached when it returns.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 2.0
"""What is left to a caller that looks at the clock by itself, before it is broken off."""

AGAIN_SECONDS = 2.0
"""Time between two alarms: code that catches everything may swallow the first."""

MOST_ALARMS = 4
"""Alarms after which the process is ended, because none has broken anything off."""

MOST_SECONDS = 1e7
"""The longest time that an alarm is set for, about four months."""


class TimeIsUp(BaseException):
    """Not an `Exception`, as KeyboardInterrupt is not: the code that is broken off should not catch it."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raises TimeIsUp in here once `seconds` and `GRACE_SECONDS` have passed; None is no limit. Code that catches it,
    `MOST_ALARMS` times, ends the process with status 2.

    Only the main thread of a process can be broken off like this; in others nothing happens.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    alarms = 0

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal alarms
        alarms += 1
        if alarms >= MOST_ALARMS:
            _give_up(frame)
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, min(max(0.0, seconds) + GRACE_SECONDS, MOST_SECONDS), AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _give_up(frame: FrameType | None) -> NoReturn:
    """End the process: what runs in it cannot be broken off."""
    place = "nowhere" if frame is None else f"{frame.f_code.co_filename}, line {frame.f_lineno}"
    line = f"selfplay: error: time is up, and {place} catches what should end it; what was saved last stays\n"
    os.write(2, line.encode(errors="backslashreplace"))
    os._exit(2)
