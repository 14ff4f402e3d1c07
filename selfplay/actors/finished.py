"""What an actor has finished, numbered so that a batch that arrives twice counts once.

In the flow: actors make `Finished`, sources hand them to the trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.algorithms.algorithm import Record
from selfplay.experience.figures import SelfPlayCounts


@dataclass(frozen=True)
class Finished:
    """One batch of records."""

    actor_index: int
    """Which actor made it, counted from 0."""
    incarnation: int
    """How often that actor had been replaced before."""
    number: int
    """Which batch of that incarnation it is, counted from 0."""
    records: Sequence[Record]
    counts: SelfPlayCounts
    """What happened since the batch before."""

    @property
    def positions(self) -> int:
        """Positions in the records."""
        return sum(map(len, self.records))


class Deliveries:
    """The last batch of each actor."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}  # by actor: incarnation and number

    def is_new(self, finished: Finished) -> bool:
        """Whether the batch comes for the first time, and remember it. Batches of an actor come in their order."""
        batch = finished.incarnation, finished.number
        if batch <= self._last.get(finished.actor_index, (-1, -1)):
            return False
        self._last[finished.actor_index] = batch
        return True
