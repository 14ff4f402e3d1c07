"""What a position looks like to the page: cells with pieces, and where on them each legal move can be clicked.

The page knows no game. It draws a `Drawing`: squares, points or hexagons, pieces in named colours with a sign on them,
lines, and notes beside the board. `selfplay.drawings.boards` chooses the function that makes it from the text of a
position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from games import Game

SQUARES, POINTS, HEXES = "squares", "points", "hexes"

RACK, BAIZE, WOOD, CHEQUERED = "rack", "baize", "wood", "chequered"
"""What boards are made of: a rack with round holes, green cloth, a wooden board of points, light and dark squares."""

ROW_OF_HEXES = 0.8660254
"""Distance of two rows of hexagons whose centres in a row are 1 apart: the sine of 60 degrees."""

DARK, MARKED = 1, 2
"""Shades of a cell besides the plain 0: a dark square, a place that means something (a goal, a cliff)."""

Line = tuple[float, float, float, float, str]
"""A line from x, y to x, y in a colour."""


@dataclass(frozen=True)
class Piece:
    """What lies on a cell."""

    colour: str
    """A name that the page has a colour for: black, white, red, yellow, blue, green; `none` draws the sign alone."""
    sign: str
    """A sign that is drawn on it; empty for a plain stone."""
    name: str
    """The name for a screen reader: "black stone"."""


@dataclass(frozen=True)
class Cell:
    """A place on the board; `x` and `y` are its centre, with y growing downwards."""

    label: str
    """As moves and people call it, e.g. "d4"."""
    x: float
    y: float
    piece: Piece | None = None
    shade: int = 0
    width: float = 1.0
    height: float = 1.0


@dataclass(frozen=True)
class Place:
    """Where a move is on the board."""

    cells: tuple[int, ...]
    """Cells to click; the move is shown on the first of them."""
    start: int | None = None
    """The cell of the piece that moves, to be clicked before."""


@dataclass(frozen=True)
class Drawing:
    """A position to look at."""

    look: str
    """How the cells are drawn: SQUARES, POINTS (crossings of lines) or HEXES."""
    cells: tuple[Cell, ...]
    places: Mapping[int, Place]
    """By action; moves that are not here have buttons beside the board."""
    sides: tuple[str, ...] = ()
    """What the players are called, by seat; empty for numbers."""
    lines: tuple[Line, ...] = ()
    marks: tuple[tuple[float, float, str], ...] = ()
    """Coordinates around the board."""
    notes: tuple[str, ...] = ()
    """What does not lie on the board: dice, pieces in hand."""
    figures: bool = False
    """Whether signs are figures that stand alone, as in chess, and not written on stones."""
    material: str = ""
    """What the board is made of, one of RACK, BAIZE, WOOD and CHEQUERED; empty for none in particular."""
    stones: tuple[str, ...] = ()
    """Colours of the stones that players put, by seat; the page shows one where the pointer is."""
    dots: tuple[tuple[float, float], ...] = ()
    """Dots printed on the board, such as the star points of Go; x and y."""
    winning: tuple[int, ...] = ()
    """Cells whose pieces won the game; empty while it goes on, and where no cells stand for the result."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; the places go with the moves."""
        return {
            "look": self.look,
            "cells": [_cell_as_json(cell) for cell in self.cells],
            "lines": [list(line) for line in self.lines],
            "marks": [list(mark) for mark in self.marks],
            "notes": list(self.notes),
            "figures": self.figures,
            "material": self.material,
            "stones": list(self.stones),
            "dots": [list(dot) for dot in self.dots],
            "winning": list(self.winning),
        }


@dataclass(frozen=True)
class Position:
    """All that a drawing is made from."""

    game: Game
    name: str
    """The name of the rules, without parameters."""
    parameters: Mapping[str, str]
    text: str
    to_play: int
    legal: tuple[tuple[int, str], ...]
    """Legal moves of a player: action and text, ascending."""
    texts_after: Callable[[], list[str]]
    """The text of the position after each legal move, in the same order."""

    def size(self, parameter: str, default: int) -> int:
        """A whole number among the parameters of the game."""
        return int(self.parameters.get(parameter, default))


Draw = Callable[[Position], Drawing]
"""Makes the drawing. Raises any exception where the text is not as expected; the position is then shown as text."""


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    plain: dict[str, Any] = {"label": cell.label, "x": round(cell.x, 4), "y": round(cell.y, 4)}
    if cell.piece is not None:
        plain["piece"] = [cell.piece.colour, cell.piece.sign, cell.piece.name]
    if cell.shade:
        plain["shade"] = cell.shade
    if (cell.width, cell.height) != (1.0, 1.0):
        plain["size"] = [cell.width, cell.height]
    return plain


def letter(column: int) -> str:
    """a to z for the first 26 columns, then what follows z in the alphabet of computers, as OpenSpiel writes it."""
    return chr(ord("a") + column)


def grid(
    rows: Sequence[Sequence[str]],
    pieces: Mapping[str, Piece | None],
    label: Callable[[int, int], str],
    chequered: bool = False,
    gap: int = 0,
) -> tuple[Cell, ...]:
    """Cells in reading order; cell (row, column) has the index row * columns + column.

    `pieces` names the piece of each sign of the text, `gap` is the number of rows and columns between wider gaps.
    Raises KeyError for an unknown sign, ValueError for rows of different lengths.
    """
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different lengths")

    def place(index: int) -> float:
        return index + (0.25 * (index // gap) if gap else 0.0)

    return tuple(
        Cell(label(r, c), place(c), place(r), pieces[sign], DARK if chequered and (r + c) % 2 else 0)
        for r, row in enumerate(rows)
        for c, sign in enumerate(row)
    )


def border(
    columns: Sequence[str], rows: Sequence[str], above: bool = False, around: bool = False
) -> tuple[tuple[float, float, str], ...]:
    """Names of columns below the board, or `above` it, and of rows left of it, where they have any.

    `around` writes both on the opposite side too.
    """
    low, high, right = len(rows) - 0.2, -0.8, len(columns) - 0.2
    marks = [(float(c), high if above else low, name) for c, name in enumerate(columns)]
    marks += [(-0.8, float(r), name) for r, name in enumerate(rows) if name]
    if around:
        marks += [(float(c), low if above else high, name) for c, name in enumerate(columns)]
        marks += [(right, float(r), name) for r, name in enumerate(rows) if name]
    return tuple(marks)


def in_a_row(rows: Sequence[Sequence[str]], signs: str, length: int) -> tuple[int, ...]:
    """Cells of all rows, columns and diagonals of at least `length` equal `signs`, ascending; empty where none is.

    Cell (row, column) has the index row * columns + column.
    """
    height, width = len(rows), len(rows[0])
    found: set[int] = set()
    for r in range(height):
        for c in range(width):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                run = [(r + k * down, c + k * right) for k in range(length)]
                inside = 0 <= run[-1][0] < height and 0 <= run[-1][1] < width
                if inside and rows[r][c] in signs and len({rows[y][x] for y, x in run}) == 1:
                    found |= {y * width + x for y, x in run}
    return tuple(sorted(found))


def by_label(position: Position, cells: Sequence[Cell], of: Callable[[str], str] = str) -> dict[int, Place]:
    """Places of moves whose text, or the part `of` it, is the label of a cell."""
    index = {cell.label: i for i, cell in enumerate(cells)}
    return {action: Place((index[of(text)],)) for action, text in position.legal if of(text) in index}


def by_number(position: Position, count: int) -> dict[int, Place]:
    """Places of moves where action i is cell i of `count`."""
    return {action: Place((action,)) for action, _ in position.legal if action < count}


def by_pairs(position: Position, pattern: str, index: Callable[..., int]) -> dict[int, Place]:
    """Places of moves whose text holds the cell, or the two cells, that `pattern` finds (its groups go to `index`)."""
    places = {}
    for action, text in position.legal:
        cells = [index(*match.groups()) for match in re.finditer(pattern, text)]
        if cells:
            places[action] = Place((cells[-1],), cells[0] if len(cells) > 1 else None)
    return places


def numbered(rows: Iterable[object], start: int = 1) -> list[str]:
    """Names of rows: their numbers."""
    return [str(number) for number, _ in enumerate(rows, start)]
