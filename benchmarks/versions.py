"""Whether a wheel of the project works elsewhere, with the lowest and the newest versions that pyproject.toml allows.

    python benchmarks/versions.py --out runs/versions [--only lowest] [--with torch==2.13.0]

Builds the wheel. Makes a virtual environment for each set of versions, installs the wheel there from the package index,
and runs the commands of `STEPS` in a folder outside the project. Prints a table; the output of a command that failed is
in the folder. About ten minutes and 3 GB each, or 8 GB where the index has only builds of PyTorch for CUDA.
`--with` replaces requirements in both sets.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
    *("games", "nets", "search", "selfplay", "configs", "benchmarks/data", "pretrained"),
)
SETS = ("lowest", "newest")
SECONDS = 600
"""Limit of one command. Kernels are compiled in the first ones."""

TINY = (
    "--run-dir {run} --actors.num-actors 1 --actors.games-per-actor 8 --search.num-simulations 4 --net.hidden 16 "
    "--replay.min-positions 50 --learner.batch-size 16 --evaluation.opponents random --evaluation.final-games 4 "
    "--evaluation.every-minutes 0 --budget.minutes 0 --budget.steps 20 --wandb.mode offline"
)


@dataclass(frozen=True)
class Step:
    """A command, what is typed into it, and a piece of the output that it must have."""

    command: str
    output: str
    typed: str = ""


STEPS = (
    Step("--version", "open_spiel"),
    Step("configs", "connect_four_hour"),
    Step("games go(board_size=5) hex(board_size=5)", "go(board_size=5)"),
    Step("train smoke " + TINY.format(run="run"), "against random"),
    Step("resume run --budget.steps 25", "against random"),
    Step("play run:run", "", "quit\n"),
    Step("match run:run random --games 4", "Elo"),
    Step("match pretrained:tic_tac_toe random --games 4", "Elo"),
    Step("label --game tic_tac_toe --positions 20 --processes 1 --out positions.jsonl", ""),
    Step("evaluate run:run:simulations=4 --positions positions.jsonl", "of 20 positions"),
    Step("evaluate random --positions connect_four_positions", "of 700 positions"),
    Step("tournament random mcts:simulations=10 --game tic_tac_toe --games 4 --out tournament", "mcts"),
    Step("report run --html report.html --png report.png", "tic_tac_toe"),
    Step("verify run", ""),
    Step("bench smoke --seconds 1 --actors.num-actors 1", "positions/s"),
    Step(
        "train cartpole_dqn --run-dir cartpole --budget.positions 2000 --budget.minutes 0 --wandb.mode disabled",
        "return",
    ),
    Step("evaluate random --env Hopper-v5 --episodes 2 --video hopper.mp4", "return"),
    Step("evaluate random --env ALE/Pong-v5 --episodes 1", "return"),
)
"""Run in this order, in one folder."""


def build_wheel(folder: Path) -> Path:
    """The wheel of the project in `folder`, from a copy: a build leaves files beside its sources."""
    copy = copy_sources(folder / "source")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(folder.resolve())], cwd=copy, check=True, stdout=subprocess.DEVNULL
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def copy_sources(folder: Path) -> Path:
    """Copy what a wheel is built from; gives `folder` back."""
    for name in SOURCES:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, copy)
    return folder


def clean_environment() -> dict[str, str]:
    """The variables of this process without those through which Python or Numba would look into the project."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}


def run_step(program: Path, step: Step, folder: Path) -> str:
    """Run one command in `folder`; why it failed, with its output, or the empty string."""
    try:
        done = subprocess.run(
            [str(program), *step.command.split()],
            cwd=folder,
            env=clean_environment(),
            input=step.typed,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        return f"not done after {SECONDS} s\n{error.stdout!r}"
    if done.returncode:
        return f"status {done.returncode}\n{done.stdout}"
    return "" if step.output in done.stdout else f"{step.output!r} is missing\n{done.stdout}"


def serve(program: Path, folder: Path) -> str:
    """Open the page with a run and ask for its files; why it failed, or the empty string."""
    command = [str(program), "serve", "run", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            address = re.search(r"http://\S+", line)
            if not address:
                return f"no address: {line}"
            names = re.findall(r'(?:src|href)="(?!http|data:|#)([^"]+\.(?:js|css|svg))"', _get(address[0]))
            for name in names:
                _get(urllib.parse.urljoin(f"{address[0]}/", name))
            return "" if names else "the page names no files"
        except OSError as error:
            return str(error)
        finally:
            server.terminate()


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return str(answer.read().decode())


def failures(program: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Try everything: the commands, each with why it failed, empty where it did not."""
    for step in STEPS:
        yield step.command, run_step(program, step, folder)
    yield "serve run", serve(program, folder)


def requirements(kind: str, replaced: Sequence[str]) -> list[str]:
    """The requirements of pyproject.toml, in their lowest versions or as they are; `replaced` stand in for theirs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {name_of(line): line for line in project["dependencies"]}
    if kind == "lowest":
        listed = {name: re.sub(r">=([\w.]+).*", r"==\1", line) for name, line in listed.items()}
    return list((listed | {name_of(line): line for line in replaced}).values())


def name_of(requirement: str) -> str:
    """The package that a requirement is about."""
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0].lower()


def install(wheel: Path, wanted: Sequence[str], folder: Path) -> Path:
    """A virtual environment with the wheel; its program `selfplay`."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel), *wanted], check=True)
    return folder / "bin" / "selfplay"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="must not exist")
    parser.add_argument("--only", choices=SETS, help="one set of versions")
    parser.add_argument("--with", metavar="REQUIREMENT", dest="replaced", nargs="+", default=[], help="in both sets")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    wheel = build_wheel(arguments.out)
    num_failed = 0
    for kind in SETS if arguments.only is None else [arguments.only]:
        program = install(wheel, requirements(kind, arguments.replaced), arguments.out / kind)
        outside = arguments.out / f"{kind}-files"
        outside.mkdir()
        print(f"\n{kind}: {', '.join(subprocess.check_output([program, '--version'], text=True).split(chr(10))[1:-1])}")
        for number, (command, failure) in enumerate(failures(program.resolve(), outside)):
            print(f"  {'failed' if failure else 'works ':6}  selfplay {command}", flush=True)
            if failure:
                num_failed += 1
                (outside / f"{number:02}-failed.txt").write_text(failure, encoding="utf-8")
    return int(num_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
