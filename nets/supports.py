"""Numbers as distributions over a support: a network that answers with one learns values of any size by cross-entropy.

A number x is put on the scale h(x) of `nets.signed_sqrt`, and then on the two whole numbers around it, so that the mean
is h(x) exactly (MuZero, Schrittwieser et al. 2020, appendix F). A support of size S has the 2 S + 1 bins -S, ..., S.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nets.transforms import inverse_signed_sqrt, signed_sqrt


def num_bins(size: int) -> int:
    """Number of bins of a support of `size` S."""
    return 2 * size + 1


def two_hot(x: Float[Tensor, "*shape"], size: int) -> Float[Tensor, "*shape bins"]:
    """Probabilities of the bins whose mean is h(x); what lies beyond the support is cut to its ends.

    3.7 on the scale of h becomes 0.3 at 3 and 0.7 at 4. NaN stays NaN, for the learner to see.
    """
    scaled = signed_sqrt(x).clamp(-size, size)
    below = scaled.floor().clamp(max=size - 1)
    share = (scaled - below).unsqueeze(-1)
    index = (below.nan_to_num().long() + size).unsqueeze(-1)
    probabilities = torch.zeros(*x.shape, num_bins(size), dtype=scaled.dtype, device=x.device)
    return probabilities.scatter(-1, index, 1.0 - share).scatter(-1, index + 1, share)


def expectation(logits: Float[Tensor, "*shape bins"], size: int) -> Float[Tensor, "*shape"]:
    """The number that the distribution stands for: the inverse of h at the mean of the bins."""
    bins = torch.arange(-size, size + 1, dtype=logits.dtype, device=logits.device)
    return inverse_signed_sqrt((torch.softmax(logits, dim=-1) * bins).sum(dim=-1))


def is_beyond(x: Float[Tensor, "*shape"], size: int) -> Bool[Tensor, "*shape"]:
    """Where a support is too small for x."""
    return signed_sqrt(x).abs() > size


def largest(size: int) -> float:
    """The largest number that a support holds."""
    return float(inverse_signed_sqrt(torch.tensor(float(size), dtype=torch.float64)))
