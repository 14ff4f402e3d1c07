"""Which games have a form as text that other programs read, and its reader and writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from games import Game
from games.parameters import parse
from selfplay.notation.chess import read_chess, write_chess
from selfplay.notation.go import read_go, write_go
from selfplay.notation.pgn import is_pgn
from selfplay.notation.played import PlayedGame, Reading
from selfplay.notation.sgf import is_sgf


@dataclass(frozen=True)
class Form:
    """A format of files for a game."""

    ending: str
    """The ending of the names of its files."""
    matches: Callable[[str], bool]
    """Whether a text begins as the format does."""
    read: Callable[[Game, str], list[Reading]]
    """The games of a text. Raises UserError."""
    write: Callable[[PlayedGame], str] | None
    """Writes a game; None where games are only read."""


SGF = Form("sgf", is_sgf, read_go, write_go)
PGN = Form("pgn", is_pgn, read_chess, write_chess)

# Of promoted pieces in crazyhouse OpenSpiel writes moves that no other program reads.
FORMS = {"go": SGF, "chess": PGN, "antichess": PGN, "crazyhouse": replace(PGN, write=None)}
"""The form of the files of a game, by the name of its rules."""


def form_of(game: Game) -> Form | None:
    """The form of a game's files; None where it has none."""
    rules = parse(game.rules)
    return None if rules.prefix else FORMS.get(rules.name)
