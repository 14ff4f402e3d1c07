"""Standings of a tournament: ratings, a table, the results of every pair, the lengths of games, results by seat.

Ratings are those of `selfplay.stats.ratings`. In games of more than two players one sits against copies of another; an
equal player then wins one game of P, which the rating of the pair takes into account.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

import games
from games import Game
from selfplay.errors import UserError
from selfplay.evaluation.match import MatchGame, groups_of
from selfplay.stats.ratings import PairResult, Ratings, rate
from selfplay.tournament.tournament import Outcome

ByPair = dict[tuple[str, str], list[MatchGame]]
"""Games by the names of a pair, with the scores of its first player."""


@dataclass(frozen=True)
class Standing:
    """One player's line in the table."""

    rank: int
    player: str
    elo: float
    """Points ahead of the anchor, see `selfplay.stats.ratings`."""
    low: float
    high: float
    """Upper end of the 95 % interval of the difference to the anchor; `low` is the lower end."""
    superiority: float | None
    """Likelihood that it is stronger than the next in the table; None for the last."""
    games: int
    score: float
    """Mean score of its games, in [0, 1]: draws count half, a first place shared by k of more players 1 / k."""
    wins: int
    draws: int
    losses: int
    forfeits: int
    """Number of games that it lost by an error or an illegal move."""


@dataclass(frozen=True)
class Meeting:
    """The results of all games of a pair."""

    first: str
    second: str
    wins: int
    draws: int
    losses: int
    distinct_games: int
    score: float
    """Mean score of the first player, in [0, 1]."""


@dataclass(frozen=True)
class Standings:
    """A whole tournament."""

    game: str
    format: str
    games: int
    distinct_games: int
    """Number of games that differ in their moves, no matter who played them."""
    unfinished: int
    """Number of games that were cut off."""
    anchor: str
    table: tuple[Standing, ...]
    meetings: tuple[Meeting, ...]
    lengths: tuple[int, ...]
    """Number of moves of players in each game."""
    seats: tuple[tuple[int, int, int], ...]
    """Wins, draws, losses of each seat, in games of more than one player that nobody forfeited."""
    first_seat: int | None
    """The seat that moves first; None where chance does."""
    forfeits: tuple[str, ...]
    """Reasons of forfeits, each once."""
    sprt: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return dataclasses.asdict(self)


def choose_anchor(names: tuple[str, ...], wanted: str | None = None) -> str:
    """The player with a rating of 0: `random` where it plays, else the first that learns nothing, else the first."""
    if wanted is not None:
        if wanted not in names:
            raise UserError(f"--anchor: {wanted} does not play; the players are {', '.join(names)}")
        return wanted
    for kind in ("random", "uniform", "mcts"):
        for name in names:
            if name.partition(":")[0] == kind:
                return name
    return names[0]


def rate_pairs(game: Game, scores: dict[tuple[str, str], list[float]], anchor: str) -> Ratings:
    """The ratings that fit all games, given the scores of the first of each pair, opening after opening."""
    opponents = max(1, game.num_players - 1)
    return rate(
        [PairResult.of_groups(*pair, groups_of(game, found), opponents) for pair, found in scores.items()], anchor
    )


def games_by_pair(outcome: Outcome) -> ByPair:
    """All games of a tournament."""
    by_pair: ByPair = {}
    for played in outcome.played:
        by_pair.setdefault((played.block.first, played.block.second), []).extend(played.games)
    return by_pair


def meetings_of(by_pair: ByPair) -> tuple[Meeting, ...]:
    """The results of every pair."""
    return tuple(
        Meeting(*pair, *_counts(scores), len({record.moves for record in records}), sum(scores) / len(scores))
        for pair, records in by_pair.items()
        for scores in [_scores(records)]
    )


def make_standings(outcome: Outcome, anchor: str) -> Standings:
    """Everything from the games."""
    game = games.load(outcome.game)
    by_pair = games_by_pair(outcome)
    ratings = rate_pairs(game, {pair: _scores(records) for pair, records in by_pair.items()}, anchor)
    everything = [record for records in by_pair.values() for record in records]
    return Standings(
        game=game.name,
        format=outcome.plan.format,
        games=len(everything),
        distinct_games=len({record.moves for record in everything}),
        unfinished=sum(not record.finished and not record.forfeit for record in everything),
        anchor=anchor,
        table=tuple(_table(ratings, by_pair)),
        meetings=meetings_of(by_pair),
        lengths=tuple(record.plies for record in everything),
        seats=tuple(_seat_results(game.num_players, everything)) if game.num_players > 1 else (),
        first_seat=_first_seat(game),
        forfeits=tuple(dict.fromkeys(record.forfeit for record in everything if record.forfeit)),
        sprt={**dataclasses.asdict(outcome.sprt), "verdict": outcome.sprt.verdict} if outcome.sprt else None,
    )


def _scores(records: list[MatchGame]) -> list[float]:
    return [record.score for record in records]


def _counts(scores: list[float]) -> tuple[int, int, int]:
    """Wins, draws and losses of the first of a pair; a shared first place among more than two is a draw."""
    wins, losses = scores.count(1.0), scores.count(0.0)
    return wins, len(scores) - wins - losses, losses


def _table(ratings: Ratings, by_pair: ByPair) -> list[Standing]:
    totals = {name: np.zeros(4, np.int64) for name in ratings.players}  # wins, draws, losses, forfeits
    points = dict.fromkeys(ratings.players, 0.0)
    for (first, second), records in by_pair.items():
        wins, draws, losses = _counts(_scores(records))
        by_first, by_second = (sum(bool(r.forfeit) and r.score == score for r in records) for score in (0.0, 1.0))
        totals[first] += (wins, draws, losses, by_first)
        totals[second] += (losses, draws, wins, by_second)
        won = sum(_scores(records))
        points[first] += won
        points[second] += len(records) - won
    table = []
    for rank, rating in enumerate(ratings.table(), start=1):
        wins, draws, losses, forfeits = totals[rating.player].tolist()
        below = ratings.players[rank] if rank < len(ratings.players) else None
        count = wins + draws + losses
        table.append(
            Standing(
                rank=rank,
                player=rating.player,
                elo=rating.elo,
                low=rating.low,
                high=rating.high,
                superiority=ratings.superiority(rating.player, below) if below else None,
                games=count,
                score=points[rating.player] / count,
                wins=wins,
                draws=draws,
                losses=losses,
                forfeits=forfeits,
            )
        )
    return table


def _seat_results(num_players: int, records: list[MatchGame]) -> list[tuple[int, int, int]]:
    """Wins, draws and losses of each seat: the best return alone, with others, or not."""
    counts = np.zeros((num_players, 3), np.int64)
    for record in records:
        if record.forfeit:
            continue
        returns = np.array(record.returns)
        best = returns >= returns.max() - 1e-9
        for seat in range(num_players):
            counts[seat, 2 if not best[seat] else int(best.sum() > 1)] += 1
    return [(wins, draws, losses) for wins, draws, losses in counts.tolist()]


def _first_seat(game: Game) -> int | None:
    pool, place = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(place)
    mover = int(pool.to_play(place)[0])
    pool.close()
    return mover if mover >= 0 else None
