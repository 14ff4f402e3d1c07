"""Films of episodes for the page: made by `selfplay evaluate` in a process of its own, one at a time, and forgotten.

Environments are other people's code, which may hang or draw with libraries that are not made for threads. So a film is
made elsewhere, with a bound in seconds, in a temporary folder that goes with the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import UserError
from selfplay.players.text import compose_player
from selfplay.web.library import Library, Run
from selfplay.web.refusals import CONFLICT, NOT_FOUND, Refused

FILM_SECONDS = 180.0
"""Seconds after which a film is given up."""

KEPT = 8
"""Number of films that are kept."""

SEED = 0
"""Of the episode that is filmed, so that versions meet the same start."""


@dataclass
class Film:
    """An episode of one version of a run."""

    run: int
    version: int
    state: str = "making"
    """`making`, `ready` or `failed`."""
    problem: str = ""
    total: float | None = None
    """The return of an episode played before it from another start."""
    data: bytes = b""
    """The film as MP4."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, without the film itself."""
        return {"version": self.version, "state": self.state, "problem": self.problem, "return": self.total}


class Films:
    """Makes films and keeps the last few; safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._films: OrderedDict[tuple[int, int], Film] = OrderedDict()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def about(self, index: int) -> dict[str, Any]:
        """The film of the newest version that has one, or is getting one, and the versions that could be filmed."""
        run = self._filmed(index)
        with self._lock:
            films = [film for (run_index, _), film in self._films.items() if run_index == index]
        film = max(films, key=lambda film: film.version, default=None)
        return {"versions": run.saved_versions(), "film": None if film is None else film.as_json()}

    def begin(self, index: int, version: int | None) -> dict[str, Any]:
        """Start filming a version, the newest by default; nothing is done twice. Raises Refused."""
        run = self._filmed(index)
        versions = run.saved_versions()
        if not versions:
            raise Refused(f"{run.name} has no checkpoint yet", CONFLICT)
        version = versions[-1] if version is None else version
        if version not in versions:
            raise Refused(f"{run.name} has no version {version}; it has {versions[0]} to {versions[-1]}")
        with self._lock:
            film = self._films.get((index, version))
            if film is None or film.state == "failed":
                if any(other.state == "making" for other in self._films.values()):
                    raise Refused("another film is being made; ask again when it is done", CONFLICT)
                film = self._films[index, version] = Film(index, version)
                while len(self._films) > KEPT:
                    self._films.popitem(last=False)
                threading.Thread(target=self._make, args=(run, film), name="film", daemon=True).start()
            return film.as_json()

    def data(self, index: int, version: int) -> bytes:
        """A film that is ready, as MP4. Raises Refused."""
        self._filmed(index)
        with self._lock:
            film = self._films.get((index, version))
        if film is None or film.state != "ready":
            raise Refused("there is no such film", NOT_FOUND)
        return film.data

    def close(self) -> None:
        """End the process that makes a film."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _filmed(self, index: int) -> Run:
        run = self._library.run(index)
        if not run.config.environment:
            raise Refused(f"{run.name} plays a game; its games are on the page Games")
        return run

    def _make(self, run: Run, film: Film) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="selfplay-film-") as folder:
                path = Path(folder) / "film.mp4"
                total = self._film(run, film.version, path)
                data = path.read_bytes()
        except (OSError, UserError) as error:
            with self._lock:
                film.state, film.problem = "failed", str(error).splitlines()[0][:300]
            return
        with self._lock:
            film.state, film.total, film.data = "ready", total, data

    def _film(self, run: Run, version: int, path: Path) -> float | None:
        player = compose_player("run", f"{run.folder.path.resolve()}@{version}", "")
        command = [sys.executable, "-m", "selfplay", "evaluate", player, "--episodes", "1", "--video", str(path)]
        with self._lock:
            if self._closed:
                raise UserError("the page is closed")
            self._process = process = subprocess.Popen(
                [*command, "--seed", str(SEED), "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        try:
            output, complaint = process.communicate(timeout=FILM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise UserError(f"the film was not done in {FILM_SECONDS:g} seconds") from None
        if process.returncode != 0:
            raise UserError((complaint.strip().splitlines() or ["the film could not be made"])[-1])
        try:
            return float(json.loads(output)["mean"])
        except (ValueError, KeyError, TypeError):
            return None
