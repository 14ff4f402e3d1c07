"""What this machine has for us: cores, memory, and what processes hold of it. Containers are heeded (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""The control group of a container, as seen from inside (version 2)."""


MEMORY_SECONDS = 60.0
"""How often a process that goes on for days gives memory back."""


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use: by its affinity, and whole cores of its control group's quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else cores


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes that processes can still get: of the machine, and of the control group's limit."""
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/meminfo")).splitlines() if ":" in line)
    if "MemAvailable" in lines:
        free = 1024 * int(lines["MemAvailable"].split()[0])
    else:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    return min(free, max(0, int(limit) - int(used))) if limit.isdigit() and used.isdigit() else free


def resident_bytes(pid: int | None = None) -> int:
    """Memory that a process (this one by default) holds, libraries that it shares with others included; 0 where the
    system does not say or the process has ended."""
    pages = _read(Path(f"/proc/{pid or os.getpid()}/statm")).split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def give_back_memory() -> None:
    """Free what only cycles of objects hold, and hand free pages back to the system (the latter with glibc only).

    Python looks for such cycles once there are a quarter as many new objects as old ones, of which torch and numba
    alone make half a million; and blocks of many sizes that come and go for days leave holes in the heap of the C
    library. Takes a tenth of a second.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def processes_with(marker: str) -> list[int]:
    """Living processes, other than this one, whose environment holds `marker` (Linux)."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if not dead and marker.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
