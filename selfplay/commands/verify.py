"""Check every file of a run: hashes, ids, counters. Changes nothing; the run may be running.

Exit status 0 when nothing that was announced as saved is missing or damaged, else 1.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from selfplay.console.output import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folder."""
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="folder of the run")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Check the run and print the result."""
    from selfplay.training.verification import verify

    result = verify(args.run_dir)
    if args.json:
        print(json_text({**asdict(result), "path": str(result.path)}), file=args.output)
        return 1 if result.problems else 0
    print(f"{result.path}: {'DAMAGED' if result.problems else 'sound'}")
    newest = "" if result.newest is None else f", the newest of step {result.newest:,}"
    print(f"  checkpoints  {result.checkpoints}{newest}")
    print(f"  games        {result.games:,} with {result.positions:,} positions in {result.shards:,} shards")
    print(f"  metrics      {result.rows:,} rows")
    for kind, lines in (("note", result.notes), ("problem", result.problems)):
        for line in lines:
            print(f"  {kind}: {line}")
    return 1 if result.problems else 0
