"""The Smart Game Format, FF[1] to FF[4] (Hollosi, red-bean.com/sgf): trees of nodes with properties, of any game.

    Collection = GameTree+    GameTree = "(" Node+ GameTree* ")"    Node = ";" Property*
    Property = Name Value+    Value = "[" text "]", in which "\\" keeps the next character from having a meaning

The whole text has to keep to this grammar, and only the main line is returned: of several lines the first. Nothing here
is recursive, so nesting has no limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from selfplay.errors import UserError
from selfplay.notation.played import shown

_BEGIN = re.compile(r"\(\s*;")
_TOKEN = re.compile(r"\s*(?:(?P<mark>[();])|(?P<name>[A-Za-z]+)|\[(?P<value>[^\]\\]*(?:\\.[^\]\\]*)*)\])", re.DOTALL)
_ESCAPE = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)
_BLANK = " \t\r\n\0\x1a\ufeff"
_LINE_WIDTH = 72

Node = Mapping[str, Sequence[str]]
"""Values by the name of their property, as they stand between the brackets."""


def is_sgf(text: str) -> bool:
    """Whether a text begins as a game in SGF does."""
    return _BEGIN.match(text.lstrip(_BLANK)) is not None


def read_sgf(text: str) -> list[list[Node]]:
    """The main line of every game of a collection, with its root as the first node.

    Text before the first game is passed over, as the format demands. Raises UserError that names the line of a mistake.
    """
    begin = _BEGIN.search(text)
    if begin is None:
        raise UserError("SGF: there is no game; one begins with (;")
    reader, place = _Reader(), begin.start()
    while match := _TOKEN.match(text, place):
        try:
            reader.take(match)
        except UserError as error:
            raise UserError(f"{_where(text, match.end() - 1)}: {error}") from None
        place = match.end()
    rest = text[place:].strip(_BLANK)
    if rest:
        where = _where(text, len(text) - len(text[place:].lstrip(_BLANK)))
        what = "a value that has no end" if rest[0] == "[" else "what is no part of a game"
        raise UserError(f"{where}: {what}, {shown(rest)}")
    if reader.is_open:
        raise UserError(f"{_where(text, len(text))}: the text ends in the middle of the game, a ) is missing")
    return [list(game) for game in reader.games]


def plain(value: str) -> str:
    """The text that a value stands for: without its escapes and line ends, which have no meaning in it."""
    return " ".join(_ESCAPE.sub(lambda match: match[1].strip("\r\n"), value).split())


def write_sgf(nodes: Iterable[Mapping[str, Sequence[str]]]) -> str:
    """A game without side lines; values are plain text, and are escaped here."""
    lines = [""]
    for number, node in enumerate(nodes):
        written = ";" + "".join(
            name + "".join(f"[{_escaped(value)}]" for value in values) for name, values in node.items()
        )
        if number == 1 or len(lines[-1]) + len(written) > _LINE_WIDTH:
            lines.append("")
        lines[-1] += written
    return "(" + "\n".join(line for line in lines if line) + ")\n"


def _escaped(value: str) -> str:
    return " ".join(value.split()).replace("\\", "\\\\").replace("]", "\\]")


def _where(text: str, place: int) -> str:
    return f"SGF, line {text.count(chr(10), 0, place) + 1}"


@dataclass
class _Tree:
    """A game tree that is still open."""

    is_main: bool
    """Whether its nodes are part of the main line."""
    has_nodes: bool = False
    has_children: bool = False


class _Reader:
    """Takes one token after the other and keeps the main lines."""

    def __init__(self) -> None:
        self.games: list[list[dict[str, list[str]]]] = []
        self._open: list[_Tree] = []
        self._node: dict[str, list[str]] | None = None
        """Where a property may stand."""
        self._values: list[str] | None = None
        """Where a value may stand."""
        self._lacks_value = False

    @property
    def is_open(self) -> bool:
        """Whether a game has begun and not ended."""
        return bool(self._open)

    def take(self, token: re.Match[str]) -> None:
        """Raises UserError where the token cannot stand."""
        if token["value"] is not None:
            if self._values is None:
                raise UserError(f"the value {shown(token['value'])} has no property")
            self._values.append(token["value"])
            self._lacks_value = False
            return
        if self._lacks_value:
            raise UserError("a property without a value")
        self._values = None
        if token["name"] is not None:
            self._begin_property(token["name"])
        elif token["mark"] == ";":
            self._begin_node()
        elif token["mark"] == "(":
            self._begin_tree()
        else:
            self._end_tree()

    def _begin_property(self, name: str) -> None:
        if self._node is None:
            raise UserError(f"the property {shown(name)} stands in no node")
        capitals = "".join(letter for letter in name if letter.isupper())  # before FF[4] White was the same as W
        if not capitals:
            raise UserError(f"{shown(name)} is no property")
        self._values, self._lacks_value = self._node.setdefault(capitals, []), True

    def _begin_node(self) -> None:
        if not self._open:
            raise UserError("a node outside of a game")
        tree = self._open[-1]
        if tree.has_children:
            raise UserError("a node after side lines")
        tree.has_nodes, self._node = True, {}
        if tree.is_main:
            self.games[-1].append(self._node)

    def _begin_tree(self) -> None:
        if not self._open:
            self.games.append([])
            self._open.append(_Tree(is_main=True))
        else:
            parent = self._open[-1]
            if not parent.has_nodes:
                raise UserError("a ( where a node is needed")
            self._open.append(_Tree(is_main=parent.is_main and not parent.has_children))
            parent.has_children = True
        self._node = None

    def _end_tree(self) -> None:
        if not self._open:
            raise UserError("a ) without its (")
        if not self._open.pop().has_nodes:
            raise UserError("a line without a node")
        self._node = None
