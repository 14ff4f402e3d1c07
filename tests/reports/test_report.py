"""Reports of runs: who is a group, what a curve is made of, and that bad input ends in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.reports.curves import common_places, make_curve
from selfplay.reports.groups import Group, differences, read_groups
from selfplay.reports.page import make_page, text, value_text
from selfplay.reports.panels import FIRST, make_panels
from selfplay.reports.pictures import is_of_one_time
from selfplay.reports.report import Report, make_report
from selfplay.reports.runs import Run, Series, read_run, rows_that_count
from selfplay.stats.scores import interquartile_mean, mean
from selfplay.storage.metrics import METRICS, MetricsWriter

PNG = b"\x89PNG"


def make_run(folder: Path, rows: list[tuple[float, dict]], *settings: str) -> Path:
    """A run that wrote some values at some minutes; 100 positions and a step a minute."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(reader.dump(reader.load(Config, None, settings)))
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        for minutes, values in rows:
            writer.write(values, step=int(minutes), positions=int(100 * minutes), time_s=60.0 * minutes)
    return folder


def returns(*values: float, every: float = 1.0, spread: float = 0.0) -> list[tuple[float, dict]]:
    """Evaluations at equal distances; with `spread`, intervals of them."""
    names = ("eval/return", "eval/return_low", "eval/return_high") if spread else ("eval/return",)
    return [
        (every * (i + 1), dict(zip(names, (value, value - spread, value + spread)))) for i, value in enumerate(values)
    ]


def group_of(*folders: Path) -> Group:
    runs = tuple(map(read_run, folders))
    return Group("a", runs[0].game, runs)


def report_of(*arguments: Path | str, named: tuple[str, ...] = (), x_axis: str = "positions") -> Report:
    notes: list[str] = []
    return make_report(read_groups([str(one) for one in arguments], named, notes), x_axis, "mean", notes)


def report_command(capsys, *arguments: Path | str) -> str:
    assert cli.main(["report", *map(str, arguments)]) == 0
    return capsys.readouterr().out


# Reading a run.


def test_a_series_is_of_the_rows_that_have_the_metric(tmp_path):
    rows = [(1.0, {"train/loss": 3.0}), (2.0, {"eval/elo": 5.0, "eval/elo_low": 1.0, "eval/elo_high": 8.0})]
    rows += [(3.0, {"eval/elo": float("nan")}), (4.0, {"eval/elo": 7, "selfplay/draw": "x", "train/loss": True})]
    run = read_run(make_run(tmp_path / "run", rows))
    series = run.series("eval/elo", "time")
    assert series.x.tolist() == [2.0, 4.0] and series.y.tolist() == [5.0, 7.0]
    np.testing.assert_array_equal(series.low, [1.0, np.nan])
    np.testing.assert_array_equal(series.high, [8.0, np.nan])
    assert run.series("eval/elo", "positions").x.tolist() == [200.0, 400.0]
    assert run.series("eval/elo", "steps").x.tolist() == [2.0, 4.0]
    assert run.series("train/loss", "steps").x.tolist() == [1.0]
    assert run.names == ("train/loss", "eval/elo", "eval/elo_low", "eval/elo_high")
    assert (run.positions, run.minutes, run.end("steps")) == (400.0, 4.0, 4.0)


def test_of_rows_at_the_same_place_the_last_counts(tmp_path):
    folder = make_run(tmp_path / "run", [(1.0, {"eval/elo": 1.0}), (1.2, {"eval/elo": 2.0})])
    assert read_run(folder).series("eval/elo", "steps").y.tolist() == [2.0]


def test_rows_that_a_resumed_run_has_undone_do_not_count(tmp_path):
    lost = [(1.0, {"eval/elo": 1.0}), (2.0, {"eval/elo": 2.0}), (3.0, {"eval/elo": 3.0}), (4.0, {})]
    folder = make_run(tmp_path / "run", [*lost, (2.5, {"eval/elo": 9.0}), (5.0, {})])
    run = read_run(folder)
    assert [row["time_s"] for row in run.rows] == [60.0, 120.0, 150.0, 300.0]
    assert run.series("eval/elo", "time").y.tolist() == [1.0, 2.0, 9.0]
    assert rows_that_count([]) == []


def test_a_run_that_is_still_writing_is_read_up_to_its_last_whole_line(tmp_path):
    folder = make_run(tmp_path / "run", returns(1.0, 2.0))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "positi')
    assert len(read_run(folder).rows) == 2


# Groups.


def test_runs_that_differ_in_seed_and_name_alone_are_a_group(tmp_path):
    rows = returns(1.0)
    folders = [
        make_run(tmp_path / "a1", rows, "--seed", "1", "--name", "x"),
        make_run(tmp_path / "b", rows, "--seed", "1", "--net.blocks", "7"),
        make_run(tmp_path / "a2", rows, "--seed", "2", "--wandb.mode", "disabled"),
    ]
    groups = read_groups(list(map(str, folders)), [], [])
    assert [[Path(run.path).name for run in group.runs] for group in groups] == [["a1", "a2"], ["b"]]
    blocks = Config().net.blocks
    assert [group.label for group in groups] == [f"net.blocks={blocks}", "net.blocks=7"]
    assert differences(groups) == {"net.blocks": {f"net.blocks={blocks}": str(blocks), "net.blocks=7": "7"}}


def test_labels_are_names_differences_or_folders(tmp_path):
    def labels(*settings: list[str]) -> list[str]:
        parent = tmp_path / str(len(list(tmp_path.iterdir())))
        folders = [make_run(parent / f"run-{i}", returns(1.0), *given) for i, given in enumerate(settings)]
        return [group.label for group in read_groups(list(map(str, folders)), [], [])]

    assert labels(["--name", "one"]) == ["one"]
    assert labels(["--name", "one"], ["--name", "two", "--net.blocks", "7"]) == ["one", "two"]
    many = [
        "--net.blocks",
        "7",
        "--learner.batch_size",
        "64",
        "--replay.capacity",
        "777",
        "--search.num_simulations",
        "9",
    ]
    assert labels([], many) == ["run-0", "run-1"]
    assert labels(["--learner.symmetries", "true"], ["--learner.no-symmetries"]) == [
        "learner.symmetries=true",
        "learner.symmetries=false",
    ]


def test_groups_by_name(tmp_path):
    a, b, c = (make_run(tmp_path / name, returns(1.0), "--net.blocks", str(i + 3)) for i, name in enumerate("abc"))
    groups = read_groups([str(c)], [f"mine={a},{b}"], [])
    assert [(group.label, len(group.runs)) for group in groups] == [("mine", 2), ("run", 1)]
    assert differences(groups)["net.blocks"] == {"mine": "3, 4", "run": "5"}
    same_label = read_groups([str(c)], [f"run={a},{b}"], [])
    assert [group.label for group in same_label] == ["run", "c"]


def test_runs_of_several_games_are_a_group_each(tmp_path):
    folders = [
        make_run(tmp_path / f"{game}{seed}", returns(1.0), "--game", game, "--seed", str(seed))
        for game in ("hex", "othello")
        for seed in (1, 2)
    ]
    groups = read_groups(list(map(str, folders)), [], [])
    assert [(group.label, group.game, len(group.runs)) for group in groups] == [
        ("run", "hex", 2),
        ("run", "othello", 2),
    ]
    assert differences(groups) == {}


# Curves.


def test_a_curve_is_the_mean_of_straight_lines_between_rows(tmp_path):
    one = make_run(tmp_path / "one", [(1.0, {"eval/elo": 0.0}), (3.0, {"eval/elo": 20.0})])
    two = make_run(tmp_path / "two", [(0.0, {"eval/elo": 6.0}), (2.0, {"eval/elo": 8.0}), (4.0, {"eval/elo": 0.0})])
    curve = make_curve(group_of(one, two), "eval/elo", "time", mean)
    assert curve.x.tolist() == [1.0, 2.0, 3.0]
    assert curve.y == pytest.approx([(0 + 7) / 2, (10 + 8) / 2, (20 + 4) / 2])
    assert curve.low == pytest.approx([0.0, 8.0, 4.0]) and curve.high == pytest.approx([7.0, 10.0, 20.0])
    assert [series.x.tolist() for series in curve.members] == [[1.0, 3.0], [0.0, 2.0, 4.0]]


def test_nothing_is_drawn_where_a_run_has_not_been(tmp_path):
    long = make_run(tmp_path / "long", returns(*range(10)))
    short = make_run(tmp_path / "short", returns(*range(4)), "--seed", "2")
    report = report_of(long, short)
    (panel,) = report.panels
    assert panel.curves[0].x.tolist() == [100.0, 200.0, 300.0, 400.0]
    assert panel.curves[0].members[0].x[-1] == 1000.0
    (note,) = report.notes
    assert "end at 400 positions, where" in note and "short does" in note and "long went on to 1,000" in note
    (row,) = report.summaries
    assert row.last.value == pytest.approx((9 + 3) / 2) and row.best == 3.0 and row.best_at == 400.0


def test_runs_without_a_common_part_have_no_curve(tmp_path):
    early = make_run(tmp_path / "early", [(1.0, {"eval/return": 1.0})])
    late = make_run(tmp_path / "late", [(2.0, {"eval/return": 3.0})], "--seed", "2")
    report = report_of(early, late, x_axis="time")
    (row,) = report.summaries
    assert len(report.panels[0].curves[0].x) == 0 and row.best is None and row.last.value == 2.0
    assert any("no part of the axis in common" in note for note in report.notes)
    assert "data:image/png" in make_page(report)  # single points are drawn


def test_many_rows_are_thinned_out_evenly():
    lines = [Series(x, x, x, x) for x in (np.linspace(0.0, 10.0, 1001), np.linspace(1.0, 9.0, 500))]
    places = common_places(lines, most=9)
    assert places == pytest.approx(np.arange(1.0, 10.0))


def test_a_single_run_has_the_interval_that_it_wrote(tmp_path):
    folder = make_run(tmp_path / "run", returns(5.0, 7.0, spread=2.0))
    curve = make_curve(group_of(folder), "eval/return", "time", mean)
    assert curve.low.tolist() == [3.0, 5.0] and curve.high.tolist() == [7.0, 9.0]
    last = curve.last(mean)
    assert (last.value, last.low, last.high) == (7.0, 5.0, 9.0)


def test_the_interquartile_mean_leaves_out_an_odd_run(tmp_path):
    folders = [make_run(tmp_path / str(i), returns(value)) for i, value in enumerate([1.0, 2.0, 3.0, 500.0])]
    assert make_curve(group_of(*folders), "eval/return", "time", interquartile_mean).y.tolist() == [2.5]
    assert make_curve(group_of(*folders), "eval/return", "time", mean).y.tolist() == [126.5]


# What is shown.


def test_panels_are_what_the_groups_have_in_common(tmp_path):
    both = {"selfplay/return": 0.1, "train/loss": 2.0}
    searching = {"eval/score/random": 1.0, "eval/elo": 3.0, "eval/elo_low": 1.0, "train/policy_loss": 1.0, **both}
    other = {"eval/elo": 4.0, "selfplay/game_length": 9.0, "train/td_loss": 1.0, "train/grad_norm": 1.0, **both}
    a = make_run(tmp_path / "a", [(1.0, searching)], "--name", "a")
    b = make_run(tmp_path / "b", [(1.0, other)], "--name", "b", "--net.blocks", "7")
    begun = make_run(tmp_path / "c", [(1.0, {"train/loss": 3.0})], "--name", "c", "--net.blocks", "8")

    def shown(*folders: Path) -> list[str]:
        return [panel.metric for panel in report_of(*folders).panels]

    assert shown(a) == ["eval/elo", "eval/score/random", "selfplay/return", "train/loss", "train/policy_loss"]
    assert shown(a, b) == ["eval/elo", "selfplay/return", "train/loss"]
    assert shown(a, b, begun) == ["eval/elo", "selfplay/return", "train/loss"]
    assert "c: no evaluation is finished yet" in report_of(a, begun).notes


def test_ratings_that_count_from_different_players_are_noted(tmp_path):
    a = make_run(tmp_path / "a", [(1.0, {"eval/elo": 3.0})], "--name", "a")
    b = make_run(tmp_path / "b", [(1.0, {"eval/elo": 4.0})], "--name", "b", "--evaluation.opponents", "mcts", "random")
    assert not any("cannot be compared" in note for note in report_of(a).notes)
    notes = [note for note in report_of(a, b).notes if "cannot be compared" in note]
    assert len(notes) == 1 and "from random in some runs, from mcts in others" in notes[0]


def test_groups_with_nothing_in_common_are_noted(tmp_path):
    a = make_run(tmp_path / "a", [(1.0, {"eval/elo": 1.0})], "--name", "a")
    b = make_run(tmp_path / "b", [(1.0, {"eval/return": 1.0})], "--name", "b", "--net.blocks", "7")
    notes: list[str] = []
    assert make_panels(read_groups([str(a), str(b)], [], []), "time", mean, notes) == []
    assert notes == ["connect_four: the groups have no metric of this kind in common: evaluation"]
    assert "no evaluation" in text(report_of(a, b))


def test_a_metric_that_a_run_lacks_is_of_the_others(tmp_path):
    folders = [make_run(tmp_path / str(i), returns(float(i)), "--seed", str(i)) for i in range(3)]
    begun = make_run(tmp_path / "begun", [(1.0, {"train/loss": 1.0})], "--seed", "9")
    report = report_of(*folders, begun)
    assert report.summaries[0].last.value == 1.0
    assert any("eval/return is of 3 of 4 runs" in note for note in report.notes)


def test_groups_are_compared_by_the_last_evaluation(tmp_path):
    worse = [make_run(tmp_path / f"w{i}", returns(9.0, float(i)), "--seed", str(i)) for i in range(3)]
    better = [
        make_run(tmp_path / f"b{i}", returns(0.0, i + 1.5), "--seed", str(i), "--net.blocks", "7") for i in range(3)
    ]
    (one,) = report_of(*worse, *better).comparisons
    assert one.second == "net.blocks=7" and one.game == "connect_four"
    assert one.probability.value == pytest.approx(1 / 9)  # only 2 > 1.5
    assert 0.0 <= one.probability.low < one.probability.value < one.probability.high
    assert report_of(*worse, *better[:2]).comparisons == ()  # too few runs


def atari_runs(folder: Path, scores: dict[str, list[float]], *settings: str) -> list[Path]:
    return [
        make_run(
            folder / f"{name}{seed}", returns(score), "--environment", f"ALE/{name}-v5", "--seed", str(seed), *settings
        )
        for name, values in scores.items()
        for seed, score in enumerate(values, start=1)
    ]


def test_atari_games_are_aggregated_by_human_normalised_scores(tmp_path):
    pong, breakout = [-20.7, 14.6, -20.7 + 35.3 / 2], [1.7, 30.5 + 28.8, 30.5]  # 0, 1, 1/2 and 0, 2, 1
    folders = atari_runs(tmp_path / "a", {"Pong": pong, "Breakout": breakout}, "--name", "a")
    folders += atari_runs(tmp_path / "b", {"Breakout": breakout, "Pong": pong}, "--name", "b", "--net.blocks", "7")
    report = report_of(*folders)
    assert report.games == ["ALE/Pong-v5", "ALE/Breakout-v5"]
    assert [row.human_normalised for row in report.summaries] == pytest.approx([0.5, 1.0, 1.0, 0.5])
    first, second = report.aggregates
    assert (first.label, first.runs, first.games) == ("a", 3, 2)
    values = {name: estimate.value for name, estimate in first.estimates.items()}
    # Of 0, 0, 1/2, 1, 1, 2 the middle four; tasks of 1/2 and 1; 0, 0, 1/2, 1, 1, 1 fall short by 2.5 of 6.
    assert values == pytest.approx({"IQM": 0.625, "median": 0.75, "mean": 0.75, "optimality gap": 2.5 / 6})
    assert second.estimates == first.estimates
    (across,) = [one for one in report.comparisons if one.game is None]
    assert across.probability.value == pytest.approx(0.5)
    printed = text(report)
    assert "Human-normalised scores over all games" in printed and "a above b, all games" in printed
    uneven = report_of(*folders[1:])
    assert [one.label for one in uneven.aggregates] == ["b"]
    assert any(note.startswith("a: not aggregated") for note in uneven.notes)


# Text, page, picture, JSON.


def several_runs(tmp_path: Path) -> list[Path]:
    def rows(value: float) -> list[tuple[float, dict]]:
        return [
            (i, {"eval/elo": value * i, "eval/elo_low": value * i - 9, "eval/elo_high": value * i + 9}
             | {"eval/score/random": i / 5, "selfplay/return": 0.1, "train/loss": 2.0 / i})
            for i in range(1, 5)
        ]  # fmt: skip

    folders = [make_run(tmp_path / f"run-{i}", rows(100.0 + i), "--seed", str(i)) for i in (1, 2, 3)]
    return [*folders, make_run(tmp_path / "other", rows(50.0), "--name", "<b>other</b>", "--net.blocks", "7")]


def test_the_table_in_the_terminal(tmp_path, capsys):
    printed = report_command(capsys, *several_runs(tmp_path))
    lines = printed.splitlines()
    assert lines[0] == "connect_four: eval/elo, random = 0, mean of runs"
    assert re.fullmatch(
        r"  group +runs +last +95 % interval +best +at positions +positions +minutes +positions/s", lines[1]
    )
    assert re.fullmatch(r"  run +3 +\+408 +\+404 to \+412 +\+408 +400 +400 +4\.0 +2", lines[2])
    assert re.fullmatch(r"  <b>other</b> +1 +\+200 +\+191 to \+209 +\+200 +400 +400 +4\.0 +2", lines[3])
    over_time = report_command(capsys, tmp_path / "run-1", "--x", "time").splitlines()
    assert over_time[0] == "connect_four: eval/elo, random = 0" and "at minutes" in over_time[1]
    assert re.fullmatch(r"  run +1 +\+404 +\+395 to \+413 +\+404 +4\.0 +400 +4\.0 +2", over_time[2])


def test_the_page_stands_alone_and_the_picture_is_a_picture(tmp_path, capsys):
    page, picture = tmp_path / "out" / "report.html", tmp_path / "out" / "report.png"
    report_command(
        capsys, *several_runs(tmp_path), "--html", page, "--png", picture, "--statistic", "iqm", "--x", "steps"
    )
    content = page.read_text()
    assert content.count('<img alt="') == content.count('src="data:image/png;base64,') == 4
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|<script""", content)
    assert "<b>other</b>" not in content and "&lt;b&gt;other&lt;/b&gt;" in content
    for part in ("net.blocks", "run-2", "interquartile mean", "eval/score/random", "+408 (+404 to +412)"):
        assert part in content
    answer, strength, table = (content.index(part) for part in ('class="answer"', "Strength over steps", "<table"))
    assert answer < strength < table, "the page begins with the answer and its picture"
    assert picture.read_bytes().startswith(PNG)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["report.html", "report.png"]


def test_the_page_says_who_ends_highest_first(tmp_path):
    runs = [
        make_run(tmp_path / f"run-{i}", returns(1.0, float(i)), "--net.blocks", str(i + 1), "--name", f"n{i}")
        for i in range(5)
    ]
    content = make_page(report_of(*runs))
    assert ">By eval/return: n4 ends at 4.00; n3 ends at 3.00; n2 ends at 2.00; 2 more below.</p>" in content
    assert "Strength over positions" in content


def test_runs_of_one_evaluation_are_rows_with_intervals_and_no_curves(tmp_path):
    rows = [(1.0, {"eval/elo": 100.0, "eval/elo_low": 80.0, "eval/elo_high": 120.0})]
    folders = [make_run(tmp_path / str(i), rows, "--name", f"n{i}", "--net.blocks", str(i)) for i in (1, 2)]
    report = report_of(*folders)
    assert is_of_one_time(report.panels[0])
    content = make_page(report)
    assert ">Strength<" in content and "n1 ends at +100 (+80 to +120)" in content


def test_a_run_without_an_evaluation_says_so(tmp_path):
    content = make_page(report_of(make_run(tmp_path / "run", [(1.0, {"train/loss": 1.0})])))
    assert ">No evaluation is finished yet." in content and "Strength" not in content


def test_json_has_the_groups_and_the_curves(tmp_path, capsys):
    found = json.loads(report_command(capsys, *several_runs(tmp_path), "--json"))
    assert (found["x"], found["statistic"], found["comparisons"]) == ("positions", "mean", [])
    first, second = found["groups"]
    assert len(first["runs"]) == 3 and first["metric"] == "eval/elo" and first["last"]["value"] == 408.0
    assert (second["best"], second["best_at"], second["human_normalised"]) == (200.0, 400.0, None)
    curves = {(curve["metric"], curve["group"]): curve for curve in found["curves"]}
    assert curves["eval/elo", first["group"]]["x"] == [100.0, 200.0, 300.0, 400.0]
    assert curves["eval/score/random", second["group"]]["low"] == [None] * 4
    assert "NaN" not in json.dumps(found)


def test_reports_repeat_exactly(tmp_path, capsys):
    folders = several_runs(tmp_path)
    assert report_command(capsys, *folders, "--json") == report_command(capsys, *folders, "--json")
    pages = [make_page(report_of(*folders)) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.filterwarnings("error")
def test_names_are_no_formulas(tmp_path):
    """A name with dollars once was a formula to Matplotlib, and a traceback to the reader."""
    row = (1.0, {"eval/score/gtp:$x\\y$": 0.5})
    folders = [make_run(tmp_path / str(i), [row], "--name", "_$\\foo$") for i in (1, 2)]
    assert "data:image/png" in make_page(report_of(*folders))


def test_more_groups_than_colours_are_drawn(tmp_path):
    folders = [
        make_run(tmp_path / f"run-{i}", returns(1.0, 2.0), "--net.blocks", str(i + 1), "--name", f"n{i}")
        for i in range(9)
    ]
    assert make_page(report_of(*folders)).count("data:image/png") == 1


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("eval/elo", 12.4, "+12"),
        ("eval/score/random", 0.981, "98.1%"),
        ("eval/return", 12345.6, "12,346"),
        ("eval/return", -20.71, "-20.7"),
        ("eval/return", 0.12345, "0.123"),
        ("eval/return", float("nan"), ""),
    ],
)
def test_numbers_are_written_by_their_unit(metric, value, shown):
    assert value_text(metric, value) == shown


def test_every_metric_that_reports_name_is_documented():
    assert set(FIRST) <= set(METRICS)


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "name at least one run"),
        (["nowhere"], "nowhere: no such run"),
        (["empty"], "empty is not the folder of a run"),
        (["good", "good/../good"], "given twice"),
        (["good", "--group", "x=good"], "given twice"),
        (["--group", "good"], "expected NAME=RUN,RUN, got 'good'"),
        (["--group", "x="], "expected NAME=RUN,RUN"),
        (["--group", "=good"], "expected NAME=RUN,RUN"),
        (["--group", "x=good", "--group", "x=begun"], "x is given twice"),
        (["--group", "x=good,nowhere"], "nowhere: no such run"),
        (["begun"], "begun has no metrics yet"),
        (["damaged"], "damaged/metrics.jsonl:2: not a JSON object"),
        (["foreign"], "foreign/metrics.jsonl:1: not a row of metrics"),
        (["unreadable"], "unreadable/config.yaml"),
        (["good", "--x", "games"], "invalid choice: 'games'"),
        (["good", "--statistic", "median"], "invalid choice: 'median'"),
        (["good", "--htlm", "x"], "did you mean '--html'"),
        (["good", "--html", "good"], "good"),
        (["good", "--png", "good/config.yaml/x.png"], "config.yaml"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    make_run(Path("good"), returns(1.0))
    make_run(Path("begun"), [])
    Path("empty").mkdir()
    with open(make_run(Path("damaged"), returns(1.0)) / "metrics.jsonl", "a") as file:
        file.write("{]\n")
    (make_run(Path("foreign"), []) / "metrics.jsonl").write_text('{"loss": 1}\n')
    (make_run(Path("unreadable"), returns(1.0)) / "config.yaml").write_bytes(b"\xff\xfe")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["report", *arguments]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == "" and line.startswith("selfplay: error: ") and part in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_has_just_begun_is_left_out_with_a_note(tmp_path, capsys):
    good = make_run(tmp_path / "good", returns(1.0))
    begun = make_run(tmp_path / "begun", [])
    (begun / "metrics.jsonl").unlink()
    printed = report_command(capsys, good, begun)
    assert f"note: {begun} has no metrics yet" in printed


def test_a_row_with_numbers_beyond_all_bounds_is_no_number(tmp_path):
    folder = make_run(tmp_path / "run", returns(1.0))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 2, "positions": 200, "time_s": 70.0, "eval/return": 10**400}) + "\n")
        file.write('{"step": 3, "positions": 300, "time_s": 80.0, "eval/return": Infinity}\n')
    run = read_run(folder)
    assert isinstance(run, Run) and run.series("eval/return", "steps").y.tolist() == [1.0]
    (folder / "metrics.jsonl").write_text('{"step": 1, "positions": null, "time_s": 1}\n')
    with pytest.raises(UserError, match="lacks one of step, positions, time_s"):
        read_run(folder)
