"""Command lines of this program as a person may copy them into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def shell_command(*words: str) -> str:
    """A command line of this program, quoted for a shell."""
    return shlex.join(["selfplay", *words])


def is_text(path: Path) -> bool:
    """False for a path with bytes that are no UTF-8; Python keeps those as surrogates, which no file of text takes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def folder_word(folder: Path) -> str:
    """A folder as an argument: one that begins with a dash is no option."""
    return f"./{folder}" if str(folder).startswith("-") else str(folder)
