"""Moves of chess as people and programs write them, in and beside the standard algebraic notation (SAN) of PGN.

A word is compared with OpenSpiel's SAN of the legal moves. Where it says more than they do (`Ng1f3`, `e2e4`, `e7e8q`),
it is also compared with where the pieces stand before and after each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from selfplay.errors import UserError
from selfplay.notation.played import HERE, Line

NO_MOVES = frozenset({"--", "-", "<>", "z0", "@@@@", "0000", "null", "pass"})
"""Null moves, as some programs write them."""

MARKS = "+#!?=-/±∓∞"
"""What may stand at the end of a move: check, mate, and the opinions of commentators."""

_FIGURINES = str.maketrans("♔♕♖♗♘♙♚♛♜♝♞♟", "KQRBNPKQRBNP")
_MOVE = re.compile(
    r"(?P<piece>[KQRBNP]?)(?P<file>[a-h]?)(?P<rank>[1-8]?)[-x:]?(?P<to>[a-h][1-8])"
    r"(?:[=/]?\(?(?P<promotion>[QRBNKqrbnk])\)?)?"
)
_CASTLING = re.compile(r"[O0o]-?[O0o](-?[O0o])?")


@dataclass(frozen=True)
class _Move:
    """The parts of a move that a word gives; empty where it gives none."""

    piece: str
    file: str
    rank: str
    to: str
    promotion: str


def find_move(line: Line, word: str) -> int:
    """The legal action that a word stands for. Raises UserError where it is none, or may be several."""
    if word.lower() in NO_MOVES:
        raise UserError("a null move, which chess does not have")
    wanted = re.sub(r"e\.?p\.?$", "", word.translate(_FIGURINES).rstrip(MARKS)).rstrip(MARKS)
    wanted = f"P{wanted}" if wanted.startswith("@") else wanted
    legal = {action: line.pool.action_text(0, action) for action in line.legal()}
    texts = {text.rstrip("+#"): action for action, text in legal.items()}
    if _CASTLING.fullmatch(wanted):
        wanted = "O-O-O" if len(re.sub("-", "", wanted)) == 3 else "O-O"
    if wanted in texts:
        return texts[wanted]
    matching = _matching(line, legal, wanted)
    if not matching and wanted[:1] in ("k", "q", "r", "n"):  # not b, which is a pawn's
        matching = _matching(line, legal, wanted.capitalize())
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UserError(f"may be {' or '.join(legal[action] for action in matching[:4])}")
    examples = ", ".join(list(legal.values())[:8]) + (", ..." if len(legal) > 8 else "")
    raise UserError(f"not a legal move; the position has {examples}")


def _matching(line: Line, legal: Mapping[int, str], word: str) -> list[int]:
    """The legal actions that have all that a word says."""
    match = _MOVE.fullmatch(word)
    if match is None:
        return []
    wanted = _Move(**{name: text or "" for name, text in match.groupdict().items()})
    is_long = bool(wanted.file and wanted.rank)
    piece = wanted.piece or ("" if is_long else "P")
    matching = []
    for action, text in legal.items():
        if "@" in text or not (wanted.to in text or (is_long and text.startswith("O"))):
            continue
        move = _legal_move(line, action, text)
        if (
            (move.to, move.promotion) == (wanted.to, wanted.promotion.upper())
            and piece in ("", move.piece)
            and wanted.file in ("", move.file)
            and wanted.rank in ("", move.rank)
        ):
            matching.append(action)
    return matching


def _legal_move(line: Line, action: int, text: str) -> _Move:
    """All parts of a legal move; the positions before and after it tell the square that the piece comes from."""
    after = line.game.new_pool(1)
    after.load(HERE, line.pool, HERE)
    side = line.pool.text(0).split()[1]
    after.step(HERE, np.array([action], np.int64), HERE)
    own = str.isupper if side == "w" else str.islower
    old, new = (
        {square: piece for square, piece in _squares(pool.text(0)) if own(piece)} for pool in (line.pool, after)
    )
    if text.startswith("O"):  # by the king, as UCI has it
        source, to = (next(square for square, piece in board.items() if piece in "Kk") for board in (old, new))
        return _Move("K", source[0], source[1], to, "")
    source = next(square for square in old if square not in new)
    match = _MOVE.fullmatch(text.rstrip("+#").replace("x", ""))
    if match is None:
        return _Move("", "", "", "", "")
    return _Move(match["piece"] or "P", source[0], source[1], match["to"], match["promotion"] or "")


def _squares(fen: str) -> Iterator[tuple[str, str]]:
    """The pieces of a FEN, by the names of their squares."""
    for row, marks in enumerate(fen.split()[0].split("[")[0].split("/")):
        column = 0
        for mark in marks.replace("~", ""):
            if mark.isdigit():
                column += int(mark)
            else:
                yield f"{'abcdefgh'[column]}{8 - row}", mark
                column += 1
