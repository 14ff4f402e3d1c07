"""Returns and lengths of the episodes of a batch, as they end, and a limit to those that were cut off in a row."""

from __future__ import annotations

import numpy as np

from games.environments.environment import Step
from games.soundness import MOST_IN_A_ROW, UnsoundError

SOUND_STEPS = 100
"""Number of steps in one episode that show that an environment can be played, whatever it says later."""


class EpisodeCounter:
    """Adds up what each of N environments pays."""

    def __init__(self, num_envs: int, default_limit: int = 0) -> None:
        """`default_limit`: see `Environment.default_limit`."""
        self._default_limit = default_limit
        self.cut_off = 0
        """Episodes that this limit has ended."""
        self._unsound_in_a_row = 0
        self._return = np.zeros(num_envs)
        self._length = np.zeros(num_envs, np.int64)
        self._side = np.ones(num_envs)  # -1 while the opponent of who began the episode moves

    def begin_all(self) -> None:
        """All environments are at the start of an episode."""
        self._begin(np.arange(len(self._return)))

    def add(self, step: Step) -> list[tuple[int, float, int]]:
        """(environment, return, length) of the episodes that a step has ended.

        A return is what the environment paid, without discount; in a game what it paid the player who began. A step
        that an episode was cut off before does not count. Raises UnsoundError after MOST_IN_A_ROW episodes that were
        cut off so (`Step.unsound`), where none between them came to its end or had SOUND_STEPS steps.
        """
        self._return += self._side * step.reward
        self._length += 1 if step.unsound is None else ~step.unsound
        self._count_unsound(step)
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

    def _count_unsound(self, step: Step) -> None:
        cut = 0 if step.unsound is None else int(step.unsound.sum())
        if not cut and not self._unsound_in_a_row:
            return
        ended = step.ended if step.unsound is None else step.ended & ~step.unsound
        if ended.any() or ((self._length > 0) & (self._length % SOUND_STEPS == 0)).any():
            self._unsound_in_a_row = 0
            return
        self._unsound_in_a_row += cut
        if self._unsound_in_a_row >= MOST_IN_A_ROW:
            raise UnsoundError(f"{step.faults[-1]}; {MOST_IN_A_ROW} episodes in a row were cut off for such a reason")
