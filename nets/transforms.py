"""Scalings of network inputs and values: `symlog` for raw numbers, `signed_sqrt` for unbounded returns.

`signed_sqrt` is h of "Observe and Look Further: Achieving Consistent Performance on Atari" (Pohlen et al. 2018) and of
MuZero (Schrittwieser et al. 2020, appendix F):

    h(x) = sign(x) (sqrt(|x| + 1) - 1) + eps x

The learner regresses the network's value on `transform_value(target)`; `nets.Inference` returns
`inverse_transform_value(value)`, so that a search gets values in units of reward.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SIGNED_SQRT_EPSILON = 0.001
"""eps of h (both papers: 0.001); it keeps the inverse Lipschitz continuous."""


def symlog(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`sign(x) ln(1 + |x|)`, "Mastering Diverse Domains through World Models" (Hafner et al. 2023)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def signed_sqrt(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """h(x), element by element."""
    magnitude = torch.abs(x)
    # sqrt(m + 1) - 1 = m / (sqrt(m + 1) + 1), the right side without cancellation for small m.
    return x / (torch.sqrt(magnitude + 1.0) + 1.0) + SIGNED_SQRT_EPSILON * x


def inverse_signed_sqrt(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The x of h(x), element by element: `sign(x) (((sqrt(1 + 4 eps (|x| + 1 + eps)) - 1) / (2 eps))^2 - 1)`.

    The quotient is computed as `r = 2 (|x| + 1 + eps) / (sqrt(1 + 4 eps (|x| + 1 + eps)) + 1)`.
    `r^2 - 1` is computed as `(r - 1) (r + 1)`. The paper's form loses four of float32's seven digits near 0.
    """
    shifted = torch.abs(x) + 1.0 + SIGNED_SQRT_EPSILON
    root = 2.0 * shifted / (torch.sqrt(1.0 + 4.0 * SIGNED_SQRT_EPSILON * shifted) + 1.0)
    return torch.sign(x) * (root - 1.0) * (root + 1.0)


def transform_value(value: Float[Tensor, "*shape"], kind: str) -> Float[Tensor, "*shape"]:
    """Reward units to the scale the network learns on; `kind` is `NetConfig.value_transform`."""
    return signed_sqrt(value) if kind == "signed_sqrt" else value


def inverse_transform_value(value: Float[Tensor, "*shape"], kind: str) -> Float[Tensor, "*shape"]:
    """The network's scale to reward units; `kind` is `NetConfig.value_transform`."""
    return inverse_signed_sqrt(value) if kind == "signed_sqrt" else value
