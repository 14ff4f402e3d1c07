"""The parts of a network: normalised layers and the residual blocks of the tower.

Blocks: "Deep Residual Learning" (He et al. 2015); with global pooling: "Accelerating Self-Play Learning in Go" (Wu
2019), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nets.board import Board

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

TYPICAL_SIDE = 9
"""Side of the board from which `board_summary` counts the size of others."""

POOLED_SHARE = 4
"""Channels of a pooling block for each of its pooled channels (Wu 2019: 96 channels, 32 of them pooled, make 3)."""


class NormedLayer(nn.Module):
    """A convolution or linear layer, then batch normalisation where the config has it.

    Both forms keep the names `layer.*`, and `norm.*` comes on top: `nets.folding` relies on this.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, norm: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))

    def zero(self) -> None:
        """Make the output 0 until the first training step."""
        last = self.norm if isinstance(self.norm, nn.BatchNorm1d | nn.BatchNorm2d) else self.layer
        nn.init.zeros_(last.weight)


def convolution(inputs: int, outputs: int, kernel: int, batch_norm: bool, stride: int = 0) -> NormedLayer:
    """A convolution that keeps the size of the board (`stride` 0), or one with a stride and without padding."""
    padding = 0 if stride else kernel // 2
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride or 1, padding=padding, bias=not batch_norm)
    return NormedLayer(_he(layer), nn.BatchNorm2d(outputs) if batch_norm else nn.Identity())


def dense(inputs: int, outputs: int, batch_norm: bool, activation: str = "relu") -> NormedLayer:
    """A linear layer, initialised for the `activation` behind it."""
    layer = nn.Linear(inputs, outputs, bias=not batch_norm)
    layer = _he(layer) if activation == "relu" else _orthogonal(layer)
    return NormedLayer(layer, nn.BatchNorm1d(outputs) if batch_norm else nn.Identity())


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
"""Activation layers by the values of `NetConfig.activation`."""


def _he(layer: Layer) -> Layer:
    """Initialise for a ReLU behind the layer: variance 2 / fan_in (He et al. 2015b), bias 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _orthogonal(layer: nn.Linear) -> nn.Linear:
    """Initialise for a tanh behind the layer, bias 0, as implementations of PPO do (Engstrom et al. 2020)."""
    nn.init.orthogonal_(layer.weight, math.sqrt(2.0))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def output_layer(inputs: int, outputs: int) -> nn.Linear:
    """Last layer of a head, small: an untrained network has a nearly uniform policy and values near 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.1 / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """`relu(x + f(x))` with two 3x3 convolutions in f; f is 0 at first, so that a deep tower starts as the identity."""

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3, batch_norm)
        self.second = convolution(channels, channels, 3, batch_norm)
        self.second.zero()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class PoolingBlock(nn.Module):
    """A residual block whose second convolution also gets the mean and the maximum of some channels over the board.

    Facts about the whole board (a race, a ko elsewhere) reach every cell in one block. Convolutions alone would carry
    them one cell a layer.
    """

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        pooled = max(1, channels // POOLED_SHARE)
        self.first = convolution(channels, channels, 3, batch_norm)
        self.pooled = convolution(channels, pooled, 3, batch_norm)
        self.bias = output_layer(2 * pooled, channels)
        self.second = convolution(channels, channels, 3, batch_norm)
        self.second.zero()

    def middle(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """What goes into the second convolution."""
        summary = mean_and_maximum(torch.relu(self.pooled(x)))
        return torch.relu(self.first(x) + self.bias(summary)[:, :, None, None])

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return torch.relu(x + self.second(self.middle(x)))


def mean_and_maximum(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 2*C"]:
    """The mean of each plane, then the maximum of each."""
    return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


class GaussianHead(nn.Module):
    """Means from the last layer, and logarithms of standard deviations that do not depend on the observation.

    Schulman et al. 2017 ("Proximal Policy Optimization Algorithms"), section 6.1.
    """

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.mean = output_layer(inputs, actions)
        self.log_std = nn.Parameter(torch.zeros(actions))

    def forward(self, x: Float[Tensor, "B F"]) -> Float[Tensor, "B outputs"]:
        """[B, 2 D]: the means, then the logarithms."""
        mean = self.mean(x)
        return torch.cat([mean, self.log_std.expand_as(mean)], dim=1)


def board_summary(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3*C"]:
    """The mean of each plane, that times the size of the board, and the maximum: as many numbers for every board.

    Wu 2019, section 3.3 and appendix A, with the size about 0 on boards of 9x9: numbers such as a score grow with it.
    """
    mean = x.mean(dim=(2, 3))
    size = (math.sqrt(x.shape[2] * x.shape[3]) - TYPICAL_SIDE) / TYPICAL_SIDE
    return torch.cat([mean, mean * size, x.amax(dim=(2, 3))], dim=1)


class BoardSummary(nn.Module):
    """`board_summary` as a layer."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3*C"]:
        return board_summary(x)


class PlaneLogits(nn.Module):
    """Last layer of a policy head: a plane of numbers for each kind of move, of which each action reads one.

    Actions that are nowhere on the board have numbers of their own, from a summary of it. The weights know nothing of
    the size of the board. Silver et al. 2017 ("Mastering Chess and Shogi"): "Representation"; Wu 2019, appendix A.
    """

    reads: Tensor

    def __init__(self, inputs: int, board: Board, *others: Board) -> None:
        """`others` are boards of other sizes, with the same planes and as many actions elsewhere."""
        super().__init__()
        self.planes = nn.Conv2d(inputs, board.num_planes, 1)
        nn.init.normal_(self.planes.weight, std=0.1 / math.sqrt(inputs))
        nn.init.zeros_(self.planes.bias)  # type: ignore[arg-type]
        self.elsewhere = output_layer(3 * inputs, board.num_elsewhere) if board.num_elsewhere else None
        self.register_buffer("reads", torch.from_numpy(entries_read(board)), persistent=False)
        self._others = {one.size: "reads_{}x{}".format(*one.size) for one in others}
        for one in others:
            self.register_buffer(self._others[one.size], torch.from_numpy(entries_read(one)), persistent=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B A"]:
        logits = self.planes(x).flatten(1)
        if self.elsewhere is not None:
            logits = torch.cat([logits, self.elsewhere(board_summary(x))], dim=1)
        return logits.index_select(1, self._reads_of(x) if self._others else self.reads)

    def _reads_of(self, x: Float[Tensor, "B C H W"]) -> Tensor:
        """The entries that the actions read on a board as large as that of `x`."""
        name = self._others.get((x.shape[2], x.shape[3]))
        return self.reads if name is None else self.get_buffer(name)


def entries_read(board: Board) -> Int64[np.ndarray, " A"]:
    """The entry of each action in the planes of a policy, one after the other, and the numbers of the actions that are
    nowhere on the board behind them."""
    height, width = board.size
    reads = board.plane * height * width + board.cell
    reads[board.cell < 0] = board.num_planes * height * width + np.arange(board.num_elsewhere)
    return reads


@contextmanager
def own_defaults() -> Iterator[None]:
    """torch's defaults as this project counts on them, float32 and gradients, whatever an environment in the same
    process has set."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


class PlaneScaling(nn.Module):
    """`(x - offset) * factor` for each plane of an observation, as `games.Game.plane_scaling` has them."""

    offset: Tensor
    factor: Tensor

    def __init__(self, offset: np.ndarray, factor: np.ndarray) -> None:
        super().__init__()
        for name, numbers in (("offset", offset), ("factor", factor)):
            column = torch.from_numpy(np.asarray(numbers, np.float32).reshape(-1, 1, 1).copy())
            self.register_buffer(name, column, persistent=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return (x - self.offset) * self.factor


class RunningNormaliser(nn.Module):
    """`(x - mean) / deviation`, clipped to [-10, 10]. The learner sets `mean` and `variance`; training does not."""

    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        return ((x - self.mean) / torch.sqrt(self.variance + 1e-8)).clamp(-10.0, 10.0)
