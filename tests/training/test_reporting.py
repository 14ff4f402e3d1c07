"""Figures of self-play that are made from finished games."""

from __future__ import annotations

import numpy as np
import pytest
from record_helpers import facts

import games
from selfplay.experience.figures import calibration_error
from selfplay.experience.records import GameRecord
from selfplay.experience.targets import TargetSettings
from selfplay.training.evaluator import CheckpointResult
from selfplay.training.reporting import evaluation_line, mean_text, return_text

TARGETS = TargetSettings(num_values=1)


def game_of(root_value: list[float], outcome: float) -> GameRecord:
    """A game with these root values and one result for all of its positions."""
    rewards = np.zeros((len(root_value), 2))
    rewards[-1] = outcome, -outcome
    return facts(len(root_value), reward=rewards, root_value=np.array([[value, -value] for value in root_value]))


def test_calibration_is_that_of_all_games_together_and_not_the_mean_of_single_games() -> None:
    """0.5 is right where three games of four are won, though every single game ends 0.5 or 1.5 away from it."""
    records = [game_of([0.5, 0.5], 1.0)] * 3 + [game_of([0.5, 0.5], -1.0)]
    connect_four = games.load("connect_four")
    assert calibration_error(records, connect_four, TARGETS)["train/value_calibration_error"] == pytest.approx(0.0)
    assert calibration_error(records[:1], connect_four, TARGETS)["train/value_calibration_error"] == pytest.approx(0.5)


def test_there_is_no_calibration_without_games_or_with_rewards_on_the_way() -> None:
    assert calibration_error([], games.load("connect_four"), TARGETS) == {}
    assert calibration_error([game_of([0.5], 1.0)], games.load("2048"), TARGETS) == {}


def test_returns_below_ten_keep_three_digits() -> None:
    assert mean_text(0.7342, (0.7068, 0.7616)) == "0.734 (95 %: 0.707 to 0.762)"
    assert mean_text(0.955, (0.955, 0.955)) == "0.955 (95 %: 0.955 to 0.955)"
    assert mean_text(475.04, (470.3, 479.7)) == "475.0 (95 %: 470.3 to 479.7)"
    assert mean_text(-13.0, (-13.0, -13.0)) == "-13.0 (95 %: -13.0 to -13.0)"
    assert mean_text(-0.00451, None) == "-0.0045" and mean_text(0.0, None) == "0.0"
    assert [return_text(value) for value in (7.941, 1.0, 0.955, -13.0, 0.0)] == ["7.94", "1.0", "0.955", "-13.0", "0.0"]


def test_a_mean_return_says_over_how_many_episodes():
    result = CheckpointResult(7, {}, {}, 1.0, mean_return=500.0, return_interval=(490.0, 510.0), num_episodes=2)
    assert evaluation_line(result) == "step 7: return 500.0 (95 %: 490.0 to 510.0), episodes: 2"
