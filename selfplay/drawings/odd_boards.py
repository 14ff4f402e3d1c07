"""Drawings of games whose boards are no plain grid: lines between dots, mills, stars, pits with seeds, tiles."""

from __future__ import annotations

import re

from selfplay.drawings.drawing import (
    MARKED,
    POINTS,
    ROW_OF_HEXES,
    SQUARES,
    Cell,
    Drawing,
    Line,
    Piece,
    Place,
    Position,
    by_label,
    by_pairs,
    grid,
    letter,
)

COLOURS = ("red", "blue", "green", "yellow", "white", "black")
"""Colours of the players in games for more than two."""


def dots_and_boxes(position: Position) -> Drawing:
    """A move is a line between two dots; the lines that are no moves any more have been drawn."""
    height, width = position.size("num_rows", 2), position.size("num_cols", 2)
    free = {text.partition("(")[2].rstrip(")"): action for action, text in position.legal}
    drawn = Piece("black", "", "drawn")
    cells: list[Cell] = []
    places = {}
    for kind, rows, columns in (("h", height + 1, width), ("v", height, width + 1)):
        for r in range(rows):
            for c in range(columns):
                label = f"{kind},{r},{c}"
                x, y, size = (c + 0.5, r, (0.8, 0.25)) if kind == "h" else (c, r + 0.5, (0.25, 0.8))
                if label in free:
                    places[free[label]] = Place((len(cells),))
                cells.append(Cell(label, x, y, None if label in free else drawn, 0, *size))
    lines = position.text.splitlines()
    for r in range(height):
        for c in range(width):
            owner = lines[2 * r + 1][4 * c + 2 : 4 * c + 3].strip()
            piece = Piece(COLOURS[int(owner) - 1], owner, f"box of player {owner}") if owner else None
            cells.append(Cell(f"box {r},{c}", c + 0.5, r + 0.5, piece, 0, 0.6, 0.6))
    marks = tuple((float(c), float(r), "•") for r in range(height + 1) for c in range(width + 1))
    return Drawing(POINTS, tuple(cells), places, ("player 1 (red)", "player 2 (blue)"), marks=marks)


def quoridor(position: Position) -> Drawing:
    """Pawns walk from square to square; a wall has its middle on a crossing, where the page asks which way it lies."""
    rows = [line for line in position.text.splitlines() if re.match(r" *\d+ .*\d$", line)]
    below = position.text.splitlines()
    size = len(rows)
    cells, lines = [], []
    signs = {"0": Piece("white", "0", "pawn 0"), "@": Piece("black", "@", "pawn @"), ".": None}
    for r, row in enumerate(rows):
        under = below[below.index(row) + 1].ljust(4 * size + 4)
        for c in range(size):
            sign = row[4 * c + 3]
            piece = signs[sign] if sign in signs else Piece("red", sign, f"pawn {sign}")
            cells.append(Cell(f"{letter(c)}{r + 1}", c, r, piece, 0, 0.8, 0.8))
            if row[4 * c + 5 : 4 * c + 6] == "|":
                lines.append((c + 0.5, r - 0.5, c + 0.5, r + 0.5, "wall"))
            if under[4 * c + 3] == "-":
                lines.append((c - 0.5, r + 0.5, c + 0.5, r + 0.5, "wall"))
    squares = {cell.label: i for i, cell in enumerate(cells)}
    crossings: dict[str, int] = {}
    places = {}
    for action, text in position.legal:
        if text in squares:
            places[action] = Place((squares[text],))
        elif text[:-1] in squares:
            corner = text[:-1]
            if corner not in crossings:
                crossings[corner] = len(cells)
                at = cells[squares[corner]]
                cells.append(Cell(f"wall at {corner}", at.x + 0.5, at.y + 0.5, None, 0, 0.25, 0.25))
            places[action] = Place((crossings[corner],))
    notes = tuple(line for line in below if line.startswith("Board size"))
    return Drawing(SQUARES, tuple(cells), places, ("0 (white)", "@ (black)"), tuple(lines), notes=notes)


def nine_mens_morris(position: Position) -> Drawing:
    """Three squares in one another; points are numbered in reading order."""
    column = {0: 0, 2: 1, 4: 2, 7: 3, 10: 4, 12: 5, 14: 6}
    pieces = {"W": Piece("white", "", "white man"), "B": Piece("black", "", "black man"), ".": None}
    cells: list[Cell] = []
    for y, line in enumerate(position.text.splitlines()[:13:2]):
        for match in re.finditer(r"[.WB]", line):
            cells.append(Cell(f"point {len(cells)}", column[match.start()], y, pieces[match[0]]))
    lines: list[Line] = []
    for low, high in ((0.0, 6.0), (1.0, 5.0), (2.0, 4.0)):
        for edge in (low, high):
            lines += [(low, edge, high, edge, "grid"), (edge, low, edge, high, "grid")]
    for low, high in ((0.0, 2.0), (4.0, 6.0)):
        lines += [(3.0, low, 3.0, high, "grid"), (low, 3.0, high, 3.0, "grid")]
    places = by_pairs(position, r"(\d+)", int)
    notes = tuple(line for line in position.text.splitlines() if "men" in line.lower())
    return Drawing(POINTS, tuple(cells), places, ("white", "black"), tuple(lines), notes=notes)


def morpion_solitaire(position: Position) -> Drawing:
    """A move is a line of four points, one of them new; the page asks where several lines have the same new one."""
    rows = [line for line in position.text.splitlines() if re.fullmatch(r"[01]{2,}", line)]
    width = len(rows[0])
    cells = grid(rows, {"1": Piece("black", "", "point"), "0": None}, lambda r, c: f"[{r},{c}]")
    places = {}
    for action, text in position.legal:
        points = [(int(r), int(c)) for r, c in re.findall(r"\[(\d+),(\d+)\]", text)]
        points.sort(key=lambda point: rows[point[0]][point[1]])
        places[action] = Place((points[0][0] * width + points[0][1],))
    return Drawing(POINTS, cells, places)


def chinese_checkers(position: Position) -> Drawing:
    """A star; its cells are numbered in reading order."""
    cells: list[Cell] = []
    for y, line in enumerate(position.text.splitlines()):
        if line.startswith("Player"):
            break
        for match in re.finditer(r"\S", line):
            piece = None
            if match[0] != ".":
                colour = COLOURS[int(match[0]) - 1]
                piece = Piece(colour, match[0], f"{colour} marble of player {match[0]}")
            cells.append(Cell(str(len(cells)), match.start() / 2, y * ROW_OF_HEXES, piece))
    sides = tuple(f"player {i + 1} ({colour})" for i, colour in enumerate(COLOURS[: position.game.num_players]))
    return Drawing(POINTS, tuple(cells), by_pairs(position, r"(\d+)", int), sides)


def _pit(label: str, x: float, y: float, seeds: str, height: float = 1.0) -> Cell:
    return Cell(label, x, y, Piece("none", seeds, f"{seeds} seeds"), 0, 1.0, height)


def mancala(position: Position) -> Drawing:
    """Pits 1 to 6 below, 8 to 13 above from the right; the stores at the ends take no clicks."""
    upper, stores, lower = (re.findall(r"\d+", line) for line in position.text.splitlines()[:3])
    width = len(upper)
    cells = [_pit("store of player 2", -1, 0.5, stores[0], 2), _pit("store of player 1", width, 0.5, stores[1], 2)]
    cells += [_pit(str(2 * width + 1 - i), i, 0, seeds) for i, seeds in enumerate(upper)]
    cells += [_pit(str(i), i - 1, 1, seeds) for i, seeds in enumerate(lower, 1)]
    return Drawing(SQUARES, tuple(cells), by_label(position, cells))


def oware(position: Position) -> Drawing:
    """Houses have letters, those of player 0 are capitals below."""
    lines = position.text.splitlines()
    start = next(i for i, line in enumerate(lines) if re.fullmatch(r"( +[a-z])+ *", line))
    upper, seeds_above, seeds_below, lower = (line.split() for line in lines[start : start + 4])
    cells = [_pit(label, x, 0, seeds) for x, (label, seeds) in enumerate(zip(upper, seeds_above))]
    cells += [_pit(label, x, 1, seeds) for x, (label, seeds) in enumerate(zip(lower, seeds_below))]
    notes = tuple(line for line in lines if "score" in line)
    return Drawing(SQUARES, tuple(cells), by_label(position, cells), notes=notes)


def nim(position: Position) -> Drawing:
    """A row a pile; a click takes the stone and all to the right of it."""
    match = re.fullmatch(r"\(\d+\): ([\d ]+)", position.text.strip())
    if match is None:
        raise ValueError("no piles")
    piles = [int(pile) for pile in match[1].split()]
    cells: list[Cell] = []
    first = []
    for y, size in enumerate(position.parameters.get("pile_sizes", "1;3;5;7").split(";")):
        first.append(len(cells))
        for x in range(int(size)):
            stone = Piece("black", "", "stone") if x < piles[y] else None
            cells.append(Cell(f"pile {y + 1}, stone {x + 1}", x, y, stone))
    places = {}
    for action, text in position.legal:
        pile, take = map(int, re.findall(r"\d+", text))
        places[action] = Place((first[pile - 1] + piles[pile - 1] - take,))
    return Drawing(SQUARES, tuple(cells), places)


def _signs(rows: list[list[str]], empty: str, pieces: dict[str, Piece]) -> Drawing:
    known: dict[str, Piece | None] = {empty: None}
    for sign in {sign for row in rows for sign in row} - {empty}:
        known[sign] = pieces.get(sign) or Piece("none", sign, sign)
    return Drawing(SQUARES, grid(rows, known, lambda r, c: f"row {r + 1}, column {c + 1}"), {})


def tiles_2048(position: Position) -> Drawing:
    """Numbers on tiles; moves are directions."""
    return _signs([line.split() for line in position.text.splitlines() if line.strip()], "0", {})


def catch(position: Position) -> Drawing:
    """The ball falls, the paddle moves."""
    pieces = {"o": Piece("red", "", "ball"), "x": Piece("black", "", "paddle")}
    return _signs([list(line) for line in position.text.split()], ".", pieces)


def cliff_walking(position: Position) -> Drawing:
    """From P to G past the cliff."""
    pieces = {"P": Piece("blue", "P", "you"), "X": Piece("none", "✕", "cliff"), "G": Piece("none", "G", "goal")}
    drawing = _signs([list(line) for line in position.text.split()], ".", pieces)
    cells = tuple(
        cell if cell.piece is None or cell.piece.name == "you" else Cell(cell.label, cell.x, cell.y, cell.piece, MARKED)
        for cell in drawing.cells
    )
    return Drawing(SQUARES, cells, {})
