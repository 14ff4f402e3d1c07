"""The process that talks to W&B, started by `selfplay.training.tracking` and by nobody else.

It runs as a plain script and imports nothing of this project, so that it starts fast and can die, hang or be killed
without the training noticing. Orders come in on stdin and notices go out on stdout, one JSON object a line:

    in   {"start": {...}}  once, first; then
         {"log": row, "line": number of the row in metrics.jsonl, from 0}
         {"summary": values}
         {"weights": folder to upload, "version": step, "bytes": size, "goal": eval/goal of the version or null}
         {"show": step, "columns": [text], "rows": [[value, ..., file of a picture]], "film": file or null}
         {"finish": exit status of the run, "lines": number of rows in metrics.jsonl}; so is end of file, with status 1
    out  {"where": text}   where the run can be seen; {"sync": command} what uploads its folder;
         {"warning": text} what went wrong

Row n of metrics.jsonl is step n in W&B. So W&B knows how many rows it has, and the others are read from the file.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import subprocess
import threading
import time
from typing import IO, Any, Literal

AXES = {"step": "train/step", "positions": "train/positions", "time_s": "time/train"}
"""Names in W&B, which sorts charts by the part before the slash, of `selfplay.storage.metrics.AXES`."""

FOLDER, COUNT = "wandb", "mirrored_rows"
"""W&B's folder in the run's folder, and the file in it that says how many rows of metrics.jsonl were passed on."""

# Training metrics against the step of the learner, self-play against the positions it made. W&B's own step is never
# used: it must only rise, and a run resumed from an older checkpoint goes back.
STEP_METRICS = {
    "train/*": "train/step",
    "selfplay/*": "train/positions",
    "eval/*": "train/step",
    "time/*": "train/step",
}

WARNED = 3
"""Exit status after a failure that was told in a warning."""


def main() -> None:
    """Read orders until end of file, then finish. Any failure of W&B is one warning and the end of the process."""
    orders = os.fdopen(_keep_private(0), "r", encoding="utf-8")
    notices = os.fdopen(_keep_private(1), "w", encoding="utf-8")
    try:
        start = json.loads(orders.readline())["start"]
        _end_with_parent(int(start["parent"]), float(start["finish_seconds"]))
        known = known_rows(start)
        run, is_online = start_run(start, notices)
        rows = Rows(run, start, min(known, run.starting_step) if is_online else known)
        weights = Weights(run, start, is_online, rows.best_goal, notices)
        finish(run, serve(run, rows, weights, orders), rows, weights, start, notices)
    except Exception as error:
        notify(notices, "warning", f"W&B failed ({one_line(error)}); its mirror is off, metrics.jsonl goes on")
        os._exit(WARNED)  # W&B's exit hooks would wait for, or write tracebacks about, what just failed


CACHE = "cache"
"""Folder in FOLDER for what W&B keeps of its uploads; it goes when the run ends."""


def known_rows(start: dict[str, Any]) -> int:
    """Number of rows of metrics.jsonl that earlier starts of the run have passed on."""
    folder = os.path.join(start["run_dir"], FOLDER)
    try:
        with open(os.path.join(folder, COUNT)) as file:
            return int(file.read())
    except (OSError, ValueError):  # never mirrored, or before there was this file: then nothing was counted as lost
        return int(start["lines"]) if os.path.isdir(folder) else 0


class Rows:
    """Passes rows on, each once and in the order of metrics.jsonl: what was missed before a row is read from there."""

    def __init__(self, run: Any, start: dict[str, Any], first: int) -> None:
        """`first` is the first row that W&B does not have."""
        self._run, self._record = run, start["record"]
        self._count = os.path.join(start["run_dir"], FOLDER, COUNT)
        self.passed = 0
        """Number of rows since the start."""
        self._next = first
        self.best_goal: float | None = None
        """The highest of earlier starts."""
        if self._record is not None:
            self._find_goals(start["lines"])
            self.fill(start["lines"])

    def log(self, row: dict[str, Any], line: int | None) -> None:
        """Pass on one row, and those that are missing before it; none that was passed on already."""
        if line is None or self._record is None:
            self._pass(row)
        elif line >= self._next:
            self.fill(line)
            self._pass(row)
            self._set_next(line + 1)

    def fill(self, end: int) -> None:
        """Pass on the rows of the record that are missing before row `end`."""
        if self._record is None or self._next >= end:
            return
        with open(self._record, "rb") as file:
            for text in itertools.islice(file, self._next, end):
                try:
                    self._pass(named(json.loads(text)))
                except (ValueError, AttributeError):  # damaged, or no object
                    continue
        self._set_next(end)

    def _pass(self, row: dict[str, Any]) -> None:
        self._run.log(row)
        self.passed += 1

    def _set_next(self, line: int) -> None:
        self._next = line
        with open(self._count, "w") as file:
            file.write(f"{line}\n")

    def _find_goals(self, lines: int) -> None:
        """The newest evaluation of earlier starts into the summary, which begins anew in an offline run.

        Their rows are the first `lines`; while W&B starts, the training writes more, which come as orders.
        """
        rows = []
        if os.path.exists(self._record):
            with open(self._record, "rb") as file:
                earlier = itertools.islice(file, lines)
                rows = [named(json.loads(text)) for text in earlier if b'"eval/goal"' in text and text.endswith(b"}\n")]
        if rows:
            self._run.summary.update({name: value for name, value in rows[-1].items() if name.startswith("eval/")})
            self.best_goal = max((row["eval/goal"] for row in rows if "eval/goal" in row), default=None)


def named(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics.jsonl as W&B gets it."""
    return {AXES.get(name, name): value for name, value in row.items() if value is not None}


ROOM_SECONDS = 5.0
"""Seconds that W&B gets to take the version before a new one and to remove old ones. Rows wait that long at most."""


class Weights:
    """Uploads versions of the weights as one artifact, and keeps all of them together within a number of bytes.

    An online run uploads each version when it comes, after it has made room by removing the oldest. An offline run
    cannot remove what it has written, so it writes the newest and the best version at its end.
    """

    def __init__(
        self, run: Any, start: dict[str, Any], is_online: bool, best_goal: float | None, notices: IO[str]
    ) -> None:
        self._run, self._is_online, self._limit, self._notices = run, is_online, start["weights_bytes"], notices
        self._staging = os.path.join(start["run_dir"], FOLDER, "weights")
        self._name = f"weights-{start['run_id']}"
        self._best = best_goal
        self._waiting: dict[str, dict[str, Any]] = {}  # orders of an offline run by alias
        self._sent: Any = None  # artifact that is perhaps still on its way
        self._has_failed, self._is_there = False, False
        self._removal: threading.Thread | None = None

    def add(self, order: dict[str, Any]) -> None:
        """A version: `latest` from now on, and `best` where its goal is the highest so far."""
        goal = order["goal"]
        is_best = goal is not None and (self._best is None or goal > self._best)
        self._best = goal if is_best else self._best
        aliases = ["latest", *(["best"] if is_best else [])]
        if not self._is_online:
            self._waiting |= dict.fromkeys(aliases, order)
            self._tidy(keep=[one["weights"] for one in self._waiting.values()])
        elif not (self.make_room(self._limit - order["bytes"]) and self._log(order, aliases)):
            shutil.rmtree(order["weights"], ignore_errors=True)

    def end(self) -> None:
        """The orders of an offline run that were kept until its end."""
        orders = {one["weights"]: one for one in self._waiting.values()}
        if sum(one["bytes"] for one in orders.values()) > (self._limit or 0):
            orders = {one["weights"]: one for alias, one in self._waiting.items() if alias == "latest"}
        for folder, order in sorted(orders.items()):
            self._log(order, [alias for alias, one in self._waiting.items() if one["weights"] == folder])

    def uploaded(self) -> None:
        """Everything has arrived: the folders are not needed any more."""
        if self._is_online and self._limit is not None:
            self._tidy(keep=[])
            self.make_room(self._limit)

    def make_room(self, room: int) -> bool:
        """Remove the oldest versions until all have at most `room` bytes; the best one goes last. False on failure, and
        after `ROOM_SECONDS` without success. One that hangs is left to itself, and until it ends each call fails."""
        failures: list[Exception] = []

        def remove() -> None:
            try:
                self._remove_until(room)
            except Exception as error:
                failures.append(error)

        if self._removal is None or not self._removal.is_alive():
            self._removal = threading.Thread(target=remove, daemon=True)
            self._removal.start()
            self._removal.join(ROOM_SECONDS)
        if self._removal.is_alive():
            failures.append(TimeoutError(f"not done within {ROOM_SECONDS:g} s"))
        if failures:
            reason = one_line(failures[0])
            return self._fail(f"W&B could not make room for weights ({reason}); it gets no new ones until it can")
        return True

    def _remove_until(self, room: int) -> None:
        import wandb

        if self._sent is not None:  # a version counts only when it has arrived
            try:
                self._sent.wait()
                self._is_there = True
            except ValueError as error:  # what the server answered; other failures are asked again next time
                self._fail(f"W&B did not take weights ({one_line(error)}); rows are still sent")
            self._sent = None
        api = wandb.Api(timeout=30)
        path = f"{self._run.entity}/{self._run.project}/{self._name}"
        # Asked for only while nothing has arrived: it calls most failures a collection that is not there.
        if not self._is_there and not (self._run.resumed and api.artifact_collection_exists(path, "model")):
            return
        versions = sorted(api.artifacts("model", path), key=lambda one: int(one.version[1:]))
        for version in sorted(versions, key=lambda one: "best" in one.aliases):
            if sum(one.size for one in versions) <= room:
                break
            version.delete(delete_aliases=True)
            versions.remove(version)

    def _fail(self, text: str) -> bool:
        """Say once that weights are not sent. Rows are still passed on."""
        if not self._has_failed:
            self._has_failed = True
            notify(self._notices, "warning", text)
        return False

    def _log(self, order: dict[str, Any], aliases: list[str]) -> bool:
        """False where W&B does not take them."""
        import wandb

        facts = {"step": order["version"]} | ({} if order["goal"] is None else {"eval/goal": order["goal"]})
        try:
            artifact = wandb.Artifact(self._name, "model", metadata=facts)
            artifact.add_dir(order["weights"], policy="immutable", skip_cache=True)
            self._sent = self._run.log_artifact(artifact, aliases=[*aliases, f"step-{order['version']}"])
        except Exception as error:
            return self._fail(f"W&B did not take weights ({one_line(error)}); rows are still sent")
        return True

    def _tidy(self, keep: list[str]) -> None:
        for name in os.listdir(self._staging) if os.path.isdir(self._staging) else []:
            if (folder := os.path.join(self._staging, name)) not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def start_run(start: dict[str, Any], notices: IO[str]) -> tuple[Any, bool]:
    """`wandb.init` as asked, and whether it is online; an online run that cannot start becomes an offline one with a
    warning."""
    import wandb  # takes a second, may be missing or broken: hence here, inside the guard

    def init(mode: Literal["online", "offline"]) -> Any:
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            init_timeout=start["init_seconds"],
            finish_timeout=start["finish_seconds"],
            finish_timeout_raises=True,
            x_stats_pid=start["parent"],  # the process whose memory is worth a curve
            sweep_id=start["sweep_id"],
            git_commit=commit_of(start["code"]),
        )
        return wandb.init(
            mode=mode,
            project=start["project"],
            entity=start["entity"],
            name=start["name"],
            id=start["run_id"],
            group=start["group"],
            tags=start["tags"],
            notes=start["notes"],
            job_type=start["job_type"],
            resume="allow",
            dir=start["run_dir"],
            config=start["config"],
            settings=settings,
        )

    mode: Literal["online", "offline"] = start["mode"]
    try:
        run = init(mode)
    except Exception as error:
        if mode == "offline":
            raise
        mode = "offline"
        wandb.teardown()  # its service still holds the id of the run that failed
        run = init(mode)
        notify(notices, "warning", f"W&B cannot be reached ({one_line(error)}); writing an offline run instead")
    for metric in sorted(set(STEP_METRICS.values())):
        run.define_metric(metric)
    for metric, step_metric in STEP_METRICS.items():
        run.define_metric(metric, step_metric=step_metric)
    sync = f"wandb sync {shlex.quote(os.path.dirname(run.dir))}"
    notify(notices, "sync", sync)
    notify(notices, "where", sync if mode == "offline" else str(run.url))
    return run, mode == "online"


def serve(run: Any, rows: Rows, weights: Weights, orders: IO[str]) -> int:
    """Pass rows on until the orders end; returns the exit status of the run, 1 for a driver that was killed."""
    for line in orders:
        if not line.endswith("\n"):  # torn: the driver was killed while writing
            break
        order = json.loads(line)
        if "log" in order:
            rows.log(order["log"], order["line"])
        elif "summary" in order:
            run.summary.update(order["summary"])
        elif "show" in order:
            show(run, order)
        elif "weights" in order:
            weights.add(order)
        else:
            rows.fill(order["lines"])
            return int(order["finish"])
    return 1


def show(run: Any, order: dict[str, Any]) -> None:
    """A table and a film as part of the next row, so that rows stay steps."""
    import wandb

    files = [row[-1] for row in order["rows"]]
    shown: dict[str, Any] = {}
    if files:
        rows = [[*row[:-1], wandb.Image(row[-1])] for row in order["rows"]]
        shown["eval/games"] = wandb.Table(columns=order["columns"], data=rows)
    if order["film"] is not None:
        files.append(order["film"])
        shown["eval/film"] = wandb.Video(order["film"], format="mp4", caption=f"step {order['show']}")
    run.log(shown, commit=False)
    for file in files:  # W&B has copied them
        os.unlink(file)


def commit_of(code: str) -> str | None:
    """The commit of the code, where its folder is the top of a repository."""
    try:
        command = ["git", "-C", code, "rev-parse", "--show-toplevel", "HEAD"]
        top, commit = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.split("\n")[
            :2
        ]
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return commit if os.path.realpath(top) == os.path.realpath(code) else None


def finish(run: Any, status: int, rows: Rows, weights: Weights, start: dict[str, Any], notices: IO[str]) -> None:
    """Upload what is left, within the seconds allowed."""
    try:
        weights.end()
        run.finish(exit_code=status)
        weights.uploaded()
        shutil.rmtree(os.path.join(start["run_dir"], FOLDER, CACHE), ignore_errors=True)
    except TimeoutError:
        seconds, folder = start["finish_seconds"], shlex.quote(os.path.dirname(run.dir))
        notify(
            notices,
            "warning",
            f"W&B: not all of {rows.passed} rows and of the files was uploaded within {seconds:g} s; "
            f"`wandb sync {folder}` sends what is left",
        )


def notify(notices: IO[str], kind: str, text: str) -> None:
    """Tell the driver, which may be dead."""
    try:
        notices.write(json.dumps({kind: text}) + "\n")
        notices.flush()
    except OSError:
        pass


def one_line(error: Exception) -> str:
    """Type and first line of an exception's message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _keep_private(descriptor: int) -> int:
    """Move a standard stream to a descriptor that W&B's own processes do not inherit, and put /dev/null in its place.

    Otherwise they would hold our pipes open after us, and whatever they print would land among the notices.
    """
    private = os.dup(descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)
    return private


def _end_with_parent(parent: int, seconds: float) -> None:
    """Leave soon after the driver died, even when W&B hangs in a call. (End of file ends a process that does not.)"""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
