"""The pages of docs/games: their tables are the code's, and what they say of planes, actions and parameters holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from games_helpers import count_paths, observations, play_to_decision, random_actions, shipped_names, slots

import games
from games.native.cart_pole import CartPolePool
from games.pages import INDEX, facts_table, fresh_pages, main, pages, with_table
from games.registry import defaults_of

FOLDER = Path(__file__).parents[2] / "docs" / "games"
NUM_POSITIONS = 16
NAMES = [page.stem for page in pages(FOLDER)]
Row = tuple[list[int], str]


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def tables(name: str, heading: str) -> list[list[list[str]]]:
    """The rows of each table under a heading of a page, without the titles."""
    section = text_of(name).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found: list[list[list[str]]] = []
    inside = False
    for line in section.splitlines():
        if not line.startswith("|"):
            inside = False
        elif not inside:
            found.append([])
            inside = True
        else:
            found[-1].append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return [table[1:] for table in found]


def numbers(text: str) -> list[int]:
    """`0–2, 5` as [0, 1, 2, 5]."""
    parts = [part.split("–") for part in text.split(",")]
    return [number for first, *last in parts for number in range(int(first), int((last or [first])[0]) + 1)]


def observation_rows(name: str) -> list[Row]:
    return [(numbers(where), what) for where, what in tables(name, "Observation")[0]]


@cache
def views(name: str) -> list[tuple[games.StatePool, int, np.ndarray, int]]:
    """Positions of random games, a player to move in each: pool, slot, observation, mover."""
    game, rng = games.load(name), np.random.default_rng(NAMES.index(name.partition("(")[0]))
    pool = game.new_pool(NUM_POSITIONS)
    for slot in range(NUM_POSITIONS):
        play_to_decision(pool, slot, 3 * slot, rng)
    seen = observations(pool, np.arange(NUM_POSITIONS))
    return [(pool, slot, seen[slot], int(pool.to_play(slots(slot))[0])) for slot in range(NUM_POSITIONS)]


def test_every_game_has_a_page() -> None:
    assert sorted(NAMES) == sorted(shipped_names())


@pytest.mark.parametrize("name", [*NAMES, INDEX.removesuffix(".md")])
def test_tables_of_facts_are_the_codes(name: str) -> None:
    expected = dict(fresh_tables())[f"{name}.md"]
    assert text_of(name) == expected, "run `python -m games.pages`"


@cache
def fresh_tables() -> list[tuple[str, str]]:
    return [(page.name, text) for page, text in fresh_pages(FOLDER)]


def test_the_command_mends_what_is_wrong_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nim", "index"):
        (tmp_path / f"{name}.md").write_text(text_of(name), encoding="utf-8")
    assert main(tmp_path) == 0  # the index has one game only here
    page = tmp_path / "nim.md"
    page.write_text(text_of("nim").replace("| players | 2 |", "| players | 5 |"), encoding="utf-8")
    capsys.readouterr()
    assert main(tmp_path) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_text(encoding="utf-8") == text_of("nim")


def test_a_folder_without_pages_and_a_page_without_a_place_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 2
    assert "there are no pages" in capsys.readouterr().err
    with pytest.raises(games.GameError, match=r"nim\.md: the table of facts needs a line"):
        with_table("# Nim\n", facts_table(games.load("nim")), "nim.md")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_describes_every_plane_and_every_action_once(name: str) -> None:
    game = games.load(name)
    for table in tables(name, "Observation"):
        assert [n for where, _ in table for n in numbers(where)] != []
        assert sorted(n for where, _ in table for n in numbers(where)) == list(range(game.observation_shape[0]))
    described = [n for where, _ in tables(name, "Actions")[0] for n in numbers(where)]
    assert described == list(range(game.num_actions))
    assert f"`[{', '.join(map(str, game.observation_shape))}]`" in text_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_every_parameter_with_its_default(name: str) -> None:
    written = tables(name, "Parameters")
    expected = {key: str(value) for key, value in defaults_of(name).items()}
    assert {key: value.replace("(empty)", "") for key, value, _ in (written[0] if written else [])} == expected
    assert bool(written) == bool(expected)


@pytest.mark.parametrize("name", NAMES)
def test_symmetries_are_named_where_there_are_some(name: str) -> None:
    section = text_of(name).split("\n## Symmetries\n")[1].split("\n## ")[0].strip()
    assert section.startswith("None declared") != bool(games.load(name).symmetries())


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_what_the_words_of_the_page_allow(name: str) -> None:
    """Seats and other planes that are all 1, planes that hold 0 and 1 alone, and numbers that are one-hot."""
    rows, num_players = observation_rows(name), games.load(name).num_players
    only_bits = "planes of 0 and 1" in text_of(name)
    seats = rows[-num_players:]
    for _, _, seen, mover in views(name):
        assert [bool(np.all(seen[where] == 1)) for where, _ in seats] == [p == mover for p in range(num_players)]
        for where, what in rows:
            values = seen[where]
            if what.startswith("all 1 where"):
                assert np.all(values == values.flat[0]) and values.flat[0] in (0, 1)
            if what == "all 1 where white is to move":
                assert values.flat[0] == (mover == 1)
            if "one-hot" in what:
                assert set(np.unique(values)) <= {0, 1}
                assert values.sum() == 1 or ("or all 0" in what and not values.any())
            if only_bits:
                assert set(np.unique(values)) <= {0, 1}


@pytest.mark.parametrize("name", ["2048", "catch", "pig", "yacht", "hive", "gomoku", "xiangqi"])
def test_known_numbers_of_the_page_are_those_of_the_text(name: str) -> None:
    for pool, slot, seen, mover in views(name):
        text = pool.text(slot)
        if name == "2048":
            assert seen[:4].ravel().tolist() == [float(tile) for tile in text.split()]
        elif name == "catch":
            board = np.array([list(line) for line in text.split()])
            assert np.array_equal(seen[:10] == 1, board != ".")
        elif name == "pig":
            points = [int(number) for number in re.findall(r"\d+", text)][:3]
            assert seen[[1, 2, 0]].argmax(axis=1).tolist() == points
        elif name == "yacht":
            dice = [int(die) for die in re.search(r"Dice: ([\d ]+)", text)[1].split()]
            assert seen[:6].tolist() == np.bincount(dice, minlength=7)[1:].tolist()
        elif name == "hive":
            assert np.all(seen[22] == mover)
        elif name == "gomoku":
            assert np.all(seen[2] == (mover == 0)) and seen[0].sum() - seen[1].sum() in (0, 1)
        elif name == "xiangqi":
            assert np.all(seen[14] == (mover == 0))


# Boards of one-hot planes, read from the text: the mark of each description, by mover where it depends on that.
Board = Callable[[str], np.ndarray]


def lines(pattern: str) -> Board:
    """The cells of the lines of a text that match: group 1, one character a cell."""
    return lambda text: np.array([list(m[1].replace(" ", "")) for m in re.finditer(pattern, text, re.M)])


def fen(text: str) -> np.ndarray:
    """The board of a FEN, rank 1 first."""
    rows = re.sub(r"\d", lambda m: "." * int(m[0]), text.split()[0]).split("/")
    return np.array([list(row) for row in rows[::-1]])


PROMOTED = {"+C": "H", "+P": "T", "+S": "N", "+B": "H", "+R": "D"}


def shogi_board(text: str) -> np.ndarray:
    """The board of a small shogi, promoted pieces as letters of their own."""
    rows = [line.split()[1:] for line in text.splitlines() if re.match(r"\d ", line)]
    letters = PROMOTED | {s.lower(): x.lower() for s, x in PROMOTED.items()}
    return np.array([[letters.get(sign, sign) for sign in row] for row in rows])


CHESS = {
    "kings, queens, rooks, bishops, knights, pawns of white": "KQRBNP",
    "the same of black": "kqrbnp",
    "empty cells": ".",
}
BOARDS: dict[str, tuple[Board, dict[str, str | tuple[str, str]]]] = {
    "connect_four": (
        lambda text: lines(r"^([xo.]+)$")(text)[::-1],
        {"discs of player 0": "x", "discs of player 1": "o", "empty cells": "."},
    ),
    "othello": (
        lines(r"^\d ([xo\- ]+) \d$"),
        {"discs of the player to move": ("x", "o"), "discs of the opponent": ("o", "x"), "empty cells": "-"},
    ),
    "tic_tac_toe": (
        lines(r"^([xo.]{3})$"),
        {"marks of player 0 (x)": "x", "marks of player 1 (o)": "o", "empty cells": "."},
    ),
    "mnk": (
        lines(r"^([xo.]{15})$"),
        {"stones of player 0 (x)": "x", "stones of player 1 (o)": "o", "empty cells": "."},
    ),
    "breakthrough": (
        lines(r"^\d ([bw.]{8})$"),
        {"pieces of the player to move": ("w", "b"), "pieces of the opponent": ("b", "w")},
    ),
    "checkers": (
        lines(r"^\d([o8+*.]{8})$"),
        {"men of player 0": "o", "kings of player 0": "8", "men of player 1": "+", "kings of player 1": "*",
         "empty cells": "."},
    ),
    "clobber": (
        lines(r"^\d([ox.]{6})$"),
        {"pieces of the player to move": ("o", "x"), "pieces of the opponent": ("x", "o"), "empty cells": "."},
    ),
    "amazons": (
        lines(r"^([XO.#]{10})$"),
        {"empty cells": ".", "amazons of player 1 (O)": "O", "amazons of player 0 (X)": "X", "arrows": "#"},
    ),
    "lines_of_action": (
        lambda text: lines(r"^\d([xo.]{8})$")(text)[::-1],
        {"pieces of player 0 (black, x)": "x", "pieces of player 1 (white, o)": "o", "empty cells": "."},
    ),
    "xiangqi": (
        lines(r"^([A-Za-z.]{9})$"),
        {"red general, advisors, elephants, horses, chariots, cannons, soldiers": "GAEHRCS",
         "the same of black": "gaehrcs"},
    ),
    "go": (
        lambda text: lines(r"^ ?\d+ ([XO+]{9})$")(text)[::-1],
        {"stones of the player to move": ("X", "O"), "stones of the opponent": ("O", "X")},
    ),
    "pentago": (
        lines(r"^[^\d]*\d ((?:[.O@] ){5}[.O@])"),
        {"stones of the player to move": ("O", "@"), "stones of the opponent": ("@", "O"), "empty cells": "."},
    ),
    "animal_shogi": (
        shogi_board,
        {
            "own chicks, elephants, giraffes, lion, hens": ("CEGLH", "ceglh"),
            "the same of the opponent": ("ceglh", "CEGLH"),
        },
    ),
    "mini_shogi": (
        shogi_board,
        {
            "own pawns, silvers, golds, bishops, rooks, king": ("PSGBRK", "psgbrk"),
            "own promoted pawns, silvers, bishops, rooks": ("TNHD", "tnhd"),
            "pawns, silvers, golds, bishops, rooks, king of the opponent": ("psgbrk", "PSGBRK"),
            "promoted pawns, silvers, bishops, rooks of the opponent": ("tnhd", "TNHD"),
        },
    ),
    "gardner_chess": (
        lines(r"^\d ((?:[A-Za-z.] ?){5})$"),
        {
            "own pawns, knights, bishops, rooks, queens, king": ("PNBRQK", "pnbrqk"),
            "the same of the opponent": ("pnbrqk", "PNBRQK"),
        },
    ),
    "chess": (fen, CHESS),
    "antichess": (fen, CHESS),
}  # fmt: skip


TURNED = {"breakthrough": True, "gardner_chess": False, "animal_shogi": True, "mini_shogi": True}
"""Games whose boards are turned to the player to move: half a turn, or else upside down."""


def check_boards(name: str, variant: str, table: list[list[str]]) -> None:
    board_of, marks = BOARDS[name]
    described = {what: numbers(where) for where, what in table}
    known = {what: marks.get(what) for what in described}
    checked = [what for what, mark in known.items() if mark]
    assert len(checked) >= len(marks) - 2 and checked
    for pool, slot, seen, mover in views(variant):
        board = board_of(pool.text(slot))
        if name in TURNED and mover == 1:
            board = board[::-1, ::-1] if TURNED[name] else board[::-1]
        assert board.shape == seen.shape[1:]
        for what in checked:
            mark = known[what]
            letters = mark if isinstance(mark, str) else mark[mover]
            planes = described[what]
            assert len(planes) == len(letters)
            for plane, letter in zip(planes, letters):
                assert np.array_equal(seen[plane] == 1, board == letter), (what, plane)


@pytest.mark.parametrize("name", BOARDS)
def test_planes_are_those_of_the_board_that_the_page_names(name: str) -> None:
    check_boards(name, name, tables(name, "Observation")[0])


def test_egocentric_planes_of_connect_four(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables("connect_four", "Observation")[1]
    marks: dict[str, str | tuple[str, str]] = {
        "discs of the player to move": ("x", "o"),
        "discs of the opponent": ("o", "x"),
        "empty cells": ".",
    }
    monkeypatch.setitem(BOARDS, "connect_four", (BOARDS["connect_four"][0], marks))
    check_boards("connect_four", "connect_four(egocentric_obs_tensor=True)", table)


def hex_planes(stones: list[set[tuple[int, int]]], last: tuple[int, int], size: int) -> Iterator[tuple[str, set]]:
    """The cells of each plane of Hex, from the stones of both players; `last` is the stone that won, if any."""

    def joined(own: set[tuple[int, int]], axis: int, edge: int) -> set[tuple[int, int]]:
        reached = {cell for cell in own if cell[axis] == edge}
        while (
            more := {
                (row + down, column + right)
                for row, column in reached
                for down, right in ((-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0))
            }
            & own - reached
        ):
            reached |= more
        return reached

    everything = {(row, column) for row in range(size) for column in range(size)}
    yield "empty cells", everything - stones[0] - stones[1]
    for player, axis, near, far in ((0, 0, "top row", "bottom row"), (1, 1, "left column", "right column")):
        own = stones[player] - {last}
        first, second = joined(own, axis, 0), joined(own, axis, size - 1)
        yield f"the stone of player {player} that won", stones[player] & {last}
        yield f"stones of player {player} joined to the {near}", first
        yield f"stones of player {player} joined to the {far}", second
        yield f"stones of player {player} joined to neither", own - first - second


def test_planes_of_hex_are_those_that_the_page_names() -> None:
    described = {what: where[0] for where, what in observation_rows("hex")}
    size, rng = 11, np.random.default_rng(0)
    pool = games.load("hex").new_pool(1)
    checked = 0
    for _ in range(6):
        pool.reset(slots(0))
        while pool.to_play(slots(0))[0] != games.TERMINAL:
            pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))
            moves = [divmod(action, size) for action in pool.history(0)]
            over = pool.to_play(slots(0))[0] == games.TERMINAL
            if len(moves) % 9 and not over:
                continue
            seen = observations(pool, slots(0))[0]
            last = moves[-1] if over else (-1, -1)
            for what, cells in hex_planes([set(moves[0::2]), set(moves[1::2])], last, size):
                assert {(int(r), int(c)) for r, c in np.argwhere(seen[described[what]] == 1)} == cells, what
            assert np.all(seen[:9].sum(axis=0) == 1)
            checked += 1
    assert checked > 40


def test_numbers_of_cart_pole_are_those_that_the_page_names() -> None:
    scales = []
    for (where,), what in observation_rows("cart_pole")[:4]:
        assert where == len(scales)
        scales.append(np.radians(12) if "12 degrees" in what else float(re.search(r"divided by ([\d.]+)", what)[1]))
    for pool, slot, seen, _ in views("cart_pole"):
        assert isinstance(pool, CartPolePool)
        np.testing.assert_allclose(seen[:4], pool.physical(slots(slot))[0] / scales, rtol=1e-6)


COUNTED = [name for name in NAMES if "Moves by ply: " in text_of(name) or "moves by ply: " in text_of(name)]


@pytest.mark.parametrize("name", COUNTED)
def test_known_counts_are_counted(name: str) -> None:
    """As far as there are at most 20,000 of them; `test_games_known_counts.py` counts farther."""
    written = re.search(r"[Mm]oves by ply:\s+([\d,\s]+)", text_of(name))[1]
    counts = [int(count) for count in written.split(",")]
    few = [count for count in counts if count <= 20_000]
    game = games.load("hex(board_size=3)" if name == "hex" else name)
    assert count_paths(game, len(few)) == few
    assert len(few) >= 3


def test_quoridor_hides_its_walls_as_the_page_says() -> None:
    pool = games.load("quoridor").new_pool(2)
    pool.reset(slots(0, 1))
    pool.step(slots(0, 1), np.array([1, 3]), slots(0, 1))
    assert pool.text(0) != pool.text(1)
    one, other = observations(pool, slots(0, 1))
    assert np.array_equal(one, other)


def test_the_die_of_einstein_is_not_shown_as_the_page_says() -> None:
    pool = games.load("einstein_wurfelt_nicht").new_pool(2)
    pool.reset(slots(0, 1))
    for outcomes in ((5, 5), (9, 9), (0, 3)):
        pool.step(slots(0, 1), np.array(outcomes), slots(0, 1))
    one, other = observations(pool, slots(0, 1))
    assert np.array_equal(one, other)
    assert pool.legal(slots(0))[1].tolist() != pool.legal(slots(1))[1].tolist()
