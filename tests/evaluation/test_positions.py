"""The accuracy measure: an exact player has 1.0, bad lines are named, and the shipped command prints it."""

from __future__ import annotations

import codecs
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from exact_player import ExactPlayer, move_values

import games
from games import registry
from selfplay import cli
from selfplay.errors import UserError
from selfplay.evaluation.accuracy import measure_accuracy
from selfplay.evaluation.labelled import read_positions
from selfplay.evaluation.openings import read_openings
from selfplay.players.kinds import parse_player
from selfplay.stats.intervals import wilson_interval
from selfplay.storage import files


def labelled(count: int, seed: int = 0) -> list[dict]:
    """Positions of random tic-tac-toe games in which at least one move throws the value away."""
    rng, positions = np.random.default_rng(seed), []
    while len(positions) < count:
        state, history = games.new_state(games.load("tic_tac_toe")), []
        for _ in range(rng.integers(1, 7)):
            if state.to_play() != games.TERMINAL:
                history.append(int(rng.choice(state.legal_actions())))
                state.apply(history[-1])
        values = move_values(history)
        if state.to_play() != games.TERMINAL and len(set(values.values())) > 1:
            labels = {str(action): value for action, value in values.items()}
            positions.append({"game": "tic_tac_toe", "moves": history, "values": labels})
    return positions


@pytest.fixture
def write(tmp_path):
    def to_file(*lines):
        path = tmp_path / "positions.jsonl"
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    return to_file


def test_exact_player_is_always_right_and_the_worst_never(write):
    positions = read_positions(write(*labelled(200)))
    best = measure_accuracy(ExactPlayer(), positions)
    assert best.accuracy == 1.0 and best.kept == best.positions == 200
    assert (best.low, best.high) == wilson_interval(200, 200)
    assert measure_accuracy(ExactPlayer(worst=True), positions).accuracy == 0.0


def test_random_player_is_as_good_as_the_share_of_good_moves(write):
    lines = labelled(500)
    expected = np.mean([np.mean(np.array(list(p["values"].values())) == max(p["values"].values())) for p in lines])
    found = measure_accuracy(parse_player("random", games.load("tic_tac_toe"), 1), read_positions(write(*lines)))
    assert found.low < expected < found.high
    searched = parse_player("mcts:simulations=500", games.load("tic_tac_toe"), 1)
    assert measure_accuracy(searched, read_positions(write(*lines))).accuracy > 0.95


def test_values_may_be_any_numbers_and_ties_all_count(write):
    line = {"game": "tic_tac_toe", "moves": [0, 1, 3, 4, 2, 6], "values": {"5": 0.25, "7": -2, "8": 0.25}}
    positions = read_positions(write(line, "", line))
    assert positions.best_actions == (frozenset({5, 8}),) * 2
    assert positions.moves == ((0, 1, 3, 4, 2, 6),) * 2


def test_batches_cover_every_position_once(write, monkeypatch):
    monkeypatch.setattr("selfplay.evaluation.accuracy.BATCH", 7)
    seen = []
    positions = read_positions(write(*labelled(20)))
    result = measure_accuracy(ExactPlayer(), positions, lambda done, total: seen.append((done, total)))
    assert result.accuracy == 1.0 and seen == [(7, 20), (14, 20), (20, 20)]


GOOD = {"game": "tic_tac_toe", "moves": [0, 1, 3, 4, 2, 6], "values": {"5": 1, "7": -1, "8": 0}}


@pytest.mark.parametrize("read", [read_positions, lambda path: read_openings(path, games.load("tic_tac_toe"))])
def test_a_file_without_an_end_is_refused(read, monkeypatch):
    """`/dev/zero` was read until the memory was full."""
    monkeypatch.setattr(files, "MOST_READ", 1000)
    with pytest.raises(UserError, match=r"/dev/zero: larger than 1,000 bytes; no such file is read"):
        read(Path("/dev/zero"))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "positions.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + json.dumps(labelled(1)[0]).encode() + b"\r\n")
    assert len(read_positions(path).moves) == len(read_openings(path, games.load("tic_tac_toe"))) == 1


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{]", "not a JSON object: Expecting property name"),
        ("[1]", "expected an object with game, moves, values"),
        ('{"game": "tic_tac_toe"}', "expected an object with game, moves, values"),
        (GOOD | {"more": 1}, "expected an object with game, moves, values"),
        (GOOD | {"game": 3}, "game: expected text"),
        (GOOD | {"game": "tic_tac_to"}, "tic_tac_toe"),
        (GOOD | {"game": "connect_four"}, "the game is connect_four, that of the lines before is tic_tac_toe"),
        (GOOD | {"moves": "03"}, "moves: expected a list"),
        (GOOD | {"moves": [0, True]}, "moves: expected a list"),
        (GOOD | {"moves": [0, 0]}, "moves: number 2: tic_tac_toe: illegal move 0"),
        (GOOD | {"moves": [0, -1]}, "moves: number 2: tic_tac_toe: illegal move -1"),
        (GOOD | {"moves": [0, 3, 1, 4, 2, 5]}, "moves: number 6: tic_tac_toe: the game is over"),
        (GOOD | {"moves": [0, 3, 1, 4, 2]}, "no player is to move"),
        (GOOD | {"values": [1]}, "values: expected an object"),
        (GOOD | {"values": {"5": "1", "7": 0, "8": 0}}, "values: 5: expected a number, got '1'"),
        (GOOD | {"values": {"5": 10**400, "7": 0, "8": 0}}, "values: 5: expected a number"),
        (GOOD | {"values": {"5": True, "7": 0, "8": 0}}, "values: 5: expected a number"),
        ('{"game": "tic_tac_toe", "moves": [], "values": {"0": NaN}}', "values: 0: expected a number"),
        (GOOD | {"values": {"5": 1, "7": 0}}, "'8' is missing; legal here: 5 7 8"),
        (GOOD | {"values": {"5": 1, "7": 0, "8": 0, "0": 0}}, "'0' is not a legal move; legal here: 5 7 8"),
    ],
)
def test_bad_line_is_named(write, line, part):
    path = write(GOOD, "", line)
    with pytest.raises(UserError) as caught:
        read_positions(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3: ") and part in message and "\n" not in message


def test_unreadable_and_empty_files(tmp_path):
    for name, content, part in [
        ("none", None, "No such file"),
        ("empty", b"\n\n", "no positions"),
        ("x", b"\xff", "UTF-8"),
    ]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=part):
            read_positions(path)


def test_moves_through_chance_are_played(write):
    game = games.load("pig")
    state = games.new_state(game)
    moves = []
    for _ in range(4):
        if state.to_play() == games.CHANCE:
            moves.append(state.chance_outcomes()[-1][0])
        else:
            moves.append(state.legal_actions()[0])
        state.apply(moves[-1])
    assert state.to_play() >= 0
    values = {str(action): float(action) for action in state.legal_actions()}
    positions = read_positions(write({"game": "pig", "moves": moves, "values": values}))
    assert positions.best_actions == (frozenset({max(state.legal_actions())}),)


def test_command_prints_one_json_object(capsys, write):
    path = write(*labelled(50))
    assert cli.main(["evaluate", "mcts:simulations=300", "--positions", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert captured.err == ""
    assert result["positions"] == 50 and result["low"] < result["accuracy"] <= result["high"]
    assert result["player"] == "mcts:simulations=300"
    assert cli.main(["evaluate", "mcts:simulations=300", "--positions", str(path)]) == 0
    assert f"accuracy    {result['accuracy']:.1%}" in capsys.readouterr().out  # the seed repeats


def test_positions_of_another_game_than_the_one_asked_for_are_refused(capsys, write):
    path = write(*labelled(3))
    assert cli.main(["evaluate", "random", "--positions", str(path), "--game", "hex"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("selfplay: error: --game: ") and "has positions of " in error and "not of hex" in error


MODULE = """
from pathlib import Path

import games
from games.native.connect_four import ConnectFour

Path(__file__).with_name("imported").touch()
games.register("my_connect_four", ConnectFour)
"""


def test_a_file_does_not_decide_which_modules_are_imported(tmp_path, write, monkeypatch, capsys):
    (tmp_path / "data_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    name = "data_module:my_connect_four"
    path = write({"game": name, "moves": [], "values": {str(action): 0 for action in range(7)}})
    assert cli.main(["evaluate", "random", "--positions", str(path)]) == 2
    assert "data does not decide which modules are imported" in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()
    assert cli.main(["evaluate", "random", "--positions", str(path), "--game", name]) == 0
    assert (tmp_path / "imported").exists()
    del sys.modules["data_module"]
