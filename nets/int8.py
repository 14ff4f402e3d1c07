"""The residual tower in 8-bit integers: three to four times as fast as float32 on CPUs with VNNI or AMX instructions.

Activations are unsigned bytes with one scale a tensor, weights signed bytes with one scale an output channel, sums
32-bit integers; the last layers of the heads stay in float32. Scales come from a fixed batch of positions, so that an
evaluation depends on the weights and the position alone. The convolutions are oneDNN's, through PyTorch's operators.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nets.backends import Backend, Outputs, channels_last, copy_in_place, padded
from nets.blocks import PoolingBlock, ResidualBlock, mean_and_maximum
from nets.config import NetConfig
from nets.models import PolicyValueNet, resolve_kind
from nets.transforms import inverse_transform_value

MAX_VALUE_ERROR = 0.05
"""Largest difference from float32 of a version's values: the root of its mean square, divided by `output_scale`.

A version that is further away is evaluated in float32."""

MAX_POLICY_ERROR = 0.02
"""Largest mean divergence of a version's policies from float32, in nats.

A version that is further away is evaluated in float32."""

LEVELS = 255
"""Greatest value of an unsigned byte."""


def is_supported(twin: PolicyValueNet) -> bool:
    """True for a network that `has_form`, on a CPU with instructions for bytes; without them float32 is as fast."""
    has_instructions = torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()
    return has_instructions and has_form(twin.config, twin.observation_shape)


def has_form(config: NetConfig, observation_shape: Sequence[int]) -> bool:
    """True for one residual tower, the only network that can be evaluated in bytes.

    Raises ValueError where `config.kind` does not fit the observation.
    """
    is_tower = resolve_kind(config, observation_shape) == "resnet" and not config.separate_value
    return is_tower and config.policy != "gaussian"


@dataclass(frozen=True)
class Scale:
    """`value = (byte - zero_point) * step`."""

    step: float
    zero_point: int

    @staticmethod
    def of(x: Tensor) -> Scale:
        """The scale whose bytes span the values of `x`, zero among them."""
        low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
        step = max(high - low, 1e-6) / LEVELS
        return Scale(step, round(-low / step))


class ByteConvolution:
    """One convolution of the folded network, with its weights in oneDNN's layout."""

    def __init__(self, layer: nn.Conv2d, source: Scale, target: Scale | None, unit: float = 1.0) -> None:
        """`target` None gives float32 results, in multiples of `unit`."""
        assert layer.bias is not None  # normalisation has been folded into it
        self.source, self.target = source, target
        self.bias = layer.bias.detach() / unit
        self.padding = [int(p) for p in layer.padding]
        weight = layer.weight.detach() / unit
        self.steps = weight.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / 127
        self.zero_points = torch.zeros(len(weight), dtype=torch.int32)
        quantised = (weight / self.steps.view(-1, 1, 1, 1)).round().to(torch.int8)
        self.packed = torch.ops.onednn.qconv_prepack(
            quantised, self.steps, source.step, source.zero_point, [1, 1], self.padding, [1, 1], 1
        )

    def plain(self, x: Tensor) -> Tensor:
        """`convolution(x)` in float32."""
        return torch.ops.onednn.qconv2d_pointwise(
            x, self.source.step, self.source.zero_point, self.packed, self.steps, self.zero_points, self.bias,
            [1, 1], self.padding, [1, 1], 1, 1.0, 0, torch.float32, "none", [None], "",
        )  # fmt: skip

    def relu(self, x: Tensor) -> Tensor:
        """`relu(convolution(x))`."""
        step, zero_point, dtype = self._output()
        return torch.ops.onednn.qconv2d_pointwise(
            x, self.source.step, self.source.zero_point, self.packed, self.steps, self.zero_points, self.bias,
            [1, 1], self.padding, [1, 1], 1, step, zero_point, dtype, "relu", [None], "",
        )  # fmt: skip

    def add_relu(self, x: Tensor, residual: Tensor, scale: Scale) -> Tensor:
        """`relu(residual + convolution(x))`, written over `residual`, whose bytes had `scale`."""
        step, zero_point, dtype = self._output()
        return torch.ops.onednn.qconv2d_pointwise.binary(
            x, self.source.step, self.source.zero_point, self.packed, self.steps, self.zero_points, residual, self.bias,
            [1, 1], self.padding, [1, 1], 1, step, zero_point, dtype, scale.step, scale.zero_point,
            "sum", 1.0, "relu", [None], "",
        )  # fmt: skip

    def _output(self) -> tuple[float, int, torch.dtype]:
        if self.target is None:
            return 1.0, 0, torch.float32
        return self.target.step, self.target.zero_point, torch.uint8


class ByteHead:
    """1x1 convolution in bytes, then the rest of the head in float32."""

    def __init__(self, head: nn.Sequential, source: Scale) -> None:
        self.convolution = ByteConvolution(head[0].layer, source, None)  # type: ignore[arg-type]
        self.finish: Callable[[Tensor], Tensor]
        if isinstance(head[2], nn.Flatten):
            self.finish = _flat_layers(list(head)[3:], len(self.convolution.bias))
        else:
            self.finish = head[2:]

    def __call__(self, x: Tensor) -> Tensor:
        return self.finish(self.convolution.relu(x))


def _flat_layers(layers: Sequence[nn.Module], channels: int) -> Callable[[Tensor], Tensor]:
    """Dense layers behind a board of `channels` planes, on the board as it lies in memory, channels last."""
    first = layers[0].layer if hasattr(layers[0], "layer") else layers[0]
    assert isinstance(first, nn.Linear)
    by_channel = first.weight.detach().view(len(first.weight), channels, -1)
    weight = by_channel.transpose(1, 2).reshape(len(first.weight), -1).contiguous()
    bias, rest = first.bias.detach(), nn.Sequential(*layers[1:])

    def run(board: Tensor) -> Tensor:
        flat = board.permute(0, 2, 3, 1).reshape(len(board), -1)
        return rest(nn.functional.linear(flat, weight, bias))

    return run


class ByteBlock:
    """A residual block in bytes; what goes in has the scale `source`, what comes out `target`."""

    def __init__(self, block: ResidualBlock, x: Tensor, source: Scale, target: Scale) -> None:
        """`x` are examples of what goes in, as floats."""
        middle = Scale.of(torch.relu(block.first(x)))
        self.source = source
        self.first = ByteConvolution(block.first.layer, source, middle)  # type: ignore[arg-type]
        self.second = ByteConvolution(block.second.layer, middle, target)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        return self.second.add_relu(self.first.relu(x), x, self.source)


class BytePoolingBlock:
    """A block with global pooling: its convolutions in bytes, what the whole board adds in float32."""

    def __init__(self, block: PoolingBlock, x: Tensor, source: Scale, target: Scale) -> None:
        """`x` are examples of what goes in, as floats."""
        middle = Scale.of(block.middle(x))
        self.source = source
        self.pooled = ByteConvolution(block.pooled.layer, source, None)  # type: ignore[arg-type]
        # Its results are counted in bytes at once; half a byte more makes the cut below a rounding.
        self.first = ByteConvolution(block.first.layer, source, None, unit=middle.step)  # type: ignore[arg-type]
        self.weight = block.bias.weight.detach() / middle.step
        self.bias = block.bias.bias.detach() / middle.step + 0.5
        self.second = ByteConvolution(block.second.layer, middle, target)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        summary = mean_and_maximum(self.pooled.relu(x))
        added = nn.functional.linear(summary, self.weight, self.bias)
        y = self.first.plain(x).add_(added[:, :, None, None]).clamp_(0, LEVELS).to(torch.uint8)
        return self.second.add_relu(y, x, self.source)


def byte_blocks(
    blocks: Iterable[nn.Module], x: Tensor, source: Scale
) -> tuple[list[ByteBlock | BytePoolingBlock], Scale]:
    """The blocks of a tower in bytes, and the scale of what comes out.

    `x` goes into them, as floats here and as bytes of `source` later.
    """
    made: list[ByteBlock | BytePoolingBlock] = []
    for block in blocks:
        following = block(x)
        target = Scale.of(following)
        if isinstance(block, PoolingBlock):
            made.append(BytePoolingBlock(block, x, source, target))
        else:
            assert isinstance(block, ResidualBlock)
            made.append(ByteBlock(block, x, source, target))
        x, source = following, target
    return made, source


class _Tower:
    """The whole network, made from float weights and a batch that shows how large activations get."""

    def __init__(self, twin: PolicyValueNet, calibration: Tensor) -> None:
        self.output_value = twin.output_value
        assert isinstance(twin.trunk, nn.Sequential)
        stem, _, *blocks = twin.trunk
        x = twin.transform_input(calibration)
        self.input_scale = source = Scale.of(x)
        x = torch.relu(stem(x))
        target = Scale.of(x)
        self.stem = ByteConvolution(stem.layer, source, target)  # type: ignore[arg-type]
        self.blocks, target = byte_blocks(blocks, x, target)
        self.policy_head = ByteHead(twin.policy_head, target)  # type: ignore[arg-type]
        self.value_head = ByteHead(twin.value_head, target)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Policy logits and value of transformed observations."""
        scale = self.input_scale
        x = torch.round(x / scale.step).add_(scale.zero_point).clamp_(0, LEVELS).to(torch.uint8)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem.relu(x)
        for block in self.blocks:
            x = block(x)
        return self.policy_head(x), self.output_value(self.value_head(x))


class Int8Backend(Backend):
    """The network on the CPU in bytes; in float32 for versions that lose too much by it."""

    mode = "int8"
    dtype = torch.int8

    def __init__(self, twin: PolicyValueNet, calibration: Float[np.ndarray, "B ..."]) -> None:
        """Takes `twin` over. `calibration` are positions as they come up in the game."""
        self._twin = channels_last(twin)
        self._calibration = torch.from_numpy(np.ascontiguousarray(calibration))
        self._shape = twin.observation_shape
        self._padded: dict[int, np.ndarray] = {}
        self.value_error = self.policy_error = 0.0
        with torch.inference_mode():
            self._tower: _Tower | None = _Tower(self._twin, self._calibration)

    def run(self, observations: Float[np.ndarray, "B ..."], bucket: int) -> Outputs:
        count = len(observations)
        observations = padded(observations, bucket, self._padded)
        with torch.inference_mode():
            x = self._twin.transform_input(torch.from_numpy(observations))
            policy_logits, value = self._tower(x) if self._tower else self._twin.evaluate(x)
            value = inverse_transform_value(value, self._twin.config.value_transform)
        return policy_logits.numpy()[:count], value.numpy()[:count]

    def copy_weights(self, folded: Mapping[str, Tensor]) -> None:
        copy_in_place(self._twin, folded)
        with torch.inference_mode():
            tower = _Tower(self._twin, self._calibration)
            x = self._twin.transform_input(self._calibration)
            (policy, value), (exact_policy, exact_value) = tower(x), self._twin.evaluate(x)
            self.value_error = float((value - exact_value).square().mean().sqrt()) / self._twin.config.output_scale
            log_policy, log_exact = torch.log_softmax(policy, -1), torch.log_softmax(exact_policy, -1)
            self.policy_error = float((log_exact.exp() * (log_exact - log_policy)).sum(-1).mean())
        is_close = self.value_error <= MAX_VALUE_ERROR and self.policy_error <= MAX_POLICY_ERROR
        self._tower = tower if is_close else None
