"""What players and agents are: a player chooses moves for a batch of positions, an agent acts in environments.

Matches, evaluations and `play` know nothing else of them. `selfplay.players.kinds` makes both from text; an object of
one's own with `name`, `choose` and `close` is a player as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from games import StatePool
from games.environments.environment import EnvironmentBatch


class Player(Protocol):
    """Chooses moves. Nothing is remembered from call to call but random numbers, so games may come and go."""

    name: str
    """The text that makes this player (`selfplay.players.kinds.parse_player`)."""

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """Legal actions int64 `[B]` for the positions in `slots` int64 `[B]`; in each of them a player is to move.

        `histories[i]` are the actions and chance outcomes that led from the start to position i, for players that keep
        their own board. The pool is left as it was.
        """
        ...

    def close(self) -> None:
        """Free memory, end processes. The player is not used afterwards."""
        ...


@dataclass(frozen=True)
class MoveAnalysis:
    """A player's analysis of one move."""

    action: int
    text: str
    visits: int
    """Simulations that began with the move; 0 where nothing was searched."""
    q: float
    """Expected return of the player to move; nan where unknown."""
    prior: float
    """Probability before the search."""


@dataclass(frozen=True)
class Analysis:
    """A player's analysis of a position."""

    action: int
    """The move it would play."""
    value: float
    """Expected return of the player to move."""
    moves: tuple[MoveAnalysis, ...]
    """All legal moves, best first."""


@dataclass(frozen=True)
class Branch:
    """A move in a player's search, or an outcome of chance, with what was searched behind it."""

    action: int
    text: str
    to_play: int
    """Who makes the move: a player, or `games.CHANCE`."""
    visits: int
    q: float
    """Mean return of the player who makes the move; nan for an outcome of chance."""
    prior: float
    replies: tuple[Branch, ...]
    """The most visited first."""


@runtime_checkable
class Analyst(Protocol):
    """A player that can say why."""

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """Think about the position in `slot`, where a player is to move."""
        ...


@dataclass(frozen=True)
class Forecast:
    """What a player expects of the end of a game, for the player to move."""

    score: float = math.nan
    """By how much it will win, as `StatePool.final_scores`; nan where unknown."""
    ownership: np.ndarray | None = None
    """Whose each cell will be, float [H, W] as `StatePool.final_labels`: 1 its own, -1 the opponent's. None where
    unknown."""


@runtime_checkable
class Forecasts(Protocol):
    """A player that may know how a game ends besides who wins."""

    def forecast(self, pool: StatePool, slot: int) -> Forecast:
        """What it expects of the position in `slot`, where a player is to move."""
        ...


@runtime_checkable
class Evaluates(Protocol):
    """A player that gives the values of positions, many in one call."""

    def decide(
        self, pool: StatePool, slots: np.ndarray, histories: Sequence[Sequence[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The moves of `Player.choose`, and expected returns of the players to move, float64 `[B]`."""
        ...


class Agent(Protocol):
    """Acts in environments, as a player does in games."""

    name: str
    """The text that makes this agent."""

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """Actions for the present observations of a batch, as its `step` takes them."""
        ...

    def close(self) -> None:
        """Leave what it holds to the next agent, which may trace no network again; it does not act afterwards."""
        return
