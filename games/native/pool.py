"""The common part of the pools of native games: arrays of positions, reused buffers, batches, copies and loads.

A position is one row of an array of numbers, with the moves that led to it in some form, beside its ply and who moves.
A game adds jitted kernels for its rules and a method around each of them that hands over its sizes. A game with chance
nodes overrides `chance` too.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Self

import numpy as np
from numba import njit

from games.base import Game, StatePool, require_same_rules

NUM_PLAYERS = 2
"""Number of players of a native board game."""


class NativePool(StatePool):
    """Positions as arrays; results are views of buffers that the next call of the same method reuses."""

    def __init__(self, game: Game, capacity: int, start: np.ndarray, first: int = 0) -> None:
        """`start` is the row of the initial position, where `first` moves: a player, or `CHANCE`."""
        self.game = game
        self.capacity = capacity
        self._start, self._first = start, first
        self._boards = np.zeros((capacity, start.size), dtype=start.dtype)
        self._played = np.zeros(capacity, dtype=np.int64)  # plies so far
        self._to_play = np.zeros(capacity, dtype=np.int64)
        self._make_buffers(min(capacity, 256))

    @abstractmethod
    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        """`StatePool.step`, with the results written into `to_play [B]` and `rewards [B, P]`."""

    @abstractmethod
    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        """`StatePool.legal`, with the results written into `offsets [B + 1]`, but for its first entry, and `actions`.

        Returns the number of actions.
        """

    @abstractmethod
    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        """`StatePool.observe` into flat observations `out [B, prod(observation_shape)]`."""

    @abstractmethod
    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        """`StatePool.rollout` with a seed uint64 for each game, written into `rewards [B, P]`."""

    def _make_buffers(self, batch: int) -> None:
        self._batch = batch
        self._step_to_play = np.empty(batch, dtype=np.int64)
        self._step_rewards = np.empty((batch, self.game.num_players))
        self._legal_offsets = np.zeros(batch + 1, dtype=np.int64)
        self._legal_actions = np.empty(batch * self.game.num_actions, dtype=np.int64)

    def reset(self, slots: np.ndarray) -> None:
        self._boards[slots] = self._start
        self._played[slots] = 0
        self._to_play[slots] = self._first

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = len(src)
        if batch > self._batch:
            self._make_buffers(batch)
        to_play, rewards = self._step_to_play[:batch], self._step_rewards[:batch]
        self._step_into(src, actions, dst, to_play, rewards)
        return to_play, rewards

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        self._copy_from(self, src, dst)

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        require_same_rules(self, source)
        if isinstance(source, type(self)):
            self._copy_from(source, source_slots, slots)
            return
        self.reset(slots)
        for slot, source_slot in zip(slots, source_slots.tolist()):
            place = np.array([slot], dtype=np.int64)
            for action in source.history(source_slot):
                self.step(place, np.array([action], dtype=np.int64), place)

    def _copy_from(self, source: Self, src: np.ndarray, dst: np.ndarray) -> None:
        """Copy positions of a pool of the same kind, one after the other."""
        _copy(source._boards, source._played, source._to_play, src, self._boards, self._played, self._to_play, dst)

    def to_play(self, slots: np.ndarray) -> np.ndarray:
        return self._to_play[slots]

    def legal(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = len(slots)
        if batch > self._batch:
            self._make_buffers(batch)
        offsets = self._legal_offsets[: batch + 1]
        count = self._legal_into(slots, offsets, self._legal_actions)
        return offsets, self._legal_actions[:count]

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.zeros(len(slots) + 1, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)

    def observe(self, slots: np.ndarray, out: np.ndarray) -> None:
        self._observe_into(slots, out.reshape(len(slots), math.prod(out.shape[1:]), copy=False))

    def rollout(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rewards = np.empty((len(slots), self.game.num_players))
        self._rollout_into(slots, rng.integers(2**64, size=len(slots), dtype=np.uint64), rewards)
        return rewards


@njit(cache=True)
def _copy(boards, played, to_play, src, out_boards, out_played, out_to_play, dst):  # type: ignore[no-untyped-def]
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        board, parent = out_boards[d], boards[s]
        for cell in range(board.shape[0]):
            board[cell] = parent[cell]
        out_played[d] = played[s]
        out_to_play[d] = to_play[s]


@njit(cache=True)
def copy_cells(source, target, count):  # type: ignore[no-untyped-def]
    """Copy the first `count` entries of an array into another."""
    for k in range(count):
        target[k] = source[k]


@njit(cache=True)
def random_bits(state):  # type: ignore[no-untyped-def]
    """SplitMix64 (Steele et al. 2014): the next state, and 31 random bits as a signed number."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(33))
