"""The sequential probability ratio test: stop a match as soon as it is decided who is stronger (Wald 1945).

H0: the first player is `elo0` points stronger than the second; H1: `elo1` points, Elo meaning the expected score
(`selfplay.stats.intervals`). The match ends with H1 when the likelihood ratio
reaches (1 - beta) / alpha, with H0 when it falls to beta / (1 - alpha): H1 is then accepted with a probability of about
`alpha` at most where H0 holds, and rejected with about `beta` at most where H1 holds.

Only the expected score is given by a hypothesis, not how often games are drawn or how the two games of an opening hang
together. So the ratio is generalised: each hypothesis takes the most likely distribution of results of whole groups of
games (all seatings of one opening) among those with its expected score (Van den Bergh, "The generalized sequential
probability ratio test for expectation values of multinomial distributions"; used in chess engine testing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.errors import UserError
from selfplay.stats.intervals import expected_score

__all__ = ["Sprt", "SprtState", "expected_score", "log_ratio", "sprt_state"]

PRIOR_COUNT = 1e-3
"""Added to the count of every possible result of a group: with one kind of results no other mean would be possible."""

BISECTIONS = 80

MOST_ELO = 1000.0
"""Largest Elo difference of a hypothesis: beyond it, the expected score is as good as 0 or 1."""


@dataclass(frozen=True)
class Sprt:
    """The settings of the test."""

    elo0: float = 0.0
    elo1: float = 20.0
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not self.elo0 < self.elo1:
            raise UserError(f"--sprt: elo0={self.elo0:g} must be less than elo1={self.elo1:g}")
        for name in ("elo0", "elo1"):
            if abs(getattr(self, name)) > MOST_ELO:
                raise UserError(
                    f"--sprt: {name}={getattr(self, name):g} is out of range; expected at most {MOST_ELO:g} either way"
                )
        for name in ("alpha", "beta"):
            if not 0.0 < getattr(self, name) < 0.5:
                raise UserError(
                    f"--sprt: {name}={getattr(self, name):g} is out of range; expected more than 0, less than 0.5"
                )

    @property
    def bounds(self) -> tuple[float, float]:
        """Logarithms of the ratio at which H0 and H1 are accepted."""
        return math.log(self.beta / (1.0 - self.alpha)), math.log((1.0 - self.beta) / self.alpha)


@dataclass(frozen=True)
class SprtState:
    """The state of a test."""

    log_ratio: float
    low: float
    high: float
    groups: int
    elo0: float = 0.0
    elo1: float = 0.0
    """Elo points by which the first player is stronger than the second by H1; `elo0` are those by H0."""

    @property
    def verdict(self) -> str:
        """`H1`, `H0`, or empty while it is open."""
        return "H1" if self.log_ratio >= self.high else "H0" if self.log_ratio <= self.low else ""


def sprt_state(sprt: Sprt, scores: Sequence[float], seats: int = 2) -> SprtState:
    """The state after groups of games with these mean scores of the first player, each in [0, 1].

    `seats` is the number of games of a group; a group's score is a multiple of 1 / (2 seats).
    """
    steps = 2 * seats
    counts = np.bincount(np.rint(np.asarray(scores) * steps).astype(int), minlength=steps + 1)
    low, high = sprt.bounds
    ratio = float(log_ratio(sprt, counts)) if len(scores) else 0.0
    return SprtState(ratio, low, high, len(scores), sprt.elo0, sprt.elo1)


def log_ratio(sprt: Sprt, counts: np.ndarray) -> np.ndarray:
    """The logarithm of the likelihood ratio [...] after groups of games; counts [..., 2 seats + 1] say how many of them
    had the mean score 0, 1 / (2 seats), ..., 1. With more than two seats the first player meets copies of the second.
    """
    seats = (counts.shape[-1] - 1) // 2
    values = np.arange(counts.shape[-1]) / (counts.shape[-1] - 1)
    weights = counts + PRIOR_COUNT
    h1, h0 = (_log_likelihood(weights, values, expected_score(elo, seats)) for elo in (sprt.elo1, sprt.elo0))
    return h1 - h0


def _log_likelihood(counts: np.ndarray, values: np.ndarray, mean: float) -> np.ndarray:
    """The greatest log-likelihood [...] of counts [..., K] under distributions on `values` [K] with the mean given.

    It is reached at p_i = counts_i / (N (1 + t (values_i - mean))), where t makes the mean right: the root of a falling
    function between the poles (Owen, "Empirical Likelihood", 2001, 2.9).
    """
    away = values - mean
    shape = counts.shape[:-1]
    low, high = np.full(shape, -1.0 / away.max()), np.full(shape, -1.0 / away.min())
    for _ in range(BISECTIONS):
        t = (low + high) / 2
        is_low = np.sum(counts * away / (1.0 + t[..., None] * away), axis=-1) > 0.0
        low, high = np.where(is_low, t, low), np.where(is_low, high, t)
    t = (low + high) / 2
    return -np.sum(counts * np.log1p(t[..., None] * away), axis=-1)
