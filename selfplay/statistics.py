"""How sure a result is: 95 % intervals of shares and scores, and the Elo difference that a score stands for.

Used by `selfplay.match` and `selfplay.positions`. Pure functions of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""

ELO_SCALE = 400.0
"""Elo points for odds of ten to one."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a probability after independent trials (Wilson 1927), within [0, 1]; (0, 1) without trials.

    With p = successes / trials, z = Z_95 and n = trials:

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    """
    if trials == 0:
        return 0.0, 1.0
    p, z2 = successes / trials, Z_95 * Z_95
    centre = p + z2 / (2 * trials)
    spread = Z_95 * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def score_interval(scores: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the expected score from independent scores in [0, 1], each that of a group of games.

    Games from the same opening with the seats swapped are not independent, so the variance is taken over groups (the
    pentanomial model of chess engine testing; for pairs of games the scores are 0, 1/4, 1/2, 3/4, 1). One group lost
    and one group won are added first, as Agresti and Caffo (2000) do for shares: without them n equal scores would
    make an interval of no width. With x_1 .. x_m the scores and the two added, m = n + 2:

        mean -+ z sqrt(sum (x_i - mean)^2) / m

    cut off at 0 and 1. The interval always holds the mean of `scores`.
    """
    padded = [*scores, 0.0, 1.0]
    mean = sum(padded) / len(padded)
    spread = Z_95 * math.sqrt(sum((x - mean) ** 2 for x in padded)) / len(padded)
    return max(0.0, mean - spread), min(1.0, mean + spread)


def elo_difference(score: float, num_players: int = 2) -> float | None:
    """Elo points by which a player is stronger whose expected score is `score`; None (infinite) for 0 and 1.

    With one opponent, 400 log10(s / (1 - s)). With n - 1 copies of the opponent the score of an equal player is 1 / n,
    and strengths g win in proportion to g (Luce 1959): 400 log10((n - 1) s / (1 - s)).
    """
    if not 0.0 < score < 1.0:
        return None
    opponents = max(1, num_players - 1)
    return ELO_SCALE * math.log10(opponents * score / (1.0 - score))
