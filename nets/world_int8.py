"""The steps of a search in a learned model of a board, in bytes: `nets.int8` for `WorldModel.recurrent`.

Latents are scaled to [0, 1], so a byte with the step 1/255 holds one, and no scale has to be found for it. What an
action adds in the first convolution of the dynamics does not depend on the latent: it is a table. The scales of the
layers between come from latents as a search has them, after random moves from real positions. Representation and new
weights that lose too much in bytes are left to an engine with floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from nets.int8 import LEVELS, MAX_POLICY_ERROR, MAX_VALUE_ERROR, ByteConvolution, ByteHead, Scale, byte_blocks
from nets.world_engines import Engine, TracedEngine
from nets.world_model import BoardDynamics, WorldModel, scaled

UNIT = Scale(1.0 / LEVELS, 0)
"""The scale of latents."""

CALIBRATION_STEPS = 5
"""Random moves after which latents are looked at, as many as the errors are measured after."""


TABLE_BYTES = 1 << 24
"""Largest memory of the table of actions; games with more actions are left to floats."""


def is_supported(twin: WorldModel) -> bool:
    """True for a model of a board without thousands of actions or chance, on a CPU with instructions for bytes.

    With chance codes the steps of a search go to afterstates and on from there, in turn; the bytes know one kind.
    """
    has_instructions = torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()
    if not (has_instructions and isinstance(twin.dynamics, BoardDynamics)) or twin.sizes.chance_codes:
        return False
    return 4 * twin.sizes.num_actions * math.prod(twin.latent_shape) <= TABLE_BYTES


class _Tower:
    """Dynamics and heads in bytes, made from float weights and latents that show how large activations get."""

    def __init__(self, twin: WorldModel, latents: Tensor, actions: Tensor) -> None:
        dynamics = twin.dynamics
        assert isinstance(dynamics, BoardDynamics)
        self.number = twin.number
        every = torch.arange(dynamics.planes.num_embeddings)
        added = dynamics.action_entry(dynamics.action_planes(every, torch.float32))  # [A, C, H, W]
        low, high = min(0.0, float(added.min())), 1.0 + max(0.0, float(added.max()))
        self.residual_scale = Scale.of(torch.tensor([low, high]))
        self._from_bytes = 1.0 / (LEVELS * self.residual_scale.step)
        table = added / self.residual_scale.step + self.residual_scale.zero_point + 0.5
        self.table = table.contiguous(memory_format=torch.channels_last)
        x = torch.relu(latents + dynamics.entry(latents) + added[actions])
        target = Scale.of(x)
        self.entry = ByteConvolution(dynamics.entry.layer, UNIT, target)  # type: ignore[arg-type]
        self.blocks, _ = byte_blocks(dynamics.blocks, x, target)
        heads = (twin.policy_head, twin.value_head, twin.reward_head, twin.seat_head)
        self.heads = [None if head is None else ByteHead(head, UNIT) for head in heads]  # type: ignore[arg-type]

    def __call__(self, latents: UInt8[Tensor, "B C H W"], actions: Int[Tensor, " B"]) -> list[Tensor]:
        """The outputs of `WorldModel.recurrent` that there are, the latents as bytes."""
        residual = latents.to(torch.float32).mul_(self._from_bytes).add_(self.table[actions])
        residual = residual.clamp_(0, LEVELS).to(torch.uint8).contiguous(memory_format=torch.channels_last)
        x = self.entry.add_relu(latents, residual, self.residual_scale)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        # The last sum stays in floats: of a range of bytes that all latents share, each would use a part.
        source = last.source
        total = last.second.plain(last.first.relu(x)).add_(
            x.to(torch.float32).sub_(source.zero_point), alpha=source.step
        )
        following = as_bytes(scaled(total.relu_()))
        policy, value, *others = (None if head is None else head(following) for head in self.heads)
        assert policy is not None and value is not None
        reward, seats = others
        outputs = [following, policy, self.number(value)]
        outputs += [] if reward is None else [self.number(reward)]
        return outputs if seats is None else [*outputs, seats]


def as_bytes(latents: Float[Tensor, "B C H W"]) -> UInt8[Tensor, "B C H W"]:
    """Latents within [0, 1] in bytes of `UNIT`; overwrites them."""
    return latents.mul_(LEVELS).add_(0.5).to(torch.uint8)


class Int8Engine(Engine):
    """Steps in bytes, or in floats for versions that lose too much by it. Latents are bytes [H, W, C]."""

    latent_dtype = np.dtype(np.uint8)

    def __init__(self, floats: TracedEngine, calibration: Float[np.ndarray, "B ..."]) -> None:
        """`floats` has the network in float32. `calibration` are positions as they come up in the game."""
        self.twin = floats.twin
        channels, height, width = self.twin.latent_shape
        self.latent_shape = (height, width, channels)
        self._floats, self._calibration = floats, calibration
        rng = np.random.default_rng(0)
        size = (CALIBRATION_STEPS, len(calibration))
        self._actions = rng.integers(0, self.twin.sizes.num_actions, size=size)
        self.value_error = self.policy_error = 0.0
        self._tower: _Tower | None = None
        self._make_tower()

    def initial(self, observations: np.ndarray) -> list[np.ndarray]:
        """The outputs of `WorldModel.initial`."""
        latents, *others = self._floats.initial(observations)
        return [_as_bytes(latents), *others]

    def recurrent(self, latents: UInt8[np.ndarray, "B H W C"], actions: Int[np.ndarray, " B"]) -> list[np.ndarray]:
        """The outputs of `WorldModel.recurrent`."""
        if self._tower is None:
            given = np.ascontiguousarray(latents.transpose(0, 3, 1, 2), np.float32)
            given /= LEVELS
            following, *others = self._floats.recurrent(given, actions)
            return [_as_bytes(following), *others]
        with torch.inference_mode():
            bytes_, *outputs = self._tower(torch.from_numpy(latents).permute(0, 3, 1, 2), torch.from_numpy(actions))
        return [bytes_.permute(0, 2, 3, 1).contiguous().numpy(), *(output.numpy() for output in outputs)]

    def load(self, folded: Mapping[str, Tensor]) -> None:
        """Overwrite the weights with those of `fold_batch_norm`."""
        self._floats.load(folded)
        self._make_tower()

    def _make_tower(self) -> None:
        """The weights in bytes, unless they lose too much: errors add up from step to step."""
        latents = self._floats.initial(self._calibration)[0]
        exact = [latents]
        for actions in self._actions:
            outputs = self._floats.recurrent(exact[-1], actions)
            exact.append(outputs[0])
        seen, taken = torch.from_numpy(np.concatenate(exact[:-1])), torch.from_numpy(self._actions.reshape(-1))
        with torch.inference_mode():
            plain = seen.contiguous(memory_format=torch.channels_last)
            self._tower = _Tower(self.twin, plain, taken)
        bytes_ = _as_bytes(latents)
        for actions in self._actions:
            bytes_, policy, value, *_ = self.recurrent(bytes_, actions)
        _, exact_policy, exact_value = outputs[:3]
        self.value_error = float(np.sqrt(np.square(value - exact_value).mean()))
        log_policy, log_exact = (torch.log_softmax(torch.from_numpy(x), -1) for x in (policy, exact_policy))
        self.policy_error = float((log_exact.exp() * (log_exact - log_policy)).sum(-1).mean())
        spread = max(1.0, float(np.abs(exact_value).max()))  # of values that are not within [-1, 1]
        if self.value_error > MAX_VALUE_ERROR * spread or self.policy_error > MAX_POLICY_ERROR:
            self._tower = None


def _as_bytes(latents: Float[np.ndarray, "B C H W"]) -> UInt8[np.ndarray, "B H W C"]:
    return np.ascontiguousarray((latents * LEVELS + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))
