"""Games between a person and players on the page: who sits where, whose turn it is, who is thinking.

A session is a `Table` with seats. Whatever changes it holds its lock; a change drops the job that was thinking about
the position before. Jobs look at copies of positions and hand in their results under the lock, where they count only
if the job has not been dropped meanwhile. A game without a person goes on by one move each time the page looks, so
nobody plays on when the page is closed.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from games import CHANCE, TERMINAL, StatePool
from selfplay.players.thinking import Limits, Thought, line_texts, make_thinker
from selfplay.web.browse import RecordedPosition
from selfplay.web.differences import MOST_DIFFERENCES, Difference, find_differences
from selfplay.web.opponents import Opponents, Seat
from selfplay.web.refusals import CONFLICT, Refused
from selfplay.web.table import HERE, Table
from selfplay.web.thinking import SHOWN_BRANCHES, Job, Opinion, ThinkingThread, finite

MOVE, HINT = "move", "hint"
"""What an opinion is for."""


class Session:
    """One game on the page. Methods that a request calls raise `Refused` and then have changed nothing."""

    def __init__(
        self, table: Table, seats: Sequence[Seat], thread: ThinkingThread, opponents: Opponents, seed: int
    ) -> None:
        self.id = secrets.token_urlsafe(9)
        self.lock = threading.RLock()
        self.table = table
        self.seats = list(seats)
        self.revision = 0
        """Counts changes of anything but opinions."""
        self.opinion: Opinion | None = None
        self.opinion_ply = 0
        self.opinion_for = HINT
        self.values: dict[int, tuple[int, float, str]] = {}
        """By ply: the player that the value is for, the value, and the player in words who gave it."""
        self.problem = ""
        """Why a player could not think; it waits until something changes."""
        self.comparison: list[Opinion | str] = []
        self.comparison_ply = 0
        self.differences: list[Difference] | None = None
        """What `find_differences` has found so far; None before it was asked."""
        self.looked_at = 0
        """Number of positions that it has looked at."""
        self._thread, self._opponents = thread, opponents
        self._rng = np.random.default_rng(seed)
        self._job: Job | None = None
        self._compare_job: Job | None = None
        self._difference_job: Job | None = None
        self.table.settle(self._rng)

    # What the page asks.

    def state(self, known_revision: int = -1) -> dict[str, Any]:
        """Everything, or only the opinions where the page knows the rest."""
        with self.lock:
            self._advance()
            plain: dict[str, Any] = {
                "revision": self.revision,
                "busy": any((self._job, self._compare_job, self._difference_job)),
                "thinking": self._thinking_as_json(),
                "comparison": self._comparison_as_json(),
                "differences": self._differences_as_json(),
            }
            if known_revision != self.revision:
                plain |= {"id": self.id, "problem": self.problem, "values": self._values_as_json()}
                plain["seats"] = [seat.as_json() | {"label": self._opponents.label(seat)} for seat in self.seats]
                plain |= self.table.as_json()
            return plain

    def move(self, ply: int, action: int) -> None:
        """A person's move at `ply`."""
        with self.lock:
            self._require_ply(ply)
            to_play = self.table.to_play
            if to_play == TERMINAL:
                raise Refused("the game is over", CONFLICT)
            if to_play == CHANCE or not self.seats[to_play].is_human:
                raise Refused("it is not your turn", CONFLICT)
            if all(action != legal for legal, _ in self.table.view.legal):
                raise Refused(f"{action} is not a legal move here")
            self._drop()
            self._play(action)

    def undo(self, ply: int) -> None:
        """Back to the last move that a person made, before it was made."""
        with self.lock:
            self._require_ply(ply)
            events = self.table.events
            mine = [i for i, event in enumerate(events) if event.player >= 0 and self.seats[event.player].is_human]
            if not mine:
                raise Refused("there is no move of yours to take back", CONFLICT)
            earlier = Table(self.table.game, self.table.history[: mine[-1]])
            earlier.remark = self.table.remark
            self._set(earlier)

    def set_seats(self, seats: Sequence[Seat]) -> None:
        """Other players, or other settings, from here on."""
        with self.lock:
            self._drop()
            self.seats = list(seats)
            self._changed()

    def set_table(self, table: Table) -> None:
        """Another position of the same game."""
        with self.lock:
            marked = Table(table.game, table.history)  # however it was made, its last move is marked
            marked.remark = table.remark
            marked.settle(self._rng)
            self._set(marked)
            self.values.clear()

    def hint(self, ply: int, seat: Seat) -> None:
        """What `seat` thinks of the position."""
        with self.lock:
            self._require_ply(ply)
            if self.table.to_play < 0:
                raise Refused("the game is over", CONFLICT)
            if self._job is not None and self.opinion_for == MOVE:
                raise Refused("a player is thinking about its move", CONFLICT)
            self._drop()
            self._start(seat, HINT)

    def stop(self) -> None:
        """End thinking now: a player moves with what it has found."""
        with self.lock:
            for job in (self._job, self._compare_job, self._difference_job):
                if job is not None:
                    job.stopped.set()

    def compare(self, ply: int, seats: Sequence[Seat]) -> None:
        """What several players think of the position, one after the other."""
        with self.lock:
            self._require_ply(ply)
            if self.table.to_play < 0:
                raise Refused("the game is over", CONFLICT)
            self._drop_comparison()
            self.comparison, self.comparison_ply = [], ply
            pool, history = self.table.copy(), self.table.history

            def work(job: Job) -> None:
                self._compare(job, pool, history, seats)

            self._compare_job = Job(work)
            self._thread.submit(self._compare_job)

    def find_differences(self, seats: Sequence[Seat], positions: Sequence[RecordedPosition]) -> None:
        """In which of `positions` the players of `seats` would play different moves."""
        with self.lock:
            self._drop_differences()
            self.differences, self.looked_at = [], 0

            def work(job: Job) -> None:
                self._find_differences(job, seats, positions)

            self._difference_job = Job(work)
            self._thread.submit(self._difference_job)

    def close(self) -> None:
        """End all thinking."""
        with self.lock:
            self._drop()
            self._drop_comparison()
            self._drop_differences()

    # Under the lock.

    def _require_ply(self, ply: int) -> None:
        if ply != self.table.ply:
            raise Refused(f"the game has moved on: it is at move {self.table.ply}, not {ply}", CONFLICT)

    def _set(self, table: Table) -> None:
        self._drop()
        self.table, self.opinion = table, None
        self.values = {ply: value for ply, value in self.values.items() if ply <= table.ply}
        self._changed()

    def _play(self, action: int) -> None:
        self.table.play(action)
        self.table.settle(self._rng)
        self._changed()

    def _changed(self) -> None:
        self.problem = ""
        self.revision += 1
        if any(seat.is_human for seat in self.seats):
            self._advance()

    def _drop(self) -> None:
        if self._job is not None:
            self._thread.drop(self._job)
            self._job = None

    def _drop_comparison(self) -> None:
        if self._compare_job is not None:
            self._thread.drop(self._compare_job)
            self._compare_job = None

    def _drop_differences(self) -> None:
        if self._difference_job is not None:
            self._thread.drop(self._difference_job)
            self._difference_job = None

    def _advance(self) -> None:
        """Let the player think whose turn it is, unless it does."""
        to_play = self.table.to_play
        if to_play >= 0 and not self.seats[to_play].is_human and self._job is None and not self.problem:
            self._start(self.seats[to_play], MOVE)

    def _start(self, seat: Seat, purpose: str) -> None:
        pool, history, ply = self.table.copy(), self.table.history, self.table.ply
        self.opinion, self.opinion_ply, self.opinion_for = None, ply, purpose

        def work(job: Job) -> None:
            self._think(job, pool, history, seat, ply, purpose)

        self._job = Job(work)
        self._thread.submit(self._job)

    # In the thread that thinks.

    def _think(self, job: Job, pool: StatePool, history: list[int], seat: Seat, ply: int, purpose: str) -> None:
        def report(opinion: Opinion) -> None:
            with self.lock:
                if self._job is job:
                    self.opinion = opinion

        try:
            opinion = self._ask(job, pool, history, seat, report)
        except Exception as error:  # a damaged checkpoint, a game that a player cannot play: shown on the page
            with self.lock:
                if self._job is job:
                    self._job, self.problem = None, _one_line(error)
                    self.revision += 1
            return
        with self.lock:
            if self._job is not job:
                return
            self._job, self.opinion = None, opinion
            if math.isfinite(opinion.thought.value):
                self.values[ply] = (opinion.to_play, opinion.thought.value, opinion.player)
            if purpose == MOVE:
                self._play(opinion.thought.action)
            else:
                self.revision += 1

    def _ask(
        self,
        job: Job,
        pool: StatePool,
        history: list[int],
        seat: Seat,
        report: Callable[[Opinion], None] = lambda opinion: None,
    ) -> Opinion:
        """What the player of a seat thinks of the position in slot 0; `report` gets its opinions on the way."""
        player = self._opponents.make(seat, self.table.game)
        thinker = make_thinker(player, plays_line=True, num_branches=SHOWN_BRANCHES)
        name, to_play = self._opponents.label(seat), int(pool.to_play(HERE)[0])

        def opinion(thought: Thought) -> Opinion:
            return Opinion(name, to_play, thought, line_texts(pool, thought.line))

        def pass_on(thought: Thought) -> None:
            report(opinion(thought))

        return opinion(thinker.think(pool, history, Limits(), job.stopped.is_set, pass_on))

    def _compare(self, job: Job, pool: StatePool, history: list[int], seats: Sequence[Seat]) -> None:
        for seat in seats:
            result: Opinion | str
            try:
                result = self._ask(job, pool, history, seat)
            except Exception as error:
                result = f"{self._opponents.label(seat)}: {_one_line(error)}"
            with self.lock:
                if self._compare_job is not job:
                    return
                self.comparison.append(result)
        with self.lock:
            if self._compare_job is job:
                self._compare_job = None

    def _find_differences(self, job: Job, seats: Sequence[Seat], positions: Sequence[RecordedPosition]) -> None:
        game = self.table.game

        def report(count: int, found: list[Difference]) -> bool:
            with self.lock:
                if self._difference_job is not job or self.differences is None:
                    return False
                self.looked_at += count
                self.differences = (self.differences + found)[:MOST_DIFFERENCES]
                return len(self.differences) < MOST_DIFFERENCES and not job.stopped.is_set()

        problem = ""
        try:
            with contextlib.ExitStack() as opened:
                players = [opened.enter_context(contextlib.closing(self._opponents.make(seat, game))) for seat in seats]
                find_differences(game, players, positions, report)
        except Exception as error:  # a damaged checkpoint, a shard of other rules: shown on the page
            problem = _one_line(error)
        with self.lock:
            if self._difference_job is job:
                self._difference_job = None
                if problem:
                    self.problem = problem
                    self.revision += 1

    # As JSON.

    def _differences_as_json(self) -> dict[str, Any] | None:
        if self.differences is None:
            return None
        found = [difference.as_json() for difference in self.differences]
        return {"done": self._difference_job is None, "looked_at": self.looked_at, "found": found}

    def _thinking_as_json(self) -> dict[str, Any] | None:
        if self._job is None and self.opinion is None:
            return None
        return {
            "ply": self.opinion_ply,
            "for": self.opinion_for,
            "done": self._job is None,
            "waiting": self._job is not None and not self._job.started.is_set(),
            "thought": self.opinion.as_json() if self.opinion else None,
        }

    def _comparison_as_json(self) -> dict[str, Any] | None:
        if not self.comparison and self._compare_job is None:
            return None
        results = [{"problem": entry} if isinstance(entry, str) else entry.as_json() for entry in self.comparison]
        return {"ply": self.comparison_ply, "done": self._compare_job is None, "results": results}

    def _values_as_json(self) -> list[dict[str, Any]]:
        return [
            {"ply": ply, "player": player, "value": finite(value), "by": by}
            for ply, (player, value, by) in sorted(self.values.items())
        ]


def _one_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__
