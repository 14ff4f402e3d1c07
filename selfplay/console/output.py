"""Standard output: what other programs read from it is ours alone, and no character of ours stops a terminal.

In the flow: the command line prepares it before a command begins. Commands whose output is for programs (`--json`, GTP,
UCI, labels) write to `args.output`; everything else that is printed meanwhile goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TextIO


def prepare_streams() -> None:
    """Let standard output and error take any text, and be there: what was closed by the caller leads nowhere.

    Characters that their encoding lacks are shown as escapes, such as `\\xd7`: on terminals in ASCII, and in names of
    files that are no text.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def warn_in_one_line() -> None:
    """Show each of Python's warnings as one line, without the line of source that Python adds."""
    warnings.formatwarning = _warning_line


def _warning_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"{filename}:{lineno}: {category.__name__}: {' '.join(str(message).split())}\n"


@contextlib.contextmanager
def reserved_output(lasting: bool) -> Iterator[TextIO]:
    """Standard output as a stream of one's own, while that of everybody else is standard error.

    Everybody else: environments, games, engines and libraries, whether they write in Python, in C or from a process
    that inherits the file descriptor. With `lasting` that stays so until the process ends, for what is printed at exit;
    otherwise all is as before when the block ends.
    """
    shared = sys.stdout
    shared.flush()
    if not _writes_to_descriptor_1(shared):  # a stream of the caller's, such as a test's
        with contextlib.redirect_stdout(sys.stderr):
            yield shared
        return
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(kept, "w", encoding=shared.encoding, errors="backslashreplace", closefd=False) as output:
            yield output
    finally:
        shared.flush()
        ctypes.CDLL(None).fflush(None)  # what was printed in C
        if not lasting:
            os.dup2(kept, 1)
        os.close(kept)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON as other programs read it, on one line unless indented: null for a number that is not finite."""
    return json.dumps(_without_infinities(value), allow_nan=False, indent=indent)


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return value


def _writes_to_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):  # a stream in memory; io.UnsupportedOperation is both
        return False
