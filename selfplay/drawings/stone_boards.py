"""Drawings of games in which stones or marks are placed: noughts and crosses to Go, Hex and its relatives."""

from __future__ import annotations

import re

from selfplay.drawings.drawing import (
    BAIZE,
    HEXES,
    POINTS,
    RACK,
    ROW_OF_HEXES,
    SQUARES,
    WOOD,
    Cell,
    Drawing,
    Line,
    Piece,
    Place,
    Position,
    border,
    by_label,
    by_number,
    grid,
    in_a_row,
    letter,
    numbered,
)

BLACK, WHITE = Piece("black", "", "black stone"), Piece("white", "", "white stone")
RED, YELLOW = Piece("red", "x", "red disc, x"), Piece("yellow", "o", "yellow disc, o")
CROSS, NOUGHT = Piece("none", "×", "x"), Piece("none", "○", "o")
BLUE = Piece("blue", "o", "blue stone, o")
RED_STONE = Piece("red", "x", "red stone, x")

BLACK_AND_WHITE = ("black", "white")
GO_LETTERS = "abcdefghjklmnopqrstuvwxyz"


def tic_tac_toe(position: Position) -> Drawing:
    """Three rows of x, o and dots; also `mnk`, of any size."""
    rows = position.text.split()
    cells = grid(rows, {"x": CROSS, "o": NOUGHT, ".": None}, lambda r, c: f"row {r}, column {c}")
    marks = border(numbered(rows[0], 0), numbered(rows, 0))
    won = in_a_row(rows, "xo", position.size("k", 3 if position.name == "tic_tac_toe" else 5))
    return Drawing(SQUARES, cells, by_number(position, len(cells)), ("x", "o"), marks=marks, winning=won)


def ultimate_tic_tac_toe(position: Position) -> Drawing:
    """Nine boards of nine cells; a move is a cell of the forced board, or first the choice of a board."""
    lines = [line.replace(" ", "") for line in position.text.splitlines()]
    rows = [line for line in lines if re.fullmatch(r"[.xo]{9}", line)]
    cells = grid(rows, {"x": CROSS, "o": NOUGHT, ".": None}, _ultimate_label, gap=3)
    places = {}
    for action, text in position.legal:
        board, *cell = map(int, re.findall(r"\d+", text))
        top, left = board // 3 * 3, board % 3 * 3
        if cell:
            places[action] = Place(((top + cell[0]) * 9 + left + cell[1],))
        else:
            middle_first = (4, 0, 1, 2, 3, 5, 6, 7, 8)
            places[action] = Place(tuple((top + i // 3) * 9 + left + i % 3 for i in middle_first))
    notes = tuple(line for line in position.text.splitlines() if line.startswith("Forced"))
    return Drawing(SQUARES, cells, places, ("x", "o"), notes=notes)


def _ultimate_label(row: int, column: int) -> str:
    return f"board {row // 3 * 3 + column // 3}, row {row % 3}, column {column % 3}"


def connect_four(position: Position) -> Drawing:
    """A move is a column: it is shown where the disc will lie, and may be clicked anywhere above."""
    rows = position.text.split()
    height, width = len(rows), len(rows[0])
    cells = grid(rows, {"x": RED, "o": YELLOW, ".": None}, lambda r, c: f"column {c}, row {height - r}")
    places = {}
    for column, _ in position.legal:
        empty = [row for row in range(height) if rows[row][column] == "."]
        places[column] = Place(tuple(row * width + column for row in reversed(empty)))
    return Drawing(
        SQUARES,
        cells,
        places,
        ("x (red)", "o (yellow)"),
        marks=border(numbered(rows[0], 0), [""] * height),
        material=RACK,
        stones=("red", "yellow"),
        winning=in_a_row(rows, "xo", position.size("x_in_row", 4)),
    )


def othello(position: Position) -> Drawing:
    """Eight rows between numbers; the pass has no cell."""
    rows = [line.split()[1:-1] for line in position.text.splitlines() if re.match(r"\d ", line)]
    cells = grid(rows, {"x": BLACK, "o": WHITE, "-": None}, lambda r, c: f"{letter(c)}{r + 1}")
    marks = border([letter(c) for c in range(len(rows[0]))], numbered(rows), above=True)
    count = [sum(cell.piece is piece for cell in cells) for piece in (BLACK, WHITE)]
    return Drawing(
        SQUARES,
        cells,
        by_number(position, len(cells)),
        BLACK_AND_WHITE,
        marks=marks,
        notes=(f"discs: black {count[0]}, white {count[1]}",),
        material=BAIZE,
        stones=BLACK_AND_WHITE,
        dots=tuple((x, y) for y in (1.5, 5.5) for x in (1.5, 5.5)) if len(rows) == 8 else (),
    )


def go(position: Position) -> Drawing:
    """Points; OpenSpiel counts them from the lower left, the last action is the pass. `cursor_go` has no such moves."""
    rows = re.findall(r"^ *\d+ ([+XO]+)$", position.text, re.MULTILINE)
    size = len(rows)
    cells = grid(rows, {"X": BLACK, "O": WHITE, "+": None}, lambda r, c: f"{GO_LETTERS[c]}{size - r}")
    places = {}
    if position.name == "go":
        places = {
            action: Place(((size - 1 - action // size) * size + action % size,))
            for action, _ in position.legal
            if action < size * size
        }
    marks = border(GO_LETTERS[:size].upper(), [str(size - r) for r in range(size)], around=True)
    return _wooden(cells, places, _lattice(size, size), marks, _stars(size))


def gomoku(position: Position) -> Drawing:
    """Five in a row on points, on boards of two dimensions."""
    rows = [line for line in position.text.splitlines() if re.fullmatch(r"[.bw]{2,}", line)]
    if position.size("dims", 2) != 2 or len(rows) != position.size("size", 15):
        raise ValueError("a board of other than two dimensions")
    cells = grid(rows, {"b": BLACK, "w": WHITE, ".": None}, lambda r, c: f"{r},{c}")
    marks = border(numbered(rows[0], 0), numbered(rows, 0), around=True)
    lines = _lattice(len(rows), len(rows[0]))
    return _wooden(cells, by_number(position, len(cells)), lines, marks, _stars(len(rows)))


def pentago(position: Position) -> Drawing:
    """A move places a stone and turns a quarter of the board: eight moves a cell, the page asks which."""
    rows = [row.split() for row in re.findall(r"^. \d ((?:[.O@] ){5}[.O@])", position.text, re.MULTILINE)]
    cells = grid(rows, {"O": WHITE, "@": BLACK, ".": None}, lambda r, c: f"{letter(c)}{r + 1}", gap=3)
    places = by_label(position, cells, lambda text: text[:2])
    notes = ("after a stone: s, t upper left; u, v upper right; w, x lower right; y, z lower left quarter turned",)
    return Drawing(SQUARES, cells, places, ("white", "black"), notes=notes, stones=("white", "black"))


def _wooden(
    cells: tuple[Cell, ...],
    places: dict[int, Place],
    lines: tuple[Line, ...],
    marks: tuple[tuple[float, float, str], ...],
    dots: tuple[tuple[float, float], ...],
) -> Drawing:
    return Drawing(
        POINTS, cells, places, BLACK_AND_WHITE, lines, marks, material=WOOD, stones=BLACK_AND_WHITE, dots=dots
    )


def _stars(size: int) -> tuple[tuple[float, float], ...]:
    """The points printed on boards of Go: in the corners, in the middle, and on the sides of large ones."""
    middle = [(size - 1) / 2] if size % 2 else []
    if size < 7:
        return tuple((x, y) for x in middle for y in middle)
    edge = 3.0 if size > 11 else 2.0
    corners = [edge, size - 1 - edge]
    if size > 13 and middle:
        points = sorted([*corners, *middle])
        return tuple((x, y) for y in points for x in points)
    return tuple((x, y) for y in corners for x in corners) + tuple((x, y) for x in middle for y in middle)


def _lattice(rows: int, columns: int) -> tuple[Line, ...]:
    across = tuple((0.0, float(r), columns - 1.0, float(r), "grid") for r in range(rows))
    return across + tuple((float(c), 0.0, float(c), rows - 1.0, "grid") for c in range(columns))


def hex_board(position: Position) -> Drawing:
    """x joins the top to the bottom, o the left to the right; the sides of the board have their colours."""
    rows = [line.split() for line in position.text.splitlines() if line.strip()]
    height, width = len(rows), len(rows[0])
    flat = grid(rows, {"x": RED_STONE, "o": BLUE, ".": None}, lambda r, c: f"{letter(c)}{r + 1}")
    cells = tuple(Cell(cell.label, cell.x + cell.y / 2, cell.y * ROW_OF_HEXES, cell.piece) for cell in flat)
    last, low = (height - 1) / 2, (height - 1) * ROW_OF_HEXES
    lines = (
        (-0.5, -0.7, width - 0.5, -0.7, "red"),
        (last - 0.5, low + 0.7, last + width - 0.5, low + 0.7, "red"),
        (-0.75, -0.35, last - 0.75, low + 0.35, "blue"),
        (width - 0.25, -0.35, last + width - 0.25, low + 0.35, "blue"),
    )
    marks = tuple((c - 0.5, -1.1, letter(c)) for c in range(width))
    marks += tuple((r / 2 - 1.2, r * ROW_OF_HEXES, str(r + 1)) for r in range(height))
    sides = ("x (red)", "o (blue)")
    return Drawing(HEXES, cells, by_label(position, cells), sides, lines, marks, stones=("red", "blue"))


def y_board(position: Position) -> Drawing:
    """A triangle that stands on its point."""
    return _hexagons(position, lambda row, rows: (0, row / 2))


def havannah(position: Position) -> Drawing:
    """A hexagon of hexagons; below the middle, rows begin a column later each."""
    return _hexagons(position, lambda row, rows: (max(0, row - rows // 2), -row / 2))


def _hexagons(position: Position, shift) -> Drawing:  # type: ignore[no-untyped-def]
    """`shift(row, rows)` is the first column of a row, and how far the row is moved to the right."""
    rows = [re.findall(r"[O@.]", line) for line in re.findall(r"^ *\d+ ?(.*)$", position.text, re.MULTILINE)]
    pieces = {"O": WHITE, "@": BLACK, ".": None}
    cells = []
    for r, row in enumerate(rows):
        first, moved = shift(r, len(rows))
        for c, sign in enumerate(row, first):
            cells.append(Cell(f"{letter(c)}{r + 1}", c + moved, r * ROW_OF_HEXES, pieces[sign]))
    sides = ("white", "black")
    return Drawing(HEXES, tuple(cells), by_label(position, cells), sides, stones=sides)
