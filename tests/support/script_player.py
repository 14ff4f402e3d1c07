"""A player for tests that need certain moves."""

from __future__ import annotations

import numpy as np


class Script:
    """A player that plays given actions."""

    name = "script"

    def __init__(self, *actions: int) -> None:
        self.actions = list(actions)

    def choose(self, pool, slots, histories):
        return np.array([self.actions.pop(0) for _ in slots])

    def close(self):
        pass
