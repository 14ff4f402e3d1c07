"""The effect of each ingredient: the same training with one of them changed, for the same time, over some seeds.

    python benchmarks/ablation.py configs/connect_four.yaml --out runs/ablation --minutes 15 --seeds 1 2 \\
        --positions benchmarks/data/connect_four_positions.jsonl

Trains one run after the other, or `--jobs` of them side by side with their share of the cores each (give them the
machine to themselves), measures each on the positions as `selfplay evaluate` does, and prints a table. Started again
with the same --out it goes on where it was stopped. `base` is the config as it stands; every other row changes it by
the flags in VARIANTS, or by those given as `--variant NAME FLAGS`.

A difference is that of the shares of positions kept, paired by position and averaged over the seeds; its 95 % interval
takes the positions as drawn at random and the runs as they are, so it is too narrow by what seeds differ: compare the
single seeds beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import machine_header

import games
from games import GameError
from selfplay.commands.arguments import integer
from selfplay.config.reader import load
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.accuracy import values_kept
from selfplay.evaluation.labelled import LabelledPositions, read_positions
from selfplay.players.kinds import parse_player
from selfplay.players.options import MAX_SIMULATIONS
from selfplay.storage.files import publish
from selfplay.storage.metrics import read_metrics
from selfplay.system.workers import process_pool
from selfplay.training.checks import check

BASE = "base"

VARIANTS: dict[str, str] = {
    BASE: "",
    "no random openings": "--actors.opening-plies 0",
    "puct instead of gumbel": "--search.rule puct",
    "puct, forced playouts": "--search.rule puct --search.forced-playouts 2",
    "puct, subtree reuse": "--search.rule puct --search.subtree-reuse",
    "no proven values": "--search.no-proven-values",
    "no cache": "--search.cache-megabytes 0",
    "result alone as value target": "--learner.root-value-share 0",
    "root value alone as value target": "--learner.root-value-share 1",
    "no averaged weights": "--learner.ema-decay 0",
    "constant learning rate": "--learner.schedule constant",
    "fixed window": "--replay.window-exponent 0 --replay.window-start 100000",
    "no symmetries in learning": "--learner.no-symmetries",
    "one random symmetry in inference": "--actors.symmetries random",
    "playout cap": "--actors.full-search-share 0.25 --actors.fast-simulations 16 --search.num-simulations 80",
    "policy surprise": "--learner.policy-surprise 0.5",
    "reply and moves-left heads": "--net.reply-head --net.moves-left-head",
    "soft resignation": "--actors.resign-value 0.9",
    "global pooling": "--net.pooling-every 2",
    "policy gradient beside the search": "--learner.policy-gradient-weight 0.2",
}
"""Flags of `selfplay train` by the name of the row."""


def train(config: Path, folder: Path, flags: Sequence[str]) -> None:
    """One run. Raises UserError when it fails."""
    command = [sys.executable, "-m", "selfplay", "train", str(config), "--run-dir", str(folder), *flags]
    with folder.with_suffix(".log").open("w") as log:
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    if status != 0:
        raise UserError(f"{' '.join(command[1:])} ended with status {status}; see {log.name}")


def measure(folder: Path, positions: LabelledPositions, simulations: Sequence[int]) -> dict[str, list[int]]:
    """By number of simulations (0 is the network alone): 1 for each position that was kept, 0 for the others."""
    found = {}
    for count in simulations:
        text = f"run:{folder}:simulations={count}" if count else f"net:{folder}"
        player = parse_player(text, positions.game)
        try:
            found[str(count)] = values_kept(player, positions).astype(int).tolist()
        finally:
            player.close()
    return found


def shares_of_cores(jobs: int) -> list[set[int]]:
    """The cores of each of `jobs` processes; all of them for each where there are fewer cores than jobs."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[job::jobs]) if jobs <= len(cores) else set(cores) for job in range(jobs)]


def take_cores(shares: Any) -> None:
    """Keep this process, and what it starts, to the next share."""
    os.sched_setaffinity(0, shares.get())


def result_of(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """The result of one run, from disk where it has been made before."""
    folder = arguments.out / f"{name.replace(' ', '_').replace(',', '')}-{seed}"
    path = folder.with_suffix(".json")
    if path.exists():
        return json.loads(path.read_text())
    if folder.exists():  # stopped in the middle
        shutil.rmtree(folder)
    flags = arguments.variants[name].split()
    flags += ["--seed", str(seed), "--budget.minutes", str(arguments.minutes)]
    flags += ["--evaluation.every-minutes", "0", "--evaluation.final-games", "2", "--evaluation.opponents", "random"]
    train(arguments.config, folder, [*flags, "--wandb.mode", "disabled"])
    positions = read_positions(arguments.positions)  # not from the caller: games do not travel between processes
    last = [row for row in read_metrics(folder / "metrics.jsonl") if "train/games" in row][-1]
    counts = {"steps": last["step"], "positions": last["positions"]}
    result = {"name": name, "seed": seed, **counts, "kept": measure(folder, positions, arguments.simulations)}
    publish(path, json.dumps(result).encode())
    return result


def difference(base: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean of `other - base`, both [seeds, n] of 0 and 1, and half of its 95 % interval."""
    each = other.mean(axis=0) - base.mean(axis=0)
    return float(each.mean()), float(1.96 * each.std(ddof=1) / np.sqrt(len(each)))


def table(results: dict[str, list[dict[str, Any]]], simulations: Sequence[int]) -> str:
    """One row a variant: what was trained, and by simulations the share kept and its difference to the base."""
    lines = ["| variant | steps | positions |", "|---|---|---|"]
    for count in simulations:
        lines[0] += f" {count} simulations | difference |" if count else " network alone | difference |"
        lines[1] += "---|---|"
    for name, runs in results.items():
        steps, played = (round(np.mean([run[key] for run in runs])) for key in ("steps", "positions"))
        line = f"| {name} | {steps:,} | {played:,} |"
        for count in map(str, simulations):
            kept = np.array([run["kept"][count] for run in runs])
            each = ", ".join(f"{100 * one.mean():.1f}" for one in kept)
            line += f" {100 * kept.mean():.1f} % ({each}) |"
            gap, margin = difference(np.array([run["kept"][count] for run in results[BASE]]), kept)
            sign = "" if name == BASE else f"{100 * gap:+.1f} ± {100 * margin:.1f}"
            line += f" {sign}{' *' if abs(gap) > margin else ''} |"
        lines.append(line)
    return "\n".join([*lines, "", "\\* the interval leaves out 0"])


def read_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked before anything is trained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", metavar="CONFIG.yaml", type=Path)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for runs and results")
    parser.add_argument("--positions", metavar="FILE.jsonl", type=Path, required=True)
    parser.add_argument("--minutes", metavar="M", type=float, default=15.0, help="of each run (15)")
    parser.add_argument("--seeds", metavar="N", nargs="+", type=int, default=[1, 2], help="(1 2)")
    parser.add_argument("--jobs", metavar="N", type=integer(1, 256), default=1, help="runs side by side (1)")
    parser.add_argument(
        "--simulations", metavar="S", nargs="+", type=integer(0, MAX_SIMULATIONS), default=[0, 100, 600]
    )
    parser.add_argument("--only", metavar="NAME", nargs="+", help="rows of VARIANTS to run (all)")
    parser.add_argument(
        "--variant", metavar=("NAME", "FLAGS"), nargs=2, action="append", default=[], help="a row of your own"
    )
    arguments = parser.parse_args(words)
    unknown = set(arguments.only or ()) - set(VARIANTS)
    if unknown:
        raise UserError(f"--only: no row {min(unknown)!r}; there are {', '.join(VARIANTS)}")
    chosen = VARIANTS if arguments.only is None else {name: VARIANTS[name] for name in arguments.only}
    arguments.variants = {BASE: ""} | chosen | dict(arguments.variant)
    return arguments


def check_rows(arguments: argparse.Namespace) -> None:
    """Raises UserError for a row that would fail once it is its turn."""
    positions = read_positions(arguments.positions)
    for name, flags in arguments.variants.items():
        try:
            config = load(Config, arguments.config, flags.split())
            check(config)
            fits = not config.environment and games.load(config.game).rules == positions.game.rules
        except (UserError, GameError) as error:
            raise UserError(f"{name}: {error}") from None
        if not fits:
            played = config.environment or config.game
            raise UserError(f"{name}: plays {played}, {arguments.positions} is of {positions.game.name}")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input or a run that failed."""
    try:
        arguments = read_arguments(words)
        check_rows(arguments)
        arguments.out.mkdir(parents=True, exist_ok=True)
        print(f"{machine_header()}\n{arguments.config}, {arguments.minutes:g} minutes a run\n", flush=True)
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.variants}
        shares = multiprocessing.get_context("spawn").SimpleQueue()
        for share in shares_of_cores(arguments.jobs):
            shares.put(share)
        with process_pool(arguments.jobs, take_cores, shares) as pool:  # after a failure nothing else is begun
            rows = [(name, seed) for name in arguments.variants for seed in arguments.seeds]
            runs = [pool.submit(result_of, arguments, name, seed) for name, seed in rows]
            for run in as_completed(runs):
                result = run.result()
                kept = ", ".join(f"{count}: {100 * np.mean(each):.1f} %" for count, each in result["kept"].items())
                print(f"{result['name']}, seed {result['seed']}: {kept}", flush=True)
            for (name, _), run in zip(rows, runs):
                results[name].append(run.result())
        print(f"\n{table(results, arguments.simulations)}")
    except UserError as error:
        print(f"ablation: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
