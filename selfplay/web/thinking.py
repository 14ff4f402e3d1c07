"""Thinking in a thread of its own: one job after the other, with what was found so far, and an end when asked for.

One thread, because players are not made for more, and because two searches at once would each take twice as long. A job
looks at its `stopped` event between simulations and then ends with what it has.
"""

from __future__ import annotations

import math
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from games import StatePool
from selfplay.players.player import Analysis, Analyst, MoveAnalysis, Player
from selfplay.players.search import SearchPlayer, expected_line

LINE = 12
"""Moves of the principal variation that are shown."""

REPORT_SECONDS = 0.1
"""Time between two reports of a search, about."""

SHOWN_MOVES = 400
"""Moves of a report, best first."""

Report = Callable[["Thought"], None]


@dataclass(frozen=True)
class Thought:
    """What a player thinks of a position, maybe before it has finished."""

    player: str
    to_play: int
    action: int
    """The move that it would play."""
    value: float | None
    """Expected return of the player to move; None for players without an opinion."""
    moves: tuple[MoveAnalysis, ...] = ()
    """Best first."""
    line: tuple[str, ...] = ()
    """The moves that it expects, itself first."""
    simulations: int = 0
    """So far; 0 where nothing is searched."""
    budget: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        moves = [vars(move) | {"q": finite(move.q), "prior": finite(move.prior)} for move in self.moves[:SHOWN_MOVES]]
        plain = vars(self) | {"value": finite(self.value), "moves": moves, "line": list(self.line)}
        return plain | {"hidden_moves": max(0, len(self.moves) - SHOWN_MOVES)}


def finite(value: float | None) -> float | None:
    """A number that JSON can hold."""
    return float(value) if value is not None and math.isfinite(value) else None


class Job:
    """Work for the thread. `work` gets the job itself."""

    def __init__(self, work: Callable[[Job], None]) -> None:
        self.work = work
        self.stopped = threading.Event()
        """Asks to end soon, with what has been found."""
        self.started = threading.Event()
        self.finished = threading.Event()


class Thinker:
    """The thread."""

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


def think(
    player: Player, name: str, pool: StatePool, history: Sequence[int], report: Report, stopped: Callable[[], bool]
) -> Thought:
    """What `player` thinks of the position in slot 0, where somebody is to move; `history` led to it.

    `report` gets thoughts on the way. Where `stopped()` is true, the last of them is the answer.
    """
    to_play = int(pool.to_play(np.zeros(1, np.int64))[0])
    if isinstance(player, SearchPlayer):
        return _search(player, name, pool, to_play, report, stopped)
    if not isinstance(player, Analyst):
        action = int(player.choose(pool, np.zeros(1, np.int64), [history])[0])
        return Thought(name, to_play, action, None)
    analysis = player.analyse(pool, 0)
    first = _thought(name, to_play, analysis)
    report(first)
    line = _follow(player, pool, analysis, stopped)
    return Thought(name, to_play, analysis.action, finite(analysis.value), analysis.moves, line)


def _search(
    player: SearchPlayer, name: str, pool: StatePool, to_play: int, report: Report, stopped: Callable[[], bool]
) -> Thought:
    tree, search = np.zeros(1, np.int64), player.begin(pool, 0)
    budget, done, reported = player.config.num_simulations, 0, time.monotonic()
    while True:
        done += search.simulate(tree)
        over = bool(search.finished(tree)[0]) or (stopped() and done > 0)
        if not over and time.monotonic() - reported < REPORT_SECONDS:
            continue
        reported = time.monotonic()
        analysis = player.read(search, pool, 0)
        line = tuple(text for _, text in expected_line(search, pool, 0, analysis.action, LINE))
        thought = _thought(name, to_play, analysis, line, done, budget)
        report(thought)
        if over:
            return thought


def _thought(
    name: str, to_play: int, analysis: Analysis, line: tuple[str, ...] = (), simulations: int = 0, budget: int = 0
) -> Thought:
    value = finite(analysis.value)
    return Thought(name, to_play, analysis.action, value, analysis.moves, line, simulations, budget)


def _follow(player: Analyst, pool: StatePool, analysis: Analysis, stopped: Callable[[], bool]) -> tuple[str, ...]:
    """The moves that a player without a search plays from here on against itself; nature's moves end it."""
    own, place = pool.game.new_pool(1), np.zeros(1, np.int64)
    own.load(place, pool, place)
    line: list[str] = []
    while True:
        line.append(own.action_text(0, analysis.action))
        own.step(place, np.array([analysis.action], np.int64), place)
        if len(line) >= LINE or own.to_play(place)[0] < 0 or stopped():
            return tuple(line)
        analysis = player.analyse(own, 0)
