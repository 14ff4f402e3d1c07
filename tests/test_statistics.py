"""Intervals and Elo differences against worked numbers and laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.statistics import elo_difference, score_interval, wilson_interval


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


def test_score_interval_against_a_worked_number():
    # With 0 and 1 added: 1, 1/2, 1/2, 3/4, 0, 1; mean 5/8, squared deviations sum to 23/32.
    low, high = score_interval([1.0, 0.5, 0.5, 0.75])
    spread = 1.959964 * math.sqrt(23 / 32) / 6
    assert (low, high) == pytest.approx((0.625 - spread, 0.625 + spread))


def test_opposite_results_within_a_pair_say_more_than_the_same_number_of_wins_and_losses_apart():
    split = score_interval([0.5] * 50)
    apart = score_interval([0.0, 1.0] * 25)
    assert split[1] - split[0] < 0.3 * (apart[1] - apart[0])
    assert 0 < split[0] < 0.5 < split[1] < 1


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60))
def test_score_interval_holds_the_mean_and_mirrors(scores):
    low, high = score_interval(scores)
    mean = sum(scores) / len(scores)
    assert 0.0 <= low <= mean <= high <= 1.0
    assert high - low > 0
    mirrored = score_interval([1 - score for score in scores])
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high))


def test_score_interval_narrows_with_more_groups():
    widths = [high - low for low, high in (score_interval([0.0, 0.5, 1.0] * n) for n in (1, 10, 100))]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


@pytest.mark.parametrize(("score", "elo"), [(0.5, 0.0), (10 / 11, 400.0), (1 / 11, -400.0), (0.76, 200.24)])
def test_elo_of_two_players(score, elo):
    assert elo_difference(score) == pytest.approx(elo, abs=0.01)


def test_elo_is_infinite_at_the_ends_and_zero_at_the_score_of_equals():
    assert elo_difference(0.0) is None and elo_difference(1.0) is None
    assert elo_difference(1 / 3, num_players=3) == pytest.approx(0.0)
    assert elo_difference(10 / 12, num_players=3) == pytest.approx(400.0)
    assert elo_difference(0.5, num_players=1) == pytest.approx(0.0)
