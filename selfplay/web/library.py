"""What the page may see: the runs and tournaments of the command line, and the games that can be played.

A request names runs and tournaments by their place in the list and games by their string. No text of a request becomes
a path, and the only modules that are imported are those of games of the runs given.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import games
from games import Game
from games.parameters import parse
from selfplay.config import reader
from selfplay.config.curriculum import read_stages
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.players.pretrained import pretrained_names
from selfplay.players.trained import learns_policy
from selfplay.storage.files import storage_errors, unseal
from selfplay.storage.locks import last_holder
from selfplay.storage.run_folder import RunFolder
from selfplay.web.refusals import Refused, shown

MAX_GAME_TEXT = 120

FIRST_GAME = "connect_four"
"""The game to open with where a trained network comes with the program, or no game has one."""

MAX_GAMES = 200
"""Largest number of game strings with parameters that one process loads: games stay in memory."""

MAX_ACTIONS = 20_000
"""Largest number of actions of a game: answers are too long with more; shogi has 13 689."""

TOURNAMENT = "tournament.json"
"""File that makes a folder a tournament (`selfplay.tournament.store`)."""

_GAME_TEXT = re.compile(r"(openspiel:)?\w+(\([\w=,.; -]*\))?", re.ASCII)


@dataclass(frozen=True)
class Run:
    """A run given on the command line."""

    name: str
    folder: RunFolder
    config: Config
    game: Game
    others: tuple[Game, ...] = ()
    """The other games of its curriculum."""

    @property
    def games(self) -> tuple[Game, ...]:
        """All games that it was trained on."""
        return self.game, *self.others

    @property
    def searches(self) -> bool:
        """Whether its network has a policy that a search can use."""
        return learns_policy(self.config)

    def versions(self) -> list[int]:
        """Versions of its checkpoints that play a game, ascending, as they are now; none of a run on an environment."""
        return [] if self.config.environment else self.saved_versions()

    def saved_versions(self) -> list[int]:
        """Versions of its checkpoints, ascending, as they are now."""
        from selfplay.storage.checkpoint import versions  # torch takes two seconds to import

        return versions(self.folder.checkpoints)

    def is_running(self) -> bool:
        """Whether the process that last held the folder is still there; one on another machine is not seen."""
        process = last_holder(self.folder.lock_file)
        if process is None:
            return False
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # somebody else's
        return True

    def saved_at(self) -> float:
        """When its newest checkpoint that plays a game was written, in seconds since 1970; 0 where there is none."""
        if not self.versions():
            return 0.0
        try:
            return self.folder.checkpoints.stat().st_mtime  # a folder is as new as the last name in it
        except OSError:
            return 0.0


@dataclass(frozen=True)
class Tournament:
    """A tournament given on the command line."""

    name: str
    path: Path
    game: Game
    players: tuple[str, ...]


class Library:
    """Runs, tournaments and games; safe to use from several threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises UserError for a folder that is neither a run nor a tournament, or whose settings are damaged."""
        self.runs: list[Run] = []
        self.tournaments: list[Tournament] = []
        for path in paths:
            if (path / TOURNAMENT).is_file():
                self.tournaments.append(_open_tournament(path))
            else:
                self.runs.append(_open_run(path))
        self._lock = threading.Lock()
        self._pretrained = pretrained_names()
        self._own = {game.name: game for entry in self.runs for game in entry.games}
        self._own |= {entry.game.name: entry.game for entry in self.tournaments}
        self._plain = [info.name for info in games.names() if info.supported]
        self._variants = {parse(rules).name: rules for rules in self._pretrained}
        self._tried: dict[str, Game | str] = {}

    def game_names(self) -> list[str]:
        """Games to choose from; those of the runs and tournaments first.

        Where a trained network comes with the program, the game has the form that it learned.
        """
        others = [self._variants.get(name, name) for name in self._plain]
        known = {*self._own, *(game.rules for game in self._own.values())}  # another observation is no other game
        return [*self._own, *(name for name in others if name not in known)]

    def first_game(self) -> str:
        """The game to open with: that of the newest run, else one with a trained network, Connect Four if it has."""
        newest = self.newest_run()
        if newest is not None:
            return self.runs[newest].game.name
        usual = self._variants.get(FIRST_GAME)
        return usual or next(iter(self._variants.values()), FIRST_GAME)

    def run(self, index: int) -> Run:
        """Raises Refused where there is none."""
        if not 0 <= index < len(self.runs):
            raise Refused(f"there is no run {index}; {len(self.runs)} were given to `selfplay serve`", 404)
        return self.runs[index]

    def pretrained(self, game: Game) -> str | None:
        """The name of the trained network that comes with the program and plays this game; None where there is none."""
        return self._pretrained.get(game.rules)

    def tournament(self, index: int) -> Tournament:
        """Raises Refused where there is none."""
        if not 0 <= index < len(self.tournaments):
            raise Refused(f"there is no tournament {index}; {len(self.tournaments)} were given", 404)
        return self.tournaments[index]

    def newest_run(self, rules: str = "") -> int | None:
        """The run whose checkpoint is the newest, of those that play a game, with these `rules` if given."""
        ages = {
            i: run.saved_at() for i, run in enumerate(self.runs) if rules in ("", *(game.rules for game in run.games))
        }
        return max((i for i, age in ages.items() if age > 0), key=lambda i: ages[i], default=None)

    def load_game(self, text: str) -> Game:
        """The game of a request. Raises Refused for unknown ones and for those that are too large."""
        if text in self._own:
            return self._own[text]
        if len(text) > MAX_GAME_TEXT or not _GAME_TEXT.fullmatch(text):
            raise Refused(f"game {shown(text)}: write it as name or name(key=value,...)")
        with self._lock:
            if text not in self._tried:
                if len(self._tried) >= MAX_GAMES and text not in self._plain:
                    raise Refused("too many different games were asked for; start `selfplay serve` again")
                self._tried[text] = _try_game(text)
            result = self._tried[text]
        if isinstance(result, str):
            raise Refused(result)
        return result


def _try_game(text: str) -> Game | str:
    """The game, or why the page cannot show it."""
    try:
        game = games.load(text)
    except games.GameError as error:
        return str(error)
    if game.num_actions > MAX_ACTIONS:
        return f"{game.name} has {game.num_actions} actions, the page plays games of at most {MAX_ACTIONS}"
    return game


def _open_run(path: Path) -> Run:
    folder = RunFolder.open(path)
    config = reader.load(Config, folder.config)
    game, stages = games.load(config.game), read_stages(config.curriculum)
    others = {other.name: other for other in (games.load(stage.game) for stage in stages) if other.name != game.name}
    return Run(path.resolve().name, folder, config, game, tuple(others.values()))


def _open_tournament(path: Path) -> Tournament:
    file = path / TOURNAMENT
    with storage_errors(file):
        sealed: dict[str, Any] | None = unseal(file.read_bytes())
    try:
        settings = sealed or {}
        game, names = games.load(settings["conditions"]["game"]), tuple(dict.fromkeys(settings["names"].values()))
        return Tournament(path.resolve().name, path, game, names)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{file} is damaged") from None
