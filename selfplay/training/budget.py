"""How long a run goes on, and how much of that is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from selfplay.actors.finished import Finished
from selfplay.config.run import BudgetConfig
from selfplay.experience.figures import SelfPlayCounts


class Progress:
    """What a run has spent of its budget, over all its starts. See `actors.sources.Budget`."""

    def __init__(
        self, budget: BudgetConfig, steps: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`steps` says how many the learner has made; `clock` gives seconds."""
        self.games = 0
        """Games or episodes that have ended."""
        self.positions = 0
        """Positions played."""
        self.unfinished = 0
        """Positions of games that are not over, or never were: no shard has them."""
        self._budget, self._learner_steps, self._clock = budget, steps, clock
        self._started, self._seconds_before = clock(), 0.0
        self._all_played: float | None = None  # when all was played that the budget allows

    @property
    def steps(self) -> int:
        """Steps of the learner."""
        return self._learner_steps()

    @property
    def elapsed(self) -> float:
        """Seconds of training."""
        return self._seconds_before + self._clock() - self._started

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, in [0, 1]; 0 without a budget."""
        return budget_fraction(self._budget, self.elapsed, self.steps, self.games, self.positions)

    @property
    def may_go_on(self) -> bool:
        """Time and steps are left."""
        return budget_fraction(self._budget, self.elapsed, self.steps, 0, 0) < 1.0

    def seconds_left(self) -> float | None:
        """See `Budget.seconds_left`."""
        return 60 * self._budget.minutes - self.elapsed if self._budget.minutes else None

    def is_spent(self, counts: SelfPlayCounts) -> bool:
        """See `Budget.is_spent`."""
        games, positions = self.games + counts.games, self.positions + counts.positions
        return budget_fraction(self._budget, self.elapsed, self.steps, games, positions) >= 1.0

    def add(self, finished: Finished) -> None:
        """Count what was played."""
        self.games += sum(record.games for record in finished.records)
        self.positions += finished.counts.positions
        self.unfinished += finished.counts.positions - finished.positions
        if self._all_played is None and played_fraction(self._budget, self.games, self.positions) >= 1.0:
            self._all_played = self._clock()

    @property
    def is_all_played(self) -> bool:
        """Nothing more may be played."""
        return self._all_played is not None

    @property
    def seconds_since_all_played(self) -> float:
        """Seconds since then; 0 while something may be played."""
        return 0.0 if self._all_played is None else self._clock() - self._all_played

    def positions_left(self) -> int | None:
        """Positions that the budget has left, games counted as long as they were so far; None for any number."""
        if self.is_all_played:
            return 0
        left = []
        if self._budget.positions:
            left.append(self._budget.positions - self.positions)
        if self._budget.games:
            length = max(1, self.positions) / max(1, self.games)  # grows while no game has ended
            left.append(math.ceil((self._budget.games - self.games) * length))
        return min(left, default=None)

    def overshoot(self) -> Iterator[str]:
        """Lines about what was played beyond the budget."""
        for name in ("positions", "games"):
            most, played = getattr(self._budget, name), getattr(self, name)
            if most and played > most and self.is_all_played:
                more = f"played {played - most:,} {name} more than budget.{name} ({most:,})"
                yield f"{more}: one step of all games or environments is not divided"

    def recount(self, games: int, positions: int) -> None:
        """Set the number of games and of their positions to what is on disk; a checkpoint may have counted fewer."""
        self.games, self.positions = games, positions + self.unfinished

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "games": self.games,
            "positions": self.positions,
            "unfinished": self.unfinished,
            "seconds": self.elapsed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; runs from before `unfinished` was counted have none."""
        self.games, self.positions = state["games"], state["positions"]
        self.unfinished = state.get("unfinished", 0)
        self._seconds_before = state["seconds"]


def budget_fraction(budget: BudgetConfig, seconds: float, steps: int, games: int, positions: int) -> float:
    """How much of the budget is spent, in [0, 1], by the limit that is nearest; 0 without any."""
    fractions = [played_fraction(budget, games, positions)]
    if budget.minutes:
        fractions.append(seconds / (60 * budget.minutes))
    if budget.steps:
        fractions.append(steps / budget.steps)
    return min(1.0, max(fractions))


def played_fraction(budget: BudgetConfig, games: int, positions: int) -> float:
    """How much of what may be played was played, in [0, 1]; 0 without a limit of games or positions."""
    fractions = [0.0]
    if budget.games:
        fractions.append(games / budget.games)
    if budget.positions:
        fractions.append(positions / budget.positions)
    return min(1.0, max(fractions))


def budget_text(budget: BudgetConfig) -> str:
    """The budget as a person reads it."""
    limits = [
        f"{budget.minutes:g} minutes" if budget.minutes else "",
        f"{budget.steps:,} steps" if budget.steps else "",
        f"{budget.games:,} games" if budget.games else "",
        f"{budget.positions:,} positions" if budget.positions else "",
    ]
    return " or ".join(filter(None, limits)) or "until it is stopped with Ctrl-C"


def longer_budget(budget: BudgetConfig, spent: BudgetConfig) -> list[str]:
    """Options with which a run whose budget is spent goes on for about as long again: limits are doubled until none
    ends it before. `spent` is what the run took so far.

    Empty where no limit was reached: a run that a signal ended goes on to its own budget.
    """
    names = ("minutes", "steps", "games", "positions")
    limits = {name: (getattr(budget, name), getattr(spent, name)) for name in names if getattr(budget, name)}
    if all(used < limit for limit, used in limits.values()):
        return []
    words = []
    for name, (limit, used) in limits.items():
        longer = limit
        while longer < 1.8 * used:
            longer *= 2
        if longer != limit:
            words += [f"--budget.{name}", f"{longer:g}" if name == "minutes" else str(longer)]
    return words
