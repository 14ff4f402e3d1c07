"""What a replay of games is asked for when a run goes on: its games are on disk, and are put into it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from selfplay.experience.records import GameRecord, TargetRecord


@runtime_checkable
class GamesReplay(Protocol):
    """A replay whose records are finished games (`selfplay.algorithms.algorithm.Replay`)."""

    total: int
    """Rows ever added."""

    @property
    def capacity(self) -> int:
        """Rows that are kept at most."""
        ...

    def rows_of(self, record: GameRecord | TargetRecord) -> int:
        """Number of rows that a game gets."""
        ...

    def add(self, record: GameRecord | TargetRecord) -> None:
        """Keep a game."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Count on from `kept` rows, for an empty replay."""
        ...
