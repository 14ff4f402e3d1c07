"""What a run will need of memory and disk, against what there is: refused before anything is made.

The estimates are low on purpose. A run that is refused could not have worked; one that is not may still be too large
(`selfplay plan` measures).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.system.machine import free_memory

LEAST_DISK = 64_000_000
"""Bytes for metrics and games, beside the checkpoints."""


@dataclass(frozen=True)
class MemoryNeed:
    """Memory that a setting asks for."""

    setting: str
    what: str
    """What takes it, in the plural."""
    bytes: int
    """At least."""


@dataclass(frozen=True)
class PlayNeed:
    """What must have been played before the first step of the learner, because of a setting."""

    setting: str
    positions: int
    """At least."""
    games: int = 0
    """Finished ones, at least."""


@dataclass(frozen=True)
class Needs:
    """What an algorithm asks of a run."""

    min_positions: int
    """Positions in the replay before the first step of the learner."""
    sample_reuse: float
    """Samples for each new position at most."""
    memory: tuple[MemoryNeed, ...] = ()
    """What will take much memory."""
    first_step: tuple[PlayNeed, ...] = ()
    """What the first step of the learner waits for."""


def first_batch(settings: Config, min_positions: int, sample_reuse: float) -> list[PlayNeed]:
    """What any algorithm waits for: enough positions in the replay, and as many as a batch may be drawn from."""
    batch = math.ceil(max(1, settings.learner.batch_size) / sample_reuse)
    return [
        PlayNeed("replay.min_positions", min_positions),
        PlayNeed("learner.batch_size over replay.sample_reuse", batch),
    ]


def require_memory(needs: Iterable[MemoryNeed]) -> None:
    """Raise UserError for the first that is more than what is free."""
    free = free_memory()
    for need in needs:
        if need.bytes > free:
            raise UserError(
                f"{need.setting}: {need.what} take at least {size(need.bytes)} of memory, {size(free)} are free"
            )


def require_disk(folder: Path, checkpoints: int, replay: int = 0) -> None:
    """Raise UserError when the file system of `folder`, which need not exist, has no room for so many bytes of
    checkpoints and of a saved replay, and a little more."""
    place = folder.absolute()
    while not place.is_dir():
        place = place.parent
    free, needed = shutil.disk_usage(place).free, checkpoints + replay + LEAST_DISK
    if needed > free:
        what, hint = ("checkpoints and games", "make room first")
        if replay:
            what, hint = ("checkpoints and the replay", "make room first, or leave checkpoint.replay out")
        raise UserError(f"disk full: {folder} needs at least {size(needed)} for {what}, {size(free)} are free; {hint}")


def size(count: int) -> str:
    """Bytes for people."""
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    if count >= 1e6:
        return f"{count / 1e6:,.0f} MB"
    return f"{count / 1e3:,.0f} kB"
