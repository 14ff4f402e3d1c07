"""Ratings against closed forms, planted truths and laws."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from selfplay.errors import UserError
from selfplay.ratings import ELO_PER_NAT, PairResult, rate

Z_95 = 1.959964


def test_two_players_against_the_closed_form():
    # Both the ratings and nu are free, so the model fits the three counts exactly, half a win and half a loss added.
    ratings = rate([PairResult("a", "b", 30, 10, 12)], anchor="b", anchor_elo=1000.0)
    wins, losses = 30.5, 12.5
    elo = 400 * math.log10(wins / losses)
    deviation = ELO_PER_NAT * math.sqrt(1 / wins + 1 / losses)
    found = ratings.rating("a")
    assert found.elo == pytest.approx(1000 + elo)
    assert (found.low, found.high) == pytest.approx((1000 + elo - Z_95 * deviation, 1000 + elo + Z_95 * deviation))
    assert found.games == 52
    assert ratings.draw_parameter == pytest.approx(10 / math.sqrt(wins * losses))
    anchor = ratings.rating("b")
    assert anchor.elo == anchor.low == anchor.high == 1000.0


def test_without_draws_it_is_bradley_and_terrys_model():
    ratings = rate([PairResult("a", "b", 100, 0, 10)], anchor="b", prior_games=0.0)
    assert ratings.draw_parameter == 0.0
    assert ratings.rating("a").elo == pytest.approx(400.0)


def test_expected_scores_and_draws_are_those_that_were_seen():
    games = [PairResult("a", "b", 6, 8, 2), PairResult("b", "c", 9, 4, 3), PairResult("c", "a", 1, 5, 10)]
    ratings = rate(games, anchor="c", prior_games=0.0)
    strength = {player: 10 ** (ratings.rating(player).elo / 400) for player in "abc"}
    draws = 0.0
    for player in "abc":  # the equations of Davidson: expected scores are the scores, expected draws the draws
        scores = expected = 0.0
        for game in games:
            ends = (game.player_a, game.player_b)
            if player in ends:
                mine, other = strength[player], strength[ends[1 - ends.index(player)]]
                tie = ratings.draw_parameter * math.sqrt(mine * other)
                scores += (game.wins if player == game.player_a else game.losses) + game.draws / 2
                expected += 16 * (mine + tie / 2) / (mine + other + tie)
                draws += 16 * tie / (mine + other + tie) / 2
        assert expected == pytest.approx(scores)
    assert draws == pytest.approx(17)


def planted(truth: np.ndarray, nu: float, games: int, rng: np.random.Generator) -> list[PairResult]:
    """A tournament in which everybody meets everybody; players are named by their place in `truth` (Elo)."""
    results = []
    for i in range(len(truth)):
        for j in range(i):
            strength = np.exp(np.array([truth[i] - truth[j], 0.0, truth[j] - truth[i]]) / (2 * ELO_PER_NAT))
            chances = strength * [1.0, nu, 1.0]
            results.append(PairResult(str(i), str(j), *rng.multinomial(games, chances / chances.sum()).tolist()))
    return results


def test_planted_ratings_are_found():
    truth = np.array([0.0, 1200.0, 150.0, 700.0, -300.0, 400.0])
    ratings = rate(planted(truth, 0.5, 20_000, np.random.default_rng(1)), anchor="0")
    found = np.array([ratings.rating(str(i)).elo for i in range(6)])
    assert found == pytest.approx(truth, abs=15)
    assert ratings.draw_parameter == pytest.approx(0.5, abs=0.02)
    assert ratings.players == ("1", "3", "5", "2", "0", "4")


def test_intervals_hold_the_truth_as_often_as_they_say():
    # 1,000 tournaments, each with one interval a player and one of a difference: a share of 95 % is met within 0.7
    # (one standard deviation, were the intervals of one tournament all alike), hence 93 to 97.
    truth = np.array([0.0, 100.0, 250.0, 400.0])
    rng = np.random.default_rng(2)
    held = np.zeros(4)
    for _ in range(1000):
        ratings = rate(planted(truth, 0.4, 40, rng), anchor="0")
        low = np.array([ratings.rating(str(i)).low for i in (1, 2, 3)] + [ratings.difference("3", "1")[1]])
        high = np.array([ratings.rating(str(i)).high for i in (1, 2, 3)] + [ratings.difference("3", "1")[2]])
        right = np.array([*truth[1:], truth[3] - truth[1]])
        held += (low <= right) & (right <= high)
    assert (held >= 930).all() and (held <= 970).all()


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
    assert ratings.draw_parameter == pytest.approx(80)


def test_likelihood_of_superiority():
    ratings = rate([PairResult("a", "b", 60, 0, 40), PairResult("b", "c", 50, 0, 50)], anchor="c")
    difference, low, _ = ratings.difference("a", "b")
    quantile = difference / ((difference - low) / Z_95)
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
