"""A game under way: positions, moves, rewards. No players and no threads; `selfplay.web.sessions` adds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from games import CHANCE, TERMINAL, Game, GameError, StatePool, check_action
from games.base import chance_rounds
from games.random_play import draw_outcomes
from selfplay.drawings.boards import View, cells_of, look_at, outcome_text, side_names

HERE = np.zeros(1, np.int64)
"""The slot of the position."""

SAME_RETURN = 1e-9


@dataclass(frozen=True)
class Event:
    """A move that was played, or an outcome that was drawn."""

    player: int
    """The seat that moved; `games.CHANCE` for an outcome of chance."""
    action: int
    text: str


class Table:
    """One game from its start to the position at hand."""

    def __init__(self, game: Game, moves: Sequence[int] = ()) -> None:
        """Raises GameError where a move is not legal."""
        self.game = game
        self.pool: StatePool = game.new_pool(1)
        self.pool.reset(HERE)
        self.events: list[Event] = []
        self.returns = np.zeros(game.num_players)
        self.remark = ""
        """Where the text that the position was read from differs from this game; empty for most."""
        self._view: View | None = None
        self._last: tuple[int, tuple[int, ...]] = (0, ())  # cells on the board then, and those of the last move
        for number, move in enumerate(moves, 1):
            if number == len(moves):
                _ = self.view  # looked at before the last move, so that the move is marked
            try:
                self.play(move)
            except GameError as error:
                raise GameError(f"move {number}: {error}") from None

    @property
    def to_play(self) -> int:
        """Player, `games.CHANCE` or `games.TERMINAL`."""
        return int(self.pool.to_play(HERE)[0])

    @property
    def ply(self) -> int:
        """Moves and outcomes so far."""
        return len(self.events)

    @property
    def history(self) -> list[int]:
        """Actions and outcomes so far."""
        return [event.action for event in self.events]

    @property
    def view(self) -> View:
        """The position as the page shows it."""
        if self._view is None:
            self._view = look_at(self.pool, 0)
        return self._view

    def play(self, action: int) -> None:
        """Play a move, or an outcome at a chance event. Raises GameError, changing nothing, where it is not legal."""
        check_action(self.pool, 0, action)
        player = self.to_play
        text = outcome_text(self.pool, 0, action) if player == CHANCE else self.pool.action_text(0, action)
        _, rewards = self.pool.step(HERE, np.array([action], np.int64), HERE)
        self.returns += rewards[0]
        self.events.append(Event(player, action, text))
        self._last, self._view = self._cells_of(action), None

    def _cells_of(self, action: int) -> tuple[int, tuple[int, ...]]:
        """Where a move of the position is on the board, if somebody has looked at the position."""
        if self._view is None or self._view.drawing is None:
            return 0, ()
        return len(self._view.drawing.cells), cells_of(self._view, action)

    def settle(self, rng: np.random.Generator) -> None:
        """Draw outcomes until a player is to move or the game is over."""
        events = chance_rounds(self.game)
        while self.to_play == CHANCE:
            next(events)
            self.play(int(draw_outcomes(self.pool, HERE, [rng])[0]))

    def copy(self) -> StatePool:
        """The position in slot 0 of a pool of its own."""
        pool = self.game.new_pool(1)
        pool.load(HERE, self.pool, HERE)
        return pool

    def result(self) -> str:
        """How the game ended; empty while it goes on."""
        if self.to_play != TERMINAL:
            return ""
        if self.game.num_players == 1:
            return f"The game is over: {self.returns[0] * self.game.utility_scale:g} points."
        names = side_names(self.game, self.view)
        best = self.returns.max()
        winners = [name for name, value in zip(names, self.returns) if value >= best - SAME_RETURN]
        if len(winners) == self.game.num_players:
            return "The game is a draw."
        return f"{' and '.join(winners)} won." if len(winners) == 1 else f"{' and '.join(winners)} share the win."

    def as_json(self) -> dict[str, Any]:
        """Plain values: the position, and how it came about."""
        return {
            "game": self.game.name,
            "ply": self.ply,
            "sides": side_names(self.game, self.view),
            "position": self.view.as_json(),
            "moves": [[event.player, event.text] for event in self.events],
            "last": self._last_cells(),
            "returns": (self.returns * self.game.utility_scale).tolist(),
            "result": self.result(),
            "remark": self.remark,
        }

    def _last_cells(self) -> list[int]:
        """The cells of the last move, where the board has not changed its cells since."""
        drawing, (count, cells) = self.view.drawing, self._last
        return list(cells) if drawing is not None and len(drawing.cells) == count else []
