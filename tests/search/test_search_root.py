"""The root of a search: noise that changes what is searched and nothing else, and sequential halving."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_search import sequential_halving
from search_helpers import TextEvaluator, fast_search, judge, new_search, random_positions

import games
from search import ConstantEvaluator, Search, SearchConfig
from search.gumbel import considered_visits

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")


def root_edges(search: Search, b: int) -> np.ndarray:
    root = search.tree.nodes[b, 0]
    return search.tree.edges[b, root["first_edge"] : root["first_edge"] + root["num_edges"]]


def noisy_priors(count: int, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Priors [count, 9] that the search uses at the root of tic-tac-toe, and those that it reports."""
    config = SearchConfig(num_simulations=1, **settings)
    search = new_search(TIC_TAC_TOE, config, count, TextEvaluator(), noise=True)
    pool, trees = TIC_TAC_TOE.new_pool(count), np.arange(count)
    pool.reset(trees)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    search.run(trees)
    return np.array([root_edges(search, b)["prior"] for b in trees]), search.statistics(trees).prior


def clean_prior() -> np.ndarray:
    logits, _ = judge(TIC_TAC_TOE.new_pool(1).text(0), 9, 2)
    weights = np.exp(logits.astype(float))
    return weights / weights.sum()


def test_dirichlet_noise_is_a_mixture_and_is_not_reported():
    count, fraction, alpha = 3000, 0.25, 0.3
    used, reported = noisy_priors(count, dirichlet_alpha=alpha, dirichlet_fraction=fraction)
    np.testing.assert_allclose(used.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(reported, np.tile(clean_prior(), (count, 1)), rtol=1e-5)
    # A component of Dirichlet(alpha, ..., alpha) in 9 dimensions has mean 1/9 and variance (1/9)(8/9)/(9 alpha + 1).
    noise = (used - (1 - fraction) * clean_prior()) / fraction
    deviation = math.sqrt(8 / 81 / (9 * alpha + 1))
    np.testing.assert_allclose(noise.mean(axis=0), 1 / 9, atol=4 * deviation / math.sqrt(count))
    np.testing.assert_allclose(noise.std(axis=0), deviation, rtol=0.1)


def test_dirichlet_alpha_0_is_ten_by_the_number_of_moves():
    fixed, _ = noisy_priors(20, dirichlet_alpha=10 / 9)
    automatic, _ = noisy_priors(20, dirichlet_alpha=0.0)
    np.testing.assert_array_equal(fixed, automatic)


def test_fraction_0_leaves_the_prior_alone():
    used, _ = noisy_priors(5, dirichlet_fraction=0.0)
    np.testing.assert_allclose(used, np.tile(clean_prior(), (5, 1)), rtol=1e-5)


def test_a_reused_root_gets_noise_once():
    config = SearchConfig(num_simulations=60, subtree_reuse=True, dirichlet_fraction=0.5)
    search = new_search(CONNECT_FOUR, config, 1, ConstantEvaluator(), noise=True)
    pool, tree = CONNECT_FOUR.new_pool(1), np.arange(1)
    pool.reset(tree)
    search.begin(tree, pool, tree, np.array([1], np.uint64))
    search.run(tree)
    action = search.statistics(tree).best_action
    pool.step(tree, action, tree)
    search.advance(tree, action)
    np.testing.assert_allclose(root_edges(search, 0)["prior"], 1 / 7, rtol=1e-6)
    search.begin(tree, pool, tree, np.array([2], np.uint64))
    assert root_edges(search, 0)["prior"].std() > 0.01
    np.testing.assert_allclose(root_edges(search, 0)["prior"].sum(), 1.0, rtol=1e-5)
    assert (root_edges(search, 0)["prior"] >= 0.5 / 7 * 0.999).all()


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_seeds_matter_with_noise_and_not_without(rule: str) -> None:
    pool, _ = random_positions(CONNECT_FOUR, 1, seed=1)
    pool = repeated(pool, 8)
    config = SearchConfig(rule=rule, num_simulations=40, max_considered_actions=3)
    seeds = np.arange(8, dtype=np.uint64)
    still = fast_search(CONNECT_FOUR, config, pool, seeds, noise=False)
    noisy = fast_search(CONNECT_FOUR, config, pool, seeds, noise=True)
    assert len({tuple(row) for row in still.visit_counts.tolist()}) == 1
    assert len({tuple(row) for row in noisy.visit_counts.tolist()}) > 1


def repeated(pool, count: int):
    copies = pool.game.new_pool(count)
    copies.load(np.arange(count), pool, np.zeros(count, np.int64))
    return copies


# Sequential halving.


def test_sequential_halving_known_plan():
    # 16 moves, 50 simulations, 4 phases: 50 // (4 * 16) = 0, so one visit for each of 16; 50 // (4 * 8) = 1 more for
    # each of 8; 50 // (4 * 4) = 3 for each of 4; 50 // (4 * 2) = 6 for each of 2 would make 48; two are left over.
    expected = Counter({0: 16, 1: 8, 2: 4, 3: 4, 4: 4} | dict.fromkeys(range(5, 12), 2))
    assert Counter(considered_visits(16, 50)) == expected
    assert considered_visits(4, 8) == (0, 0, 0, 0, 1, 1, 2, 2)
    assert considered_visits(1, 3) == (0, 1, 2)


@given(st.integers(1, 64), st.integers(1, 300))
def test_sequential_halving_can_be_followed(considered: int, simulations: int) -> None:
    plan = considered_visits(considered, simulations)
    assert list(plan) == sequential_halving(considered, simulations)
    assert len(plan) == simulations
    visits = [0] * considered
    for wanted in plan:
        visits[visits.index(wanted)] += 1  # ValueError if no move has been visited so often
    assert sum(visits) == simulations


@pytest.mark.parametrize(("considered", "expected"), [(2, 2), (4, 4), (16, 7)])
def test_only_the_considered_moves_are_visited(considered: int, expected: int) -> None:
    config = SearchConfig(rule="gumbel", num_simulations=60, max_considered_actions=considered)
    pool = CONNECT_FOUR.new_pool(4)
    pool.reset(np.arange(4))
    found = fast_search(CONNECT_FOUR, config, pool, np.arange(4, dtype=np.uint64), noise=True)
    assert ((found.visit_counts > 0).sum(axis=1) == expected).all()
