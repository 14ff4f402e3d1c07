"""The policy/value network: a residual tower for boards, a multilayer perceptron for everything else.

The learner trains a `PolicyValueNet`; actors run a copy of it without batch normalisation (`nets.inference`). Tower and
heads are those of "Mastering Chess and Shogi by Self-Play" (Silver et al. 2017); the sizes come from `NetConfig` and
the game. Auxiliary heads (Wu 2019, section 3.4) are there for the learner alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nets.blocks import PoolingBlock, ResidualBlock, convolution, dense, output_layer
from nets.config import NetConfig
from nets.transforms import symlog

MIN_BOARD = 3
"""Boards with a side below this (the width of a kernel) are treated as flat."""


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
        auxiliary: dict[str, nn.Module],
    ) -> None:
        super().__init__()
        self.config = config
        self.observation_shape = observation_shape
        self.num_actions = num_actions
        self.num_values = num_values
        self.trunk = trunk
        self.policy_head = policy_head
        self.value_head = value_head
        self.auxiliary = nn.ModuleDict(auxiliary)

    def forward(self, observation: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"]]:
        return self.evaluate(self.transform_input(observation))

    def forward_training(
        self, observation: Float[Tensor, "B ..."]
    ) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"], dict[str, Tensor]]:
        """`forward`, and what the auxiliary heads say: `reply` logits [B, A] of the move that follows the next one,
        `moves_left` [B, 1], the logarithm of 1 + the number of moves until the end."""
        x = self.trunk(self.transform_input(observation))
        said = {name: head(x) for name, head in self.auxiliary.items()}
        return self.policy_head(x), self.output_value(self.value_head(x)), said

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
        trunk, new_policy_head, new_value_head = make_parts(config, shape)
        policy_head, value_head = new_policy_head(num_actions), new_value_head(num_values)
        auxiliary = {}
        if config.reply_head:
            auxiliary["reply"] = new_policy_head(num_actions)
        if config.moves_left_head:
            auxiliary["moves_left"] = new_value_head(1)
        return PolicyValueNet(config, shape, num_actions, num_values, trunk, policy_head, value_head, auxiliary)


NewHead = Callable[[int], nn.Module]
"""Makes a head with so many outputs."""


def _resnet_parts(config: NetConfig, shape: tuple[int, ...]) -> tuple[nn.Module, NewHead, NewHead]:
    """The trunk, and how policy and value heads are made."""
    planes, height, width = shape
    trunk = nn.Sequential(
        convolution(planes, config.channels, 3, config.batch_norm),
        nn.ReLU(),
        *(_block(config, number) for number in range(1, config.blocks + 1)),
    )

    def policy_head(outputs: int) -> nn.Module:
        return nn.Sequential(
            convolution(config.channels, config.policy_channels, 1, config.batch_norm),
            nn.ReLU(),
            nn.Flatten(),
            output_layer(config.policy_channels * height * width, outputs),
        )

    def value_head(outputs: int) -> nn.Module:
        return nn.Sequential(
            convolution(config.channels, config.value_channels, 1, config.batch_norm),
            nn.ReLU(),
            nn.Flatten(),
            dense(config.value_channels * height * width, config.value_hidden, config.batch_norm),
            nn.ReLU(),
            output_layer(config.value_hidden, outputs),
        )

    return trunk, policy_head, value_head


def _block(config: NetConfig, number: int) -> nn.Module:
    """Block `number` of the tower, counted from 1."""
    pools = config.pooling_every > 0 and number % config.pooling_every == 0
    return (PoolingBlock if pools else ResidualBlock)(config.channels, config.batch_norm)


def _mlp_parts(config: NetConfig, shape: tuple[int, ...]) -> tuple[nn.Module, NewHead, NewHead]:
    """The same for an mlp."""
    widths = [math.prod(shape)] + [config.hidden] * config.layers
    trunk = nn.Sequential(nn.Flatten())
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        trunk.append(dense(inputs, outputs, config.batch_norm)).append(nn.ReLU())

    def policy_head(outputs: int) -> nn.Module:
        return output_layer(config.hidden, outputs)

    def value_head(outputs: int) -> nn.Module:
        return nn.Sequential(
            dense(config.hidden, config.value_hidden, config.batch_norm),
            nn.ReLU(),
            output_layer(config.value_hidden, outputs),
        )

    return trunk, policy_head, value_head
