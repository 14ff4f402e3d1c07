"""Ratings of players from the results of all their matches: maximum likelihood on the Elo scale, with draws.

The model is that of Davidson ("On Extending the Bradley-Terry Model to Accommodate Ties in Paired Comparison
Experiments", JASA 1970). With strengths p = exp(t) and one draw parameter nu for all players, a game of i against j is

    won  by i  with probability  p_i / Z                  Z = p_i + p_j + nu sqrt(p_i p_j)
    drawn                        nu sqrt(p_i p_j) / Z
    lost by i                    p_j / Z

and p_j is multiplied by the number of copies where j sits in more than one seat (Luce, "Individual Choice Behavior",
1959). So 400 points, t_i - t_j = ln 10, are odds of ten wins to one loss whatever the share of draws. The expected
score lies nearer to 1/2 than in the plain Elo formula when there are draws. Only differences of t are determined: one
player, the anchor, is given its rating, and all intervals are of the difference to the anchor.

Used after matches that have been played; nothing here knows a game. Games count as independent: two that are the same
game move for move say less than is claimed here. The model is one of two seats that get equal shares of each side
(`selfplay.match` plays every opening with both seatings).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from selfplay.errors import UserError
from selfplay.statistics import ELO_SCALE, Z_95

ELO_PER_NAT = ELO_SCALE / math.log(10.0)
"""Elo points of a difference of 1 in t."""

PRIOR_GAMES = 0.5
"""Virtual games of every player, half won and half lost, spread over its opponents in proportion to the games played.

Without them a player that won all its games has no finite rating. BayesElo (Coulom) spreads virtual draws in the same
way; wins and losses are used here because draws would move nu. Two players that met only each other get half a win and
half a loss between them: the correction of Haldane and Anscombe (1956), which takes the bias of order 1/n out of the
logarithm of the odds, and without draws Jeffreys' prior (Firth 1993). A player gets about one virtual game however many
opponents it met, so an opponent that everybody beats pulls nobody far.
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
    """Of `player_a`."""
    draws: float
    losses: float
    opponents: int = 1
    """Copies of `player_b` at the table; above 1 the same pair either way round is two pairs."""


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
    """Best first."""
    elo: Float[np.ndarray, " P"]
    covariance: Float[np.ndarray, "P P"]
    """Of `elo`, in Elo points squared; zero for the anchor."""
    games: Float[np.ndarray, " P"]
    draw_parameter: float
    """nu of the model: draws in proportion to the wins of either side between equals; 0 without draws."""

    def table(self) -> list[Rating]:
        """All ratings, best first."""
        return [self.rating(player) for player in self.players]

    def rating(self, player: str) -> Rating:
        """The rating of one player. Raises UserError for a player without games."""
        i = self._index(player)
        spread = Z_95 * math.sqrt(self.covariance[i, i])
        elo = float(self.elo[i])
        return Rating(player, elo, elo - spread, elo + spread, float(self.games[i]))

    def difference(self, first: str, second: str) -> tuple[float, float, float]:
        """Elo points by which `first` is ahead of `second`, and the ends of the 95 % interval of that."""
        difference, deviation = self._difference(first, second)
        return difference, difference - Z_95 * deviation, difference + Z_95 * deviation

    def superiority(self, first: str, second: str) -> float:
        """Likelihood in [0, 1] that `first` is stronger: the normal distribution of the difference above 0."""
        difference, deviation = self._difference(first, second)
        return 0.5 * (1.0 + math.erf(difference / (deviation * math.sqrt(2.0)))) if deviation > 0.0 else 0.5

    def _difference(self, first: str, second: str) -> tuple[float, float]:
        """Mean and standard deviation."""
        i, j = self._index(first), self._index(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2.0 * self.covariance[i, j]
        return float(self.elo[i] - self.elo[j]), math.sqrt(max(0.0, variance))

    def _index(self, player: str) -> int:
        if player not in self.players:
            raise UserError(f"ratings: {player} has played no games; rated are {', '.join(self.players)}")
        return self.players.index(player)


def rate(
    results: Iterable[PairResult], anchor: str, anchor_elo: float = 0.0, prior_games: float = PRIOR_GAMES
) -> Ratings:
    """The most likely ratings, with `anchor` at `anchor_elo`.

    The covariance is the inverse of the observed information, the virtual games included, times `ELO_PER_NAT` squared.
    For a player that won everything the likelihood is skewed: the interval reaches too far down, and has an upper end
    where nothing speaks for one.

    Args:
        prior_games: see `PRIOR_GAMES`. With 0 the likelihood may have no maximum.

    Raises UserError when the anchor has played no games, and for players that no chain of games leads to from the
    anchor; ValueError for negative or infinite counts and for a player that met itself.
    """
    counts = _merge(results)
    players = sorted({player for *pair, _ in counts for player in pair})
    _check_connected(counts, players, anchor)
    games = _Games(counts, players, players.index(anchor), prior_games)
    parameters = _maximise(games)
    _, _, information = games.likelihood(parameters)
    free = len(players) - 1
    elo, covariance = np.zeros(len(players)), np.zeros((len(players), len(players)))
    others = np.delete(np.arange(len(players)), games.anchor)
    elo[others] = ELO_PER_NAT * parameters[:free]
    covariance[np.ix_(others, others)] = ELO_PER_NAT**2 * np.linalg.inv(information)[:free, :free]
    order = np.argsort(-elo, kind="stable")
    return Ratings(
        anchor=anchor,
        players=tuple(players[i] for i in order),
        elo=anchor_elo + elo[order],
        covariance=covariance[np.ix_(order, order)],
        games=games.of_player[order],
        draw_parameter=math.exp(parameters[free]) if games.has_draws else 0.0,
    )


class _Games:
    """The games of K pairs as arrays, and the logarithm of the likelihood of parameters.

    Parameters are t of every player but the anchor, then ln nu if there was a draw. (Without one the likelihood grows
    as nu falls, so nu is 0.)
    """

    def __init__(
        self, counts: dict[tuple[str, str, int], np.ndarray], players: list[str], anchor: int, prior_games: float
    ) -> None:
        self.anchor = anchor
        first, second = np.array([[players.index(player) for player in pair] for *pair, _ in counts]).T
        wins, draws, losses = np.array(list(counts.values())).T
        played = wins + draws + losses
        self.of_player = np.bincount(first, played, len(players)) + np.bincount(second, played, len(players))
        virtual = prior_games * (played / self.of_player[first] + played / self.of_player[second])
        self.has_draws = bool(draws.any())
        self.score = wins + draws / 2 + virtual / 2  # [K], of the first player
        self.draws = draws
        self.played = played + virtual
        self.first, self.second = first, second  # [K]
        self.num_parameters = len(players) - 1 + self.has_draws
        self.handicap = np.log([opponents for *_, opponents in counts])

    def likelihood(self, parameters: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Logarithm of the likelihood, its gradient, and minus its second derivative (the observed information).

        With x = t_i - t_j and s the score of i, the probability of a result is exp(x (s - 1/2) + ln nu [drawn]) / Z:
        an exponential family. So the gradient is what was seen of s and of draws minus what is expected, and the
        information is n times their covariance, a matrix that does not depend on the results.
        """
        free = len(self.of_player) - 1
        strength = np.insert(parameters[:free], self.anchor, 0.0)
        x = strength[self.first] - strength[self.second] - self.handicap
        log_nu = parameters[free] if self.has_draws else -np.inf
        log_z = np.logaddexp(np.logaddexp(x / 2, -x / 2), log_nu)
        win, draw = np.exp(x / 2 - log_z), np.exp(log_nu - log_z)
        expected = win + draw / 2
        value = float((self.score - self.played / 2) @ x - self.played @ log_z)
        gradient = self._by_player(self.score - self.played * expected)
        information = self._by_pair(self.played * (win + draw / 4 - expected**2))
        if self.has_draws:
            value += float(self.draws.sum() * log_nu)
            gradient = np.append(gradient, np.sum(self.draws - self.played * draw))
            both = self._by_player(self.played * draw * (0.5 - expected))  # covariance of score and draw
            corner = np.sum(self.played * draw * (1 - draw))
            information = np.block([[information, both[:, None]], [both[None, :], corner]])
        return value, gradient, information

    def _by_player(self, of_pair: np.ndarray) -> np.ndarray:
        """[P - 1]: what a derivative by t_first - t_second is by each t but the anchor's."""
        size = len(self.of_player)
        by_player = np.bincount(self.first, of_pair, size) - np.bincount(self.second, of_pair, size)
        return np.delete(by_player, self.anchor)

    def _by_pair(self, of_pair: np.ndarray) -> np.ndarray:
        """[P - 1, P - 1]: the same for a second derivative."""
        both = np.zeros((len(self.of_player), len(self.of_player)))
        np.add.at(both, (self.first, self.first), of_pair)
        np.add.at(both, (self.second, self.second), of_pair)
        np.add.at(both, (self.first, self.second), -of_pair)
        np.add.at(both, (self.second, self.first), -of_pair)
        return np.delete(np.delete(both, self.anchor, axis=0), self.anchor, axis=1)


def _maximise(games: _Games) -> np.ndarray:
    """The parameters with the greatest likelihood, by Newton's method with steps halved where they lead down."""
    parameters = np.zeros(games.num_parameters)
    value, gradient, information = games.likelihood(parameters)
    for _ in range(NEWTON_STEPS):
        step = np.linalg.solve(information, gradient)
        if gradient @ step < TOLERANCE:
            return parameters + step
        while True:
            tried = games.likelihood(parameters + step)
            if tried[0] > value or gradient @ step < TOLERANCE:
                break
            step = step / 2
        parameters = parameters + step
        value, gradient, information = tried
    raise RuntimeError(f"ratings: Newton's method did not end after {NEWTON_STEPS} steps")


def _merge(results: Iterable[PairResult]) -> dict[tuple[str, str, int], np.ndarray]:
    """Wins, draws and losses of each pair that met: names in alphabetical order where both sit once, and copies of the
    second."""
    counts: dict[tuple[str, str, int], np.ndarray] = defaultdict(lambda: np.zeros(3))
    for result in results:
        record = np.array([result.wins, result.draws, result.losses], np.float64)
        if result.player_a == result.player_b:
            raise ValueError(f"{result.player_a} against itself says nothing")
        if not (np.isfinite(record).all() and (record >= 0).all()):
            raise ValueError(f"wins, draws and losses {record.tolist()}: expected counts of at least 0")
        if not record.any():
            continue
        in_order = result.player_a < result.player_b or result.opponents > 1
        pair = (result.player_a, result.player_b) if in_order else (result.player_b, result.player_a)
        counts[*pair, result.opponents] += record if in_order else record[::-1]
    return dict(sorted(counts.items()))


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
