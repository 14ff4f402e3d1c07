"""What is typed never takes the terminal game down; only moves and `undo` change it (tests/fuzz/play_fuzz.py)."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from play_fuzz import GAMES, fuzz_play, play_command, play_input
from script_player import Script

import games
from selfplay.players.human import MAX_LINE, Terminal, TerminalGame

LINES = 300
"""Of each game; `python tests/fuzz/play_fuzz.py 100000` runs more."""


@pytest.mark.parametrize("name", GAMES)
def test_fuzzed_typing(name):
    changes, count = fuzz_play(name, play_input(name, LINES, 1), 1)
    assert changes > 5 and count > 1


def test_the_command_lives_through_fuzzed_typing():
    lines = [line for line in play_input("go(board_size=19)", LINES, 2) if line.strip() not in (b"quit", b"exit", b"q")]
    assert play_command(lines, 2) >= 1


def test_a_line_that_is_too_long_is_no_move():
    screen = io.StringIO()
    typed = "3" + " " * MAX_LINE + "3\n" + "3\n" + "3" * (3 * MAX_LINE)
    terminal = Terminal(io.StringIO(typed), screen)
    TerminalGame(games.load("connect_four"), Script(0), 0, terminal, np.random.default_rng(0)).run()
    assert screen.getvalue().count("longer than 4096 characters") == 2
    assert screen.getvalue().count("script plays") == 1
    assert screen.getvalue().endswith("You left the game.\n")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_bytes_that_are_no_text_are_no_move(encoding):
    command = [sys.executable, "-m", "selfplay", "play", "random", "--game", "tic_tac_toe"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    data = b"\xff\xfe\n\xe2\x98\x83\nquit\n"
    done = subprocess.run(command, input=data, env=environment, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"is not a legal move") == 2


def test_without_standard_input_the_person_has_left():
    command = f"exec {sys.executable} -m selfplay play random --game tic_tac_toe <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.endswith(b"You left the game.\n")
