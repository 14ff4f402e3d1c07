"""Who is ahead in a game that was cut off: judges, declared once per game, for games that random play never ends.

Chinese checkers has no reward before a player has moved ten pieces across the board, which untrained players never do.
Judged by how far the pieces have come, the first games already teach something. A judge decides only games that are cut
off: the results of games that end are those of the rules.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from games.base import Game, StatePool

Judge = Callable[[StatePool, np.ndarray], np.ndarray]
"""(pool, slots [n], a player to move in each) -> returns float64 [n, P], within the bounds of the game's own."""


def declared_judge(name: str, game: Game) -> Judge | None:
    """The judge of an OpenSpiel game by its short name; None when none is declared."""
    return ChineseCheckersJudge(game) if name == "chinese_checkers" else None


class ChineseCheckersJudge:
    """Mean distance of a player's pieces to the far tip of its goal, against the mean of all players.

    A return of 1 is a lead of `FULL_LEAD` steps a piece over the mean. Returns sum to zero.
    """

    FULL_LEAD = 12.0
    """Steps from one home to the opposite one, about."""

    CELLS, ROWS, COLUMNS = 121, 17, 25

    def __init__(self, game: Game) -> None:
        self.num_players = game.num_players
        pool, slot = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(slot)
        lines = pool.text(0).split("\n")[: self.ROWS]
        cells = np.array([(r, c) for r, line in enumerate(lines) for c, mark in enumerate(line) if mark != " "])
        homes = self._pieces(pool, slot)[0]  # [P, CELLS]
        self.distance = np.empty((self.num_players, self.CELLS))
        centre = np.array([(self.ROWS - 1) / 2, (self.COLUMNS - 1) / 2])
        for player in range(self.num_players):
            home = cells[homes[player]]
            tip = 2 * centre - home[_steps(home, centre).argmax()]  # the goal lies opposite
            self.distance[player] = _steps(cells, tip)
        pool.close()

    def __call__(self, pool: StatePool, slots: np.ndarray) -> np.ndarray:
        """See `Judge`."""
        pieces = self._pieces(pool, slots)
        mean_distance = (pieces * self.distance).sum(axis=2) / pieces.sum(axis=2)
        lead = mean_distance.mean(axis=1, keepdims=True) - mean_distance
        return np.clip(lead / self.FULL_LEAD, -1.0, 1.0)

    def _pieces(self, pool: StatePool, slots: np.ndarray) -> np.ndarray:
        """Where each player's pieces are, bool [n, P, CELLS]. Observations have the mover's plane first."""
        observations = np.empty((len(slots), *pool.game.observation_shape), np.float32)
        pool.observe(slots, observations)
        planes = observations[:, : self.num_players * self.CELLS].reshape(len(slots), self.num_players, self.CELLS)
        seats = (np.arange(self.num_players) - pool.to_play(slots)[:, None]) % self.num_players
        return np.take_along_axis(planes, seats[:, :, None], axis=1) > 0.5


def _steps(cells: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Steps on the hexagonal grid from each of `cells` [k, 2] to `target`; cells of a row are two columns apart."""
    rows, columns = np.abs(cells - target).T
    return np.maximum(rows, (rows + columns) / 2)
