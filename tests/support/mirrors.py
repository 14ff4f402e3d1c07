"""Mirrors in W&B of runs that were never trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selfplay.config.run import WandbConfig
from selfplay.training.tracking import INIT_SECONDS, MirroredRun, Tracker, open_tracker
from selfplay.training.wandb_run import WandbRun


def open_mirror(
    folder: Path,
    warn: Callable[[str], None],
    config: Mapping[str, Any] | None = None,
    *,
    known: WandbRun | None = None,
    record: Path | None = None,
    lines: int = 0,
    init_seconds: float = INIT_SECONDS,
    **settings: Any,
) -> Tracker:
    """The mirror of a run in `folder`, offline where `settings` of `WandbConfig` do not say otherwise."""
    run = MirroredRun("name", folder, config or {}, known, record, lines)
    wandb = WandbConfig(**({"mode": "offline", "finish_seconds": 10.0} | settings))
    return open_tracker(wandb, run, warn, init_seconds)
