"""Games as other programs read them: SGF for Go (FF[4], red-bean.com/sgf), PGN for chess (Edwards 1994)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import games
from games import Game, StatePool
from games.parameters import parse
from selfplay.files import publish
from selfplay.match import MatchGame
from selfplay.tournament.tournament import Outcome

PGN_WIDTH = 79


def write_notation(outcome: Outcome, folder: Path) -> Path | None:
    """Write the games as `games.sgf` or `games.pgn` where the game has such a form; returns the file."""
    game = games.load(outcome.game)
    form = FORMS.get(parse(game.rules).name)
    if form is None:
        return None
    ending, write_game = form
    texts = [
        write_game(game, record, [(played.block.first, played.block.second)[who] for who in record.seats])
        for played in outcome.played
        for record in played.games
    ]
    path = folder / f"games.{ending}"
    publish(path, "\n".join(texts).encode())
    return path


def _moves(game: Game, record: MatchGame) -> Iterator[tuple[StatePool, int, int]]:
    """The pool with the position in slot 0, who moves, and the move, for each move of the game."""
    pool, place = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(place)
    for move in record.moves:
        yield pool, int(pool.to_play(place)[0]), move
        pool.step(place, np.array([move]), place)


def to_sgf(game: Game, record: MatchGame, players: list[str]) -> str:
    """A game of Go; the move that is no point of the board is a pass."""
    parameters = parse(game.rules).parameters
    size, komi = int(parameters.get("board_size", 19)), parameters.get("komi", "7.5")
    black, white = 0, 1
    result = (
        "0"
        if record.returns[black] == record.returns[white]
        else ("B+" if record.returns[black] > record.returns[white] else "W+")
    )
    moves = []
    for _, player, move in _moves(game, record):
        row, column = divmod(move, size)  # OpenSpiel counts from the lower left corner
        point = "" if move == size * size else f"{chr(97 + column)}{chr(97 + size - 1 - row)}"
        moves.append(f";{'BW'[player]}[{point}]")
    names = [player.replace("\\", "\\\\").replace("]", "\\]") for player in players]
    head = f"FF[4]GM[1]CA[UTF-8]SZ[{size}]KM[{komi}]PB[{names[black]}]PW[{names[white]}]RE[{result}]RU[Chinese]"
    return f"(;{head}\n{''.join(moves)})\n"


def to_pgn(game: Game, record: MatchGame, players: list[str]) -> str:
    """A game of chess; OpenSpiel writes moves in the algebraic notation of PGN."""
    white, black = 1, 0  # OpenSpiel's seats
    tags = {"Event": "selfplay tournament", "Site": "?", "Date": "????.??.??", "Round": "?"}
    tags |= {"White": players[white], "Black": players[black]}
    if not record.finished and not record.forfeit:
        tags["Result"] = "*"
    elif record.returns[white] == record.returns[black]:
        tags["Result"] = "1/2-1/2"
    else:
        tags["Result"] = "1-0" if record.returns[white] > record.returns[black] else "0-1"
    if record.forfeit:
        tags["Termination"] = "rules infraction"
    words = []
    for ply, (pool, _, move) in enumerate(_moves(game, record)):
        words += [f"{ply // 2 + 1}."] if ply % 2 == 0 else []
        words.append(pool.action_text(0, move))
    head = [f'[{tag} "{_quoted(value)}"]' for tag, value in tags.items()]
    return "\n".join([*head, "", *textwrap.wrap(" ".join([*words, tags["Result"]]), PGN_WIDTH), ""])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


FORMS: dict[str, tuple[str, Callable[[Game, MatchGame, list[str]], str]]] = {
    "go": ("sgf", to_sgf),
    "chess": ("pgn", to_pgn),
}
"""File ending and writer by the name of the rules."""
