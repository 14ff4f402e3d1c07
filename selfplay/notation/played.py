"""The games that writers are given and readers return, and a walk through the moves of a game."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from games import TERMINAL, Game, StatePool
from selfplay.errors import UserError

HERE = np.zeros(1, np.int64)
"""The slot of the position in a pool of one."""


@dataclass(frozen=True)
class PlayedGame:
    """A game to be written down."""

    game: Game
    moves: tuple[int, ...]
    """Actions and chance outcomes from the start, the opening included."""
    players: tuple[str, ...]
    """Names of the players, by seat."""
    returns: tuple[float, ...]
    """The returns, by seat."""
    finished: bool = True
    """False for a game that was cut off or forfeited."""
    forfeit: str = ""
    """Why a player lost the game without its end; empty for all other games."""


@dataclass(frozen=True)
class Reading:
    """The main line of a game that was read."""

    moves: tuple[int, ...] = ()
    """Actions and chance outcomes from the start of the game."""
    remarks: tuple[str, ...] = ()
    """What the text gives for the game and the game here does otherwise, without a change of the position."""


class Line:
    """A line of moves under way: the position is in slot 0 of `pool`."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.pool: StatePool = game.new_pool(1)
        self.pool.reset(HERE)
        self.moves: list[int] = []

    @property
    def to_play(self) -> int:
        """Player, `games.CHANCE` or `games.TERMINAL`."""
        return int(self.pool.to_play(HERE)[0])

    def legal(self) -> list[int]:
        """The legal actions of the player to move."""
        actions: list[int] = self.pool.legal(HERE)[1].tolist()
        return actions

    def play(self, action: int) -> None:
        """Play a legal action or an outcome of chance."""
        self.pool.step(HERE, np.array([action], np.int64), HERE)
        self.moves.append(action)

    def require_running(self, number: int, move: str) -> None:
        """Raise UserError where the game has ended before move `number`."""
        if self.to_play == TERMINAL:
            raise UserError(f"move {number}: the game is over before {shown(move)}")


def walk(game: Game, moves: Iterable[int]) -> Iterator[tuple[Line, int]]:
    """The line before each of the moves, and the move."""
    line = Line(game)
    for move in moves:
        yield line, move
        line.play(move)


def shown(text: str, limit: int = 40) -> str:
    """Outside text in a message: short, on one line, without control characters."""
    return ascii(text if len(text) <= limit else f"{text[:limit]}...")
