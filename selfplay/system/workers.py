"""Processes that do one task after the other, for `selfplay label` and `benchmarks/ablation.py`.

A tournament has workers of its own (`selfplay.tournament.workers`): in the middle of a task they report who is
thinking, so that a player that takes its process down is known. `selfplay.system.together` runs the same work in all
processes at once.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from selfplay.errors import UserError
from selfplay.system.child_process import become_child


@contextmanager
def process_pool(processes: int, prepare: Callable[..., None], *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes, each of which calls `prepare(*arguments)` once; they end with the block.

    Tasks that have not begun by then are dropped. Raises UserError where a process is ended from outside.
    """
    spawn = multiprocessing.get_context("spawn")  # threads and caches of this process stay out of it
    with ProcessPoolExecutor(processes, spawn, _begin, (prepare, arguments)) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise UserError("a process was ended, for its memory perhaps; try fewer of them") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    become_child()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once and without a word
    prepare(*arguments)
