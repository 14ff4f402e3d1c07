"""Checkpoints laid out for W&B: a folder that is a run with one version, made of links, so it costs no room.

    RUN_DIR/wandb/weights/00001200/
        config.yaml
        checkpoints/00001200/   weights, counters and manifest; not the state of the optimiser

Downloaded from W&B, such a folder is a PLAYER: `run:FOLDER`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder

STAGING = Path("wandb") / "weights"
"""Where the folders are, in the run's folder."""


def stage(run_dir: Path, version: int) -> tuple[Path, int]:
    """Lay out a version; returns its folder and its size in bytes. Raises OSError where it is not there."""
    run, place = RunFolder(run_dir), run_dir / STAGING / f"{version:08d}"
    shutil.rmtree(place, ignore_errors=True)
    saved, staged = run.checkpoints / f"{version:08d}", place / "checkpoints" / f"{version:08d}"
    staged.mkdir(parents=True)
    names = (checkpoint.WEIGHTS, checkpoint.STATE, checkpoint.MANIFEST)
    pairs = [(run.config, place / run.config.name), *((saved / name, staged / name) for name in names)]
    for source, target in pairs:
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
    return place, sum(target.stat().st_size for _, target in pairs)


def newest(run_dir: Path) -> int | None:
    """The last version that was saved."""
    return max(checkpoint.versions(RunFolder(run_dir).checkpoints), default=None)
