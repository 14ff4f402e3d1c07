"""Mean and variance of a stream, however it is cut into pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.stats.moments import RunningMoments


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(0, 1000))
def test_pieces_give_what_the_whole_gives(sizes, seed):
    rng = np.random.default_rng(seed)
    pieces = [rng.normal(1e3, 2.0, (size, 3)) for size in sizes]
    moments, whole = RunningMoments((3,)), np.concatenate(pieces)
    for piece in pieces:
        moments.add(piece)
    assert moments.count == len(whole)
    if len(whole) > 1:
        np.testing.assert_allclose(moments.mean, whole.mean(axis=0))
        np.testing.assert_allclose(moments.variance, whole.var(axis=0), rtol=1e-6)
    else:
        np.testing.assert_array_equal(moments.variance, 1.0)


def test_numbers_without_a_shape():
    moments = RunningMoments()
    moments.add(np.array([1.0, 2.0, 6.0]))
    assert (moments.mean, moments.variance) == (pytest.approx(3.0), pytest.approx(14 / 3))


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 1000))
def test_moments_go_on_from_their_state(before, after, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(1.0, 2.0, (before, 2)), rng.normal(3.0, 1.0, (after, 2))
    moments = RunningMoments((2,))
    moments.add(first)
    saved = {f"of.{name}": array.copy() for name, array in moments.state().items()}
    moments.add(second)
    again = RunningMoments.from_state(saved, "of.")
    again.add(second)
    assert again.count == moments.count
    np.testing.assert_array_equal(again.mean, moments.mean)
    np.testing.assert_array_equal(again.variance, moments.variance)
