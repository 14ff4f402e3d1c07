"""How sure a result is: 95 % intervals of shares and scores, and the Elo difference that a score stands for.

Elo has one meaning in the project: a player that is E points stronger than its opponent has the expected score
1 / (1 + 10^(-E / 400)), draws counted half. Matches, ratings and the sequential test use the same scale.

Used by `selfplay.evaluation.match`, `selfplay.stats.ratings` and `selfplay.evaluation.labelled`. Pure functions of
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""

ELO_SCALE = 400.0
"""Elo points for odds of ten to one."""

ELO_PER_NAT = ELO_SCALE / math.log(10.0)
"""Elo points for odds of e to one."""

LEAST_DISPERSION = 1e-3
"""Least dispersion that is divided by, for results that scatter less than any games with their score can."""

LEAST_SCATTER = 0.5
"""Sum of squares of two games that came out half a point away from the mean."""

MOST_LOGIT = 350.0
"""Logarithm of odds beyond all that occur; its exponential is a finite number."""

BISECTIONS = 55

ELO_FORM, SHARE_FORM = "+z.0f", ".1%"
"""How Elo points and shares are written for a person: format specifications. `z` leaves out the minus before 0."""


def interval_text(low: float, high: float, form: str) -> str:
    """The ends of an interval for a person, each written in `form`: `7.0% to 9.1%` for `.1%`."""
    return f"{low:{form}} to {high:{form}}"


def with_interval(value: float, low: float, high: float, form: str) -> str:
    """A number and its 95 % interval for a person, written in `form`: `8.0% (95 %: 7.0% to 9.1%)` for `.1%`."""
    return f"{value:{form}} (95 %: {interval_text(low, high, form)})"


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


@dataclass(frozen=True)
class Tally:
    """Sums over the games of a pair of players: all that ratings and intervals ask of them.

    Games of one group hang together (those of an opening, with every seating); groups are independent. x is the score
    of the first player in a game, in [0, 1].
    """

    groups: float = 0.0
    games: float = 0.0
    points: float = 0.0
    """Sum of x."""
    squares: float = 0.0
    """Sum of x^2."""
    group_games_squared: float = 0.0
    """Sum over groups of the square of their games."""
    group_products: float = 0.0
    """Sum over groups of their games times their points."""
    group_points_squared: float = 0.0
    """Sum over groups of the square of their points."""

    @staticmethod
    def of_groups(groups: Iterable[Sequence[float]]) -> Tally:
        """The tally of the scores of games, group by group."""
        sums = [
            (1, games, points, sum([x * x for x in group]), games * games, games * points, points * points)
            for group in groups
            for games, points in [(len(group), sum(group))]
        ]
        return Tally(*map(math.fsum, zip(*sums)))

    @staticmethod
    def of_counts(wins: float, draws: float, losses: float, draw: float = 0.5) -> Tally:
        """The tally of independent games; `draw` is the score of a drawn one."""
        games, points, squares = wins + draws + losses, wins + draw * draws, wins + draw * draw * draws
        return Tally(games, games, points, squares, games, points, squares)

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(mine + more for mine, more in zip(vars(self).values(), vars(other).values())))

    def times(self, factor: float) -> Tally:
        """The tally of `factor` times the same games."""
        return Tally(*(factor * value for value in vars(self).values()))

    def mirrored(self) -> Tally:
        """The tally of the second player, with the scores 1 - x."""
        return Tally(
            self.groups,
            self.games,
            self.games - self.points,
            self.games - 2 * self.points + self.squares,
            self.group_games_squared,
            self.group_games_squared - self.group_products,
            self.group_games_squared - 2 * self.group_products + self.group_points_squared,
        )

    def scatter(self, score: float) -> tuple[float, float]:
        """Sum of squared differences between points and those expected at a score: of games, and of whole groups."""
        of_games = self.squares - 2 * score * self.points + score * score * self.games
        of_groups = (
            self.group_points_squared - 2 * score * self.group_products + score * score * self.group_games_squared
        )
        return max(0.0, of_games), max(0.0, of_groups)


def score_interval(scores: Sequence[float] | Sequence[Sequence[float]], draw: float = 0.5) -> tuple[float, float]:
    """95 % interval of the expected score, within [0, 1], from independent scores or from groups of scores.

    Games from the same opening with the seats swapped are not independent: give each group as a sequence of its games'
    scores. The interval is that of `logit_interval`; it always holds the mean. (0, 1) without games.

    Args:
        scores: each in [0, 1].
        draw: the score of a drawn game.
    """
    tally = Tally.of_groups([score] if isinstance(score, (int, float)) else score for score in scores)
    if not tally.games:
        return 0.0, 1.0
    score = tally.points / tally.games
    of_games, of_groups = tally.scatter(score)
    results = results_like(score, 1.0 - score, tally.games, of_games / tally.games, draw)
    low, high = logit_interval(*results, draw, group_ratio(of_games, of_groups, tally.groups, 1))
    return min(score, logistic(low)), max(score, logistic(high))


def group_ratio(of_games: float, of_groups: float, groups: float, fitted: int) -> float:
    """The variance of a mean score over what it would be if all games were independent.

    Both players of an opening with an advantage win once, so groups scatter less than their games. `LEAST_SCATTER` is
    added to both sums where that makes the ratio greater: groups that were all alike do not say that none will differ.
    The last factor makes up for `fitted` means that were taken from the same games, n / (n - 1) for one.

    Args:
        of_games, of_groups: sums of squares, see `Tally.scatter`.
        groups: independent groups of games.
    """
    shrunk = (of_groups + LEAST_SCATTER) / (of_games + LEAST_SCATTER)
    ratio = max(of_groups / of_games if of_games > 0.0 else 0.0, shrunk)
    return ratio * groups / max(1.0, groups - fitted)


def results_like(
    score: float, other: float, games: float, variance: float, draw: float = 0.5
) -> tuple[float, float, float]:
    """Wins, draws and losses, in fractions of games, with a mean score and a variance of a single game's score.

    `other` is 1 - score, for scores near 1. A variance that no such games have is met by more or fewer games, with the
    same variance of their mean.
    """
    binomial, loss = score * other, 1.0 - draw
    if binomial <= 0.0:
        return games * score, 0.0, games * other
    dispersion = variance / binomial
    drawn = binomial * (1.0 - dispersion) / (draw * loss)
    most = min(score / draw, other / loss)
    if drawn < 0.0:
        games, drawn = games / dispersion, 0.0
    elif drawn > most * (1.0 + 1e-9):
        games *= (1.0 - draw * loss * most / binomial) / max(dispersion, LEAST_DISPERSION)
        drawn = most
    return games * max(0.0, score - draw * drawn), games * drawn, games * max(0.0, other - loss * drawn)


def logit_interval(
    wins: float, draws: float, losses: float, draw: float = 0.5, ratio: float = 1.0
) -> tuple[float, float]:
    """95 % interval of the logarithm of the odds of the expected score, ln(s / (1 - s)); may be infinite.

    All expected scores s that a score test does not refuse: with n games and the mean score x,

        n (x - s)^2 <= z^2 ratio V(s)

    where V(s) is the variance of one game under the most likely chances of win, draw and loss whose mean is s. Without
    draws it is Wilson's interval. With them it is that of Tango ("Equivalence test and confidence interval for the
    difference in proportions for the paired-sample design", Statistics in Medicine 1998), which has a width where all
    games were drawn, and holds its promise where few were not.

    Args:
        wins, draws, losses: at least one game; fractions may be given.
        draw: the score of a drawn game.
        ratio: see `group_ratio`.
    """
    return -_upper_logit(losses, draws, wins, 1.0 - draw, ratio), _upper_logit(wins, draws, losses, draw, ratio)


def _upper_logit(wins: float, draws: float, losses: float, draw: float, ratio: float) -> float:
    games = wins + draws + losses
    score, other = (wins + draw * draws) / games, (losses + (1.0 - draw) * draws) / games
    if other <= 0.0:
        return math.inf
    low, high = math.log(score / other) if score > 0.0 else -MOST_LOGIT, MOST_LOGIT
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        mean, rest = logistic(middle), logistic(-middle)
        away = mean - score if score < 0.5 else other - rest
        refused = games * away * away > Z_95 * Z_95 * ratio * _variance_at(mean, rest, wins, draws, losses, draw)
        low, high = (low, middle) if refused else (middle, high)
    return (low + high) / 2


def _variance_at(mean: float, rest: float, wins: float, draws: float, losses: float, draw: float) -> float:
    """V of `logit_interval`; `rest` is 1 - mean.

    With d the chance of a draw, the chances of win and loss are mean - draw d and rest - (1 - draw) d. The likelihood
    is greatest at the smaller root of a d^2 - b d + c.
    """
    loss = 1.0 - draw
    a = (wins + draws + losses) * draw * loss
    b = draws * (mean * loss + rest * draw) + draw * wins * rest + loss * losses * mean
    c = draws * mean * rest
    drawn = 2.0 * c / (b + math.sqrt(max(0.0, b * b - 4.0 * a * c))) if c > 0.0 else 0.0
    return max(0.0, mean * rest - draw * loss * drawn)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)): the expected score at the logarithm of its odds, which may be infinite."""
    if x < 0.0:
        return math.exp(x) / (1.0 + math.exp(x)) if x > -math.inf else 0.0
    return 1.0 / (1.0 + math.exp(-x))


def elo_difference(score: float, num_players: int = 2) -> float | None:
    """Elo points by which a player is stronger whose expected score is `score`; None (infinite) for 0 and 1.

    With one opponent, 400 log10(s / (1 - s)). With n - 1 copies of the opponent the score of an equal player is 1 / n,
    and strengths g win in proportion to g (Luce 1959): 400 log10((n - 1) s / (1 - s)).
    """
    if not 0.0 < score < 1.0:
        return None
    opponents = max(1, num_players - 1)
    return ELO_SCALE * math.log10(opponents * score / (1.0 - score))


def expected_score(elo: float, num_players: int = 2) -> float:
    """Expected score of a player `elo` points stronger than each of the others; the inverse of `elo_difference`."""
    opponents = max(1, num_players - 1)
    return 1.0 / (1.0 + opponents * 10.0 ** (-elo / ELO_SCALE))
