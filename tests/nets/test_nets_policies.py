"""Distributions over actions, against torch's own and against sums."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from nets.policies import Categorical, Gaussian


def test_a_categorical_policy_is_a_softmax_over_the_legal_actions():
    logits = torch.tensor([[0.5, 2.0, -1.0], [1.0, 0.0, 3.0]])
    legal = torch.tensor([[True, True, True], [True, True, False]])
    policy, twin = Categorical(logits, legal), torch.distributions.Categorical(logits=logits.masked_fill(~legal, -1e9))
    action = torch.tensor([2, 0])
    torch.testing.assert_close(policy.log_probability(action), twin.log_prob(action))
    torch.testing.assert_close(policy.entropy(), twin.entropy())


def test_a_gaussian_policy_is_a_product_of_normal_distributions():
    output = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    action = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    policy, twin = Gaussian(output), Normal(output[:, :3], output[:, 3:].exp())
    torch.testing.assert_close(policy.log_probability(action), twin.log_prob(action).sum(dim=1))
    torch.testing.assert_close(policy.entropy(), twin.entropy().sum(dim=1))
