"""Exact values of moves, by the solver that fits the game."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from games.base import Game, StatePool
from games.solvers.connect_four import ConnectFourSolver
from games.solvers.hex import HexSolver
from games.solvers.retrograde import RetrogradeSolver


class Solver(Protocol):
    """Computes the value of every move. It keeps only results of earlier positions, which may come in any order."""

    def move_values(self, pool: StatePool, slot: int) -> dict[int, float]:
        """The return of the player to move, from here on, after each legal move of the position and perfect play."""
        ...

    def best_moves(self, pool: StatePool, slot: int) -> list[int]:
        """Moves with the greatest value; where a game could go on for ever, of those only the ones that end it."""
        ...


@runtime_checkable
class ScoringSolver(Protocol):
    """A solver that also computes how soon a move wins or loses."""

    def move_scores(self, pool: StatePool, slot: int) -> dict[int, int]:
        """A number for each legal move, greater for a better one."""
        ...


def make_solver(game: Game) -> Solver:
    """A solver of `game`: alpha-beta for Connect Four, must-play regions for small Hex, else all positions backwards.

    The last solves the game at once. Raises GameError where a game is too large, or its exact play not defined.
    """
    for kind in (ConnectFourSolver, HexSolver):
        if kind.supports(game):
            return kind(game)
    return RetrogradeSolver(game)
