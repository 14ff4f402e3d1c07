"""Which rows of a replay are drawn more often: those on which the learner's error was large.

In the flow: a replay has a `Priorities` for its rows, draws by it, and hands back what the learner says of a batch.

Source: Schaul et al. 2016, "Prioritized experience replay", the proportional variant.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int64

from selfplay.replay.sum_tree import SumTree

LEAST_ERROR = 1e-6
"""Added to every error, so that a row without any is drawn now and then."""


class Priorities:
    """Priorities `|error| ** exponent` of `size` rows, 0 for those that are never drawn."""

    def __init__(self, size: int, exponent: float, importance_exponent: float) -> None:
        """`exponent` 0 draws uniformly. `importance_exponent` is where `importance` begins; it ends at 1."""
        self.exponent = exponent
        self.largest = 1.0
        """The largest priority so far, that of rows that have not been learned from yet."""
        self._first_importance = self.importance = importance_exponent
        """How far the weights of a batch correct for the priorities, in [0, 1]."""
        self._tree = SumTree(size)

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return self._tree.total

    @property
    def nbytes(self) -> int:
        """Memory of the priorities."""
        return self._tree.nbytes

    def of(self, rows: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The priorities of some rows."""
        return self._tree.priorities(rows)

    def set(self, rows: Int64[np.ndarray, " n"], priorities: np.ndarray | float) -> None:
        """Give rows priorities as they are; 0 keeps a row from being drawn."""
        self._tree.set(rows, priorities)

    def draw(
        self, size: int, rng: np.random.Generator
    ) -> tuple[Int64[np.ndarray, " size"], Float32[np.ndarray, " size"]]:
        """`size` rows, and the weights that correct for their priorities, the largest of which is 1.

        Raises ValueError where all priorities are 0.
        """
        rows = self._tree.draw(size, rng)
        weight = np.ones(size, np.float32)
        if self.exponent > 0:
            chance = self._tree.priorities(rows) / self._tree.total
            weight = (chance.min() / chance) ** self.importance  # over the batch's largest, so that it only scales down
        return rows, weight.astype(np.float32)

    def progress_changed(self, progress: float) -> None:
        """So much of the budget is spent, in [0, 1]: it decides how far the next batches are corrected (section 3.4 of
        the paper)."""
        self.importance = self._first_importance + (1.0 - self._first_importance) * progress

    def learned(self, rows: Int64[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> None:
        """New priorities of rows that were drawn, from the learner's errors on them.

        A row whose priority has become 0 meanwhile stays so. An error that is not finite changes nothing: it would
        spoil the sums by which every later row is drawn.
        """
        if self.exponent == 0:
            return
        known = np.isfinite(errors)
        rows, priorities = rows[known], (np.abs(errors[known]) + LEAST_ERROR) ** self.exponent
        self.largest = max(self.largest, float(priorities.max(initial=0.0)))
        alive = self._tree.priorities(rows) > 0  # may have been overwritten meanwhile
        self._tree.set(rows[alive], priorities[alive])


def rescaled(largest: float, priorities: np.ndarray, old: float, new: float) -> tuple[float, np.ndarray]:
    """Priorities that are errors to the power `old` as errors to the power `new`; 1 where either is 0."""
    if old == new:
        return largest, priorities
    if old == 0 or new == 0:
        return 1.0, np.where(priorities > 0, 1.0, 0.0)
    return largest ** (new / old), priorities ** (new / old)
