"""Batch normalisation folded into the layer before it: fewer passes over memory where weights no longer change.

With running mean m, variance s^2, scale g and shift b, `g (W x - m) / s + b` is a layer with weights `W g / s` and bias
`b - m g / s`. The layers before a norm have no bias of their own. The result fits a network built with
`batch_norm=False`.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BATCH_NORM_EPSILON = 1e-5
"""Added to the variance; torch's default, which `nets.models` keeps."""


def fold_batch_norm(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of a `PolicyValueNet` to the state dict of its twin without batch normalisation.

    Returns float32 tensors on the CPU. A state dict without batch normalisation comes back with the same values. Raises
    ValueError at the first tensor that has a NaN or infinity (before folding, or after it).
    """
    tensors = {name: tensor.detach().to("cpu", torch.float64) for name, tensor in state_dict.items()}
    _check_finite(tensors)
    folded = {name: tensor for name, tensor in tensors.items() if ".norm." not in name}
    for name, variance in tensors.items():
        if not name.endswith(".norm.running_var"):
            continue
        prefix = name.removesuffix(".norm.running_var")
        weight = tensors[f"{prefix}.layer.weight"]
        scale = tensors[f"{prefix}.norm.weight"] / torch.sqrt(variance + BATCH_NORM_EPSILON)
        folded[f"{prefix}.layer.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        folded[f"{prefix}.layer.bias"] = tensors[f"{prefix}.norm.bias"] - tensors[f"{prefix}.norm.running_mean"] * scale
    result = {name: tensor.to(torch.float32) for name, tensor in folded.items()}
    _check_finite(result)
    return result


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"weights: {name} has NaN or infinite entries; training has diverged")
