"""The balance between learner and actors, by worked numbers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from selfplay.config.run import Config, LearnerConfig, ReplayConfig
from selfplay.system.preflight import Needs
from selfplay.training.sample_reuse import SampleReuse


@dataclass
class Kept:
    """Stands for a replay."""

    total: int = 0
    window: int = 0


def made(kept: Kept, most: float = 4.0, least: float = 0.0, batch_size: int = 16) -> SampleReuse:
    config = Config(
        replay=ReplayConfig(sample_reuse=most, least_reuse=least), learner=LearnerConfig(batch_size=batch_size)
    )
    return SampleReuse(config, Needs(min_positions=50, sample_reuse=most), kept)


def test_a_batch_is_allowed_when_enough_is_kept_and_owed() -> None:
    kept = Kept(total=49, window=49)
    reuse = made(kept)
    assert not reuse.may_learn(all_played=False), "fewer than min_positions"
    kept.total = 50
    assert reuse.owed(4.0) == 200 and reuse.may_learn(all_played=False)
    reuse.draw(185)
    assert reuse.owed(4.0) == 15 and not reuse.may_learn(all_played=False), "less than a batch is owed"
    assert reuse.mean == 185 / 50


def test_the_last_positions_get_their_least() -> None:
    reuse = made(Kept(total=100, window=100), most=4.0, least=1.0)
    reuse.draw(90)
    assert reuse.may_learn(all_played=False) and not reuse.may_learn(all_played=True)


@pytest.mark.parametrize(
    ("least", "drawn", "batch_size", "expected"),
    [
        (0.0, 300, 16, 60 + (64 - 100) / 4),  # `sample_reuse` is the least
        (2.0, 128, 16, 60 + (64 - 72) / 2),
        (0.0, 300, 0, 60 - 100 / 4),  # all of a rollout at once: none is under way
        (0.0, 0, 16, 60 + (64 - 400) / 4),  # negative: the actors wait
    ],
)
def test_actors_may_play_ahead_by_a_slack_and_four_batches(
    least: float, drawn: int, batch_size: int, expected: float
) -> None:
    """The slack is `min_positions` and a tenth of the window: 50 + 10."""
    reuse = made(Kept(total=100, window=100), least=least, batch_size=batch_size)
    reuse.draw(drawn)
    assert reuse.ahead() == expected


def test_all_of_a_rollout_is_a_batch_of_any_size() -> None:
    reuse = made(Kept(total=60, window=60), most=1.0, batch_size=0)
    reuse.draw(59)
    assert reuse.may_learn(all_played=False)
    reuse.draw(1)
    assert not reuse.may_learn(all_played=False)


def test_the_balance_goes_on_under_the_same_settings_and_begins_again_under_others() -> None:
    saved = made(Kept(total=100))
    saved.draw(250)
    saved.go_on(is_same_replay=True)
    state = saved.state_dict()
    for other, same_replay, owed in ((4.0, True, 150.0), (4.0, False, 0.0), (2.0, True, 0.0)):
        reuse = made(Kept(total=100), most=other)
        reuse.load_state_dict(state)
        reuse.go_on(same_replay)
        assert reuse.owed(other) == owed
        assert reuse.samples == 250, "they were drawn all the same"


def test_checkpoints_from_before_the_settings_were_kept_go_on() -> None:
    reuse = made(Kept(total=100))
    reuse.load_state_dict({"samples": 300})
    reuse.go_on(is_same_replay=True)
    assert reuse.owed(4.0) == 100


def test_positions_that_are_lost_leave_what_is_owed() -> None:
    kept = Kept(total=100)
    reuse = made(kept)
    reuse.draw(300)
    kept.total = 60
    reuse.forget(40)
    assert reuse.owed(4.0) == 100
