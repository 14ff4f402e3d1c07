"""Games of a tournament to look at: the last positions of some that were won, as small pictures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

import games
from games import Game
from selfplay.drawings.boards import View, last_cells, look_at
from selfplay.drawings.pictures import as_png
from selfplay.evaluation.match import MatchGame
from selfplay.tournament.standings import games_by_pair
from selfplay.tournament.tournament import Outcome

MOST_DIAGRAMS = 6
"""Largest number of games that are shown."""


@dataclass(frozen=True)
class Diagram:
    """The last position of a game."""

    text: str
    """Who won against whom, and in how many moves."""
    png: bytes


def decisive_games(outcome: Outcome) -> list[Diagram]:
    """The shortest games that somebody won on the board, as many of each pair as of the others.

    None in games of other than two players, and in games without a drawing.
    """
    game = games.load(outcome.game)
    if game.num_players != 2:
        return []
    by_pair = []
    for pair, records in games_by_pair(outcome).items():
        won = {one.moves: one for one in records if one.finished and not one.forfeit and one.score in (0.0, 1.0)}
        by_pair.append([(pair, one) for one in sorted(won.values(), key=lambda one: one.plies)])
    turns = itertools.chain(*itertools.zip_longest(*by_pair))
    shown = []
    for pair, one in [turn for turn in turns if turn is not None][:MOST_DIAGRAMS]:
        _, view, last = replay(game, one)
        if view.drawing is None:
            return []
        winner = 0 if one.score == 1.0 else 1
        sides = view.drawing.sides
        side = f", {sides[one.seats.index(winner)]}," if len(sides) == 2 else ""
        shown.append(Diagram(f"{pair[winner]}{side} beats {pair[1 - winner]} in {one.plies} moves", as_png(view, last)))
    return shown


def replay(game: Game, played: MatchGame) -> tuple[str, View, tuple[int, ...]]:
    """The moves of a game as text, its last position, and the cells of the last move in it."""
    pool = game.new_pool(1)
    slots, texts = np.zeros(1, np.int64), list[str]()
    pool.reset(slots)
    for move in played.moves:
        texts.append(pool.action_text(0, move))
        pool.step(slots, np.array([move], np.int64), slots)
    view = look_at(pool, 0)
    pool.close()
    return " ".join(texts), view, last_cells(game, played.moves, view)
