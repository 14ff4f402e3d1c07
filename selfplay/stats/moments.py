"""Mean and variance of a stream of arrays, one for each number of an array.

Source: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped


class RunningMoments:
    """Mean and variance of everything that has been added so far."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.count = 0.0
        self.mean = np.zeros(shape)
        self.squares = np.zeros(shape)
        """Sum of squared distances from the mean."""

    def add(self, values: Shaped[np.ndarray, "n *shape"]) -> None:
        """Take in `values`, but for those of the n that have numbers which are not finite: one would stay for good."""
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            values = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
        if not len(values):
            return
        count, mean = len(values), values.mean(axis=0)
        total = self.count + count
        gap = mean - self.mean
        self.squares = self.squares + np.square(values - mean).sum(axis=0) + np.square(gap) * self.count * count / total
        self.mean = self.mean + gap * count / total
        self.count = total

    def state(self) -> dict[str, np.ndarray]:
        """Arrays to go on from, with `from_state`."""
        return {name: np.array(getattr(self, name)) for name in ("count", "mean", "squares")}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> RunningMoments:
        """The moments of a `state`, whose names stand behind a prefix."""
        moments = cls()
        moments.count = float(arrays[f"{prefix}count"])
        moments.mean, moments.squares = arrays[f"{prefix}mean"].copy(), arrays[f"{prefix}squares"].copy()
        return moments

    @property
    def variance(self) -> np.ndarray:
        """Variance of all values; 1 while there are fewer than two."""
        return self.squares / self.count if self.count > 1 else np.ones_like(self.mean)
