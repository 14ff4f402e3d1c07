"""Ratings against closed forms, planted truths and laws."""

from __future__ import annotations

import math
import random
from statistics import fmean

import numpy as np
import pytest

from benchmarks.planted_truth import chances
from selfplay.errors import UserError
from selfplay.stats.intervals import elo_difference, expected_score, score_interval
from selfplay.stats.ratings import PairResult, rate

Z_95 = 1.959964


def test_two_players_against_the_closed_form():
    ratings = rate([PairResult("a", "b", 30, 10, 12)], anchor="b", anchor_elo=1000.0)
    found = ratings.rating("a")
    assert found.elo == pytest.approx(1000 + 400 * math.log10(35 / 17))
    assert found.games == 52
    anchor = ratings.rating("b")
    assert anchor.elo == anchor.low == anchor.high == 1000.0


@pytest.mark.parametrize(
    "counts", [(30, 60, 10), (25, 50, 25), (9, 0, 1), (1, 98, 1), (0, 100, 0), (10, 90, 0), (399, 0, 1)]
)
@pytest.mark.parametrize("opponents", [1, 2])
def test_a_rating_and_a_match_say_the_same_of_one_result(counts, opponents):
    """The model of draws of the ratings made +185 of 30 won, 60 drawn, 10 lost where the match said +70."""
    draw = 1 / (opponents + 1)
    scores = [score for score, count in zip((1.0, draw, 0.0), counts) for _ in range(count)]
    expected = [elo_difference(score, opponents + 1) for score in (fmean(scores), *score_interval(scores, draw))]
    rated = rate([PairResult("a", "b", *counts, opponents)], "b").rating("a")
    assert (rated.elo, rated.low, rated.high) == pytest.approx(expected, abs=1e-6)
    grouped = PairResult.of_groups("a", "b", [[score] for score in scores], opponents)
    assert rate([grouped], "b").rating("a").low == pytest.approx(rated.low)
    mirrored = rate([PairResult("a", "b", *counts, opponents)], "a").rating("b")
    assert (mirrored.elo, mirrored.low, mirrored.high) == pytest.approx((-rated.elo, -rated.high, -rated.low), abs=1e-6)


def test_games_of_one_opening_hang_together():
    """An opening that its first player always wins says that both are equal, and says it more surely than two games."""
    pairs = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.5], [0.5, 0.0]] * 20
    scores = [score for pair in pairs for score in pair]
    together = rate([PairResult.of_groups("a", "b", pairs)], "b").rating("a")
    apart = rate([PairResult.of_groups("a", "b", [[score] for score in scores])], "b").rating("a")
    assert together.high - together.low < 0.6 * (apart.high - apart.low)
    low, high = (elo_difference(score) for score in score_interval(pairs))
    assert (together.low, together.high) == pytest.approx((low, high))


def test_without_draws_it_is_bradley_and_terrys_model():
    ratings = rate([PairResult("a", "b", 100, 0, 10)], anchor="b", prior_games=0.0)
    assert ratings.rating("a").elo == pytest.approx(400.0)


def test_expected_scores_are_those_that_were_seen():
    games = [PairResult("a", "b", 6, 8, 2), PairResult("b", "c", 9, 4, 3), PairResult("c", "a", 1, 5, 10)]
    ratings = rate(games, anchor="c")
    for player in "abc":
        scores = expected = 0.0
        for game in games:
            ends = (game.player_a, game.player_b)
            if player in ends:
                scores += (game.wins if player == game.player_a else game.losses) + game.draws / 2
                ahead = ratings.rating(player).elo - ratings.rating(ends[1 - ends.index(player)]).elo
                expected += 16 * expected_score(ahead)
        assert expected == pytest.approx(scores)


def planted(truth: np.ndarray, draws: float, games: int, rng: np.random.Generator) -> list[PairResult]:
    """A tournament in which everybody meets everybody; players are named by their place in `truth` (Elo)."""
    return [
        PairResult(str(i), str(j), *rng.multinomial(games, chances(truth[i] - truth[j], draws)).tolist())
        for i in range(len(truth))
        for j in range(i)
    ]


def test_planted_ratings_are_found():
    truth = np.array([0.0, 1200.0, 150.0, 700.0, -300.0, 400.0])
    ratings = rate(planted(truth, 0.3, 20_000, np.random.default_rng(1)), anchor="0")
    found = np.array([ratings.rating(str(i)).elo for i in range(6)])
    assert found == pytest.approx(truth, abs=15)
    assert ratings.players == ("1", "3", "5", "2", "0", "4")


@pytest.mark.parametrize("draws", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_intervals_hold_the_truth_as_often_as_they_say(draws):
    # 500 tournaments, each with one interval a player and one of a difference: a share of 95 % is met within 1 %
    # (one standard deviation, were the intervals of one tournament all alike) for each, half that for all.
    truth = np.array([0.0, 30.0, 70.0, -40.0])
    rng = np.random.default_rng(2)
    held = np.zeros(4)
    for _ in range(500):
        ratings = rate(planted(truth, draws, 40, rng), anchor="0")
        low = np.array([ratings.rating(str(i)).low for i in (1, 2, 3)] + [ratings.difference("3", "1")[1]])
        high = np.array([ratings.rating(str(i)).high for i in (1, 2, 3)] + [ratings.difference("3", "1")[2]])
        right = np.array([*truth[1:], truth[3] - truth[1]])
        held += (low <= right) & (right <= high)
    assert 0.93 <= held.mean() / 500 <= 0.97 and (held >= 460).all() and (held <= 490).all()


def test_order_of_records_players_and_names_does_not_matter():
    results = planted(np.array([0.0, 300.0, 100.0, 600.0, 50.0]), 0.3, 25, np.random.default_rng(3))
    split = [PairResult(r.player_a, r.player_b, r.wins, 0, 0) for r in results]
    split += [PairResult(r.player_b, r.player_a, r.losses, r.draws, 0) for r in results]
    random.Random(4).shuffle(split)
    names = {"0": "z", "1": "m", "2": "c", "3": "y", "4": "a"}
    renamed = [PairResult(names[r.player_a], names[r.player_b], r.wins, r.draws, r.losses) for r in split]
    one, two = rate(results, "0"), rate(renamed, "z")
    for player, name in names.items():
        first, second = one.rating(player), two.rating(name)
        assert (first.elo, first.low, first.high) == pytest.approx((second.elo, second.low, second.high))


def test_another_anchor_only_shifts():
    results = planted(np.array([0.0, 300.0, 100.0]), 0.3, 50, np.random.default_rng(5))
    one, two = rate(results, "0", 0.0), rate(results, "2", 1000.0)
    assert one.difference("1", "2") == pytest.approx(two.difference("1", "2"))
    assert two.rating("1").elo - two.rating("0").elo == pytest.approx(one.rating("1").elo - one.rating("0").elo)
    own = one.rating("1")
    assert one.difference("1", "0") == pytest.approx((own.elo, own.low, own.high))


def test_a_player_that_won_every_game_is_finite_and_the_interval_says_how_little_is_known():
    found = rate([PairResult("a", "b", 100, 0, 0)], anchor="b").rating("a")
    assert found.elo == pytest.approx(400 * math.log10(201))  # 921
    # An exact bound for 100 wins of 100 (Clopper and Pearson): a score of at least 0.025 ** (1 / 100), 569 Elo.
    assert 300 < found.low < 569 and found.high > 1300
    more = rate([PairResult("a", "b", 10_000, 0, 0)], anchor="b").rating("a")
    assert more.elo > found.elo and more.low > found.low


def test_an_opponent_that_everybody_beats_pulls_nobody():
    tournament = planted(np.array([0.0, 200.0, 350.0]), 0.2, 100, np.random.default_rng(6))
    beaten = [PairResult("fool", player, 0, 0, 100) for player in "012"]
    alone, together = rate(tournament, "0"), rate(tournament + beaten, "0")
    for player in "12":
        assert together.rating(player).elo == pytest.approx(alone.rating(player).elo, abs=2)
    fool = together.rating("fool")
    assert fool.high < together.rating("0").elo
    assert fool.high - fool.low > 3 * (together.rating("2").high - together.rating("2").low)


def test_only_draws_make_equals():
    ratings = rate([PairResult("a", "b", 0, 40, 0)], anchor="b")
    assert ratings.rating("a").elo == pytest.approx(0.0, abs=1e-6)
    assert ratings.superiority("a", "b") == pytest.approx(0.5)
    found = ratings.rating("a")
    assert -40 < found.low < 0 < found.high < 40


def test_likelihood_of_superiority():
    ratings = rate([PairResult("a", "b", 60, 0, 40), PairResult("b", "c", 50, 0, 50)], anchor="c")
    difference, low, high = ratings.difference("a", "b")
    quantile = difference / ((high - low) / (2 * Z_95))
    assert ratings.superiority("a", "b") == pytest.approx(0.5 * math.erfc(-quantile / math.sqrt(2)))
    assert 0.95 < ratings.superiority("a", "b") < 0.99
    assert ratings.superiority("b", "a") == pytest.approx(1 - ratings.superiority("a", "b"))
    assert ratings.superiority("b", "c") == pytest.approx(0.5, abs=0.05)
    assert ratings.superiority("a", "a") == 0.5


def test_a_long_chain_of_lopsided_results_converges():
    chain = [PairResult(str(i + 1), str(i), 5000, 3, 1) for i in range(12)]
    table = rate(chain, "0").table()
    assert [rating.player for rating in table] == [str(i) for i in reversed(range(13))]
    assert all(math.isfinite(rating.high) for rating in table)
    assert table[0].elo == pytest.approx(12 * table[-2].elo, rel=0.1)


@pytest.mark.parametrize(
    ("results", "anchor", "complaint"),
    [
        ([("a", "b", 1, 0, 0), ("c", "d", 1, 0, 0)], "a", "no chain of games leads from a to c, d"),
        ([("a", "b", 1, 0, 0), ("b", "c", 0, 0, 0)], "c", "c, whose rating is given, has played no games"),
        ([], "a", "a, whose rating is given"),
    ],
)
def test_players_that_are_not_connected_to_the_anchor(results, anchor, complaint):
    with pytest.raises(UserError, match=complaint):
        rate([PairResult(*result) for result in results], anchor)


@pytest.mark.parametrize("result", [("a", "a", 1, 0, 0), ("a", "b", -1, 0, 3), ("a", "b", math.nan, 0, 3)])
def test_impossible_results_are_refused(result):
    with pytest.raises(ValueError):
        rate([PairResult("a", "b", 1, 1, 1), PairResult(*result)], "a")


def test_a_player_nobody_knows_is_named():
    with pytest.raises(UserError, match="x has played no games; rated are a, b"):
        rate([PairResult("a", "b", 2, 0, 1)], "b").rating("x")
