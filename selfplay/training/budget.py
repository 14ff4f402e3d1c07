"""How long a run goes on, and how much of that is spent."""

from __future__ import annotations

from selfplay.config.run import BudgetConfig


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
