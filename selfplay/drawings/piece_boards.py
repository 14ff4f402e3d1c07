"""Drawings of games in which pieces move: chess and its relatives, checkers, Breakthrough and others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from games.parameters import parse
from games.registry import OPENSPIEL
from selfplay.drawings.drawing import (
    CHEQUERED,
    MARKED,
    POINTS,
    SQUARES,
    Cell,
    Drawing,
    Line,
    Piece,
    Place,
    Position,
    border,
    by_number,
    by_pairs,
    grid,
    letter,
    numbered,
)

BLACK_AND_WHITE, WHITE_AND_BLACK = ("black", "white"), ("white", "black")

TEXT_FORM = "\ufe0e"
"""Asks for the plain form of a character that phones draw as a picture."""

CHESS = {"k": ("♚", "king"), "q": ("♛", "queen"), "r": ("♜", "rook"), "b": ("♝", "bishop"), "n": ("♞", "knight"),
         "p": ("♟", "pawn")}  # fmt: skip
SHOGI = {"k": "king", "r": "rook", "b": "bishop", "g": "gold", "s": "silver", "n": "knight", "l": "lance", "p": "pawn"}
MINI_SHOGI = {
    "k": ("玉", "king"),
    "r": ("飛", "rook"),
    "b": ("角", "bishop"),
    "g": ("金", "gold"),
    "s": ("銀", "silver"),
    "p": ("歩", "pawn"),
    "+r": ("龍", "promoted rook"),
    "+b": ("馬", "promoted bishop"),
    "+s": ("全", "promoted silver"),
    "+p": ("と", "promoted pawn"),
}
"""The characters on the pieces."""
ANIMAL_SHOGI = {
    "l": ("L", "lion"),
    "g": ("G", "giraffe"),
    "e": ("E", "elephant"),
    "c": ("C", "chick"),
    "+c": ("H", "hen"),
}
XIANGQI = {"r": "chariot", "h": "horse", "e": "elephant", "a": "adviser", "g": "general", "c": "cannon",
           "s": "soldier"}  # fmt: skip

Rows = Sequence[Sequence[str]]


def _in_colours(names: dict[str, str], upper: str, lower: str) -> dict[str, Piece | None]:
    """Pieces that letters stand for, drawn as capital letters."""
    pieces: dict[str, Piece | None] = {}
    for sign, name in names.items():
        pieces[sign.upper()] = Piece(upper, sign.upper(), f"{upper} {name}")
        pieces[sign] = Piece(lower, sign.upper(), f"{lower} {name}")
    return pieces


# Boards with letters below and numbers on the left: checkers, Breakthrough, clobber, lines of action.


def _labelled_rows(text: str) -> list[str]:
    """The rows of a board whose lines begin with their number and which a line of letters ends."""
    lines = text.splitlines()
    height = next(i for i, line in enumerate(lines) if re.fullmatch(r" +[a-z{|}~]+ *", line))
    return [line.strip().removeprefix(str(height - i)).strip() for i, line in enumerate(lines[:height])]


def _labelled(position: Position, pieces: dict[str, Piece | None], sides: tuple[str, str]) -> Drawing:
    rows = _labelled_rows(position.text)
    height, width = len(rows), len(rows[0])
    cells = grid(rows, pieces, lambda r, c: f"{letter(c)}{height - r}", chequered=True)
    places = by_pairs(position, r"([a-z])(\d+)", lambda c, r: (height - int(r)) * width + ord(c) - ord("a"))
    marks = border([letter(c) for c in range(width)], [str(height - r) for r in range(height)])
    return Drawing(SQUARES, cells, places, sides, marks=marks, material=CHEQUERED)


def breakthrough(position: Position) -> Drawing:
    """Black is at the top and moves down; in OpenSpiel's game it moves first."""
    pawn = CHESS["p"][0] + TEXT_FORM
    pieces = {"b": Piece("black", pawn, "black pawn"), "w": Piece("white", pawn, "white pawn"), ".": None}
    sides = BLACK_AND_WHITE if parse(position.game.name).prefix == OPENSPIEL else WHITE_AND_BLACK
    return replace(_labelled(position, pieces, sides), figures=True)


def checkers(position: Position) -> Drawing:
    """Kings have a sign."""
    crown = CHESS["k"][0] + TEXT_FORM
    pieces = {
        "o": Piece("white", "", "white man"), "8": Piece("white", crown, "white king"),
        "+": Piece("black", "", "black man"), "*": Piece("black", crown, "black king"), ".": None,
    }  # fmt: skip
    return _labelled(position, pieces, ("white", "black"))


def clobber(position: Position) -> Drawing:
    """o moves first."""
    pieces = {"o": Piece("white", "", "white stone"), "x": Piece("black", "", "black stone"), ".": None}
    return _labelled(position, pieces, ("white", "black"))


def lines_of_action(position: Position) -> Drawing:
    """x moves first."""
    pieces = {"x": Piece("black", "", "black stone"), "o": Piece("white", "", "white stone"), ".": None}
    return _labelled(position, pieces, BLACK_AND_WHITE)


# Chess and its relatives, whose text is FEN.


def _fen_rows(text: str) -> list[list[str]]:
    """Rows of signs, empty squares as empty texts."""
    rows = []
    for row in text.split()[0].partition("[")[0].split("/"):
        signs: list[str] = []
        for sign in re.findall(r"\+?[A-Za-z]~?|\d+", row):
            signs += [""] * int(sign) if sign.isdigit() else [sign.rstrip("~")]
        rows.append(signs)
    return rows


def _chess_pieces(rows: Rows) -> dict[str, Piece | None]:
    """The pieces of chess on a board, by their signs."""
    pieces: dict[str, Piece | None] = {"": None}
    for sign in {sign for row in rows for sign in row if sign}:
        glyph, name = CHESS.get(sign.lower(), (sign.upper(), sign.upper()))  # crazyhouse has pieces of its own
        colour = "white" if sign.isupper() else "black"
        pieces[sign] = Piece(colour, glyph if glyph.isascii() else glyph + TEXT_FORM, f"{colour} {name}")
    return pieces


def chess(position: Position) -> Drawing:
    """Moves are in algebraic notation, which names the square of arrival; the positions that follow show what moved."""
    rows = _fen_rows(position.text)
    cells = grid(rows, _chess_pieces(rows), lambda r, c: f"{letter(c)}{8 - r}", chequered=True)
    white = position.text.split()[1] == "w"
    before = [sign for row in rows for sign in row]
    places = {}
    for (action, text), after in zip(position.legal, position.texts_after()):
        place = _chess_place(text, before, [sign for row in _fen_rows(after) for sign in row], white)
        if place is not None:
            places[action] = place
    hand = re.search(r"\[(\w+)\]", position.text)
    notes = (f"in hand (capitals: white): {hand[1]}",) if hand else ()
    marks = border([letter(c) for c in range(8)], [str(8 - r) for r in range(8)])
    return Drawing(SQUARES, cells, places, BLACK_AND_WHITE, marks=marks, notes=notes, figures=True, material=CHEQUERED)


def small_chess(position: Position) -> Drawing:
    """Chess on 5x5; the last line of the text is FEN, moves are written as two squares."""
    rows = _fen_rows(position.text.splitlines()[-1])
    height, width = len(rows), len(rows[0])
    cells = grid(rows, _chess_pieces(rows), lambda r, c: f"{letter(c)}{height - r}", chequered=True)
    places = by_pairs(position, r"([a-z])(\d)", lambda c, r: (height - int(r)) * width + ord(c) - ord("a"))
    marks = border([letter(c) for c in range(width)], [str(height - r) for r in range(height)])
    return Drawing(SQUARES, cells, places, WHITE_AND_BLACK, marks=marks, figures=True, material=CHEQUERED)


def _chess_place(text: str, before: list[str], after: list[str], white: bool) -> Place | None:
    """Where a move in algebraic notation is, from the boards before and after it."""

    def own(sign: str) -> bool:
        return bool(sign) and sign.isupper() == white

    if text.startswith("O-O"):
        king = "K" if white else "k"
        start, end = before.index(king), after.index(king)
        return Place((end,), start) if start != end else None
    squares = re.findall(r"([a-h])([1-8])", text)
    if not squares:
        return None
    file, rank = squares[-1]
    end = (8 - int(rank)) * 8 + ord(file) - ord("a")
    left = [i for i in range(len(before)) if own(before[i]) and not own(after[i])]
    return Place((end,), left[0] if len(left) == 1 and "@" not in text else None)


def shogi(position: Position) -> Drawing:
    """Columns are numbered from the right, rows have letters; a drop is `P*5e`, a promotion ends in +."""
    rows = _fen_rows(position.text)
    names = _in_colours(SHOGI, "black", "white")
    pieces: dict[str, Piece | None] = {"": None, **names}
    for sign, piece in names.items():
        if piece is not None:
            name = f"{piece.colour} promoted {piece.name.split()[1]}"
            pieces[f"+{sign}"] = Piece(piece.colour, f"+{piece.sign}", name)
    size = len(rows)
    cells = grid(rows, pieces, lambda r, c: f"{size - c}{letter(r)}")
    places = by_pairs(position, r"(\d)([a-i])", lambda c, r: (ord(r) - ord("a")) * size + size - int(c))
    hand = position.text.split()[2]
    notes = (f"in hand (capitals: black): {hand}",) if hand != "-" else ()
    marks = border([str(size - c) for c in range(size)], [letter(r) for r in range(size)])
    return Drawing(SQUARES, cells, places, BLACK_AND_WHITE, marks=marks, notes=notes)


def mini_shogi(position: Position) -> Drawing:
    """The pieces have the characters of shogi; see `_small_shogi`."""
    return _small_shogi(position, MINI_SHOGI)


def animal_shogi(position: Position) -> Drawing:
    """The pieces have the letters of their animals; see `_small_shogi`."""
    return _small_shogi(position, ANIMAL_SHOGI)


def _small_shogi(position: Position, names: dict[str, tuple[str, str]]) -> Drawing:
    """Pieces in hand lie beside the board, black's on the right, white's on the left. A drop starts there: `P@c3`.

    The last line of the text is FEN, where capitals are black, who moves first, as people say in shogi.
    """
    rows = _fen_rows(position.text.splitlines()[-1])
    height, width = len(rows), len(rows[0])
    pieces: dict[str, Piece | None] = {"": None}
    for sign, (character, name) in names.items():
        for colour, own in (("black", sign.upper()), ("white", sign)):
            pieces[own] = Piece(colour, character, f"{colour} {name}")
    cells = list(grid(rows, pieces, lambda r, c: f"{letter(c)}{height - r}"))
    held = re.search(r"\[([A-Za-z]*)-?\]", position.text.splitlines()[-1])[1]  # type: ignore[index]
    in_hand = {}
    for colour, x, letters in (("black", width + 0.4, str.isupper), ("white", -1.8, str.islower)):
        for i, sign in enumerate(sorted(filter(letters, set(held)))):
            piece, count = pieces[sign], held.count(sign)
            assert piece is not None
            in_hand[sign] = len(cells)
            y = height - 1.0 - i if colour == "black" else float(i)
            label = f"{count} {piece.name}{'s' if count > 1 else ''} in hand"
            cells.append(Cell(label, x, y, Piece(colour, piece.sign * count, label), MARKED))

    def square(text: str) -> int:
        return (height - int(text[1])) * width + ord(text[0]) - ord("a")

    places = {}
    for action, text in position.legal:
        if "@" in text:
            sign = text[0] if position.to_play == 0 else text[0].lower()
            places[action] = Place((square(text[2:]),), in_hand[sign])
        else:
            places[action] = Place((square(text[2:4]),), square(text[:2]))
    marks = border([letter(c) for c in range(width)], [str(height - r) for r in range(height)])
    return Drawing(SQUARES, tuple(cells), places, BLACK_AND_WHITE, marks=marks)


# Boards of letters whose moves name rows and columns from 0.


def xiangqi(position: Position) -> Drawing:
    """Capitals are red, who moves first; pieces stand on crossings."""
    rows = [line for line in position.text.splitlines() if re.fullmatch(r"[.A-Za-z]{9}", line)]
    height, width = len(rows), len(rows[0])
    pieces: dict[str, Piece | None] = {".": None, **_in_colours(XIANGQI, "red", "black")}
    cells = grid(rows, pieces, lambda r, c: f"({r},{c})")
    places = by_pairs(position, r"\((\d+),(\d+)\)", lambda r, c: int(r) * width + int(c))
    river = height // 2 - 1.0
    lines: list[Line] = [(0.0, float(r), width - 1.0, float(r), "grid") for r in range(height)]
    for c in range(width):
        edge = c in (0, width - 1)
        lines += (
            [(float(c), 0.0, float(c), height - 1.0, "grid")]
            if edge
            else [
                (float(c), 0.0, float(c), river, "grid"),
                (float(c), river + 1.0, float(c), height - 1.0, "grid"),
            ]
        )
    for top in (0.0, height - 3.0):
        lines += [(3.0, top, 5.0, top + 2.0, "grid"), (5.0, top, 3.0, top + 2.0, "grid")]
    marks = border(numbered(rows[0], 0), numbered(rows, 0))
    return Drawing(POINTS, cells, places, ("red", "black"), tuple(lines), marks)


def banqi(position: Position) -> Drawing:
    """Xiangqi's pieces face down; who has which colour is settled by the first one that is turned up."""
    rows = [line.split() for line in position.text.splitlines() if re.fullmatch(r"(\S )+\S", line.strip())]
    width = len(rows[0])
    hidden = Piece("none", "?", "face down")
    pieces: dict[str, Piece | None] = {".": None, "?": hidden, **_in_colours(XIANGQI, "red", "black")}
    cells = grid(rows, pieces, lambda r, c: f"({r},{c})")
    places = by_pairs(position, r"\((\d+),(\d+)\)", lambda r, c: int(r) * width + int(c))
    first = re.search(r"P0=(\w+)", position.text)
    sides = {"Black": ("black", "red"), "Red": ("red", "black")}.get(first[1] if first else "", ())
    marks = border(numbered(rows[0], 0), numbered(rows, 0))
    return Drawing(SQUARES, cells, places, sides, marks=marks)


def amazons(position: Position) -> Drawing:
    """A turn is three moves: which amazon, where to, and where its arrow goes; the action is the cell."""
    rows = position.text.split()
    pieces = {
        "X": Piece("black", CHESS["q"][0] + TEXT_FORM, "black amazon"),
        "O": Piece("white", CHESS["q"][0] + TEXT_FORM, "white amazon"),
        "#": Piece("none", "✕", "arrow"), ".": None,
    }  # fmt: skip
    cells = grid(rows, pieces, lambda r, c: f"({r + 1}, {c + 1})", chequered=True)
    kind = position.legal[0][1].split()[1].rstrip(":").lower() if position.legal else ""
    notes = {"from": "choose an amazon", "to": "choose where it goes", "shoot": "choose where its arrow goes"}
    marks = border(numbered(rows[0]), numbered(rows))
    places, texts = by_number(position, len(cells)), tuple(filter(None, [notes.get(kind)]))
    return Drawing(SQUARES, cells, places, BLACK_AND_WHITE, marks=marks, notes=texts, figures=True)


def einstein(position: Position) -> Drawing:
    """Cubes with numbers; black goes to the lower right, white to the upper left."""
    rows = [re.findall(r"\|(..)\|", line) for line in position.text.splitlines() if "|" in line]
    width = len(rows[0])
    pieces: dict[str, Piece | None] = {"__": None}
    for sign in {sign for row in rows for sign in row} - {"__"}:
        colour = {"b": "black", "w": "white"}[sign[0]]
        pieces[sign] = Piece(colour, sign[1], f"{colour} cube {sign[1]}")
    cells = grid(rows, pieces, lambda r, c: f"{letter(c)}{r + 1}")
    flat = [sign for row in rows for sign in row]
    steps = {"diag": width + 1, "down": width, "right": 1, "up": -width, "left": -1}
    places = {}
    for action, text in position.legal:
        match = re.fullmatch(r"([BW]\d)-(\w+)\*?", text)
        if match:
            start = flat.index(match[1].lower())
            step = steps[match[2]] * (-1 if match[2] == "diag" and match[1][0] == "W" else 1)
            places[action] = Place((start + step,), start)
    return Drawing(SQUARES, cells, places, BLACK_AND_WHITE)
