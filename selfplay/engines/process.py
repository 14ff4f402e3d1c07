"""A child process that is talked to in lines, with a limit on every wait.

An engine is often a script around the program, so it gets a process group of its own, which is killed whole. There is
no shell: a command line is split into words as a shell would split it. What the engine writes is read while we wait,
never by a thread, and what it says on standard error is kept for the message when it fails.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import time
import weakref
from pathlib import Path

from selfplay.errors import UserError

MAX_LINE = 1 << 20
"""Largest number of bytes of a line of an engine; no engine has reason to write more."""

MAX_UNREAD = 1 << 24
"""Largest number of bytes that an engine may write while we are still writing to it."""

CHUNK = 1 << 16

COMPLAINT = 2000
"""Number of last bytes of standard error that are kept."""

MORE_PLACES = ("/usr/games",)
"""Folders that are searched after PATH: Debian puts engines there, and root's PATH does not have it."""

LAST_WORDS_SECONDS = 0.5
"""Seconds for which standard error of an engine that has ended is read."""

KILL_SECONDS = 10.0
"""Seconds for which a killed process is waited for."""


class EngineError(UserError):
    """An engine failed, fell silent or made no sense. The message is one line that names it."""


def split_command(command: str) -> list[str]:
    """The words of a command line, the program as a path. Raises UserError where that cannot work."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"engine {command!r}: {str(error).lower()}") from None
    if not words:
        raise UserError("engine: the command is empty")
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *MORE_PLACES))
    program = shutil.which(words[0], path=places)
    if program is None:
        raise UserError(f"engine {words[0]!r}: there is no such program; is it installed, and in PATH?")
    return [program, *words[1:]]


class EngineProcess:
    """A running engine. Any EngineError leaves it unusable: `close` it and start another."""

    def __init__(self, command: str) -> None:
        """Start the engine. Raises UserError where it cannot be started."""
        words = split_command(command)
        self.name = Path(words[0]).name
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"engine {self.name}: cannot be started: {error.strerror or error}") from None
        self._finalizer = weakref.finalize(self, _end, self._process)
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin, self._stdout, self._stderr = (
            stream.fileno() for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        self._poll = select.poll()
        for descriptor in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(descriptor, False)
        self._open = {self._stdout, self._stderr}
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)
        self._unread = bytearray()
        self._complaint = b""
        self._asked = ""

    def send(self, line: str, deadline: float) -> None:
        """Write a line. `deadline` is a time of `time.monotonic`. Raises EngineError."""
        self._asked = line
        rest = f"{line}\n".encode()
        try:
            while rest:
                self._pump(deadline, for_writing=True)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._stdin, rest) :]
                if len(self._unread) > MAX_UNREAD:
                    raise EngineError(f"engine {self.name}: wrote without end")
        except OSError:  # a broken pipe
            raise self._ended() from None

    def read_line(self, deadline: float) -> str:
        """The next line, without its end. Raises EngineError, also where none has come by the deadline."""
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if searched > MAX_LINE:
                raise EngineError(f"engine {self.name}: wrote a line without end")
            if self._stdout not in self._open:
                raise self._ended()
            self._pump(deadline)
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line.decode(errors="replace").rstrip("\r")

    def close(self) -> None:
        """Kill the engine with all that it started."""
        self._finalizer()

    def _pump(self, deadline: float, for_writing: bool = False) -> None:
        """Wait until something comes, or something can be written, and take in what has come."""
        seconds = deadline - time.monotonic()
        if for_writing:
            self._poll.register(self._stdin, select.POLLOUT)
        try:
            ready = self._poll.poll(max(0.0, seconds) * 1000)
        finally:
            if for_writing:
                self._poll.unregister(self._stdin)
        if not ready or seconds <= 0:
            raise EngineError(f"engine {self.name}: no answer to {_short(self._asked)!r} in the time allowed")
        for descriptor, _ in ready:
            if descriptor != self._stdin:
                self._take_in(descriptor)

    def _take_in(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._poll.unregister(descriptor)
            self._open.remove(descriptor)
        elif descriptor == self._stdout:
            self._unread += data
        else:
            self._complaint = (self._complaint + data)[-COMPLAINT:]

    def _ended(self) -> EngineError:
        """The engine has closed its side: what to say, with the last two lines of its standard error."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        with contextlib.suppress(EngineError):
            while self._stderr in self._open:
                self._pump(deadline)
        lines = [line for line in self._complaint.decode(errors="replace").split("\n") if line.strip()]
        last = "; ".join(map(_short, lines[-2:]))
        during = f" when asked {_short(self._asked)!r}" if self._asked else ""
        return EngineError(f"engine {self.name}: ended{during}{f': {last}' if last else ''}")


def _short(text: str) -> str:
    """Text as a message shows it: on one line, cut when long."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return line if len(line) <= 100 else f"{line[:97]}..."


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group first: once the process has been waited for, its number may belong to somebody else."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_SECONDS)
