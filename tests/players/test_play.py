"""A person at the terminal: everything that can be typed, by text and through pipes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exact_player import ExactPlayer
from script_player import Script

import games
from selfplay import cli
from selfplay.evaluation.match import play_match
from selfplay.players.human import HumanPlayer, Terminal, TerminalGame, find_move, plain_text
from selfplay.players.kinds import parse_player

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")


def session(game, player, typed: str, seat: int = 0) -> str:
    """What the screen shows after the lines `typed`."""
    screen = io.StringIO()
    TerminalGame(game, player, seat, Terminal(io.StringIO(typed), screen), np.random.default_rng(0)).run()
    return screen.getvalue()


def test_a_whole_game_by_number_and_by_text():
    screen = session(CONNECT_FOUR, Script(0, 0, 0), "3\nx3\nX3\n3\n")
    assert "script plays o0" in screen
    assert screen.endswith("You win.\n")


def test_losing_and_drawing():
    assert session(CONNECT_FOUR, Script(3, 3, 3, 3), "0\n1\n2\n6\n").endswith("You lose.\n")
    assert session(TIC_TAC_TOE, Script(1, 4, 3, 8), "0\n2\n7\n5\n6\n").endswith("A draw.\n")


def test_in_the_second_seat_the_other_player_begins():
    screen = session(TIC_TAC_TOE, Script(4, 0, 8), "1\n2\nquit\n", seat=1)
    assert screen.index("script plays") < screen.index("your move>")
    assert "player 1 of 2" in screen


def test_columns_are_numbered():
    pool = CONNECT_FOUR.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    assert plain_text(pool, 0).splitlines()[-2:] == [".......", "0123456"]
    pool = TIC_TAC_TOE.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    assert plain_text(pool, 0).splitlines() == ["...", "...", "..."]


def test_illegal_input_is_one_line_and_asked_again():
    screen = session(CONNECT_FOUR, Script(), "7\nx\n-1\n\nundo\nmove 3\nquit\n")
    assert screen.count("is not a legal move") == 4
    assert "nothing to take back" in screen
    assert screen.count("your move>") == 7
    assert screen.endswith("You left the game.\n")


def test_full_column_is_refused():
    assert "'3' is not a legal move" in session(CONNECT_FOUR, Script(3, 3, 3), "3\n3\n3\n3\nquit\n")


def test_end_of_input_ends_politely():
    assert session(CONNECT_FOUR, Script(), "").endswith("your move> \nYou left the game.\n")
    assert session(CONNECT_FOUR, Script(0), "3\n").endswith("You left the game.\n")


def test_undo_takes_back_both_moves():
    screen = session(CONNECT_FOUR, Script(0, 1, 2), "3\n4\nundo\nundo\nundo\n5\nquit\n")
    boards = [block.split("\n0  1  2  3  4  5  6")[0] for block in screen.split("\n\n")[1:]]
    empty, final = boards[0], boards[-1]
    assert "x" not in empty and boards.count(empty) == 2
    assert final.count("x") == final.count("o") == 1 and final.splitlines()[-1].split() == [
        "·",
        "·",
        "[o]",
        "·",
        "·",
        "x",
        "·",
    ]
    assert screen.count("nothing to take back") == 1


def test_undo_in_the_second_seat_keeps_the_first_move():
    screen = session(TIC_TAC_TOE, Script(4, 0, 2), "1\nundo\nundo\n3\nquit\n", seat=1)
    assert "nothing to take back" in screen
    assert screen.count("script plays") == 3


def test_moves_board_help_resign():
    screen = session(CONNECT_FOUR, Script(), "moves\nboard\nhelp\nresign\n")
    assert "x0 [0]  x1 [1]" in screen
    assert screen.count("0  1  2  3  4  5  6") == 2
    assert "undo    take back" in screen
    assert screen.endswith("You resigned.\n")


def test_hint_shows_what_the_search_thinks():
    player = parse_player("mcts:simulations=200", CONNECT_FOUR, 1)
    screen = session(CONNECT_FOUR, player, "3\nhint\nquit\n")
    rows = screen.split("your move>")[2].splitlines()[1:]
    assert rows[0].split() == ["move", "visits", "value", "prior"]
    table = [row.split() for row in rows[1:8]]
    assert sum(int(row[1]) for row in table) == 200
    assert all(row[0][0] == "x" and row[3] == "14.3%" for row in table)
    assert table[0][4].count("#") >= table[-1][-1].count("#")
    assert "value of the position for you" in rows[8]
    assert "it expects" in screen
    assert "script has no opinion" in session(CONNECT_FOUR, Script(), "hint\nquit\n")


def test_text_of_a_move_goes_before_its_number():
    class State(games.State):
        def clone(self):
            return self

        def to_play(self):
            return 0

        def legal_actions(self):
            return [0, 1, 2, 3]

        def apply(self, action):
            pass

        def rewards(self):
            return [0.0]

        def observation(self):
            return np.zeros(1, np.float32)

        def action_text(self, action):
            return ["1", "a", "A", "same"][action] if action != 3 else "a"

    class Game(games.PythonGame):
        name = rules = "test"
        num_players, num_actions, observation_shape, max_game_length = 1, 4, (2,), 1

        def new_state(self):
            return State()

    pool = Game().new_pool(1)
    assert find_move(pool, 0, "1") == 0
    assert find_move(pool, 0, "A") == 2
    assert find_move(pool, 0, "a") is None  # two moves have this text: their numbers tell them apart
    assert find_move(pool, 0, "3") == 3


@pytest.mark.parametrize(
    ("name", "typed", "action_text"), [("go(board_size=5)", "C3", "B c3"), ("chess", "E2e4", "e4"), ("hex", "b1", "b1")]
)
def test_a_move_may_be_named_by_its_place_on_the_board(name, typed, action_text):
    game = games.load(name)
    pool = game.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    action = find_move(pool, 0, typed)
    assert action is not None and pool.action_text(0, action) == action_text
    assert find_move(pool, 0, "z9") is None and find_move(pool, 0, "") is None


def test_game_for_one_with_chance():
    screen = session(games.load("2048"), parse_player("random", games.load("2048")), "moves\nhint\nquit\n")
    assert "player 0 of 1" in screen


def test_perfect_player_cannot_be_beaten_by_typing():
    assert session(TIC_TAC_TOE, ExactPlayer(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n").endswith(("You lose.\n", "A draw.\n"))


def test_human_in_a_match_types_the_same_way():
    screen = io.StringIO()
    human = HumanPlayer(Terminal(io.StringIO("hint\nmoves\n3\nx3\n3\n3\n1\n1\n1\n1\n"), screen))
    result = play_match(CONNECT_FOUR, human, Script(0, 0, 0, 0, 6, 0, 6), 2, opening_plies=0, games_at_once=1)
    assert result.wins == 2
    text = screen.getvalue()
    assert "'hint' is not a legal move" in text and "player 1, o (yellow) to move" in text
    assert text.count("[o]") == 3 and text.count("[x]") == 4  # the answers that the person was shown
    with pytest.raises(KeyboardInterrupt):
        play_match(CONNECT_FOUR, HumanPlayer(Terminal(io.StringIO(""), screen)), Script(0), 2, opening_plies=0)


def test_command_through_pipes():
    process = subprocess.run(
        [sys.executable, "-m", "selfplay", "play", "random", "--game", "connect_four", "--seed", "1"],
        cwd=Path(__file__).resolve().parents[2],
        input="3\nresign\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0 and process.stderr == ""
    assert "random plays o" in process.stdout and process.stdout.endswith("You resigned.\n")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["random"], "--game is missing"), (["random", "--game", "tic_tac_toe", "--seat", "2"], "seats 0 to 1, not 2")],
)
def test_bad_arguments_are_one_line(capsys, arguments, part):
    assert cli.main(["play", *arguments]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and part in captured.err
