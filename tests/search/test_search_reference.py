"""The fast search equals the slow one in visit counts, whatever the rule, the game, the seed and the batch."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from reference_search import ReferenceSearch
from search_helpers import TextEvaluator, fast_search, new_search, random_positions, reference_evaluate

import games
from search import SearchConfig


@pytest.mark.parametrize(
    ("rule", "noise"),  # plain MCTS has no root noise
    [("puct", False), ("puct", True), ("uct", False), ("gumbel", False), ("gumbel", True)],
)
@pytest.mark.parametrize("proven_values", [False, True])
@pytest.mark.parametrize(
    "name", ["tic_tac_toe", "connect_four(rows=4,columns=4,x_in_row=3)", "connect_four", "pig(winscore=15)", "2048"]
)
def test_visit_counts_equal_the_reference(name: str, rule: str, noise: bool, proven_values: bool) -> None:
    game = games.load(name)
    config = SearchConfig(
        rule=rule, num_simulations=40, proven_values=proven_values, discount=0.97 if name == "2048" else 1.0
    )
    pool, states = random_positions(game, 4, seed=zlib.crc32(name.encode()))
    seeds = np.arange(100, 104, dtype=np.uint64)
    found = fast_search(game, config, pool, seeds, noise)
    for i, state in enumerate(states):
        expected = ReferenceSearch(game, config, reference_evaluate(game), int(seeds[i]), noise)
        root = expected.run(state)
        count = len(root.actions)
        assert found.actions[i, :count].tolist() == root.actions
        assert found.visit_counts[i, :count].tolist() == root.counts
        assert found.to_play[i] == root.to_play
        np.testing.assert_allclose(found.root_value[i], expected.root_value(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.policy_target[i, :count], expected.policy_target(), rtol=1e-5, atol=1e-9)
        assert bool(found.exact[i]) == root.exact


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_targets_without_proven_losses_equal_the_reference(rule: str) -> None:
    game = games.load("connect_four(rows=4,columns=4,x_in_row=3)")
    config = SearchConfig(rule=rule, num_simulations=20, proven_values=True, c_scale=0.1)
    pool, states = random_positions(game, 40, seed=12, fewest=3)
    seeds = np.arange(40, dtype=np.uint64)
    found = fast_search(game, config, pool, seeds, noise=True)
    dropped = 0
    for i, state in enumerate(states):
        expected = ReferenceSearch(game, config, reference_evaluate(game), int(seeds[i]), noise=True)
        root = expected.run(state)
        target = found.policy_target[i, : len(root.actions)]
        np.testing.assert_allclose(target, expected.policy_target(), rtol=1e-5, atol=1e-9)
        lost = [expected.is_lost(root, k) for k in range(len(target))]
        if any(lost) and not all(lost):
            assert (target[lost] == 0.0).all()
            dropped += 1
    assert dropped > 5


def test_a_value_assumed_beyond_those_seen_equals_the_reference() -> None:
    """After two simulations v_mix may lie outside of the two values that rewards are rescaled by."""
    game = games.load("2048")
    config = SearchConfig(rule="gumbel", num_simulations=2)
    pool, states = random_positions(game, 20, seed=13)
    found = fast_search(game, config, pool, np.arange(20, dtype=np.uint64), noise=False)
    beyond = 0
    for i, state in enumerate(states):
        expected = ReferenceSearch(game, config, reference_evaluate(game), i)
        root = expected.run(state)
        np.testing.assert_allclose(
            found.policy_target[i, : len(root.actions)], expected.policy_target(), rtol=1e-5, atol=1e-9
        )
        beyond += not expected.least <= root.value[0] <= expected.most
    assert beyond > 5


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_three_players_equal_the_reference(rule: str) -> None:
    game = games.load("chinese_checkers(players=3)")
    config = SearchConfig(rule=rule, num_simulations=40)
    pool, states = random_positions(game, 2, seed=3)
    found = fast_search(game, config, pool, np.arange(2, dtype=np.uint64), noise=False)
    for i, state in enumerate(states):
        expected = ReferenceSearch(game, config, reference_evaluate(game), i)
        root = expected.run(state)
        assert found.visit_counts[i, : len(root.counts)].tolist() == root.counts
        np.testing.assert_allclose(found.root_value[i], expected.root_value(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["puct", "uct", "gumbel"])
def test_a_tree_does_not_depend_on_its_neighbours(rule: str) -> None:
    game = games.load("connect_four")
    config = SearchConfig(rule=rule, num_simulations=80)
    pool, _ = random_positions(game, 12, seed=5)
    seeds = np.arange(12, dtype=np.uint64) + 7
    together = fast_search(game, config, pool, seeds, noise=True)
    alone = game.new_pool(1)
    for i in range(12):
        alone.load(np.zeros(1, np.int64), pool, np.array([i]))
        single = fast_search(game, config, alone, seeds[i : i + 1], noise=True)
        width = single.visit_counts.shape[1]
        assert single.visit_counts[0].tolist() == together.visit_counts[i, :width].tolist()


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "pig(winscore=15)", "2048"])
def test_forced_playouts_and_pruned_targets_equal_the_reference(name: str) -> None:
    game = games.load(name)
    config = SearchConfig(rule="puct", num_simulations=60, forced_playouts=2.0, proven_values=True)
    pool, states = random_positions(game, 8, seed=zlib.crc32(name.encode()) + 1)
    seeds = np.arange(8, dtype=np.uint64)
    found = fast_search(game, config, pool, seeds, noise=True)
    num_pruned = 0
    for i, state in enumerate(states):
        expected = ReferenceSearch(game, config, reference_evaluate(game), int(seeds[i]), noise=True)
        root = expected.run(state)
        assert found.visit_counts[i, : len(root.counts)].tolist() == root.counts
        num_pruned += sum(root.counts) - sum(expected.pruned_counts())
        np.testing.assert_allclose(found.policy_target[i, : len(root.counts)], expected.policy_target(), atol=1e-12)
    assert num_pruned > 0


def test_noise_and_forced_playouts_are_a_choice_of_each_tree() -> None:
    game = games.load("connect_four")
    settings = {"puct": {"forced_playouts": 2.0}, "gumbel": {"c_scale": 0.01}}
    pool, _ = random_positions(game, 4, seed=9)
    trees, seeds = np.arange(4), np.arange(4, dtype=np.uint64)
    for rule, options in settings.items():
        config = SearchConfig(rule=rule, num_simulations=60, **options)
        mixed = new_search(game, config, 4, TextEvaluator(), noise=True)
        mixed.begin(trees, pool, trees, seeds, noise=np.array([True, False, True, False]))
        mixed.run(trees)
        counts = mixed.statistics(trees).visit_counts
        with_noise = fast_search(game, config, pool, seeds, noise=True).visit_counts
        without = fast_search(game, config, pool, seeds, noise=False).visit_counts
        assert (counts[[0, 2]] == with_noise[[0, 2]]).all()
        assert (counts[[1, 3]] == without[[1, 3]]).all()
        assert (with_noise != without).any()


def test_trees_with_different_budgets_share_a_batch() -> None:
    game = games.load("tic_tac_toe")
    config = SearchConfig(num_simulations=50)
    pool, _ = random_positions(game, 5, seed=1)
    search = new_search(game, config, 5, TextEvaluator())
    trees, budgets = np.arange(5), np.array([1, 10, 50, 20, 5])
    search.begin(trees, pool, trees, trees.astype(np.uint64), budgets)
    search.run(trees)
    assert search.statistics(trees).visit_counts.sum(axis=1).tolist() == budgets.tolist()
