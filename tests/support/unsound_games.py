"""Games that say what none may say, for tests: `game: unsound_games:nan_rewards` and the like."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np

import games
from games import CHANCE, TERMINAL, Game, PythonGame, State
from games.seats import with_seats


class Count(State):
    """Both players add 1 or 2 in turn; who reaches 12 wins. Chance adds 0 or 1 after every move of the second.

    One answer in `every` about the total of 7 is a wrong one.
    """

    target = 12
    every = 60
    answers = 0

    def __init__(self, game: Game) -> None:
        self.game, self.total, self.mover, self.paid = game, 0, 0, [0.0, 0.0]
        self.chance = False

    def clone(self) -> Count:
        other = type(self)(self.game)
        other.total, other.mover, other.paid, other.chance = self.total, self.mover, list(self.paid), self.chance
        return other

    def is_wrong(self) -> bool:
        """Whether the game says something wrong now."""
        if self.total == 7:
            type(self).answers += 1
        return self.total == 7 and self.answers % self.every == 0

    def to_play(self) -> Any:
        if self.total >= self.target:
            return TERMINAL
        return CHANCE if self.chance else self.mover

    def legal_actions(self) -> Any:
        return [0, 1]

    def apply(self, action: int) -> None:
        self.paid = [0.0, 0.0]
        if self.chance:
            self.chance = False
            self.total = min(self.total + action, self.target - 1)
            return
        self.total += action + 1
        if self.total >= self.target:
            self.paid[self.mover], self.paid[1 - self.mover] = 1.0, -1.0
        self.chance = self.mover == 1
        self.mover = 1 - self.mover

    def rewards(self) -> Any:
        return self.paid

    def observation(self) -> Any:
        return np.eye(self.target + 2, dtype=np.float32)[self.total]

    def chance_outcomes(self) -> Any:
        return [(0, 0.5), (1, 0.5)]


class NanRewards(Count):
    def rewards(self) -> Any:
        return [float("nan"), 0.0] if self.is_wrong() else self.paid


class OneReward(Count):
    def rewards(self) -> Any:
        return [0.0] if self.is_wrong() else self.paid


class NoRewards(Count):
    def rewards(self) -> Any:
        return None if self.is_wrong() else self.paid


class NothingLegal(Count):
    def legal_actions(self) -> Any:
        return [] if self.is_wrong() else [0, 1]


class IllegalNumber(Count):
    def legal_actions(self) -> Any:
        return [0, 5] if self.is_wrong() else [0, 1]


class LegalTwice(Count):
    def legal_actions(self) -> Any:
        return [1, 1] if self.is_wrong() else [0, 1]


class LegalHalf(Count):
    def legal_actions(self) -> Any:
        return [0, 0.5] if self.is_wrong() else [0, 1]


class HalfChance(Count):
    def chance_outcomes(self) -> Any:
        return [(0, 0.5), (1, 0.1)] if self.is_wrong() else [(0, 0.5), (1, 0.5)]


class NegativeChance(Count):
    def chance_outcomes(self) -> Any:
        return [(0, 1.5), (1, -0.5)] if self.is_wrong() else [(0, 0.5), (1, 0.5)]


class NanChance(Count):
    def chance_outcomes(self) -> Any:
        return [(0, float("nan")), (1, 0.5)] if self.is_wrong() else [(0, 0.5), (1, 0.5)]


class NoChance(Count):
    def chance_outcomes(self) -> Any:
        return [] if self.is_wrong() else [(0, 0.5), (1, 0.5)]


class NanObservation(Count):
    def observation(self) -> Any:
        return np.full(14, np.nan, np.float32) if self.is_wrong() else super().observation()


class ShortObservation(Count):
    def observation(self) -> Any:
        return np.zeros(3, np.float32) if self.is_wrong() else super().observation()


class ThirdPlayer(Count):
    def to_play(self) -> Any:
        return 2 if self.is_wrong() else super().to_play()


class AlwaysWrong(NanRewards):
    def is_wrong(self) -> bool:
        return self.total > 0


class WrongStart(NanObservation):
    def is_wrong(self) -> bool:
        return self.total == 0


class CountGame(PythonGame):
    """Makes positions of one of the classes above."""

    num_players, num_actions, max_game_length, max_chance_outcomes = 2, 2, 24, 2
    observation_shape = with_seats((14,), 2)

    def __init__(self, kind: type[Count]) -> None:
        self.kind = kind

    def new_state(self) -> State:
        return self.kind(self)


WRONG_SOMETIMES = (
    NanRewards, OneReward, NoRewards, NothingLegal, IllegalNumber, LegalTwice, LegalHalf, HalfChance, NegativeChance,
    NanChance, NoChance, NanObservation, ShortObservation, ThirdPlayer,
)  # fmt: skip


def register_all() -> None:
    """Make the games known by the names of their classes: `NanRewards` is `nan_rewards`."""
    for kind in (*WRONG_SOMETIMES, AlwaysWrong, WrongStart, Count):
        games.register(name_of(kind), partial(CountGame, kind))


def name_of(kind: type[Count]) -> str:
    """The name of a game without the module."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


register_all()
