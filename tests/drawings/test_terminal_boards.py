"""Boards in the terminal: coordinates, colours where there are some, and every piece where it is."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from games_helpers import play_to_decision

import games
from selfplay import cli
from selfplay.drawings.boards import DRAWINGS, last_cells, look_at
from selfplay.drawings.terminal import LAST_FLOOR, WIDEST, Screen, board, screen_of
from selfplay.web.table import Table

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

IN_COLOUR, PLAIN, ASCII = Screen(True, "utf-8"), Screen(False, "utf-8"), Screen(False, "ascii")

STONES = ("connect_four", "go(board_size=9)", "gomoku", "hex(board_size=5)", "othello")

HEX = """\
   a   b   c
   =============
1 \\  .   x   .  \\
  2 \\  .   o   .  \\
    3 \\  .   .   .  \\
       ============="""

CHESS = """\
8 r  n  b  q  k  b  n  r
7 p  p  p  p  p  p  p  p
6 .  .  .  .  .  .  .  .
5 .  .  .  .  .  .  .  .
4 .  .  .  .  .  .  .  .
3 .  .  .  .  .  .  .  .
2 P  P  P  P  P  P  P  P
1 R  N  B  Q  K  B  N  R
  a  b  c  d  e  f  g  h"""


def shown(name: str, screen: Screen, *moves: int) -> str:
    text = board(Table(games.load(name), moves).view, screen)
    assert text is not None
    return text


def test_hex_has_its_coordinates_and_its_sides() -> None:
    assert shown("hex(board_size=3)", ASCII, 1, 4) == HEX


def test_chess_has_its_squares_and_letters_in_two_cases() -> None:
    assert shown("chess", ASCII) == CHESS
    assert "♚" in shown("chess", IN_COLOUR)


def test_the_last_move_is_marked_in_colour_and_without() -> None:
    table = Table(games.load("go(board_size=3)"), (4, 0))
    last = last_cells(table.game, table.history, table.view)
    assert list(last) == table.as_json()["last"] and [table.view.drawing.cells[index].label for index in last] == ["a1"]
    assert board(table.view, ASCII, last).splitlines()[3] == "1[O]. . 1"
    coloured = board(table.view, IN_COLOUR, last)
    assert coloured.count(f"48;5;{LAST_FLOOR}m") == 1 and "[O]" not in coloured
    assert str(LAST_FLOOR) not in board(table.view, IN_COLOUR)


def test_two_sides_of_the_same_shape_have_colours_or_letters() -> None:
    coloured, plain = (shown("othello", screen) for screen in (IN_COLOUR, PLAIN))
    assert len(re.findall("\x1b\\[38;5;231m\x1b\\[48;5;180m ● ", coloured)) == 2
    assert plain.count("●") == 0 and plain.endswith("X is black, O is white")
    assert "5;220m" in shown("connect_four", IN_COLOUR, 3, 3)


@pytest.mark.parametrize("name", STONES)
def test_every_stone_is_on_the_board_in_the_line_of_its_row(name: str) -> None:
    game, rng = games.load(name), np.random.default_rng(3)
    pool = game.new_pool(1)
    for plies in (0, 1, 7, 20):
        play_to_decision(pool, 0, min(plies, game.max_game_length // 2), rng)
        view = look_at(pool, 0)
        text = board(view, IN_COLOUR)
        assert text is not None and view.drawing is not None
        heights = sorted({cell.y for cell in view.drawing.cells})
        expected = [sum(cell.piece is not None for cell in view.drawing.cells if cell.y == y) for y in heights]
        lines = [line for line in text.splitlines() if "48;5;" in line]  # columns have their names above or below
        assert [line.count("●") for line in lines[: len(heights)]] == expected


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_screen_gets_what_it_can_show(name: str) -> None:
    view = Table(games.load(name), ()).view
    for screen in (IN_COLOUR, PLAIN, ASCII):
        text = board(view, screen)
        if text is not None:
            assert ("\x1b" in text) == screen.colours
            assert screen.has(text)
            assert all(len(COLOUR.sub("", line)) <= WIDEST for line in text.splitlines())


class Stream(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: is_terminal  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colours"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colours_only_where_they_are_wanted(is_terminal: bool, environment: dict[str, str], colours: bool) -> None:
    assert screen_of(Stream(is_terminal), environment).colours == colours


def test_the_encoding_of_the_screen_says_what_it_has() -> None:
    screen = screen_of(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), {})
    assert not screen.has("●") and screen.has("x")


def test_play_shows_the_board_with_coordinates_and_says_whose_pieces_are_yours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("quit\n"))
    assert cli.main(["play", "random", "--game", "tic_tac_toe", "--seat", "1", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "you are player 1 of 2, o, against random" in out
    assert out.count("\n  0  1  2\n") == 1 and "\x1b" not in out
