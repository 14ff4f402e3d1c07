"""The benchmarks: every script runs in a tiny setting and writes its rows; derived figures are the right ones."""

from __future__ import annotations

import importlib
import json
import math
import operator
import os
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from exact_player import move_values
from run_helpers import Watcher, tiny_config, tiny_file
from search_helpers import fixed_evaluator, search_after

import games
import selfplay
from search import SearchConfig
from selfplay import cli
from selfplay.experience.figures import SelfPlayCounts
from selfplay.profiling import loop, speed
from selfplay.profiling.speed import SelfPlaySpeed, games_row, measure_search, selfplay_rows
from selfplay.storage.checkpoint import versions
from selfplay.system.together import TogetherError, run_together
from selfplay.training.checks import check

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = {
    "bench_search": "--seconds 0 --games tic_tac_toe --simulations 4 --trees 2",
    "bench_inference": "--seconds 0 --nets 2x1 --batches 1 2 --dtypes float32 --threads 1",
    "bench_selfplay": "--seconds 0 --warm-up 0 --game tic_tac_toe --rules puct --net 2x1 --simulations 4 --actors 1"
    " --games-per-actor 4 --no-peers",
}
SPEED = SelfPlaySpeed(
    counts=SelfPlayCounts(
        simulations=4000,
        positions=40,
        games=2,
        game_plies=20,
        evaluations=4000,
        predictions=3000,
        network_calls=30,
        network_seconds=16.0,
        batch_capacity=6000,
        seconds=20.0,
    ),
    num_actors=2,
    inference={"device": "cpu", "dtype": "float32"},
    start_seconds=3.0,
)
"""Two actors for 10 seconds each."""


def read_rows(path: Path) -> dict[str, float]:
    """The rows of a report by name, after a check that they are rows."""
    rows = json.loads(path.read_text())
    assert rows and all(set(row) == {"name", "value", "unit"} for row in rows)
    assert all(row["name"] and row["unit"] and math.isfinite(row["value"]) for row in rows)
    values = {row["name"]: row["value"] for row in rows}
    assert len(values) == len(rows), "names tell rows apart"
    return values


@pytest.mark.parametrize("script", TINY)
def test_script_writes_rows_and_prints_them(script, tmp_path, monkeypatch, capsys):
    report = tmp_path / "report.json"
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(sys, "argv", [script, *TINY[script].split(), "--json", str(report)])
    runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")
    values = read_rows(report)
    printed = capsys.readouterr().out
    assert "processor: " in printed
    assert all(name in printed for name in values)


def test_every_script_is_run_here():
    assert {path.stem for path in SCRIPTS.glob("bench_*.py")} - {"bench_report"} == set(TINY)


@pytest.mark.parametrize("name", ["tic_tac_toe", "2048"])  # the second starts with a chance event
def test_search_speed_counts_every_simulation_and_nothing_else(name):
    speed = measure_search(games.load(name), SearchConfig(num_simulations=5), num_trees=3, seconds=0.0)
    assert speed.simulations == 3 * 5  # one search after the first, which is not counted; no evaluations of roots
    assert speed.seconds > 0 and speed.first_seconds > 0


def test_rows_of_selfplay_are_the_right_ratios():
    game = games.load("tic_tac_toe")
    rows = {row.name: row.value for row in selfplay_rows("x", SPEED, 500.0, game)}
    assert rows == pytest.approx(
        {
            "x simulations": 400.0,
            "x positions": 4.0,
            "x network evaluations": 300.0,
            "x network alone, 2 processes": 500.0,
            "x share of the network alone": 60.0,
            "x actor time in the network call": 80.0,
            "x actor time in search and games": 20.0,
            "x cache hits": 25.0,
            "x mean batch": 100.0,
            "x start of the actors": 3.0,
        }
    )
    assert games_row("x", SPEED, game).value == pytest.approx(12.0)


def test_a_failing_process_is_reported_and_ends_the_others():
    with pytest.raises(TogetherError, match="TypeError"):
        run_together(operator.truediv, 2, 1)  # `ready` divided by 1


def test_bench_command_uses_the_settings_given(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(config, seconds, warm_up, network_seconds, warn):
        measured.append(config)
        return SPEED, 500.0

    monkeypatch.setattr(speed, "measure_selfplay_and_network", measure)
    monkeypatch.setattr(loop, "measure_loop", lambda config, seconds: measured.append(config))
    monkeypatch.setattr(loop, "loop_rows", lambda *rest: [speed.BenchmarkRow("learner", 16.0, "samples/s")])
    report = tmp_path / "report.json"
    (tmp_path / "a.yaml").write_text("game: tic_tac_toe\nactors: {num_actors: 0, games_per_actor: 2}\n")
    options = ["--search.num_simulations", "3", "--seconds", "0", "--json", str(report)]
    assert cli.main(["bench", str(tmp_path / "a.yaml"), *options]) == 0
    assert measured[0].search.num_simulations == measured[1].search.num_simulations == 3
    assert measured[0].actors.num_actors == 1, "a run without actor processes is measured with one"
    values = read_rows(report)
    assert values["self-play simulations"] == 400.0 and values["learner"] == 16.0
    assert values["search with a constant evaluator, one core"] > 0
    assert "tic_tac_toe, puct with 3 simulations" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["missing.yaml"], "missing.yaml"),
        (["--json", "nowhere/report.json"], "nowhere"),
        (["--search.rule", "uct"], "search.rule"),
        (["--seconds", "-1"], "--seconds"),
    ],
)
def test_bench_command_complains_before_it_measures(arguments, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "measure_warm_up", lambda config: pytest.fail("it measured"))
    assert cli.main(["bench", *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def learning_curve(monkeypatch):
    """The names of the script, which has not run yet."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return runpy.run_path(str(SCRIPTS / "learning_curve.py"))


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """A run with four checkpoints, and a file of positions of its game."""
    folder = tmp_path_factory.mktemp("curve")
    overrides = ["--budget.steps", "6", "--checkpoint.every_steps", "2", "--checkpoint.keep_last", "9"]
    selfplay.train(tiny_config(folder, *overrides), folder / "run", Watcher())
    histories = [[], [4], [0, 4], [0, 8, 4], [4, 1, 0, 8]]
    lines = [
        {"game": "tic_tac_toe", "moves": history, "values": {str(k): v for k, v in move_values(history).items()}}
        for history in histories
    ]
    (folder / "positions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "other.jsonl").write_text('{"game": "pig", "moves": [], "values": {"0": 0, "1": 0}}\n')
    return folder


COUNTING_BENCHMARK = """
import json, pathlib, sys
counter = pathlib.Path({counter!r})
number = len(counter.read_text()) if counter.exists() else 0
counter.write_text("x" * (number + 1))
rows = [{{"name": "speed", "value": {speed} * (1 + number // 2), "unit": "samples/s"}}]
rows += [{{"name": "never", "value": 0, "unit": "games/s"}}, {{"name": "start", "value": {speed}, "unit": "s"}}]
pathlib.Path(sys.argv[-1]).write_text(json.dumps(rows))
sys.exit("no luck" if "--fail" in sys.argv else 0)
"""


def test_two_trees_are_compared_round_by_round(tmp_path, monkeypatch, capsys):
    """The machine gets faster after each round, in which both trees are measured: the ratio is that of the trees."""
    monkeypatch.syspath_prepend(SCRIPTS)
    compare = runpy.run_path(str(SCRIPTS / "compare_trees.py"), run_name="compare_trees")["main"]
    trees = {name: tmp_path / name for name in ("now", "before")}
    for tree, rate in zip(trees.values(), (3.0, 4.0), strict=True):
        tree.mkdir()
        (tree / "bench.py").write_text(COUNTING_BENCHMARK.format(counter=str(tmp_path / "runs"), speed=rate))
    monkeypatch.setitem(compare.__globals__, "HERE", trees["now"])
    command = [str(trees["before"]), "--rounds", "3"]
    assert compare([*command, "--least", "0.75", "--", "bench.py"]) == 0
    assert capsys.readouterr().out.endswith("|---|---|---|---|\n| speed | 0.750 | 0.750 | 0.750 |\n")
    assert (tmp_path / "runs").read_text() == "x" * 6
    assert compare([*command, "--least", "0.76", "--", "bench.py"]) == 1
    with pytest.raises(SystemExit, match=r"bench\.py --fail failed in .*now: no luck"):
        compare([*command, "--", "bench.py", "--fail"])


def test_learning_curve_is_what_the_commands_print(tiny_run, learning_curve, tmp_path, capsys):
    run, positions = tiny_run / "run", str(tiny_run / "positions.jsonl")
    report, plot = tmp_path / "curve.json", tmp_path / "curve.png"
    options = "--simulations 0 4 --match-simulations 4 --games 7 --checkpoints 2 --seed 3 --anchors random".split()
    options += ["mcts:simulations=3", "--positions", positions, "--json", str(report), "--plot", str(plot)]
    assert learning_curve["main"]([str(run), *options]) == 0
    printed = capsys.readouterr().out
    curve = json.loads(report.read_text())
    first, last = curve["checkpoints"]
    assert [first["version"], last["version"]] == [versions(run / "checkpoints")[i] for i in (0, -1)] == [0, 6]
    assert first["minutes"] < last["minutes"] and first["games"] < last["games"] and last["steps"] == 6
    assert len(curve["matches"]) == 1 + 2 * 2 and all(match["games"] == 8 for match in curve["matches"])
    assert curve["anchors"][0] == {"player": "random", "elo": 0.0, "low": 0.0, "high": 0.0, "games": 24.0}
    assert all(point["rating"]["low"] < point["rating"]["elo"] < point["rating"]["high"] for point in (first, last))
    assert "net alone" in printed and f"{last['positions']:,}" in printed and "mcts:simulations=3" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")

    for accuracy in last["accuracies"]:
        assert cli.main(["evaluate", accuracy["player"], "--positions", positions, "--seed", "3", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {k: v for k, v in accuracy.items() if k != "simulations"}
    match = curve["matches"][-1]
    command = ["match", match["first"], match["second"], "--games", "8", "--seed", "3", "--json"]
    assert cli.main(command) == 0
    assert json.loads(capsys.readouterr().out) == match


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["missing"], "missing: no such run"),
        (["run", "--json", "nowhere/curve.json"], "there is no folder nowhere"),
        (["run", "--plot", "curve.txt"], "does not end in .png"),
        (["run", "--anchors", "mtcs"], "did you mean 'mcts'?"),
        (["run", "--anchors", "net:missing"], "missing: no such run"),
        (["run", "--positions", "other.jsonl"], "positions of pig, the run plays tic_tac_toe"),
        (["run", "--checkpoints", "0"], "--checkpoints"),
    ],
)
def test_learning_curve_complains_in_one_line_before_it_measures(
    arguments, complaint, tiny_run, learning_curve, monkeypatch, capsys
):
    monkeypatch.chdir(tiny_run)
    assert learning_curve["main"](arguments) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1


def test_learning_curve_leaves_out_what_the_run_removes_meanwhile(tiny_run, learning_curve, tmp_path, capsys):
    script = learning_curve["main"].__globals__
    kept = script["read_snapshots"]

    def and_one_more(folder, warn):
        return [*kept(folder, warn), script["Snapshot"](99, 99, 60.0, 1, 1)]

    script.update(read_snapshots=and_one_more)
    report = tmp_path / "curve.json"
    options = "--match-simulations 4 --games 2 --checkpoints 2 --anchors random --json".split()
    assert learning_curve["main"]([str(tiny_run / "run"), *options, str(report)]) == 0
    assert [point["version"] for point in json.loads(report.read_text())["checkpoints"]] == [0]
    assert "version 99 is left out, the run has removed it" in capsys.readouterr().err


@pytest.fixture
def root_values(monkeypatch):
    """The names of the script, which has not run yet."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return runpy.run_path(str(SCRIPTS / "root_values.py"))


def test_root_values_finds_the_mean_that_puct_takes_and_a_worse_one_for_gumbel(root_values):
    # One move in seven wins at once and is a poor one for the network, which thinks nothing of any position.
    one_move_wins, prior = [0, 1, 0, 1, 0, 1], [0.04, *[0.16] * 6]
    game = games.load("connect_four")

    def found(rule):
        config = SearchConfig(rule=rule, num_simulations=28, proven_values=False)
        evaluator = fixed_evaluator(game, prior, lambda observation: 0.0)
        return root_values["estimates"](search_after(game, one_move_wins, config, evaluator))

    puct, gumbel = found("puct"), found("gumbel")
    assert puct["root_value"] == pytest.approx(puct["plain mean"]) and puct["network"] == 0.0
    assert gumbel["plain mean"] < 0.5 < 0.95 < gumbel["root_value"]


def test_root_values_prints_a_row_an_estimate(root_values, tiny_run, capsys):
    positions = ["--positions", str(tiny_run / "positions.jsonl")]
    assert root_values["main"]([f"run:{tiny_run / 'run'}:simulations=4", *positions]) == 0
    printed = capsys.readouterr().out
    assert "of 5 positions" in printed and printed.count("\n| ") == 1 + 4
    for player, complaint in (("random", "does not search"), ("net:missing", "no such run")):
        assert root_values["main"]([player, *positions]) == 2
        error = capsys.readouterr().err
        assert complaint in error and error.count("\n") == 1


def test_checkpoints_are_spread_over_time_and_the_last_is_among_them(learning_curve):
    snapshots = [learning_curve["Snapshot"](i, i, float(t), 0, 0) for i, t in enumerate([0, 1, 2, 3, 4, 30, 58, 60])]
    assert [one.version for one in learning_curve["spread"](snapshots, 3)] == [0, 5, 7]
    assert [one.version for one in learning_curve["spread"](snapshots, 1)] == [7]
    assert learning_curve["spread"](snapshots, 20) == snapshots


# Ablation.


@pytest.fixture
def ablation(monkeypatch):
    """The names of the script, imported as its own processes do."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return vars(importlib.import_module("ablation"))


def test_ablation_trains_what_is_missing_and_compares_it_with_the_base(tiny_run, ablation, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    known = {"name": "base", "seed": 3, "steps": 10, "positions": 100, "kept": {"0": [0, 0, 1, 0, 1]}}
    (out / "base-3.json").write_text(json.dumps(known))
    (out / "no_heads-3").mkdir()  # a run that was stopped in the middle
    words = [str(tiny_file(tmp_path)), "--out", str(out), "--positions", str(tiny_run / "positions.jsonl")]
    words += ["--minutes", "1", "--seeds", "3", "--simulations", "0", "--only", "base"]
    words += ["--variant", "no heads", "--net.hidden 8 --budget.steps 6", "--jobs", "2"]
    assert ablation["main"](words) == 0
    made = json.loads((out / "no_heads-3.json").read_text())
    assert made["steps"] > 0 and made["positions"] > 0 and len(made["kept"]["0"]) == 5
    text = capsys.readouterr().out
    assert "| base | 10 | 100 | 40.0 % (40.0) |  |" in text
    assert f"| no heads | {made['steps']:,} | {made['positions']:,} | {20 * sum(made['kept']['0'])}.0 %" in text
    assert "hidden: 8" in (out / "no_heads-3" / "config.yaml").read_text()


@pytest.mark.parametrize("jobs, shares", [(1, [{0, 1, 5}]), (2, [{0, 5}, {1}]), (4, 4 * [{0, 1, 5}])])
def test_ablation_gives_each_run_its_share_of_the_cores(jobs, shares, ablation, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5})
    assert ablation["shares_of_cores"](jobs) == shares


def test_ablation_difference_is_paired_by_position(ablation):
    base, other = np.array([[1, 0, 1, 0], [1, 0, 0, 0]]), np.array([[1, 1, 1, 0], [1, 1, 1, 0]])
    # By position 0, 1, 0.5 and 0 more: mean 0.375, deviation 0.4787 over four positions.
    gap, margin = ablation["difference"](base, other)
    assert gap == pytest.approx(0.375)
    assert margin == pytest.approx(1.96 * 0.478714 / 2, rel=1e-4)


def test_every_variant_of_the_ablation_is_a_config_that_training_accepts(ablation):
    config = SCRIPTS.parent / "configs" / "connect_four.yaml"
    for flags in ablation["VARIANTS"].values():
        check(selfplay.load_config(selfplay.Config, config, flags.split()))


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "no such row"],
        ["--positions", "nowhere.jsonl"],
        ["--variant", "bad", "--search.rule nothing"],
        ["--variant", "another game", "--game hex(board_size=3)"],
        ["--variant", "no game", "--game nonsense"],
        ["--variant", "an environment", "--environment CartPole-v1 --algorithm dqn"],
    ],
)
def test_ablation_complains_in_one_line_before_it_trains(words, ablation, tiny_run, tmp_path, capsys):
    arguments = [str(tiny_file(tmp_path)), "--out", str(tmp_path / "out")]
    arguments += ["--positions", str(tiny_run / "positions.jsonl"), *words]
    assert ablation["main"](arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


# Atari.


@pytest.fixture
def atari_speed(monkeypatch):
    """The names of the script, which has not run yet."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return runpy.run_path(str(SCRIPTS / "atari_speed.py"))


@pytest.fixture
def clock(atari_speed):
    """What the script takes for the time; the test sets it."""
    time = SimpleNamespace(now=0.0)
    time.perf_counter = lambda: time.now
    atari_speed["main"].__globals__["time"] = time
    return time


def test_time_within_a_timed_method_belongs_to_the_innermost(atari_speed, clock):
    class Loop:
        def step(self):
            clock.now += 2.0
            self.sample()
            clock.now += 3.0

        def sample(self):
            clock.now += 5.0

    clocks, loop = atari_speed["Clocks"](), Loop()
    clocks.time(Loop, "step", "learner")
    clocks.time(loop, "sample", "replay")
    loop.step()
    clock.now += 7.0
    assert clocks.lap() == {"learner": 5.0, "replay": 5.0, atari_speed["REST"]: 7.0}
    loop.sample()
    assert clocks.lap() == {"replay": 5.0, atari_speed["REST"]: 0.0}


def test_the_window_opens_after_learning_has_settled(atari_speed, clock):
    window = atari_speed["Window"](settle=10.0, seconds=30.0)
    for clock.now, is_learning, total in [(0, False, 0), (50, True, 400), (59, True, 500)]:
        window.spent.update({"learner: replay": 1.0})
        assert window.look(is_learning, total) is None
    for clock.now, total in [(60, 1000), (89, 2000)]:
        assert window.look(True, total) is None
        window.spent.update({"learner: replay": 1.0, "learner: learner": 3.0, "actor: waiting": 0.5})
    clock.now = 90
    assert window.look(True, 4000) == [100.0]
    shares = atari_speed["shares"](window.spent)
    assert shares == {"actor: waiting": 100.0, "learner: learner": 75.0, "learner: replay": 25.0}
    assert list(shares) == sorted(shares)


@pytest.mark.slow
@pytest.mark.parametrize("actors", [0, 1])
def test_atari_speed_says_where_the_time_of_our_loop_went(actors, atari_speed, tmp_path, capsys):
    report = tmp_path / "report.json"
    words = f"--seconds 1 --settle 0 --fill 128 --no-sb3 --dtypes float32 --actors.num-actors {actors}".split()
    assert atari_speed["main"]([*words, "--json", str(report)]) == 0
    speed, *spent = read_rows(report).items()
    assert speed[1] > 0 and "(float32)" in speed[0]
    whole: Counter[str] = Counter()
    for name, share in spent:
        whole[name.split(", ")[-1].split(":")[0]] += share
    assert whole == pytest.approx(dict.fromkeys(["actor", "learner"] if actors else ["learner"], 100.0))
    names = " ".join(name for name, _ in spent)
    assert all(part in names for part in ("environment", "network", "learner: learner", "replay"))
    assert "without stable_baselines3" in capsys.readouterr().out


def test_lost_openings_are_told_from_what_was_given_away(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS)
    script = runpy.run_path(str(SCRIPTS / "lost_openings.py"))["main"]
    path = str(tmp_path / "games.jsonl")
    match = ["match", "solver", "random", "--game", "tic_tac_toe", "--games", "40", "--opening-plies", "3"]
    assert cli.main([*match, "--save", path]) == 0
    assert script([path, "--opening-plies", "3"]) == 0
    solver = capsys.readouterr().out.splitlines()[-1]
    assert solver.endswith("; 0 ended worse than their opening")
    assert script([path, "--opening-plies", "3", "--player", "random"]) == 0
    random = capsys.readouterr().out.splitlines()[-1]
    given_away = 0
    for record in map(json.loads, Path(path).read_text().splitlines()):
        seat = record["seats"].index("random")
        best = max(move_values(record["moves"][:3]).values())
        given_away += record["returns"][seat] < (best if seat == 1 else -best)  # seat 1 moves after three plies
    assert given_away > 0 and random.endswith(f"; {given_away} ended worse than their opening")


@pytest.mark.parametrize(
    ("line", "options", "complaint"),
    [
        ("{}", [], "expected games as"),
        ("", ["--player", "nobody"], "nobody does not play"),
        ("", ["--opening-plies", "9"], "nobody is to move after"),
    ],
)
def test_lost_openings_complains_in_one_line(line, options, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS)
    script = runpy.run_path(str(SCRIPTS / "lost_openings.py"))["main"]
    path = tmp_path / "games.jsonl"
    record = {"game": "tic_tac_toe", "seats": ["a", "b"], "moves": [3, 0, 4, 1, 8, 2], "returns": [-1.0, 1.0]}
    path.write_text(f"{line or json.dumps(record)}\n")
    assert script([str(path), "--opening-plies", "1", *options]) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1


def test_a_cart_pole_run_that_was_solved_and_fell_is_not_counted_as_a_good_end(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    script = vars(importlib.import_module("cartpole"))
    point, rows = script["Point"], []
    for means in ([20, 480, 208], [20, 490, 475], [20, 30, 40]):
        points = [point(1280 * i, 1.5 * i, mean) for i, mean in enumerate(means, 1)]
        rows.append(script["summarise"](points))
    header, _, row, _, summary = script["table"]({"dqn": rows}, last_only=False).splitlines()
    cells = dict(zip(*(map(str.strip, line.strip("|").split("|")) for line in (header, row)), strict=True))
    assert cells["end at 475 or more"] == "1 of 3" and cells["worst end"] == "40"
    assert cells["steps to the first"] == "2,560"  # the run that never gets there is the last of three
    assert summary == "Of our 3 runs 1 end at 475 or more."


def test_ranges_of_seeds_include_their_ends(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    assert vars(importlib.import_module("cartpole"))["seeds_of"](["1-3", "9"]) == [1, 2, 3, 9]
