"""Progress of a long command as one line on standard error, only where a person watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

SECONDS_BETWEEN = 0.2


def show_progress(unit: str) -> Callable[[int, int], None] | None:
    """A function of the number that is done and the number of all; None when standard error is no terminal."""
    if not sys.stderr.isatty():
        return None
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < SECONDS_BETWEEN:
            return
        last = now
        end = "\n" if done == total else ""
        print(f"\r{done} of {total} {unit}, {now - start:.0f} s", end=end, file=sys.stderr, flush=True)

    return show
