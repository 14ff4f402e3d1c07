"""Running averages between two reports, and how far predicted values can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


class Averages:
    """Weighted means, sums and maxima by name, from one report to the next."""

    def __init__(self) -> None:
        self._means: dict[str, tuple[float, float]] = {}  # name -> sum of weight * value, sum of weights
        self._sums: dict[str, float] = {}
        self._maxima: dict[str, float] = {}

    def add_mean(self, values: Mapping[str, float], weight: float = 1.0) -> None:
        """Take `values` into the means of their names with a weight of at least 0 (games, positions, a batch)."""
        if not weight >= 0.0:
            raise ValueError(f"weight {weight} of a mean must not be negative")
        for name, value in values.items():
            total, weights = self._means.get(name, (0.0, 0.0))
            # A weight of 0 must not let a NaN through (0 * NaN is NaN).
            self._means[name] = (total + weight * float(value) if weight else total, weights + weight)

    def add_sum(self, name: str, value: float) -> None:
        """Add to the sum of a name."""
        self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def add_max(self, name: str, value: float) -> None:
        """Raise the maximum of a name. A NaN stays the maximum, so that it is reported."""
        self._maxima[name] = float(np.maximum(self._maxima.get(name, -math.inf), value))

    def report(self) -> dict[str, float]:
        """What was gathered since the last report, by name; starts afresh. Means without any weight are left out.

        Raises ValueError if a name was used for two kinds.
        """
        means = {name: total / weights for name, (total, weights) in self._means.items() if weights > 0.0}
        values: dict[str, float] = {}
        for kind in (means, self._sums, self._maxima):
            twice = values.keys() & kind.keys()
            if twice:
                raise ValueError(f"metric {min(twice)} was added as two kinds (mean, sum, maximum)")
            values |= kind
        for gathered in (self._means, self._sums, self._maxima):
            gathered.clear()
        return values


@dataclass(frozen=True)
class Calibration:
    """How far predicted values can be trusted, in equal bins of the prediction over [-1, 1]."""

    error: float  # mean over positions of the bin's |mean predicted - mean outcome|; NaN without positions
    edges: Float[np.ndarray, " edges"]  # one more than bins
    counts: Int[np.ndarray, " bins"]
    mean_predicted: Float[np.ndarray, " bins"]  # NaN in an empty bin
    mean_outcome: Float[np.ndarray, " bins"]  # NaN in an empty bin


def calibration(predicted: Float[np.ndarray, " N"], outcome: Float[np.ndarray, " N"], bins: int = 10) -> Calibration:
    """Expected calibration error of values against results.

    ECE = sum over bins of count / N * |mean predicted - mean outcome| (Naeini, Cooper, Hauskrecht, "Obtaining Well
    Calibrated Probabilities Using Bayesian Binning", AAAI 2015), with values in [-1, 1] in place of probabilities;
    predictions outside go to the outermost bins. Raises ValueError for shapes that differ or no bins.
    """
    if predicted.shape != outcome.shape or predicted.ndim != 1 or bins < 1:
        raise ValueError(f"calibration of {predicted.shape} predictions, {outcome.shape} outcomes, {bins} bins")
    edges = np.linspace(-1.0, 1.0, bins + 1)
    index = np.searchsorted(edges[1:-1], predicted, side="right")
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of an empty bin
        mean_predicted = np.bincount(index, predicted, bins) / counts
        mean_outcome = np.bincount(index, outcome, bins) / counts
    gaps = np.abs(mean_predicted - mean_outcome)[counts > 0]
    error = float(gaps @ counts[counts > 0] / len(predicted)) if len(predicted) else math.nan
    return Calibration(error, edges, counts, mean_predicted, mean_outcome)
