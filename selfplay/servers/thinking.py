"""How a server lets a player think about one position: within limits, and so that it can be stopped.

A player that searches is stopped between two simulations, and answers with what it has found by then; of its own
simulations it never makes more than it was made with. Any other player is asked for its move and cannot be stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from games import StatePool
from selfplay.players.player import Analyst, Player
from selfplay.players.search import SearchPlayer, expected_line

LONGEST_LINE = 16
"""Moves of a principal variation that are shown."""

FIRST_SIMULATIONS = 2
"""The root's own evaluation and one move: with less there is nothing to answer."""

MEASURED_SIMULATIONS = 32
"""Shorter searches, such as the first, which loads kernels, say nothing about speed."""

USUAL_MOVES_TO_GO = 30
"""For so many more moves the time must last where nobody says for how many."""

SAFETY = 0.9
"""Share of the time for a move that is planned with."""


@dataclass(frozen=True)
class Limits:
    """What a move may cost; None is no limit."""

    simulations: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Thought:
    """A move and why."""

    action: int
    value: float
    """Expected return of the player to move; nan where unknown."""
    simulations: int
    """0 where nothing was searched."""
    line: tuple[int, ...]
    """The moves that are expected, `action` first."""
    seconds: float


def never() -> bool:
    """For a thought that nobody stops."""
    return False


class Thinker(Protocol):
    """A player as the servers use it."""

    name: str
    needs_history: bool
    """Whether it plays only positions that follow from the start of a game."""

    def think(
        self, pool: StatePool, history: Sequence[int], limits: Limits, should_stop: Callable[[], bool] = never
    ) -> Thought:
        """A move for the position in slot 0, where a player is to move. `should_stop` is asked again and again."""
        ...

    def close(self) -> None:
        """See `Player.close`."""
        ...


def move_seconds(remaining: float, increment: float = 0.0, moves_to_go: int = 0) -> float:
    """Seconds for a move, of those that remain for `moves_to_go` moves (0: for the rest of the game)."""
    share = remaining / (moves_to_go or USUAL_MOVES_TO_GO) + increment
    return max(0.0, SAFETY * min(share, remaining))


def make_thinker(player: Player) -> Thinker:
    """A player for a server; closing it closes the player."""
    return SearchThinker(player) if isinstance(player, SearchPlayer) else PlayerThinker(player)


def try_out(thinker: Thinker, pool: StatePool) -> None:
    """Think once about the start of a game, which is put into slot 0: the first thought loads kernels."""
    pool.reset(np.zeros(1, np.int64))
    thinker.think(pool, (), Limits(simulations=1))


class PlayerThinker:
    """Any player: one move, whatever it costs."""

    def __init__(self, player: Player) -> None:
        self.name, self.needs_history = player.name, not isinstance(player, Analyst)
        self._player = player

    def think(
        self, pool: StatePool, history: Sequence[int], limits: Limits, should_stop: Callable[[], bool] = never
    ) -> Thought:
        """See `Thinker.think`."""
        began, value = time.monotonic(), math.nan
        if isinstance(self._player, Analyst):
            analysis = self._player.analyse(pool, 0)
            action, value = analysis.action, analysis.value
        else:
            action = int(self._player.choose(pool, np.zeros(1, np.int64), [history])[0])
        return Thought(action, value, 0, (action,), time.monotonic() - began)

    def close(self) -> None:
        """See `Player.close`."""
        self._player.close()


class SearchThinker:
    """A player that searches, one tree at a time, simulation by simulation."""

    needs_history = False

    def __init__(self, player: SearchPlayer) -> None:
        self.name, self._player = player.name, player
        self._speed: float | None = None  # simulations a second in the last search of some length

    def think(
        self, pool: StatePool, history: Sequence[int], limits: Limits, should_stop: Callable[[], bool] = never
    ) -> Thought:
        """See `Thinker.think`."""
        began, tree = time.monotonic(), np.zeros(1, np.int64)
        deadline = math.inf if limits.seconds is None else began + limits.seconds
        search = self._player.begin(pool, 0, self._budget(limits))
        simulations = 0
        while simulations < FIRST_SIMULATIONS or not (time.monotonic() >= deadline or should_stop()):
            search.simulate(tree)
            simulations += 1
            if search.finished(tree)[0]:
                break
        found = self._player.read(search, pool, 0)
        seconds = time.monotonic() - began
        if simulations >= MEASURED_SIMULATIONS:
            self._speed = simulations / max(seconds, 1e-6)
        line = tuple(move for move, _ in expected_line(search, pool, 0, found.action, LONGEST_LINE))
        return Thought(found.action, found.value, simulations, line, seconds)

    def close(self) -> None:
        """See `Player.close`."""
        self._player.close()

    def _budget(self, limits: Limits) -> int:
        """Simulations to plan with: Gumbel's plan wants to know before the search how many there will be."""
        most = self._player.config.num_simulations
        if limits.simulations is not None:
            most = min(most, limits.simulations)
        if limits.seconds is not None and self._speed is not None:
            most = min(most, _rounded(int(self._speed * limits.seconds)))
        return max(1, most)


def _rounded(number: int) -> int:
    """A number down to its first three bits: plans are kept for every number of simulations that ever was."""
    places = max(0, number.bit_length() - 3)
    return number >> places << places
