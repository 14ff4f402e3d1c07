"""Lines that come from another program, of which nothing is trusted: not their length, their encoding or their end.

Both servers read here. What is no line of text becomes a `BadLine`, which they answer with an error.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE = 1 << 16
"""Largest number of bytes of a line; a chess game of 5 000 moves fits."""

CHUNK = 1 << 16

WAITING_LINES = 1000
"""Largest number of lines read ahead of the one being answered; further ones stay in the pipe."""


@dataclass(frozen=True)
class BadLine:
    """A line that cannot be read."""

    reason: str


Line = str | BadLine


def read_lines(stream: BinaryIO) -> Iterator[Line]:
    """The lines of an unbuffered stream, without their ends, as soon as each is whole."""
    pending = bytearray()
    is_overlong = False
    while chunk := stream.read(CHUNK):
        pending += chunk
        if b"\n" in chunk:
            *whole, pending = pending.split(b"\n")
            for line in whole:
                if not is_overlong:
                    yield _decode(line)
                is_overlong = False  # its end has come
        if len(pending) > MAX_LINE:
            if not is_overlong:
                yield _decode(pending)
            is_overlong = True
        if is_overlong:
            pending.clear()
    if pending:
        yield _decode(pending)


def _decode(line: bytearray) -> Line:
    if len(line) > MAX_LINE:
        return BadLine(f"the line is longer than {MAX_LINE} bytes")
    if b"\0" in line:
        return BadLine("the line has a NUL in it")
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        return BadLine("the line is not UTF-8 text")


class LineQueue:
    """Lines that a thread reads, so that one can look for them while busy."""

    def __init__(self, stream: BinaryIO) -> None:
        self.at_end = False
        """Whether the end of the input has been met by `wait` or `poll`."""
        self._queue: queue.Queue[Line | None] = queue.Queue(WAITING_LINES)
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def wait(self) -> Line | None:
        """The next line when it comes; None at the end of the input."""
        return None if self.at_end else self._took(self._queue.get())

    def poll(self) -> Line | None:
        """The next line if it has come already; None where none has, and at the end of the input."""
        try:
            return None if self.at_end else self._took(self._queue.get_nowait())
        except queue.Empty:
            return None

    def _took(self, line: Line | None) -> Line | None:
        self.at_end = line is None
        return line

    def _read(self, stream: BinaryIO) -> None:
        try:
            for line in read_lines(stream):
                self._queue.put(line)
        finally:
            self._queue.put(None)


def printable(text: object, limit: int = 80) -> str:
    """Text from outside as it may be shown in an answer: ASCII on one line, cut when long."""
    shown = ascii(str(text))[1:-1]
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."
