"""Policies over real numbers: the density is torch's own, and learning from a search's policy goes where it points."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution
from world_helpers import REAL, SMALL, actions, observations, world

from nets.real_policy import END, LEAST_STD, ActionScale, LeastSpread, entropy, log_density


def outputs(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_the_density_is_that_of_a_squashed_normal_but_for_what_no_weight_changes() -> None:
    """Differences between two policies at one action: the density of tanh falls out."""
    generator = torch.Generator().manual_seed(0)
    taken = 1.9 * torch.rand(2, 7, 3, generator=generator) - 0.95
    policies = [torch.randn(2, 6, generator=generator) for _ in range(2)]
    found, expected = [], []
    for output in policies:
        mean, log_std = output[:, None].chunk(2, dim=-1)
        squashed = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform())
        expected.append(squashed.log_prob(taken).sum(dim=-1))
        found.append(log_density(output, taken))
        torch.testing.assert_close(entropy(output), Normal(mean, log_std.exp()).entropy().sum(dim=-1)[:, 0])
    torch.testing.assert_close(found[0] - found[1], expected[0] - expected[1], rtol=1e-4, atol=1e-4)


def test_the_ends_of_the_range_are_no_infinity() -> None:
    taken = torch.tensor([[[1.0], [-1.0], [1.0 - END]]])
    found = log_density(outputs([0.0, 0.0]), taken)
    assert found.isfinite().all() and found[0, 0] == found[0, 1]
    torch.testing.assert_close(found[0, 0], found[0, 2])


def test_actions_are_from_minus_1_to_1_on_their_scale() -> None:
    """A number without a range is 0: there is nothing to choose."""
    scale = ActionScale([-2.0, 0.0, 5.0], [2.0, 3.0, 5.0])
    taken = torch.tensor([[-2.0, 0.0, 5.0], [2.0, 3.0, 5.0], [1.0, 1.5, 5.0]])
    assert scale(taken).tolist() == [[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.0, 0.0]]
    assert not scale.state_dict(), "bounds are the environment's, and no weights"


def test_no_policy_is_narrower_than_the_least_spread() -> None:
    given = torch.tensor([[0.3, -50.0], [0.3, -2.0], [0.3, 0.0], [0.3, 3.0]], requires_grad=True)
    found = LeastSpread()(given)
    assert found[:, 0].tolist() == pytest.approx([0.3] * 4)
    spread = found[:, 1].detach().exp()
    assert spread.min() >= LEAST_STD * 0.999 and (spread.diff() > 0).all() and abs(float(spread[3]) - 20) < 0.4
    found[:, 1].sum().backward()
    assert given.grad is not None and (given.grad[1:, 1] > 0.1).all()


def test_learning_from_a_policy_of_the_search_goes_where_it_points() -> None:
    """Descent on the cross-entropy ends at the mean and the deviation of the weighted u."""
    u = torch.tensor([-1.0, 0.2, 0.5, 1.5])
    weights = torch.tensor([0.1, 0.2, 0.6, 0.1])
    output = torch.zeros(1, 2, requires_grad=True)
    optimizer = torch.optim.Adam([output], 0.05)
    for _ in range(400):
        loss = -(weights * log_density(output, torch.tanh(u)[None, :, None])).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mean = float((weights * u).sum())
    std = math.sqrt(float((weights * (u - mean) ** 2).sum()))
    assert output.detach()[0, 0].item() == pytest.approx(mean, abs=0.01)
    assert math.exp(output.detach()[0, 1].item()) == pytest.approx(std, abs=0.01)


def test_equal_weights_for_draws_of_a_policy_leave_it_as_it_is() -> None:
    """Where the search has no opinion, the gradient is zero on average."""
    output = torch.tensor([[0.4, -0.7]], requires_grad=True)
    mean, log_std = output.detach()[0].tolist()
    u = mean + math.exp(log_std) * torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    (-log_density(output, torch.tanh(u)[None, :, None]).mean()).backward()
    assert output.grad is not None and output.grad.abs().max() < 0.02


def test_every_number_of_an_action_changes_what_follows() -> None:
    net, seen, taken = world(SMALL, REAL), observations(REAL, 3), actions(REAL, 3)
    with torch.no_grad():
        latent = net.initial(seen).latent
        first = net.recurrent(latent, taken)
        for d in range(2):
            other = taken.clone()
            other[:, d] += 0.4
            changed = net.recurrent(latent, other)
            assert ((changed.latent - first.latent).abs().amax(dim=1) > 1e-4).all()
    assert (first.policy_logits[:, 2:].exp() >= LEAST_STD * 0.999).all()
