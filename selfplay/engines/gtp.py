"""The Go Text Protocol, version 2 (draft 2, Farnebäck 2002): an engine to ask, and the form of commands and answers.

A command is a line, `[id] name arguments`; an answer begins with `=` or `?` and ends with an empty line.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from selfplay.engines.process import EngineError, EngineProcess

VERSION = "2"

MAX_ANSWER_LINES = 10_000

COLORS = ("black", "white")
"""Names of the colours, by player."""

PASS, RESIGN = "pass", "resign"

_COLUMNS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
_COMMAND = re.compile(r"(?:([0-9]{1,10})(?:\s+|$))?(.*)", re.DOTALL)


class GtpRefusal(EngineError):
    """The engine answered a command with an error."""


class GtpEngine:
    """A running engine that is asked one command after the other. After an EngineError it is used no more."""

    def __init__(self, command: str, seconds: float) -> None:
        """Start `command`. `seconds`: how long it may take to answer. Raises UserError."""
        self._process = EngineProcess(command)
        self.name, self.seconds = self._process.name, seconds
        try:
            self.commands = frozenset(self.ask("list_commands").split())
        except EngineError:
            self._process.close()
            raise

    def ask(self, command: str, more_seconds: float = 0.0) -> str:
        """The answer to a command. Raises GtpRefusal where it is an error, EngineError where none comes."""
        deadline = time.monotonic() + self.seconds + more_seconds
        self._process.send(command, deadline)
        while not (line := self._process.read_line(deadline).strip()):
            pass
        if line[0] not in "=?":
            raise EngineError(f"engine {self.name}: answered {command!r} with {line[:60]!r}, which is not GTP")
        first = re.sub(r"^.\d*\s*", "", line)
        lines = [first]
        while further := self._process.read_line(deadline).rstrip():
            lines.append(further)
            if len(lines) > MAX_ANSWER_LINES:
                raise EngineError(f"engine {self.name}: an answer to {command!r} without end")
        if line[0] == "?":
            raise GtpRefusal(f"engine {self.name}: refused {command!r}: {first[:100] or 'no reason given'}")
        return "\n".join(lines)

    def close(self) -> None:
        """End the engine."""
        self._process.close()


@dataclass(frozen=True)
class GtpCommand:
    """A command that was received."""

    id: str
    """The number of the command as digits, or empty."""
    name: str
    """The name of the command; empty where a line has a number alone."""
    arguments: tuple[str, ...]


def read_command(line: str) -> GtpCommand | None:
    """The command of a line; None where the line says nothing. Comments and control characters are passed over."""
    text = "".join(mark for mark in line.partition("#")[0].replace("\t", " ") if mark.isprintable()).strip()
    match = _COMMAND.match(text)
    if not text or match is None:
        return None
    name, *arguments = match[2].split() or [""]
    return GtpCommand(match[1] or "", name, tuple(arguments))


def write_answer(id: str, text: str, is_error: bool = False) -> str:
    """An answer with its empty line. Empty lines of `text` are left out after its first, for they would end it."""
    first, *rest = text.split("\n")
    body = "\n".join([first, *(line for line in rest if line.strip())])
    return f"{'?' if is_error else '='}{id} {body}\n\n"


def write_vertex(row: int, column: int) -> str:
    """A point of the board, row 0 being the one numbered 1: `D4` is (3, 3). There is no column I."""
    return f"{_COLUMNS[column]}{row + 1}"


def read_vertex(text: str, size: int) -> tuple[int, int]:
    """Row and column of a point on a square board. Raises ValueError where it is none."""
    match = re.fullmatch(r"([A-Za-z])([1-9]\d?)", text, re.ASCII)
    column = _COLUMNS.find(match[1].upper()) if match else -1
    if match is None or not 0 <= column < size or int(match[2]) > size:
        raise ValueError(f"{text[:20]!r} is no point of a board of {size} by {size}")
    return int(match[2]) - 1, column


def read_color(text: str) -> int:
    """The player of a colour. Raises ValueError where it is none."""
    for player, color in enumerate(COLORS):
        if text.lower() in (color, color[0]):
            return player
    raise ValueError(f"{text[:20]!r} is no colour")
