"""Who waits for whom: the learner for positions, the actors for the learner.

In the flow: the trainer asks before each step whether the learner may learn, and tells the source how far ahead it may
play. Both are bound by samples for each position that the replay has kept: `replay.sample_reuse` at most, and
`replay.least_reuse` before the actors play on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from selfplay.config.run import Config
from selfplay.system.preflight import Needs

SLACK = 0.1
"""Share of the replay's window that may be played before the learner has had its least of it."""

BATCHES_AHEAD = 4
"""Batches that the learner may owe while the actors play on."""


class Counted(Protocol):
    """What is asked of the replay."""

    @property
    def total(self) -> int:
        """Positions ever kept."""
        ...

    @property
    def window(self) -> int:
        """Positions that are sampled at present."""
        ...


class SampleReuse:
    """Samples drawn against positions kept, since both are counted under the present settings.

    Settings that change, or a replay that begins empty, start the count again. Samples from before are not counted.
    """

    def __init__(self, config: Config, needs: Needs, replay: Counted) -> None:
        self.min_positions = needs.min_positions
        self.samples = 0
        """Samples ever drawn by the learner."""
        self._replay = replay
        self._most = needs.sample_reuse
        self._least = config.replay.least_reuse or needs.sample_reuse
        self._batch_size = config.learner.batch_size or None  # None: all of a rollout, however many
        self._settings = [config.replay.sample_reuse, config.replay.least_reuse or 0.0]
        self._counted_under: list[float] | None = None
        self._first_kept = self._first_sample = 0

    @property
    def samples_counted(self) -> int:
        """Samples drawn under the present settings."""
        return self.samples - self._first_sample

    @property
    def positions_counted(self) -> int:
        """Positions kept under the present settings."""
        return self._replay.total - self._first_kept

    @property
    def mean(self) -> float:
        """Samples for each position."""
        return self.samples_counted / max(1, self.positions_counted)

    def may_learn(self, all_played: bool) -> bool:
        """Whether there are enough positions for another batch. Where `all_played` is true no more positions will
        come, and each gets its least."""
        if self._replay.total < self.min_positions:
            return False
        return self.owed(self._least if all_played else self._most) >= (self._batch_size or 1)

    def owed(self, reuse: float) -> float:
        """Samples that the learner has still to draw for `reuse` of every position; negative where it drew more."""
        return reuse * self.positions_counted - self.samples_counted

    def ahead(self) -> float:
        """Positions that may be played before the learner has drawn its least of those that are kept.

        It is negative where the actors should wait for the learner.
        """
        slack = self.min_positions + SLACK * self._replay.window
        return slack + (BATCHES_AHEAD * (self._batch_size or 0) - self.owed(self._least)) / self._least

    def draw(self, count: int) -> None:
        """The learner has drawn `count` samples."""
        self.samples += count

    def forget(self, count: int) -> None:
        """`count` positions that were kept are lost from the replay's count; the learner owes what it did."""
        self._first_kept -= count

    def go_on(self, is_same_replay: bool) -> None:
        """Count on from `load_state_dict`; or from here, where the replay or the settings are not the same."""
        if not is_same_replay or self._counted_under not in (None, self._settings):
            self._first_kept, self._first_sample = self._replay.total, self.samples
        self._counted_under = self._settings

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "samples": self.samples,
            "reuse": self._counted_under,
            "reuse_kept": self._first_kept,
            "reuse_samples": self._first_sample,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; runs from before the settings could change have `samples` alone."""
        self.samples = state["samples"]
        self._counted_under = state.get("reuse")
        self._first_kept, self._first_sample = state.get("reuse_kept", 0), state.get("reuse_samples", 0)
