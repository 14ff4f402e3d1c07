"""Portable Game Notation (Edwards 1994, "Specification and Implementation Guide"): tags and moves of chess as text.

A text is cut into the tokens of the standard's section 7, and only the main line is returned: in parentheses stand side
lines, as deep as they may lie. Which moves the words stand for is the business of `selfplay.notation.chess`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from selfplay.errors import UserError
from selfplay.notation.played import shown

WIDTH = 79
"""Largest number of characters of a line (section 4.3)."""

_TYPESET = str.maketrans("\u2010\u2011\u2013\u2212\u00d7\u2020\u2021", "----x+#", "\u200b\u2060")
"""What books and web pages print for the characters of the standard: dashes, the cross of a capture, marks of check and
mate, places where a line may or may not be broken."""

RESULTS = frozenset({"1-0", "0-1", "1/2-1/2", "1/2", "½-½", "*"})
"""Words that end a game."""

_TOKEN = re.compile(
    r"""
    (?P<blank>[\s,\0\x1a\ufeff]+)
    | (?P<escape>^%[^\n]*)
    | (?P<tag>\[\s*(?P<name>\w+)\s*"(?P<value>[^"\\\n]*(?:\\.[^"\\\n]*)*)"\s*\])
    | (?P<loose>\[\s*(?P<loose_name>\w+)\s*"(?P<loose_value>[^\n]*)"\s*\][^\S\n]*$)
    | (?P<comment>\{[^}]*\} | ;[^\n]*)
    | (?P<glyph>\$\d+)
    | (?P<mark>[()])
    | (?P<word><> | [^\s,\0\x1a\ufeff()\[\]{}<>;$]+ (?:(?<=[a-h][18])\([QRBNKqrbnk]\) [^\s,\0\x1a\ufeff()\[\]{}<>;$]*)*)
    """,
    re.VERBOSE | re.MULTILINE,
)
_NUMBERED = re.compile(r"(?P<number>\d*)(?P<dots>…|\.*)(?P<rest>.*)", re.DOTALL)
_REMARKS = frozenset({"e.p.", "ep", "N", "D"})
_GLYPHS = frozenset("+-=/!?~±∓⩲⩱∞□")
"""What commentators write beside a move: a capture en passant, a novelty, a diagram, marks that weigh a position."""


@dataclass
class PgnGame:
    """A game as its text has it."""

    tags: dict[str, str] = field(default_factory=dict)
    """The values of the tags, by their names in small letters."""
    moves: list[str] = field(default_factory=list)
    """The moves of the main line, as written."""
    begins: str = ""
    """The number before the first move, with its dots; empty where there is none."""


def is_pgn(text: str) -> bool:
    """Whether a text begins with a tag of PGN."""
    match = _TOKEN.match(text.lstrip("\ufeff \t\r\n\0"))
    return match is not None and (match["tag"] or match["loose"]) is not None


def read_pgn(text: str) -> list[PgnGame]:
    """Every game of a text. Raises UserError that names the line of a mistake."""
    reader, place, text = _Reader(), 0, text.replace("\r\n", "\n").replace("\r", "\n").translate(_TYPESET)
    while match := _TOKEN.match(text, place):
        try:
            reader.take(match)
        except UserError as error:
            raise UserError(f"PGN, line {_line(text, place)}: {error}") from None
        place = match.end()
    if place < len(text):
        what = {"{": "a comment without its }", "[": "what is no tag"}.get(text[place], "what is no part of a game")
        raise UserError(f"PGN, line {_line(text, place)}: {what}, {shown(text[place:])}")
    if reader.depth:
        raise UserError(f"PGN, line {_line(text, place)}: the text ends in a side line, a ) is missing")
    return reader.games


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


class _Reader:
    """Takes one token after the other."""

    def __init__(self) -> None:
        self.games: list[PgnGame] = []
        self.depth = 0
        """Number of side lines that are open."""
        self._has_ended = True
        self._number = ""

    def take(self, token: re.Match[str]) -> None:
        """Raises UserError where the token cannot stand."""
        kind = token.lastgroup
        if token["tag"] or token["loose"]:
            self._tag(token)
        elif kind == "mark":
            self.depth += 1 if token["mark"] == "(" else -1
            if self.depth < 0:
                raise UserError("a ) without its (")
            if self.depth and (self._has_ended or not self.games[-1].moves):
                raise UserError("a side line before the first move")
        elif kind == "word" and self.depth == 0:
            self._word(token["word"])

    def _tag(self, token: re.Match[str]) -> None:
        if self.depth:
            raise UserError("a tag in a side line")
        if self._has_ended or self.games[-1].moves:
            self._begin()
            self._number = ""
        strict = token["tag"] is not None
        name = token["name"] if strict else token["loose_name"]
        value = re.sub(r"\\(.)", r"\1", token["value"]) if strict else token["loose_value"]
        self.games[-1].tags[name.lower()] = value.strip()

    def _word(self, word: str) -> None:
        if word in RESULTS:
            self._has_ended, self._number = True, ""
            return
        parts = _NUMBERED.fullmatch(word)
        assert parts is not None
        if parts["dots"] or not parts["rest"]:
            self._number, word = parts["number"] + parts["dots"].replace("…", "..."), parts["rest"]
        if not word or word in _REMARKS or ({"-"} < set(word) <= _GLYPHS) or set(word) <= _GLYPHS - {"-"}:
            return
        if self._has_ended:
            self._begin()
        game = self.games[-1]
        if not game.moves:
            game.begins = self._number
        game.moves.append(word)

    def _begin(self) -> None:
        self.games.append(PgnGame())
        self._has_ended = False


def write_pgn(tags: Mapping[str, str], moves: Sequence[str]) -> str:
    """A game: its tags, the seven that the standard wants among them, its moves with their numbers, and its result."""
    head = [f'[{tag} "{_quoted(value)}"]' for tag, value in tags.items()]
    words = " ".join([*_numbered(moves), tags["Result"]])
    # A line may not be broken within O-O or 1-0.
    lines = textwrap.wrap(words, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join([*head, "", *lines, ""])


def _numbered(moves: Sequence[str]) -> Iterator[str]:
    for ply, move in enumerate(moves):
        if ply % 2 == 0:
            yield f"{ply // 2 + 1}."
        yield move


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
