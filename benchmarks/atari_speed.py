"""Agent steps a second of DQN on Pong, ours beside Stable-Baselines3's: the same network, batch and update ratio.

    python benchmarks/atari_speed.py --minutes 2

Both train the network of Mnih et al. 2015 with a batch of 32 every four steps, from a replay that is filled first; the
first half minute of learning is left out. Ours has its actor and its learner in a process each, as in
configs/pong_dqn.yaml; Stable-Baselines3 has one process, once with one thread and once with all cores. It is left out
where it is not installed (it needs opencv-python-headless too).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_report import Row, machine_header, print_table, write_json

FILL = 2_000
"""Steps before learning."""
SETTLE_SECONDS = 30.0
PLAIN = [
    "--dqn.no-double", "--dqn.no-duelling", "--dqn.n-step", "1", "--dqn.priority-exponent", "0",
    "--replay.least-reuse", "8", "--replay.sample-reuse", "8", "--learner.batch-size", "32",
]  # fmt: skip


def ours(minutes: float) -> list[Row]:
    """Our loop, by the rows of its record."""
    from selfplay.metrics import read_metrics

    config = Path(__file__).parent.parent / "configs" / "pong_dqn.yaml"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "selfplay", "train", str(config), "--run-dir", f"{folder}/run", *PLAIN]
        command += ["--replay.min-positions", str(FILL), "--replay.capacity", "20000", "--wandb.mode", "disabled"]
        command += ["--evaluation.every-minutes", "0", "--evaluation.final-games", "2"]
        command += ["--budget.minutes", str(minutes + 1)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows = [row for row in read_metrics(Path(folder) / "run" / "metrics.jsonl") if row["step"] > 0]
    rows = [row for row in rows if row["time_s"] >= rows[0]["time_s"] + SETTLE_SECONDS and "time/learning" in row]
    first, last = rows[0], rows[-1]
    seconds = last["time_s"] - first["time_s"]
    learning = sum(row["time/learning"] for row in rows[1:]) / seconds
    waiting = sum(row.get("time/waiting", 0.0) for row in rows[1:]) / seconds
    network = sum(row["selfplay/network_share"] for row in rows[1:]) / len(rows[1:])
    return [
        Row("ours agent steps", (last["positions"] - first["positions"]) / seconds, "steps/s"),
        Row("ours updates", (last["step"] - first["step"]) / seconds, "updates/s"),
        Row("ours learner in its steps", 100 * learning, "%"),
        Row("ours learner waiting", 100 * waiting, "%"),
        Row("ours actor in the network call", 100 * network, "%"),
    ]


def sb3(seconds: float, threads: int) -> float:
    """Steps a second of Stable-Baselines3 while it learns."""
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    torch.set_num_threads(threads)

    class Clock(BaseCallback):
        started, first = 0.0, 0

        def _on_step(self) -> bool:
            now = time.perf_counter()
            if self.num_timesteps > FILL and not self.started:
                self.started = now
            if self.started and not self.first and now - self.started > SETTLE_SECONDS:
                self.started, self.first = now, self.num_timesteps
            return not (self.first and now - self.started > seconds)

    envs = VecFrameStack(make_atari_env("ALE/Pong-v5", 1, seed=1, env_kwargs={"frameskip": 1}), 4)
    model = stable_baselines3.DQN(
        "CnnPolicy", envs, buffer_size=20_000, learning_starts=FILL, batch_size=32, train_freq=4, gradient_steps=1,
        target_update_interval=1000, exploration_fraction=0.1, device="cpu", seed=1,
    )  # fmt: skip
    clock = Clock()
    model.learn(100_000_000, callback=clock)
    return (clock.num_timesteps - clock.first) / (time.perf_counter() - clock.started)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", metavar="M", type=float, default=2.0, help="of learning that are measured (2)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows")
    parser.add_argument("--sb3", metavar="THREADS", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sb3:  # in a process of its own: threads are set once
        print(json.dumps(sb3(60 * arguments.minutes, arguments.sb3)))
        return 0
    print(machine_header(), end="\n\n", flush=True)
    rows = ours(arguments.minutes)
    print_table(rows)
    if importlib.util.find_spec("stable_baselines3") and importlib.util.find_spec("cv2"):
        for threads in sorted({1, os.cpu_count() or 1}):
            command = [sys.executable, __file__, "--minutes", str(arguments.minutes), "--sb3", str(threads)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rate = float(printed.splitlines()[-1])
            more = [
                Row(f"sb3 with {threads} threads", rate, "steps/s"),
                Row(f"ours against sb3 with {threads} threads", rows[0].value / rate, "times"),
            ]
            print_table(more)
            rows += more
    else:
        print("stable_baselines3 or cv2 is not installed: left out")
    if arguments.json:
        write_json(arguments.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
