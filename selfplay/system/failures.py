"""Errors of games and environments, which other people wrote, told to a person: one line, and a file with the rest.

In the flow: actors, rounds in the driver, evaluations and the command line ask here whether an error came from outside,
and what to say of it.
"""

from __future__ import annotations

import sysconfig
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import games
import nets
import search
from selfplay import errors
from selfplay.errors import UserError
from selfplay.storage.files import StorageError, publish
from selfplay.system.deadline import TimeIsUp

MOST_TEXT = 300
"""Characters of an error's message that are shown."""

OWN = tuple(Path(str(module.__file__)).resolve().parent for module in (games, nets, search, errors))
"""Folders of this project."""

INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")})
"""Folders of Python and of what is installed."""

PLAYED = ("gymnasium", "ale_py", "open_spiel", "minigrid", "mujoco")
"""Installed packages through which environments and games are called."""


ABOVE = ("cli.py", Path(__file__).name)
"""Files of this project that call no game or environment: the command line, and this one where it looks on."""


@dataclass(frozen=True)
class Failure:
    """What went wrong, and where."""

    text: str
    """Type and message of the error, in one line."""
    place: str
    """File and line that raised it, as far as it is not a library's."""
    traceback: str

    @property
    def line(self) -> str:
        """All but the traceback, for a person."""
        return f"{self.text} ({self.place})"

    @property
    def key(self) -> tuple[str, str]:
        """Equal for failures of the same kind at the same place, whatever numbers their messages have."""
        return self.text.partition(":")[0], self.place


def describe(error: BaseException) -> Failure:
    """The failure that an error stands for."""
    lines = str(error).strip().splitlines()
    text = type(error).__name__ + (f": {lines[0][:MOST_TEXT]}" if lines else "")
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if not _is_within(frame.filename, OWN)]
    theirs = [frame for frame in outside if not _is_within(frame.filename, INSTALLED)] or outside or list(frames)
    place = f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else "nowhere"
    if isinstance(error, SyntaxError) and error.filename:  # of a file that is no frame yet
        place = f"{error.filename}, line {error.lineno}"
    return Failure(text, place, "".join(traceback.format_exception(error)))


def is_from_outside(error: BaseException) -> bool:
    """Whether the error passed through code of a game or an environment that is not this project's, or is a mistake of
    syntax there. An interrupt and the end of a deadline reach such code and are none of its errors.

    Such code is called by a module of this project below the command line, never by the command line itself.
    """
    if isinstance(error, KeyboardInterrupt | TimeIsUp):
        return False
    if isinstance(error, SyntaxError) and error.filename and _is_played(error.filename):
        return True
    names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    below = [i for i, name in enumerate(names) if _is_within(name, OWN) and Path(name).name not in ABOVE]
    return bool(below) and any(map(_is_played, names[below[0] :]))


def keep(failure: Failure, path: Path | None) -> str:
    """Write the traceback to `path`, or to a temporary file.

    Returns `; its traceback is in PATH` for a message, nothing where it could not be written.
    """
    try:
        if path is None:
            with tempfile.NamedTemporaryFile("w", prefix="selfplay-", suffix=".txt", delete=False) as file:
                file.write(failure.traceback)
            path = Path(file.name)
        else:
            publish(path, failure.traceback.encode(errors="replace"))
    except (StorageError, OSError):
        return ""
    return f"; its traceback is in {path}"


@contextmanager
def told(what: str, path: Path | None) -> Iterator[None]:
    """Raises UserError with one line where `what` fails in here by an error from outside; its traceback goes to `path`.

    Other errors pass: those of this program, and those that are for a person already. Code from outside that calls
    `sys.exit` has failed too: it would end a run in silence.
    """
    try:
        yield
    except BaseException as error:  # those of libraries in Rust are no `Exception`
        if isinstance(error, UserError | games.GameError) or not is_from_outside(error):
            raise
        failure = describe(error)
        raise UserError(f"{what} failed: {failure.line}{keep(failure, path)}") from error


def _is_played(filename: str) -> bool:
    if _is_within(filename, OWN) or filename.startswith("<"):  # <string>, <frozen importlib>
        return False
    if not _is_within(filename, INSTALLED):
        return True
    return any(_is_within(filename, (folder / name,)) for folder in INSTALLED for name in PLAYED)


def _is_within(filename: str, folders: tuple[Path, ...]) -> bool:
    path = Path(filename).resolve()
    return any(path.is_relative_to(folder) for folder in folders)
