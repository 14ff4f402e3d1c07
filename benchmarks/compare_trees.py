"""One benchmark in this working tree and in another one, in alternating rounds: is anything slower than before?

    git worktree add ../before COMMIT
    python benchmarks/compare_trees.py ../before -- benchmarks/bench_search.py --seconds 2 --games connect_four othello
    python benchmarks/compare_trees.py ../before -- -m selfplay bench configs/connect_four.yaml

The words after `--` are Python's, in each tree, for a benchmark that both trees have and that writes `--json`. Each
round runs it once in each tree, in a process of its own; the order changes from round to round. A row is the median
over the rounds of this tree's rate divided by the other's, with the least and the greatest ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_report import machine_header

HERE = Path(__file__).resolve().parent.parent


def run_benchmark(tree: Path, words: Sequence[str]) -> dict[str, float]:
    """The rates of one run (rows with a unit such as samples/s) by their names.

    Exits with the benchmark's own message where it fails.
    """
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, *words, "--json", str(rows)]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"compare_trees: error: {' '.join(words)} failed in {tree}: {done.stderr.strip()[-2000:]}")
        return {row["name"]: float(row["value"]) for row in json.loads(rows.read_text()) if "/" in row["unit"]}


def ratios_of(here: Sequence[dict[str, float]], there: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The ratio of each round by the name of the row, for rows that both trees have and that are not 0."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for mine, other in zip(here, there, strict=True):
        for name in mine:
            if other.get(name):
                ratios[name].append(mine[name] / other[name])
    return ratios


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 where a median is below `--least`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other working tree, the one from before")
    parser.add_argument("--rounds", type=int, default=10, help="runs of the benchmark in each tree (10)")
    parser.add_argument("--least", type=float, default=0.0, help="exit with status 1 where a median is below this")
    parser.add_argument("benchmark", nargs="+", metavar="WORD", help="the benchmark, after --")
    arguments = parser.parse_args(words)
    trees = [HERE, arguments.other.resolve()]
    found: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    print(f"{machine_header()}\n")
    for number in range(arguments.rounds):
        for tree in trees if number % 2 == 0 else reversed(trees):
            found[tree].append(run_benchmark(tree, arguments.benchmark))
        print(f"(round {number + 1} of {arguments.rounds} is done)", flush=True)
    print(f"\n| row | median of {HERE.name} / {trees[1].name} | least | greatest |\n|---|---|---|---|")
    medians = []
    for name, ratios in ratios_of(*found.values()).items():
        medians.append(statistics.median(ratios))
        print(f"| {name} | {medians[-1]:.3f} | {min(ratios):.3f} | {max(ratios):.3f} |")
    return int(min(medians, default=1.0) < arguments.least)


if __name__ == "__main__":
    sys.exit(main())
