"""Returns and lengths of the episodes of a batch, as they end."""

from __future__ import annotations

import numpy as np

from games.environment import Step


class EpisodeCounter:
    """Adds up what each of N environments pays."""

    def __init__(self, num_envs: int, default_limit: int = 0) -> None:
        """`default_limit`: see `Environment.default_limit`."""
        self._default_limit = default_limit
        self.cut_off = 0
        """Episodes that this limit has ended."""
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, np.int64)
        self._side = np.ones(num_envs)  # -1 while the opponent of who began the episode moves

    def add(self, step: Step) -> list[tuple[int, float, int]]:
        """(environment, return, length) of the episodes that a step has ended.

        A return is what the environment paid, without discount; in a game what it paid the player who began.
        """
        self._return += self._side * step.reward
        self._length += 1
        self._side *= np.where(step.discount < 0, -1.0, 1.0)
        over = np.nonzero(step.ended)[0]
        if self._default_limit:
            self.cut_off += int(((self._length[over] >= self._default_limit) & (step.discount[over] != 0)).sum())
        found = [(int(row), float(self._return[row]), int(self._length[row])) for row in over]
        self._begin(over)
        return found

    def cut_off_after(self, steps: int) -> list[tuple[int, float, int]]:
        """The same for those that have gone on for `steps`: they count as ended here, though not in the environment."""
        over = np.nonzero(self._length >= steps)[0]
        found = [(int(row), float(self._return[row]), int(self._length[row])) for row in over]
        self.cut_off += len(over)
        self._begin(over)
        return found

    def _begin(self, over: np.ndarray) -> None:
        self._return[over], self._length[over], self._side[over] = 0.0, 0, 1.0
