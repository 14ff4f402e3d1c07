"""A model for a search that knows nothing: every action is as good as any other, in every position."""

from __future__ import annotations

import numpy as np

from games import Game, StatePool
from search import Evaluation, EvaluationCounts, ModelTraits


class ConstantModel:
    """Never asks the game for anything but legal actions; nothing pays, nothing ends."""

    def __init__(self, game: Game, value: float) -> None:
        self.traits = ModelTraits(game.name, game.num_players, game.num_actions)
        self._value = value

    def allocate(self, num_slots: int) -> None:
        self._legal = [np.arange(self.traits.num_actions)] * num_slots

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        offsets, actions = pool.legal(pool_slots)
        for i, slot in enumerate(slots.tolist()):
            self._legal[slot] = actions[offsets[i] : offsets[i + 1]].copy()
        return pool.to_play(pool_slots)

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for slot in dst.tolist():
            self._legal[slot] = np.arange(self.traits.num_actions)
        return np.zeros(len(src), np.int64), np.zeros((len(src), self.traits.num_players))

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raise AssertionError("a model without chance nodes is never asked for outcomes")

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        rows = [self._legal[slot] for slot in slots.tolist()]
        offsets, actions = np.cumsum([0, *map(len, rows)]), np.concatenate(rows)
        values = np.full((len(slots), self.traits.num_players), self._value)
        return Evaluation(offsets, actions, np.zeros(len(actions), np.float32), values)

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        raise AssertionError("a model that cannot reuse positions is never asked to copy them")

    def collect_unsound(self) -> None:
        pass

    def take_unsound(self) -> dict[int, str]:
        return {}


class ConstantFactory:
    """Makes these models for a game, with one value of every position; counts nothing."""

    def __init__(self, game: Game, value: float = 0.0) -> None:
        self.game, self.value = game, value
        self.traits = self.make_model().traits

    def make_model(self) -> ConstantModel:
        return ConstantModel(self.game, self.value)

    def take_counts(self) -> EvaluationCounts:
        return EvaluationCounts()

    def weights_changed(self) -> None:
        pass
