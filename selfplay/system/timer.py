"""When something is due again."""

from __future__ import annotations

import time


class Timer:
    """Says when its time has come round again. A period of 0 never comes."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._next = time.monotonic() + period

    def due(self) -> bool:
        """True once every `period` seconds; the next period starts now."""
        now = time.monotonic()
        if self._period <= 0 or now < self._next:
            return False
        self._next = now + self._period
        return True
