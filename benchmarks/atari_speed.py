"""Agent steps a second of DQN on Pong, ours beside Stable-Baselines3's: the same network, batch and update ratio.

    python benchmarks/atari_speed.py

Both play the game of Mnih et al. 2015 and train their network with a batch of 32 every four steps, from a replay of the
same size; one action in twenty is random. They run one after the other, pinned to the same cores, each in processes of
its own; what is counted begins some seconds after learning has.

Ours is the loop of `selfplay train`, playing and learning in turn on two threads, as in configs/pong_dqn.yaml, with the
number types that it chooses and once more in float32, which may be the same. Options that are not known here are
settings for it:

    python benchmarks/atari_speed.py --actors.num-actors 1 --learner.threads 1

has an actor and a learner in a process each. Such an actor may run ahead of its learner, as in any run; steps that
nothing was learned from are not counted. Stable-Baselines3 has one process and float32, with one environment (as in its
zoo) and with eight, with one thread and with one for each core; the fastest is what ours is compared with. It is left
out where it is not installed (it needs opencv-python-headless too).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_report import BenchmarkRow, machine_header, print_table, write_json

from selfplay.training.display import Display, Status

BATCH, STEPS_PER_UPDATE = 32, 4
CAPACITY = 100_000
EPSILON = 0.05
"""Stable-Baselines3 does not ask its network where it acts at random: both do so as seldom as late in a run."""
TARGET_STEPS = 250
"""Updates between two target networks."""
PEERS = [(1, 1), (1, 2), (8, 2)]
"""Stable-Baselines3: environments, threads."""
OURS = [
    "--dqn.no-double", "--dqn.no-duelling", "--dqn.n-step", "1", "--dqn.priority-exponent", "0",
    "--dqn.target-steps", str(TARGET_STEPS), "--dqn.epsilon", str(EPSILON), "--dqn.final-epsilon", str(EPSILON),
    "--replay.capacity", str(CAPACITY), "--replay.sample-reuse", str(BATCH / STEPS_PER_UPDATE),
    "--replay.least-reuse", str(BATCH / STEPS_PER_UPDATE), "--learner.batch-size", str(BATCH),
    "--learner.ema-decay", "0", "--evaluation.every-minutes", "0", "--checkpoint.every-minutes", "60",
    "--wandb.mode", "disabled",
]  # fmt: skip
REST = "the rest"


@dataclass
class Speed:
    """What one side did in the seconds that count."""

    title: str
    steps: float  # of agents, a second
    shares: dict[str, float]  # of the time of a process, by what it was spent on


class Clocks:
    """Seconds of one thread by what it does; within a method that is timed, a timed method that it calls counts."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._doing, self._since = [REST], time.perf_counter()

    def time(self, owner: object, names: str, label: str) -> None:
        """Count the time in some methods of a class or an object, `names` with spaces between them, as `label`."""
        for name in names.split():
            setattr(owner, name, self._timed(getattr(owner, name), label))

    def lap(self) -> Counter[str]:
        """The seconds since the last lap."""
        self._switch()
        seconds, self._seconds = self._seconds, Counter()
        return seconds

    def _timed(self, method: Any, label: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._doing.append(label)
            try:
                return method(*arguments, **named)
            finally:
                self._switch()
                self._doing.pop()

        return call

    def _switch(self) -> None:
        now = time.perf_counter()
        self._seconds[self._doing[-1]] += now - self._since
        self._since = now


class Window:
    """The seconds that count: `seconds` of them, from `settle` seconds after the first update on."""

    def __init__(self, settle: float, seconds: float) -> None:
        self._settle, self._length = settle, seconds
        self._first_update = self._opened = 0.0
        self._at_opening: tuple[int, ...] = ()
        self.spent: Counter[str] = Counter()
        """Seconds of all processes together, by what they were spent on."""

    def look(self, is_learning: bool, *totals: int) -> list[float] | None:
        """How much `totals` grow in a second, once that is known."""
        now = time.perf_counter()
        if is_learning and not self._first_update:
            self._first_update = now
        if self._first_update and not self._opened and now - self._first_update >= self._settle:
            self._opened, self._at_opening = now, totals
            self.spent.clear()
        if not self._opened or now - self._opened < self._length:
            return None
        return [(total - before) / (now - self._opened) for total, before in zip(totals, self._at_opening)]


def shares(spent: Counter[str]) -> dict[str, float]:
    """Percentages of each process, whose name comes first in a label."""
    whole: Counter[str] = Counter()
    for label, seconds in spent.items():
        whole[label.split(":")[0]] += seconds
    ordered = sorted(spent.items(), key=lambda item: (item[0].split(":")[0], -item[1]))
    return {label: 100 * seconds / whole[label.split(":")[0]] for label, seconds in ordered}


# Ours.


def time_loop(clocks: Clocks) -> None:
    """Clocks around the parts of the training loop, for this process alone. Waiting for the other process is added by
    the callers."""
    from games.environments.atari import AtariBatch
    from nets.inference import Inference
    from selfplay.actors.sources import FleetSource
    from selfplay.algorithms.dqn import DqnLoss
    from selfplay.algorithms.learner import Learner
    from selfplay.replay.transitions import TransitionReplay

    clocks.time(AtariBatch, "step", "environment")
    clocks.time(Inference, "predict", "network")
    clocks.time(Inference, "load", "new weights")
    clocks.time(FleetSource, "publish", "new weights")
    clocks.time(TransitionReplay, "add sample learned", "replay")
    clocks.time(Learner, "step", "learner")
    clocks.time(DqnLoss, "renew", "learner")


def actor_with_clocks(*arguments: Any) -> None:
    """An actor process whose counts carry what its time was spent on."""
    from multiprocessing.connection import Connection

    from selfplay.actors.actor import actor_main
    from selfplay.experience.rollouts import Experience

    clocks = Clocks()
    time_loop(clocks)
    clocks.time(Connection, "send", "sending")
    clocks.time(Connection, "poll", "waiting")
    take_counts = Experience.take_counts

    def take_with_clocks(experience: Experience) -> Any:
        counts: Any = take_counts(experience)
        counts.clocks, counts.dtype = clocks.lap(), experience.inference.describe()["dtype"]
        return counts

    Experience.take_counts = take_with_clocks  # type: ignore[method-assign]
    actor_main(*arguments)


class Watch(Display):
    """Asks the run to stop when the seconds that count are over, and keeps what they were spent on."""

    def __init__(self, window: Window, clocks: Clocks) -> None:
        self.window, self.clocks = window, clocks
        self.steps = 0.0
        self.dtype = ""
        self._positions = 0

    def update(self, status: Status) -> None:
        if status.positions == self._positions or self.steps:  # only when an actor has just reported
            return
        self._positions = status.positions
        self.note("learner", self.clocks.lap())
        found = self.window.look(status.step > 0, status.positions, STEPS_PER_UPDATE * status.step)
        if found:
            self.steps = min(found)
            signal.raise_signal(signal.SIGINT)

    def note(self, process: str, seconds: Counter[str]) -> None:
        """A process spent so much time since it was last heard of."""
        self.window.spent.update({f"{process}: {label}": value for label, value in seconds.items()})

    def start(self, title: str, budget_text: str) -> None:
        pass

    def phase(self, text: str) -> None:
        pass

    def message(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        print(text, file=sys.stderr)

    def finish(self, summary_table: Any, next_commands: Any) -> None:
        pass


def ours(flags: list[str], fill: int, window: Window) -> Speed:
    """The loop of `selfplay train`, in this process and its actors'."""
    import selfplay
    from selfplay.actors import fleet
    from selfplay.algorithms.precision import uses_bfloat16
    from selfplay.experience.figures import add_counts
    from selfplay.training import reporting

    file = Path(__file__).parent.parent / "configs" / "pong_dqn.yaml"
    flags = [*OURS, "--replay.min-positions", str(fill), "--budget.minutes", "60", *flags]
    config = selfplay.load_config(selfplay.Config, file, flags)
    clocks = Clocks()
    watch = Watch(window, clocks)
    time_loop(clocks)
    clocks.time(fleet.Fleet, "poll", "waiting")

    def add_with_clocks(total: Any, counts: Any) -> None:
        add_counts(total, counts)
        if hasattr(counts, "clocks"):  # of an actor process
            watch.dtype = counts.dtype
            watch.note("actor", counts.clocks)

    reporting.add_counts, fleet.actor_main = add_with_clocks, actor_with_clocks
    with tempfile.TemporaryDirectory() as folder:
        selfplay.train(config, Path(folder) / "run", watch)
    learner = "bfloat16" if uses_bfloat16(config.learner, "nature") else "float32"
    actors, threads = config.actors.num_actors, config.learner.threads
    playing = f"actors {actors} ({watch.dtype})" if actors else "playing and learning in turn"
    return Speed(f"ours, {playing}, learner threads {threads} ({learner})", watch.steps, shares(window.spent))


# Stable-Baselines3.


def sb3(num_envs: int, threads: int, fill: int, window: Window) -> Speed:
    """Stable-Baselines3 in this process."""
    import ale_py
    import gymnasium
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    torch.set_num_threads(threads)
    gymnasium.register_envs(ale_py)
    clocks = Clocks()

    class Watch(BaseCallback):
        steps = 0.0

        def _on_step(self) -> bool:
            window.spent.update({f"process: {label}": value for label, value in clocks.lap().items()})
            found = window.look(self.num_timesteps > fill, self.num_timesteps)
            self.steps = found[0] if found else 0.0
            return not found

    envs = VecFrameStack(make_atari_env("PongNoFrameskip-v4", num_envs, seed=1), 4)
    model = stable_baselines3.DQN(
        "CnnPolicy", envs, batch_size=BATCH, buffer_size=CAPACITY, learning_starts=fill,
        train_freq=max(1, STEPS_PER_UPDATE // num_envs), gradient_steps=max(1, num_envs // STEPS_PER_UPDATE),
        target_update_interval=STEPS_PER_UPDATE * TARGET_STEPS,
        exploration_initial_eps=EPSILON, exploration_final_eps=EPSILON,
        # One array for observations and their successors; Pong has no time limit to be told apart from an end.
        optimize_memory_usage=True, replay_buffer_kwargs={"handle_timeout_termination": False},
        device="cpu", seed=1,
    )  # fmt: skip
    clocks.time(model.env, "step", "environment")
    clocks.time(model.policy, "predict", "network")
    clocks.time(model.replay_buffer, "add sample", "replay")
    clocks.time(model, "train", "learner")
    watch = Watch()
    model.learn(100_000_000, callback=watch)
    return Speed(f"sb3, environments {num_envs}, threads {threads} (float32)", watch.steps, shares(window.spent))


# Both.


def chosen_cores(count: int) -> list[int]:
    """The first `count` of those that may be used."""
    return sorted(os.sched_getaffinity(0))[:count]


def measured(arguments: argparse.Namespace, *side: str) -> Speed:
    """One side in a process of its own: threads are set once, and libraries that one side loads are not the other's."""
    command = [sys.executable, __file__, "--seconds", str(arguments.seconds), "--settle", str(arguments.settle)]
    command += ["--fill", str(arguments.fill), "--cores", str(arguments.cores), *side]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Speed(**json.loads(output.splitlines()[-1]))


def side(arguments: argparse.Namespace, flags: list[str]) -> Speed:
    """What the process of one side does."""
    os.sched_setaffinity(0, chosen_cores(arguments.cores))  # of the processes that it starts too
    window = Window(arguments.settle, arguments.seconds)
    if arguments.side == "ours":
        return ours(flags, arguments.fill, window)
    num_envs, threads = map(int, flags)
    return sb3(num_envs, threads, arguments.fill, window)


def show(speed: Speed) -> list[BenchmarkRow]:
    """Print what was measured."""
    rows = [BenchmarkRow(speed.title, speed.steps, "steps/s")]
    rows += [BenchmarkRow(f"{speed.title}, {label}", share, "%") for label, share in speed.shares.items()]
    print_table(rows)
    print(flush=True)
    return rows


def main(words: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seconds", metavar="S", type=float, default=30.0, help="that count, for each (30)")
    parser.add_argument("--settle", metavar="S", type=float, default=10.0, help="of learning before them (10)")
    parser.add_argument("--fill", metavar="N", type=int, default=2000, help="steps before learning (2000)")
    parser.add_argument("--cores", metavar="N", type=int, default=2, help="that all may use (2)")
    parser.add_argument("--dtypes", metavar="TYPE", nargs="+", default=["auto", "float32"], help="(auto float32)")
    parser.add_argument("--no-sb3", action="store_true", help="ours alone")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments, flags = parser.parse_known_args(words)
    if arguments.side:
        print(json.dumps(asdict(side(arguments, flags))))
        return 0
    print(machine_header(["stable_baselines3", "ale_py"]))
    print("pinned to cores " + ", ".join(map(str, chosen_cores(arguments.cores))), end="\n\n", flush=True)
    rows, own, peers = [], [], []
    for dtype in arguments.dtypes:
        own.append(measured(arguments, "--side", "ours", "--actors.dtype", dtype, "--learner.dtype", dtype, *flags))
        rows += show(own[-1])
    if arguments.no_sb3 or not (importlib.util.find_spec("stable_baselines3") and importlib.util.find_spec("cv2")):
        print("without stable_baselines3: not asked for, or it or cv2 is not installed")
    else:
        for num_envs, threads in PEERS:
            peers.append(measured(arguments, "--side", "sb3", str(num_envs), str(threads)))
            rows += show(peers[-1])
        best = max(peers, key=lambda peer: peer.steps)
        ratios = [BenchmarkRow(f"{one.title}, against {best.title}", one.steps / best.steps, "times") for one in own]
        print_table(ratios)
        rows += ratios
    if arguments.json:
        write_json(rows, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
