"""What MuZero learns from moves in a row: written out by hand, and against a slow reference on games of all kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from record_helpers import facts, played_game, row_of

import games
from games import Game, Symmetry
from search.perspective import seen_after
from selfplay.config.run import ReplayConfig
from selfplay.experience.records import UNDECIDED, Ending, GameRecord
from selfplay.experience.targets import TargetSettings, targets_of, weights_of
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.replay.unroll import UnrolledBatch, unrolled

ACTIONS = 5
"""Of the games that were never played; position t of game g is number 100 g + t, and its observation says so."""


def game_of(movers: list[int], paid: list[list[float]], ending: Ending = Ending.OVER, number: int = 0, **given: Any):
    """A game in which move t is t % 5, and its policy 0.75 for it and 0.25 for the next action."""
    length, players = len(movers), len(paid[0])
    numbers = 100 * number + np.arange(length)
    values: dict[str, Any] = {
        "observation": numbers.astype(np.float32)[:, None] + 0.5,
        "legal_actions": np.stack([np.arange(length) % 5, (np.arange(length) + 1) % 5], axis=1).astype(np.int32),
        "policy_target": np.tile(np.float32([0.75, 0.25]), (length, 1)),
        "action": (np.arange(length) % 5).astype(np.int32),
        "to_play": np.array(movers, np.int32),
        "version": numbers.astype(np.int32),
        "reward": np.array(paid, np.float64),
        "ending": ending,
        "final_observation": np.zeros((0, 1), np.float32),
    }
    return facts(length, players, **{**values, **given})


def sampled(record: GameRecord, t: int, follow: int, settings: TargetSettings) -> Batch:
    """Position t of a game, as the replay gives it."""
    replay = PositionReplay(ReplayConfig(), ACTIONS, [], settings)
    replay.add(record)
    batch = replay.sample(200, np.random.default_rng(0), follow)
    return row_of(batch, batch.version.tolist().index(int(record.version[t])))


def unroll(
    record: GameRecord, t: int, steps: int, has_rewards: bool, td_steps: int = 0, discount: float = 1.0, **more: Any
):
    players = record.reward.shape[1]
    settings = TargetSettings(1 if players < 3 else players, discount, td_steps, **more)
    batch = sampled(record, t, steps + (td_steps if has_rewards else 0), settings)
    given = td_steps if has_rewards else 0
    return unrolled(batch, steps, players, has_rewards, given, discount, np.random.default_rng(0))


# By hand.

LOST = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]
"""Four moves, and the second player has won."""


@pytest.mark.parametrize(
    ("t", "values", "moved"),
    [
        (0, [-1, 1, -1, 1, -1, 1], [0, 1, 2, 3]),
        (1, [1, -1, 1, -1, 1, -1], [1, 2, 3]),
        (3, [1, -1, 1, -1, 1, -1], [3]),
    ],
)
def test_a_game_won_by_the_second_player(t: int, values: list[int], moved: list[int]) -> None:
    """The value stays the result behind the end, for the player whose turn it would be: the loser's first."""
    found = unroll(game_of([0, 1, 0, 1], LOST), t, 5, has_rewards=False)
    left = 4 - t
    assert found.value_target[0, :, 0].tolist() == values and found.value_mask.all()
    assert found.bootstrap is None
    assert found.action[0, :left].tolist() == moved and ((found.action >= 0) & (found.action < ACTIONS)).all()
    assert found.policy_mask[0].tolist() == [k < left for k in range(6)]
    for k in range(6):
        expected = np.zeros(ACTIONS)
        if k < left:
            expected[(t + k) % 5], expected[(t + k + 1) % 5] = 0.75, 0.25
        assert found.policy_target[0, k].tolist() == expected.tolist()
        assert found.legal_mask[0, k].tolist() == (expected > 0).tolist()
    assert found.exists[0].tolist() == [k + 1 < left for k in range(5)]
    assert found.observation.tolist() == [[t + 0.5]]
    assert found.following[0, :, 0].tolist() == [t + k + 1.5 if k + 1 < left else 0.0 for k in range(5)]
    assert found.turns[0].tolist() == [1] * 5 and found.turns_mask.all(), "the model takes turns behind the end too"
    assert found.version.tolist() == [t]


def test_moves_behind_the_end_are_drawn_from_all_actions() -> None:
    record, batch = game_of([0, 1, 0, 1], LOST), None
    batch = sampled(record, 3, 5, TargetSettings(1))
    drawn = [unrolled(batch, 5, 2, False, 0, 1.0, np.random.default_rng(seed)).action[0] for seed in range(40)]
    assert {action for row in drawn for action in row[1:].tolist()} == set(range(ACTIONS))
    assert {row[0] for row in drawn} == {3}
    again = unrolled(batch, 5, 2, False, 0, 1.0, np.random.default_rng(7)).action[0]
    assert again.tolist() == drawn[7].tolist(), "a resumed run draws the same"


PAID = [[1.0], [-2.0], [3.0]]


def test_an_episode_with_rewards_that_ended() -> None:
    """n = 2, gamma = 0.5: z_0 = 1 - 2 / 2 + v_2 / 4, z_1 = -2 + 3 / 2, z_2 = 3, and 0 behind the end."""
    found = unroll(game_of([0, 0, 0], PAID), 0, 5, has_rewards=True, td_steps=2, discount=0.5)
    assert found.value_target[0, :, 0].tolist() == [0.0, -0.5, 3.0, 0.0, 0.0, 0.0] and found.value_mask.all()
    assert found.reward_target[0, :, 0].tolist() == [1.0, -2.0, 3.0, 0.0, 0.0] and found.reward_mask.all()
    assert found.policy_mask[0].tolist() == [True] * 3 + [False] * 3
    assert found.bootstrap is not None
    assert found.bootstrap.factor[0].tolist() == [0.25, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert found.bootstrap.observation[0, 0].tolist() == [2.5] and not found.bootstrap.turns.any()


def test_an_episode_with_rewards_that_was_cut_off() -> None:
    """Nobody knows where the last move led: the last position stands for what is missing, and has no target itself."""
    cut_off = game_of([0, 0, 0], PAID, Ending.CUT_OFF)
    found = unroll(cut_off, 0, 5, has_rewards=True, td_steps=2, discount=0.5)
    assert found.value_target[0, :2, 0].tolist() == [0.0, -2.0]
    assert found.value_mask[0].tolist() == [True, True, False, False, False, False]
    assert found.reward_target[0, :3, 0].tolist() == [1.0, -2.0, 3.0]
    assert found.reward_mask[0].tolist() == [True] * 3 + [False] * 2
    assert found.policy_mask[0].tolist() == [True] * 3 + [False] * 3
    assert found.bootstrap is not None
    assert found.bootstrap.factor[0].tolist() == [0.25, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert found.bootstrap.observation[0, :2, 0].tolist() == [2.5, 2.5]
    assert found.turns_mask[0].tolist() == [True, True, False, False, False]


def test_what_was_judged_is_over() -> None:
    judged = game_of([0, 1, 0], [[0.0, 0.0]] * 3, Ending.JUDGED, judge_reward=np.array([-1.0, 1.0]))
    found = unroll(judged, 1, 4, has_rewards=False)
    assert found.value_target[0, :, 0].tolist() == [1, -1, 1, -1, 1] and found.value_mask.all()
    paying = unroll(replace(judged, reward=np.array([[1.0, -1.0]] * 3)), 2, 2, has_rewards=True, td_steps=3)
    assert paying.reward_target[0, :, 0].tolist() == [0.0, 0.0], "what the last move paid, and the judge"
    assert paying.value_target[0, :, 0].tolist() == [0.0, 0.0, 0.0] and paying.value_mask.all()


def test_a_game_with_a_result_that_was_cut_off_has_nothing_behind() -> None:
    record = game_of([0, 1, 0, 1], [[0.0, 0.0]] * 4, Ending.CUT_OFF, root_value=np.array([[0.5, -0.5]] * 4))
    found = unroll(record, 2, 4, has_rewards=False)
    assert found.value_target[0, :2, 0].tolist() == [0.5, -0.5], "what the last search expected"
    assert found.value_mask[0].tolist() == [True, True, False, False, False]
    assert found.turns_mask[0].tolist() == [True, False, False, False]


def test_who_moves_twice_keeps_the_sign() -> None:
    """Players 0, 1, 1, 0, and then it is over."""
    found = unroll(game_of([0, 1, 1, 0], [*LOST[:3], [1.0, -1.0]]), 0, 6, has_rewards=False)
    assert found.value_target[0, :, 0].tolist() == [1, -1, -1, 1, -1, 1, -1]
    assert found.turns[0].tolist() == [1, 0, 1, 1, 1, 1]
    paid = [[1.0, -1.0], [2.0, -2.0], [-4.0, 4.0], [8.0, -8.0]]
    found = unroll(game_of([0, 1, 1, 0], paid), 0, 3, has_rewards=True, td_steps=2, discount=0.5)
    assert found.reward_target[0, :, 0].tolist() == [1.0, -2.0, 4.0], "each as its mover sees it"
    # z_0 = 1 + 2 / 2 and v_2 of player 1; z_1 = -2 + 4 / 2 and v_3 of player 0; z_2 = 4 - 8 / 2; z_3 = 8.
    assert found.value_target[0, :, 0].tolist() == [2.0, 0.0, 0.0, 8.0]
    assert found.bootstrap is not None
    assert found.bootstrap.factor[0].tolist() == [0.25, 0.25, 0.0, 0.0]
    assert found.bootstrap.turns[0].tolist() == [1, 1, 0, 0]
    assert found.bootstrap.observation[0, :2, 0].tolist() == [2.5, 3.5]


def test_three_players() -> None:
    """Entry j belongs to the player j seats after the one who moves."""
    paid = [[0.0] * 3, [0.0] * 3, [0.0] * 3, [-0.5, 1.0, -0.5]]
    found = unroll(game_of([2, 0, 1, 1], paid), 0, 6, has_rewards=False)
    second = {0: [-0.5, 1.0, -0.5], 1: [1.0, -0.5, -0.5], 2: [-0.5, -0.5, 1.0]}
    assert found.value_target[0].tolist() == [second[mover] for mover in (2, 0, 1, 1, 2, 0, 1)]
    assert found.turns[0].tolist() == [1, 1, 0, 1, 1, 1]
    paid = [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [64.0, 128.0, 256.0]]
    found = unroll(game_of([2, 0, 1], paid), 0, 2, has_rewards=True, td_steps=2, discount=0.5)
    assert found.reward_target[0].tolist() == [[4.0, 1.0, 2.0], [8.0, 16.0, 32.0]]
    assert found.value_target[0].tolist() == [[20.0, 5.0, 10.0], [40.0, 80.0, 160.0], [128.0, 256.0, 64.0]]
    assert found.bootstrap is not None and found.bootstrap.turns[0].tolist() == [2, 0, 0]


def test_with_no_steps_of_returns_the_targets_are_those_of_the_replay() -> None:
    record = game_of([0, 0, 0], PAID, root_value=np.array([[4.0], [8.0], [16.0]]))
    found = unroll(record, 0, 4, has_rewards=True, discount=0.5, root_value_share=0.5)
    # Returns 1 - 1 + 3 / 4 = 0.75, -2 + 1.5 = -0.5, 3; half of each and half of what the search expected.
    assert found.value_target[0, :, 0].tolist() == [2.375, 3.75, 9.5, 0.0, 0.0] and found.value_mask.all()
    assert found.bootstrap is None and found.reward_target[0, :, 0].tolist() == [1.0, -2.0, 3.0, 0.0]


def test_positions_of_a_fast_search_teach_no_policy_and_are_passed_through() -> None:
    is_chosen = np.array([True, False, True, False])
    found = unroll(game_of([0, 1, 0, 1], LOST, is_chosen=is_chosen), 0, 5, has_rewards=False)
    assert found.policy_mask[0].tolist() == [True, False, True, False, False, False]
    assert found.value_mask.all() and found.exists[0].tolist() == [True, True, True, False, False]


def test_values_as_others_see_them() -> None:
    one = np.array([[0.25], [0.5]])
    assert (
        seen_after(one, np.array([1, 2]), 2).tolist() == [[-0.25], [0.5]]
        and seen_after(one, 3, 1).tolist() == one.tolist()
    )
    three = np.array([[1.0, 2.0, 3.0]])
    assert [seen_after(three, turns, 3).tolist()[0] for turns in (0, 1, -1)] == [[1, 2, 3], [2, 3, 1], [3, 1, 2]]


# Against a slow reference.


def reference(record: GameRecord, t: int, steps: int, has_rewards: bool, settings: TargetSettings) -> dict[str, list]:
    """Everything about one sample, one number after the other. None stands for what nothing may be learned from."""
    players, length, width = record.reward.shape[1], len(record), settings.num_values
    is_over = record.ending != Ending.CUT_OFF
    paid = [record.reward[i] + (record.judge_reward if i == length - 1 else 0.0) for i in range(length)]
    weight, stored = weights_of(record, settings), targets_of(record, settings).value

    def mover(at: int) -> int:
        return int(record.to_play[at]) if at < length else (int(record.to_play[-1]) + at - length + 1) % players

    def seen(values: np.ndarray, player: int) -> list[float]:
        return [float(values[(player + j) % players]) for j in range(width)]

    out: dict[str, list] = {name: [] for name in ("value", "behind", "policy", "action", "reward", "turns", "seen")}
    for k in range(steps + 1):
        at = t + k
        behind = None
        if at >= length:
            value = None if not is_over else [0.0] * width if has_rewards else seen(paid[-1], mover(at))
        elif not (has_rewards and settings.td_steps):
            value = [float(number) for number in stored[at]]
        elif not is_over and at == length - 1:
            value = None
        else:
            end = min(at + settings.td_steps, length if is_over else length - 1)
            total = np.zeros(players)
            for i in range(at, end):
                total += settings.discount ** (i - at) * paid[i]
            value = seen(total, mover(at))
            if end < length:
                turns = (mover(end) - mover(at)) % players
                behind = (settings.discount ** (end - at), turns, float(record.observation[end, 0]))
        out["value"].append(value)
        out["behind"].append(behind)
        dense = None
        if at < length and (k == 0 or weight[at] > 0):
            dense = [0.0] * ACTIONS
            for action, share in zip(record.legal_actions[at], record.policy_target[at], strict=True):
                dense[action] = float(share)
        out["policy"].append(dense)
        if k == steps:
            break
        is_known = at + 1 < length or is_over
        out["action"].append(int(record.action[at]) if at < length else None)
        out["reward"].append(seen(paid[at], mover(at)) if at < length else [0.0] * width if is_over else None)
        out["turns"].append((mover(at + 1) - mover(at)) % players if is_known else None)
        out["seen"].append(float(record.observation[at + 1, 0]) if at + 1 < length else None)
    return out


def assert_equals_reference(found: UnrolledBatch, i: int, expected: dict[str, list]) -> None:
    for k, value in enumerate(expected["value"]):
        assert found.value_mask[i, k] == (value is not None)
        if value is not None:
            np.testing.assert_allclose(found.value_target[i, k], value, rtol=1e-5, atol=1e-6)
    for k, dense in enumerate(expected["policy"]):
        assert found.policy_mask[i, k] == (dense is not None)
        assert dense is None or found.policy_target[i, k].tolist() == dense
    for k, behind in enumerate(expected["behind"]):
        if found.bootstrap is None:
            assert behind is None
        elif behind is None:
            assert found.bootstrap.factor[i, k] == 0
        else:
            factor, turns, observation = behind
            assert found.bootstrap.factor[i, k] == pytest.approx(factor) and found.bootstrap.turns[i, k] == turns
            assert found.bootstrap.observation[i, k].tolist() == [observation]
    for k, action in enumerate(expected["action"]):
        assert found.action[i, k] == action if action is not None else 0 <= found.action[i, k] < ACTIONS
        paid, turns, seen = (expected[name][k] for name in ("reward", "turns", "seen"))
        assert found.reward_mask[i, k] == (paid is not None) and found.turns_mask[i, k] == (turns is not None)
        assert paid is None or found.reward_target[i, k].tolist() == [np.float32(number) for number in paid]
        assert turns is None or found.turns[i, k] == turns
        assert found.exists[i, k] == (seen is not None)
        assert found.following[i, k].tolist() == [seen or 0.0]


def random_game(rng: np.random.Generator, number: int, players: int, has_rewards: bool, doubles: bool) -> GameRecord:
    length = int(rng.integers(1, 10))
    steps = rng.integers(0, 2, size=length) if doubles else np.ones(length, int)
    movers = (int(rng.integers(players)) + np.cumsum(steps)) % players
    paid = rng.integers(-4, 5, size=(length, players)).astype(float)
    if players == 2:
        paid[:, 1] = -paid[:, 0]
    ending = Ending(int(rng.integers(3)))
    if not has_rewards:
        paid = np.where(np.arange(length)[:, None] == length - 1, np.sign(paid), 0.0) * (ending == Ending.OVER)
    judged = rng.permutation(np.array([1.0, -1.0, 0.0][:players])) if ending == Ending.JUDGED else np.zeros(players)
    is_chosen = rng.random(length) < 0.7
    is_chosen[int(rng.integers(length))] = True
    return game_of(
        movers.tolist(), paid.tolist(), ending, number,
        judge_reward=judged, is_chosen=is_chosen, root_value=rng.uniform(-1, 1, size=(length, players)),
        decided_at=int(rng.integers(length)) if rng.random() < 0.2 else UNDECIDED,
        observation=(100 * number + np.arange(length)).astype(np.float32)[:, None] + 0.5,
    )  # fmt: skip


@pytest.mark.parametrize("capacity", [13, 1000])
@pytest.mark.parametrize("has_rewards", [False, True])
@pytest.mark.parametrize("players", [1, 2, 3])
def test_unrolled_games_equal_the_slow_reference(players: int, has_rewards: bool, capacity: int) -> None:
    """Short and long unrolls, ends of all kinds, extra turns, fast searches; a ring that is written round and round."""
    rng = np.random.default_rng(players)
    for case in range(4):
        steps, td_steps = int(rng.integers(1, 8)), int(rng.integers(0, 5))
        discount = float(rng.choice([1.0, 0.5]))
        settings = TargetSettings(
            1 if players < 3 else players, discount, td_steps, float(rng.choice([0.0, 0.5])), 0.0, 0.5
        )
        config = ReplayConfig(capacity=capacity, window_start=1000)
        replay, played = PositionReplay(config, ACTIONS, [], settings), []
        follow = steps + (td_steps if has_rewards else 0)
        for number in range(9):
            played.append(random_game(rng, number, players, has_rewards, doubles=case % 2 == 1))
            replay.add(played[-1])
            if number % 4 or replay.total == 0:
                continue
            batch = replay.sample(16, rng, follow)
            given = td_steps if has_rewards else 0
            found = unrolled(batch, steps, players, has_rewards, given, discount, rng)
            assert len(found) == 16 and (found.bootstrap is not None) == (given > 0)
            for i, place in enumerate(found.version.tolist()):
                expected = reference(played[place // 100], place % 100, steps, has_rewards, settings)
                assert_equals_reference(found, i, expected)


# Symmetries.


def random_moves(game: Game, rng: np.random.Generator) -> list[int]:
    state, moves = games.new_state(game), []
    while state.to_play() >= 0:
        moves.append(int(rng.choice(state.legal_actions())))
        state.apply(moves[-1])
    return moves


def chosen_symmetries(replay: PositionReplay, size: int, seed: int, count: int) -> np.ndarray:
    """The symmetries that a sample with this seed drew, counted from 1; 0 is none."""
    rng = np.random.default_rng(seed)
    rng.integers(0, replay.window, size=size)
    return rng.integers(0, 1 + count, size=size)


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_a_mirrored_sample_is_a_sample_of_the_mirrored_game(name: str) -> None:
    """The game is played again with mirrored moves: observations, policies and moves of all depths are those."""
    game, rng = games.load(name), np.random.default_rng(3)
    symmetries: list[Symmetry] = list(game.symmetries())
    moves = random_moves(game, rng)
    policies = [rng.random(game.num_actions).astype(np.float32) for _ in moves]
    settings, size, steps = TargetSettings(1), 60, 4
    replay = PositionReplay(ReplayConfig(), game.num_actions, symmetries, settings)
    replay.add(played_game(game, moves, policies))
    batch = replay.sample(size, np.random.default_rng(1), steps)
    found = unrolled(batch, steps, 2, False, 0, 1.0, np.random.default_rng(0))
    used = chosen_symmetries(replay, size, 1, len(symmetries))
    assert set(used) == set(range(1 + len(symmetries)))
    for number in set(used.tolist()):
        gather = symmetries[number - 1].action if number else np.arange(game.num_actions)
        moved_to = np.argsort(gather)
        mirrored = played_game(game, moved_to[moves].tolist(), [policy[gather] for policy in policies])
        plain = PositionReplay(ReplayConfig(), game.num_actions, [], settings)
        plain.add(mirrored)
        expected = unrolled(
            plain.sample(size, np.random.default_rng(1), steps), steps, 2, False, 0, 1.0, np.random.default_rng(0)
        )
        rows = np.flatnonzero(used == number)
        np.testing.assert_array_equal(found.version[rows], expected.version[rows])
        for field in ("observation", "policy_target", "legal_mask", "value_target", "following", "action", "turns"):
            one, other = getattr(found, field)[rows], getattr(expected, field)[rows]
            np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=field)
