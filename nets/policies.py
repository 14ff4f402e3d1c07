"""Policies as distributions over actions, made from the output of a policy head.

`Categorical` is over A actions, some of which may be illegal; `Gaussian` is over real numbers. Both have the same two
methods, so that an algorithm need not know which it has.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nets.losses import masked_log_softmax, policy_entropy


class Policy(Protocol):
    """A distribution over actions for each of B observations."""

    def log_probability(self, action: Tensor) -> Float[Tensor, " B"]:
        """Logarithm of the probability of one action each (of its density, for real numbers), in nats."""
        ...

    def entropy(self) -> Float[Tensor, " B"]:
        """Entropy in nats; that of a density may be negative."""
        ...


class Categorical:
    """A softmax over the legal actions."""

    def __init__(self, output: Float[Tensor, "B A"], legal_mask: Bool[Tensor, "B A"] | None = None) -> None:
        """`output` are logits; without a mask every action is legal."""
        self.logits = output
        self.legal_mask = torch.ones_like(output, dtype=torch.bool) if legal_mask is None else legal_mask

    def log_probability(self, action: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """See `Policy.log_probability`; the action must be legal."""
        log_probabilities = masked_log_softmax(self.logits, self.legal_mask)
        return log_probabilities.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Float[Tensor, " B"]:
        """See `Policy.entropy`."""
        return policy_entropy(self.logits, self.legal_mask)


class Gaussian:
    """Independent normal distributions of D numbers."""

    def __init__(self, output: Float[Tensor, "B outputs"], legal_mask: Tensor | None = None) -> None:
        """`output` is that of `nets.blocks.GaussianHead`: means, then logarithms of standard deviations.

        Real numbers are never illegal, so `legal_mask` has no meaning.
        """
        self.mean, self.log_std = output.chunk(2, dim=1)

    def log_probability(self, action: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """See `Policy.log_probability`."""
        normed = (action - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * torch.square(normed) - self.log_std - 0.5 * math.log(2.0 * math.pi)).sum(dim=1)

    def entropy(self) -> Float[Tensor, " B"]:
        """See `Policy.entropy`."""
        return (self.log_std + 0.5 * math.log(2.0 * math.pi * math.e)).sum(dim=1)


POLICIES: dict[str, type[Categorical] | type[Gaussian]] = {"categorical": Categorical, "gaussian": Gaussian}
"""Policies by the values of `NetConfig.policy`."""
