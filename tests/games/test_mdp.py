"""Exact solutions of small Markov decision processes: worked values, the laws of the theory, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.base import GameError
from games.environments.mdp import (
    Outcomes,
    TabularMdp,
    action_values,
    bellman_optimality,
    constant_policy,
    greedy_policy,
    optimal_q,
    policy_evaluation,
    policy_iteration,
    q_iteration,
    uniform_policy,
    value_iteration,
)

discounts = st.floats(0.0, 0.99)


def random_mdp(seed: int, ends: float = 0.0) -> TabularMdp:
    """Up to 8 states and 4 actions, the last state terminal; every action ends with probability `ends` at least."""
    rng = np.random.default_rng(seed)
    s, a = int(rng.integers(2, 9)), int(rng.integers(1, 5))
    transitions = rng.dirichlet(np.full(s, 0.3), size=(s, a)) * (1.0 - ends)
    transitions[:, :, -1] += ends
    rewards = rng.normal(size=(s, a)) * 10.0 ** rng.integers(-2, 3)
    terminal = np.arange(s) == s - 1
    transitions[-1], rewards[-1] = np.eye(s)[-1], 0.0
    return TabularMdp(transitions, rewards, rng.dirichlet(np.ones(s)), terminal)


def random_policy(mdp: TabularMdp, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(mdp.num_actions), size=mdp.num_states)


mdps = st.integers(0, 2**32 - 1).map(random_mdp)
ending_mdps = st.integers(0, 2**32 - 1).map(lambda seed: random_mdp(seed, ends=0.05))


def scale(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values).max()))


def chain(reward: float = -1.0) -> TabularMdp:
    """State 0 to 1 to 2, the end: action 0 goes on, action 1 stays; every step pays the same."""
    transitions = np.zeros((3, 2, 3))
    transitions[[0, 1], 0, [1, 2]] = 1.0
    transitions[[0, 1], 1, [0, 1]] = 1.0
    transitions[2, :, 2] = 1.0
    rewards = np.array([[reward] * 2] * 2 + [[0.0] * 2])
    return TabularMdp(transitions, rewards, np.array([1.0, 0.0, 0.0]), np.array([False, False, True]))


# Worked values.


def test_values_of_a_chain_by_hand():
    q = optimal_q(chain(), 0.5)
    assert q.tolist() == [[-1.5, -1.75], [-1.0, -1.5], [0.0, 0.0]]
    assert policy_evaluation(chain(), constant_policy(chain(), 1), 0.5).tolist() == [-2.0, -2.0, 0.0]


def test_without_discount_a_step_costs_a_step():
    assert optimal_q(chain(), 1.0).tolist() == [[-2.0, -3.0], [-1.0, -2.0], [0.0, 0.0]]
    # The random policy needs two tries for every step.
    assert policy_evaluation(chain(), uniform_policy(chain()), 1.0) == pytest.approx([-4.0, -2.0, 0.0])


def test_all_ties_are_reported():
    q = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0 - 1e-12], [0.0, 0.0, 1e-6]])
    assert greedy_policy(q).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]


def test_outcomes_with_one_next_state_and_different_rewards_are_summed():
    probabilities = np.array([[[0.25, 0.75, 0.0]], [[1.0, 0.0, 0.0]]])
    next_states = np.array([[[0, 0, 1]], [[1, 1, 1]]])
    rewards = np.array([[[-100.0, -1.0, 50.0]], [[0.0, 0.0, 0.0]]])
    mdp = Outcomes(probabilities, next_states, rewards).to_mdp(np.array([1.0, 0.0]), np.array([False, True]))
    assert mdp.transitions[0, 0].tolist() == [1.0, 0.0]
    assert mdp.rewards[0, 0] == -25.75


# Laws.


@given(mdps, discounts, st.integers(0, 2**32 - 1))
def test_a_sweep_is_a_contraction(mdp, discount, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, *mdp.rewards.shape)) * 10.0
    after = bellman_optimality(mdp, first, discount) - bellman_optimality(mdp, second, discount)
    assert np.abs(after).max() <= discount * np.abs(first - second).max() + 1e-12


@given(mdps, discounts)
def test_residuals_of_q_iteration_shrink_at_least_by_the_discount(mdp, discount):
    swept = q_iteration(mdp, discount)
    assert (swept.residuals[1:] <= discount * swept.residuals[:-1] + 1e-13 * scale(swept.values)).all()
    assert swept.residuals[-1] <= 1e-10 * scale(swept.values)


@given(mdps, discounts)
def test_the_last_residual_bounds_the_error(mdp, discount):
    swept = q_iteration(mdp, discount, tolerance=1e-2)
    error = np.abs(swept.values - optimal_q(mdp, discount)).max()
    assert error <= discount / (1 - discount) * swept.residuals[-1] + 1e-11 * scale(swept.values)


@given(mdps, discounts)
def test_optimal_values_satisfy_the_bellman_equation(mdp, discount):
    q = optimal_q(mdp, discount)
    assert np.abs(q - bellman_optimality(mdp, q, discount)).max() <= 1e-12 * scale(q)


@given(mdps, discounts)
def test_the_three_iterations_agree(mdp, discount):
    q = optimal_q(mdp, discount)
    near = 1e-10 * scale(q) / (1 - discount) + 1e-11 * scale(q)
    assert np.abs(q_iteration(mdp, discount).values - q).max() <= near
    assert np.abs(value_iteration(mdp, discount).values - q.max(axis=1)).max() <= near


@given(ending_mdps)
def test_the_three_iterations_agree_without_discount(mdp):
    q = optimal_q(mdp, 1.0)
    assert np.abs(q - bellman_optimality(mdp, q, 1.0)).max() <= 1e-11 * scale(q)
    assert np.abs(q_iteration(mdp, 1.0).values - q).max() <= 1e-8 * scale(q)
    assert np.abs(value_iteration(mdp, 1.0).values - q.max(axis=1)).max() <= 1e-8 * scale(q)


@given(mdps, discounts, st.integers(0, 2**32 - 1))
def test_policy_improvement_never_lowers_a_value(mdp, discount, seed):
    policy = random_policy(mdp, seed)
    solved = policy_iteration(mdp, discount, policy)
    assert (solved.policies[0] == policy).all()
    assert (np.diff(solved.values, axis=0) >= -1e-10 * scale(solved.values)).all()
    for policy, values in zip(solved.policies, solved.values):
        assert (policy_evaluation(mdp, policy, discount) == values).all()


@given(mdps, discounts, st.integers(0, 2**32 - 1))
def test_no_policy_is_better_than_the_optimal_one(mdp, discount, seed):
    best = optimal_q(mdp, discount).max(axis=1)
    assert (policy_evaluation(mdp, random_policy(mdp, seed), discount) <= best + 1e-10 * scale(best)).all()


@given(mdps, discounts)
def test_the_greedy_policy_of_optimal_values_is_optimal_whatever_ties(mdp, discount):
    q = optimal_q(mdp, discount)
    values = policy_evaluation(mdp, greedy_policy(q), discount)
    assert np.abs(values - q.max(axis=1)).max() <= 1e-7 * scale(q)


@given(mdps, discounts, st.integers(0, 2**32 - 1))
def test_values_of_a_policy_satisfy_its_bellman_equation(mdp, discount, seed):
    policy = random_policy(mdp, seed)
    values = policy_evaluation(mdp, policy, discount)
    assert np.abs((policy * action_values(mdp, values, discount)).sum(axis=1) - values).max() <= 1e-12 * scale(values)


@given(mdps, discounts)
def test_values_of_terminal_states_are_zero_whatever_a_table_says_there(mdp, discount):
    q = np.full(mdp.rewards.shape, 7.0)
    assert (bellman_optimality(mdp, q, discount)[mdp.terminal] == 0.0).all()
    assert (optimal_q(mdp, discount)[mdp.terminal] == 0.0).all()


def test_actions_that_nearly_tie_are_not_mixed():
    # The random policy is half of the difference worse, which counts as a tie in pictures, but not in values.
    transitions = np.array([[[0.0, 1.0]] * 2, [[0.0, 1.0]] * 2])
    mdp = TabularMdp(
        transitions, np.array([[1.0, 1.0 - 1e-10], [0.0, 0.0]]), np.array([1.0, 0.0]), np.array([False, True])
    )
    assert policy_iteration(mdp, 0.9).values[-1][0] == 1.0
    assert (greedy_policy(optimal_q(mdp, 0.9))[0] == 0.5).all()


# Discount 1.


def test_policy_iteration_does_not_take_up_walking_round_for_nothing():
    # Free steps and a reward at the end: staying, here the first action, is as good as going on, but never ends.
    mdp = chain(reward=0.0)
    rewards = changed(mdp.rewards, (1, 1), 1.0)
    mdp = TabularMdp(mdp.transitions[:, ::-1], rewards, mdp.start, mdp.terminal)
    assert optimal_q(mdp, 1.0) == pytest.approx(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))


def test_without_discount_a_policy_that_never_ends_is_refused():
    with pytest.raises(GameError, match="never ends from state 0; use a discount below 1"):
        policy_evaluation(chain(), constant_policy(chain(), 1), 1.0)


def test_without_discount_a_loop_that_pays_is_refused():
    mdp = chain()
    mdp.rewards[0, 1] = 1.0
    with pytest.raises(GameError, match="never ends from state 0"):
        policy_iteration(mdp, 1.0)
    with pytest.raises(GameError, match="still change after 50 sweeps"):
        q_iteration(mdp, 1.0, max_sweeps=50)


# What is refused.


@pytest.mark.parametrize("discount", [-0.1, 1.1, float("nan")])
def test_a_discount_outside_of_0_to_1_is_refused(discount):
    for solve in (q_iteration, value_iteration, policy_iteration, optimal_q):
        with pytest.raises(GameError, match="not in"):
            solve(chain(), discount)


def broken(**changes: np.ndarray) -> TabularMdp:
    mdp = chain()
    return TabularMdp(**({field: getattr(mdp, field).copy() for field in mdp.__dataclass_fields__} | changes))


def changed(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


def test_what_is_no_process_is_refused(unchecked_shapes):
    mdp = chain()
    assert broken().num_states == 3
    with pytest.raises(GameError, match=r"next states of state, action 1, 0 are negative or do not sum to 1"):
        broken(transitions=changed(mdp.transitions, (1, 0, 2), 0.5))
    with pytest.raises(GameError, match=r"next states of state, action 0, 1 are negative"):
        broken(transitions=changed(changed(mdp.transitions, (0, 1, 0), 2.0), (0, 1, 1), -1.0))
    with pytest.raises(GameError, match=r"next states of state, action 0, 0 "):
        broken(transitions=changed(mdp.transitions, (0, 0, 1), np.nan))
    with pytest.raises(GameError, match="first states are negative or do not sum to 1"):
        broken(start=np.zeros(3))
    with pytest.raises(GameError, match="reward of state, action 0, 1 is not finite"):
        broken(rewards=changed(mdp.rewards, (0, 1), np.inf))
    with pytest.raises(GameError, match="state, action 2, 1 is terminal, but pays or leads away"):
        broken(rewards=changed(mdp.rewards, (2, 1), 1.0))
    with pytest.raises(GameError, match="state, action 1, 0 is terminal, but pays or leads away"):
        broken(terminal=np.array([False, True, True]))
    with pytest.raises(GameError, match="do not fit"):
        broken(start=np.ones(1))


def test_what_is_no_policy_is_refused(unchecked_shapes):
    with pytest.raises(GameError, match=r"a policy of shape \(3,\)"):
        policy_evaluation(chain(), np.zeros(3), 0.9)
    with pytest.raises(GameError, match="policy in state 0 are negative or do not sum to 1"):
        policy_evaluation(chain(), np.zeros((3, 2)), 0.9)
