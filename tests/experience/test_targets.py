"""Value targets of finished games: worked numbers, naive sums, and whose value is whose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

import games
from search.perspective import from_players, num_values, to_players
from selfplay.experience.targets import discounted_returns, n_step_returns, returns_of_game

numbers = st.floats(-10, 10, allow_subnormal=False)


@st.composite
def played(draw):
    """Rewards [T, P], root values [T, P] and a bootstrap [P]."""
    length, players = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    arrays = [draw(numpy_st.arrays(np.float64, (length, players), elements=numbers)) for _ in range(2)]
    return *arrays, draw(numpy_st.arrays(np.float64, players, elements=numbers))


def test_discounted_returns_worked():
    # From the end: 4 + 0.5 * 8 = 8, then 2 + 0.5 * 8 = 6, then 1 + 0.5 * 6 = 4.
    rewards = np.array([[1.0], [2.0], [4.0]])
    np.testing.assert_array_equal(discounted_returns(rewards, 0.5, np.array([8.0])), [[4.0], [6.0], [8.0]])


def test_n_step_returns_worked():
    # Two steps, discount 0.5: 1 + 0.5 * 2 + 0.25 * 40 = 12; 2 + 0.5 * 4 + 0.25 * 100 = 29 with the bootstrap at the
    # end; 4 + 0.5 * 100 = 54, where the game is over after one step.
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[10.0], [20.0], [40.0]])
    found = n_step_returns(rewards, values, 0.5, 2, np.array([100.0]))
    np.testing.assert_array_equal(found, [[12.0], [29.0], [54.0]])


@given(played(), st.sampled_from([1.0, 0.97, 0.5, 0.0]))
def test_discounted_returns_are_the_naive_sums(game, discount):
    rewards, _, bootstrap = game
    found = discounted_returns(rewards, discount, bootstrap)
    length = len(rewards)
    for t in range(length):
        naive = sum(discount ** (k - t) * rewards[k] for k in range(t, length)) + discount ** (length - t) * bootstrap
        np.testing.assert_allclose(found[t], naive, atol=1e-9)


@given(played(), st.sampled_from([1.0, 0.9]), st.integers(0, 15))
def test_n_step_returns_are_the_naive_sums(game, discount, td_steps):
    rewards, values, bootstrap = game
    found = n_step_returns(rewards, values, discount, td_steps, bootstrap)
    length = len(rewards)
    for t in range(length):
        end = min(t + (td_steps or length), length)
        tail = values[end] if end < length else bootstrap
        naive = sum(discount ** (k - t) * rewards[k] for k in range(t, end)) + discount ** (end - t) * tail
        np.testing.assert_allclose(found[t], naive, atol=1e-9)


@pytest.mark.parametrize("name", ["2048", "connect_four", "chinese_checkers(players=3)"])
def test_values_as_the_network_sees_them_and_back(name):
    game = games.load(name)
    players, seen = game.num_players, num_values(game)
    rng = np.random.default_rng(0)
    to_play = rng.integers(0, players, size=40)
    values = rng.normal(size=(40, players))
    if players == 2:
        values[:, 1] = -values[:, 0]
    network = from_players(values, to_play, seen)
    assert network.shape == (40, seen)
    np.testing.assert_array_equal(network[:, 0], values[np.arange(40), to_play])
    back = np.full_like(values, np.nan)
    to_players(network, to_play, back)
    np.testing.assert_array_equal(back, values)


def test_three_players_are_seen_in_turn_order():
    values = np.array([[0.1, 0.2, 0.3]] * 3)
    expected = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.1], [0.3, 0.1, 0.2]]
    np.testing.assert_array_equal(from_players(values, np.arange(3), 3), expected)


def test_a_finished_game_ends_with_its_rewards_and_a_cut_off_one_with_its_last_root_value():
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[10.0], [20.0], [40.0]])
    finished = returns_of_game(rewards, values, 0.5, 0, is_terminal=True)
    np.testing.assert_array_equal(finished, [[3.0], [4.0], [4.0]])
    # The last reward belongs to what the last search expected, and is not counted again: 2 + 0.5 * 40 = 22.
    cut_off = returns_of_game(rewards, values, 0.5, 0, is_terminal=False)
    np.testing.assert_array_equal(cut_off, [[12.0], [22.0], [40.0]])
    one_step = returns_of_game(rewards, values, 0.5, 1, is_terminal=False)
    np.testing.assert_array_equal(one_step, [[11.0], [22.0], [40.0]])
    alone = returns_of_game(rewards[:1], values[:1], 0.5, 0, is_terminal=False)
    np.testing.assert_array_equal(alone, [[10.0]])
