"""Draws by priority, against sums that are added up anew each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.replay.sum_tree import SumTree


@given(st.lists(st.tuples(st.integers(0, 12), st.floats(0, 10)), min_size=1, max_size=60))
def test_total_and_priorities_are_those_last_set(changes):
    tree, plain = SumTree(13), np.zeros(13)
    for row, priority in changes:
        tree.set(np.array([row]), np.array([priority]))
        plain[row] = priority
    assert tree.total == pytest.approx(plain.sum())
    np.testing.assert_array_equal(tree.priorities(np.arange(13)), plain)


def test_a_row_that_comes_twice_has_the_last_priority():
    tree = SumTree(4)
    tree.set(np.array([2, 2]), np.array([5.0, 1.0]))
    assert tree.total == 1.0


def test_draws_are_in_proportion_and_rows_without_priority_are_never_drawn():
    priorities = np.array([0.0, 1.0, 0.0, 3.0, 0.0, 4.0, 0.0])
    tree = SumTree(7)
    tree.set(np.arange(7), priorities)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([tree.draw(8, rng) for _ in range(4000)])
    counts = np.bincount(drawn, minlength=7)
    np.testing.assert_allclose(counts / len(drawn), priorities / priorities.sum(), atol=0.005)


@given(st.lists(st.floats(0, 1e-3), min_size=1, max_size=40), st.integers(0, 1000))
def test_rounding_never_leads_to_a_row_without_priority(priorities, seed):
    tree = SumTree(len(priorities))
    tree.set(np.arange(len(priorities)), np.array(priorities))
    if tree.total > 0:
        rows = tree.draw(32, np.random.default_rng(seed))
        assert (np.array(priorities)[rows] > 0).all()
    else:
        with pytest.raises(ValueError, match="priorities"):
            tree.draw(32, np.random.default_rng(seed))
