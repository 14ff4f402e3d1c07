"""A position as a PNG, for places that show no page: a drawing where the game has one, else its text."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from selfplay.drawings.boards import View
from selfplay.drawings.drawing import HEXES, POINTS, Cell, Drawing

CELL = 48
"""Side of a cell in pixels."""

SMOOTHED = 2
"""Pictures are drawn this many times as large, and made smaller at the end."""

MOST_PIXELS = 1_000
"""Largest side of a picture."""

HEX_RADIUS = 0.577
"""Of hexagons whose centres in a row are 1 apart."""

FLOORS = ("#ecdcb9", "#cdb687", "#f2b880")
"""Colours of cells by their shade."""

INKS = {
    "black": "#22262b",
    "white": "#fdfdfb",
    "red": "#c8443c",
    "yellow": "#f0c93a",
    "blue": "#2f6fa8",
    "green": "#3d8553",
}
"""Colours of pieces and lines by their names."""

INK = "#4a4036"

LAST, LAST_RING = "#f5cf5f", "#d9480f"
"""Floor of cells of the last move; the ring on a crossing of lines, which has no floor of its own."""

WON = "#1f8a4c"
"""Frame of cells that won the game."""

Corner = tuple[float, float]


def as_png(view: View, last: Collection[int] = ()) -> bytes:
    """The picture of a position. Cells in `last` are marked, and those that won the game."""
    picture = _draw(view.drawing, last) if view.drawing is not None else _write(view.text)
    picture = picture.resize((max(1, picture.width // SMOOTHED), max(1, picture.height // SMOOTHED)))
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """A font that matplotlib brings along; it has the figures of chess."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return ImageFont.truetype(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf", size)


def _write(text: str) -> Image.Image:
    font, room = _font("DejaVuSansMono", 14 * SMOOTHED), 8 * SMOOTHED
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    _, _, width, height = ruler.multiline_textbbox((0, 0), text or " ", font)
    picture = Image.new("RGB", (math.ceil(width) + 2 * room, math.ceil(height) + 2 * room), "white")
    ImageDraw.Draw(picture).multiline_text((room, room), text, INK, font)
    return picture


def _draw(drawing: Drawing, last: Collection[int]) -> Image.Image:
    scale = CELL * SMOOTHED
    corners = [corner for cell in drawing.cells for corner in _box(cell, drawing.look)]
    corners += [end for x1, y1, x2, y2, _ in drawing.lines for end in ((x1, y1), (x2, y2))]
    corners += [(x + side, y + side) for x, y, _ in drawing.marks for side in (-0.3, 0.3)]
    left, top = (min(corner[axis] for corner in corners) - 0.12 for axis in (0, 1))
    right, bottom = (max(corner[axis] for corner in corners) + 0.12 for axis in (0, 1))
    picture = Image.new("RGB", (round((right - left) * scale), round((bottom - top) * scale)), "white")
    canvas = ImageDraw.Draw(picture)

    def at(points: Sequence[Corner]) -> list[Corner]:
        return [((x - left) * scale, (y - top) * scale) for x, y in points]

    if drawing.look == POINTS:
        canvas.rectangle(at(_around([_box(cell, POINTS) for cell in drawing.cells])), FLOORS[0])
    for index, cell in enumerate(drawing.cells):
        floor = LAST if index in last else FLOORS[cell.shade]
        if drawing.look == HEXES:
            canvas.polygon(at(_hexagon(cell)), floor, "white", width=SMOOTHED)
        elif drawing.look != POINTS:
            canvas.rectangle(at(_box(cell, drawing.look)), floor, "#b8a67e", width=SMOOTHED)
    for x1, y1, x2, y2, colour in drawing.lines:
        canvas.line(at([(x1, y1), (x2, y2)]), INKS.get(colour, INK), width=2 * SMOOTHED)
    for x, y, text in drawing.marks:
        canvas.text(at([(x, y)])[0], text, INK, _font("DejaVuSans", 0.28 * scale), anchor="mm")
    for cell in drawing.cells:
        if cell.piece is None:
            continue
        colour, sign = cell.piece.colour, cell.piece.sign.replace("\ufe0e", "")
        is_stone = colour != "none" and not (drawing.figures and sign)
        radius = 0.42 * min(cell.width, cell.height)
        if is_stone:
            canvas.ellipse(at(_square(cell, radius)), INKS.get(colour, INK), INK, width=SMOOTHED)
        if sign:
            size = (1.5 if drawing.figures else 1.1) * radius / max(1.0, 0.6 * len(sign))
            ink = (
                ("white" if colour in ("black", "blue", "red", "green") else INK) if is_stone else INKS.get(colour, INK)
            )
            outline = SMOOTHED if drawing.figures and colour == "white" else 0
            font = _font("DejaVuSans", max(1.0, size * scale))
            canvas.text(at([(cell.x, cell.y)])[0], sign, ink, font, "mm", stroke_width=outline, stroke_fill=INK)
    for index in drawing.winning:
        canvas.ellipse(at(_square(drawing.cells[index], 0.46)), outline=WON, width=2 * SMOOTHED)
    for index in last if drawing.look == POINTS else ():
        canvas.ellipse(at(_square(drawing.cells[index], 0.2)), outline=LAST_RING, width=2 * SMOOTHED)
    return picture


def _square(cell: Cell, half: float) -> list[Corner]:
    """Two corners of a square around the centre of a cell."""
    return [(cell.x - half, cell.y - half), (cell.x + half, cell.y + half)]


def _box(cell: Cell, look: str) -> list[Corner]:
    """Two corners of a cell."""
    width, height = cell.width / 2, HEX_RADIUS if look == HEXES else cell.height / 2
    return [(cell.x - width, cell.y - height), (cell.x + width, cell.y + height)]


def _around(boxes: Sequence[Sequence[Corner]]) -> list[Corner]:
    """Two corners of the box around boxes."""
    points = [corner for box in boxes for corner in box]
    return [
        (min(x for x, _ in points), min(y for _, y in points)),
        (max(x for x, _ in points), max(y for _, y in points)),
    ]


def _hexagon(cell: Cell) -> list[Corner]:
    angles = [math.pi / 3 * k + math.pi / 6 for k in range(6)]
    return [(cell.x + HEX_RADIUS * math.cos(angle), cell.y + HEX_RADIUS * math.sin(angle)) for angle in angles]
