"""The moments of what a run has observed, by which a network with `input_transform` running normalises observations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from games.soundness import LARGEST
from nets.blocks import RunningNormaliser
from selfplay.stats.moments import RunningMoments


class ObservedMoments:
    """The mean and variance of each number of an observation; of nothing where the network does not normalise."""

    def __init__(self, normaliser: nn.Module | None) -> None:
        """`normaliser` is the network's, if it has one."""
        self.is_kept = isinstance(normaliser, RunningNormaliser)
        self._moments = RunningMoments(
            tuple(normaliser.mean.shape) if isinstance(normaliser, RunningNormaliser) else ()
        )

    def add(self, observations: Shaped[np.ndarray, "n *observation"]) -> None:
        """Count observations; those with numbers that are not finite are left out."""
        if self.is_kept:
            self._moments.add(observations)

    def publish(self, *weights: Mapping[str, Tensor]) -> None:
        """Let networks normalise by the moments so far: their `weights` are changed in place."""
        if not self.is_kept or self._moments.count <= 1:
            return
        for tensors in weights:
            tensors["normaliser.mean"].copy_(torch.from_numpy(self._moments.mean))
            tensors["normaliser.variance"].copy_(torch.from_numpy(np.minimum(self._moments.variance, LARGEST)))

    def state(self) -> dict[str, Tensor]:
        """Tensors to go on from, with `load`."""
        arrays = self._moments.state() if self.is_kept else {}
        return {f"observations.{name}": torch.from_numpy(array) for name, array in arrays.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`, which may have other tensors too; runs from before there were moments have none."""
        arrays = {name: tensor.numpy() for name, tensor in state.items() if name.startswith("observations.")}
        if self.is_kept and arrays:
            self._moments = RunningMoments.from_state(arrays, "observations.")
