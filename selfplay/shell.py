"""Command lines of this program as a person may copy them into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def shell_command(*words: str) -> str:
    """A command line of this program, quoted for a shell."""
    return shlex.join(["selfplay", *words])


def folder_word(folder: Path) -> str:
    """A folder as an argument: one that begins with a dash is no option."""
    return f"./{folder}" if str(folder).startswith("-") else str(folder)
