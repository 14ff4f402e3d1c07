"""Which run in W&B a run is: what the environment says at its start, remembered in its folder.

In the flow: `train` asks the environment once, when a run begins. Settings go into `config.yaml`, id and sweep into
`wandb.json`. A resumed run reads both and does not ask the environment again, because there another run may be meant.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfplay.config.run import WandbConfig
from selfplay.storage.files import publish

FILE = "wandb.json"
"""File in the run's folder with id and sweep. It stays when somebody removes the folder `wandb`."""

RUN_ID, SWEEP_ID = "WANDB_RUN_ID", "WANDB_SWEEP_ID"

SETTINGS = {
    "WANDB_PROJECT": "project",
    "WANDB_ENTITY": "entity",
    "WANDB_RUN_GROUP": "group",
    "WANDB_NOTES": "notes",
    "WANDB_JOB_TYPE": "job_type",
}
"""Variables of W&B that stand for settings, by their names in `WandbConfig`. WANDB_TAGS is a list, with commas."""

VARIABLES = (*SETTINGS, "WANDB_TAGS", RUN_ID, SWEEP_ID, "WANDB_RESUME", "WANDB_NAME", "WANDB_RUN_DIR")
"""Variables that say which run is meant; the process of W&B does not see them."""


@dataclass(frozen=True)
class WandbRun:
    """A run in W&B."""

    run_id: str
    sweep_id: str | None = None


def with_environment(settings: WandbConfig, environment: Mapping[str, str]) -> WandbConfig:
    """The settings of a new run. Variables of W&B that are set win, as WANDB_MODE does.

    Raises UserError for values that W&B would refuse.
    """
    found = {name: " ".join(environment.get(variable, "").split()) for variable, name in SETTINGS.items()}
    changes: dict[str, str | tuple[str, ...]] = {name: text for name, text in found.items() if text}
    tags = tuple(filter(None, (tag.strip() for tag in environment.get("WANDB_TAGS", "").split(","))))
    return dataclasses.replace(settings, **changes | ({"tags": tags} if tags else {}))  # type: ignore[arg-type]


def new_run(environment: Mapping[str, str]) -> WandbRun:
    """The run that the environment names (an agent of a sweep does), else one with a new id."""
    return WandbRun(environment.get(RUN_ID) or new_id(), environment.get(SWEEP_ID) or None)


def new_id() -> str:
    """Eight random hexadecimal digits."""
    return secrets.token_hex(4)


def remember(run_dir: Path, run: WandbRun) -> None:
    """Write `wandb.json`. Raises StorageError."""
    publish(run_dir / FILE, json.dumps(dataclasses.asdict(run)).encode() + b"\n")


def remembered(run_dir: Path) -> WandbRun | None:
    """The run of `wandb.json`; None where there is none, or it is damaged."""
    try:
        run = WandbRun(**json.loads((run_dir / FILE).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return run if isinstance(run.run_id, str) and run.run_id else None


def find_run(run_id: str | None, run_dir: Path | None, runs: Path) -> Path | None:
    """The folder of a run that has this id in W&B: `run_dir` if it is given, else one in `runs`; None for no such."""
    folders = [run_dir] if run_dir is not None else sorted(runs.glob("*"))
    for folder in folders:
        known = remembered(folder)
        if run_id and known is not None and known.run_id == run_id and (folder / "config.yaml").is_file():
            return folder
    return None
