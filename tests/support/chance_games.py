"""Small games in which chance has its say after every move."""

from __future__ import annotations

import numpy as np
from record_helpers import facts

from games import CHANCE, TERMINAL, PythonGame, State
from games.seats import with_seats
from selfplay.experience.records import GameRecord

TARGET = 9
DIE = {0: (0.5, 0.25, 0.25), 1: (0.125, 0.125, 0.75), 2: (0.0, 0.5, 0.5)}
"""Probabilities of the outcomes after an action."""


class DiceState(State):
    """A move pays, and so does the die behind it, which adds to a total. Who reaches TARGET by it wins."""

    def __init__(self, game: DiceGame) -> None:
        self.game, self.total, self.mover, self.last, self.is_rolling = game, 0, 0, -1, False
        self.paid = [0.0] * game.num_players

    def clone(self) -> DiceState:
        other = DiceState(self.game)
        other.total, other.mover, other.last, other.is_rolling = self.total, self.mover, self.last, self.is_rolling
        other.paid = list(self.paid)
        return other

    def to_play(self) -> int:
        if self.is_rolling:
            return CHANCE
        return TERMINAL if self.total >= TARGET else self.mover

    def legal_actions(self) -> list[int]:
        return [action for action in range(3) if action != self.last]

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(outcome, share) for outcome, share in enumerate(DIE[self.last]) if share > 0]

    def apply(self, action: int) -> None:
        game, mover, players = self.game, self.mover, self.game.num_players
        seats = [(p - mover) % players for p in range(players)]
        if self.is_rolling:
            self.total += action + 1
            self.paid = [float((3 * self.total + self.last + 2 * seat) % 7 - 3) for seat in seats]
            self.mover = mover if game.extra_turns and action == 2 else (mover + 1) % players
        else:
            self.last = action
            self.paid = [float((2 * self.total + 3 * action + 4 * seat) % 5 - 2) for seat in seats]
        if not game.has_rewards:
            is_won = self.is_rolling and self.total >= TARGET
            self.paid = [(1.0 if seat == 0 else -1.0) if is_won else 0.0 for seat in seats]
        elif game.zero_sum:
            self.paid[1 - mover] = -self.paid[mover]
        self.is_rolling = not self.is_rolling

    def rewards(self) -> list[float]:
        return self.paid

    def observation(self) -> np.ndarray:
        seen = np.zeros(TARGET + 7, np.float32)
        seen[self.total], seen[TARGET + 4 + self.last] = 1.0, 1.0
        return seen

    def __str__(self) -> str:
        return f"total {self.total} last {self.last} mover {self.mover} rolling {self.is_rolling}"


class DiceGame(PythonGame):
    """See `DiceState`. `extra_turns`: who rolls the largest number moves again."""

    num_actions = 3
    max_game_length = TARGET
    max_chance_outcomes = 3

    def __init__(self, players: int, has_rewards: bool, extra_turns: bool = False) -> None:
        self.num_players, self.has_rewards, self.extra_turns = players, has_rewards, extra_turns
        self.zero_sum = players == 2
        self.observation_shape = with_seats((TARGET + 7,), players)
        self.name = self.rules = f"dice of {players}"

    def new_state(self) -> DiceState:
        return DiceState(self)


HEADS = 0.7
FLIPS = 6


class CoinState(State):
    """A coin is thrown after each move, and seen; the next move pays 1 if it names what the coin shows."""

    def __init__(self, game: CoinGame) -> None:
        self.game, self.moves, self.coin, self.is_thrown, self.paid = game, 0, 0, False, 0.0

    def clone(self) -> CoinState:
        other = CoinState(self.game)
        other.moves, other.coin, other.is_thrown, other.paid = self.moves, self.coin, self.is_thrown, self.paid
        return other

    def to_play(self) -> int:
        if self.is_thrown:
            return CHANCE
        return TERMINAL if self.moves == FLIPS else 0

    def legal_actions(self) -> list[int]:
        return [0, 1]

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(0, HEADS), (1, 1.0 - HEADS)]

    def apply(self, action: int) -> None:
        if self.is_thrown:
            self.coin, self.paid = action, 0.0
        else:
            self.moves, self.paid = self.moves + 1, float(action == self.coin)
        self.is_thrown = not self.is_thrown

    def rewards(self) -> list[float]:
        return [self.paid]

    def observation(self) -> np.ndarray:
        return np.array([self.coin, 1 - self.coin, self.moves / FLIPS], np.float32)

    def __str__(self) -> str:
        return f"coin {self.coin} move {self.moves} thrown {self.is_thrown}"


class CoinGame(PythonGame):
    """See `CoinState`."""

    name = rules = "coins"
    num_players = 1
    num_actions = 2
    max_game_length = FLIPS
    max_chance_outcomes = 2
    has_rewards = True
    zero_sum = False
    observation_shape = with_seats((3,), 1)

    def new_state(self) -> CoinState:
        return CoinState(self)


def coin_record(rng: np.random.Generator) -> GameRecord:
    """A game of coins with random moves, whose policy targets name the coin."""
    state = CoinState(CoinGame())
    seen, coins, moves, paid = [], [], [], []
    while state.to_play() != TERMINAL:
        if state.to_play() == CHANCE:
            state.apply(int(rng.random() >= HEADS))
            continue
        seen.append([*state.observation(), 1.0])
        coins.append(state.coin)
        moves.append(int(rng.integers(2)))
        state.apply(moves[-1])
        paid.append([state.paid])
    length = len(moves)
    return facts(
        length,
        1,
        observation=np.array(seen, np.float32),
        legal_actions=np.tile(np.int32([0, 1]), (length, 1)),
        policy_target=np.eye(2, dtype=np.float32)[coins],
        action=np.array(moves, np.int32),
        to_play=np.zeros(length, np.int32),
        version=np.zeros(length, np.int32),
        reward=np.array(paid),
        final_observation=np.zeros((0, 4), np.float32),
    )
