"""Random numbers inside kernels: each tree owns a SplitMix64 stream, so that no tree depends on another.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014); Marsaglia and Tsang, "A simple
method for generating gamma variables" (2000).
"""

from __future__ import annotations

import math

import numpy as np

from search.kernels import kernel


@kernel
def next_uint64(state: np.ndarray, b: int) -> np.uint64:
    """The next 64 random bits of stream b; advances `state[b]`."""
    state[b] += np.uint64(0x9E3779B97F4A7C15)
    z = state[b]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def uniform(state: np.ndarray, b: int) -> float:
    """Uniform in the open interval (0, 1)."""
    return (np.float64(next_uint64(state, b) >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@kernel
def gumbel(state: np.ndarray, b: int) -> float:
    """Standard Gumbel variable."""
    return -math.log(-math.log(uniform(state, b)))


@kernel
def normal(state: np.ndarray, b: int) -> float:
    """Standard normal variable (Box-Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(state, b)))
    return radius * math.cos(2.0 * math.pi * uniform(state, b))


@kernel
def gamma(state: np.ndarray, b: int, alpha: float) -> float:
    """Gamma variable with shape `alpha` > 0 and scale 1."""
    boost = 1.0
    if alpha < 1.0:
        boost = uniform(state, b) ** (1.0 / alpha)
        alpha += 1.0
    d = alpha - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state, b)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(state, b)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v
