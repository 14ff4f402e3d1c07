"""A small game with all that MuZero's signs can go wrong with: any number of players, turns that come twice, rewards on
the way, sums that are not zero, actions that are not legal."""

from __future__ import annotations

import numpy as np

from games import TERMINAL, PythonGame, State
from games.seats import with_seats

TARGET = 8
ACTIONS = 4


class RaceState(State):
    """Players add 1 to 4 to a total; who reaches 8 wins. No action may be played twice in a row."""

    def __init__(self, game: RaceGame) -> None:
        self.game, self.total, self.mover, self.last = game, 0, 0, -1
        self.paid = [0.0] * game.num_players

    def clone(self) -> RaceState:
        other = RaceState(self.game)
        other.total, other.mover, other.last, other.paid = self.total, self.mover, self.last, list(self.paid)
        return other

    def to_play(self) -> int:
        return TERMINAL if self.total >= TARGET else self.mover

    def legal_actions(self) -> list[int]:
        return [action for action in range(ACTIONS) if action != self.last]

    def apply(self, action: int) -> None:
        players, mover = self.game.num_players, self.mover
        self.total, self.last = self.total + action + 1, action
        if self.game.has_rewards:
            seats = [(p - mover) % players for p in range(players)]
            self.paid = [float((3 * self.total + 5 * action + 4 * seat) % 7 - 3) for seat in seats]
            if self.game.zero_sum and players == 2:
                self.paid[1 - mover] = -self.paid[mover]
        else:
            is_over = self.total >= TARGET
            loss = -1.0 / max(1, players - 1)
            self.paid = [(1.0 if p == mover else loss) if is_over else 0.0 for p in range(players)]
        is_doubled = self.game.extra_turns and self.total % 3 == 0
        self.mover = mover if is_doubled else (mover + 1) % players

    def rewards(self) -> list[float]:
        return self.paid

    def observation(self) -> np.ndarray:
        seen = np.zeros(TARGET + ACTIONS + 1, np.float32)
        seen[self.total], seen[TARGET + 1 + self.last] = 1.0, 1.0
        return seen

    def __str__(self) -> str:
        return f"total {self.total} last {self.last} mover {self.mover}"


class RaceGame(PythonGame):
    """See `RaceState`. `extra_turns`: who makes the total a multiple of 3 moves again."""

    num_actions = ACTIONS
    max_game_length = TARGET

    def __init__(self, players: int, has_rewards: bool, extra_turns: bool = False, zero_sum: bool = True) -> None:
        self.num_players, self.has_rewards, self.extra_turns = players, has_rewards, extra_turns
        self.zero_sum = zero_sum and players > 1 and not (has_rewards and players > 2)
        self.observation_shape = with_seats((TARGET + ACTIONS + 1,), players)
        self.name = self.rules = f"race of {players}"

    def new_state(self) -> RaceState:
        return RaceState(self)
