"""The one exception that stands for a mistake of the person, not of the program, and how its messages are worded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHOWN_CHARACTERS = 60


class UserError(Exception):
    """Bad input: an unknown key, a missing run, an illegal move.

    The message is for a person: each line says what is wrong, where, and what to do. The command line prints it
    without a traceback and exits with status 2 (`selfplay.cli`).
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'b'?"` with the known word nearest to `word`, or the empty string when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(raw: object) -> str:
    """A value as an error message shows it: quoted, on one line, cut when long."""
    if raw is None or raw == "":
        return "nothing"
    text = repr(raw)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
