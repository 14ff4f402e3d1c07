"""Aggregates of scores equal worked numbers and SciPy's; bootstrap intervals hold the truth as often as they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from selfplay.errors import UserError
from selfplay.stats import scores
from selfplay.stats.scores import (
    HUMAN_SCORES,
    Estimate,
    atari_game,
    bootstrap,
    bootstrap_band,
    human_normalised,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    probability_of_improvement,
)

AGGREGATES = [mean, median, interquartile_mean, optimality_gap]

# Three runs of four tasks; means of the tasks 2, 0, 1, 5.
WORKED = np.array([[1.0, 0.0, 1.0, 2.0], [2.0, 0.5, 1.0, 4.0], [3.0, -0.5, 1.0, 9.0]])


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Aggregates.


def test_worked_numbers():
    assert mean(WORKED) == pytest.approx(2.0)
    assert median(WORKED) == pytest.approx(1.5)  # between 1 and 2, the means of two tasks
    # -0.5 0 0.5 | 1 1 1 1 2 2 | 3 4 9
    assert interquartile_mean(WORKED) == pytest.approx(8.0 / 6.0)
    # Cut off at 1: nine ones, 0.5, 0 and -0.5 are left out of 12 by 0.5, 1 and 1.5.
    assert optimality_gap(WORKED) == pytest.approx(3.0 / 12.0)
    assert optimality_gap(WORKED, target=0.0) == pytest.approx(0.5 / 12.0)


def test_one_odd_run_moves_the_mean_and_not_the_interquartile_mean():
    odd = WORKED.copy()
    odd[2, 3] = 1e6
    assert mean(odd) > 1e4 and interquartile_mean(odd) == interquartile_mean(WORKED)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (4, 1), (5, 1), (2, 3), (10, 7)])
def test_interquartile_mean_is_the_trimmed_mean_of_scipy(shape):
    sample = generator(shape[0]).standard_cauchy(shape)
    assert interquartile_mean(sample) == pytest.approx(scipy.stats.trim_mean(sample, 0.25, axis=None))


def test_probability_of_improvement_worked_and_by_mann_and_whitney():
    first, second = np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]])
    assert probability_of_improvement(first, second) == pytest.approx(1.5 / 4)  # 2 > 1.5, and 2 = 2 counts half
    assert probability_of_improvement(second, first) == pytest.approx(2.5 / 4)
    first, second = generator(1).integers(0, 9, (6, 3)).astype(float), generator(2).integers(2, 9, (4, 3)).astype(float)
    u = scipy.stats.mannwhitneyu(first, second, axis=0).statistic
    assert probability_of_improvement(first, second) == pytest.approx(np.mean(u / (6 * 4)))


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_axes_before_runs_and_tasks_are_many_of_them(aggregate):
    many = generator(3).normal(size=(2, 3, 5, 4))
    found = aggregate(many)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(aggregate(many[1, 2]))
    others = generator(4).normal(size=(2, 3, 6, 4))
    both = probability_of_improvement(many, others)
    assert both.shape == (2, 3) and both[0, 1] == pytest.approx(probability_of_improvement(many[0, 1], others[0, 1]))


# Intervals.


def test_bootstrap_of_two_runs_is_their_range():
    # Resamples have the mean 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    assert bootstrap(mean, np.array([[0.0], [1.0]]), rng=generator()) == Estimate(0.5, 0.0, 1.0)


def test_one_run_has_no_width():
    estimate = bootstrap(interquartile_mean, np.array([[3.0, 5.0]]), rng=generator())
    assert estimate == Estimate(4.0, 4.0, 4.0)


def test_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says():
    sample = generator(5).normal(size=(60, 1))
    estimate = bootstrap(mean, sample, rng=generator(), repetitions=20_000)
    error = float(sample.std()) / math.sqrt(60)
    assert (estimate.low, estimate.high) == pytest.approx(
        (estimate.value - 1.96 * error, estimate.value + 1.96 * error), abs=0.1 * error
    )


def test_resamples_stay_within_a_task():
    tasks = np.arange(5.0)[:, None] + 100.0 * np.arange(3.0)
    seen = []

    def statistic(drawn):
        seen.append(drawn)
        return drawn.mean(axis=(-2, -1))

    bootstrap(statistic, tasks, rng=generator(), repetitions=50)
    drawn = seen[0]
    assert drawn.shape == (50, 5, 3)
    assert np.array_equal(drawn // 100, np.broadcast_to(np.arange(3.0), drawn.shape))
    within = drawn % 100
    assert not np.array_equal(within[..., 0], within[..., 1])  # each task is drawn by itself
    assert set(np.unique(within)) == set(range(5))


def test_many_repetitions_go_in_parts(monkeypatch):
    whole = bootstrap(mean, WORKED, rng=generator(), repetitions=3000)
    monkeypatch.setattr(scores, "MOST_NUMBERS", 1000)
    parts = bootstrap(mean, WORKED, rng=generator(), repetitions=3000)
    assert parts.value == whole.value
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.1)


@pytest.mark.parametrize(
    ("statistic", "truth"), [(mean, 0.0), (interquartile_mean, 0.0), (probability_of_improvement, 0.5)]
)
def test_intervals_hold_the_truth_in_about_95_of_100_cases(statistic, truth):
    rng, trials, hits = generator(6), 400, 0
    for _ in range(trials):
        groups = rng.normal(size=(1 if truth == 0.0 else 2, 10, 6))
        estimate = bootstrap(statistic, *groups, rng=rng, repetitions=300)
        hits += estimate.low <= truth <= estimate.high
    assert 0.90 <= hits / trials <= 0.98


def test_few_runs_make_intervals_that_are_too_narrow():
    """What docs/reports.md warns of, with one task."""
    rng, trials = generator(7), 400
    shares = {}
    for runs in (3, 10):
        estimates = [bootstrap(mean, rng.normal(size=(runs, 1)), rng=rng, repetitions=300) for _ in range(trials)]
        shares[runs] = np.mean([one.low <= 0.0 <= one.high for one in estimates])
    assert shares[3] < 0.85 < shares[10]


def test_a_band_is_the_bootstrap_at_every_point(monkeypatch):
    curves = generator(8).normal(size=(6, 40)).cumsum(axis=1)
    band = bootstrap_band(mean, curves, generator(), repetitions=4000)
    assert band[0] == pytest.approx(curves.mean(axis=0))
    for point in (0, 17, 39):
        estimate = bootstrap(mean, curves[:, point : point + 1], rng=generator(1), repetitions=4000)
        width = estimate.high - estimate.low
        assert band[1:, point] == pytest.approx([estimate.low, estimate.high], abs=0.1 * width)
    monkeypatch.setattr(scores, "MOST_NUMBERS", 4000 * 6 * 7)
    assert np.array_equal(bootstrap_band(mean, curves, generator(), repetitions=4000), band)


@pytest.mark.parametrize(
    "groups",
    [
        [np.zeros(3)],
        [np.zeros((0, 2))],
        [np.zeros((2, 0))],
        [np.zeros((2, 3)), np.zeros((2, 2))],
        [np.array([[1.0, math.nan]])],
    ],
    ids=["one axis", "no runs", "no tasks", "other tasks", "not a number"],
)
def test_scores_that_are_none_are_refused(groups, unchecked_shapes):
    with pytest.raises(ValueError, match="score"):
        bootstrap(mean, *groups, rng=generator())
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_band(mean, np.array([[1.0, math.inf]]), generator())


# Atari.


def test_human_normalised_scores():
    assert human_normalised("Pong", -20.7) == 0.0 and human_normalised("ALE/Pong-v5", 14.6) == 1.0
    assert human_normalised("ALE/Breakout-v5(preset=mnih2015)", 401.2) == pytest.approx(13.871527)
    assert human_normalised("space_invaders", 148.0 + 1520.7 / 2) == pytest.approx(0.5)
    assert human_normalised("Skiing", -17098.1) == 0.0


def test_the_57_games():
    assert len(HUMAN_SCORES) == 57
    assert all(random < human for random, human in HUMAN_SCORES.values())
    roms = pytest.importorskip("ale_py.roms", reason="Atari is not installed: pip install 'gymnasium[atari]'")
    known = {name.replace("_", "") for name in roms.get_all_rom_ids()}
    assert {name.lower() for name in HUMAN_SCORES} <= known


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ALE/MsPacman-v5", "MsPacman"),
        ("ALE/Pong-v5(preset=machado2018,frame_skip=4)", "Pong"),
        ("PongNoFrameskip-v4", "Pong"),
        ("ms_pacman", "MsPacman"),
        ("up_n_down", "UpNDown"),
        ("CartPole-v1", None),
        ("ALE/Tetris-v5", None),
        ("game:tic_tac_toe", None),
        ("connect_four", None),
        ("", None),
    ],
)
def test_names_of_environments(text, name):
    assert atari_game(text) == name


def test_a_game_without_a_human_score_is_named():
    with pytest.raises(UserError, match="Pnog: no human score is known; did you mean 'Pong'"):
        human_normalised("Pnog", 1.0)
