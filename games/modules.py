"""Modules of one's own that a game string or the name of an environment names before its colon."""

from __future__ import annotations

import importlib

from games.auditing.positions import describe
from games.base import GameError


def import_module_of(what: str, name: str, module: str) -> None:
    """Import the module of `what`, a game or an environment, with this name.

    Raises GameError with one line, for every exception of the module, which is not part of the project.
    """
    try:
        importlib.import_module(module)
    except Exception as error:
        reason = str(error).partition("\n")[0][:200] if isinstance(error, ImportError) else describe(error)
        raise GameError(f"cannot import the module of {what} {name[:80]!r}: {reason}") from None
