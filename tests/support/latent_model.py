"""A model that is not the game: latents, no pool, no chance, no ends, no proofs. What MuZero's model will look like."""

from __future__ import annotations

import numpy as np
from search_helpers import judge

import games
from games import StatePool
from search import Evaluation, EvaluationCounts, ModelTraits

GAME = games.load("tic_tac_toe")
CELLS = 9
LINES = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])


class LatentModel:
    """Tic-tac-toe as a learned model sees it: a latent is the board of the player to move, 1 his cells, -1 the others'.

    Nothing ends: after the end of a game the latent stays as it is, every action is listed, and the value stays the
    result, with its sign alternating (Schrittwieser et al. 2020, appendix B).
    """

    traits = ModelTraits("latent tic-tac-toe", num_players=2, num_actions=CELLS, max_return=1.0)

    def allocate(self, num_slots: int) -> None:
        self.latents = np.zeros((num_slots, CELLS), np.float32)
        self.mover = np.zeros(num_slots, np.int64)

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        observations = np.zeros((len(pool_slots), *GAME.observation_shape), np.float32)
        pool.observe(pool_slots, observations)
        self.mover[slots] = pool.to_play(pool_slots)
        # Planes: empty, o (the second player), x, and the seats.
        second, first = observations[:, 1].reshape(-1, CELLS), observations[:, 2].reshape(-1, CELLS)
        self.latents[slots] = (first - second) * np.where(self.mover[slots] == 0, 1, -1)[:, None]
        return self.mover[slots]

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        played = self.latents[src]
        goes_on = self._results(played) == 0
        goes_on &= played[np.arange(len(src)), actions] == 0
        played[np.flatnonzero(goes_on), actions[goes_on]] = 1
        self.latents[dst], self.mover[dst] = -played, 1 - self.mover[src]
        return self.mover[dst], np.zeros((len(src), 2))

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raise AssertionError("a model without chance nodes is never asked for outcomes")

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        rows, logits, values = [], [], []
        for latent, mover in zip(self.latents[slots], self.mover[slots].tolist(), strict=True):
            result = float(self._results(latent[None])[0])
            is_over = result != 0 or (latent != 0).all()
            rows.append(np.arange(CELLS) if is_over else np.flatnonzero(latent == 0))
            if is_over:
                logits.append(np.zeros(CELLS, np.float32))
                values.append(np.array([result, -result]) * (1 if mover == 0 else -1))
            else:
                opinion, value = judge(self.text(latent, mover), len(rows[-1]), 2)
                logits.append(opinion)
                values.append(value)
        offsets = np.cumsum([0, *map(len, rows)])
        return Evaluation(offsets, np.concatenate(rows), np.concatenate(logits), np.array(values))

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        raise AssertionError("a model that cannot reuse positions is never asked to copy them")

    def collect_unsound(self) -> None:
        pass

    def take_unsound(self) -> dict[int, str]:
        return {}

    @staticmethod
    def text(latent: np.ndarray, mover: int) -> str:
        """The board as the game writes it, so that `judge` has the same opinion."""
        own, other = ("x", "o") if mover == 0 else ("o", "x")
        cells = "".join(own if cell > 0 else other if cell < 0 else "." for cell in latent)
        return "\n".join(cells[row : row + 3] for row in (0, 3, 6))

    @staticmethod
    def _results(latents: np.ndarray) -> np.ndarray:
        """[n]: 1 or -1 where the player to move has won or lost, 0 elsewhere."""
        sums = latents[:, LINES].sum(axis=2)
        return (sums == 3).any(axis=1).astype(np.int64) - (sums == -3).any(axis=1)


class LatentFactory:
    """Makes these models; counts nothing."""

    traits = LatentModel.traits

    def make_model(self) -> LatentModel:
        return LatentModel()

    def take_counts(self) -> EvaluationCounts:
        return EvaluationCounts()

    def weights_changed(self) -> None:
        pass
