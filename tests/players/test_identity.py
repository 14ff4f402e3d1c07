"""A player is its weights and its settings of play, from wherever it is named and wherever it lies."""

from __future__ import annotations

import json
import shutil

import pytest
from run_helpers import Watcher, tiny_config

import selfplay
from selfplay import cli
from selfplay.players.kinds import read_player
from selfplay.storage.files import seal, unseal
from selfplay.tournament import tournament as tournament_module
from selfplay.tournament import workers
from selfplay.training.evaluator import evaluate_checkpoint

STEPS = ["--budget.steps", "4", "--checkpoint.every_steps", "2", "--checkpoint.keep_last", "9"]
RATE = ["--anchors", "random", "--games", "4", "--checkpoints", "2"]


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Commands play in this process, and draw nothing."""
    monkeypatch.setattr(tournament_module, "play_blocks", lambda *given: workers.play_blocks(*given[:3], processes=0))
    monkeypatch.setattr("selfplay.tournament.report.draw_picture", lambda *given: b"")
    monkeypatch.setattr("selfplay.tournament.report.draw_curve", lambda *given: b"")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs with other seeds."""
    folder = tmp_path_factory.mktemp("trained")
    for name, seed in (("X", "1"), ("Y", "9")):
        selfplay.train(tiny_config(folder, *STEPS, "--seed", seed), folder / name, Watcher())
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch, trained):
    """A working directory with the run `runs/X`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "X", tmp_path / "runs" / "X")
    return tmp_path


def lines_of(folder):
    return (folder / "games.jsonl").read_text().splitlines()


def names_in(folder):
    return {name for line in lines_of(folder) for name in json.loads(line)["players"]}


def without_identities(folder, path="runs/X"):
    """As a folder of games was kept before, by a run that was called `path`."""
    records = [json.loads(line.replace("runs/X@", f"{path}@")) for line in lines_of(folder)]
    assert all(record.pop("identities") for record in records)
    (folder / "games.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    settings = folder / "tournament.json"
    if settings.exists():
        kept = unseal(settings.read_bytes())
        assert kept.pop("players")
        settings.write_bytes(seal(kept) + b"\n")


def test_rate_played_everything_again_from_another_folder_and_after_a_move(root, monkeypatch, capsys):
    assert cli.main(["rate", "runs/X", *RATE]) == 0
    before, ratings = lines_of(root / "runs" / "X" / "ratings"), root / "runs" / "X" / "ratings"
    assert len(before) == 3 * 4
    for where, path in (("runs", "X"), (".", str(root / "runs" / "X")), ("runs/X", "."), ("runs", "../runs/X/")):
        monkeypatch.chdir(root / where)
        assert cli.main(["rate", path, *RATE]) == 0
        assert lines_of(ratings) == before, path
    monkeypatch.chdir(root)
    (root / "runs" / "X").rename(root / "moved")
    capsys.readouterr()
    assert cli.main(["rate", "moved", *RATE, "--json"]) == 0
    assert lines_of(root / "moved" / "ratings") == before
    curve = json.loads(capsys.readouterr().out)
    assert [one["player"].partition(":simulations")[0] for one in curve["checkpoints"]] == [
        "run:moved@0",
        "run:moved@4",
    ]
    assert cli.main(["rate", "moved", *RATE, "--games", "8"]) == 0
    after = lines_of(root / "moved" / "ratings")
    assert len(after) > len(before) and len(names_in(root / "moved" / "ratings")) == 3


def test_evaluations_after_a_move_go_on_with_the_games_before(root):
    config = tiny_config(root, *STEPS, "--evaluation.opponents", "random")
    first = evaluate_checkpoint(config, root / "runs" / "X", 2, 4)
    before = lines_of(root / "runs" / "X" / "ratings")
    (root / "runs" / "X").rename(root / "moved")
    again = evaluate_checkpoint(config, root / "moved", 2, 4)
    assert lines_of(root / "moved" / "ratings") == before and (again.scores, again.elo) == (first.scores, first.elo)
    evaluate_checkpoint(config, root / "moved", 4, 4, champion=2)


@pytest.mark.parametrize("old", ["runs/X", "elsewhere/old_name", "/gone/X"])
def test_games_rated_under_old_path_names_count(root, monkeypatch, old):
    assert cli.main(["rate", "runs/X", *RATE]) == 0
    ratings = root / "runs" / "X" / "ratings"
    without_identities(ratings, old)
    before = lines_of(ratings)
    monkeypatch.chdir(root / "runs")
    assert cli.main(["rate", "X", *RATE]) == 0
    assert lines_of(ratings) == before


def test_games_of_one_player_under_two_old_names_count_together(root):
    assert cli.main(["rate", "runs/X", *RATE]) == 0
    ratings = root / "runs" / "X" / "ratings"
    without_identities(ratings)
    once = lines_of(ratings)
    vs_random = [line for line in once if '"random"' in line]
    (ratings / "games.jsonl").write_text(
        "\n".join([*once, *(line.replace("runs/X", "X") for line in vs_random)]) + "\n"
    )
    before = lines_of(ratings)
    assert cli.main(["rate", "runs/X", *RATE]) == 0
    assert lines_of(ratings) == before


def test_an_old_name_of_another_run_is_not_taken_for_this_one(root, trained):
    shutil.copytree(trained / "Y", root / "runs" / "Y")
    assert cli.main(["rate", "runs/X", *RATE[:1], "run:runs/Y@4", *RATE[1:]]) == 0
    ratings = root / "runs" / "X" / "ratings"
    without_identities(ratings)
    before = lines_of(ratings)
    assert cli.main(["rate", "runs/X", *RATE[:1], "run:runs/Y@4", *RATE[1:]]) == 0
    assert lines_of(ratings) == before


def test_a_tournament_knows_a_run_by_another_path(root, monkeypatch, capsys):
    words = ["random", "--games", "4", "--out", str(root / "t"), "--processes", "1"]
    assert cli.main(["tournament", "run:runs/X", *words]) == 0
    before = lines_of(root / "t")
    monkeypatch.chdir(root / "runs")
    assert cli.main(["tournament", "run:X", *words]) == 0
    assert lines_of(root / "t") == before
    (root / "runs" / "X").rename(root / "runs" / "Z")
    capsys.readouterr()
    assert cli.main(["tournament", "run:Z", *words, "--json"]) == 0
    assert lines_of(root / "t") == before
    table = json.loads(capsys.readouterr().out)["table"]
    assert {row["player"].partition(":simulations")[0] for row in table} == {"run:Z@4", "random"}


def test_an_old_tournament_knows_a_run_by_another_path(root, monkeypatch):
    words = ["random", "--games", "4", "--out", str(root / "t"), "--processes", "1"]
    assert cli.main(["tournament", "run:runs/X", *words]) == 0
    without_identities(root / "t")
    before = lines_of(root / "t")
    monkeypatch.chdir(root / "runs")
    assert cli.main(["tournament", "run:X", *words]) == 0
    assert lines_of(root / "t") == before


def test_a_copy_of_a_run_is_given_twice(root, capsys):
    shutil.copytree(root / "runs" / "X", root / "copy")
    words = ["--game", "tic_tac_toe", "--games", "4", "--out", str(root / "t")]
    assert cli.main(["tournament", "run:runs/X@4", "run:copy@4", *words]) == 2
    error = capsys.readouterr().err
    assert "run:runs/X@4" in error and "run:copy@4" in error and "are the same player" in error
    assert error.count("\n") == 1 and not (root / "t").exists()
    assert cli.main(["tournament", "run:runs/X@4", "run:copy@4:seed=3", *words]) == 0


def test_defaults_written_out_are_the_same_player(root):
    config = tiny_config(root)
    same = [
        "run:runs/X",
        "run:runs/X@4",
        f"run:./runs/X@4:simulations={config.evaluation.num_simulations}",
        f"run:runs/X:rule={config.search.rule},temperature=0,batch=8",
        "run:runs/X:symmetries=false",
    ]
    assert len({read_player(text).identity for text in same}) == 1
    options = ("simulations=99", "temperature=1", "seed=0", "symmetries=true")
    others = ["run:runs/X@2", "net:runs/X", *(f"run:runs/X:{option}" for option in options)]
    assert len({read_player(text).identity for text in [same[0], *others]}) == 1 + len(others)
    assert read_player("mcts").identity == read_player("mcts:simulations=1000,c=1.4,rollouts=1").identity
    assert read_player("gtp:gnugo --mode gtp").identity != read_player("gtp:gnugo --mode gtp:level=1").identity


def test_two_runs_that_were_called_the_same_are_two_players(root, trained):
    words = ["random", "--games", "4", "--out", str(root / "t"), "--processes", "1"]
    assert cli.main(["tournament", "run:runs/X", *words]) == 0
    (root / "runs" / "X").rename(root / "old")
    shutil.copytree(trained / "Y", root / "runs" / "X")
    assert cli.main(["tournament", "run:runs/X", *words]) == 0
    assert len(lines_of(root / "t")) == 8 and len(names_in(root / "t")) == 3
