"""A position as lines of text for a terminal: a board with coordinates, in colour where the terminal has colours.

In the flow: a person at the terminal (`selfplay.players.human`) is shown what `board` returns. Games without a drawing,
and drawings that need lines between their cells, have None, and are shown as the text of the game.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TextIO

from selfplay.drawings.boards import View
from selfplay.drawings.drawing import DARK, HEXES, POINTS, SQUARES, Cell, Drawing, Line, Piece

INKS = {"black": 16, "white": 231, "red": 160, "yellow": 220, "blue": 25, "green": 28, "none": 16}
"""Colours of pieces by their names, as numbers of the 256 colours of terminals."""

FLOORS = (180, 137, 215)
"""Colours of cells by their shade."""

DISC_FLOOR = 24
"""Colour of cells under discs in red and yellow, of which yellow would not be seen on wood."""

LAST_FLOOR, LAST_DISC_FLOOR = 109, 33
"""Colours of cells of the last move: of another hue than the board, and light enough for pieces of all colours."""

LAST = ("[", "]")
"""Around a cell of the last move where there are no colours."""

STONES = {"black": "X", "white": "O"}
"""Stones without a sign where there are no colours. Filled and empty circles would change places on a dark screen."""

LETTERS = {"♚": "k", "♛": "q", "♜": "r", "♝": "b", "♞": "n", "♟": "p"}
"""Pieces of chess where there are no colours; those of White are capitals."""

WIDEST = 100
"""Largest number of columns of a board."""


@dataclass(frozen=True)
class Screen:
    """What a terminal can show."""

    colours: bool
    encoding: str

    def has(self, text: str) -> bool:
        """Whether the terminal has the characters of a text."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True


def screen_of(stream: TextIO, environment: Mapping[str, str]) -> Screen:
    """Colours only on a terminal that is not `dumb`, and not where NO_COLOR is set (https://no-color.org)."""
    is_terminal = stream.isatty() and environment.get("TERM", "dumb") != "dumb"
    encoding = stream.encoding if isinstance(stream, io.TextIOWrapper) else "utf-8"
    return Screen(is_terminal and not environment.get("NO_COLOR"), encoding)


def board(view: View, screen: Screen, last: Collection[int] = ()) -> str | None:
    """The position as text; None where the game's own text shows it better. Cells in `last` are marked."""
    drawing = view.drawing
    if drawing is None or not _can_be_shown(drawing):
        return None
    discs = any("(yellow)" in side for side in drawing.sides)
    canvas, scale = _Canvas(), _scale(drawing)
    rows = sorted({round(y, 3) for y in _heights(drawing)})
    for x, y, text in drawing.marks:
        canvas.put(rows.index(round(y, 3)), x * scale, text)
    for line in drawing.lines:
        if drawing.look == HEXES:
            _draw_side(canvas, drawing, line, rows, screen)
    for index, cell in enumerate(drawing.cells):
        shown = _shown(cell, drawing, screen)
        if shown is None or not screen.has(shown):
            return None
        row, is_last = rows.index(round(cell.y, 3)), index in last
        if not screen.colours:
            canvas.put_cell(row, cell.x * scale, shown, LAST if is_last else None)
            continue
        floors = (DISC_FLOOR, LAST_DISC_FLOOR) if discs else (FLOORS[cell.shade], LAST_FLOOR)
        ink = INKS.get(cell.piece.colour if cell.piece else "none", INKS["black"])
        colours = (231 if discs and ink == INKS["none"] else ink, floors[is_last])
        canvas.put(row, cell.x * scale, shown, colours, scale)
    lines = canvas.lines()
    if max(map(_width, lines)) > WIDEST:
        return None
    stones = {cell.piece.colour for cell in drawing.cells if cell.piece is not None and not _sign(cell.piece)}
    legend = ["X is black, O is white"] if stones & set(STONES) and not screen.colours else []
    return "\n".join([*lines, *drawing.notes, *legend])


def _can_be_shown(drawing: Drawing) -> bool:
    """Whether cells of one size say all: no lines but those of a full lattice, or the sides of a board of hexagons.

    A board without coordinates is left to the game's own text, which may have some.
    """
    if not drawing.marks or any((cell.width, cell.height) != (1.0, 1.0) for cell in drawing.cells):
        return False
    if drawing.look == HEXES:
        return True
    if drawing.look == POINTS and drawing.lines:
        across, down = {cell.x for cell in drawing.cells}, {cell.y for cell in drawing.cells}
        return len(across) * len(down) == len(drawing.cells) and all(line[4] == "grid" for line in drawing.lines)
    return not drawing.lines


def _scale(drawing: Drawing) -> int:
    """Columns of the terminal for a distance of 1."""
    if drawing.look == HEXES or any(cell.x % 1 == 0.5 for cell in drawing.cells):
        return 4
    below = max(y for _, y, _ in drawing.marks)
    widest = max(_width(text) for _, y, text in drawing.marks if y == below)
    widest = max([widest, *(_width(_sign(cell.piece)) for cell in drawing.cells if cell.piece)])
    return widest + (2 if drawing.look == SQUARES else 1)


def _heights(drawing: Drawing) -> list[float]:
    heights = [cell.y for cell in drawing.cells] + [y for _, y, _ in drawing.marks]
    if drawing.look == HEXES:
        heights += [y1 for _, y1, _, y2, _ in drawing.lines if y1 == y2]
    return heights


def _draw_side(canvas: _Canvas, drawing: Drawing, line: Line, rows: list[float], screen: Screen) -> None:
    """A side of a board of hexagons: across, or along the first or the last cells of the rows."""
    x1, y1, x2, y2, colour = line
    colours = (INKS.get(colour, INKS["black"]), None) if screen.colours else None
    scale = _scale(drawing)
    if y1 == y2:
        for column in range(round(x1 * scale), round(x2 * scale) + 1):
            canvas.put(rows.index(round(y1, 3)), column, "=", colours)
        return
    is_left = x1 + x2 < sum(end for one in drawing.lines for end in (one[0], one[2])) / (len(drawing.lines))
    for row, y in enumerate(rows):
        across = [cell.x for cell in drawing.cells if round(cell.y, 3) == y]
        if across:
            x = min(across) - 0.75 if is_left else max(across) + 0.75
            canvas.put(row, x * scale, "\\" if x2 > x1 else "/", colours)


def _sign(piece: Piece) -> str:
    return piece.sign.replace("\ufe0e", "")


def _shown(cell: Cell, drawing: Drawing, screen: Screen) -> str | None:
    """The text of a cell; None where the terminal has none for it."""
    piece, is_unicode = cell.piece, screen.has("●○·×")
    if piece is None:
        is_seen = screen.colours and any(one.shade == DARK for one in drawing.cells)
        return " " if is_seen else "·" if is_unicode else "."
    sign = _sign(piece)
    if piece.colour == "none":
        return sign if screen.has(sign) else {"×": "x", "○": "o"}.get(sign)
    if screen.colours:
        return ("●" if is_unicode else sign or "O") if sign in ("", "x", "o") else sign
    if sign in LETTERS:
        return LETTERS[sign].upper() if piece.colour == "white" else LETTERS[sign]
    if not sign:
        return STONES.get(piece.colour)
    return None if piece.colour in STONES else sign  # two sides with the same signs cannot be told apart


class _Canvas:
    """Lines of text in which pieces of text are put at places, centred."""

    def __init__(self) -> None:
        self._spans: dict[int, dict[int, tuple[str, tuple[int, int | None] | None]]] = {}

    def put(
        self, row: int, centre: float, text: str, colours: tuple[int, int | None] | None = None, room: int = 1
    ) -> None:
        """Text in `room` columns around its centre, or ending there, in ink and floor of the 256 colours."""
        free = max(0, room - _width(text))
        padded = " " * (free - free // 2) + text + " " * (free // 2) if room > 1 else text
        start = round(centre) - (free - free // 2) - (_width(text) - 1 if room == 1 else (_width(text) - 1) // 2)
        self._spans.setdefault(row, {})[start] = (padded, colours)

    def put_cell(self, row: int, centre: float, text: str, marks: tuple[str, str] | None) -> None:
        """Text around its centre without colours, between `marks` if it has some."""
        start = round(centre) - (_width(text) - 1) // 2
        spans = self._spans.setdefault(row, {})
        spans[start] = (text, None)
        if marks is not None:
            spans[start - 1], spans[start + _width(text)] = (marks[0], None), (marks[1], None)

    def lines(self) -> list[str]:
        left = min(start for spans in self._spans.values() for start in spans)
        lines = []
        for row in range(max(self._spans) + 1):
            line, column = "", left
            for start, (text, colours) in sorted(self._spans.get(row, {}).items()):
                line += " " * (start - column) + _coloured(text, colours)
                column = max(column, start) + _width(text)
            lines.append(line.rstrip(" "))
        return lines


def _coloured(text: str, colours: tuple[int, int | None] | None) -> str:
    if colours is None:
        return text
    ink, floor = colours
    return f"\x1b[38;5;{ink}m" + ("" if floor is None else f"\x1b[48;5;{floor}m") + text + "\x1b[0m"


def _width(text: str) -> int:
    """Number of columns of a text, without codes of colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in plain)
