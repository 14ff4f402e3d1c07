"""Where a network runs and in which number type: devices, and whether bfloat16 is faster here."""

from __future__ import annotations

import time
from functools import cache

import torch

from nets.inference import MIN_GAIN
from selfplay.config.run import LearnerConfig
from selfplay.errors import UserError

PROBE_ROUNDS = 6
"""Number of times that each number type is tried; the first time prepares its kernels."""


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError for a GPU that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch sees no GPU here; use auto or cpu")
    return torch.device(name)


def uses_bfloat16(config: LearnerConfig, kind: str) -> bool:
    """Whether forward and backward pass are made in bfloat16; `kind` of network as `nets.models.resolve_kind` says."""
    if config.dtype != "auto":
        return config.dtype == "bfloat16"
    if kind not in ("resnet", "nature"):
        return False
    return choose_device(config.device).type == "cuda" or bfloat16_pays()


@cache
def bfloat16_pays() -> bool:
    """Whether this processor learns faster in bfloat16: it can multiply it, and a convolution says so when it is tried.

    A step of a tower for boards takes 0.4 to 0.6 of the time of float32 with AMX, and with AVX-512 BF16 on Zen 4; with
    AVX-512 BF16 on a Xeon it takes 1.5, without either far more.
    """
    if not (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()):
        return False
    rounds = [(_probe_seconds(torch.float32), _probe_seconds(torch.bfloat16)) for _ in range(PROBE_ROUNDS)]
    float32, bfloat16 = map(min, zip(*rounds))  # the best: other work slows down one and not the next
    return float32 > MIN_GAIN * bfloat16


def _probe_seconds(dtype: torch.dtype) -> float:
    """Forward and backward pass of a layer as a tower has it. Draws no random numbers."""
    x = torch.ones(64, 64, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.ones(64, 64, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    start = time.perf_counter()
    torch.conv2d(x, weight, padding=1).sum().backward()
    return time.perf_counter() - start
