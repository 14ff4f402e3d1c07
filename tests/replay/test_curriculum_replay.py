"""One window over the rows of several games, against a list of all rows that were ever added."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from record_helpers import facts

from games import Game
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import GameRecord
from selfplay.experience.targets import TargetSettings
from selfplay.replay.curriculum import CurriculumReplay
from selfplay.replay.positions import PositionReplay, window_size

SHAPES = ((1, 2), (1, 3), (1, 4))
TARGETS = TargetSettings(num_values=1)


def replay_of(config: ReplayConfig, shapes: tuple[tuple[int, ...], ...] = SHAPES) -> CurriculumReplay:
    games: list[Any] = [SimpleNamespace(observation_shape=shape) for shape in shapes]
    own: list[Game] = games
    return CurriculumReplay(config, own, [PositionReplay(config, 3, [], TARGETS) for _ in shapes])


def record_of(shape: tuple[int, ...], length: int, first: int, learn: np.ndarray | None = None) -> GameRecord:
    """A game whose positions are numbered from `first` on, in `version`."""
    return facts(
        length,
        observation=np.zeros((length, *shape), np.uint8),
        final_observation=np.zeros((0, *shape), np.uint8),
        version=np.arange(first, first + length, dtype=np.int32),
        learn=np.ones(length, np.bool_) if learn is None else learn,
    )


@pytest.mark.parametrize(
    "config", [ReplayConfig(capacity=40), ReplayConfig(capacity=90, window_start=20, window_exponent=0.5)]
)
def test_window_and_memory_are_those_of_all_rows_in_their_order(config: ReplayConfig) -> None:
    rng, replay, rows = np.random.default_rng(0), replay_of(config), []
    games: list[tuple[int, int, int]] = []  # number, rows after it, positions
    for _ in range(150):
        number, length = int(rng.integers(3)), int(rng.integers(1, 9))
        learn = rng.random(length) < 0.7  # some games have no row at all
        record = record_of(SHAPES[number], length, len(rows), learn)
        assert replay.rows_of(record) == learn.sum()
        replay.add(record)
        rows += [number] * int(learn.sum())
        games += [(number, len(rows), length)] if learn.any() else []
        window = rows[len(rows) - window_size(len(rows), config) :]
        assert (replay.total, replay.window) == (len(rows), len(window))
        assert [replay.window_of(k) for k in range(3)] == [window.count(k) for k in range(3)]
        oldest = len(rows) - config.capacity
        for k, own in enumerate(replay._replays):
            kept = sum(positions for kind, end, positions in games if kind == k and end > oldest)
            assert own.positions == kept, "games leave that have no row among the newest"
            assert (own.nbytes > own._index.nbytes) == (kept > 0)


def test_each_batch_is_of_one_game_and_every_row_is_drawn_as_often() -> None:
    config = ReplayConfig(capacity=60, window_start=30, window_exponent=0.0)
    replay, position = replay_of(config), 0
    for number, length in ((0, 50), (1, 12), (0, 6), (2, 4), (1, 8)):  # the last 30 of 80 rows are 1, 0, 2, 1
        replay.add(record_of(SHAPES[number], length, position))
        position += length
    rng, drawn, batches = np.random.default_rng(0), np.zeros(position, np.int64), np.zeros(3, np.int64)
    for _ in range(3000):
        batch = replay.sample(5, rng)
        batches[SHAPES.index(batch.observation.shape[1:])] += 1
        np.add.at(drawn, batch.version, 1)
    np.testing.assert_allclose(batches / 3000, np.array([6, 20, 4]) / 30, atol=0.03)
    assert (drawn[:50] == 0).all(), "they are older than the window"
    # 500 times each; batches of one game go together, which makes it three times the deviation of single draws
    assert 350 < drawn[50:].min() and drawn[50:].max() < 650


def test_with_one_game_it_is_a_position_replay() -> None:
    config = ReplayConfig(capacity=30, window_start=10)
    replay, alone = replay_of(config, SHAPES[:1]), PositionReplay(config, 3, [], TARGETS)
    for first in range(0, 70, 7):
        for one in (replay, alone):
            one.add(record_of(SHAPES[0], 7, first))
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    same.integers(0, alone.window)  # the draw of a game
    np.testing.assert_array_equal(replay.sample(9, rng).version, alone.sample(9, same).version)
    assert replay.window == alone.window == replay.window_of(0) and len(replay) == len(alone)


def test_a_game_longer_than_the_capacity_drives_out_all_others() -> None:
    replay = replay_of(ReplayConfig(capacity=5))
    replay.add(record_of(SHAPES[0], 3, 0))
    replay.add(record_of(SHAPES[1], 12, 3))
    assert [replay.window_of(k) for k in range(3)] == [0, 5, 0] and replay._replays[0].positions == 0
    assert set(replay.sample(50, np.random.default_rng(0)).version) == set(range(10, 15))
    replay.add(record_of(SHAPES[0], 2, 15))  # it begins anew
    assert [replay.window_of(k) for k in range(3)] == [2, 3, 0]


def test_an_empty_replay_has_nothing_to_sample() -> None:
    with pytest.raises(ValueError, match="replay: nothing to sample yet"):
        replay_of(ReplayConfig()).sample(1, np.random.default_rng(0))
