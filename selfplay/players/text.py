"""The text of a player, `KIND`, `KIND:option=value,...` or `KIND:TARGET:option=value,...`, read by a table of kinds.

The kinds are in `selfplay.players.kinds`; `register_player` adds one's own. The options of a kind are the fields of a
frozen dataclass, so they get the checks and the messages of all other settings.

A target ends at the next colon. Where it is a command line (`gtp:gnugo --mode gtp:level=1`), a colon between quotes or
after a backslash belongs to it, as a shell would have it: `gtp:connect "localhost:4000":timeout=5`. In other targets,
such as folders, a colon after a backslash belongs to them: `run:runs/a\\:b:simulations=100`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from games import Game
from selfplay.config.schema import settings_of
from selfplay.errors import UserError, did_you_mean
from selfplay.players.player import Player

LONGEST_SHOWN = 200
"""Characters of what was given, in an error message."""


@dataclass(frozen=True)
class PlayerSpec:
    """A player's text, read and checked; nothing is loaded yet."""

    kind: str
    target: str
    """What stands between the kind and the options, e.g. the folder of a run; empty for most kinds."""
    options: Any
    """Frozen dataclass of the kind."""

    @property
    def name(self) -> str:
        """Canonical text: the number of simulations, and the other options that differ from their defaults."""
        shown = []
        for option in dataclasses.fields(self.options):
            value = getattr(self.options, option.name)
            if value is not None and (option.name == "simulations" or value != option.default):
                shown.append(f"{option.name}={str(value).lower() if isinstance(value, bool) else value}")
        target = self.target if _kinds[self.kind].is_command else _with_marked_colons(self.target)
        return ":".join(filter(None, (self.kind, target, ",".join(shown))))

    @property
    def identity(self) -> str:
        """What makes it this player: of a run the hash of its weights and its settings of play, not where it lies.

        Of all others it is the name. Raises UserError where a run or its version is missing.
        """
        identify = _kinds[self.kind].identify
        return identify(self) if identify else self.name

    @property
    def game(self) -> str | None:
        """The game that the player was made for, None for a player of any game."""
        find = _kinds[self.kind].find_game
        return find(self.target) if find else None

    def make(self, game: Game, seed: int = 0) -> Player:
        """The player. An option `seed` wins over `seed`. Raises UserError where it cannot play `game`."""
        own_seed = getattr(self.options, "seed", None)
        return _kinds[self.kind].make(self, game, seed if own_seed is None else own_seed)


@dataclass(frozen=True)
class NoOptions:
    """For kinds without options."""


@dataclass(frozen=True)
class PlayerKind:
    """A row of the table of players."""

    make: Callable[[PlayerSpec, Game, int], Player]
    options: type
    target: str = ""
    find_game: Callable[[str], str] | None = None
    is_command: bool = False
    """The target is a command line, in which quotes count."""
    identify: Callable[[PlayerSpec], str] | None = None

    def form(self, name: str) -> str:
        """How a player of the kind is written."""
        options = ",".join(f"{option.name}=..." for option in dataclasses.fields(self.options))
        return name + (f":{self.target}" if self.target else "") + (f"[:{options}]" if options else "")


_kinds: dict[str, PlayerKind] = {}


def register_player(
    kind: str,
    make: Callable[[PlayerSpec, Game, int], Player],
    options: type | None = None,
    target: str = "",
    find_game: Callable[[str], str] | None = None,
    is_command: bool = False,
    identify: Callable[[PlayerSpec], str] | None = None,
) -> None:
    """Make `KIND` a player everywhere a PLAYER is taken.

    `make(spec, game, seed)` builds it. `options` is a frozen dataclass as `selfplay.config.schema` describes it, with a
    default for every field. `target` names what must follow the kind, if anything, and `find_game(target)` the game
    that it fixes; `is_command` says that it is a command line. `identify(spec)` is for players whose text does not say
    who they are, such as a folder that may be moved (`PlayerSpec.identity`). Registering a kind again replaces the
    earlier one.
    """
    if not kind.isidentifier():
        raise ValueError(f"cannot register a player as {kind!r}: use letters, digits and underscores")
    _kinds[kind] = PlayerKind(make, options or NoOptions, target, find_game, is_command, identify)


def parse_player(text: str, game: Game, seed: int = 0) -> Player:
    """The player that `text` describes, for one game. Raises UserError with one line for a person."""
    return read_player(text).make(game, seed)


def read_player(text: str) -> PlayerSpec:
    """Check the text of a player without making it. Raises UserError with one line for a person."""
    kind_name, colon, rest = text.partition(":")
    kind = _kinds.get(kind_name)
    if kind is None:
        forms = did_you_mean(kind_name, _kinds) or f"; a player is one of {', '.join(_kinds)}"
        raise UserError(f"player {_quoted(text)}: unknown kind {_quoted(kind_name)}{forms}")
    target = ""
    if kind.target:
        target, colon, rest = _split_command(rest) if kind.is_command else _split_target(rest)
        if not target:
            raise UserError(f"player {_quoted(text)}: {kind.target} is missing; write it as {kind.form(kind_name)}")
    parts = rest.split(",") if colon else []
    options = read_options(f"player {_quoted(text)}", kind.options, parts, f"; write it as {kind.form(kind_name)}")
    return PlayerSpec(kind_name, target, options)


def compose_player(kind: str, target: str, options: str = "") -> str:
    """The text of a player whose target is no command line, with `name=value,...` options; `read_player` reads it."""
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


def _quoted(text: str) -> str:
    """A text as an error message shows it."""
    quoted = repr(text)
    return quoted if len(quoted) <= LONGEST_SHOWN else f"{quoted[:LONGEST_SHOWN]}..."


def _split_command(text: str) -> tuple[str, str, str]:
    """A command line up to its first colon that is not quoted, that colon, and the rest; like `str.partition`.

    Raises UserError where a quote is not closed.
    """
    match = re.match(r"""(?:[^:'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""", text, re.DOTALL)
    end = match.end() if match else 0
    if text[end : end + 1] not in ("", ":"):
        raise UserError(f"player {_quoted(text)}: a quote is not closed")
    return text[:end], text[end : end + 1], text[end + 1 :]


def read_options(what: str, options: type, parts: Sequence[str], hint: str = "") -> Any:
    """An object of the frozen dataclass `options` from `name=value` parts. Raises UserError that begins with `what`."""
    settings = settings_of(options)
    values: dict[str, Any] = {}
    for part in parts:
        key, equals, value = map(str.strip, part.partition("="))
        if not (key and equals):
            raise UserError(f"{what}: option {_quoted(part)} is not name=value{hint}")
        if key not in settings:
            raise UserError(f"{what}: unknown option {_quoted(key)}{did_you_mean(key, settings)}{hint}")
        if key in values:
            raise UserError(f"{what}: option {_quoted(key)} is given twice")
        try:
            values[key] = settings[key].parse(value)
        except ValueError as error:
            raise UserError(f"{what}: {key}: {error}") from None
    return options(**values)
