"""What an agent sees of environments, as positions that a learned model can be asked about."""

from __future__ import annotations

import numpy as np

from games.base import Game, GameError, StatePool, compressed
from games.environments.environment import EnvironmentBatch


class ObservedPositions(StatePool):
    """The present observations of a batch of environments; slot i is copy i. Nothing can be played in it."""

    def __init__(self, game: Game, batch: EnvironmentBatch) -> None:
        """`game`: the environment as a game of one player."""
        self.game, self.capacity = game, batch.num_envs
        self._observation, self._legal_mask = batch.observation, batch.legal_mask
        self._sampled = np.zeros((batch.num_envs, *game.sampled_shape), np.float32)

    def to_play(self, slots: np.ndarray) -> np.ndarray:
        """The only player moves everywhere."""
        return np.zeros(len(slots), np.int64)

    def legal(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `StatePool.legal`."""
        if self._legal_mask is None:
            return compressed([range(self.game.num_actions)] * len(slots), np.int64)
        return compressed([np.flatnonzero(self._legal_mask[slot]).tolist() for slot in slots], np.int64)

    def observe(self, slots: np.ndarray, out: np.ndarray) -> None:
        """See `StatePool.observe`."""
        out[:] = self._observation[slots]

    def sampled_actions(self, slots: np.ndarray) -> np.ndarray:
        """See `StatePool.sampled_actions`; zeros where nobody has said it."""
        return self._sampled[slots]

    def set_sampled_actions(self, slots: np.ndarray, actions: np.ndarray) -> None:
        """See `StatePool.set_sampled_actions`."""
        self._sampled[slots] = actions

    def played(self, numbers: np.ndarray) -> np.ndarray:
        """Actions in all copies, int64 [N], as the environment takes them: so, or float32 [N, D] for real numbers."""
        return numbers if self.game.action_low is None else self._sampled[np.arange(len(numbers)), numbers]

    def action_text(self, slot: int, action: int) -> str:
        """The number of the action."""
        return str(action)

    def text(self, slot: int) -> str:
        """The numbers of the observation."""
        return str(self._observation[slot].tolist())

    def reset(self, slots: np.ndarray) -> None:
        """Refused."""
        raise self._refusal()

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refused."""
        raise self._refusal()

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Refused."""
        raise self._refusal()

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        """Refused."""
        raise self._refusal()

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Refused."""
        raise self._refusal()

    def rollout(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Refused."""
        raise self._refusal()

    def _refusal(self) -> GameError:
        return GameError(f"{self.game.name}: an observation of it can be looked at, and not be played on")
