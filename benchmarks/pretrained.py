"""Make the trained networks that come with selfplay: train, take the weights out of the run, measure, write the card.

    python benchmarks/pretrained.py hex_5x5
    python benchmarks/pretrained.py connect_four --run runs/pretrained/connect_four   # goes on with a run, or takes it
    python benchmarks/pretrained.py connect_four --only-measure

A network is a folder `pretrained/NAME`, laid out like that of a run: `config.yaml`, one checkpoint with the weights
alone, and `card.json`: the command, the commit and the seed that made it, what was played, and what was measured, each
figure with its command. Training ends by positions, not by minutes, so that a slow machine makes as strong a network as
a fast one. Measuring connect_four takes about an hour of one core, othello several.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import machine_header

import games
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player
from selfplay.players.player import Player
from selfplay.players.pretrained import pretrained_game
from selfplay.storage import checkpoint
from selfplay.storage.files import digest, publish
from selfplay.storage.run_folder import CARD, RunFolder

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "pretrained"

SEED = 1
MOST_BYTES = 2_000_000
"""Largest size of the weights of a network that comes with selfplay."""

TRAINING = (
    f"--seed {SEED} --actors.num_actors 1 --evaluation.every_minutes 0 --evaluation.opponents random "
    "--evaluation.final_games 2 --budget.minutes 0"
)
"""What all of them are trained with beside a shipped file: measuring is no part of the run."""

Figure = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How one network is made."""

    config: str
    """The name of the shipped settings."""
    positions: int
    """Number of positions of self-play."""
    measure: Callable[[str], list[Figure]]
    """PLAYER without options -> what is measured of it."""

    def training(self, run: Path) -> list[str]:
        """The arguments of `selfplay` that train it."""
        return ["train", self.config, "--run-dir", str(run), *TRAINING.split(), "--budget.positions",
                str(self.positions)]  # fmt: skip


def _hard_positions(player: str, positions: Path | str, simulations: int) -> Figure:
    figure = _measured("evaluate", f"{player}:simulations={simulations}", "--positions", str(positions))
    names = ("positions", "kept", "accuracy", "low", "high")
    return {
        "what": f"share of hard positions whose value is kept, {simulations} simulations",
        "command": figure["command"],
        **{name: figure[name] for name in names},
    }


def _score(player: str, simulations: int, opponent: str, num_games: int, seed: int) -> Figure:
    figure = _measured(
        "match", f"{player}:simulations={simulations}", opponent, "--games", str(num_games), "--seed", str(seed)
    )
    names = ("games", "wins", "draws", "losses", "score", "score_low", "score_high", "distinct_games")
    return {
        "what": f"score against {opponent}, {simulations} simulations",
        "command": figure["command"],
        **{name: figure[name] for name in names},
    }


def _measured(*arguments: str) -> Figure:
    """What a command of selfplay prints with --json, and the command."""
    print(f"selfplay {shlex.join(arguments)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "selfplay", *arguments, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise UserError(f"selfplay {shlex.join(arguments)} ended with status {done.returncode}")
    return {**json.loads(done.stdout), "command": f"selfplay {shlex.join(arguments)}"}


def measure_tic_tac_toe(player: str) -> list[Figure]:
    """Every reply is tried, and every game that it can come to is counted."""
    figures: list[Figure] = []
    game = games.load("tic_tac_toe")
    for simulations in (1, 32):
        text = f"{player}:simulations={simulations}"
        for seat in (0, 1):
            player_made = parse_player(text, game, seed=0)
            lost, finished = lost_games(player_made, game, seat)
            player_made.close()
            figures.append(
                {
                    "what": f"games lost against all possible replies in seat {seat}, {simulations} simulations",
                    "command": "python benchmarks/pretrained.py tic_tac_toe --only-measure",
                    "games": finished,
                    "losses": lost,
                }
            )
    return figures


def measure_hex(player: str) -> list[Figure]:
    """Hard positions that the exact solver labels anew."""
    positions = ROOT / "runs" / "pretrained_hex_5x5.jsonl"
    label = [
        "label", "--game", "hex(board_size=5)", "--positions", "150", "--hard", "--min-plies", "5", "--max-plies",
        "14", "--seed", "11", "--out", str(positions.relative_to(ROOT)),
    ]  # fmt: skip
    if not positions.exists():
        positions.parent.mkdir(exist_ok=True)
        _run(label)
    figures = [_hard_positions(player, positions.relative_to(ROOT), simulations) for simulations in (1, 32, 100)]
    return [{**figure, "labelled by": f"selfplay {shlex.join(label)}"} for figure in figures]


def measure_connect_four(player: str) -> list[Figure]:
    """The shipped hard positions, and three matches."""
    positions = "connect_four_positions"
    return [
        *(_hard_positions(player, positions, simulations) for simulations in (1, 100, 600)),
        *(_score(player, 100, "mcts:simulations=1000", 200, seed) for seed in (0, 1, 2)),
    ]


def measure_othello(player: str) -> list[Figure]:
    """Matches against plain MCTS."""
    return [
        _score(player, 100, "mcts:simulations=1000", 100, 0),
        _score(player, 100, "mcts:simulations=10000", 200, 0),
    ]


RECIPES = {
    "tic_tac_toe": Recipe("smoke", 100_000, measure_tic_tac_toe),
    "hex_5x5": Recipe("hex_5x5", 150_000, measure_hex),
    "connect_four": Recipe("connect_four_hour", 800_000, measure_connect_four),
    "othello": Recipe("othello", 650_000, measure_othello),
}


def lost_games(player: Player, game: games.Game, seat: int) -> tuple[int, int]:
    """How many games the player loses in `seat`, of all that it can come to when the opponent tries every move, and how
    many those are. The game is for two players, without chance, with a reward at its end alone."""
    lost = finished = 0
    histories: list[list[int]] = [[]]
    pool, slots = game.new_pool(1), np.arange(1)
    pool.reset(slots)
    while len(slots):
        if pool.to_play(slots)[0] == seat:  # the same player in all of them
            sources, actions = slots, player.choose(pool, slots, histories)
        else:
            offsets, actions = pool.legal(slots)
            sources = np.repeat(slots, np.diff(offsets))
        reached = game.new_pool(len(actions))
        following = np.arange(len(actions))
        reached.load(following, pool, sources)
        to_play, rewards = reached.step(following, actions, following)
        is_over = to_play == games.TERMINAL
        finished += int(is_over.sum())
        lost += int((rewards[is_over, seat] < 0).sum())
        histories = [[*histories[source], int(action)] for source, action in zip(sources, actions)]
        histories = [history for history, ended in zip(histories, is_over) if not ended]
        slots = np.arange(len(histories))
        pool = game.new_pool(max(1, len(slots)))
        pool.load(slots, reached, following[~is_over])
    return lost, finished


def take_out(run: Path, folder: Path, made: Mapping[str, Any]) -> Path:
    """The newest network of a run as a folder of its own, whose card has `made` and nothing measured yet.

    Takes the place of an earlier one. Raises UserError where the run has no checkpoint or the weights are too large.
    """
    source = RunFolder.open(run)
    found = checkpoint.load(source.checkpoints)
    played = {name: found.state[name] for name in ("games", "positions") if name in found.state}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    saved = checkpoint.save(
        RunFolder(folder).checkpoints, checkpoint.Checkpoint(found.version, found.weights, {}, {"steps": found.version})
    )
    weights = (saved / checkpoint.WEIGHTS).read_bytes()
    if len(weights) > MOST_BYTES:
        raise UserError(f"{saved}: {len(weights):,} bytes of weights are more than {MOST_BYTES:,}; use a smaller net")
    publish(RunFolder(folder).config, source.config.read_bytes())
    card = {
        "made": {**made, "seed": SEED, "steps": found.version, **played},
        "weights": {"bytes": len(weights), "sha256": digest(weights)},
        "measured": [],
    }
    _write_card(folder, card)
    return folder


def measure(name: str, recipe: Recipe) -> None:
    """Measure a network and write the figures into its card."""
    folder = FOLDER / name
    card = json.loads((folder / CARD).read_text())
    card["measured_on"] = machine_header().splitlines()
    card["measured"] = recipe.measure(f"pretrained:{name}")
    _write_card(folder, card)
    for figure in card["measured"]:
        print(json.dumps(figure))


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    publish(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())


def _run(arguments: list[str]) -> None:
    print(f"selfplay {shlex.join(arguments)}", file=sys.stderr, flush=True)
    if status := subprocess.run([sys.executable, "-m", "selfplay", *arguments], cwd=ROOT).returncode:
        raise UserError(f"selfplay {shlex.join(arguments)} ended with status {status}")


def main(argv: list[str] | None = None) -> int:
    """Make the networks that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="+", choices=RECIPES, help=", ".join(RECIPES))
    parser.add_argument("--run", type=Path, help="folder of the run of one NAME (runs/pretrained/NAME)")
    parser.add_argument("--commit", help="take the run as it is, trained by this commit")
    parser.add_argument("--note", help="what else the card should say of how it was made")
    parser.add_argument("--only-measure", action="store_true", help="measure the network that is there")
    parser.add_argument("--no-measure", action="store_true", help="write the card without figures")
    arguments = parser.parse_args(argv)
    if arguments.run and len(arguments.names) > 1:
        parser.error("--run is for one NAME")
    try:
        for name in arguments.names:
            recipe = RECIPES[name]
            if not arguments.only_measure:
                run = arguments.run or ROOT / "runs" / "pretrained" / name
                commit = arguments.commit
                if commit is None:
                    _run(["resume", str(run)] if (run / "config.yaml").exists() else recipe.training(run))
                    head = ["git", "rev-parse", "HEAD"]
                    commit = subprocess.run(head, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
                command = shlex.join(["selfplay", *recipe.training(Path("RUN"))])
                made = {"command": command, "commit": commit, "machine": machine_header().splitlines()}
                if arguments.note:
                    made["note"] = arguments.note
                take_out(run, FOLDER / name, made)
                print(f"{FOLDER / name}: {pretrained_game(name)}")
            if not arguments.no_measure:
                measure(name, recipe)
    except (UserError, games.GameError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
