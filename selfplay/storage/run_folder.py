"""The folder of one run: where its files are, and the lock that keeps a second run out.

RUN_DIR/
    config.yaml           what was asked for; a folder with this file is a run
    metrics.jsonl         the record, one line a report
    checkpoints/          selfplay.storage.checkpoint
    games/                selfplay.storage.shards
    replay/               selfplay.replay.saved
    weights.safetensors   the network that the actors play now
    wandb.json            selfplay.training.wandb_run
    run.lock              held by the driver; says who holds it
"""

from __future__ import annotations

import difflib
import re
import time
from pathlib import Path
from types import TracebackType

from selfplay.console.shell import folder_word, is_text, shell_command
from selfplay.errors import UserError
from selfplay.storage.files import storage_errors, sweep_temporaries
from selfplay.storage.locks import FolderLock

RUNS = Path("runs")
"""Parent of the runs whose folder was not named."""

CARD = "card.json"
"""File that makes a folder one of the trained networks that come with the program: nothing can go on from it."""

RATINGS = "ratings"
"""Folder in a run's folder: the games that rate its checkpoints."""


class RunFolder:
    """Paths of a run, and its lock if it was opened for writing. Also a context manager that gives the lock back."""

    def __init__(self, path: Path) -> None:
        """A handle without a lock and without checks; use `create`, `resume` or `open`."""
        self.path = path
        self._lock: FolderLock | None = None

    @property
    def config(self) -> Path:
        """The configuration; publish it right after `create`, it is what makes the folder a run."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """The metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints (made by the first one)."""
        return self.path / "checkpoints"

    @property
    def games(self) -> Path:
        """Folder of game shards (made by the first one)."""
        return self.path / "games"

    @property
    def replay(self) -> Path:
        """Folder of the replay of transitions (made when a run stops that saves it)."""
        return self.path / "replay"

    @property
    def weights(self) -> Path:
        """The weights that actors read."""
        return self.path / "weights.safetensors"

    @property
    def lock_file(self) -> Path:
        """The file whose `flock` is the lock; it is never removed."""
        return self.path / "run.lock"

    @classmethod
    def create(cls, path: Path | None, name: str, parent: Path = RUNS) -> RunFolder:
        """Make and lock the folder of a new run: `path`, or `parent/NAME-TIME` when it is None.

        Raises `UserError` when `path` holds a run already, another process holds its lock, or the text of a player
        could not name it; nothing is changed then.
        """
        if path is None:
            path = make_fresh(parent, name)
        if ":" in str(path) or re.search(r"@\d+$", str(path)):
            raise UserError(
                f"{path}: `:`, and `@` with digits at the end, mean something else in the text of a player; "
                "name another folder"
            )
        if not is_text(path):
            raise UserError(f"{path}: the name is no UTF-8, and files of text could not hold it; name another folder")
        run = cls(path)
        run._refuse_existing()
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        run._lock = FolderLock(run.lock_file)
        try:
            run._refuse_existing()  # another process may have created it between the check and the lock
        except UserError:
            run.close()
            raise
        return run

    @classmethod
    def resume(cls, path: Path) -> RunFolder:
        """Lock an existing run and sweep away what a killed run left half written.

        Raises `UserError` when there is no such run (with near names), when it is a network that comes with the
        program, or when another process holds its lock.
        """
        run = cls.open(path)
        if (path / CARD).exists():
            raise UserError(
                f"{path} has a trained network and nothing to go on from; start a run with "
                f"`{shell_command('train', 'CONFIG', '--init', folder_word(path))}`"
            )
        run._lock = FolderLock(run.lock_file)
        for folder in (run.path, run.checkpoints, run.games, run.replay):
            sweep_temporaries(folder)
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run, for reading only, whether or not it is running. Raises `UserError` when there is none."""
        run = cls(path)
        if run.config.is_file():
            return run
        if path.is_dir():
            raise UserError(f"{path} is not the folder of a run: it has no config.yaml")
        near = _near_runs(path)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{path}: no such run{hint}")

    def close(self) -> None:
        """Give the lock back (the end of the process does the same)."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_existing(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; name a folder for the run")
        for path in (self.config, self.metrics, self.checkpoints, self.games, self.replay, self.weights):
            if path.exists():
                raise UserError(
                    f"{self.path} already holds a run ({path.name}); "
                    f"continue it with `{shell_command('resume', folder_word(self.path))}` or name another folder"
                )


def make_fresh(parent: Path, name: str) -> Path:
    """Make `parent/NAME-TIME`, numbered when two runs start within one second."""
    safe = re.sub(r"[^\w.]+", "_", name).strip("_.") or "run"
    stem = f"{safe}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, attempt = parent / stem, 1
    with storage_errors(path):
        while True:
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                attempt += 1
                path = parent / f"{stem}-{attempt}"


def _near_runs(path: Path) -> list[str]:
    """Up to three runs beside `path`, the latest first, whose names are like its name but for the time."""
    stems = {run.parent: _without_time(run.parent.name) for run in path.parent.glob("*/config.yaml")}
    near = difflib.get_close_matches(_without_time(path.name), set(stems.values()), n=3)
    return [str(run) for run in sorted(stems, reverse=True) if stems[run] in near][:3]


def _without_time(name: str) -> str:
    return re.sub(r"-\d{8}-\d{6}(-\d+)?$", "", name)
