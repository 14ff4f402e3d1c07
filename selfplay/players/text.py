"""The text of a player, `KIND`, `KIND:option=value,...` or `KIND:TARGET:option=value,...`: how it is read and written.

In the flow: `selfplay.players.kinds.read_player` reads a text here by its table of kinds, and `PlayerSpec.make_player`
makes the player. The options of a kind are the fields of a frozen dataclass, so they get the checks and the messages of
all other settings.

A target ends at the next colon. Where it is a command line (`gtp:gnugo --mode gtp:level=1`), a colon between quotes or
after a backslash belongs to it, as a shell would have it: `gtp:connect "localhost:4000":timeout=5`. In other targets,
such as folders, a colon after a backslash belongs to them: `run:runs/a\\:b:simulations=100`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from games import Game
from games.environments.environment import Environment
from selfplay.config.options import quoted, read_options
from selfplay.errors import UserError, did_you_mean
from selfplay.players.player import Agent, Player

RUN_DIR = "RUN_DIR[@VERSION]"
"""`PlayerKind.target` of players from the folder of a run (`selfplay.players.trained.split_target` reads it)."""


@dataclass(frozen=True)
class NoOptions:
    """For kinds without options."""


@dataclass(frozen=True)
class PlayerKind:
    """A row of the table of players: what the players of one kind have in common."""

    name: str
    """The word that the text of such a player begins with."""
    make_player: Callable[[PlayerSpec, Game, int], Player]
    """The player for a game, with a seed. Raises UserError where it cannot play the game."""
    options: type = NoOptions
    """Frozen dataclass as `selfplay.config.schema` describes it, with a default for every field."""
    target: str = ""
    """The name of the target in the help, which must stand between kind and options; empty for kinds without one."""
    find_game: Callable[[str], str | None] | None = None
    """The game that a target was made for; None: any game."""
    is_command: bool = False
    """The target is a command line, in which quotes count."""
    identify: Callable[[PlayerSpec], str] | None = None
    """`PlayerSpec.identity`, where the text does not say who the player is."""
    make_agent: Callable[[PlayerSpec, Environment, int], Agent] | None = None
    """Who acts as the player does in an environment, with a seed; None: nobody. Raises UserError as `make_player`."""
    find_environment: Callable[[str], str | None] | None = None
    """The environment that a target was made for; None: any environment."""
    find_run: Callable[[str], str] | None = None
    """The run, `RUN_DIR[@VERSION]`, whose network plays for a target; None for players without a network of a run."""
    is_person: bool = False
    """Somebody at the terminal, who cannot be asked without it."""

    @property
    def is_of_run(self) -> bool:
        """Whether the target is the folder of a run, with or without a version."""
        return self.target == RUN_DIR

    @property
    def form(self) -> str:
        """How a player of the kind is written."""
        options = ",".join(f"{option.name}=..." for option in dataclasses.fields(self.options))
        return self.name + (f":{self.target}" if self.target else "") + (f"[:{options}]" if options else "")


@dataclass(frozen=True)
class PlayerSpec:
    """A player's text, read and checked; nothing is loaded yet."""

    kind: PlayerKind
    target: str
    """The text between kind and options, e.g. the folder of a run; empty for most kinds."""
    options: Any
    """An object of `PlayerKind.options`."""

    @property
    def name(self) -> str:
        """Canonical text: the number of simulations, and the other options that differ from their defaults."""
        shown = []
        for option in dataclasses.fields(self.options):
            value = getattr(self.options, option.name)
            if value is not None and (option.name == "simulations" or value != option.default):
                shown.append(f"{option.name}={str(value).lower() if isinstance(value, bool) else value}")
        target = self.target if self.kind.is_command else _with_marked_colons(self.target)
        return ":".join(filter(None, (self.kind.name, target, ",".join(shown))))

    @property
    def identity(self) -> str:
        """The text that tells the player from others.

        Of a run it is the hash of its weights and its settings of play, not its folder; of all others the name. Raises
        UserError where a run or its version is missing.
        """
        return self.kind.identify(self) if self.kind.identify else self.name

    @property
    def game(self) -> str | None:
        """The game that the player was made for, None for a player of any game."""
        return self.kind.find_game(self.target) if self.kind.find_game else None

    @property
    def environment(self) -> str | None:
        """The environment that the player was made for, None for a player of any environment, or of games."""
        return self.kind.find_environment(self.target) if self.kind.find_environment else None

    @property
    def run(self) -> str:
        """The run, `RUN_DIR[@VERSION]`, whose network plays. Raises UserError for players without one."""
        if self.kind.find_run is None:
            raise UserError(f"{self.name}: has no network of a run; use run:RUN_DIR or pretrained:GAME")
        return self.kind.find_run(self.target)

    def make_player(self, game: Game, seed: int = 0) -> Player:
        """The player for a game. An option `seed` wins over `seed`. Raises UserError where it cannot play `game`."""
        return self.kind.make_player(self, game, self._seed(seed))

    def make_agent(self, environment: Environment, seed: int = 0) -> Agent:
        """The agent for an environment; otherwise as `make_player`."""
        if self.kind.make_agent is None:
            raise UserError(f"{self.kind.name}: cannot act in {environment.name}; use run:RUN_DIR or random")
        return self.kind.make_agent(self, environment, self._seed(seed))

    def _seed(self, seed: int) -> int:
        own = getattr(self.options, "seed", None)
        return seed if own is None else int(own)


def read_text(text: str, kinds: Mapping[str, PlayerKind]) -> PlayerSpec:
    """Check the text of a player of one of `kinds`, by name. Raises UserError with one line for a person."""
    name, colon, rest = text.partition(":")
    kind = kinds.get(name)
    if kind is None:
        forms = did_you_mean(name, kinds) or f"; a player is one of {', '.join(kinds)}"
        raise UserError(f"player {quoted(text)}: unknown kind {quoted(name)}{forms}")
    target = ""
    if kind.target:
        target, colon, rest = _split_command(rest) if kind.is_command else _split_target(rest)
        if not target:
            raise UserError(f"player {quoted(text)}: {kind.target} is missing; write it as {kind.form}")
    parts = rest.split(",") if colon else []
    options = read_options(f"player {quoted(text)}", kind.options, parts, f"; write it as {kind.form}")
    return PlayerSpec(kind, target, options)


def compose_player(kind: str, target: str, options: str = "") -> str:
    """The text of a player whose target is no command line, with `name=value,...` options; `read_text` reads it."""
    return ":".join(filter(None, (kind, _with_marked_colons(target), options)))


def _with_marked_colons(target: str) -> str:
    return target.replace(":", "\\:")


def _split_target(text: str) -> tuple[str, str, str]:
    """A target up to its first colon that has no backslash before it, that colon, and the rest; like `str.partition`.

    The backslashes before colons are taken away.
    """
    match = re.match(r"(?:\\:|[^:])*", text, re.DOTALL)
    end = match.end() if match else 0
    return text[:end].replace("\\:", ":"), text[end : end + 1], text[end + 1 :]


def _split_command(text: str) -> tuple[str, str, str]:
    """A command line up to its first colon that is not quoted, that colon, and the rest; like `str.partition`.

    Raises UserError where a quote is not closed.
    """
    match = re.match(r"""(?:[^:'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""", text, re.DOTALL)
    end = match.end() if match else 0
    if text[end : end + 1] not in ("", ":"):
        raise UserError(f"player {quoted(text)}: a quote is not closed")
    return text[:end], text[end : end + 1], text[end + 1 :]
