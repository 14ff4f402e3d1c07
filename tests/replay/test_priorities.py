"""Games whose positions are drawn by the learner's error: the traps that others fell into, and a resumed run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from record_helpers import facts

from selfplay.config.run import ReplayConfig
from selfplay.experience.records import GameRecord
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.replay.priorities import Priorities

TARGETS = TargetSettings(1)


def game(first: int, length: int = 5) -> GameRecord:
    """A game whose positions are numbered from `first` on, in `version`."""
    numbers = first + np.arange(length)
    return facts(
        length, observation=(numbers % 200).astype(np.uint8)[:, None], version=numbers.astype(np.int32),
        action=(numbers % 7).astype(np.int32), to_play=(np.arange(length) % 2).astype(np.int32),
    )  # fmt: skip


def replay_of(
    num_games: int, exponent: float = 1.0, importance: float = 1.0, **settings: Any
) -> tuple[PositionReplay, Priorities]:
    config = ReplayConfig(**{"capacity": 1000, "window_start": 1000, **settings})
    priorities = Priorities(config.capacity, exponent, importance)
    replay = PositionReplay(config, 7, [], TARGETS, steps=3, priorities=priorities)
    for number in range(num_games):
        replay.add(game(5 * number))
    return replay, priorities


def errors_of(replay: PositionReplay, errors: np.ndarray, seed: int = 0) -> None:
    """Have every row drawn and learned from; row n gets `errors[n]`."""
    rng, seen = np.random.default_rng(seed), np.zeros(len(errors), np.bool_)
    while not seen.all():
        batch = replay.sample(64, rng)
        assert batch.row is not None
        replay.learned(batch, np.maximum(errors[batch.row], 0.5), 0.0)  # not yet small, so that all are found
        seen[batch.row] = True
    rows = np.arange(len(errors))
    assert replay._priorities is not None
    replay._priorities.learned(rows, errors)


def test_rows_are_drawn_by_their_error_and_weights_undo_it() -> None:
    replay, _ = replay_of(8)
    errors = np.where(np.arange(40) % 2 == 0, 4.0, 1.0)
    errors_of(replay, errors)
    rng = np.random.default_rng(1)
    batches = [replay.sample(64, rng) for _ in range(2000)]
    rows = np.concatenate([batch.row for batch in batches if batch.row is not None])
    share = np.bincount(rows, minlength=40) / len(rows)
    np.testing.assert_allclose(share, errors / errors.sum(), atol=0.002)
    for batch in batches[:20]:
        assert batch.weight is not None and batch.row is not None
        np.testing.assert_allclose(batch.weight, errors[batch.row].min() / errors[batch.row], rtol=1e-4)
        np.testing.assert_array_equal(batch.version, batch.row)


def test_without_priorities_batches_are_those_of_before() -> None:
    plain = PositionReplay(ReplayConfig(window_start=1000), 7, [], TARGETS, steps=3)
    for number in range(8):
        plain.add(game(5 * number))
    batch = plain.sample(32, np.random.default_rng(3))
    assert batch.weight is None and batch.row is None
    rows = 39 - np.random.default_rng(3).integers(0, 40, size=32)
    np.testing.assert_array_equal(batch.version, rows)
    plain.learned(batch, np.full(32, np.nan), 0.5)
    np.testing.assert_array_equal(plain.sample(32, np.random.default_rng(3)).version, rows)


def test_what_is_new_has_the_largest_priority() -> None:
    replay, priorities = replay_of(8)
    errors_of(replay, np.full(40, 0.01))
    priorities.learned(np.array([3]), np.array([7.0]))
    replay.add(game(40))
    assert priorities.of(np.arange(40, 45)).tolist() == [pytest.approx(7.0, rel=1e-5)] * 5
    rng = np.random.default_rng(0)
    drawn = np.concatenate([replay.sample(64, rng).version for _ in range(20)])
    assert (drawn >= 40).mean() > 0.8 and set(range(40, 45)) <= set(drawn.tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_no_number_does_not_kill_the_sampling(bad: float) -> None:
    replay, priorities = replay_of(8)
    batch = replay.sample(16, np.random.default_rng(0))
    assert batch.row is not None
    before = priorities.of(np.arange(40)).copy()
    errors = np.full(16, 0.25)
    errors[3:] = bad
    replay.learned(batch, errors, 0.0)
    after = priorities.of(np.arange(40))
    changed = np.flatnonzero(after != before)
    assert set(changed.tolist()) == set(batch.row[:3].tolist())
    assert np.isfinite(priorities.total) and np.isfinite(priorities.largest)
    replay.learned(batch, np.full(16, bad), 0.0)
    replay.learned(batch, None, 0.0)
    np.testing.assert_array_equal(priorities.of(np.arange(40)), after)
    replay.add(game(40))
    again = replay.sample(64, np.random.default_rng(1))
    assert again.weight is not None and np.isfinite(again.weight).all() and (again.weight > 0).all()


def test_only_rows_that_were_drawn_change() -> None:
    """Not the positions behind them, and nothing of the next game."""
    replay, priorities = replay_of(3)
    batch = replay.sample(4, np.random.default_rng(2))
    assert batch.row is not None
    replay.learned(batch, np.full(4, 0.125), 0.0)
    found = priorities.of(np.arange(1000))
    drawn = set(batch.row.tolist())
    for row in range(15):
        assert found[row] == (pytest.approx(0.125, rel=1e-4) if row in drawn else 1.0)
    assert not found[15:].any()


def test_rows_that_are_gone_are_not_written_to() -> None:
    """A batch that is learned from after its games were overwritten says nothing of what took their places."""
    replay, priorities = replay_of(8, capacity=40)
    batch = replay.sample(32, np.random.default_rng(0))
    for number in range(8, 16):
        replay.add(game(5 * number))
    replay.learned(batch, np.full(32, 0.5), 0.0)
    assert priorities.of(np.arange(40)).tolist() == [1.0] * 40


def test_rows_beyond_the_window_are_not_drawn() -> None:
    rng = np.random.default_rng(0)
    replay, priorities = replay_of(0, capacity=64, window_start=20, window_exponent=0.0)
    for number in range(40):
        replay.add(game(5 * number))
        batch = replay.sample(32, rng)
        assert batch.version.min() >= replay.total - replay.window and batch.version.max() < replay.total
        assert batch.row is not None
        np.testing.assert_array_equal(batch.row, batch.version)
        replay.learned(batch, rng.random(32) * 9, 0.0)
    assert replay.window == 20 and np.count_nonzero(priorities.of(np.arange(64))) == 20


def test_the_window_may_grow() -> None:
    rng = np.random.default_rng(0)
    replay, _ = replay_of(0, capacity=500, window_start=30, window_exponent=0.75)
    for number in range(60):
        replay.add(game(5 * number))
        batch = replay.sample(16, rng)
        assert batch.version.min() >= replay.total - replay.window
    drawn = np.concatenate([replay.sample(256, rng).version for _ in range(20)])
    assert set(drawn.tolist()) == set(range(replay.total - replay.window, replay.total))


def test_importance_rises_to_one_with_the_budget() -> None:
    replay, priorities = replay_of(8, importance=0.4)
    errors_of(replay, np.linspace(0.1, 1.0, 40))
    for progress, expected in ((0.0, 0.4), (0.5, 0.7), (1.0, 1.0)):
        replay.learned(replay.sample(4, np.random.default_rng(0)), None, progress)
        assert priorities.importance == pytest.approx(expected)


# A run that goes on.


def played_on(replay: PositionReplay, rng: np.random.Generator, first: int, count: int) -> list[Batch]:
    batches = []
    for number in range(first, first + count):
        replay.add(game(5 * number))
        batches.append(replay.sample(16, rng))
        replay.learned(batches[-1], rng.random(16), number / 100)
    return batches


@pytest.mark.parametrize("capacity", [70, 1000])
def test_a_replay_that_is_filled_again_draws_the_same(capacity: int) -> None:
    settings = {"capacity": capacity, "window_start": 30, "window_exponent": 0.5}
    replay, _ = replay_of(0, importance=0.5, **settings)
    rng = np.random.default_rng(0)
    played_on(replay, rng, 0, 30)
    state, then = replay.state_dict(), rng.bit_generator.state
    expected = played_on(replay, rng, 30, 8)
    other, priorities = replay_of(0, importance=0.5, **settings)
    other.load_state_dict(state)
    first = max(0, 30 - capacity // 5)
    other.load_state_dict({"kept": 5 * first})  # the games on disk are read after the checkpoint
    for number in range(first, 30):
        other.add(game(5 * number))
    assert other.total == state["kept"] and priorities.importance == state["importance"] > 0.5
    rng.bit_generator.state = then
    for batch, same in zip(expected, played_on(other, rng, 30, 8), strict=True):
        np.testing.assert_array_equal(batch.row, same.row)
        np.testing.assert_array_equal(batch.weight, same.weight)
        np.testing.assert_array_equal(batch.version, same.version)


def test_another_exponent_was_for_new_errors_only() -> None:
    replay, _ = replay_of(8)
    errors = np.linspace(0.25, 4.0, 40)
    errors_of(replay, errors)
    other, priorities = replay_of(0, exponent=0.5)
    other.load_state_dict(replay.state_dict())
    other.load_state_dict({"kept": 0})
    for number in range(8):
        other.add(game(5 * number))
    np.testing.assert_allclose(priorities.of(np.arange(40)), errors**0.5, rtol=1e-4)


def test_priorities_that_are_none_are_refused() -> None:
    replay, _ = replay_of(2)
    state = replay.state_dict()
    for name, bad in (("priorities", -state["priorities"]), ("largest_priority", float("nan"))):
        with pytest.raises(ValueError, match="priorities"):
            replay_of(0)[0].load_state_dict({**state, name: bad})


# What it costs.


def calls_of(function: Callable[[], Any]) -> int:
    """Number of calls that Python makes, of its own functions and of those in C."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_nothing_is_done_one_sample_after_the_other() -> None:
    """Sampling and learning take as many calls for a large batch and a full replay as for small ones."""
    counts = []
    for num_games, size in ((4, 8), (150, 8), (150, 512)):
        replay, _ = replay_of(num_games)
        rng = np.random.default_rng(0)

        def step(replay: PositionReplay = replay, size: int = size, rng: np.random.Generator = rng) -> None:
            replay.learned(replay.sample(size, rng), np.ones(size), 0.0)

        step()
        counts.append(calls_of(step))
    assert counts[0] == counts[1] == counts[2] > 20
