"""The replay against a naive twin: a list of positions of which the last ones count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_helpers import kept_rows

import games
from games import Symmetry
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import NO_ACTION, TargetRecord
from selfplay.experience.targets import TargetSettings, rows_by_weight
from selfplay.replay.positions import SPARE_ROOM, PositionReplay, window_size

NUM_ACTIONS = 12
SHAPE = (2, 3, 4)
TARGETS = TargetSettings(num_values=1)


def make_record(rng: np.random.Generator, length: int, width: int, first: int, exact: bool = True) -> TargetRecord:
    """A made-up game whose positions are numbered from `first` on, in `version`, to be recognised by."""
    legal_actions = np.full((length, width), NO_ACTION, np.int32)
    policy_target = np.zeros((length, width), np.float32)
    for t in range(length):
        count = rng.integers(1, width + 1)
        legal_actions[t, :count] = np.sort(rng.choice(NUM_ACTIONS, count, replace=False))
        policy_target[t, :count] = rng.dirichlet(np.ones(count))
    observation = rng.integers(0, 200, size=(length, *SHAPE))
    return TargetRecord(
        observation=observation.astype(np.uint8) if exact else (observation - 0.5).astype(np.float32),
        legal_actions=legal_actions,
        policy_target=policy_target,
        value_target=rng.uniform(-1, 1, size=(length, 1)).astype(np.float32),
        outcome=rng.uniform(-1, 1, size=(length, 1)).astype(np.float32),
        root_value=rng.uniform(-1, 1, size=(length, 1)).astype(np.float32),
        action=legal_actions[:, 0],
        to_play=np.arange(length, dtype=np.int32) % 2,
        version=np.arange(first, first + length, dtype=np.int32),
        weight=np.ones(length, np.float32),
    )


class NaiveReplay:
    """All positions ever added, as dictionaries."""

    def __init__(self) -> None:
        self.positions: list[dict[str, np.ndarray]] = []

    def add(self, record: TargetRecord) -> None:
        for t in range(len(record)):
            legal = record.legal_actions[t] != NO_ACTION
            mask, target = np.zeros(NUM_ACTIONS, bool), np.zeros(NUM_ACTIONS, np.float32)
            mask[record.legal_actions[t, legal]] = True
            target[record.legal_actions[t, legal]] = record.policy_target[t, legal]
            kept = {name: getattr(record, name)[t] for name in ("observation", "value_target", "outcome", "action")}
            kept["reply"] = record.action[t + 1] if t + 1 < len(record) else NO_ACTION
            kept["moves_left"] = len(record) - t
            self.positions.append(kept | {"legal_mask": mask, "policy_target": target})


@pytest.mark.parametrize("capacity", [7, 50, 10_000])
def test_replay_equals_its_naive_twin(capacity: int) -> None:
    rng = np.random.default_rng(0)
    config = ReplayConfig(capacity=capacity, window_start=20, window_exponent=0.75)
    replay, twin = PositionReplay(config, NUM_ACTIONS, [], TARGETS), NaiveReplay()
    for number in range(60):
        # Wider rows and floats come late, so that the columns have to change with positions in them.
        width, exact = (3, True) if number < 20 else (9, number < 40)
        record = make_record(rng, int(rng.integers(1, 12)), width, len(twin.positions), exact)
        replay.add(record)
        twin.add(record)
        assert replay.total == len(twin.positions)
        assert len(replay) == min(capacity, replay.total)
        batch = replay.sample(16, rng)
        assert batch.observation.dtype == np.float32 and batch.observation.shape == (16, *SHAPE)
        for i, place in enumerate(batch.version):
            assert replay.total - replay.window <= place < replay.total
            for name, expected in twin.positions[place].items():
                np.testing.assert_array_equal(getattr(batch, name)[i], expected, err_msg=name)


def test_every_position_of_the_window_is_sampled_and_none_outside() -> None:
    rng = np.random.default_rng(1)
    config = ReplayConfig(capacity=64, window_start=40, window_exponent=0.0)
    replay = PositionReplay(config, NUM_ACTIONS, [], TARGETS)
    while replay.total < 150:
        replay.add(make_record(rng, 10, 4, replay.total))
    assert replay.window == 40
    counts = np.bincount(replay.sample(40_000, rng).version, minlength=150)
    assert set(np.nonzero(counts)[0]) == set(range(110, 150))
    # 1000 expected; six standard deviations
    assert (np.abs(counts[110:] - 1000) < 6 * np.sqrt(1000)).all()


def test_a_game_longer_than_the_capacity_leaves_its_end() -> None:
    rng = np.random.default_rng(2)
    replay = PositionReplay(ReplayConfig(capacity=5), NUM_ACTIONS, [], TARGETS)
    replay.add(make_record(rng, 13, 4, 0))
    assert set(replay.sample(200, rng).version) == set(range(8, 13))


def test_memory_grows_with_what_is_kept_up_to_the_capacity() -> None:
    rng = np.random.default_rng(3)
    replay = PositionReplay(ReplayConfig(capacity=500_000), NUM_ACTIONS, [], TARGETS)
    replay.add(make_record(rng, 10, 4, 0))
    assert len(replay._columns["action"]) < 10_000
    small = PositionReplay(ReplayConfig(capacity=100), NUM_ACTIONS, [], TARGETS)
    for _ in range(50):
        small.add(make_record(rng, 10, 4, small.total))
        assert small.positions <= 100 + 9, "the oldest game is there until its last position leaves"
    assert len(small._index) == 100
    assert all(len(column) <= SPARE_ROOM * 120 for column in small._columns.values())
    assert small.nbytes == small._index.nbytes + sum(column.nbytes for column in small._columns.values())


def test_an_empty_replay_has_nothing_to_sample() -> None:
    with pytest.raises(ValueError, match="nothing to sample"):
        PositionReplay(ReplayConfig(), NUM_ACTIONS, [], TARGETS).sample(1, np.random.default_rng(0))


# Weights.


def test_positions_are_kept_by_their_weight() -> None:
    rng, config = np.random.default_rng(6), ReplayConfig(capacity=200_000, window_start=200_000, window_exponent=0.0)
    replay, weights = PositionReplay(config, NUM_ACTIONS, [], TARGETS), []
    for _ in range(2000):
        record = make_record(rng, 10, 4, len(weights))
        weight = rng.choice([0.0, 0.1, 0.5, 1.0, 1.7], size=10).astype(np.float32)
        before = replay.total
        replay.add(replace(record, weight=weight))
        assert abs(replay.total - before - weight.sum()) < 1 + 1e-4, "a game has the sum of its weights, rounded"
        weights += weight.tolist()
    copies = np.bincount(kept_rows(replay)["version"], minlength=len(weights))
    for weight in (0.0, 0.1, 0.5, 1.0, 1.7):
        found = copies[np.isclose(weights, weight)]
        assert found.mean() == pytest.approx(weight, abs=0.04), "4000 positions, deviation below half a copy"
        assert set(found) <= {int(np.floor(weight)), int(np.ceil(weight))}


def test_a_game_gets_the_same_rows_whenever_it_is_added() -> None:
    rng = np.random.default_rng(7)
    record = replace(make_record(rng, 40, 4, 0), weight=rng.random(40).astype(np.float32))
    first, again = (rows_by_weight(record.weight, record.action) for _ in range(2))
    assert first.tolist() == again.tolist() and 0 < len(first) < 40


# Symmetries.


def test_mirrored_samples_equal_mirrored_originals() -> None:
    rng = np.random.default_rng(4)
    symmetries = [Symmetry(rng.permutation(24), rng.permutation(NUM_ACTIONS)) for _ in range(3)]
    replay, twin = PositionReplay(ReplayConfig(), NUM_ACTIONS, symmetries, TARGETS), NaiveReplay()
    for _ in range(5):
        record = make_record(rng, 10, 6, replay.total)
        replay.add(record)
        twin.add(record)
    batch = replay.sample(300, rng)
    maps = [(np.arange(24), np.arange(NUM_ACTIONS)), *((s.observation, s.action) for s in symmetries)]
    used = set()
    for i, place in enumerate(batch.version):
        original = twin.positions[place]
        flat = original["observation"].ravel()
        (k,) = [k for k, (gather, _) in enumerate(maps) if np.array_equal(batch.observation[i].ravel(), flat[gather])]
        used.add(k)
        gather = maps[k][1]
        np.testing.assert_array_equal(batch.legal_mask[i], original["legal_mask"][gather])
        np.testing.assert_array_equal(batch.policy_target[i], original["policy_target"][gather])
        # Entry i of a mirrored policy is the old entry gather[i], so the move played is where it went.
        assert gather[batch.action[i]] == original["action"]
        assert batch.legal_mask[i, batch.action[i]]
        if original["reply"] == NO_ACTION:
            assert batch.reply[i] == NO_ACTION
        else:
            assert gather[batch.reply[i]] == original["reply"]
        np.testing.assert_array_equal(batch.value_target[i], original["value_target"])
    assert used == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe", "hex(board_size=3)"])
def test_mirrored_games_stay_games(name: str) -> None:
    """The mirrored move leads from the mirrored position to the mirrored next position."""
    game, rng = games.load(name), np.random.default_rng(5)
    pool, at = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(at)
    observations, actions = [], []
    for _ in range(5):
        out = np.zeros((1, *game.observation_shape), np.float32)
        pool.observe(at, out)
        observations.append(out[0])
        actions.append(int(rng.choice(pool.legal(at)[1])))
        pool.step(at, np.array([actions[-1]]), at)
    for symmetry in game.symmetries():
        moved_to = np.argsort(symmetry.action)
        pool.reset(at)
        for observation, action in zip(observations, actions, strict=True):
            out = np.zeros((1, *game.observation_shape), np.float32)
            pool.observe(at, out)
            np.testing.assert_array_equal(out.ravel(), observation.ravel()[symmetry.observation])
            pool.step(at, np.array([moved_to[action]]), at)


# The window.

configs = st.builds(
    ReplayConfig,
    capacity=st.integers(1, 10**6),
    window_start=st.integers(1, 10**5),
    window_exponent=st.sampled_from([0.0, 0.3, 0.75, 1.0]),
)


@given(configs, st.integers(1, 10**7), st.integers(0, 10**6))
def test_the_window_grows_and_stays_within_bounds(config: ReplayConfig, total: int, more: int) -> None:
    size = window_size(total, config)
    assert 1 <= size <= min(total, config.capacity)
    assert size >= min(total, config.window_start, config.capacity)
    assert window_size(total + more, config) >= size


def test_window_size_worked() -> None:
    config = ReplayConfig(capacity=10**9, window_start=10_000, window_exponent=0.75)
    assert [window_size(total, config) for total in (0, 1, 10_000)] == [0, 1, 10_000]
    # (16^0.75 - 1) / 0.75 = 7 / 0.75 = 9.333: 10 000 * 10.333
    assert window_size(160_000, config) == 103_333
    assert window_size(160_000, replace(config, window_exponent=0.0)) == 10_000
    assert window_size(160_000, replace(config, window_exponent=1.0)) == 160_000
    assert window_size(160_000, replace(config, capacity=50_000)) == 50_000
