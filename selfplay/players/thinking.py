"""Thinking about one position: within limits, with thoughts on the way, and so that it can be stopped.

In the flow: servers (`selfplay.servers`) and the page (`selfplay.web`) ask a player here, not by `Player.choose`. A
player that searches is stopped between two simulations, and answers with what it has found by then; it never makes more
simulations than it was made with. Any other player is asked for its move and cannot be stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from games import StatePool
from search import Search
from selfplay.players.player import Analysis, Analyst, Branch, Forecast, Forecasts, MoveAnalysis, Player
from selfplay.players.search import SearchPlayer, expected_line, search_branches

HERE = np.zeros(1, np.int64)
"""The slot of the position, and the tree of a search."""

LONGEST_LINE = 16
"""Largest number of moves in `Thought.line`."""

REPORT_SECONDS = 0.1
"""Shortest time between two reports of a search."""

REPORT_SPACING = 10
"""Shortest time between two reports, in times that the last one took: a busy machine searches, and does not report."""

MEASURED_SIMULATIONS = 32
"""Fewest simulations of a search that tells the speed: shorter ones, such as the first, mostly load kernels."""

USUAL_MOVES_TO_GO = 30
"""Number of moves that the rest of the time must last for, where nobody gives it."""

SAFETY = 0.9
"""Share of the time for a move that is planned with."""


@dataclass(frozen=True)
class Limits:
    """The limits of thinking about one position; None is no limit."""

    num_simulations: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Thought:
    """A player's analysis of a position, maybe before it has finished."""

    action: int
    """The move that it would play."""
    value: float = math.nan
    """Expected return of the player to move; nan where unknown."""
    moves: tuple[MoveAnalysis, ...] = ()
    """All legal moves, best first; empty for a player without an opinion."""
    line: tuple[int, ...] = ()
    """The moves that the player expects, `action` first; empty where it does not say."""
    lines: tuple[tuple[int, ...], ...] = ()
    """The moves that the player expects after each of the first `moves`, that move first; as many as it was made to
    tell (`make_thinker`)."""
    forecast: Forecast = Forecast()
    """What the player expects of the end, if it was made to tell (`make_thinker`)."""
    branches: tuple[Branch, ...] = ()
    """The most visited part of the search, when it has ended and if it was made to tell (`make_thinker`)."""
    num_simulations: int = 0
    """Simulations made so far; 0 where nothing is searched."""
    planned_simulations: int = 0
    """Simulations after which the search is finished; 0 where nothing is searched."""
    seconds: float = 0.0
    """Time since the player began to think."""


Report = Callable[[Thought], None]


def never() -> bool:
    """A `should_stop` for a thought that nobody stops."""
    return False


def no_report(thought: Thought) -> None:
    """A `report` for a thought that nobody follows."""


class Thinker(Protocol):
    """A player that is asked about one position after the other."""

    name: str
    needs_history: bool
    """Whether the player can only think about positions that follow from the start of a game."""

    def think(
        self,
        pool: StatePool,
        history: Sequence[int],
        limits: Limits,
        should_stop: Callable[[], bool] = never,
        report: Report = no_report,
    ) -> Thought:
        """Think about the position in slot 0 of `pool`, where a player is to move; `history` led to it.

        `should_stop` is called between simulations. `report` gets thoughts on the way, the last of them unfinished.
        """
        ...

    def close(self) -> None:
        """See `Player.close`."""
        ...


def move_seconds(remaining: float, increment: float = 0.0, moves_to_go: int = 0) -> float:
    """Seconds for a move, of those that remain for `moves_to_go` moves (0: for the rest of the game)."""
    share = remaining / (moves_to_go or USUAL_MOVES_TO_GO) + increment
    return max(0.0, SAFETY * min(share, remaining))


def make_thinker(
    player: Player, plays_line: bool = False, num_lines: int = 0, forecasts: bool = False, num_branches: int = 0
) -> Thinker:
    """The thinker of a player; closing it closes the player.

    With `plays_line`, a player without a search finds its line by playing on against itself, an analysis a move.
    `num_lines` is the largest number of `Thought.lines` of a player that searches; each costs time, and so does
    `Thought.forecast` with `forecasts`. `num_branches` is the largest number of moves in `Thought.branches`.
    """
    if isinstance(player, SearchPlayer):
        return SearchThinker(player, num_lines, forecasts, num_branches)
    return PlayerThinker(player, plays_line, forecasts)


def try_out(thinker: Thinker, pool: StatePool) -> None:
    """Think once about the start of a game, which is put into slot 0: the first thought loads kernels."""
    pool.reset(HERE)
    thinker.think(pool, (), Limits(num_simulations=1))


class PlayerThinker:
    """Any player: asked for one move, however long it takes."""

    def __init__(self, player: Player, plays_line: bool = False, forecasts: bool = False) -> None:
        """`plays_line` and `forecasts` as in `make_thinker`."""
        self._forecasts = forecasts
        self.name, self.needs_history = player.name, not isinstance(player, Analyst)
        self._player, self._plays_line = player, plays_line

    def think(
        self,
        pool: StatePool,
        history: Sequence[int],
        limits: Limits,
        should_stop: Callable[[], bool] = never,
        report: Report = no_report,
    ) -> Thought:
        """See `Thinker.think`. Time and a wish to stop end the line alone."""
        began = time.monotonic()
        if not isinstance(self._player, Analyst):
            action = int(self._player.choose(pool, HERE, [history])[0])
            return Thought(action, seconds=time.monotonic() - began)
        deadline = math.inf if limits.seconds is None else began + limits.seconds
        analysis, forecast = self._player.analyse(pool, 0), Forecast()
        if self._forecasts and isinstance(self._player, Forecasts):
            forecast = self._player.forecast(pool, 0)
        so_far = time.monotonic() - began
        report(Thought(analysis.action, analysis.value, analysis.moves, forecast=forecast, seconds=so_far))
        line = _played_line(
            self._player,
            pool,
            analysis,
            LONGEST_LINE if self._plays_line else 1,
            lambda: should_stop() or time.monotonic() >= deadline,
        )
        seconds = time.monotonic() - began
        return Thought(analysis.action, analysis.value, analysis.moves, line, (), forecast, seconds=seconds)

    def close(self) -> None:
        """See `Player.close`."""
        self._player.close()


class SearchThinker:
    """A player that searches, one tree at a time, simulation by simulation."""

    needs_history = False

    def __init__(
        self, player: SearchPlayer, num_lines: int = 0, forecasts: bool = False, num_branches: int = 0
    ) -> None:
        """`num_lines`, `forecasts` and `num_branches` as in `make_thinker`."""
        self.name, self._player, self._num_lines, self._forecasts = player.name, player, num_lines, forecasts
        self._num_branches = num_branches
        self._speed: float | None = None  # simulations a second in the last search of MEASURED_SIMULATIONS or more

    def think(
        self,
        pool: StatePool,
        history: Sequence[int],
        limits: Limits,
        should_stop: Callable[[], bool] = never,
        report: Report = no_report,
    ) -> Thought:
        """See `Thinker.think`. At least one simulation is made, for without one there is nothing to answer."""
        began = time.monotonic()
        deadline = math.inf if limits.seconds is None else began + limits.seconds
        planned = self._num_simulations(limits)
        forecast = self._player.forecast(pool, 0) if self._forecasts else Forecast()
        search = self._player.begin(pool, 0, planned)
        done, next_report = 0, began + REPORT_SECONDS

        def so_far() -> Thought:
            return replace(self._thought(search, pool, done, planned, time.monotonic() - began), forecast=forecast)

        while True:
            done += search.simulate(HERE)  # 0 for the call that evaluates the root itself
            now = time.monotonic()
            if search.finished(HERE)[0] or ((now >= deadline or should_stop()) and done > 0):
                break
            if now >= next_report:
                report(so_far())
                after = time.monotonic()
                next_report = after + max(REPORT_SECONDS, (after - now) * REPORT_SPACING)
        thought = so_far()
        if self._num_branches:
            thought = replace(thought, branches=search_branches(search, pool, 0, self._num_branches))
        if done >= MEASURED_SIMULATIONS:
            self._speed = done / max(thought.seconds, 1e-6)
        return thought

    def close(self) -> None:
        """See `Player.close`."""
        self._player.close()

    def _thought(self, search: Search, pool: StatePool, done: int, planned: int, seconds: float) -> Thought:
        analysis = self._player.read(search, pool, 0)
        line, *lines = (
            tuple(expected_line(search, pool, 0, action, LONGEST_LINE))
            for action in (analysis.action, *(move.action for move in analysis.moves[: self._num_lines] if move.visits))
        )
        return Thought(
            analysis.action,
            analysis.value,
            analysis.moves,
            line,
            tuple(lines),
            num_simulations=done,
            planned_simulations=planned,
            seconds=seconds,
        )

    def _num_simulations(self, limits: Limits) -> int:
        """The number of simulations to plan with: a Gumbel search must know it from the start."""
        most = self._player.config.num_simulations
        if limits.num_simulations is not None:
            most = min(most, limits.num_simulations)
        if limits.seconds is not None and self._speed is not None:
            most = min(most, _rounded(int(self._speed * limits.seconds)))
        return max(1, most)


def line_texts(pool: StatePool, line: Sequence[int]) -> tuple[str, ...]:
    """The moves of `Thought.line` as text; they begin at the position in slot 0 of `pool`, which is left as it was."""
    own, texts = _copy(pool), list[str]()
    for action in line:
        texts.append(own.action_text(0, action))
        own.step(HERE, np.array([action], np.int64), HERE)
    return tuple(texts)


def _played_line(
    player: Analyst, pool: StatePool, analysis: Analysis, most: int, should_stop: Callable[[], bool]
) -> tuple[int, ...]:
    """The moves that a player plays from here on against itself, at most `most`; a chance event ends them."""
    own, line = _copy(pool), list[int]()
    while True:
        line.append(analysis.action)
        own.step(HERE, np.array([analysis.action], np.int64), HERE)
        if len(line) >= most or own.to_play(HERE)[0] < 0 or should_stop():
            return tuple(line)
        analysis = player.analyse(own, 0)


def _copy(pool: StatePool) -> StatePool:
    """A pool of its own with the position in slot 0."""
    own = pool.game.new_pool(1)
    own.load(HERE, pool, HERE)
    return own


def _rounded(number: int) -> int:
    """A number down to its first three bits: plans are kept for every number of simulations that ever was."""
    places = max(0, number.bit_length() - 3)
    return number >> places << places
