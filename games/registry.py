"""From a game string to a `Game`: `load`, and `register` for games of one's own.

A name is looked up among the registered games first (the native ones are among them), then in OpenSpiel. The prefix
`openspiel:` skips the registered games; any other prefix is a Python module that is imported first and registers the
game, so that `my_games:countdown` works in every process of a run.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass

from games.base import Game, GameError
from games.modules import import_module_of
from games.native.animal_shogi import AnimalShogi
from games.native.breakthrough import Breakthrough
from games.native.cart_pole import CartPole
from games.native.connect_four import ConnectFour
from games.native.gardner_chess import GardnerChess
from games.native.go import Go
from games.native.hex import Hex
from games.native.mini_shogi import MiniShogi
from games.native.othello import Othello
from games.open_spiel.load import known_names, load_openspiel, openspiel_defaults, unsupported_reason
from games.parameters import GameString, Value, canonical, parse, typed

OPENSPIEL = "openspiel"

TAKEN_OVER = ("breakthrough", "go")
"""Names that were OpenSpiel's before a game of our own with other rules, observations or actions took them."""

_factories: dict[str, Callable[..., Game]] = {}


@dataclass(frozen=True)
class GameInfo:
    """A known name. `reason` says why the game is not supported and is empty when it is."""

    name: str
    reason: str = ""

    @property
    def supported(self) -> bool:
        return not self.reason


def register(name: str, factory: Callable[..., Game]) -> None:
    """Make `name` known to `load`. The factory (a `Game` class, or a function) may take parameters, which need
    defaults: `load("name(size=5)")` calls `factory(size=5)`. Registering a name again replaces the earlier factory.
    """
    for parameter in inspect.signature(factory).parameters.values():
        if not isinstance(parameter.default, (bool, int, float, str)):
            raise GameError(f"{name}: parameter '{parameter.name}' needs a default that is a number, a truth or a text")
    if not name.isidentifier():
        raise GameError(f"cannot register a game as {name!r}: use letters, digits and underscores")
    _factories[name] = factory


def load(text: str, may_import: bool = True) -> Game:
    """The game of a game string, e.g. `hex(board_size=5)`. Raises GameError with one line for a person.

    Without `may_import` (for text that came with data) a module must have been imported before.
    """
    wanted = parse(text)
    if wanted.prefix not in ("", OPENSPIEL):
        if not may_import and wanted.prefix not in sys.modules:
            raise GameError(f"{text[:80]}: data does not decide which modules are imported; name the game with --game")
        import_module_of("game", text, wanted.prefix)
    if wanted.prefix != OPENSPIEL and wanted.name in _factories:
        return _load_registered(wanted)
    if wanted.prefix in ("", OPENSPIEL) and wanted.name in known_names():
        prefix = f"{OPENSPIEL}:" if wanted.name in _factories else ""
        return load_openspiel(wanted.name, wanted.parameters, prefix)
    raise GameError(f"unknown game {wanted.name[:60]!r}{_near(wanted.name)}")


def names() -> list[GameInfo]:
    """Every known game in alphabetical order, the unsupported ones with the reason."""
    spiel = {name: GameInfo(name, unsupported_reason(name)) for name in known_names()}
    own = {name: GameInfo(name) for name in _factories}
    return sorted((spiel | own).values(), key=lambda info: info.name)


def defaults_of(name: str) -> dict[str, Value]:
    """The parameters of a known game with their defaults. Raises GameError for an unknown name."""
    if name in _factories:
        return {key: p.default for key, p in inspect.signature(_factories[name]).parameters.items()}
    if name in known_names():
        return openspiel_defaults(name)
    raise GameError(f"unknown game {name[:60]!r}{_near(name)}")


def twin_of(game: Game) -> str:
    """The game string of OpenSpiel's version of a game that takes its name; empty where there is none."""
    name = parse(game.name).name
    is_taken = name in _factories and parse(game.name).prefix != OPENSPIEL and name in known_names()
    return (game.twin or f"{OPENSPIEL}:{game.name}") if is_taken else ""


def earlier_meaning(text: str) -> str:
    """The game string of what `text` meant before a game of our own with other rules took the name.

    Empty where that is what it means today. Go was OpenSpiel's, on 19x19 unless told, and so was Breakthrough.
    """
    wanted = parse(text)
    if wanted.prefix or wanted.name not in TAKEN_OVER:
        return ""
    is_theirs = set(wanted.parameters) <= set(openspiel_defaults(wanted.name))
    return f"{OPENSPIEL}:{text.strip()}" if is_theirs else ""


def _load_registered(wanted: GameString) -> Game:
    factory, defaults = _factories[wanted.name], defaults_of(wanted.name)
    parameters = typed(wanted.name, wanted.parameters, defaults)
    game = factory(**parameters)
    prefix = f"{wanted.prefix}:" if wanted.prefix else ""
    changed = {key: value for key, value in parameters.items() if value != defaults[key]}
    own_name = getattr(game, "name", "")
    if own_name.partition("(")[0] != wanted.name:  # else the game knows better: a default may follow another parameter
        own_name = canonical(wanted.name, changed)
    game.name = prefix + own_name
    if not hasattr(game, "rules"):
        game.rules = canonical(wanted.name, changed)
    return game


def _near(name: str) -> str:
    supported = [info.name for info in names() if info.supported]
    close = difflib.get_close_matches(name, supported, n=3)
    return f": did you mean {' or '.join(close)}?" if close else ": `selfplay games` lists the known ones"


register("animal_shogi", AnimalShogi)
register("breakthrough", Breakthrough)
register("cart_pole", CartPole)
register("connect_four", ConnectFour)
register("gardner_chess", GardnerChess)
register("go", Go)
register("hex", Hex)
register("mini_shogi", MiniShogi)
register("othello", Othello)
