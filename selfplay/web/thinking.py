"""Thinking in a thread of its own: one job after the other, and an end when asked for.

One thread, because players are not made for more, and because two searches at once would each take twice as long. A job
looks at its `stopped` event between simulations and then ends with what it has found (`selfplay.players.thinking`).
"""

from __future__ import annotations

import math
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from selfplay.players.player import Branch
from selfplay.players.thinking import Thought

SHOWN_MOVES = 400
"""Largest number of moves of an opinion that are sent, best first."""


SHOWN_BRANCHES = 300
"""Largest number of moves of a search that are sent with a finished thought, the most visited ones."""


@dataclass(frozen=True)
class Opinion:
    """A thought as the page shows it."""

    player: str
    """The player in words."""
    to_play: int
    thought: Thought
    line: tuple[str, ...]
    """The moves of `Thought.line` as text."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        thought = self.thought
        moves = [
            vars(move) | {"q": finite(move.q), "prior": finite(move.prior)} for move in thought.moves[:SHOWN_MOVES]
        ]
        return {
            "player": self.player,
            "to_play": self.to_play,
            "action": thought.action,
            "value": finite(thought.value),
            "moves": moves,
            "hidden_moves": max(0, len(thought.moves) - SHOWN_MOVES),
            "line": list(self.line),
            "branches": [_branch_as_json(branch) for branch in thought.branches],
            "simulations": thought.num_simulations,
            "budget": thought.planned_simulations,
        }


def _branch_as_json(branch: Branch) -> dict[str, Any]:
    return {
        "text": branch.text,
        "to_play": branch.to_play,
        "visits": branch.visits,
        "q": finite(branch.q),
        "prior": finite(branch.prior),
        "replies": [_branch_as_json(reply) for reply in branch.replies],
    }


def finite(value: float | None) -> float | None:
    """A number that JSON can hold; None for what is no number."""
    return float(value) if value is not None and math.isfinite(value) else None


class Job:
    """Work for the thread. `work` gets the job itself."""

    def __init__(self, work: Callable[[Job], None]) -> None:
        self.work = work
        self.stopped = threading.Event()
        """Asks to end soon, with what has been found."""
        self.started = threading.Event()
        self.finished = threading.Event()


class ThinkingThread:
    """The thread that does the jobs."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._run, name="thinker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Do the job after those that wait."""
        with self._news:
            self._jobs.append(job)
            self._news.notify()

    def drop(self, job: Job) -> None:
        """Ask the job to end; if it has not begun, it never will."""
        job.stopped.set()
        with self._news:
            if job in self._jobs:
                self._jobs.remove(job)
                job.finished.set()

    def close(self) -> None:
        """End the thread; returns when it has ended, or after some seconds in the middle of something long."""
        with self._news:
            self._closed = True
            self._jobs.clear()
            if self._running is not None:
                self._running.stopped.set()
            self._news.notify()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._jobs and not self._closed:
                    self._news.wait()
                if self._closed:
                    return
                job = self._running = self._jobs.popleft()
            job.started.set()
            try:
                job.work(job)
            except Exception:  # jobs report their own mistakes; what comes here is one of the program
                traceback.print_exc(file=sys.stderr)
            finally:
                job.finished.set()
                with self._news:
                    self._running = None
