"""Pools for games written in plain Python, and the way back: one position of any pool as a `State`.

`PythonPool` is what `Game.new_pool` makes unless a game brings a faster pool of its own. A `State` in a pool is never
changed once it is stored: `step` clones before it plays, so slots may share one object and `copy`, `reset` and `load`
cost nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64

from games.base import (
    CHANCE,
    TERMINAL,
    Game,
    State,
    StatePool,
    chance_rounds,
    compressed,
    compressed_chance,
    require_same_rules,
)
from games.seats import write_seats


class PythonPool(StatePool):
    """Positions of a game in plain Python, one `State` object per slot."""

    def __init__(self, game: Game, capacity: int) -> None:
        self.game = game
        self.capacity = capacity
        self._initial = game.new_state()
        self._states: list[State] = [self._initial] * capacity

    def reset(self, slots: np.ndarray) -> None:
        for slot in slots.tolist():
            self._states[slot] = self._initial

    def step(
        self, src: Int64[np.ndarray, " B"], actions: Int64[np.ndarray, " B"], dst: Int64[np.ndarray, " B"]
    ) -> tuple[Int64[np.ndarray, " B"], Float64[np.ndarray, "B P"]]:
        to_play = np.empty(len(src), dtype=np.int64)
        rewards = np.empty((len(src), self.game.num_players))
        for i, (s, action, d) in enumerate(zip(src.tolist(), actions.tolist(), dst.tolist())):
            state = self._states[s].clone()
            state.apply(action)
            self._states[d] = state
            to_play[i] = state.to_play()
            rewards[i] = state.rewards()
        rewards /= self.game.utility_scale
        return to_play, rewards

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        for s, d in zip(src.tolist(), dst.tolist()):
            self._states[d] = self._states[s]

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        require_same_rules(self, source)
        if isinstance(source, PythonPool) and source.game.name == self.game.name:
            for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
                self._states[slot] = source._states[source_slot]
            return
        for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
            state = self._initial.clone()
            for action in source.history(source_slot):
                state.apply(action)
            self._states[slot] = state

    def to_play(self, slots: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        return np.array([self._states[slot].to_play() for slot in slots.tolist()], dtype=np.int64)

    def legal(self, slots: Int64[np.ndarray, " B"]) -> tuple[Int64[np.ndarray, " B+1"], Int64[np.ndarray, " K"]]:
        states = [self._states[slot] for slot in slots.tolist()]
        return compressed([state.legal_actions() if state.to_play() >= 0 else () for state in states], np.int64)

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return compressed_chance([self._states[slot].chance_outcomes() for slot in slots.tolist()])

    def observe(self, slots: Int64[np.ndarray, " B"], out: Float32[np.ndarray, "B *observation"]) -> None:
        own = out[:, : out.shape[1] - self.game.num_players]
        for i, slot in enumerate(slots.tolist()):
            own[i] = self._states[slot].observation()
        write_seats(out, self.to_play(slots), self.game.num_players)

    def rollout(self, slots: Int64[np.ndarray, " B"], rng: np.random.Generator) -> Float64[np.ndarray, "B P"]:
        total = np.zeros((len(slots), self.game.num_players))
        seeds = rng.integers(2**63, size=len(slots)).tolist()
        for i, slot in enumerate(slots.tolist()):
            state, draw, plies = self._states[slot].clone(), random.Random(seeds[i]), 0
            events = chance_rounds(self.game)
            while (to_play := state.to_play()) != TERMINAL and plies < self.game.most_plies:
                if to_play == CHANCE:
                    next(events)
                    outcomes, probabilities = zip(*state.chance_outcomes())
                    action = draw.choices(outcomes, probabilities)[0]
                else:
                    action = draw.choice(state.legal_actions())
                    plies, events = plies + 1, chance_rounds(self.game)
                state.apply(action)
                total[i] += state.rewards()
        return total / self.game.utility_scale

    def text(self, slot: int) -> str:
        return str(self._states[slot])

    def action_text(self, slot: int, action: int) -> str:
        return self._states[slot].action_text(action)


class PoolState(State):
    """One position of a game that has its own pool, as a `State`: a pool with a single slot."""

    def __init__(self, game: Game) -> None:
        self._pool = game.new_pool(1)
        self._slot = np.zeros(1, dtype=np.int64)
        self._rewards = [0.0] * game.num_players
        self._pool.reset(self._slot)

    def clone(self) -> PoolState:
        other = PoolState(self._pool.game)
        other._pool.load(other._slot, self._pool, self._slot)
        other._rewards = list(self._rewards)
        return other

    def to_play(self) -> int:
        return int(self._pool.to_play(self._slot)[0])

    def legal_actions(self) -> Sequence[int]:
        return self._pool.legal(self._slot)[1].tolist()

    def apply(self, action: int) -> None:
        _, rewards = self._pool.step(self._slot, np.array([action], dtype=np.int64), self._slot)
        self._rewards = (rewards[0] * self._pool.game.utility_scale).tolist()

    def rewards(self) -> Sequence[float]:
        return self._rewards

    def observation(self) -> np.ndarray:
        game = self._pool.game
        out = np.empty((1, *game.observation_shape), dtype=np.float32)
        self._pool.observe(self._slot, out)
        return out[0, : out.shape[1] - game.num_players]

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        _, outcomes, probabilities = self._pool.chance(self._slot)
        return list(zip(outcomes.tolist(), probabilities.tolist()))

    def action_text(self, action: int) -> str:
        return self._pool.action_text(0, action)

    def __str__(self) -> str:
        return self._pool.text(0)
