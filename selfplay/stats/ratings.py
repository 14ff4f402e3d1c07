"""Ratings of players from the results of all their matches: maximum likelihood on the Elo scale.

Elo means the expected score: a player that is E points ahead of its opponent scores 1 / (1 + 10^(-E / 400)) on
average, draws counted half. With strengths p = exp(t), t = E ln 10 / 400, i scores p_i / (p_i + p_j) against j. This is
the model of Bradley and Terry ("Rank Analysis of Incomplete Block Designs", Biometrika 1952) with scores in place of
wins. Where j sits in more than one seat, p_j is multiplied by the number of copies (Luce, "Individual Choice
Behavior", 1959). So the ratings of two players that met only each other differ by the result of `selfplay match` on the
same games.

Nothing is assumed about how often games are drawn. The likelihood gives the ratings. Their variance follows from the
scatter of the results about their expected scores, which draws make smaller; whole groups of games are independent. It
is the sandwich of White ("Maximum Likelihood Estimation of Misspecified Models", Econometrica 1982). Every difference
has the interval of a direct match with the same information (`selfplay.stats.intervals.logit_interval`). So two players
that met only each other have the interval of `selfplay match` as well.

Only differences of t are determined: one player, the anchor, is given its rating, and all intervals are of the
difference to the anchor. Used after matches that have been played; nothing here knows a game. The model is one of two
seats that get equal shares of each side (`selfplay.evaluation.match` plays every opening with both seatings).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from selfplay.errors import UserError
from selfplay.stats.intervals import ELO_PER_NAT, Z_95, Tally, group_ratio, logistic, logit_interval, results_like

__all__ = ["ELO_PER_NAT", "PRIOR_GAMES", "PairResult", "Rating", "Ratings", "rate"]

PRIOR_GAMES = 0.5
"""Virtual games of a player that won all its games, or lost all, half won and half lost.

Without them it has no finite rating. Only such players get them, and groups of players that won everything against
all others: no chain of points lost leads from them to the others (Ford, "Solution of a Ranking Problem from Binary
Comparisons", 1957). Both sides' are spread over the games between them. Two players that met only each other
get half a win and half a loss: the correction of Haldane and Anscombe (1956). A player gets about one virtual game
however many opponents it met, so an opponent that everybody beats pulls nobody far.
"""

NEWTON_STEPS = 200
"""The likelihood is concave and needs about ten; more means a bug."""

TOLERANCE = 1e-8
"""Newton's method ends when the square of the last step is less, in units of the parameters' variance."""


@dataclass(frozen=True)
class PairResult:
    """Games of two players. The same pair may occur more than once, either way round."""

    player_a: str
    player_b: str
    wins: float
    """Number of games that `player_a` won."""
    draws: float
    losses: float
    opponents: int = 1
    """Copies of `player_b` at the table; above 1 the same pair either way round is two pairs."""
    tally: Tally | None = None
    """The scores in full, where games hang together or points are shared; None: independent games, a drawn one an equal
    share for everybody."""

    @staticmethod
    def of_groups(player_a: str, player_b: str, groups: Sequence[Sequence[float]], opponents: int = 1) -> PairResult:
        """The result of the scores of `player_a` in the games of each opening."""
        scores = [score for group in groups for score in group]
        wins, losses = scores.count(1.0), scores.count(0.0)
        draws = len(scores) - wins - losses
        return PairResult(player_a, player_b, wins, draws, losses, opponents, Tally.of_groups(groups))


@dataclass(frozen=True)
class Rating:
    """One player's rating in Elo points, with its 95 % interval; the anchor's has no width."""

    player: str
    elo: float
    low: float
    high: float
    games: float


@dataclass(frozen=True, eq=False)
class Ratings:
    """The ratings of all players and how sure they are together."""

    anchor: str
    players: tuple[str, ...]
    """Names of the players, best first."""
    elo: Float[np.ndarray, " P"]
    covariance: Float[np.ndarray, "P P"]
    """Covariance of `elo`, in Elo points squared, from how groups of games scattered; zero for the anchor."""
    games: Float[np.ndarray, " P"]
    binomial_covariance: Float[np.ndarray, "P P"]
    """What `covariance` would be if all games were independent and none drawn."""
    games_covariance: Float[np.ndarray, "P P"]
    """What `covariance` would be if all games were independent."""
    handicap: Float[np.ndarray, "P P"]
    """Elo points by which a player (row) must be stronger than another for half of the points: above 0 where it sits
    against copies of the other."""
    draw: Float[np.ndarray, "P P"]
    """Score of the row in a drawn game."""
    groups: float
    """Number of independent groups of games."""

    def table(self) -> list[Rating]:
        """All ratings, best first."""
        return [self.rating(player) for player in self.players]

    def rating(self, player: str) -> Rating:
        """The rating of one player. Raises UserError for a player without games."""
        i, anchor = self._index(player), self._index(self.anchor)
        difference, low, high = self.difference(player, self.anchor)
        given = float(self.elo[anchor])
        return Rating(player, given + difference, given + low, given + high, float(self.games[i]))

    def difference(self, first: str, second: str) -> tuple[float, float, float]:
        """Elo points by which `first` is ahead of `second`, and the ends of the 95 % interval of that."""
        i, j = self._index(first), self._index(second)
        difference = float(self.elo[i] - self.elo[j])
        binomial = self._variance(self.binomial_covariance, i, j)
        if binomial == 0.0:
            return difference, difference, difference
        # A direct match that says as much: as much information, and results that scattered as much.
        x = (difference - float(self.handicap[i, j])) / ELO_PER_NAT
        score, other = logistic(x), logistic(-x)
        of_games, of_groups = (
            self._variance(covariance, i, j) / binomial**2 for covariance in (self.games_covariance, self.covariance)
        )
        games = 1.0 / (binomial * score * other)
        draw = float(self.draw[i, j])
        ratio = group_ratio(of_games, of_groups, self.groups, len(self.players) - 1)
        results = results_like(score, other, games, of_games / games, draw)
        low, high = (ELO_PER_NAT * (end - x) for end in logit_interval(*results, draw, ratio))
        return difference, difference + low, difference + high

    def superiority(self, first: str, second: str) -> float:
        """Likelihood in [0, 1] that `first` is stronger: the normal distribution of the difference above 0."""
        difference, low, high = self.difference(first, second)
        deviation = (high - low) / (2.0 * Z_95)
        return 0.5 * (1.0 + math.erf(difference / (deviation * math.sqrt(2.0)))) if deviation > 0.0 else 0.5

    def _variance(self, covariance: np.ndarray, i: int, j: int) -> float:
        """Variance of the difference of two ratings, in nats squared."""
        return max(0.0, float(covariance[i, i] + covariance[j, j] - 2.0 * covariance[i, j])) / ELO_PER_NAT**2

    def _index(self, player: str) -> int:
        if player not in self.players:
            raise UserError(f"ratings: {player} has played no games; rated are {', '.join(self.players)}")
        return self.players.index(player)


def rate(
    results: Iterable[PairResult], anchor: str, anchor_elo: float = 0.0, prior_games: float = PRIOR_GAMES
) -> Ratings:
    """The most likely ratings, with `anchor` at `anchor_elo`.

    A player that won everything has no upper end that the games speak for: the one that it gets follows from the
    virtual games (`PRIOR_GAMES`).

    Args:
        prior_games: see `PRIOR_GAMES`. With 0 the likelihood may have no maximum.

    Raises UserError when the anchor has played no games, and for players that no chain of games leads to from the
    anchor; ValueError for negative or infinite counts and for a player that met itself.
    """
    tallies = _merge(results)
    players = sorted({player for *pair, _ in tallies for player in pair})
    _check_connected(tallies, players, anchor)
    games = _Games(tallies, players, players.index(anchor), prior_games)
    strength = _maximise(games)
    order = np.argsort(-strength, kind="stable")
    by_rank = np.ix_(order, order)
    binomial, of_games, of_groups = (ELO_PER_NAT**2 * matrix[by_rank] for matrix in games.covariances(strength))
    handicap, draw = games.seats()
    return Ratings(
        anchor=anchor,
        players=tuple(players[i] for i in order),
        elo=anchor_elo + ELO_PER_NAT * strength[order],
        covariance=of_groups,
        games=games.of_player[order],
        binomial_covariance=binomial,
        games_covariance=of_games,
        handicap=ELO_PER_NAT * handicap[by_rank],
        draw=draw[by_rank],
        groups=float(sum(tally.groups for tally in tallies.values())),
    )


class _Games:
    """The games of K pairs as arrays, and the logarithm of the likelihood of strengths t [P], 0 for the anchor."""

    def __init__(
        self, tallies: dict[tuple[str, str, int], Tally], players: list[str], anchor: int, prior_games: float
    ) -> None:
        self.anchor, self.size = anchor, len(players)
        self.first, self.second = np.array([[players.index(player) for player in pair] for *pair, _ in tallies]).T
        self.opponents = np.array([opponents for *_, opponents in tallies], np.float64)
        self.handicap = np.log(self.opponents)
        counts = np.array([(tally.games, tally.points) for tally in tallies.values()])
        self.of_player = self._sum(counts[:, 0])
        virtual = self._virtual_games(counts[:, 0], counts[:, 1], prior_games)
        one_each = Tally.of_counts(0.5, 0.0, 0.5)
        self.tallies = [tally + one_each.times(extra) for tally, extra in zip(tallies.values(), virtual.tolist())]
        self.played = counts[:, 0] + virtual
        self.points = counts[:, 1] + virtual / 2  # [K], of the first player

    def likelihood(self, strength: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Logarithm of the likelihood, its gradient, and minus its second derivative, both without the anchor."""
        x = strength[self.first] - strength[self.second] - self.handicap
        expected = 1.0 / (1.0 + np.exp(-x))
        value = float(self.points @ x - self.played @ np.logaddexp(0.0, x))
        gradient = self._by_player(self.points - self.played * expected)
        return value, gradient, self._by_pair(self.played * expected / (1.0 + np.exp(x)))

    def covariances(self, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[P, P] of t: if no game was drawn and all were independent; if all were independent; as groups scattered."""
        expected = 1.0 / (1.0 + np.exp(self.handicap + strength[self.second] - strength[self.first]))
        inverse = np.linalg.inv(self.likelihood(strength)[2])
        scatter = np.array([tally.scatter(score) for tally, score in zip(self.tallies, expected.tolist())])
        of_games, of_groups = (inverse @ self._by_pair(one) @ inverse for one in scatter.T)
        return self._with_anchor(inverse), self._with_anchor(of_games), self._with_anchor(of_groups)

    def seats(self) -> tuple[np.ndarray, np.ndarray]:
        """[P, P]: the advantage in t that the row needs for half of the points, and its score in a drawn game.

        Means over the games, 0 and a half for pairs that did not meet.
        """
        handicap, draw, games = (np.zeros((self.size, self.size)) for _ in range(3))
        np.add.at(games, (self.first, self.second), self.played)
        np.add.at(handicap, (self.first, self.second), self.played * self.handicap)
        np.add.at(draw, (self.first, self.second), self.played * (1.0 / (1.0 + self.opponents) - 0.5))
        games = np.maximum(games + games.T, 1e-9)
        return (handicap - handicap.T) / games, 0.5 + (draw - draw.T) / games

    def _virtual_games(self, played: np.ndarray, points: np.ndarray, prior_games: float) -> np.ndarray:
        """[K]: see `PRIOR_GAMES`."""
        reached = np.eye(self.size, dtype=bool)
        reached[self.first[points > 0.0], self.second[points > 0.0]] = True
        reached[self.second[points < played], self.first[points < played]] = True
        while True:  # twice the length of the chains each time
            further = reached.astype(np.float32) @ reached.astype(np.float32) > 0.0
            if (further == reached).all():
                break
            reached = further
        group = np.argmax(reached & reached.T, axis=1)  # [P], the first of those that lead to each other
        first, second = group[self.first], group[self.second]
        apart = np.where(first == second, 0.0, played)
        of_group = np.maximum(np.bincount(first, apart, self.size) + np.bincount(second, apart, self.size), 1e-9)
        return prior_games * (apart / of_group[first] + apart / of_group[second])

    def _sum(self, of_pair: np.ndarray) -> np.ndarray:
        """[P]: of all pairs of each player."""
        return np.bincount(self.first, of_pair, self.size) + np.bincount(self.second, of_pair, self.size)

    def _by_player(self, of_pair: np.ndarray) -> np.ndarray:
        """[P - 1]: what a derivative by t_first - t_second is by each t but the anchor's."""
        by_player = np.bincount(self.first, of_pair, self.size) - np.bincount(self.second, of_pair, self.size)
        return np.delete(by_player, self.anchor)

    def _by_pair(self, of_pair: np.ndarray) -> np.ndarray:
        """[P - 1, P - 1]: the same for a second derivative."""
        both = np.zeros((self.size, self.size))
        np.add.at(both, (self.first, self.first), of_pair)
        np.add.at(both, (self.second, self.second), of_pair)
        np.add.at(both, (self.first, self.second), -of_pair)
        np.add.at(both, (self.second, self.first), -of_pair)
        return np.delete(np.delete(both, self.anchor, axis=0), self.anchor, axis=1)

    def _with_anchor(self, matrix: np.ndarray) -> np.ndarray:
        """[P, P] from [P - 1, P - 1], zero for the anchor."""
        return np.insert(np.insert(matrix, self.anchor, 0.0, axis=0), self.anchor, 0.0, axis=1)


def _maximise(games: _Games) -> np.ndarray:
    """The strengths with the greatest likelihood, by Newton's method with steps halved where they lead down."""
    strength = np.zeros(games.size)
    value, gradient, information = games.likelihood(strength)
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(information, gradient)
        is_last = gradient @ step < TOLERANCE
        while True:
            tried = strength + np.insert(step, games.anchor, 0.0)
            found = games.likelihood(tried)
            if is_last or found[0] > value:
                break
            step = step / 2
            is_last = gradient @ step < TOLERANCE
        strength, (value, gradient, information) = tried, found
        if is_last:
            return strength
    raise RuntimeError(f"ratings: Newton's method did not end after {NEWTON_STEPS} steps")


def _merge(results: Iterable[PairResult]) -> dict[tuple[str, str, int], Tally]:
    """The games of each pair that met: names in alphabetical order where both sit once, and copies of the second."""
    tallies: dict[tuple[str, str, int], Tally] = defaultdict(Tally)
    for result in results:
        counts = (result.wins, result.draws, result.losses)
        if result.player_a == result.player_b:
            raise ValueError(f"{result.player_a} against itself says nothing")
        if not all(math.isfinite(count) and count >= 0 for count in counts):
            raise ValueError(f"wins, draws and losses {list(counts)}: expected counts of at least 0")
        if not any(counts):
            continue
        tally = result.tally or Tally.of_counts(*counts, draw=1.0 / (1.0 + result.opponents))
        in_order = result.player_a < result.player_b or result.opponents > 1
        pair = (result.player_a, result.player_b) if in_order else (result.player_b, result.player_a)
        tallies[*pair, result.opponents] += tally if in_order else tally.mirrored()
    return dict(sorted(tallies.items()))


def _check_connected(counts: Iterable[tuple[str, str, int]], players: list[str], anchor: str) -> None:
    """Raise UserError unless a chain of games leads from the anchor to everybody."""
    if anchor not in players:
        raise UserError(f"ratings: {anchor}, whose rating is given, has played no games")
    met = defaultdict(set)
    for first, second, _ in counts:
        met[first].add(second)
        met[second].add(first)
    reached, todo = {anchor}, [anchor]
    while todo:
        new = met[todo.pop()] - reached
        reached |= new
        todo += new
    lost = [player for player in players if player not in reached]
    if lost:
        raise UserError(f"ratings: no chain of games leads from {anchor} to {', '.join(lost)}; let them play")
