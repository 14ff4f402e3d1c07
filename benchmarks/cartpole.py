"""Steps and seconds to a mean return of 475 on Cart-Pole, ours beside Stable-Baselines3's.

    python benchmarks/cartpole.py --out runs/cartpole --seeds 1 2 3 4 5
    python benchmarks/cartpole.py --out runs/cartpole-last --seeds 1-10 --last-only

Every run is measured about every 1,280 steps of the environment, over 100 fresh episodes of Gymnasium's CartPole-v1
with the likeliest actions (AlphaZero: with its search). `steps` and `seconds` are those of the first time that it
reaches 475, `last` is the mean return in the end. Stable-Baselines3 has the settings of its zoo, and is left out where
it is not installed. `--last-only` runs ours alone, as a user does, and measures the last network. `--jobs` trains
several seeds at a time; their seconds are those of a machine at work.

Every training has a process of its own. Its seconds start when that has imported its libraries and begins to build
networks and environments; compiled kernels are on disk. Measuring is not counted: ours are measured afterwards, from
checkpoints (whose writing counts).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import machine_header

SOLVED = 475.0
EPISODES = 100
OURS = {
    "dqn": ("cartpole_dqn", 320),
    "reinforce": ("cartpole_reinforce", 2),
    "a2c": ("cartpole_a2c", 6),
    "ppo": ("cartpole_ppo", 100),
    "alphazero": ("cartpole_alphazero", 640),
    "muzero": ("cartpole_muzero", 320),
}
"""Config, steps of the learner between checkpoints: about 1,280 of the environment."""
PEERS = {
    "sb3 dqn": ("DQN", 50_000, 1280),
    "sb3 a2c": ("A2C", 50_000, 1280),
    "sb3 ppo": ("PPO", 100_000, 1280),
}
"""Class, steps at most, steps between measurements."""


@dataclass(frozen=True)
class Point:
    """A checkpoint."""

    steps: int
    seconds: float
    mean: float


def ours(name: str, seed: int, folder: Path, last_only: bool = False) -> list[Point]:
    """Train, then measure what was saved: every checkpoint, or the last one."""
    from games.environments.registry import load_environment
    from selfplay.evaluation.episodes import play_episodes
    from selfplay.players.kinds import read_player
    from selfplay.storage.snapshots import read_snapshots

    run = folder / (f"{name}-{seed}-last" if last_only else f"{name}-{seed}")
    config, every = OURS[name]
    if not (run / "done").exists():
        shutil.rmtree(run, ignore_errors=True)
        file = Path(__file__).parent.parent / "configs" / f"{config}.yaml"
        command = [sys.executable, "-m", "selfplay", "train", str(file), "--run-dir", str(run), "--seed", str(seed)]
        command += ["--evaluation.final-games", "2", "--wandb.mode", "disabled"]
        if not last_only:
            command += ["--checkpoint.every-steps", str(every), "--checkpoint.keep-last", "100000"]
        with run.with_suffix(".log").open("w") as output:
            subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True)
        (run / "done").touch()
    environment, points = load_environment("CartPole-v1"), []
    snapshots = read_snapshots(run / "checkpoints", print)
    for snapshot in snapshots[-1:] if last_only else snapshots:
        agent = read_player(f"run:{run}@{snapshot.version}").make_agent(environment, seed=0)
        found = play_episodes(agent, environment, EPISODES, seed=10_000 + seed)
        points.append(Point(snapshot.positions, 60 * snapshot.minutes, found.mean))
    return points


def peer(name: str, seed: int, folder: Path) -> list[Point]:
    """Train Stable-Baselines3 in a fresh process, as ours has one: what torch imports late counts for both."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(train_peer, name, seed).result()


def train_peer(name: str, seed: int) -> list[Point]:
    """Train Stable-Baselines3 as its zoo does, measuring on the way; the clock stands still meanwhile."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    kind, limit, every = PEERS[name]
    test, points = make_vec_env("CartPole-v1", 8, seed=10_000 + seed), []

    class Measure(BaseCallback):
        measuring, due = 0.0, every

        def _on_step(self) -> bool:
            if self.num_timesteps >= self.due:
                started = time.perf_counter()
                mean = float(evaluate_policy(self.model, test, EPISODES, deterministic=True)[0])
                points.append(Point(self.num_timesteps, started - begun - self.measuring, mean))
                self.measuring += time.perf_counter() - started
                self.due += every
            return True

    begun = time.perf_counter()
    envs = make_vec_env("CartPole-v1", 1 if kind == "DQN" else 8, seed=seed)
    model = getattr(stable_baselines3, kind)("MlpPolicy", envs, seed=seed, device="cpu", **zoo_settings(kind))
    model.learn(limit, callback=Measure())
    return points


def zoo_settings(kind: str) -> dict[str, Any]:
    """RL Baselines3 Zoo's settings for CartPole-v1."""
    if kind == "DQN":
        return {
            "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
            "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04, "policy_kwargs": {"net_arch": [256, 256]},
        }  # fmt: skip
    if kind == "A2C":
        return {"ent_coef": 0.0}
    return {
        "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.0,
        "learning_rate": lambda left: left * 1e-3, "clip_range": lambda left: left * 0.2,
    }  # fmt: skip


def summarise(points: list[Point]) -> dict[str, float | None]:
    """When it was solved first, and how it ended."""
    solved = next((point for point in points if point.mean >= SOLVED), None)
    return {
        "steps": solved.steps if solved else None,
        "seconds": round(solved.seconds, 2) if solved else None,
        "best": max(point.mean for point in points),
        "last": points[-1].mean,
        "last_seconds": round(points[-1].seconds, 2),
    }


def table(results: dict[str, list[dict[str, float | None]]], last_only: bool) -> str:
    """A row a method: how many runs end at 475, and the medians of steps and seconds to the first time."""
    titles = ["", "end at 475 or more", "worst end", *([] if last_only else ["steps to the first", "seconds to it"])]
    lines = [f"| {' | '.join([*titles, 'seconds in all', 'mean returns at the end'])} |"]
    lines.append("|---" * (len(titles) + 2) + "|")
    for name, rows in results.items():
        lasts = [row["last"] or 0.0 for row in rows]
        cells = [name, f"{sum(last >= SOLVED for last in lasts)} of {len(rows)}", f"{min(lasts):.0f}"]
        if not last_only:  # a run that never gets there counts as later than all others
            cells += [f"{median(rows, 'steps'):,.0f}", f"{median(rows, 'seconds'):.1f}"]
        cells += [f"{median(rows, 'last_seconds'):.1f}", ", ".join(f"{last:.0f}" for last in lasts)]
        lines.append(f"| {' | '.join(cells)} |")
    ends = [row["last"] or 0.0 for name, rows in results.items() if name in OURS for row in rows]
    if ends:
        lines.append(f"\nOf our {len(ends)} runs {sum(end >= SOLVED for end in ends)} end at 475 or more.")
    return "\n".join(lines)


def median(rows: list[dict[str, float | None]], key: str) -> float:
    """Of all runs; one without a number counts as infinite."""
    return float(np.median([math.inf if row[key] is None else row[key] for row in rows]))


def seeds_of(texts: list[str]) -> list[int]:
    """`1 2 5-7` is 1, 2, 5, 6 and 7."""
    ranges = [[int(number) for number in text.split("-")] for text in texts]
    return [seed for first, *rest in ranges for seed in range(first, (rest or [first])[0] + 1)]


def main() -> int:
    """Print a table and write everything to `--out`/results.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for runs and results")
    parser.add_argument("--seeds", metavar="N", nargs="+", default=["1-5"], help="numbers and ranges (1-5)")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=[*OURS, *PEERS], help="(all)")
    parser.add_argument("--last-only", action="store_true", help="measure the last network alone; ours only")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="runs at a time (1)")
    arguments = parser.parse_args()
    seeds = seeds_of(arguments.seeds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(machine_header(), end="\n\n", flush=True)
    methods: dict[str, Callable[[str, int, Path], list[Point]]]
    methods = dict.fromkeys(OURS, partial(ours, last_only=arguments.last_only))
    if arguments.last_only:
        pass
    elif importlib.util.find_spec("stable_baselines3"):
        methods |= dict.fromkeys(PEERS, peer)
    else:
        print("(stable_baselines3 is not installed: left out)\n")
    names = [name for name in arguments.only or methods if name in methods]
    results: dict[str, list[dict[str, float | None]]] = {name: [] for name in names}
    with ThreadPoolExecutor(arguments.jobs) as jobs:  # a training has a process of its own
        runs = [(name, seed, jobs.submit(methods[name], name, seed, arguments.out)) for name in names for seed in seeds]
        for name, seed, points in runs:
            results[name].append(summarise(points.result()))
            print(f"{name}, seed {seed}: {results[name][-1]}", flush=True)
            (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    print(f"\n{table(results, arguments.last_only)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
