"""Losses: worked numbers, gradients against finite differences, illegal actions, and checked shapes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch.autograd import gradcheck

from nets import losses
from nets.policies import Categorical

LOGITS = torch.tensor([[math.log(2.0), 0.0, math.log(5.0), 100.0], [3.0, 3.0, 3.0, 3.0]], dtype=torch.float64)
LEGAL = torch.tensor([[True, True, True, False], [True, False, True, True]])
TARGET = torch.tensor([[0.5, 0.0, 0.5, 0.0], [0.25, 0.0, 0.25, 0.5]], dtype=torch.float64)
# Row 0: probabilities 2/8, 1/8, 5/8; row 1: 1/3 each.


def expect(found: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype))


def test_policy_cross_entropy_worked_numbers():
    expect(losses.policy_cross_entropy(LOGITS, LEGAL, TARGET), [-0.5 * math.log(2 / 8 * 5 / 8), math.log(3.0)])


def test_policy_entropy_worked_numbers():
    p = [2 / 8, 1 / 8, 5 / 8]
    expect(losses.policy_entropy(LOGITS, LEGAL), [-sum(x * math.log(x) for x in p), math.log(3.0)])


def test_policy_kl_worked_numbers():
    expected = [
        0.5 * math.log(0.5 / (2 / 8)) + 0.5 * math.log(0.5 / (5 / 8)),
        2 * 0.25 * math.log(0.25 * 3) + 0.5 * math.log(0.5 * 3),
    ]
    expect(losses.policy_kl(TARGET, LOGITS, LEGAL), expected)


def test_policy_gradient_worked_numbers():
    log_probability = torch.tensor([math.log(5 / 8), math.log(1 / 3)])
    expect(
        losses.policy_gradient(log_probability, torch.tensor([2.0, -1.0])), [-2.0 * math.log(5 / 8), math.log(1 / 3)]
    )


def test_clipped_policy_gradient_worked_numbers():
    """Equation 7 of Schulman et al. 2017: nothing is gained by going beyond the clip, and losses count in full."""
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5, 0.5])
    advantage = torch.tensor([2.0, 2.0, -2.0, 2.0, -2.0])
    found = losses.clipped_policy_gradient(ratio.log(), torch.zeros(5), advantage, clip=0.2)
    expect(found, [-2.0, -2.4, 3.0, -1.0, 1.6])


def test_action_values_worked_numbers():
    advantages, value = torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([[10.0]])
    torch.testing.assert_close(losses.action_values(advantages, value, duelling=True), torch.tensor([[8.0, 9.0, 13.0]]))
    torch.testing.assert_close(losses.action_values(advantages, value, duelling=False), advantages)


def test_value_mse_worked_numbers():
    value = torch.tensor([[0.5, -1.0], [0.0, 1.0]])
    target = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    expect(losses.value_mse(value, target), [(0.25 + 4.0) / 2, 0.0])


def test_reply_cross_entropy_worked_numbers():
    """All actions count, legal now or not; no reply, no loss."""
    logits = LOGITS.clone()
    logits[0, 3] = math.log(2.0)
    found = losses.reply_cross_entropy(logits[[0, 0, 1]], torch.tensor([2, -1, 1]))
    expect(found, [-math.log(5 / 10), 0.0, math.log(4.0)])


def test_moves_left_error_worked_numbers():
    predicted = torch.tensor([[math.log(4.0)], [1.0]])
    expect(losses.moves_left_error(predicted, torch.tensor([3.0, 7.0])), [0.0, (math.log(8.0) - 1.0) ** 2])


def test_bellman_error_worked_numbers():
    """Half the square within delta, delta (|error| - delta / 2) beyond; other actions do not count."""
    q = torch.tensor([[1.0, 9.0], [7.0, -2.0], [0.0, 9.0]])
    action, target = torch.tensor([0, 1, 0]), torch.tensor([1.5, 1.0, 0.0])
    expect(losses.bellman_error(q, action, target), [0.125, 2.5, 0.0])
    expect(losses.bellman_error(q, action, target, delta=4.0), [0.125, 4.5, 0.0])


def test_gradients_equal_finite_differences():
    logits = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    legal = torch.tensor([[True] * 5, [True, False, True, False, True], [False, True, False, False, False]])
    target = torch.where(legal, torch.rand(3, 5, dtype=torch.float64), 0.0)
    target = target / target.sum(-1, keepdim=True)
    action, real = torch.tensor([4, 2, 1]), torch.randn(3, dtype=torch.float64)
    assert gradcheck(lambda x: losses.policy_cross_entropy(x, legal, target), logits)
    assert gradcheck(lambda x: losses.policy_kl(target, x, legal), logits)
    assert gradcheck(lambda x: losses.policy_entropy(x, legal), logits)
    assert gradcheck(lambda x: losses.policy_gradient(x[:, 0], real), logits)
    assert gradcheck(lambda x: losses.clipped_policy_gradient(x[:, 0], real, real, 0.2), logits)
    assert gradcheck(lambda x: losses.action_values(x, x[:, :1], True), logits)
    assert gradcheck(lambda x: Categorical(x, legal).log_probability(action), logits)
    assert gradcheck(lambda x: losses.bellman_error(x, action, real), logits)
    assert gradcheck(lambda x: losses.value_mse(x, target), logits)


def test_cross_entropy_gradient_is_policy_minus_target():
    logits = LOGITS.clone().requires_grad_()
    losses.policy_cross_entropy(logits, LEGAL, TARGET).sum().backward()
    policy = torch.tensor([[2 / 8, 1 / 8, 5 / 8, 0.0], [1 / 3, 0.0, 1 / 3, 1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, policy - TARGET)


def test_targets_get_no_gradient():
    target = TARGET.clone().requires_grad_()
    logits = LOGITS.clone().requires_grad_()
    advantage = torch.ones(2, dtype=torch.float64, requires_grad=True)
    total = losses.policy_cross_entropy(logits, LEGAL, target) + losses.policy_kl(target, logits, LEGAL)
    total = total + losses.policy_gradient(logits[:, 0], advantage)
    total = total + losses.value_mse(logits, target) + losses.bellman_error(logits, torch.tensor([0, 0]), advantage)
    total.sum().backward()
    assert target.grad is None and advantage.grad is None and logits.grad is not None


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 60.0))
def test_masked_policy_laws(seed, scale):
    """Illegal logits change nothing, even when infinite; entropy and KL keep their bounds, whatever the logits."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 6, generator=generator) * scale
    legal = torch.rand(4, 6, generator=generator) < 0.5
    legal[torch.arange(4), torch.randint(0, 6, (4,), generator=generator)] = True
    target = torch.where(legal, torch.rand(4, 6, generator=generator) + 1e-3, 0.0)
    target = target / target.sum(-1, keepdim=True)
    spoiled = torch.where(legal, logits, torch.inf)
    for loss in (
        lambda x: losses.policy_cross_entropy(x, legal, target),
        lambda x: losses.policy_entropy(x, legal),
        lambda x: losses.policy_kl(target, x, legal),
    ):
        assert torch.equal(loss(logits), loss(spoiled))
    entropy = losses.policy_entropy(logits, legal)
    assert (entropy >= -1e-6).all() and (entropy <= legal.sum(-1).float().log() + 1e-5).all()
    assert (losses.policy_kl(target, logits, legal) >= -1e-5).all()
    own = losses.masked_log_softmax(logits, legal).exp() * legal
    assert losses.policy_kl(own, logits, legal).abs().max() < 1e-5


def test_row_without_legal_actions_gives_zero_not_nan():
    """Padding rows of a batch of trajectories have an empty mask."""
    logits = torch.randn(1, 4, requires_grad=True)
    empty = torch.zeros(1, 4, dtype=torch.bool)
    loss = losses.policy_cross_entropy(logits, empty, torch.zeros(1, 4)) + losses.policy_entropy(logits, empty)
    loss.sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_shapes_are_checked():
    with pytest.raises(TypeCheckError):
        losses.policy_cross_entropy(LOGITS, LEGAL, TARGET[:1])
    with pytest.raises(TypeCheckError):
        losses.policy_cross_entropy(LOGITS, LEGAL.float(), TARGET)
    with pytest.raises(TypeCheckError):
        losses.value_mse(torch.zeros(3, 1), torch.zeros(3))  # would broadcast to [3, 3]
