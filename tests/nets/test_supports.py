"""Numbers as distributions: the mean is exact inside the support, and what lies beyond it is cut and seen."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nets import inverse_signed_sqrt, signed_sqrt
from nets.supports import expectation, is_beyond, largest, num_bins, two_hot


def h(x: float) -> float:
    """Schrittwieser et al. 2020, appendix F, as it is written there."""
    return math.copysign(math.sqrt(abs(x) + 1.0) - 1.0, x) + 0.001 * x


@given(st.floats(-1.0, 1.0), st.integers(1, 40))
def test_the_mean_of_the_bins_is_h_of_the_number(share: float, size: int) -> None:
    x = share * largest(size)
    probabilities = two_hot(torch.tensor(x, dtype=torch.float64), size)
    assert probabilities.shape == (2 * size + 1,) == (num_bins(size),)
    assert probabilities.sum().item() == pytest.approx(1.0) and (probabilities >= 0).all()
    used = torch.nonzero(probabilities).flatten().tolist()
    assert len(used) <= 2 and used[-1] - used[0] <= 1, "no more than two neighbours"
    mean = sum((index - size) * probabilities[index].item() for index in used)
    assert mean == pytest.approx(h(x), abs=1e-9)
    # A network that has learned the target says the number again; a logit of -inf would be no number of a network.
    logits = torch.log(probabilities.clamp(min=1e-30))
    assert expectation(logits, size).item() == pytest.approx(x, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 20])
def test_at_a_bin_all_of_it_is_there(size: int) -> None:
    for number in range(-size, size + 1):
        x = inverse_signed_sqrt(torch.tensor(float(number), dtype=torch.float64))
        probabilities = two_hot(x, size)
        assert probabilities[number + size].item() == pytest.approx(1.0, abs=1e-9)


def test_worked_numbers() -> None:
    """3.7 on the scale of h, as the paper says it: 0.3 at 3 and 0.7 at 4."""
    x = inverse_signed_sqrt(torch.tensor([3.7, -3.7, 0.0], dtype=torch.float64))
    found = two_hot(x, 5)
    expected = torch.zeros(3, 11, dtype=torch.float64)
    expected[0, 8], expected[0, 9] = 0.3, 0.7
    expected[1, 2], expected[1, 1] = 0.3, 0.7
    expected[2, 5] = 1.0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_lies_beyond_is_cut_to_the_end_and_said(sign: float) -> None:
    size, end = 10, largest(10)
    assert end == pytest.approx(117.0, abs=1.0) and h(end) == pytest.approx(10.0)
    x = sign * torch.tensor([0.9999 * end, 1.0001 * end, 10 * end])
    assert is_beyond(x, size).tolist() == [False, True, True]
    found = two_hot(x, size)
    last = -1 if sign > 0 else 0
    assert found[1:, last].tolist() == [1.0, 1.0] and found[0, last] < 1.0
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(3))


@pytest.mark.parametrize(("size", "most"), [(10, 117), (15, 247), (20, 422), (300, 58_700), (600, 178_500)])
def test_how_much_a_support_holds(size: int, most: int) -> None:
    assert largest(size) == pytest.approx(most, rel=0.005)


def test_expectation_comes_before_the_inverse() -> None:
    """Half at 0 and half at 4 is the number of 2, not half the number of 4."""
    logits = torch.full((9,), -100.0, dtype=torch.float64)
    logits[4] = logits[8] = 0.0
    assert expectation(logits, 4).item() == pytest.approx(inverse_signed_sqrt(torch.tensor(2.0).double()).item())


def test_any_shape_and_float32() -> None:
    x = torch.linspace(-90, 90, 24).view(2, 3, 4)
    probabilities = two_hot(x, 12)
    assert probabilities.shape == (2, 3, 4, 25) and probabilities.dtype == torch.float32
    for index in ((0, 0, 0), (1, 2, 3), (0, 2, 1)):
        torch.testing.assert_close(probabilities[index], two_hot(x[index], 12))
    bins = torch.arange(-12.0, 13.0)
    torch.testing.assert_close((probabilities * bins).sum(-1), signed_sqrt(x), rtol=1e-5, atol=1e-5)


def test_no_number_stays_no_number() -> None:
    """So that the learner leaves the step out and counts it."""
    found = two_hot(torch.tensor([math.nan, 1.0]), 3)
    assert found[0].isnan().any() and found[1].isfinite().all()
