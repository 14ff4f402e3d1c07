"""The games of a tournament as files that other programs read: SGF for Go, PGN for chess (`selfplay.notation`)."""

from __future__ import annotations

from pathlib import Path

import games
from games import Game
from selfplay.evaluation.match import MatchGame
from selfplay.notation.chess import write_chess
from selfplay.notation.forms import form_of
from selfplay.notation.go import write_go
from selfplay.notation.played import PlayedGame
from selfplay.storage.files import publish
from selfplay.tournament.tournament import Outcome


def write_notation(outcome: Outcome, folder: Path) -> Path | None:
    """Write the games as `games.sgf` or `games.pgn` where the game has such a form; returns the file."""
    game = games.load(outcome.game)
    form = form_of(game)
    if form is None or form.write is None:
        return None
    texts = [
        form.write(_played(game, record, [(played.block.first, played.block.second)[who] for who in record.seats]))
        for played in outcome.played
        for record in played.games
    ]
    path = folder / f"games.{form.ending}"
    publish(path, "\n".join(texts).encode(errors="replace"))
    return path


def to_sgf(game: Game, record: MatchGame, players: list[str]) -> str:
    """A game of Go, with the players' names by seat."""
    return write_go(_played(game, record, players))


def to_pgn(game: Game, record: MatchGame, players: list[str]) -> str:
    """A game of chess, with the players' names by seat."""
    return write_chess(_played(game, record, players))


def _played(game: Game, record: MatchGame, players: list[str]) -> PlayedGame:
    return PlayedGame(game, record.moves, tuple(players), record.returns, record.finished, record.forfeit)
