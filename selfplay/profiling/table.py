"""Results of measurements: rows, a table, a JSON file, and a header that says on what they were made."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from selfplay.console.output import json_text
from selfplay.version import version_of

PACKAGES = ("torch", "numpy", "numba", "open_spiel")


@dataclass(frozen=True)
class BenchmarkRow:
    """One result, e.g. `BenchmarkRow("inference 64x5 batch 256 float32 threads 1", 1900.0, "positions/s")`."""

    name: str
    value: float
    unit: str


def machine_header(more_packages: Sequence[str] = ()) -> str:
    """Processor, cores, memory, GPU and versions (those of `more_packages` too), one item a line."""
    lines = [
        f"processor: {_processor()}, {len(os.sched_getaffinity(0))} cores usable, {_memory_gib():.0f} GiB memory",
        f"gpu: {_gpu()}",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages: " + ", ".join(f"{name} {version_of(name)}" for name in (*PACKAGES, *more_packages)),
    ]
    return "\n".join(lines)


def print_table(rows: Sequence[BenchmarkRow]) -> None:
    """Print rows as aligned columns: name, value, unit."""
    name_width = max((len(row.name) for row in rows), default=0)
    values = [_number(row.value) for row in rows]
    value_width = max(map(len, values), default=0)
    for row, value in zip(rows, values, strict=True):
        print(f"{row.name:<{name_width}}  {value:>{value_width}}  {row.unit}")


def write_json(rows: Sequence[BenchmarkRow], path: str | Path) -> None:
    """Write rows as a JSON list of objects with `name`, `value` and `unit`."""
    Path(path).write_text(json_text([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    names = [value.strip() for key, value in fields.items() if key.strip() == "model name"]
    flags = " ".join(value for key, value in fields.items() if key.strip() == "flags").split()
    widest = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags]
    return " ".join([*(names or [platform.machine()]), *(f"({flag})" for flag in widest[:1])])


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
