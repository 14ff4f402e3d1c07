"""The one exception that stands for a mistake of the person, not of the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: an unknown key, a missing run, an illegal move.

    The message is for a person: each line says what is wrong, where, and what to do. The command line prints it
    without a traceback and exits with status 2 (`selfplay.cli`).
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'b'?"` with the known word nearest to `word`, or the empty string when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
