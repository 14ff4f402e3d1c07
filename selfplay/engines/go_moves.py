"""The games that are played through GTP, and how their moves and their start are written there.

Actions of go and othello are `row * size + column`, then the pass. Row 0 of go is the lowest, numbered 1;
row 0 of othello is numbered 1 as well and stands at the top, as Othello is written everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import games
from games import Game
from games.go_text import read_board
from games.native.go import drawn_komis, komi_outcome
from games.parameters import Value, canonical, parse
from selfplay.engines.gtp import PASS, read_vertex, write_vertex
from selfplay.errors import UserError

GAMES = ("go", "othello")

BLACK, WHITE = 0, 1
"""Players of both games."""


@dataclass(frozen=True)
class GtpGame:
    """A game as GTP knows it."""

    name: str
    size: int
    komi: float
    handicap: tuple[str, ...]
    """Points with a black stone at the start; with them, White moves first."""
    drawn: tuple[float, ...] = ()
    """`games.native.go.drawn_komis`."""

    @property
    def pass_action(self) -> int:
        """The action that is no point."""
        return self.size * self.size

    @property
    def first_player(self) -> int:
        """Who makes the first move."""
        return WHITE if self.handicap else BLACK

    def to_play(self, ply: int) -> int:
        """Who makes the move after `ply` moves; passes are moves."""
        return (self.first_player + ply) % 2

    def split(self, history: Sequence[int]) -> tuple[float, list[int]]:
        """The komi and the moves of a game, from its actions and outcomes of chance; it has drawn its komi."""
        return (self.drawn[history[0]], list(history[1:])) if self.drawn else (self.komi, list(history))

    def write_move(self, action: int) -> str:
        """An action as a vertex or `pass`."""
        return PASS if action == self.pass_action else write_vertex(*divmod(action, self.size))

    def read_move(self, text: str) -> int:
        """The action of a vertex or `pass`. Raises ValueError."""
        if text.lower() == PASS:
            return self.pass_action
        row, column = read_vertex(text, self.size)
        return row * self.size + column

    def setup(self, komi: float | None = None) -> list[str]:
        """Commands that bring an engine to the start of a game; None for the komi of the rules."""
        commands = [f"boardsize {self.size}", "clear_board"]
        if self.name == "go":
            commands.append(f"komi {self.komi if komi is None else komi:g}")
        if self.handicap:
            commands.append(f"set_free_handicap {' '.join(self.handicap)}")
        return commands


def gtp_game(game: Game) -> GtpGame:
    """The description of a game for GTP. Raises UserError for one that is not played through GTP."""
    rules = parse(game.rules)
    if rules.name not in GAMES:
        raise UserError(f"GTP: {' and '.join(GAMES)} are played through it, not {game.name}")
    size = math.isqrt(game.num_actions - 1)
    if rules.name != "go":
        return GtpGame(rules.name, size, 0.0, ())
    stones = np.argwhere(np.array(board_rows(game)) == "X") if "handicap" in rules.parameters else ()
    handicap = tuple(write_vertex(int(row), int(column)) for row, column in stones)
    komi = float(rules.parameters.get("komi", "7.5"))
    description = GtpGame(rules.name, size, komi, handicap, drawn_komis(game))
    pool, place = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(place)
    for outcome in komi_outcome(game, komi):
        pool.step(place, np.array([outcome]), place)
    if pool.to_play(place)[0] != description.first_player:
        raise UserError(f"GTP: {game.name} has no stones of a handicap and White begins; take a handicap from 2 to 9")
    return description


def go_of_size(game: Game, size: int, komi: float) -> Game:
    """The same kind of go on another board, or with another komi; stones of a handicap are of one board alone.

    Raises GameError where there is no such game.
    """
    own = parse(game.name)
    parameters: dict[str, Value] = {**own.parameters, "board_size": size, "komi": komi}
    if size != math.isqrt(game.num_actions - 1):
        parameters.pop("handicap", None)
    name = canonical(own.name, parameters)
    return games.load(f"{own.prefix}:{name}" if own.prefix else name)


def board_rows(game: Game) -> list[list[str]]:
    """The start of a game of go, row 0 (the lowest) first: `X` black, `O` white, `+` empty."""
    pool = game.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    return read_board(pool.text(0))
