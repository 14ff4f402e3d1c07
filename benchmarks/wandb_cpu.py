"""CPU time of W&B's processes during a run, against that of all others of the run.

    python benchmarks/wandb_cpu.py connect_four --wandb.mode offline --budget.minutes 4

Starts `selfplay train` with the words given and looks at its processes in /proc every two seconds (Linux). It prints
their share, and the seconds of CPU time that W&B takes per second once it has started. Those do not depend on how busy
the machine is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")

EVERY_SECONDS = 2.0

STARTED_SECONDS = 60.0
"""Seconds after which W&B has started: what it takes per second is counted from here."""

OF_WANDB = ("wandb_worker.py", "/wandb/bin/")
"""What the command lines of W&B's processes contain."""


def processes() -> dict[int, tuple[int, float]]:
    """Parent and seconds of CPU time by process."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found[int(name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS
    return found


def is_of_wandb(pid: int) -> bool:
    """By the command line, which a process that has ended does not have."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            text = file.read()
    except OSError:
        return False
    return any(part in text for part in OF_WANDB)


def main() -> int:
    """Run, sample, print."""
    run = subprocess.Popen([sys.executable, "-m", "selfplay", "train", *sys.argv[1:]])
    seconds: dict[int, float] = {}
    wandb, others = set[int](), {run.pid}
    samples: list[tuple[float, float]] = []
    begin = time.monotonic()
    while run.poll() is None:
        found = processes()
        is_new = True
        while is_new:
            children = {pid for pid, (parent, _) in found.items() if parent in wandb | others} - wandb - others
            wandb |= {pid for pid in children if is_of_wandb(pid)}
            others |= children - wandb
            is_new = bool(children)
        seconds |= {pid: used for pid, (_, used) in found.items() if pid in wandb | others}
        samples.append((time.monotonic() - begin, sum(seconds.get(pid, 0.0) for pid in wandb)))
        time.sleep(EVERY_SECONDS)
    of_wandb, of_others = (sum(seconds.get(pid, 0.0) for pid in group) for group in (wandb, others))
    share = of_wandb / max(1e-9, of_wandb + of_others)
    print(f"W&B {of_wandb:.2f} s of CPU time, all others {of_others:.2f} s, share {share:.2%}, {samples[-1][0]:.0f} s")
    started = [sample for sample in samples if sample[0] >= STARTED_SECONDS]
    if len(started) > 1:
        (first, before), (last, after) = started[0], started[-1]
        print(f"once started: {(after - before) / (last - first):.5f} s of CPU time per second")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
