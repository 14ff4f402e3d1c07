"""Whatever a person mistypes ends in one clear line and status 2, and nothing is created."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from selfplay import cli
from selfplay.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own, so that it sees whether something was created."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(monkeypatch):
    """Put a command named `fake` into the table, which does what the given function does."""

    def register(run, takes_settings=False):
        module = types.ModuleType("selfplay.commands.fake", "A command for tests.")
        module.add_arguments = lambda parser: parser.add_argument("--size", type=int)
        module.run = run
        monkeypatch.setitem(sys.modules, "selfplay.commands.fake", module)
        monkeypatch.setitem(cli.COMMANDS, "fake", cli.Command("for tests", takes_settings))

    return register


def error_lines(capsys, *arguments: str) -> list[str]:
    """Run a command that must fail; the lines it wrote to stderr, without their common beginning."""
    assert cli.main(arguments) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines and all(line.startswith("selfplay: error: ") for line in lines)
    return [line.removeprefix("selfplay: error: ") for line in lines]


LONG_NAME = "a" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", LONG_NAME],
        ["report", LONG_NAME],
        ["resume", LONG_NAME],
        ["rate", LONG_NAME],
        ["gtp", LONG_NAME],
        ["uci", LONG_NAME],
        ["label", "--game", "tic_tac_toe", "--positions", "3", "--out", LONG_NAME],
    ],
)
def test_a_name_that_no_file_can_have_is_said_in_one_line(arguments, empty_folder, capsys):
    (line,) = error_lines(capsys, *arguments)
    assert line.endswith("File name too long") and len(line) < 200
    assert not list(empty_folder.iterdir())


def test_links_in_a_circle_are_said_in_one_line(empty_folder, capsys):
    (empty_folder / "a").symlink_to("b")
    (empty_folder / "b").symlink_to("a")
    error_lines(capsys, "verify", "a")


def test_errors_of_the_program_keep_their_traceback(command):
    def fails(args, overrides):
        raise FileNotFoundError(2, "No such file or directory", "a.bin")

    command(fails)
    with pytest.raises(FileNotFoundError):
        cli.main(["fake"])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "no command given"),
        (["trian"], "did you mean 'train'"),
        (["zzz"], "one of train, resume"),
        (["z" * 5000], "zzz...; one of train"),
        (["--verbose"], "unknown command '--verbose'"),
        (["train"], "CONFIG"),
        (["train", "none.yaml"], "none.yaml"),
        (["train", "."], "directory"),
        (["train", "bad.yaml", "--run-dri", "x"], "did you mean '--run-dir'"),
        (["train", "bad.yaml", "--gmae", "x"], "did you mean '--game'"),
        (["train", "bad.yaml"], "bad.yaml: search.num_simulations: expected an integer, got 'abc'"),
        (["train", "good.yaml", "--search.num_simulations", "0"], "--search.num_simulations: 0 is out of range"),
        (["train", "good.yaml", "--search.num-simulation", "5"], "did you mean '--search.num_simulations'"),
        (["train", "good.yaml", "--game", "tic_tac_to"], "tic_tac_toe"),
        (["train", "good.yaml", "--game", "hex(board_size=100000)"], "board_size"),
        (["resume"], "RUN_DIR"),
        (["resume", "nowhere"], "nowhere"),
        (["resume", "good.yaml"], "good.yaml"),
        (["evaluate", "random"], "--positions"),
        (["evaluate", "random", "--positions", "none.jsonl"], "none.jsonl"),
        (["evaluate", "random", "--positions", "bad.jsonl"], "bad.jsonl"),
        (["evaluate", "nobody", "--positions", "positions.jsonl"], "nobody"),
        (["match", "random"], "PLAYER"),
        (["match", "randon", "random", "--game", "tic_tac_toe", "--games", "2"], "randon"),
        (["match", "mcts:simulations=x", "random", "--game", "tic_tac_toe", "--games", "2"], "simulations"),
        (["match", "run:nowhere", "random", "--game", "tic_tac_toe", "--games", "2"], "nowhere"),
        (["match", "random", "random", "--game", "tic_tac_to", "--games", "2"], "tic_tac_toe"),
        (["match", "random", "random", "--game", "tic_tac_toe", "--games", "0"], "games"),
        (
            ["match", "random", "random", "--game", "tic_tac_toe", "--games", "2", "--save", "good.yaml/games.jsonl"],
            "cannot be written",
        ),
        (["report"], "name at least one run"),
        (["report", "nowhere"], "nowhere"),
        (["report", "good.yaml"], "good.yaml"),
        (["report", "--group", "nowhere"], "NAME=RUN,RUN"),
        (["play", "random", "--game", "ches"], "chess"),
        (["games", "otello"], "othello"),
        (["games", "--all"], "unknown option '--all'"),
        (["audit"], "GAME"),
        (["audit", "tic_tac_to"], "tic_tac_toe"),
        (["audit", "tic_tac_toe", "--positions", "0"], "--positions"),
        (["audit", "tic_tac_toe", "--seed", "-1"], "--seed"),
        (["show-config", "bad.yaml"], "bad.yaml"),
        (["show-config", "--learner.batch_size"], "--learner.batch_size: expected an integer, got nothing"),
        (["show-config", "good.yaml", "more.yaml"], "unexpected argument 'more.yaml'"),
        (["bench", "--nothing"], "--nothing"),
        (["bench", "muzero.yaml"], "bench: is for algorithm alphazero, these settings have muzero"),
        (["plan", "muzero.yaml"], "plan: is for algorithm alphazero, these settings have muzero"),
        (["train", "muzero.yaml", "--plan"], "plan: is for algorithm alphazero, these settings have muzero"),
        (["plan"], "CONFIG"),
        (["plan", "good.yaml"], "--budget.minutes"),
        (["plan", "good.yaml", "--seconds", "0"], "--seconds"),
        (["plan", "good.yaml", "--budget.minutes", "5", "--game", "tic_tac_to"], "tic_tac_toe"),
        (["train", "good.yaml", "--plan"], "--budget.minutes"),
        (["train", "good.yaml", "--plan", "--plan-seconds", "-1"], "--plan-seconds"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_creates_nothing(capsys, empty_folder, arguments, part):
    (empty_folder / "good.yaml").write_text("game: tic_tac_toe\n")
    (empty_folder / "muzero.yaml").write_text("game: tic_tac_toe\nalgorithm: muzero\nbudget:\n  minutes: 1\n")
    (empty_folder / "bad.yaml").write_text("search:\n  num_simulations: abc\n")
    (empty_folder / "bad.jsonl").write_text("{]\n")
    (empty_folder / "positions.jsonl").write_text('{"game": "tic_tac_toe", "moves": [], "values": {"0": 0}}\n')
    before = sorted(empty_folder.rglob("*"))
    (line,) = error_lines(capsys, *arguments)
    assert part in line
    assert sorted(empty_folder.rglob("*")) == before


def test_all_wrong_settings_are_reported_one_a_line(capsys):
    lines = error_lines(capsys, "show-config", "--seed", "x", "--net.blocks", "-1", "--no.such", "1")
    assert [line.split(":")[0] for line in lines] == ["--no.such", "--seed", "--net.blocks"]


def test_user_error_of_many_lines_keeps_them(capsys, command):
    def run(args, overrides):
        raise UserError("first\nsecond")

    command(run)
    assert error_lines(capsys, "fake") == ["first", "second"]


def test_game_error_is_bad_input_but_another_value_error_is_a_bug(capsys, command):
    from games import GameError

    errors = [GameError("no such game"), ValueError("a bug")]
    command(lambda args, overrides: (_ for _ in ()).throw(errors.pop(0)))
    assert error_lines(capsys, "fake") == ["no such game"]
    with pytest.raises(ValueError, match="a bug"):
        cli.main(["fake"])


def test_arguments_reach_the_command_and_its_status_comes_back(command):
    seen = []
    command(lambda args, overrides: seen.append((args.size, overrides)) or 7, takes_settings=True)
    assert cli.main(["fake", "--search.num_simulations", "3", "--size", "2", "--seed=1"]) == 7
    assert seen == [(2, ["--search.num_simulations", "3", "--seed=1"])]


def test_a_command_without_settings_refuses_them(capsys, command):
    command(lambda args, overrides: 0)
    assert "unknown option '--seed'" in error_lines(capsys, "fake", "--seed", "1")[0]
    assert "--size" in error_lines(capsys, "fake", "--size", "x")[0]
    assert "unknown option '--siz'" in error_lines(capsys, "fake", "--siz", "1")[0]  # no abbreviations


def test_interrupt_has_its_status_and_no_traceback(capsys, command):
    def run(args, overrides):
        raise KeyboardInterrupt

    command(run)
    assert cli.main(["fake"]) == cli.INTERRUPTED
    assert capsys.readouterr().err == "selfplay: interrupted\n"


def test_help_of_every_command(capsys):
    assert cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"  {name} " in overview
        assert cli.main([name, "--help"]) == 0
        assert f"usage: selfplay {name}" in capsys.readouterr().out
    assert cli.main(["train", "--help"]) == 0
    assert "--search.num_simulations" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("selfplay ")


def test_show_config_prints_a_file_that_means_the_same(capsys, empty_folder):
    assert cli.main(["show-config", "--search.num_simulations", "7", "--game", "hex(board_size=5)"]) == 0
    first = capsys.readouterr().out
    (empty_folder / "all.yaml").write_text(first)
    assert "num_simulations: 7\n" in first and "game: hex(board_size=5)\n" in first
    assert cli.main(["show-config", "all.yaml"]) == 0
    assert capsys.readouterr().out == first


def test_games_lists_sizes(capsys):
    assert cli.main(["games", "tic_tac_toe", "connect_four"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["game", "tic_tac_toe", "connect_four"]
    assert [line[2] for line in lines[1:]] == ["9", "7"]


def test_as_a_module_with_a_reader_that_goes_away():
    process = subprocess.Popen(
        [sys.executable, "-m", "selfplay", "show-config"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == cli.BROKEN_PIPE
    process.stderr.close()


def test_audit_prints_a_report(capsys):
    assert cli.main(["audit", "tic_tac_toe", "--positions", "50"]) == 0
    assert capsys.readouterr().out.startswith("tic_tac_toe\n")
