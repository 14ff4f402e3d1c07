"""Standard output belongs to those who read it: programs get what is meant for them, terminals what they can show."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from selfplay import cli
from selfplay.console.output import json_text, warn_in_one_line

ROOT = Path(__file__).parents[2]


def selfplay(
    arguments: list[str], folder: Path, text: str = "", prefix: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, behind `prefix` in a shell, where it can load `chatty`."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    return subprocess.run(
        ["sh", "-c", f'{prefix} "$@"', "sh", sys.executable, "-m", "selfplay", *arguments],
        input=text,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "random", "--env", "chatty:Chatty-v0", "--episodes", "2", "--json"],
        ["match", "random", "random", "--game", "chatty:chatty_tic_tac_toe", "--games", "2", "--json"],
        [
            *["tournament", "random", "random:seed=7", "--game", "chatty:chatty_tic_tac_toe", "--games", "2", "--json"],
            *["--processes", "1", "--out", "tournament"],
        ],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_game_that_prints_does_not_spoil_json(arguments, tmp_path):
    done = selfplay(arguments, tmp_path)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert len(done.stdout.splitlines()) == 1
    for where in ("import, in Python", "import, in C", "import, in a child process", "exit, to the descriptor"):
        assert f"chatty: {where}\n" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "conversation", "answer"),
    [
        (["gtp", "random", "--game", "chatty:chatty_go"], "1 protocol_version\n2 quit\n", "=1 2\n\n=2 \n\n"),
        (["uci", "random", "--game", "chatty:chatty_chess"], "isready\nquit\n", "readyok\n"),
    ],
    ids=["gtp", "uci"],
)
def test_a_game_that_prints_does_not_speak_in_a_protocol(arguments, conversation, answer, tmp_path):
    done = selfplay(arguments, tmp_path, conversation)
    assert (done.returncode, done.stdout) == (0, answer), done.stderr
    assert "chatty: load, in C\n" in done.stderr


def test_bad_input_leaves_standard_output_empty(tmp_path):
    done = selfplay(["match", "random", "nobody", "--game", "chatty:chatty_tic_tac_toe", "--json"], tmp_path)
    assert (done.returncode, done.stdout) == (cli.BAD_INPUT, "")


def test_json_has_null_for_what_is_not_a_number(capsys):
    value = {"a": math.nan, "b": [math.inf, 1.5, (-math.inf, 2)], "c": "NaN"}
    assert json.loads(json_text(value), parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, 1.5, [None, 2]],
        "c": "NaN",
    }


def test_standard_output_is_shared_again_after_a_command(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["match", "random", "random", "--game", "tic_tac_toe", "--games", "2", "--json"]) == 0
    json.loads(capfd.readouterr().out)
    assert cli.main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("selfplay ")


@pytest.mark.parametrize(
    "prefix", ["exec >&-;", "exec 2>&-;", "exec <&- >&- 2>&-;"], ids=["no output", "no errors", "none"]
)
def test_closed_streams_are_no_error(prefix, tmp_path):
    arguments = ["match", "random", "random", "--game", "tic_tac_toe", "--games", "2", "--save", "games.jsonl"]
    assert selfplay(arguments, tmp_path, prefix=prefix).returncode == 0
    assert len((tmp_path / "games.jsonl").read_text().splitlines()) == 2


def test_a_terminal_in_ascii_gets_escapes(tmp_path):
    done = selfplay(["verify", "rün"], tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == cli.BAD_INPUT and "Traceback" not in done.stderr


def test_a_warning_was_two_lines(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    warn_in_one_line()
    warning = FutureWarning("Countdown has new_state:\nderive it from games.PythonGame")
    shown = warnings.formatwarning(warning, FutureWarning, __file__, 1)
    assert shown == f"{__file__}:1: FutureWarning: Countdown has new_state: derive it from games.PythonGame\n"
