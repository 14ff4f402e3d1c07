"""Draws in proportion to priorities that change, in logarithmic time (Schaul et al. 2016, appendix B.2.1)."""

from __future__ import annotations

import games.kernel_cache  # noqa: F401  (first: it finds a place for the kernels)

# isort: split
import numpy as np
from numba import njit


class SumTree:
    """Priorities >= 0 of `size` rows, as leaves of a binary tree whose nodes hold the sums of their children."""

    def __init__(self, size: int) -> None:
        self._leaves = 1 << max(0, (size - 1).bit_length())
        self._nodes = np.zeros(2 * self._leaves)  # node n has the children 2n and 2n + 1; the root is 1

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._nodes[1])

    @property
    def nbytes(self) -> int:
        """Memory of all nodes."""
        return self._nodes.nbytes

    def priorities(self, rows: np.ndarray) -> np.ndarray:
        """The priorities of `rows` int64 [n], float64 [n]."""
        return self._nodes[self._leaves + rows]

    def set(self, rows: np.ndarray, priorities: np.ndarray | float) -> None:
        """New priorities of `rows` int64 [n]; where a row comes twice, the last one stays."""
        _set(self._nodes, self._leaves, rows, np.broadcast_to(np.asarray(priorities, np.float64), rows.shape))

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """`size` rows, int64: one from each of as many equal parts of the total (stratified, as in the paper).

        Raises ValueError where all priorities are 0.
        """
        if self.total <= 0:
            raise ValueError("sum tree: all priorities are 0")
        targets = (np.arange(size) + rng.random(size)) * (self.total / size)
        return _draw(self._nodes, self._leaves, targets)


@njit(cache=True)
def _set(nodes, leaves, rows, priorities):  # type: ignore[no-untyped-def]
    for i in range(rows.shape[0]):
        node = leaves + rows[i]
        nodes[node] = priorities[i]
        node >>= 1
        while node:
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
            node >>= 1


@njit(cache=True)
def _draw(nodes, leaves, targets):  # type: ignore[no-untyped-def]
    rows = np.empty(targets.shape[0], np.int64)
    for i in range(targets.shape[0]):
        node, target = 1, targets[i]
        while node < leaves:
            node *= 2
            # Rounding may lead past the end of the sums; nobody goes where nothing is.
            if target >= nodes[node] and nodes[node + 1] > 0:
                target -= nodes[node]
                node += 1
        rows[i] = node - leaves
    return rows
