"""Importing this finds a folder for compiled kernels, before any kernel needs one.

Numba keeps machine code beside the source, else below the user's home, and refuses to work where it may write to
neither: packages that an administrator installed, a home that is read-only or missing. Here a folder of the user's own
among the temporary files takes their place; where there is none, kernels are compiled at every start.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _probe() -> None:
    """Never called; Numba decides where it would keep its machine code."""


def _has_place() -> bool:
    try:
        numba.njit(cache=True)(_probe)
    except (RuntimeError, OSError):  # of Numba where no folder will do, of the system where one is odd
        return False
    return True


def _temporary_folder() -> Path | None:
    """A folder that no other user can write to, the same at every start; None where there is none."""
    try:
        folder = Path(tempfile.gettempdir()) / f"selfplay-kernels-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_own else None


def _find_place() -> None:
    if _has_place():
        return
    folder = _temporary_folder()
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(folder)  # for child processes
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        if _has_place():
            _say(f"compiled kernels are kept in {folder}: neither the program's folder nor your home can be written to")
            return
    _say("compiled kernels are kept nowhere: every start compiles for up to a minute; set NUMBA_CACHE_DIR to a folder")
    numba.njit = functools.partial(_njit_without_cache, numba.njit)


def _njit_without_cache(njit: Callable[..., Any], *arguments: Any, cache: bool = False, **options: Any) -> Any:
    return njit(*arguments, **options)


def _say(text: str) -> None:
    if multiprocessing.parent_process() is None:  # once is enough
        print(f"selfplay: {text}", file=sys.stderr)


_find_place()
