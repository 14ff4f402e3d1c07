"""Cart-Pole: Gymnasium's environment step by step, states saved and restored, and a search that balances."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from games_helpers import observations, random_actions, slots

import games
from games.native.cart_pole import MAX_ANGLE, MAX_POSITION, MAX_START, OBSERVATION_SCALE, CartPolePool, start_states
from search import RolloutEvaluator, Search, SearchConfig, SimulatorModel

HERE = slots(0)


def new_pool(capacity: int, name: str = "cart_pole") -> CartPolePool:
    pool = games.load(name).new_pool(capacity)
    assert isinstance(pool, CartPolePool)
    return pool


def begin(pool: CartPolePool, where: np.ndarray, starts: np.ndarray) -> None:
    pool.reset(where)
    pool.step(where, starts, where)


def balance(state: np.ndarray) -> int:
    """An action that keeps the pole up for as long as one likes."""
    return int(state @ [0.05, 0.1, 1.0, 0.3] > 0)


def play_out(pool: CartPolePool, where: np.ndarray, rng: np.random.Generator) -> list[list[float]]:
    """Random moves to the end in one slot: every physical state on the way."""
    states = []
    while pool.to_play(where)[0] != games.TERMINAL:
        pool.step(where, random_actions(pool, where, rng), where)
        states.append(pool.physical(where)[0].tolist())
    return states


# The same as Gymnasium's.


@pytest.mark.parametrize("max_steps", [500, 3000])
def test_episodes_equal_gymnasiums_to_the_last_bit(max_steps: int) -> None:
    """Random ones, which fall soon, and balanced ones, with more and more random moves in between."""
    rng, name = np.random.default_rng(0), f"cart_pole(max_steps={max_steps})"
    pool, environment = new_pool(1, name), gymnasium.make("CartPole-v1", max_episode_steps=max_steps)
    lengths = []
    for episode in range(40):
        begin(pool, HERE, slots(episode))
        environment.reset()
        environment.unwrapped.state = pool.physical(HERE)[0]
        over = False
        while not over:
            is_random = rng.random() < episode / 39
            action = int(rng.integers(2)) if is_random else balance(pool.physical(HERE)[0])
            seen, reward, terminated, truncated, _ = environment.step(action)
            over = terminated or truncated
            to_play, rewards = pool.step(HERE, slots(action), HERE)
            assert pool.physical(HERE)[0].tolist() == environment.unwrapped.state.tolist()
            assert (rewards.tolist(), to_play[0] == games.TERMINAL) == ([[reward]], over)
            own = observations(pool, HERE)[0, :-1]
            np.testing.assert_allclose(own * OBSERVATION_SCALE, seen, rtol=1e-6, atol=1e-9)
        lengths.append(len(pool.history(0)) - 1)
    assert max(lengths) == max_steps and min(lengths) < 30


def test_a_step_from_any_state_equals_gymnasiums_to_the_last_bit() -> None:
    rng, count = np.random.default_rng(1), 5000
    states = rng.uniform(-1, 1, (count, 4)) * [MAX_POSITION, 5.0, MAX_ANGLE, 5.0]
    actions, where = rng.integers(2, size=count), np.arange(count)
    pool, environment = new_pool(count), gymnasium.make("CartPole-v1").unwrapped
    pool.place(where, states, np.zeros(count, np.int64))
    to_play, _ = pool.step(where, actions, where)
    expected, fallen = np.empty_like(states), np.empty(count, np.bool_)
    for i in range(count):
        environment.reset()
        environment.state = states[i]
        fallen[i] = environment.step(int(actions[i]))[2]
        expected[i] = environment.state
    assert np.array_equal(pool.physical(where), expected)
    assert np.array_equal(to_play == games.TERMINAL, fallen)
    assert 100 < fallen.sum() < count - 100


# The start and the end.


def test_a_game_begins_with_one_of_so_many_starts() -> None:
    pool = new_pool(2, "cart_pole(starts=30)")
    where = np.arange(2)
    pool.reset(where)
    assert pool.to_play(where).tolist() == [games.CHANCE] * 2
    assert not observations(pool, where).any()
    offsets, outcomes, probabilities = pool.chance(where)
    assert offsets.tolist() == [0, 30, 60] and outcomes.tolist() == [*range(30)] * 2
    assert probabilities == pytest.approx(1 / 30)
    to_play, rewards = pool.step(where, slots(7, 29), where)
    assert to_play.tolist() == [0, 0] and rewards.tolist() == [[0.0], [0.0]]
    assert np.array_equal(pool.physical(where), start_states(30)[[7, 29]])
    assert pool.history(1) == [29]


def test_the_table_of_starts_never_changes() -> None:
    table = start_states(100_000)
    assert np.array_equal(table[:1024], start_states(1024))
    first = [0.013696168732145431, -0.02302132862361297, -0.045902647606380534, -0.04834723644714709]
    assert table[0].tolist() == first
    assert np.abs(table).max() <= MAX_START
    assert np.abs(table.mean(axis=0)).max() < 5e-4 and table.std(axis=0) == pytest.approx(MAX_START / 3**0.5, rel=0.01)
    assert len(np.unique(table, axis=0)) == len(table)


@pytest.mark.parametrize("action", [0, 1])
def test_a_game_ends_when_the_pole_falls_or_the_cart_leaves(action: int) -> None:
    pool, sign = new_pool(4), 2 * action - 1
    near = [[MAX_POSITION - 0.001, 1.0, 0, 0], [MAX_POSITION - 0.1, 1.0, 0, 0], [0, 0, MAX_ANGLE - 0.001, 1.0]]
    near.append([0, 0, MAX_ANGLE - 0.1, 1.0])
    where = np.arange(4)
    pool.place(where, sign * np.array(near), np.zeros(4, np.int64))
    to_play, rewards = pool.step(where, np.full(4, action), where)
    assert to_play.tolist() == [games.TERMINAL, 0, games.TERMINAL, 0]
    assert rewards.tolist() == [[1.0]] * 4, "the step that fails pays too, as in Gymnasium"
    assert not observations(pool, where)[[0, 2], -1].any() and pool.legal(where)[0].tolist() == [0, 0, 2, 2, 4]


def test_a_game_ends_after_so_many_steps() -> None:
    pool = new_pool(1, "cart_pole(max_steps=130)")
    begin(pool, HERE, slots(0))
    total, steps = 0.0, 0
    while pool.to_play(HERE)[0] != games.TERMINAL:
        total += pool.step(HERE, slots(balance(pool.physical(HERE)[0])), HERE)[1][0, 0]
        steps += 1
    assert total == steps == 130 and pool.text(0).startswith("step 130 of 130\n")


def test_random_games_last_22_steps() -> None:
    pool = new_pool(2)
    pool.reset(np.arange(2))
    pool.step(slots(1), slots(5), slots(1))
    rollouts = pool.rollout(np.zeros(20_000, np.int64), np.random.default_rng(0))
    assert rollouts.mean() == pytest.approx(22.2, abs=0.35) and rollouts.min() >= 8
    steps_left = new_pool(1, "cart_pole(max_steps=5)")
    steps_left.reset(HERE)
    assert steps_left.rollout(HERE, np.random.default_rng(0)).tolist() == [[5.0]]
    pool.place(slots(1), np.array([[0.0, 0.0, 1.0, 0.0]]), np.zeros(1, np.int64))
    assert pool.rollout(slots(1), np.random.default_rng(0)).tolist() == [[0.0]]


# Saved and restored.


def test_saved_and_restored_states_go_on_alike() -> None:
    pool, other, rng = new_pool(5), new_pool(2), np.random.default_rng(3)
    for start in range(20):
        begin(pool, HERE, slots(start))
        for _ in range(5):
            pool.step(HERE, random_actions(pool, HERE, rng), HERE)
        pool.copy(HERE, slots(1))
        other.load(slots(1), pool, HERE)
        other.place(slots(0), pool.physical(HERE), slots(5))
        replayed = games.new_state(games.load("cart_pole"))
        for action in pool.history(0):
            replayed.apply(action)
        pool.load(slots(2), replayed._pool, HERE)  # type: ignore[attr-defined]
        kept = pool.physical(HERE).copy()
        ends = [
            play_out(changed, slots(slot), np.random.default_rng(start))
            for changed, slot in ((pool, 1), (pool, 2), (other, 0), (other, 1))
        ]
        assert len(ends[0]) >= 2 and all(end == ends[0] for end in ends)
        assert np.array_equal(pool.physical(HERE), kept)
        assert pool.history(1) == pool.history(2) == other.history(1)


def test_the_history_of_a_long_game_leads_to_the_same_state() -> None:
    pool, rng, moves = new_pool(1), np.random.default_rng(0), [9]
    begin(pool, HERE, slots(9))
    while pool.to_play(HERE)[0] != games.TERMINAL:
        moves.append(int(rng.integers(2)) if rng.random() < 0.2 else balance(pool.physical(HERE)[0]))
        pool.step(HERE, slots(moves[-1]), HERE)
    assert len(moves) == 501 and pool.history(0) == moves
    state = games.new_state(games.load("cart_pole"))
    for move in moves:
        state.apply(move)
    assert state.to_play() == games.TERMINAL and str(state) == pool.text(0)


def test_states_from_outside_are_placed() -> None:
    pool = new_pool(4)
    states = np.array([[0.5, -1.0, 0.1, 2.0], [2.5, 0, 0, 0], [0, 0, -0.3, 0], [0.0, 0, 0, 0]])
    begin(pool, HERE, slots(3))
    pool.place(np.arange(4), states, slots(3, 0, 0, 500))
    assert pool.to_play(np.arange(4)).tolist() == [0] + [games.TERMINAL] * 3
    assert np.array_equal(pool.physical(np.arange(4)), states)
    assert observations(pool, HERE)[0] == pytest.approx([0.5 / 2.4, -0.5, 0.1 / MAX_ANGLE, 2 / 3, 1.0])
    assert pool.text(0) == "step 3 of 500\ncart +0.500 m, -1.000 m/s\npole +5.73 degrees, +114.59 degrees/s"
    assert [pool.action_text(0, action) for action in (0, 1)] == ["left", "right"]
    with pytest.raises(games.GameError, match="nobody knows the moves"):
        pool.history(0)
    begin(pool, HERE, slots(3))
    assert pool.history(0) == [3], "a new game in its place has a history again"
    for bad, steps in ((np.nan, 0), (np.inf, 0), (0.0, -1)):
        with pytest.raises(games.GameError, match="finite"):
            pool.place(HERE, np.array([[0.0, bad, 0.0, 0.0]]), slots(steps))


def test_starts_may_lie_anywhere_on_the_track() -> None:
    """Only the position is stretched, and every start is a game that goes on."""
    near, wide = start_states(5000), start_states(5000, 2.4)
    assert np.array_equal(wide[:, 1:], near[:, 1:])
    assert wide[:, 0] == pytest.approx(near[:, 0] * 48)
    assert wide[:, 0].min() < -2.35 and wide[:, 0].max() > 2.35 and np.abs(wide[:, 0]).max() <= MAX_POSITION
    where = np.arange(5000)
    pool = new_pool(5000, "cart_pole(starts=5000,start_distance=2.4)")
    begin(pool, where, where)
    assert np.array_equal(pool.physical(where), wide) and not pool.to_play(where).any()
    assert np.array_equal(start_states(50), start_states(50, MAX_START)), "the default is Gymnasium's range"
    for bad in ("-0.1", "2.5"):
        with pytest.raises(games.GameError, match="from 0 to 2.4"):
            games.load(f"cart_pole(start_distance={bad})")


@pytest.mark.parametrize("text", ["max_steps=0", "starts=0", "starts=-3", "max_steps=100001"])
def test_sizes_that_make_no_game_are_refused(text: str) -> None:
    with pytest.raises(games.GameError, match="must be from 1 to 100000"):
        games.load(f"cart_pole({text})")


# Search.


def new_search(num_trees: int) -> Search:
    """Every action equally likely; a state is worth what a random game from it pays."""
    config, game = SearchConfig(rule="uct", num_simulations=60, discount=0.99), games.load("cart_pole")
    model = SimulatorModel(game, RolloutEvaluator(np.random.default_rng(0)))
    return Search(model, config, num_trees)


def best_actions(search: Search, pool: CartPolePool, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    search.clear(where)
    search.begin(where, pool, where, rng.integers(2**64, size=len(where), dtype=np.uint64))
    search.run(where)
    return search.statistics(where).best_action


def test_search_that_knows_nothing_balances_much_longer_than_random() -> None:
    where, rng = np.arange(8), np.random.default_rng(0)
    pool, search, lengths = new_pool(8), new_search(8), np.zeros(8)
    begin(pool, where, where)
    while len(where):
        to_play, rewards = pool.step(where, best_actions(search, pool, where, rng), where)
        lengths[where] += rewards[:, 0]
        where = where[to_play != games.TERMINAL]
    assert lengths.min() > 150 and lengths.mean() > 300


def test_search_acts_in_gymnasiums_environment() -> None:
    environment, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(0)
    pool, search, steps, over = new_pool(1), new_search(1), 0, False
    environment.reset(seed=1)
    while not over and steps < 150:
        pool.place(HERE, environment.unwrapped.state[None], slots(steps))
        _, _, terminated, truncated, _ = environment.step(int(best_actions(search, pool, HERE, rng)[0]))
        steps += 1
        over = terminated or truncated
    assert steps == 150
