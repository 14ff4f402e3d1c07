"""Batches of the replay are, bit for bit, those of the time when records kept targets and the replay positions."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import old_records
import pytest
from record_helpers import facts
from search_helpers import noisy_predict

import games
from games import Symmetry
from search import SearchConfig
from selfplay.algorithms.models import network_models
from selfplay.config.reader import load
from selfplay.config.run import Config, ReplayConfig
from selfplay.experience.records import NO_ACTION, UNDECIDED, Ending, GameRecord, TargetRecord, from_arrays
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import PositionReplay

CASES = {
    "result": ("connect_four", ()),
    "mixed": ("tic_tac_toe", ("--learner.root_value_share", "0.3")),
    "n steps": ("2048", ("--learner.td_steps", "3", "--search.discount", "0.97", "--actors.max_plies", "20")),
    "all": (
        "connect_four",
        (
            *(
                "--actors.full_search_share",
                "0.6",
                "--actors.fast_simulations",
                "2",
                "--learner.policy_surprise",
                "0.5",
            ),
            *("--actors.resign_value", "0.2", "--actors.resign_plies", "2", "--actors.resign_weight", "0.3"),
            *("--learner.td_steps", "4", "--learner.root_value_share", "0.25", "--actors.opening_plies", "4"),
        ),
    ),
    "chance": ("pig(winscore=15)", ("--learner.td_steps", "2", "--actors.max_plies", "15")),
    "three players": (
        "chinese_checkers(players=3)",
        ("--actors.max_plies", "8", "--actors.games_per_actor", "6", "--learner.root_value_share", "0.5"),
    ),
    "left out": ("connect_four", ("--learner.policy_surprise", "1", "--replay.max_policy_lag", "1")),
}


def config_of(case: str) -> Config:
    name, options = CASES[case]
    return load(Config, None, ["--game", name, "--actors.games_per_actor", "24", *options])


def recorded(config: Config) -> list[GameRecord]:
    """Games of a network that says anything; with a limit to the age of networks, half of the positions are too old."""
    game, search = games.load(config.game), SearchConfig(num_simulations=6, discount=config.search.discount)
    models = network_models(game, noisy_predict(game), 1)
    playing = SelfPlay(game, models, search, config.actors, np.random.default_rng(5), endless=False)
    records = []
    while not playing.done:
        records += playing.collect()
        playing.version += 1
    if config.replay.max_policy_lag:
        middle = int(np.median(np.concatenate([record.version for record in records])))
        records = [record.leave_out_older(middle)[0] for record in records]
    return records


def same(found: object, expected: object) -> None:
    """Every array of the old batch is in the new one, with the same bytes."""
    for field in fields(expected):  # type: ignore[arg-type]
        new, old = getattr(found, field.name), getattr(expected, field.name)
        if old is None:
            continue
        assert new.dtype == old.dtype and new.shape == old.shape, field.name
        assert new.tobytes() == old.tobytes(), field.name


@pytest.mark.parametrize("capacity", [50, 100_000])
@pytest.mark.parametrize("case", CASES)
def test_batches_are_those_of_records_with_targets(case: str, capacity: int) -> None:
    config = config_of(case)
    game, settings = games.load(config.game), ReplayConfig(capacity=capacity, window_start=30)
    targets = TargetSettings.of(config, game)
    new = PositionReplay(settings, game.num_actions, game.symmetries(), targets)
    stored = PositionReplay(
        settings, game.num_actions, game.symmetries(), TargetSettings(targets.num_values, td_steps=7)
    )
    old = old_records.OldReplay(settings, game.num_actions, game.symmetries())
    kinds = set()
    for number, record in enumerate(recorded(config)):
        with_targets = old_records.with_targets(record, targets)
        new.add(record)
        old.add(with_targets)
        found = from_arrays(with_targets.arrays())
        assert isinstance(found, TargetRecord)
        stored.add(found)
        assert (new.total, new.window, len(new)) == (old.total, old.window, len(old))
        kinds |= {record.ending, record.decided_at != UNDECIDED, bool((with_targets.weight == 0).any())}
        if old.total:
            expected = old.sample(32, np.random.default_rng(number))
            same(new.sample(32, np.random.default_rng(number)), expected)
            same(stored.sample(32, np.random.default_rng(number)), expected)
            assert new.sample(3, np.random.default_rng(0)).following is None
    assert case != "all" or {Ending.OVER, True} <= kinds, "some games were decided, some positions left out"
    assert case != "n steps" or Ending.CUT_OFF in kinds
    assert case != "three players" or Ending.JUDGED in kinds


# Following a row.


def numbered(lengths: list[int], rng: np.random.Generator, weight: float = 0.5, ending: Ending = Ending.OVER):
    """Games whose positions and moves can be told apart, some of them with fast searches."""
    first = 0
    for length in lengths:
        number = np.arange(first, first + length)
        is_full = rng.random(length) < weight
        is_full[-1] = True  # one row at least
        legal = np.stack([number % 5, 5 + number % 7], axis=1).astype(np.int32)
        yield facts(
            length,
            observation=number.astype(np.float32)[:, None] + 0.5,
            legal_actions=legal,
            policy_target=np.tile(np.float32([0.25, 0.75]), (length, 1)),
            action=legal[:, 1],
            to_play=(number % 2).astype(np.int32),
            version=number.astype(np.int32),
            reward=np.stack([number, -number], axis=1).astype(np.float64),
            is_chosen=is_full,
            ending=ending,
            final_observation=np.zeros((0, 1), np.float32),
        )
        first += length


@pytest.mark.parametrize("capacity", [11, 1000])
@pytest.mark.parametrize("ending", list(Ending))
def test_a_row_is_followed_to_the_end_of_its_game_and_no_further(capacity: int, ending: Ending) -> None:
    rng, steps = np.random.default_rng(0), 4
    lengths = rng.integers(1, 9, size=40).tolist()
    ends = np.repeat(np.cumsum(lengths), lengths)  # where the game of a position ends
    replay = PositionReplay(ReplayConfig(capacity=capacity, window_start=1000), 12, [], TargetSettings(num_values=1))
    records = list(numbered(lengths, rng, ending=ending))
    is_full = np.concatenate([record.is_full for record in records])
    action = np.concatenate([record.action for record in records])
    followed = set()
    for record in records:
        replay.add(record)
        batch = replay.sample(64, rng, steps)
        plain = replay.sample(64, np.random.default_rng(1))
        same(replay.sample(64, np.random.default_rng(1), steps), plain)

        following = batch.following
        assert following is not None and following.observation.shape == (64, steps, 1)
        for i, start in enumerate(batch.version):
            for k in range(steps):
                before, after, end = start + k, start + k + 1, ends[start]
                assert following.moved[i, k] == (before < end) and following.exists[i, k] == (after < end)
                if before < end:
                    sign = 1 if before % 2 == 0 else -1  # as who moved sees it
                    assert following.action[i, k] == action[before] and following.reward[i, k] == sign * before
                else:
                    assert following.action[i, k] == NO_ACTION and following.reward[i, k] == 0
                if after < end:
                    followed.add(bool(is_full[after]))
                    assert following.observation[i, k] == after + 0.5 and following.is_learned[i, k] == is_full[after]
                    legal = {after % 5, 5 + after % 7}
                    assert set(np.flatnonzero(following.legal_mask[i, k])) == legal
                    assert following.policy_target[i, k, after % 5] == 0.25
                    assert following.policy_target[i, k].sum() == 1 and not following.is_over[i, k]
                else:
                    assert following.is_over[i, k] == (ending != Ending.CUT_OFF)
                    gone = following.observation, following.legal_mask, following.policy_target, following.value_target
                    assert not any(array[i, k].any() for array in gone) and not following.is_learned[i, k]
    assert followed == {True, False}, "positions without a row are followed too"


@pytest.mark.parametrize("ending", [Ending.OVER, Ending.JUDGED])
def test_the_rewards_that_follow_add_up_to_the_outcome_a_judges_too(ending: Ending) -> None:
    judged = np.array([1.0, -1.0]) if ending == Ending.JUDGED else np.zeros(2)
    (record,) = numbered([5], np.random.default_rng(0), ending=ending)
    replay = PositionReplay(ReplayConfig(), 12, [], TargetSettings(num_values=1))
    replay.add(replace(record, judge_reward=judged))
    batch = replay.sample(32, np.random.default_rng(0), steps=5)
    assert batch.following is not None
    signs = np.array([1, -1, 1, -1, 1])  # of the players who move, against the first of them
    np.testing.assert_allclose((batch.following.reward[..., 0] * signs).sum(axis=1), batch.outcome[:, 0])


def test_what_follows_is_mirrored_as_the_row_is() -> None:
    rng = np.random.default_rng(4)
    symmetries = [Symmetry(np.array([0]), rng.permutation(12)) for _ in range(2)]
    records = list(numbered([9] * 6, rng))
    plain, turned = (
        PositionReplay(ReplayConfig(), 12, chosen, TargetSettings(num_values=1)) for chosen in ([], symmetries)
    )
    for record in records:
        plain.add(record)
        turned.add(record)
    original = plain.sample(200, np.random.default_rng(1), 3)
    mirrored = turned.sample(200, np.random.default_rng(1), 3)
    choice = np.random.default_rng(1)
    choice.integers(0, plain.window, size=200)
    used = choice.integers(0, 3, size=200)
    assert original.following is not None and mirrored.following is not None and set(used) == {0, 1, 2}
    for i, k in enumerate(used):
        gather = symmetries[k - 1].action if k else np.arange(12)
        before, after = original.following, mirrored.following
        np.testing.assert_array_equal(after.legal_mask[i], before.legal_mask[i][:, gather])
        np.testing.assert_array_equal(after.policy_target[i], before.policy_target[i][:, gather])
        moved = before.moved[i]
        np.testing.assert_array_equal(gather[after.action[i][moved]], before.action[i][moved])
        assert (after.action[i][~moved] == NO_ACTION).all()


def test_games_with_targets_have_no_rewards_to_follow() -> None:
    settings = TargetSettings(num_values=1)
    replay = PositionReplay(ReplayConfig(), 12, [], settings)
    (record,) = numbered([5], np.random.default_rng(0))
    replay.add(from_arrays(old_records.with_targets(record, settings).arrays()))
    assert len(replay.sample(8, np.random.default_rng(0))) == 8
    with pytest.raises(ValueError, match="no rewards to follow"):
        replay.sample(8, np.random.default_rng(0), steps=1)


def test_once_games_with_targets_have_left_the_others_can_be_followed() -> None:
    settings = TargetSettings(num_values=1)
    replay = PositionReplay(ReplayConfig(capacity=6), 12, [], settings)
    old, *new = numbered([5, 5, 5], np.random.default_rng(0), weight=1.0)
    replay.add(from_arrays(old_records.with_targets(old, settings).arrays()))
    replay.add(new[0])
    with pytest.raises(ValueError, match="no rewards to follow"):
        replay.sample(8, np.random.default_rng(0), steps=1)
    replay.add(new[1])
    assert replay.sample(8, np.random.default_rng(0), steps=1).following is not None


def test_games_without_a_row_take_no_memory() -> None:
    replay = PositionReplay(ReplayConfig(), 12, [], TargetSettings(num_values=1))
    (record,) = numbered([50], np.random.default_rng(0))
    replay.add(replace(record, learn=np.zeros(50, np.bool_)))
    assert (replay.total, replay.positions, replay.nbytes) == (0, 0, 0)


def test_labels_turn_with_the_board() -> None:
    """Where a label is the disc at a cell, it stays the label of the cell that shows the disc."""
    game = games.load("othello")
    rng = np.random.default_rng(3)
    discs = rng.integers(-1, 2, size=(8, 8)).astype(np.int8)
    planes = np.stack([discs == 0, discs == 1, discs == -1, np.ones((8, 8)), np.zeros((8, 8))]).astype(np.uint8)
    record = facts(1, observation=planes[None], final_observation=planes[None][:0], final_labels=discs)
    settings = TargetSettings(1, label_shape=(8, 8))
    replay = PositionReplay(ReplayConfig(), game.num_actions, game.symmetries(), settings)
    replay.add(record)
    batch = replay.sample(200, rng)
    np.testing.assert_array_equal(batch.final_labels, batch.observation[:, 1] - batch.observation[:, 2])
    assert len({labels.tobytes() for labels in batch.final_labels}) == 1 + len(game.symmetries())
