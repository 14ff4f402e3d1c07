"""Positions of which only observations are known, for a learned model, which needs no more.

They are what an agent sees of environments, or what a replay has kept of games.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from games.base import Game, GameError, StatePool


class ObservedPositions(StatePool):
    """Position i is in slot i, and somebody is to move in it. Nothing can be played."""

    def __init__(
        self,
        game: Game,
        observation: Shaped[np.ndarray, "N *observation"],
        legal_mask: Bool[np.ndarray, "N A"] | None = None,
        to_play: Int64[np.ndarray, " N"] | None = None,
    ) -> None:
        """`legal_mask` None: all actions are legal everywhere. `to_play` None: player 0 moves everywhere."""
        self.game, self.capacity = game, len(observation)
        self._observation, self._legal_mask = observation, legal_mask
        self._to_play = np.zeros(self.capacity, np.int64) if to_play is None else to_play
        self._sampled = np.zeros((self.capacity, *game.sampled_shape), np.float32)

    def to_play(self, slots: np.ndarray) -> np.ndarray:
        """See `StatePool.to_play`."""
        return self._to_play[slots]

    def legal(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `StatePool.legal`."""
        width = self.game.num_actions
        if self._legal_mask is None:
            return np.arange(len(slots) + 1) * width, np.tile(np.arange(width), len(slots))
        rows, actions = np.nonzero(self._legal_mask[slots])
        return np.searchsorted(rows, np.arange(len(slots) + 1)), actions

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
