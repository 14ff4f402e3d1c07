"""The ladder: what was played is not played again, a table says what is there, and a rung that fails stops no other."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def ladder(monkeypatch):
    """The script with two small rungs, of which one can be played."""
    monkeypatch.syspath_prepend(SCRIPTS)
    script = importlib.import_module("ladder")
    engines = {"by chance": "random:seed={seed}", "weak": "mcts:simulations=2,seed={seed}"}
    rungs = (
        script.Rung("Noughts", "tic_tac_toe", engines, "first", 0),
        script.Rung("Nothing", "no_such_game", {"nobody": "random"}),
    )
    monkeypatch.setattr(script, "LADDER", rungs)
    return script


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_games_are_played_once(ladder, tmp_path, capsys):
    path = tmp_path / "ladder.jsonl"
    arguments = ["--out", str(path), "--players", "mcts:simulations=50", "--batch", "4", "--only", "nou", "--games"]
    assert ladder.main([*arguments, "6"]) == 0
    first = lines_of(path)
    assert [len(line["scores"]) for line in first] == [4, 2, 4, 2]
    text = capsys.readouterr().out
    assert "| Noughts | mcts:simulations=50 |" in text and "| by chance | " in text and "; 6" in text
    before = path.read_bytes()
    assert ladder.main([*arguments, "6"]) == 0
    assert path.read_bytes() == before and capsys.readouterr().out == text
    path.write_bytes(before + b'{"pairing": {"game": "tic')  # killed while it wrote
    assert ladder.main([*arguments, "8"]) == 0
    whole = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert whole[:4] == first and [len(line["scores"]) for line in whole[4:]] == [2, 2]
    seen = {tuple(moves) for line in whole[:2] for moves in line["moves"]}
    assert len(seen) > 4  # a batch is not played with the seed of another


def test_a_rung_that_fails_is_reported_and_left_out(ladder, tmp_path, capsys):
    path = tmp_path / "ladder.jsonl"
    assert ladder.main(["--out", str(path), "--players", "random", "--games", "2"]) == 0
    captured = capsys.readouterr()
    assert "ladder: Nothing: random against nobody: unknown game 'no_such_game'" in captured.err
    assert "Noughts" in captured.out and "Nothing" not in captured.out and len(lines_of(path)) == 2
    assert ladder.main(["--out", str(path), "--engines", "weak", "--players", "random", "--games", "4"]) == 0
    assert [len(line["scores"]) for line in lines_of(path)] == [2, 2, 2]  # the others have two games still
    capsys.readouterr()
    assert ladder.main(["--out", str(path), "--table", "--players", "random", "mcts:simulations=9"]) == 0
    table = capsys.readouterr().out
    assert "| Noughts | random | mcts:simulations=9 |" in table and "| by chance |" in table


def test_the_score_and_its_interval_are_those_of_the_games(ladder):
    rung = ladder.LADDER[0]
    played = ladder.Played([1.0, 0.5, 0.0, 1.0], {(1,), (2,), (3,)})
    low, high = ladder.score_interval([(1.0,), (0.5,), (0.0,), (1.0,)])
    assert ladder.cell(rung, played) == f"62 % ({100 * low:.0f} to {100 * high:.0f}; 4, 3 distinct)"
    assert ladder.cell(rung, ladder.Played()) == ""


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--games", "3"], "even numbers"),
        (["--engines", "none", "--only", "noughts"], "these rungs have by chance, weak"),
        (["--only", "shogi"], "no rung has that name; the rungs are: Noughts; Nothing"),
        (["--table"], "line 1: no match of this script"),
    ],
)
def test_bad_input_is_one_line(ladder, tmp_path, capsys, arguments, part):
    path = tmp_path / "ladder.jsonl"
    path.write_text('{"pairing": 3}\n')
    assert ladder.main(["--out", str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1


def test_engines_of_the_ladder_are_players(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    script = importlib.import_module("ladder")
    from selfplay.players.kinds import read_player

    engines = [text.format(seed=3) for rung in script.LADDER for text in rung.engines.values()]
    assert len({read_player(text).name for text in engines}) == len(set(engines)) > 10
    assert len({json.dumps(pairing.key) for pairing in script.pairings(script.PLAYERS)}) == len(
        script.pairings(script.PLAYERS)
    )
