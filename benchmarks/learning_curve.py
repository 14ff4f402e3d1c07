"""How strong a run was when: accuracy on labelled positions and Elo of checkpoints spread evenly over its time.

    python benchmarks/learning_curve.py RUN_DIR --positions benchmarks/data/connect_four_positions.jsonl \\
        --checkpoints 8 --json curve.json --plot curve.png

Every figure is what a command prints: accuracies are those of `selfplay evaluate net:RUN_DIR@VERSION` and of
`run:RUN_DIR@VERSION:simulations=S`, matches those of `selfplay match`, with the same --seed. The checkpoints and the
anchors meet each anchor; Elo (`selfplay.stats.ratings`) is fitted to all these matches together, with the first anchor
at 0. Intervals are of the difference to it. Against an anchor that loses every game they are wide, and the distance
grows with --games: name a stronger one first to compare checkpoints. A version that the run removes meanwhile is left
out; --json is rewritten after every checkpoint.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from bench_report import machine_header

import games
from games import Game, GameError
from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress
from selfplay.errors import UserError
from selfplay.evaluation.accuracy import Accuracy, measure_accuracy
from selfplay.evaluation.labelled import LabelledPositions, read_positions
from selfplay.evaluation.match import MatchResult, groups_of, play_match, whole_groups
from selfplay.players.kinds import read_player
from selfplay.players.options import MAX_SIMULATIONS
from selfplay.players.trained import run_config
from selfplay.stats.ratings import PairResult, rate
from selfplay.storage import checkpoint
from selfplay.storage.files import publish
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.snapshots import Snapshot, read_snapshots, spread

ANCHORS = ["random", "mcts:simulations=100", "mcts:simulations=1000", "mcts:simulations=10000"]


class Meter:
    """Measures players as the commands `evaluate` and `match` do, with a line for each figure."""

    def __init__(self, game: Game, positions: LabelledPositions | None, num_games: int, seed: int) -> None:
        self.game, self.positions, self.num_games, self.seed = game, positions, num_games, seed
        self._start = time.monotonic()

    def full_name(self, player_text: str) -> str:
        """The name that a player has in results. Raises UserError for one that cannot play the game."""
        player = read_player(player_text).make_player(self.game, self.seed)
        player.close()
        return player.name

    def accuracy(self, player_text: str) -> Accuracy:
        """The accuracy of a player on the positions."""
        assert self.positions is not None
        player = read_player(player_text).make_player(self.positions.game, self.seed)
        try:
            found = measure_accuracy(player, self.positions, show_progress("positions"))
        finally:
            player.close()
        self._say(f"{found.player}: {found.accuracy:.1%} of the positions")
        return found

    def match(self, first_text: str, second_text: str) -> MatchResult:
        """A match of two players."""
        specs = [read_player(text) for text in (first_text, second_text)]
        *seeds, match_seed = (int(seed) for seed in np.random.SeedSequence(self.seed).generate_state(3))
        players = [spec.make_player(self.game, seed) for spec, seed in zip(specs, seeds)]
        try:
            first, second = players
            progress = show_progress("games")
            result = play_match(self.game, first, second, self.num_games, match_seed, on_progress=progress)
        finally:
            for player in players:
                player.close()
        score = f"{result.wins} won, {result.draws} drawn, {result.losses} lost"
        self._say(f"{result.first} against {result.second}: {score}")
        return result

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._start:6.0f} s] {text}", flush=True)


def measure(
    meter: Meter, arguments: argparse.Namespace, anchors: list[str], snapshot: Snapshot
) -> tuple[dict[str, Any], list[MatchResult]]:
    """A checkpoint's figures, for `json.dumps`, and its matches. Raises UserError when it cannot be read."""
    target = f"{arguments.run_dir}@{snapshot.version}"
    accuracies = []
    for simulations in arguments.simulations if meter.positions is not None else ():
        player = f"run:{target}:simulations={simulations}" if simulations else f"net:{target}"
        accuracies.append({"simulations": simulations} | asdict(meter.accuracy(player)))
    player = f"run:{target}:simulations={arguments.match_simulations}"
    matches = [meter.match(player, anchor) for anchor in anchors if anchor != player]
    return vars(snapshot) | {"player": player, "accuracies": accuracies}, matches


def report(
    arguments: argparse.Namespace, anchors: list[str], points: list[dict[str, Any]], matches: list[MatchResult]
) -> dict[str, Any]:
    """Everything that was measured, and the ratings, for `json.dumps`."""
    game = games.load(matches[0].game)
    results = [
        PairResult.of_groups(match.first, match.second, groups, max(1, game.num_players - 1))
        for match in matches
        for groups in [groups_of(game, [record.score for record in match.records])]
    ]
    ratings = rate(results, anchors[0])
    return {
        "run": str(arguments.run_dir),
        "game": matches[0].game,
        "machine": machine_header().splitlines(),
        "positions_file": str(arguments.positions) if arguments.positions else None,
        "games_per_match": arguments.games,
        "match_simulations": arguments.match_simulations,
        "seed": arguments.seed,
        "checkpoints": [point | {"rating": vars(ratings.rating(point["player"]))} for point in points],
        "anchors": [vars(ratings.rating(anchor)) for anchor in anchors],
        "matches": [match.as_json() for match in matches],
    }


def table(curve: dict[str, Any]) -> str:
    """The report as aligned columns, one checkpoint a line; the anchors below."""
    first = curve["checkpoints"][0]["accuracies"]
    names = ["net alone" if found["simulations"] == 0 else f"{found['simulations']} simulations" for found in first]
    rows = [["minutes", "games", "positions", "steps", *names, f"Elo, {curve['match_simulations']} simulations"]]
    for point in curve["checkpoints"]:
        rows.append([f"{point['minutes']:.1f}", *(f"{point[key]:,}" for key in ("games", "positions", "steps"))])
        rows[-1] += [
            f"{100 * found['accuracy']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
            for found in point["accuracies"]
        ]
        rows[-1].append(_elo_text(point["rating"]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths)) for row in rows]
    width = max(len(anchor["player"]) for anchor in curve["anchors"])
    lines += ["", *(f"{anchor['player']:<{width}}  {_elo_text(anchor)}" for anchor in curve["anchors"])]
    return "\n".join(lines)


def _elo_text(rating: dict[str, Any]) -> str:
    if rating["low"] == rating["high"]:
        return f"{rating['elo']:.0f} (fixed)"
    return f"{rating['elo']:.0f} ({rating['low']:.0f} to {rating['high']:.0f})"


def draw_plot(curve: dict[str, Any], path: Path) -> None:
    """Accuracy and Elo over minutes, with 95 % intervals; the anchors are lines across."""
    from matplotlib.figure import Figure

    points = curve["checkpoints"]
    minutes = [point["minutes"] for point in points]
    kinds = [found["simulations"] for found in points[0]["accuracies"]]
    figure = Figure(figsize=(11.0 if kinds else 6.0, 4.8), layout="constrained")
    figure.suptitle(f"{Path(curve['run']).name}: {curve['game']}")
    *accuracy_axes, elo_axis = figure.subplots(1, 2 if kinds else 1, squeeze=False)[0]

    def draw(axis: Any, key: str, figures: list[dict[str, Any]], scale: float, label: str) -> None:
        middle, low, high = (scale * np.array([one[name] for one in figures]) for name in (key, "low", "high"))
        (line,) = axis.plot(minutes, middle, "o-", markersize=4, label=label)
        axis.fill_between(minutes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)

    for k, simulations in enumerate(kinds):
        label = f"{simulations} simulations" if simulations else "network alone"
        draw(accuracy_axes[0], "accuracy", [point["accuracies"][k] for point in points], 100.0, label)
        accuracy_axes[0].set(ylabel="positions where the value is kept, %")
        accuracy_axes[0].legend(loc="lower right")
    draw(elo_axis, "elo", [point["rating"] for point in points], 1.0, "")
    for anchor in curve["anchors"]:
        elo_axis.axhline(anchor["elo"], color="gray", linestyle="--", linewidth=1, zorder=0)
        place = {"xycoords": ("axes fraction", "data"), "xytext": (-4, 2), "textcoords": "offset points"}
        elo_axis.annotate(anchor["player"], (1.0, anchor["elo"]), **place, ha="right", fontsize=8, color="dimgray")
    zero = curve["anchors"][0]["player"]
    elo_axis.set(ylabel=f"Elo with {curve['match_simulations']} simulations, {zero} = 0")
    for axis in (*accuracy_axes, elo_axis):
        axis.set(xlabel="minutes of training")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


class _Parser(argparse.ArgumentParser):
    """ArgumentParser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def read_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked before anything is measured."""
    parser = _Parser(description=__doc__.splitlines()[0])
    simulations = integer(0, MAX_SIMULATIONS)
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="the run; it may be running")
    parser.add_argument("--positions", metavar="FILE.jsonl", type=Path, help="labelled positions; no accuracy without")
    parser.add_argument(
        "--simulations", metavar="S", nargs="+", type=simulations, default=[0, 100, 600],
        help="for the accuracy; 0 is the network alone (0 100 600)",
    )  # fmt: skip
    parser.add_argument("--match-simulations", metavar="S", type=integer(1, MAX_SIMULATIONS), default=100, help="(100)")
    parser.add_argument(
        "--games", metavar="N", type=integer(1, 10**7), default=100, help="of a match, rounded up (100)"
    )
    parser.add_argument(
        "--anchors", metavar="PLAYER", nargs="+", default=ANCHORS, help=f"opponents ({' '.join(ANCHORS)})"
    )
    parser.add_argument("--checkpoints", metavar="K", type=integer(1, 10_000), default=8, help="at most so many (8)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything that was measured")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="draw it (needs matplotlib)")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of everything random (0)")
    arguments = parser.parse_args(words)
    for option, path in (("--json", arguments.json), ("--plot", arguments.plot)):
        if path is not None and not path.parent.is_dir():
            raise UserError(f"{option}: there is no folder {path.parent}")
    if arguments.plot is not None and arguments.plot.suffix != ".png":
        raise UserError(f"--plot: {arguments.plot} does not end in .png")
    if arguments.plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise UserError("--plot needs matplotlib; pip install -c constraints.txt matplotlib")
    return arguments


def run(arguments: argparse.Namespace) -> None:
    """Measure, print and write."""
    game = games.load(run_config(str(arguments.run_dir)).game)
    positions = read_positions(arguments.positions) if arguments.positions else None
    if positions is not None and positions.game.rules != game.rules:
        raise UserError(f"{arguments.positions} has positions of {positions.game.name}, the run plays {game.name}")
    arguments.games = whole_groups(game, arguments.games)
    folder = RunFolder.open(arguments.run_dir).checkpoints
    chosen = spread(read_snapshots(folder, _warn), arguments.checkpoints)
    print(f"{machine_header()}\n{game.name}, versions {', '.join(str(one.version) for one in chosen)}\n", flush=True)
    meter = Meter(game, positions, arguments.games, arguments.seed)
    anchors = list(dict.fromkeys(meter.full_name(text) for text in arguments.anchors))
    matches = [meter.match(*pair) for pair in itertools.combinations(anchors, 2)]
    points: list[dict[str, Any]] = []
    for snapshot in chosen:
        try:
            point, played = measure(meter, arguments, anchors, snapshot)
        except UserError as error:
            if snapshot.version in checkpoint.versions(folder):
                raise
            _warn(f"version {snapshot.version} is left out, the run has removed it: {error}")
            continue
        points.append(point)
        matches += played
        curve = report(arguments, anchors, points, matches)
        if arguments.json is not None:
            publish(arguments.json, (json.dumps(curve, indent=1) + "\n").encode())
    if not points:
        raise UserError(f"{arguments.run_dir}: the run removed every version before it was measured")
    print(f"\n{table(curve)}")
    if arguments.plot is not None:
        draw_plot(curve, arguments.plot)


def _warn(text: str) -> None:
    print(f"learning_curve: {text}", file=sys.stderr, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    try:
        run(read_arguments(words))
    except (UserError, GameError) as error:
        _warn(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
