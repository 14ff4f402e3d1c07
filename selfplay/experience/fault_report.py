"""What environments and games said that none may say, as lines for a person: once a minute at most.

In the flow: collectors count such episodes and games in `SelfPlayCounts`, the trainer hands the counts on to here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from selfplay.experience.figures import SelfPlayCounts

LINE_SECONDS = 60.0
"""Seconds between two lines at least."""

NUMBER = re.compile(r"-?(?:\d[\d.]*(?:e[-+]\d+)?|inf\b)")
"""A number in a line: lines that differ in their numbers alone are about the same."""


class FaultReport:
    """Counts over the whole run, and says the first at once."""

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`warn` shows a line."""
        self._warn, self._clock = warn, clock
        self._next_line = clock()
        self._unsaid = 0
        self._last = ""
        self._said: set[str] = set()
        self.total = 0
        """Games dropped and episodes cut off."""

    def take(self, counts: SelfPlayCounts) -> None:
        """Take in what an actor has counted since its last message."""
        for text in counts.warnings:
            kind = NUMBER.sub("N", text)
            if kind not in self._said:  # other actors, and later copies of the environment, find the same
                self._said.add(kind)
                self._warn(text)
        if counts.unsound:
            self.total += counts.unsound
            self._unsaid += counts.unsound
            self._last = counts.faults[-1]
        if self._unsaid and self._clock() >= self._next_line:
            self.say()

    def say(self) -> None:
        """A line for what none was said about yet."""
        if not self._unsaid:
            return
        many = "once" if self._unsaid == 1 else f"{self._unsaid} times"
        self._warn(f"play was cut off {many} because of an answer that cannot be used; the last: {self._last}")
        self._unsaid = 0
        self._next_line = self._clock() + LINE_SECONDS
