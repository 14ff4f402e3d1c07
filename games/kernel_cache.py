"""Importing this finds a folder for compiled kernels, before any kernel needs one.

Numba keeps machine code beside the source, else below the user's home, and refuses to work where it may write to
neither: packages that an administrator installed, a home that is read-only or missing. Here a folder of the user's own
among the temporary files takes their place; where there is none, kernels are compiled at every start.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

KERNEL_FOLDERS = tuple(Path(__file__).resolve().parents[1] / name for name in ("games", "search"))
"""Folders of the files with kernels."""


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


def _stamp_all_kernels() -> None:
    """Let kept machine code count as old when any file with kernels has changed, and not only its own.

    A kernel has the code of those that it calls in itself, whichever file they are in.
    """
    locator: Any = getattr(caching, "_SourceFileBackedLocatorMixin", None)
    if not hasattr(locator, "get_source_stamp"):  # no public name: without it, a change needs the kept code removed
        return
    own_stamp = locator.get_source_stamp

    def stamp(self: Any) -> Any:
        own = own_stamp(self)
        is_ours = any(folder in Path(self._py_file).resolve().parents for folder in KERNEL_FOLDERS)
        return (own, _kernels_digest()) if is_ours else own

    locator.get_source_stamp = stamp


@functools.cache
def _kernels_digest() -> str:
    """A hash of every file of this program that has kernels."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in KERNEL_FOLDERS for path in folder.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source or b"@kernel" in source or b"@inlined" in source:
            digest.update(source)
    return digest.hexdigest()


def _njit_without_cache(njit: Callable[..., Any], *arguments: Any, cache: bool = False, **options: Any) -> Any:
    return njit(*arguments, **options)


def _say(text: str) -> None:
    if multiprocessing.parent_process() is None:  # once is enough
        print(f"selfplay: {text}", file=sys.stderr)


_find_place()
_stamp_all_kernels()
