"""What all benchmarks share: their results look like those of `selfplay bench`."""

from __future__ import annotations

from selfplay.profiling.table import BenchmarkRow, machine_header, print_table, write_json

__all__ = ["BenchmarkRow", "machine_header", "print_table", "write_json"]
