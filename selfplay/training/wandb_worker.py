"""The process that talks to W&B, started by `selfplay.training.tracking` and by nobody else.

It runs as a plain script and imports nothing of this project, so that it starts fast and can die, hang or be killed
without the training noticing. Orders come in on stdin and notices go out on stdout, one JSON object a line:

    in   {"start": {...}}  once, first; then {"log": row} and {"summary": values}; end of file is the order to finish
    out  {"where": text}   where the run can be seen; {"warning": text} what went wrong
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from typing import IO, Any, Literal

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
        run = start_run(start, notices)
        serve(run, orders)
    except Exception as error:
        notify(notices, "warning", f"W&B failed ({one_line(error)}); its mirror is off, metrics.jsonl goes on")
        os._exit(WARNED)  # W&B's exit hooks would wait for, or write tracebacks about, what just failed


def start_run(start: dict[str, Any], notices: IO[str]) -> Any:
    """`wandb.init` as asked; an online run that cannot start becomes an offline one with a warning."""
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
            x_stats_pid=start["parent"],  # the process whose memory is worth a curve
            sweep_id=start["sweep_id"],
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
    folder = os.path.dirname(run.dir)
    notify(notices, "where", f"wandb sync {shlex.quote(folder)}" if mode == "offline" else str(run.url))
    return run


def serve(run: Any, orders: IO[str]) -> None:
    """Pass rows on until the orders end, then finish the run."""
    for line in orders:
        if not line.endswith("\n"):  # torn: the driver was killed while writing
            break
        order = json.loads(line)
        if "log" in order:
            run.log(order["log"])
        else:
            run.summary.update(order["summary"])
    run.finish()


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
