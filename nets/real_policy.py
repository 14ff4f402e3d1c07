"""Policies over actions that are real numbers within bounds: normal distributions, squashed into them.

An action is `tanh(u)` on the scale of its bounds, where u has a normal distribution of D numbers. So no action lies
outside, the ends can be likely, and what is drawn can be learned from as it is. Source: Haarnoja et al. 2018 ("Soft
Actor-Critic"), appendix C. A factored categorical (Hubert et al. 2021) would need a number for every bin of every
action, and could name no action between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LEAST_STD = 0.1
"""Least standard deviation of u: a policy that never varies finds nothing better."""

END = 0.01
"""An action that is nearer to a bound than this share of half its range counts as being so near. Beyond, u grows
without an end, and a policy that followed it would never come back."""


class LeastSpread(nn.Module):
    """Keeps the standard deviations of the outputs of a Gaussian head above `LEAST_STD`."""

    def forward(self, output: Float[Tensor, "B outputs"]) -> Float[Tensor, "B outputs"]:
        mean, log_std = output.chunk(2, dim=-1)
        least = math.log(LEAST_STD)
        return torch.cat([mean, least + functional.softplus(log_std - least)], dim=-1)


class ActionScale(nn.Module):
    """Actions between their bounds as numbers from -1 to 1."""

    centre: Tensor
    half_range: Tensor

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__()
        low_bound, high_bound = torch.tensor(low), torch.tensor(high)
        self.register_buffer("centre", 0.5 * (low_bound + high_bound), persistent=False)
        half_range = 0.5 * (high_bound - low_bound)
        self.register_buffer("half_range", torch.where(half_range > 0, half_range, 1.0), persistent=False)

    def forward(self, action: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
        return (action - self.centre) / self.half_range


def log_density(
    output: Float[Tensor, "*shape outputs"], scaled: Float[Tensor, "*shape K D"]
) -> Float[Tensor, "*shape K"]:
    """Logarithm of the density of each of K actions, in nats, less what no weight changes (that of tanh).

    `output` is that of the policy head: means, then logarithms of standard deviations. Actions are `scaled` to [-1, 1].
    """
    mean, log_std = (part.unsqueeze(-2) for part in output.chunk(2, dim=-1))
    u = torch.atanh(scaled.clamp(-1.0 + END, 1.0 - END))
    normed = (u - mean) * torch.exp(-log_std)
    return (-0.5 * torch.square(normed) - log_std - 0.5 * math.log(2.0 * math.pi)).sum(dim=-1)


def entropy(output: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape"]:
    """Entropy of u in nats."""
    return (output.chunk(2, dim=-1)[1] + 0.5 * math.log(2.0 * math.pi * math.e)).sum(dim=-1)
