"""How long a run goes on, and how much of that is spent."""

from __future__ import annotations

from selfplay.settings import BudgetConfig


def budget_fraction(budget: BudgetConfig, seconds: float, steps: int, games: int, positions: int) -> float:
    """How much of the budget is spent, in [0, 1], by the limit that is nearest; 0 without any."""
    fractions = [0.0]
    if budget.minutes:
        fractions.append(seconds / (60 * budget.minutes))
    if budget.steps:
        fractions.append(steps / budget.steps)
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
