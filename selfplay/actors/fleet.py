"""The driver's side of the actors: starts them, hears them, replaces those that die.

One Pipe an actor (a queue that several processes share is poisoned when one of them is killed). A thread receives, so
that an actor never waits for a step of the learner; what it receives is bounded, so a driver that falls behind slows
the actors down instead of filling memory.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import queue
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.actors.actor import actor_main
from selfplay.actors.finished import Deliveries, Finished
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.system.child_process import Stacks
from selfplay.system.failures import Failure, keep

ACTOR_NAME = "actor"
"""Name of the processes of actors."""

WAITING_MESSAGES = 16
"""Messages received but not yet read by the driver."""

SILENT_SECONDS = 120.0
"""Seconds without a message after which an actor is replaced; start and compiling count."""

STALL_SECONDS = 0.5 * SILENT_SECONDS
"""Seconds between two polls beyond which no silence is a failure: the driver was stopped, or its disk hung."""

MOST_FAILURES = 5
"""Failures of actors that stop the run, with no message in between."""

BACKOFF_SECONDS = 0.5
"""Seconds until an actor is started again after the second failure in a row; twice as many for each that follows."""

END_SECONDS = 1.0
"""Seconds that an actor gets to end once it has closed its pipe."""

PROGRESS_STEP = 1e-3
"""Share of the budget that is spent between two messages about it at least."""

STOP_SECONDS = 2.0
"""Seconds that actors get to end by themselves when they are told to stop."""


@dataclass
class _Member:
    """One actor."""

    index: int
    process: BaseProcess
    connection: Connection
    stacks: Stacks
    heard: float
    incarnation: int = 0
    """How often it was replaced."""
    gone: bool = False
    unsent: list[tuple[Any, ...]] = field(default_factory=list)
    """Messages that its pipe had no room for."""
    completed: int = 0
    """Positions of the records that it has sent."""
    played: int = 0
    """Positions that it has played, those of unfinished games too, as far as it has said."""
    limits: tuple[float, float] = (0, 0)
    """Up to how many of each it may play."""
    failure: Failure | None = None
    """What it said before it ended."""
    next_start: float | None = None
    """When another takes its place; None while it lives."""


class Fleet:
    """The actors of a run. `poll` hands out their messages; dead and silent ones are replaced on the way."""

    def __init__(
        self,
        config: Config,
        weights: Path,
        seed: np.random.SeedSequence,
        positions_played: Callable[[], int],
        warn: Callable[[str], None],
    ) -> None:
        """Starts `actors.num_actors` processes; the weights file must exist.

        `positions_played()`: number of positions that the run has played; asked whenever an actor starts.
        """
        self._config, self._weights, self._seed, self._warn = config, weights, seed, warn
        self._positions_played = positions_played
        self._context = mp.get_context("spawn")
        self._messages: queue.Queue[tuple[_Member, Any]] = queue.Queue(WAITING_MESSAGES)
        self._closing = threading.Event()
        self.restarts = 0
        self._failures = 0
        self._seen: set[tuple[str, str]] = set()  # keys of the failures so far
        self._deliveries = Deliveries()
        self._progress = 0.0  # what the actors were told last
        self._polled = time.monotonic()
        self._members = [self._start(index) for index in range(config.actors.num_actors)]
        self._receiver = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._receiver.start()

    def poll(self, timeout: float) -> list[Any]:
        """Messages that have come in; waits up to `timeout` seconds for the first.

        Raises UserError when actors keep failing, or cannot play what they should.
        """
        out: list[Any] = []
        try:
            while True:
                member, message = self._messages.get(timeout=timeout) if not out else self._messages.get_nowait()
                if message[0] == "gone":
                    if member.next_start is None:  # else it was ended for its silence
                        self._lose(member)
                elif message[0] == "failed":
                    member.failure = message[1]
                elif message[0] == "unsound":
                    raise UserError(message[1])
                else:
                    if message[0] == "games":
                        finished: Finished = message[1]
                        if not self._deliveries.is_new(finished):
                            continue
                        self._failures = 0
                        member.completed += finished.positions
                        member.played += finished.counts.positions
                    out.append(message)
        except queue.Empty:
            pass
        now = time.monotonic()
        if now - self._polled > STALL_SECONDS:
            self._hear_all()
        self._polled = now
        for member in list(self._members):
            _send_waiting(member)
            if member.next_start is None and _is_silent(member, now):
                stacks = self._weights.with_name(f"hung_actor_{member.index}.txt")
                where = member.stacks.save(member.process, stacks)
                self._end(member, f"said nothing for {SILENT_SECONDS:.0f} s and was ended{where}")
            if member.next_start is not None and now >= member.next_start:
                self._restart(member)
        return out

    def send(self, message: tuple[Any, ...]) -> None:
        """Tell every actor, now or at a later poll: the pipe of one that reads nothing fills, and must not block the
        driver. Small messages only."""
        for member in self._members:
            self._send_to(member, message)

    def progress_changed(self, progress: float) -> None:
        """Tell the actors how much of the budget is spent, in [0, 1]; those that take the place of others hear it
        before they may play."""
        if progress - self._progress >= PROGRESS_STEP:
            self._progress = progress
            self.send(("progress", progress))

    def allow(self, ahead: float, left: int | None) -> None:
        """Let the actors play on, with equal shares: until their records have `ahead` positions more than those that
        came in, and until they have played `left` more, finished or not; None is no limit."""
        for member in self._members:
            if member.next_start is not None:
                continue
            share = max(0.0, ahead) / len(self._members)
            most = math.inf if left is None else member.played + max(0, left) / len(self._members)
            limits, before = (member.completed + share, most), member.limits
            is_waiting = member.completed >= before[0] or member.played >= before[1]
            is_less = limits[0] < before[0] or limits[1] < before[1]
            if limits != before and (is_waiting or is_less or limits[0] - before[0] > share / 4):
                member.limits = limits
                self._send_to(member, ("play", *limits))

    def _send_to(self, member: _Member, message: tuple[Any, ...]) -> None:
        # Of one kind the last counts: every kind stays at most once, and those after it in their order.
        member.unsent = [*(one for one in member.unsent if one[0] != message[0]), message]
        _send_waiting(member)

    def stop(self) -> None:
        """End all actors: asked first, then killed."""
        self._closing.set()
        self.send(("stop",))
        deadline = time.monotonic() + STOP_SECONDS
        self._receiver.join(timeout=1.0)
        for member in self._members:
            member.connection.close()  # an actor that is blocked in a send gets an error and ends
            member.stacks.close()
        for member in self._members:
            member.process.join(timeout=max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join()

    def kill(self) -> None:
        """Kill all actors; `stop` has still to be called."""
        for member in self._members:
            member.process.kill()

    def _start(self, index: int, incarnation: int = 0) -> _Member:
        ours, theirs = self._context.Pipe()
        stacks = Stacks(self._context)
        (seed,) = self._seed.spawn(1)
        played = self._positions_played()
        content = (theirs, stacks.child_end, self._config, self._weights, seed, played, index, incarnation)
        process = self._context.Process(target=actor_main, args=content, name=ACTOR_NAME, daemon=True)
        process.start()
        theirs.close()
        stacks.child_end.close()
        return _Member(index, process, ours, stacks, time.monotonic(), incarnation)

    def _hear_all(self) -> None:
        """Their silence so far does not count."""
        now = time.monotonic()
        for member in self._members:
            member.heard = now

    def _lose(self, member: _Member) -> None:
        """An actor's pipe is closed: it has failed, or its process was ended from outside.

        Raises UserError where it failed as another did before it.
        """
        member.process.join(END_SECONDS)
        failure = member.failure
        if failure is None:
            status = member.process.exitcode
            return self._end(member, "closed its pipe" if status is None else f"ended (exit status {status})")
        what = f"failed: {failure.line}{keep(failure, self._weights.with_name(f'failed_actor_{member.index}.txt'))}"
        if failure.key in self._seen:
            raise UserError(f"actor {member.index} {what}; it is the second failure like this")
        self._seen.add(failure.key)
        self._end(member, what)

    def _end(self, member: _Member, why: str) -> None:
        """An actor is dead or hangs: make sure of it, and set the time for the next."""
        member.process.kill()
        member.process.join()
        if self._failures >= MOST_FAILURES:
            self._warn(f"actor {member.index} {why}")
            raise UserError(f"actors: failed {MOST_FAILURES} times in a row; the lines above say how")
        self._failures += 1
        delay = BACKOFF_SECONDS * 2 ** (self._failures - 2) if self._failures > 1 else 0.0
        when = f" in {delay:g} s" if delay else ""
        self._warn(f"actor {member.index} {why}; starting another{when}")
        member.next_start = time.monotonic() + delay

    def _restart(self, old: _Member) -> None:
        """Another in the place of one that was ended."""
        self.restarts += 1
        old.connection.close()
        old.stacks.close()
        self._members[old.index] = member = self._start(old.index, old.incarnation + 1)
        if self._progress:
            self._send_to(member, ("progress", self._progress))

    def _receive(self) -> None:
        """The thread: pass on messages, and the end of an actor as ("gone",)."""
        while not self._closing.is_set():
            present = [member for member in self._members if not member.gone]
            try:
                ready = wait([member.connection for member in present], timeout=0.2)
            except OSError:
                continue  # a connection was closed meanwhile
            for member in present:
                if member.connection not in ready:
                    continue
                try:
                    message = member.connection.recv()
                except (EOFError, OSError):
                    member.gone = True
                    message = ("gone",)
                member.heard = time.monotonic()
                self._pass_on(member, message)

    def _pass_on(self, member: _Member, message: Any) -> None:
        while not self._closing.is_set():
            try:
                self._messages.put((member, message), timeout=0.2)
                return
            except queue.Full:
                continue


def _send_waiting(member: _Member) -> None:
    """Send what there is room for. A pipe that takes anything takes a small message whole (Linux: it says so while less
    than a quarter of it is full)."""
    room = select.poll()
    try:
        room.register(member.connection, select.POLLOUT)
        while member.unsent and room.poll(0):
            member.connection.send(member.unsent.pop(0))
    except OSError:
        member.unsent = []  # it is gone; the receiver finds out


def _is_silent(member: _Member, now: float) -> bool:
    """Whether it has said nothing for too long. What waits in its pipe, because the receiver hangs on half a message of
    another actor, was said."""
    return now - member.heard > SILENT_SECONDS and not member.connection.poll()
