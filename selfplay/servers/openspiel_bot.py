"""Any of our players as a bot of OpenSpiel, for its own evaluation code: `pyspiel.evaluate_bots(state, bots, seed)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyspiel

import games
from games import Game
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player
from selfplay.players.player import Player


class OpenSpielBot(pyspiel.Bot):
    """Plays OpenSpiel's states by their histories; it needs no news between them."""

    def __init__(self, player: str | Player, game: Game | pyspiel.Game | str, seed: int = 0) -> None:
        """`player` is a PLAYER's text or an object, `game` ours or OpenSpiel's. Raises UserError or GameError."""
        super().__init__()
        self.game = game if isinstance(game, Game) else games.load(str(game))
        self.player = parse_player(player, self.game, seed) if isinstance(player, str) else player
        self._pool, self._slot = self.game.new_pool(1), np.zeros(1, np.int64)
        self._history: list[int] | None = None

    def step(self, state: Any) -> int:
        """The player's move, an action of `state`, where a player moves.

        Raises UserError where the state is not one of the game that the bot was made for.
        """
        history = state.history()
        self._follow(history)
        legal = state.legal_actions()
        is_same = self._pool.to_play(self._slot)[0] == state.current_player()
        if not is_same or self._pool.legal(self._slot)[1].tolist() != legal:
            raise self._stranger()
        action = int(self.player.choose(self._pool, self._slot, [history])[0])
        if action not in legal:
            raise UserError(f"bot {self.player.name}: chose the illegal move {action}")
        return action

    def restart(self) -> None:
        """A new game begins. The bot keeps nothing of the last one."""

    def restart_at(self, state: Any) -> None:
        """The next states follow from this one."""

    def inform_action(self, state: Any, player_id: int, action: int) -> None:
        """Another player has moved, or chance; the next state has the move in its history."""

    def close(self) -> None:
        """Free the player."""
        self.player.close()

    def _follow(self, history: list[int]) -> None:
        """Bring the pool to the position; most follow from the last one."""
        known = 0 if self._history is None else len(self._history)
        if self._history is None or history[:known] != self._history:
            self._pool.reset(self._slot)
            known = 0
        self._history = None  # until it holds again
        for action in history[known:]:
            try:
                games.check_action(self._pool, 0, action)
            except games.GameError:
                raise self._stranger() from None
            self._pool.step(self._slot, np.array([action]), self._slot)
        self._history = list(history)

    def _stranger(self) -> UserError:
        return UserError(f"bot {self.player.name}: the state does not follow from the start of {self.game.name}")
