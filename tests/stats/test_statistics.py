"""Intervals and Elo differences against worked numbers and laws."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planted_truth import chances, match_coverage
from selfplay.stats.intervals import (
    Z_95,
    elo_difference,
    logit_interval,
    score_interval,
    wilson_interval,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (500, 1000, 0.4691, 0.5309),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_against_worked_numbers(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_the_share_and_mirrors(successes, trials):
    successes = min(successes, trials)
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials + 1e-12 and successes / trials - 1e-12 <= high <= 1.0
    mirrored = wilson_interval(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("wins", "losses"), [(7, 13), (1, 19), (20, 0)])
def test_a_score_without_draws_has_wilsons_interval(wins, losses):
    # But for the factor n / (n - 1) that makes up for the mean: as if there were one game in twenty less.
    low, high = score_interval([1.0] * wins + [0.0] * losses)
    assert (low, high) == pytest.approx(wilson_interval(wins * 0.95, 19), abs=1e-9)


def test_score_interval_against_tango():
    wins, draws, losses = 32, 44, 12
    for end in logit_interval(wins, draws, losses):
        mean = 1 / (1 + math.exp(-end))
        difference, n = 2 * mean - 1, wins + draws + losses  # Tango's closed form of the most likely share of losses
        b = -wins - losses + (2 * n - wins + losses) * difference
        c = -losses * difference * (1 - difference)
        lost = (math.sqrt(b * b - 8 * n * c) - b) / (4 * n)
        deviation = math.sqrt(n * (2 * lost + difference * (1 - difference)))
        assert abs(wins - losses - n * difference) / deviation == pytest.approx(Z_95)


@pytest.mark.parametrize("draws", [0.0, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("games", [100, 400])
@pytest.mark.parametrize("elo", [0.0, 70.0, 200.0])
def test_intervals_of_matches_hold_the_truth_as_often_as_they_say(games, elo, draws):
    if chances(elo, draws)[1] < draws:
        return  # nobody so much stronger draws so often
    held = match_coverage(1000, games, elo, draws, np.random.default_rng(1))
    assert 930 <= held <= 970


@pytest.mark.parametrize(("draws", "same"), [(0.0, 0.5), (0.0, -0.5), (0.5, -0.5), (0.5, 0.5)])
def test_intervals_of_paired_games_hold_the_truth_as_often_as_they_say(draws, same):
    """Both games of an opening have the same result for the player, or for the seat, with a probability."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(1000):
        games = rng.choice([1.0, 0.5, 0.0], size=(100, 2), p=chances(0.0, draws))
        alike = rng.random(100) < abs(same)
        games[alike, 1] = games[alike, 0] if same > 0 else 1 - games[alike, 0]
        low, high = score_interval(games.tolist())
        held += low <= 0.5 <= high
    assert 935 <= held <= 970


def test_only_drawn_games_leave_little_room():
    low, high = (elo_difference(score) for score in score_interval([0.5] * 400))
    assert -5 < low < 0 < high < 5
    assert elo_difference(score_interval([0.5] * 100)[1]) < 14


def test_groups_that_are_split_say_that_players_are_equal():
    split = score_interval([[0.0, 1.0]] * 50)
    apart = score_interval([0.0, 1.0] * 50)
    assert split[0] < 0.5 < split[1] and split[1] - split[0] < (apart[1] - apart[0]) / 2
    same = score_interval([[0.0, 0.0], [1.0, 1.0]] * 25)
    assert same[1] - same[0] > 1.3 * (apart[1] - apart[0])


@given(st.lists(st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0]), min_size=1, max_size=60))
def test_score_interval_holds_the_mean_and_mirrors(scores):
    low, high = score_interval(scores)
    assert 0 <= low <= sum(scores) / len(scores) <= high <= 1
    assert low < high
    mirrored = score_interval([1 - score for score in scores])
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_score_interval_narrows_with_more_groups():
    widths = [high - low for low, high in (score_interval([0.0, 0.5, 1.0] * n) for n in (1, 10, 100))]
    assert widths == sorted(widths, reverse=True)
    assert score_interval([]) == (0.0, 1.0)


@pytest.mark.parametrize(("score", "elo"), [(0.5, 0.0), (10 / 11, 400.0), (1 / 11, -400.0), (0.76, 200.24)])
def test_elo_of_two_players(score, elo):
    assert elo_difference(score) == pytest.approx(elo, abs=0.01)


def test_elo_is_infinite_at_the_ends_and_zero_at_the_score_of_equals():
    assert elo_difference(0.0) is None and elo_difference(1.0) is None
    assert elo_difference(1 / 3, num_players=3) == pytest.approx(0.0)
    assert elo_difference(10 / 12, num_players=3) == pytest.approx(400.0)
    assert elo_difference(0.5, num_players=1) == pytest.approx(0.0)


def test_the_page_says_how_wide_the_intervals_are():
    """Its table promised ± 48 where the ratings printed ± 95."""
    text = (DOCS / "tournaments.md").read_text()
    columns = (0.0, 0.5, 0.9, 1.0)
    lines = ["| games of a pair | no draws | half of them drawn | 90 % drawn | all drawn |", "|---|---|---|---|---|"]
    for games in (100, 400, 1000, 4000):
        cells = []
        for draws in columns:
            decided = round(games * (1 - draws))
            scores = [1.0] * (decided // 2) + [0.0] * (decided // 2) + [0.5] * (games - decided)
            low, high = (elo_difference(score) for score in score_interval(scores))
            assert -low == pytest.approx(high)
            cells.append(f"± {high:.0f}")
            if draws < 0.9:  # the formula above the table
                assert high == pytest.approx(681 * math.sqrt((1 - draws) / games), rel=0.02)
        lines.append(f"| {games:,} | {' | '.join(cells)} |")
    assert "\n".join(lines) in text
    far = re.search(r"a player that scores 95 % \(\+ (\d+) points\).*?\+ (\d+) to \+ (\d+)", text, re.DOTALL)
    low, high = score_interval([1.0] * 95 + [0.0] * 5)
    expected = [f"{elo_difference(score):.0f}" for score in (0.95, low, high)]
    assert far and list(far.groups()) == expected
