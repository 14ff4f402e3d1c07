"""The policy/value network: a residual tower for boards, a multilayer perceptron for everything else.

The learner trains a `PolicyValueNet`; actors run a copy of it without batch normalisation (`nets.inference`). Tower and
heads are those of "Mastering Chess and Shogi by Self-Play" (Silver et al. 2017), with the residual blocks of "Deep
Residual Learning" (He et al. 2015); the sizes come from `NetConfig` and the game.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nets.config import NetConfig
from nets.transforms import symlog

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

MIN_BOARD = 3
"""Boards with a side below this (the width of a kernel) are treated as flat."""


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


def _convolution(inputs: int, outputs: int, kernel: int, batch_norm: bool) -> NormedLayer:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not batch_norm)
    return NormedLayer(_he(layer), nn.BatchNorm2d(outputs) if batch_norm else nn.Identity())


def _dense(inputs: int, outputs: int, batch_norm: bool) -> NormedLayer:
    layer = nn.Linear(inputs, outputs, bias=not batch_norm)
    return NormedLayer(_he(layer), nn.BatchNorm1d(outputs) if batch_norm else nn.Identity())


def _he(layer: Layer) -> Layer:
    """Initialise for a ReLU behind the layer: variance 2 / fan_in (He et al. 2015b), bias 0."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _output(inputs: int, outputs: int) -> nn.Linear:
    """Last layer of a head, small: an untrained network has a nearly uniform policy and values near 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.1 / math.sqrt(inputs))
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """`relu(x + f(x))` with two 3x3 convolutions in f; f is 0 at first, so that a deep tower starts as the identity."""

    def __init__(self, channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3, batch_norm)
        self.second = _convolution(channels, channels, 3, batch_norm)
        self.second.zero()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class PolicyValueNet(nn.Module):
    """Observation to policy logits and value. Made by `build`.

    `forward` returns `policy_logits [B, A]` over all actions (the caller masks illegal ones) and `value [B, V]`. With
    V = 1 it is the value for `to_play` (one player, or two players with zero sum); with V = P, entry k is the value of
    player `(to_play + k) % P`. Values are in [-1, 1], or unbounded and on the scale of `nets.signed_sqrt` where
    `value_transform` says so.
    """

    def __init__(
        self,
        config: NetConfig,
        observation_shape: tuple[int, ...],
        num_actions: int,
        num_values: int,
        trunk: nn.Module,
        policy_head: nn.Module,
        value_head: nn.Module,
    ) -> None:
        super().__init__()
        self.config = config
        self.observation_shape = observation_shape
        self.num_actions = num_actions
        self.num_values = num_values
        self.trunk = trunk
        self.policy_head = policy_head
        self.value_head = value_head

    def forward(self, observation: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"]]:
        return self.evaluate(self.transform_input(observation))

    def transform_input(self, observation: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """First half of `forward`, in float32."""
        return symlog(observation) if self.config.input_transform == "symlog" else observation

    def evaluate(self, x: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"]]:
        """Second half of `forward`, in the precision of the weights."""
        x = self.trunk(x)
        return self.policy_head(x), self.output_value(self.value_head(x))

    def output_value(self, x: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """What the value head's last layer stands for: a value within [-1, 1], or an unbounded one."""
        return x * self.config.value_scale if self.config.value_transform == "signed_sqrt" else torch.tanh(x)


def resolve_kind(config: NetConfig, observation_shape: Sequence[int]) -> str:
    """`"resnet"` or `"mlp"`. Raises ValueError for a resnet on an observation that is no board."""
    is_board = len(observation_shape) == 3 and min(observation_shape[1:]) >= MIN_BOARD
    if config.kind == "auto":
        return "resnet" if is_board else "mlp"
    if config.kind == "resnet" and not is_board:
        raise ValueError(
            f"net.kind: resnet needs a board [C, H, W] of at least {MIN_BOARD}x{MIN_BOARD}, "
            f"this game's observation is {list(observation_shape)}; use auto or mlp"
        )
    if config.kind not in ("resnet", "mlp"):
        raise ValueError(f"net.kind: {config.kind!r} is not one of auto, resnet, mlp")
    return config.kind


def build(
    config: NetConfig, observation_shape: Sequence[int], num_actions: int, num_values: int, seed: int = 0
) -> PolicyValueNet:
    """A network with initial weights, on the CPU, in float32 and training mode.

    The weights depend on `seed` alone, and torch's global generator is left as it was. Raises ValueError where
    `config.kind` does not fit the observation.
    """
    shape = tuple(int(size) for size in observation_shape)
    kind = resolve_kind(config, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make_parts = _resnet_parts if kind == "resnet" else _mlp_parts
        return PolicyValueNet(
            config, shape, num_actions, num_values, *make_parts(config, shape, num_actions, num_values)
        )


def _resnet_parts(
    config: NetConfig, shape: tuple[int, ...], num_actions: int, num_values: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    planes, height, width = shape
    trunk = nn.Sequential(
        _convolution(planes, config.channels, 3, config.batch_norm),
        nn.ReLU(),
        *(ResidualBlock(config.channels, config.batch_norm) for _ in range(config.blocks)),
    )
    policy_head = nn.Sequential(
        _convolution(config.channels, config.policy_channels, 1, config.batch_norm),
        nn.ReLU(),
        nn.Flatten(),
        _output(config.policy_channels * height * width, num_actions),
    )
    value_head = nn.Sequential(
        _convolution(config.channels, config.value_channels, 1, config.batch_norm),
        nn.ReLU(),
        nn.Flatten(),
        _dense(config.value_channels * height * width, config.value_hidden, config.batch_norm),
        nn.ReLU(),
        _output(config.value_hidden, num_values),
    )
    return trunk, policy_head, value_head


def _mlp_parts(
    config: NetConfig, shape: tuple[int, ...], num_actions: int, num_values: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    widths = [math.prod(shape)] + [config.hidden] * config.layers
    trunk = nn.Sequential(nn.Flatten())
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        trunk.append(_dense(inputs, outputs, config.batch_norm)).append(nn.ReLU())
    policy_head = _output(config.hidden, num_actions)
    value_head = nn.Sequential(
        _dense(config.hidden, config.value_hidden, config.batch_norm),
        nn.ReLU(),
        _output(config.value_hidden, num_values),
    )
    return trunk, policy_head, value_head
