"""The policy/value network: a residual tower for boards, convolutions for screens, else a multilayer perceptron.

The learner trains a `PolicyValueNet`; actors run a copy of it without batch normalisation (`nets.inference`). Tower and
heads are those of "Mastering Chess and Shogi by Self-Play" (Silver et al. 2017). The layers for screens are those of
"Human-level control through deep reinforcement learning" (Mnih et al. 2015). The sizes come from `NetConfig` and the
game. Auxiliary heads (Wu 2019, section 3.4) serve the learner alone.

DQN reads the policy head as action values (with duelling as advantages over the value, `nets.losses.action_values`), a
Gaussian policy as means and logarithms of standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from nets.blocks import (
    ACTIVATIONS,
    BoardSummary,
    GaussianHead,
    PlaneLogits,
    PlaneScaling,
    PoolingBlock,
    ResidualBlock,
    RunningNormaliser,
    convolution,
    dense,
    output_layer,
    own_defaults,
)
from nets.board import Board
from nets.config import NetConfig
from nets.transforms import symlog

MIN_BOARD = 3
"""Least side of a board, the width of a 3x3 kernel; observations with a smaller side are treated as flat."""

MIN_SCREEN = 36
"""Least side of a screen, which is the smallest input of the layers of Mnih et al. 2015."""


class PolicyValueNet(nn.Module):
    """Observation to policy logits and value. Made by `build`.

    `forward` returns `policy_logits [B, A]` over all actions (the caller masks illegal ones) and `value [B, V]`. With
    V = 1 it is the value for `to_play` (one player, or two with zero sum). With V = P, entry k is the value of
    player `(to_play + k) % P`. By `value_transform`, values are in [-1, 1], or unbounded, or on the scale of
    `nets.signed_sqrt`.
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
        value_trunk: nn.Module | None = None,
        board: Board | None = None,
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
        self.value_trunk = value_trunk
        self.normaliser: RunningNormaliser | PlaneScaling | None = None
        if config.input_transform == "running":
            self.normaliser = RunningNormaliser(observation_shape)
        elif config.input_transform == "none" and board is not None and board.scaling is not None:
            self.normaliser = PlaneScaling(*board.scaling)

    def forward(self, observation: Shaped[Tensor, "B ..."]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"]]:
        return self.evaluate(self.transform_input(observation))

    def forward_training(
        self, observation: Shaped[Tensor, "B ..."]
    ) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"], dict[str, Tensor]]:
        """The outputs of `forward`, and those of the auxiliary heads by name.

        `reply`: logits [B, A] of the move that follows the next one. `moves_left` [B, 1]: the logarithm of 1 + the
        number of moves until the end. `ownership` [B, H, W] and `score` [B, 1], both within [-1, 1]: whose each cell
        will be, and by how much of the most the game will be won, for the player to move.
        """
        transformed = self.transform_input(observation)
        x = self.trunk(transformed)
        auxiliary = {name: head(x) for name, head in self.auxiliary.items()}
        return self.policy_head(x), self._value(transformed, x), auxiliary

    def transform_input(self, observation: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """First half of `forward`, in float32; bytes are converted to the precision of the layers at once."""
        if self.config.input_transform == "symlog":
            return symlog(observation)
        if self.config.input_transform == "pixels":
            device = observation.device.type
            dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
            return observation.to(dtype) * (1.0 / 255.0)
        return observation if self.normaliser is None else self.normaliser(observation)

    def evaluate(self, transformed: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "B A"], Float[Tensor, "B V"]]:
        """Second half of `forward`, in the precision of the weights."""
        x = self.trunk(transformed)
        return self.policy_head(x), self._value(transformed, x)

    def _value(self, transformed: Float[Tensor, "B ..."], x: Float[Tensor, "B ..."]) -> Float[Tensor, "B V"]:
        """The value from the trunk's output `x`, or, with a trunk of its own, from the transformed observation."""
        return self.output_value(self.value_head(x if self.value_trunk is None else self.value_trunk(transformed)))

    def output_value(self, x: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The value from the output of the value head's last layer: within [-1, 1] through tanh, or unbounded."""
        return torch.tanh(x) if self.config.value_transform == "none" else x * self.config.output_scale


def resolve_kind(config: NetConfig, observation_shape: Sequence[int]) -> str:
    """`config.kind`, or the choice of `auto`. Raises ValueError for a kind that does not fit the observation."""
    side = min(observation_shape[1:]) if len(observation_shape) == 3 else 0
    is_board, is_screen = side >= MIN_BOARD, side >= MIN_SCREEN
    if config.kind == "auto":
        return "nature" if is_screen else "resnet" if is_board else "mlp"
    if config.kind == "nature" and not is_screen:
        raise ValueError(
            f"net.kind: nature needs a screen [C, H, W] of at least {MIN_SCREEN}x{MIN_SCREEN}, "
            f"this observation is {list(observation_shape)}; use auto or mlp"
        )
    if config.kind == "resnet" and not is_board:
        raise ValueError(
            f"net.kind: resnet needs a board [C, H, W] of at least {MIN_BOARD}x{MIN_BOARD}, "
            f"this game's observation is {list(observation_shape)}; use auto or mlp"
        )
    if config.kind not in _PARTS:
        raise ValueError(f"net.kind: {config.kind!r} is not one of auto, {', '.join(_PARTS)}")
    return config.kind


def has_plane_heads(config: NetConfig, observation_shape: Sequence[int], board: Board | None) -> bool:
    """Whether the heads are those of planes, by `NetConfig.heads`."""
    is_possible = board is not None and board.num_planes > 0 and resolve_kind(config, observation_shape) == "resnet"
    return is_possible and config.heads != "dense" and config.policy != "gaussian"


def check_fit(config: NetConfig, observation_shape: Sequence[int], board: Board | None = None) -> None:
    """Raises ValueError, with one line for a person, where the settings do not fit what a game shows."""
    is_tower = resolve_kind(config, observation_shape) == "resnet"
    if config.heads == "planes" and not has_plane_heads(config, observation_shape, board):
        raise ValueError("net.heads: planes needs a resnet, and a game that says where its actions are; use auto")
    if config.ownership_head and not is_tower:
        raise ValueError("net.ownership_head: only a resnet keeps the cells of a board apart; use false")


def build(
    config: NetConfig,
    observation_shape: Sequence[int],
    num_actions: int,
    num_values: int,
    seed: int = 0,
    board: Board | None = None,
    more_boards: Sequence[Board] = (),
) -> PolicyValueNet:
    """A network with initial weights, on the CPU, in float32 and training mode.

    `board` is what a game says of its board. With heads of planes, the weights fit boards of every size, and the
    network evaluates batches of `board` and of each of `more_boards`. The weights depend on `seed` alone, and torch's
    global generator is left as it was. Raises ValueError where `config.kind`, `heads` or an auxiliary head does not fit
    the game.
    """
    shape = tuple(int(size) for size in observation_shape)
    check_fit(config, shape, board)
    with own_defaults(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not `torch.manual_seed`: it would seed every GPU too
        trunk, new_policy_head, new_value_head = make_parts(config, shape, board, more_boards)
        policy_head, value_head = new_policy_head(num_actions), new_value_head(num_values)
        value_trunk = make_parts(config, shape)[0] if config.separate_value else None
        auxiliary = {}
        if config.reply_head:
            auxiliary["reply"] = new_policy_head(num_actions)
        if config.moves_left_head:
            auxiliary["moves_left"] = new_value_head(1)
        if config.ownership_head:
            auxiliary["ownership"] = _ownership_head(config)
        if config.score_head:
            auxiliary["score"] = nn.Sequential(new_value_head(1), nn.Tanh())
        return PolicyValueNet(
            config, shape, num_actions, num_values, trunk, policy_head, value_head, auxiliary, value_trunk, board
        )


NewHead = Callable[[int], nn.Module]
"""Makes a head with the given number of outputs."""


def _resnet_parts(
    config: NetConfig, shape: tuple[int, ...], board: Board | None, more_boards: Sequence[Board]
) -> tuple[nn.Module, NewHead, NewHead]:
    """The residual tower of a board [C, H, W], and functions that make its policy and value heads."""
    planes, height, width = shape
    has_planes = has_plane_heads(config, shape, board)
    trunk = nn.Sequential(
        convolution(planes, config.channels, 3, config.batch_norm),
        nn.ReLU(),
        *(_block(config, number) for number in range(1, config.blocks + 1)),
    )

    def policy_head(outputs: int) -> nn.Module:
        head = nn.Sequential(convolution(config.channels, config.policy_channels, 1, config.batch_norm), nn.ReLU())
        if has_planes and board is not None:
            return head.append(PlaneLogits(config.policy_channels, board, *more_boards))
        inputs = config.policy_channels * height * width
        return head.append(nn.Flatten()).append(_policy_layer(config)(inputs, outputs))

    def value_head(outputs: int) -> nn.Module:
        inputs = config.value_channels * (3 if has_planes else height * width)
        head = nn.Sequential(
            convolution(config.channels, config.value_channels, 1, config.batch_norm),
            nn.ReLU(),
            BoardSummary() if has_planes else nn.Flatten(),
        )
        if config.value_hidden > 0:
            head.append(dense(inputs, config.value_hidden, config.batch_norm)).append(nn.ReLU())
        return head.append(output_layer(config.value_hidden or inputs, outputs))

    return trunk, policy_head, value_head


def _ownership_head(config: NetConfig) -> nn.Module:
    """A number within [-1, 1] for each cell of the board, from a trunk that keeps the board."""
    last = nn.Conv2d(config.value_channels, 1, 1)
    nn.init.normal_(last.weight, std=0.1 / math.sqrt(config.value_channels))
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    first = convolution(config.channels, config.value_channels, 1, config.batch_norm)
    return nn.Sequential(first, nn.ReLU(), last, nn.Flatten(1, 2), nn.Tanh())


def _block(config: NetConfig, number: int) -> nn.Module:
    """Block `number` of the tower, counted from 1."""
    pools = config.pooling_every > 0 and number % config.pooling_every == 0
    return (PoolingBlock if pools else ResidualBlock)(config.channels, config.batch_norm)


def _mlp_parts(
    config: NetConfig, shape: tuple[int, ...], board: Board | None, more_boards: Sequence[Board]
) -> tuple[nn.Module, NewHead, NewHead]:
    """The trunk of a multilayer perceptron, and functions that make its policy and value heads."""
    widths = [math.prod(shape)] + [config.hidden] * config.layers
    trunk = nn.Sequential(nn.Flatten())
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        trunk.append(dense(inputs, outputs, config.batch_norm, config.activation))
        trunk.append(ACTIVATIONS[config.activation]())
    return trunk, *_flat_heads(config, widths[-1])


def _nature_parts(
    config: NetConfig, shape: tuple[int, ...], board: Board | None, more_boards: Sequence[Board]
) -> tuple[nn.Module, NewHead, NewHead]:
    """The trunk for screens (Mnih et al. 2015, "Model architecture"), and functions that make its heads."""
    first, later = config.channels, 2 * config.channels
    cells = math.prod(((((side - 8) // 4 + 1) - 4) // 2 + 1) - 2 for side in shape[1:])
    trunk = nn.Sequential(
        convolution(shape[0], first, 8, config.batch_norm, stride=4),
        nn.ReLU(),
        convolution(first, later, 4, config.batch_norm, stride=2),
        nn.ReLU(),
        convolution(later, later, 3, config.batch_norm, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        dense(later * cells, config.hidden, config.batch_norm),
        nn.ReLU(),
    )
    return trunk, *_flat_heads(config, config.hidden)


def _flat_heads(config: NetConfig, inputs: int) -> tuple[NewHead, NewHead]:
    """Functions that make policy and value heads behind a trunk with `inputs` outputs."""

    def policy_head(outputs: int) -> nn.Module:
        return _policy_layer(config)(inputs, outputs)

    def value_head(outputs: int) -> nn.Module:
        if config.value_hidden == 0:
            return output_layer(inputs, outputs)
        return nn.Sequential(
            dense(inputs, config.value_hidden, config.batch_norm, config.activation),
            ACTIVATIONS[config.activation](),
            output_layer(config.value_hidden, outputs),
        )

    return policy_head, value_head


def _policy_layer(config: NetConfig) -> Callable[[int, int], nn.Module]:
    """Makes the last layer of a policy head."""
    return GaussianHead if config.policy == "gaussian" else output_layer


def _table_parts(
    config: NetConfig, shape: tuple[int, ...], board: Board | None, more_boards: Sequence[Board]
) -> tuple[nn.Module, NewHead, NewHead]:
    """A trunk that does nothing, and functions that make heads of zeros: a row for every one-hot observation."""
    if config.policy == "gaussian":
        raise ValueError("net.kind: a table has a row for each of finitely many states and actions; use auto or mlp")

    def head(outputs: int) -> nn.Module:
        layer = nn.Linear(math.prod(shape), outputs, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    return nn.Flatten(), head, head


def make_parts(
    config: NetConfig,
    observation_shape: tuple[int, ...],
    board: Board | None = None,
    more_boards: Sequence[Board] = (),
) -> tuple[nn.Module, NewHead, NewHead]:
    """The trunk of the kind that `config` names, and functions that make policy and value heads behind it.

    Raises ValueError for a kind that does not fit the observation.
    """
    return _PARTS[resolve_kind(config, observation_shape)](config, observation_shape, board, more_boards)


_PARTS = {"resnet": _resnet_parts, "mlp": _mlp_parts, "nature": _nature_parts, "table": _table_parts}
"""Functions by `NetConfig.kind`: they return the trunk, and functions that make policy and value heads."""
