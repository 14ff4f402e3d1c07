"""What a network has to know of a board besides the shape of its observation. Plain numbers, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64


@dataclass(frozen=True, eq=False)
class Board:
    """Where the actions of a game are on its board, how its planes are scaled, and what its end has labels for."""

    size: tuple[int, int]
    """H, W."""
    num_planes: int = 0
    """Planes of the policy; 0 where nobody knows where the actions are."""
    plane: Int64[np.ndarray, " A"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The plane of each action, below 0 for one that is nowhere on the board; empty without planes."""
    cell: Int64[np.ndarray, " A"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Its cell, row * W + column, likewise."""
    scaling: tuple[Float32[np.ndarray, " C"], Float32[np.ndarray, " C"]] | None = None
    """Offset and factor of each plane of the observation: a network reads `(x - offset) * factor`."""

    @property
    def num_elsewhere(self) -> int:
        """Number of actions that are nowhere on the board, such as a pass."""
        return int((self.cell < 0).sum())
