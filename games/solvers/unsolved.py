"""The answer of a solver that has none."""

from __future__ import annotations

from games.base import GameError


class UnsolvedError(GameError):
    """The value of a position is out of reach of the solver; others may not be."""
