"""The W&B mirror of `metrics.jsonl`, which is unable to touch training.

In the flow: the driver opens one `Tracker`, hands it each row that `selfplay.storage.metrics` wrote, and finishes it at
the end. W&B runs in a process of its own (`selfplay.training.wandb_worker`), fed through a bounded queue and a thread,
because its failures reach further than a `try` in the training process does: when its service stops answering, its exit
hook waits for ever, and when its service is killed, the hook prints tracebacks. Here nothing waits for W&B but
`finish`, and that for a bounded time. The first failure is one warning, and then the mirror is off.
"""

from __future__ import annotations

import contextlib
import json
import math
import netrc
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfplay.config.run import WandbConfig
from selfplay.storage.metrics import to_json_value
from selfplay.storage.run_folder import RUNS
from selfplay.training import wandb_worker
from selfplay.training.wandb_run import RUN_ID, VARIABLES, WandbRun, find_run, new_id
from selfplay.training.wandb_weights import stage

MODES = ("auto", "offline", "online", "disabled")

WANDB_MODES = {"online": "online", "run": "online", "shared": "online", "offline": "offline", "dryrun": "offline"}
"""What W&B takes as WANDB_MODE, beside `disabled`."""

FALSE_TEXTS = ("", "0", "f", "false", "n", "no", "off")
"""Values of WANDB_DISABLED that do not disable W&B."""

QUEUE_ROWS = 1000
"""Number of rows that may wait for a slow W&B. Others are dropped, and read from metrics.jsonl later."""

LARGEST_EXACT = 2**53
"""Largest whole number up to which W&B holds all of them."""

INIT_SECONDS = 10.0
"""Seconds that W&B gets for starting."""

_GRACE_SECONDS = 5.0
"""Seconds that its process gets beyond those for its last upload before it is killed."""


FINISHED, FAILED, STOPPED = 0, 1, 255
"""Exit codes as W&B reads them; the last is shown as stopped by a person."""


class Tracker(ABC):
    """Where rows are mirrored. No method raises because of W&B, and only `finish` may wait for it."""

    run_id: str | None = None
    """W&B's id of the run, to be stored and given to `open_tracker` when the run is resumed."""

    where: str | None = None
    """Where to see the run: a URL, or the command that uploads an offline run. None until it is known."""

    @abstractmethod
    def log(self, row: Mapping[str, Any], line: int | None = None) -> None:
        """Mirror one row of `metrics.jsonl`; `line` is its number there, from 0."""

    @abstractmethod
    def summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the run as a whole (a result)."""

    @abstractmethod
    def weights(self, version: int | None, goal: float | None = None) -> None:
        """Send the weights of a saved version, if that is asked for; `goal` is how it did, by `eval/goal`."""

    @abstractmethod
    def show(self, version: int, columns: Sequence[str], rows: Sequence[Sequence[Any]], film: Path | None) -> None:
        """Show games of an evaluation as a table, whose last column has files of pictures, and an episode as a film.

        Belongs to the row that comes next. The files are removed when they were sent.
        """

    @abstractmethod
    def finish(self, exit_code: int = 0) -> None:
        """Send what is left, within a bounded time; a second call does nothing.

        `exit_code` is the state of the run that W&B shows: `FINISHED`, `STOPPED` or `FAILED`.
        """


class NullTracker(Tracker):
    """No mirror."""

    def log(self, row: Mapping[str, Any], line: int | None = None) -> None: ...

    def summary(self, values: Mapping[str, Any]) -> None: ...

    def weights(self, version: int | None, goal: float | None = None) -> None: ...

    def show(self, version: int, columns: Sequence[str], rows: Sequence[Sequence[Any]], film: Path | None) -> None: ...

    def finish(self, exit_code: int = 0) -> None: ...


@dataclass(frozen=True)
class MirroredRun:
    """What W&B is told of a run when its mirror starts."""

    name: str
    """As W&B shows it."""
    folder: Path
    """The run's folder; W&B's files go to `wandb` in it."""
    config: Mapping[str, Any]
    """Settings of the run; what W&B cannot hold is passed as text (`holdable`)."""
    known: WandbRun | None = None
    """The run in W&B that is resumed, or that a new run shall have; None for one with a new id."""
    record: Path | None = None
    """`metrics.jsonl`, from which the rows are read that W&B misses, now or later."""
    lines: int = 0
    """Number of its rows."""


def open_tracker(
    settings: WandbConfig, run: MirroredRun, warn: Callable[[str], None], init_seconds: float = INIT_SECONDS
) -> Tracker:
    """Start the mirror; returns at once, while W&B starts on its own, for `init_seconds` at most.

    `mode_within` says what the environment has to say about `settings.mode`. `warn` takes one-line warnings; it is
    called in the thread that calls the tracker, never in another. Raises ValueError for a mode that is none.
    """
    if settings.mode not in MODES:
        raise ValueError(f"wandb.mode: {settings.mode!r} is none of {', '.join(MODES)}")
    mode = mode_within(os.environ, settings.mode, warn)
    if mode == "disabled":
        return NullTracker()
    megabytes = settings.weights_megabytes
    start = {
        "mode": mode,
        "project": settings.project,
        "entity": settings.entity,
        "name": run.name,
        "run_id": new_id() if run.known is None else run.known.run_id,
        "sweep_id": None if run.known is None else run.known.sweep_id,
        "group": settings.group,
        "tags": list(settings.tags),
        "notes": settings.notes,
        "job_type": settings.job_type,
        "run_dir": str(run.folder.resolve()),
        "config": dict(run.config),
        "record": None if run.record is None else str(run.record.resolve()),
        "lines": run.lines,
        "code": str(Path(__file__).parents[2]),
        "weights_bytes": None if megabytes is None else int(1e6 * megabytes),
        "parent": os.getpid(),
        "init_seconds": init_seconds,
        "finish_seconds": settings.finish_seconds,
    }
    try:
        return WandbTracker(start, warn)
    except OSError as error:
        warn(f"W&B mirror cannot start ({error.strerror}); metrics.jsonl goes on")
        return NullTracker()


def mode_within(environment: Mapping[str, str], mode: str, warn: Callable[[str], None] = lambda text: None) -> str:
    """`offline`, `online` or `disabled`: the setting, unless WANDB_MODE or WANDB_DISABLED allow less.

    `auto` is what WANDB_MODE says, else online with credentials (`have_credentials`) and offline without.
    """
    wanted = environment.get("WANDB_MODE", "").strip().lower()
    if environment.get("WANDB_DISABLED", "").strip().lower() not in FALSE_TEXTS:
        wanted = "disabled"
    elif wanted and wanted != "disabled" and wanted not in WANDB_MODES:
        warn(f"WANDB_MODE={wanted} is none of {', '.join(WANDB_MODES)}, disabled: the W&B mirror is off")
        wanted = "disabled"
    allowed = WANDB_MODES.get(wanted, wanted)
    if "disabled" in (mode, allowed):
        return "disabled"
    if "offline" in (mode, allowed):
        return "offline"
    return "online" if "online" in (mode, allowed) or have_credentials(environment) else "offline"


def run_of_environment(mode: str, run_dir: Path | None) -> Path | None:
    """The run that WANDB_RUN_ID names: `run_dir`, or without one a run in `runs`. None for a new run, and where W&B is
    disabled."""
    if mode_within(os.environ, mode) == "disabled":
        return None
    return find_run(os.environ.get(RUN_ID), run_dir, RUNS)


def have_credentials(environment: Mapping[str, str]) -> bool:
    """Whether W&B could log in: an API key in the environment, or one for its host in the netrc file."""
    if environment.get("WANDB_API_KEY"):
        return True
    host = urlsplit(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    home = environment.get("HOME")
    path = environment.get("NETRC") or (os.path.join(home, ".netrc") if home else "")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False


def holdable(value: Any) -> Any:
    """`value` as W&B can hold it: numbers that are not finite, whole numbers beyond 2^53 (which it would round), text
    that is no UTF-8 and everything that JSON does not know become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {holdable(str(name)): holdable(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [holdable(inner) for inner in value]
    if isinstance(value, int) and abs(value) <= LARGEST_EXACT or isinstance(value, float) and math.isfinite(value):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def encoded(order: Mapping[str, Any]) -> bytes:
    """An order to the worker."""
    return json.dumps(holdable(order), allow_nan=False).encode() + b"\n"


def _environment(start: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of W&B's process: what says which run is meant is in the first order, and not in here.

    The file with the parameters of a sweep is that of the run that the environment names. What W&B prepares for its
    uploads stays in the run's folder.
    """
    hidden = {"WANDB_MODE", "WANDB_DISABLED", *VARIABLES}
    if environment.get(RUN_ID) != start["run_id"]:
        hidden.add("WANDB_SWEEP_PARAM_PATH")
    folder = os.path.join(start["run_dir"], wandb_worker.FOLDER)
    places = {"WANDB_DATA_DIR": folder, "WANDB_CACHE_DIR": os.path.join(folder, wandb_worker.CACHE)}
    return {name: value for name, value in environment.items() if name not in hidden} | places


class WandbTracker(Tracker):
    """The mirror in its process. `start` is the first order to `selfplay.training.wandb_worker`."""

    def __init__(self, start: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        self.run_id = start["run_id"]
        self._warn = warn
        self._finish_seconds = start["finish_seconds"] + _GRACE_SECONDS
        self._is_on = True
        self._dropped, self._lines = 0, start["lines"]
        self._reads_record = start["record"] is not None
        self._sync = ""
        self._run_dir, self._weights_bytes = Path(start["run_dir"]), start["weights_bytes"]
        self._sent: int | None = None  # version whose weights were sent last
        self._warnings: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._orders: queue.Queue[bytes | None] = queue.Queue(QUEUE_ROWS)
        # A session of its own keeps Ctrl-C away from it; -P keeps this folder's modules out of W&B's imports.
        self._process = subprocess.Popen(
            [sys.executable, "-P", wandb_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(start, os.environ),
        )
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._orders.put_nowait(encoded({"start": start}))
        self._writer.start()
        self._reader.start()

    def log(self, row: Mapping[str, Any], line: int | None = None) -> None:
        if line is not None:
            self._lines = line + 1
        values = {name: to_json_value(value) for name, value in row.items()}
        if not self._put({"log": wandb_worker.named(values), "line": line}):
            self._dropped += 1

    def summary(self, values: Mapping[str, Any]) -> None:
        self._put({"summary": {name: to_json_value(value) for name, value in values.items()}})

    def weights(self, version: int | None, goal: float | None = None) -> None:
        if self._weights_bytes is None or version is None or version == self._sent or not self._is_on:
            return
        try:
            folder, size = stage(self._run_dir, version)
        except OSError as error:
            self._warn(f"W&B does not get the weights of version {version}: {error.strerror}")
            return
        if size > self._weights_bytes:
            self._weights_bytes = None
            self._warn(f"W&B gets no weights: a version has {size / 1e6:.3g} MB, wandb.weights_megabytes allows less")
            shutil.rmtree(folder, ignore_errors=True)
        elif self._put({"weights": str(folder), "version": version, "bytes": size, "goal": goal}):
            self._sent = version

    def show(self, version: int, columns: Sequence[str], rows: Sequence[Sequence[Any]], film: Path | None) -> None:
        if rows or film is not None:
            self._put({"show": version, "columns": columns, "rows": rows, "film": film})

    def finish(self, exit_code: int = 0) -> None:
        deadline = time.monotonic() + self._finish_seconds
        if self._is_on:
            try:
                self._orders.put(encoded({"finish": exit_code, "lines": self._lines}), timeout=self._finish_seconds)
                self._orders.put(None, timeout=max(0.0, deadline - time.monotonic()))
                self._process.wait(max(0.0, deadline - time.monotonic()))
            except (queue.Full, subprocess.TimeoutExpired):
                rest = f"; `{self._sync}` sends what is left" if self._sync else ""
                self._warnings.put(f"W&B did not finish in time; metrics.jsonl is complete{rest}")
        self._turn_off()
        if self._dropped and not (self._reads_record and self._process.returncode == 0):
            self._warnings.put(f"W&B was too slow: {self._dropped} rows are missing there; metrics.jsonl is complete")
        self._dropped = 0
        self._pass_warnings_on()

    def _put(self, order: Mapping[str, Any]) -> bool:
        """False where there is no room for the order."""
        self._pass_warnings_on()
        if not self._is_on:
            return True
        if self._process.poll() is not None:
            self._turn_off()
            self._pass_warnings_on()
            return True
        try:
            self._orders.put_nowait(encoded(order))
        except queue.Full:
            return False
        return True

    def _turn_off(self) -> None:
        """End the process if it still runs, and collect what it had to say."""
        if not self._is_on:
            return
        self._is_on = False
        was_running = self._process.poll() is None
        if was_running:
            self._process.kill()
        status = self._process.wait()
        self._reader.join()  # ends with the process, which alone holds the other end of the pipe
        with contextlib.suppress(queue.Full):
            self._orders.put_nowait(None)  # wakes the writer; one that is stuck in the pipe has seen it break
        if not was_running and status not in (0, wandb_worker.WARNED):
            self._warnings.put(f"W&B's process ended with status {status}; its mirror is off, metrics.jsonl goes on")

    def _pass_warnings_on(self) -> None:
        while not self._warnings.empty():
            self._warn(self._warnings.get())

    def _write(self) -> None:
        """Thread: queue to pipe. A worker that hangs holds this thread only."""
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                while (order := self._orders.get()) is not None:
                    pipe.write(order)
                    pipe.flush()
        except OSError:
            pass  # the worker is gone; `_put` finds out

    def _read(self) -> None:
        """Thread: notices of the worker."""
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            for line in pipe:
                if not line.endswith(b"\n"):  # torn: it was killed while writing
                    break
                notice = json.loads(line)
                if "warning" in notice:
                    self._warnings.put(notice["warning"])
                self._sync = notice.get("sync", self._sync)
                self.where = notice.get("where", self.where)
