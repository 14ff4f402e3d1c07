"""What the page shows of positions: every supported game in random positions, and some boards looked at closely."""

from __future__ import annotations

import json

import numpy as np
import pytest
from games_helpers import play_to_decision, shipped_names, slots

import games
from games.random_play import draw_outcomes, random_actions
from selfplay.drawings import boards, linked_boards
from selfplay.drawings.boards import DRAWINGS, View, look_at, side_names
from selfplay.web.table import Table

NAMES = shipped_names()

# Moves of these games are all on the board but for some that have no place there: a pass, a swap.
PLACELESS = {"pass", "swap", "b pass", "w pass"}
OFF_BOARD = {"2048", "catch", "cliff_walking", "cursor_go"}
"""Moves are directions."""


def after(name: str, *moves: int) -> View:
    return Table(games.load(name), moves).view


def cell(view: View, label: str):
    assert view.drawing is not None
    return next(cell for cell in view.drawing.cells if cell.label == label)


def place(view: View, text: str):
    """Labels of the start, if there is one, and of the first cell of a move."""
    assert view.drawing is not None
    action = next(action for action, written in view.legal if written == text)
    found = view.drawing.places[action]
    labels = [view.drawing.cells[i].label for i in (found.cells[0], *([] if found.start is None else [found.start]))]
    return labels[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_every_game_can_be_shown_and_played_from_what_is_shown(name):
    game, rng = games.load(name), np.random.default_rng(NAMES.index(name))
    pool, drawn = game.new_pool(1), 0
    for plies in (0, 1, 2, 5, 9, 14, 20, 30, 45, 60):
        play_to_decision(pool, 0, min(plies, game.max_game_length // 2), rng)
        view = look_at(pool, 0)
        shown = json.loads(json.dumps(view.as_json(), allow_nan=False))
        assert view.text.strip() and "\x1b" not in view.text
        assert [move["action"] for move in shown["moves"]] == pool.legal(slots(0))[1].tolist()
        assert all(move["text"].strip() for move in shown["moves"])
        assert len(set(side_names(game, view))) == game.num_players
        drawn += view.drawing is not None
        if view.drawing is not None:
            check_drawing(name, view)
    assert drawn == (10 if name in DRAWINGS else 0), "a board that could not be drawn is shown as text only"


def check_drawing(name: str, view: View) -> None:
    drawing = view.drawing
    assert len({cell.label for cell in drawing.cells}) == len(drawing.cells)
    assert len({(cell.x, cell.y) for cell in drawing.cells}) == len(drawing.cells)
    for action, text in view.legal:
        found = drawing.places.get(action)
        assert (found is not None) == (name not in OFF_BOARD and text.lower() not in PLACELESS), text
        if found is not None:
            assert all(0 <= i < len(drawing.cells) for i in (*found.cells, *([found.start] if found.start else [])))
            if found.start is not None:
                assert drawing.cells[found.start].piece is not None, f"{text}: nothing stands where the move begins"


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_whole_game_can_be_drawn_to_its_end(name):
    game, rng = games.load(name), np.random.default_rng(5)
    pool, here = game.new_pool(1), slots(0)
    pool.reset(here)
    for _ in range(150):
        view = look_at(pool, 0)
        assert view.drawing is not None, view.text
        if view.to_play == games.TERMINAL:
            break
        chance = view.to_play == games.CHANCE
        move = draw_outcomes(pool, here, [rng]) if chance else random_actions(pool, here, rng)
        pool.step(here, move, here)


def test_connect_four_shows_where_the_disc_will_lie():
    view = after("connect_four", 3, 3, 0)
    assert cell(view, "column 3, row 1").piece.name == "red disc, x"
    assert cell(view, "column 3, row 2").piece.name == "yellow disc, o"
    assert place(view, "o3") == ["column 3, row 3"] and place(view, "o1") == ["column 1, row 1"]
    assert len(view.drawing.places[3].cells) == 4, "every empty cell of the column can be clicked"


def test_go_counts_rows_from_below():
    view = after("go(board_size=5)", 7)
    assert cell(view, "c2").piece.name == "black stone" and place(view, "W a1") == ["a1"]
    assert all(text.endswith("PASS") for action, text in view.legal if action not in view.drawing.places)


def test_hex_is_drawn_in_hexagons_with_coloured_sides():
    view = after("hex(board_size=5)", 12)
    assert view.drawing.look == "hexes" and cell(view, "c3").piece.name == "red stone, x"
    assert [line[4] for line in view.drawing.lines] == ["red", "red", "blue", "blue"]
    assert look_at(_pool("openspiel:hex(board_size=5)", 12), 0).drawing == view.drawing


def test_a_row_that_won_is_shown():
    assert after("connect_four", 3, 0, 3, 0, 3, 0).drawing.winning == ()
    won = after("connect_four", 3, 0, 3, 0, 3, 0, 3)
    labels = [won.drawing.cells[i].label for i in won.drawing.winning]
    assert labels == [f"column 3, row {row}" for row in (4, 3, 2, 1)]
    across = after("connect_four", 0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3).drawing
    assert {across.cells[i].label for i in across.winning} == {f"column {k}, row {k + 1}" for k in range(4)}
    assert after("tic_tac_toe", 2, 0, 4, 1, 6).drawing.winning == (2, 4, 6)


def test_boards_are_made_of_what_players_know():
    made = {
        name: after(name).drawing for name in ("connect_four", "othello", "go(board_size=19)", "chess", "tic_tac_toe")
    }
    made = {name.split("(")[0]: drawing for name, drawing in made.items()}
    assert {name: drawing.material for name, drawing in made.items()} == {
        "connect_four": "rack", "othello": "baize", "go": "wood", "chess": "chequered", "tic_tac_toe": ""
    }  # fmt: skip
    assert len(made["go"].dots) == 9 and (9.0, 9.0) in made["go"].dots, "the star points of a board of 19"
    assert set(after("go(board_size=9)").drawing.dots) == {(2, 2), (2, 6), (6, 2), (6, 6), (4, 4)}
    assert [text for _, _, text in made["go"].marks[:9]] == list("ABCDEFGHJ"), "Go has no column I"


def test_the_last_of_the_given_moves_is_marked():
    table = Table(games.load("othello"), [19, 18])
    assert table.as_json()["last"] == [18]


def _pool(name: str, *moves: int) -> games.StatePool:
    return Table(games.load(name), moves).pool


def test_chess_moves_have_their_squares():
    table = Table(games.load("chess"))

    def play(*texts):
        for text in texts:
            table.play(next(action for action, written in table.view.legal if written == text))

    assert place(table.view, "Nf3") == ["g1", "f3"] and place(table.view, "e4") == ["e2", "e4"]
    play("e4", "d5", "exd5", "e5")
    assert place(table.view, "dxe6") == ["d5", "e6"], "en passant"
    play("Nf3", "Nf6", "Be2", "Be7")
    assert place(table.view, "O-O") == ["e1", "g1"]
    play("O-O", "O-O", "d6", "Re8", "dxc7", "Bf8")
    assert place(table.view, "cxb8=Q") == ["c7", "b8"] == place(table.view, "cxb8=N")
    assert cell(table.view, "g1").piece.name == "white king" and table.view.drawing.figures


def test_moves_of_pieces_go_from_cell_to_cell():
    ours, theirs = after("breakthrough"), after("openspiel:breakthrough")
    assert place(ours, "a2b3") == ["a2", "b3"] and ours.drawing.sides == ("white", "black")
    assert place(after("breakthrough", ours.legal[0][0]), "h7g6") == ["h7", "g6"]
    assert place(theirs, "a7a6") == ["a7", "a6"] and theirs.drawing.sides == ("black", "white")
    gardner = after("gardner_chess")
    assert place(gardner, "b1c3") == ["b1", "c3"] and cell(gardner, "e5").piece.name == "black king"
    assert place(after("gardner_chess", gardner.legal[0][0]), "b5c3") == ["b5", "c3"]
    assert place(after("mini_shogi"), "d1b3") == ["d1", "b3"]
    assert cell(after("mini_shogi"), "a5").piece.sign == "飛"
    assert place(after("checkers"), "a3b4") == ["a3", "b4"]
    assert place(after("xiangqi"), "C(7,1)-(5,1)") == ["(7,1)", "(5,1)"]
    assert place(after("shogi"), "7g7f") == ["7g", "7f"]


def test_pieces_in_hand_are_dropped_from_beside_the_board():
    table = Table(games.load("animal_shogi"))
    table.play(next(action for action, text in table.view.legal if text == "b2b3"))
    held = [c for c in table.view.drawing.cells if "in hand" in c.label]
    assert [(c.label, c.piece.colour) for c in held] == [("1 black chick in hand", "black")]
    table.play(next(action for action, text in table.view.legal if text == "b4b3"))
    held = {c.label for c in table.view.drawing.cells if "in hand" in c.label}
    assert held == {"1 black chick in hand", "1 white chick in hand"}
    assert place(table.view, "C@a2") == ["1 black chick in hand", "a2"]


def test_a_line_between_dots_is_drawn_once_it_is_no_move():
    view = after("dots_and_boxes", 0)
    assert cell(view, "h,0,0").piece is not None and cell(view, "h,0,1").piece is None


def test_quoridor_shows_walls_where_they_stand():
    table = Table(games.load("quoridor"))
    table.play(next(action for action, text in table.view.legal if text == "e4v"))
    walls = [line for line in table.view.drawing.lines if line[4] == "wall"]
    assert sorted(walls) == [(4.5, 2.5, 4.5, 3.5, "wall"), (4.5, 3.5, 4.5, 4.5, "wall")]


@pytest.mark.parametrize("seed", range(4))
def test_the_links_of_twixt_are_all_that_its_text_draws(seed):
    game, rng = games.load("twixt"), np.random.default_rng(seed)
    pool, found = game.new_pool(1), 0
    for plies in (12, 20, 28, 36):
        play_to_decision(pool, 0, plies, rng)
        view = look_at(pool, 0)
        lines = view.text.splitlines()
        left = lines[0].index("a")
        first = next(i for i, line in enumerate(lines) if line.split()[:1] == ["1"])
        explained = set()
        for x1, y1, x2, y2, _ in view.drawing.lines[4:]:  # after the sides of the board
            pattern = linked_boards.LINKS[x2 - x1, y2 - y1]
            explained |= {(first + 3 * y1 + line, left + 3 * x1 + column) for line, column, _ in pattern}
            found += 1
        assert explained == {(i, j) for i, line in enumerate(lines) for j, sign in enumerate(line) if sign in "|/\\_"}
    assert found > 10


def test_pieces_of_hive_lie_where_their_moves_put_them():
    table = Table(games.load("hive"))

    def play(*texts):
        for text in texts:
            table.play(next(action for action, written in table.view.legal if written == text))

    play("wG1", "bG1 wG1-", "wQ -wG1", "bQ bG1-")
    assert cell(table.view, "1,0").piece.name == "black grasshopper 1"
    assert cell(table.view, "-1,0").piece.name == "white queen"
    play("wQ \\wG1")
    assert cell(table.view, "0,-1").piece.name == "white queen" and table.view.drawing.look == "hexes"


def test_a_board_that_is_not_as_expected_is_shown_as_text(monkeypatch):
    monkeypatch.setitem(boards.DRAWINGS, "tic_tac_toe", boards.DRAWINGS["chess"])
    view = after("tic_tac_toe", 4)
    assert view.drawing is None and view.as_json()["moves"][0] == {"action": 0, "text": "o(0,0)"}


def test_a_large_board_is_shown_as_text():
    assert after("openspiel:hex(board_size=50)").drawing is None
    assert after("gomoku(size=5,dims=3)").drawing is None
