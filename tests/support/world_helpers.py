"""Small networks of MuZero whose weights are nowhere initial ones, and inputs for them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nets import NetConfig
from nets.world_model import WorldModel, WorldSizes, build_world_model

SMALL = NetConfig(channels=8, blocks=1, hidden=16, layers=2, policy_channels=4, value_channels=4, value_hidden=8)
BOARD = WorldSizes((3, 6, 7), 7, 1)
FLAT = WorldSizes((5,), 3, 1, support=4)
REAL = dataclasses.replace(FLAT, num_actions=6, action_low=(-2.0, 0.0), action_high=(2.0, 3.0))
CASES = [
    pytest.param(SMALL, BOARD, id="board"),
    pytest.param(SMALL, dataclasses.replace(BOARD, num_actions=42), id="cells"),
    pytest.param(SMALL, dataclasses.replace(BOARD, num_actions=10, support=3, num_values=3, num_seats=3), id="learned"),
    pytest.param(SMALL, FLAT, id="flat"),
    pytest.param(SMALL, REAL, id="real"),
    pytest.param(dataclasses.replace(SMALL, batch_norm=False), dataclasses.replace(FLAT, num_seats=2), id="seats"),
]


def randomised(net: WorldModel, seed: int = 0) -> WorldModel:
    """The network with no weight at its initial value, for blocks that start at 0 would hide what they do."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.3)
            elif tensor.is_floating_point() and "planes" not in name:
                spread = 0.3 if tensor.ndim == 1 else (2.0 / tensor[0].numel()) ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
    return net


def world(config: NetConfig, sizes: WorldSizes) -> WorldModel:
    return randomised(build_world_model(config, sizes)).eval()


def observations(sizes: WorldSizes, count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, *sizes.observation_shape, generator=torch.Generator().manual_seed(seed))


def actions(sizes: WorldSizes, *shape: int, seed: int = 2) -> torch.Tensor:
    if sizes.action_low:
        low, high = torch.tensor(sizes.action_low), torch.tensor(sizes.action_high)
        return low + torch.rand(*shape, 2, generator=torch.Generator().manual_seed(seed)) * (high - low)
    return torch.randint(sizes.num_actions, shape, generator=torch.Generator().manual_seed(seed))
