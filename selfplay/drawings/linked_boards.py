"""Drawings of Twixt, whose pegs are joined by links, and of Hive, whose pieces are the board."""

from __future__ import annotations

import re

from selfplay.drawings.drawing import (
    HEXES,
    POINTS,
    ROW_OF_HEXES,
    Cell,
    Drawing,
    Line,
    Piece,
    Place,
    Position,
    by_label,
    letter,
)

PEGS = {"x": Piece("red", "x", "red peg, x"), "o": Piece("blue", "o", "blue peg, o"), ".": None}

COLUMN = 3
"""Characters from one column of Twixt to the next; there are two lines between rows."""

LINKS = {
    (-2, 1): ((0, -1, "_"), (1, -2, "/"), (1, -3, "_"), (2, -4, "/"), (2, -5, "_")),
    (2, 1): ((0, 1, "_"), (1, 2, "\\"), (1, 3, "_"), (2, 4, "\\"), (2, 5, "_")),
    (-1, 2): ((1, 0, "|"), (2, -1, "/"), (3, -1, "|"), (4, -2, "/"), (5, -3, "|")),
    (1, 2): ((1, 0, "|"), (2, 1, "\\"), (3, 1, "|"), (4, 2, "\\"), (5, 3, "|")),
}
"""By columns and rows from the upper peg to the lower one: lines, characters and signs that draw the link."""


def twixt(position: Position) -> Drawing:
    """x joins the top to the bottom, o the left to the right."""
    lines = [line.rstrip() for line in position.text.splitlines()]
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["a", "b"])
    left, size = lines[header].index("a"), len(lines[header].split())

    def sign(line: int, column: int) -> str:
        return lines[line][column] if line < len(lines) and 0 <= column < len(lines[line]) else " "

    first = next(i for i in range(header + 1, len(lines)) if lines[i].split()[:1] == ["1"])
    cells: list[Cell] = []
    links: list[Line] = []
    for r in range(size):
        for c in range(size):
            line, column = first + 3 * r, left + COLUMN * c
            peg = sign(line, column)
            if peg not in PEGS:
                continue  # the corners
            cells.append(Cell(f"{letter(c)}{r + 1}", c, r, PEGS[peg]))
            for (right, down), drawn in LINKS.items():
                if peg != "." and all(sign(line + i, column + j) == wanted for i, j, wanted in drawn):
                    links.append((c, r, c + right, r + down, "red" if peg == "x" else "blue"))
    last = size - 1.0
    edges: list[Line] = [(0.5, y, last - 0.5, y, "red") for y in (-0.6, last + 0.6)]
    edges += [(x, 0.5, x, last - 0.5, "blue") for x in (-0.6, last + 0.6)]
    marks = tuple((float(c), -1.1, letter(c)) for c in range(size))
    marks += tuple((-1.2, float(r), str(r + 1)) for r in range(size))
    places = by_label(position, cells, lambda text: text[1:])
    return Drawing(POINTS, tuple(cells), places, ("x (red)", "o (blue)"), (*edges, *links), marks)


BUGS = {"Q": "queen", "A": "ant", "G": "grasshopper", "S": "spider", "B": "beetle", "M": "mosquito", "L": "ladybug",
        "P": "pillbug"}  # fmt: skip

BEFORE = {"\\": (0, -1), "-": (-1, 0), "/": (-1, 1)}
AFTER = {"/": (1, -1), "-": (1, 0), "\\": (0, 1)}
"""Steps from the piece that a move names, by the sign before or after its name."""

Hexagon = tuple[int, int]


def hive(position: Position) -> Drawing:
    """The text lists all moves; pieces lie where the last of theirs put them, beetles on top of others."""
    where: dict[str, Hexagon] = {}
    stacks: dict[Hexagon, list[str]] = {}
    for move in filter(None, position.text.strip().split(";")[3:]):
        bug, _, target = move.partition(" ")
        if bug == "pass":
            continue
        place = _target(target, where)
        if bug in where:
            stacks[where[bug]].remove(bug)
        where[bug] = place
        stacks.setdefault(place, []).append(bug)
    targets = {action: _target(text.partition(" ")[2], where) for action, text in position.legal if text != "pass"}
    hexagons = sorted({place for place, bugs in stacks.items() if bugs} | set(targets.values()), key=lambda h: h[::-1])
    index = {place: i for i, place in enumerate(hexagons)}
    cells = tuple(Cell(f"{q},{r}", q + r / 2, r * ROW_OF_HEXES, _bug(stacks.get((q, r), []))) for q, r in hexagons)
    places = {}
    for action, text in position.legal:
        if action in targets:
            bug = text.partition(" ")[0]
            places[action] = Place((index[targets[action]],), index[where[bug]] if bug in where else None)
    return Drawing(HEXES, cells, places, ("white", "black"))


def _target(text: str, where: dict[str, Hexagon]) -> Hexagon:
    """The hexagon that a move names by one of its neighbours, or by the piece that it covers."""
    match = re.fullmatch(r"([\\/-]?)(\w+)([\\/-]?)", text)
    if match is None:
        return 0, 0  # the first piece of all
    q, r = where[match[2]]
    step = BEFORE[match[1]] if match[1] else AFTER[match[3]] if match[3] else (0, 0)
    return q + step[0], r + step[1]


def _bug(stack: list[str]) -> Piece | None:
    """The uppermost piece of a stack."""
    if not stack:
        return None
    names = [f"{'white' if bug[0] == 'w' else 'black'} {BUGS[bug[1]]} {bug[2:]}".strip() for bug in reversed(stack)]
    return Piece(names[0].split()[0], stack[-1][1:], " on ".join(names))
