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
    """Look and say."""
    from selfplay.training.verification import verify

    found = verify(args.run_dir)
    if args.json:
        print(json_text({**asdict(found), "path": str(found.path)}), file=args.output)
        return 1 if found.problems else 0
    print(f"{found.path}: {'DAMAGED' if found.problems else 'sound'}")
    newest = "" if found.newest is None else f", the newest of step {found.newest:,}"
    print(f"  checkpoints  {found.checkpoints}{newest}")
    print(f"  games        {found.games:,} with {found.positions:,} positions in {found.shards:,} shards")
    print(f"  metrics      {found.rows:,} rows")
    for kind, lines in (("note", found.notes), ("problem", found.problems)):
        for line in lines:
            print(f"  {kind}: {line}")
    return 1 if found.problems else 0
