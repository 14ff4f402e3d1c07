"""Engines: a `WorldModel` on a device in one number type, for `nets.world_inference`, which decides which to use.

An engine builds its network once, without batch normalisation, and weights are copied into it in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nets.backends import channels_last, input_dtype, trace
from nets.config import NetConfig
from nets.world_model import Prediction, WorldModel, WorldSizes, build_world_model


class Engine(ABC):
    """The network in one number type. Latents are arrays as the engine keeps them."""

    latent_shape: tuple[int, ...]
    latent_dtype: np.dtype

    @abstractmethod
    def initial(self, observations: np.ndarray) -> list[np.ndarray]:
        """The outputs of `WorldModel.initial`."""

    @abstractmethod
    def recurrent(self, latents: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
        """The outputs of `WorldModel.recurrent` that there are."""

    def departure(self, latents: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
        """The outputs of `WorldModel.departure`, where the model has chance codes."""
        raise RuntimeError("a model without chance codes has no afterstates")

    @abstractmethod
    def load(self, folded: Mapping[str, Tensor]) -> None:
        """Overwrite the weights with those of `fold_batch_norm`."""


class _Function(nn.Module):
    """`initial`, `recurrent` or `departure` as a function of tensors alone, with outputs in float32."""

    def __init__(self, twin: WorldModel, dtype: torch.dtype, name: str) -> None:
        super().__init__()
        self.twin, self.dtype, self.name = twin, dtype, name

    def forward(self, x: Tensor, *choice: Tensor) -> tuple[Tensor, ...]:
        x = x if self.name == "initial" else x.to(self.dtype)  # an observation is prepared by the network
        said = getattr(self.twin, self.name)(_by_channels(x), *choice)
        outputs = _outputs(said) if isinstance(said, Prediction) else said
        return tuple(output.float().contiguous() for output in outputs)


def _by_channels(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _outputs(prediction: Prediction) -> list[Tensor]:
    """The outputs that there are, in a fixed order."""
    optional = [output for output in (prediction.reward, prediction.seat_logits) if output is not None]
    return [prediction.latent, prediction.policy_logits, prediction.value, *optional]


class TracedEngine(Engine):
    """The network in floats."""

    latent_dtype = np.dtype(np.float32)

    def __init__(self, config: NetConfig, sizes: WorldSizes, dtype: torch.dtype, device: torch.device) -> None:
        twin = build_world_model(replace(config, batch_norm=False), replace(sizes, projects=False))
        self.twin = channels_last(twin.eval().requires_grad_(False).to(device=device, dtype=dtype))
        if twin.normaliser is not None:
            twin.normaliser.float()
        self.device, self.latent_shape = device, twin.latent_shape
        observation = torch.zeros(2, *sizes.observation_shape, dtype=input_dtype(config), device=device)
        latent = torch.zeros(2, *twin.latent_shape, device=device)
        action = sizes.no_actions(2).to(device)
        self._initial = trace(_Function(twin, dtype, "initial").eval(), observation)
        self._recurrent = trace(_Function(twin, dtype, "recurrent").eval(), latent, action)
        self._departure = None
        if sizes.chance_codes:
            self._departure = trace(_Function(twin, dtype, "departure").eval(), latent, action)

    def initial(self, observations: np.ndarray) -> list[np.ndarray]:
        """See `Engine.initial`."""
        with torch.inference_mode():
            outputs = self._initial(torch.from_numpy(observations).to(self.device))
        return [output.cpu().numpy() for output in outputs]

    def recurrent(self, latents: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
        """See `Engine.recurrent`."""
        return self._asked(self._recurrent, latents, actions)

    def departure(self, latents: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
        """See `Engine.departure`."""
        if self._departure is None:
            return super().departure(latents, actions)
        return self._asked(self._departure, latents, actions)

    def _asked(self, function: Callable[..., Any], latents: np.ndarray, choices: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            given = torch.from_numpy(latents).to(self.device), torch.from_numpy(choices).to(self.device)
            outputs = function(*given)
        return [output.cpu().numpy() for output in outputs]

    def load(self, folded: Mapping[str, Tensor]) -> None:
        """See `Engine.load`."""
        with torch.no_grad():
            for name, tensor in self.twin.state_dict().items():
                tensor.copy_(folded[name])
