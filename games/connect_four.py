"""Connect Four with any rows, columns and length of line: arrays of positions and jitted rules.

The same game as OpenSpiel's `connect_four` (actions, returns, observation, text), tens of times faster: one kernel call
serves a whole batch. A position is one row of small integers, one a cell: 0 while empty, else the ply that filled it,
negative for player 1, so that it holds colours and history at once. The board is stored from the bottom row up with a
border of empty cells around it (one column serves as the left and the right border), so lines end without a check of
the bounds.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, GameError, State, StatePool, Symmetry, require_same_rules
from games.parameters import Value, canonical
from games.python_pool import PoolState
from games.seats import with_seats
from games.symmetry import declared_symmetries

MAX_CELLS = 32_767
"""Plies are numbered in 8 bits where they fit, else in 16."""

NUM_PLAYERS = 2
OWN_PLANES = 3

_DEFAULTS: dict[str, Value] = {"rows": 6, "columns": 7, "x_in_row": 4, "egocentric_obs_tensor": False}


class ConnectFour(Game):
    """Drop discs into columns; `x_in_row` of one colour in a line win, a full board is a draw.

    Observation: player 0's discs, player 1's discs, empty cells, seat planes. With `egocentric_obs_tensor` the first
    two are the opponent's and one's own (OpenSpiel's order).
    """

    num_players = NUM_PLAYERS

    def __init__(self, rows: int = 6, columns: int = 7, x_in_row: int = 4, egocentric_obs_tensor: bool = False) -> None:
        if rows < 1 or columns < 1 or x_in_row < 1:
            raise GameError("connect_four: rows, columns and x_in_row must be at least 1")
        if rows * columns > MAX_CELLS:
            raise GameError(f"connect_four: {rows} rows of {columns} columns are more than {MAX_CELLS} cells")
        self.rows, self.columns, self.x_in_row = rows, columns, x_in_row
        self.egocentric = egocentric_obs_tensor
        self.num_actions = columns
        self.observation_shape = with_seats((OWN_PLANES, rows, columns), NUM_PLAYERS)
        self.max_game_length = rows * columns
        sizes: dict[str, Value] = {"rows": rows, "columns": columns, "x_in_row": x_in_row}
        chosen = sizes | {"egocentric_obs_tensor": egocentric_obs_tensor}
        self.name, self.rules = (
            canonical("connect_four", {key: value for key, value in given.items() if value != _DEFAULTS[key]})
            for given in (chosen, sizes)
        )

    def new_state(self) -> State:
        return PoolState(self)

    def new_pool(self, capacity: int) -> ConnectFourPool:
        return ConnectFourPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return declared_symmetries("connect_four", self, {"rows": self.rows, "columns": self.columns})


class ConnectFourPool(StatePool):
    """Positions as arrays; results are views of buffers that the next call of the same method reuses."""

    def __init__(self, game: ConnectFour, capacity: int) -> None:
        self.game: ConnectFour = game
        self.capacity = capacity
        # Cell (row, column) is at (row + 1) * (columns + 1) + column + 1.
        cells = (game.rows + 2) * (game.columns + 1) + 1
        dtype = np.int8 if game.max_game_length <= np.iinfo(np.int8).max else np.int16
        self._boards = np.zeros((capacity, cells), dtype=dtype)
        self._played = np.zeros(capacity, dtype=np.int64)  # plies so far
        self._to_play = np.zeros(capacity, dtype=np.int64)
        self._size = (game.rows, game.columns, game.x_in_row)
        self._make_buffers(min(capacity, 256))

    def _make_buffers(self, batch: int) -> None:
        self._batch = batch
        self._step_to_play = np.empty(batch, dtype=np.int64)
        self._step_rewards = np.empty((batch, NUM_PLAYERS))
        self._legal_offsets = np.zeros(batch + 1, dtype=np.int64)
        self._legal_actions = np.empty(batch * self.game.columns, dtype=np.int64)

    def reset(self, slots: np.ndarray) -> None:
        self._boards[slots] = 0
        self._played[slots] = 0
        self._to_play[slots] = 0

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = len(src)
        if batch > self._batch:
            self._make_buffers(batch)
        to_play, rewards = self._step_to_play[:batch], self._step_rewards[:batch]
        rows, columns, x_in_row = self._size
        _step(
            self._boards, self._played, self._to_play, rows, columns, x_in_row, src, actions, dst, to_play, rewards
        )  # fmt: skip
        return to_play, rewards

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        _copy(self._boards, self._played, self._to_play, src, self._boards, self._played, self._to_play, dst)

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        require_same_rules(self, source)
        if isinstance(source, ConnectFourPool):
            _copy(
                source._boards, source._played, source._to_play, source_slots,
                self._boards, self._played, self._to_play, slots,
            )  # fmt: skip
            return
        self.reset(slots)
        for slot, source_slot in zip(slots, source_slots.tolist()):
            place = np.array([slot], dtype=np.int64)
            for action in source.history(source_slot):
                self.step(place, np.array([action], dtype=np.int64), place)

    def to_play(self, slots: np.ndarray) -> np.ndarray:
        return self._to_play[slots]

    def legal(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = len(slots)
        if batch > self._batch:
            self._make_buffers(batch)
        offsets, actions = self._legal_offsets[: batch + 1], self._legal_actions
        count = _legal(self._boards, self._to_play, self.game.rows, self.game.columns, slots, offsets, actions)
        return offsets, actions[:count]

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.zeros(len(slots) + 1, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)

    def observe(self, slots: np.ndarray, out: np.ndarray) -> None:
        rows, columns, _ = self._size
        flat = out.reshape(len(slots), math.prod(out.shape[1:]), copy=False)
        _observe(self._boards, self._to_play, rows, columns, self.game.egocentric, slots, flat)

    def rollout(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seeds = rng.integers(2**64, size=len(slots), dtype=np.uint64)
        rewards = np.empty((len(slots), NUM_PLAYERS))
        rows, columns, x_in_row = self._size
        _rollout(self._boards, self._played, self._to_play, rows, columns, x_in_row, slots, seeds, rewards)
        return rewards

    def _cells(self, slot: int) -> np.ndarray:
        """The board of a slot without its border, `[rows, columns]`, the bottom row first."""
        return self._boards[slot, :-1].reshape(self.game.rows + 2, self.game.columns + 1)[1:-1, 1:]

    def text(self, slot: int) -> str:
        discs = np.array(["o", ".", "x"])[np.sign(self._cells(slot)) + 1]
        return "".join("".join(row) + "\n" for row in discs[::-1])

    def action_text(self, slot: int, action: int) -> str:
        return f"{'xo'[self._played[slot] % NUM_PLAYERS]}{action}"

    def history(self, slot: int) -> list[int]:
        plies = np.abs(self._cells(slot)).ravel()
        cells = np.argsort(plies, kind="stable")[plies.size - self._played[slot] :]
        return (cells % self.game.columns).tolist()


@njit(cache=True)
def _length(board, cell, step, sign):  # type: ignore[no-untyped-def]
    """Number of discs of the player of `sign` in a line, from the cell after `cell` on."""
    count = 0
    cell += step
    while board[cell] * sign > 0:
        count += 1
        cell += step
    return count


@njit(cache=True)
def _drop(board, columns, x_in_row, column, ply):  # type: ignore[no-untyped-def]
    """Put the disc of `ply` into a column of a board with border; returns whether it completes a line."""
    up = columns + 1
    cell = up + 1 + column
    while board[cell] != 0:
        cell += up
    sign = 1 if ply & 1 else -1
    board[cell] = ply * sign
    # Only a line through the new disc can be new: down its column, along its row, and along both diagonals.
    if 1 + _length(board, cell, -up, sign) >= x_in_row:
        return True
    for step in (1, up + 1, up - 1):
        if 1 + _length(board, cell, step, sign) + _length(board, cell, -step, sign) >= x_in_row:
            return True
    return False


@njit(cache=True)
def _step(boards, played, to_play, rows, columns, x_in_row, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        board, parent = boards[d], boards[s]
        if s != d:
            for cell in range(board.shape[0]):
                board[cell] = parent[cell]
        ply = played[s] + 1
        played[d] = ply
        wins = _drop(board, columns, x_in_row, actions[i], ply)
        next_player = TERMINAL if wins or ply == rows * columns else ply & 1
        reward = (1.0 if ply & 1 else -1.0) if wins else 0.0  # of player 0, who plays the odd plies
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
        to_play[d] = next_player
        out_to_play[i] = next_player


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
def _legal(boards, to_play, rows, columns, slots, offsets, actions):  # type: ignore[no-untyped-def]
    top = rows * (columns + 1) + 1
    count = 0
    for i in range(slots.shape[0]):
        slot = slots[i]
        if to_play[slot] != TERMINAL:
            for column in range(columns):
                if boards[slot, top + column] == 0:
                    actions[count] = column
                    count += 1
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(boards, to_play, rows, columns, egocentric, slots, out):  # type: ignore[no-untyped-def]
    cells = rows * columns
    for i in range(slots.shape[0]):
        board, planes, mover = boards[slots[i]], out[i], to_play[slots[i]]
        # Nobody moves in a finished game: it is seen by player 0 and no seat is marked.
        sign = -1 if egocentric and mover != 1 else 1  # of the player whose discs are in plane 0
        cell = 0
        for row in range(rows):
            start = (row + 1) * (columns + 1) + 1
            for column in range(columns):
                disc = board[start + column] * sign
                planes[cell] = np.float32(disc > 0)
                planes[cells + cell] = np.float32(disc < 0)
                planes[2 * cells + cell] = np.float32(disc == 0)
                cell += 1
        for seat in range(NUM_PLAYERS):
            mark, first = np.float32(mover == seat), (OWN_PLANES + seat) * cells
            for cell in range(first, first + cells):
                planes[cell] = mark


@njit(cache=True)
def _random(state):  # type: ignore[no-untyped-def]
    """SplitMix64 (Steele et al. 2014): the next state, and 31 random bits as a signed number."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(33))


@njit(cache=True)
def _rollout(boards, played, to_play, rows, columns, x_in_row, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    top = rows * (columns + 1) + 1
    board = np.empty(boards.shape[1], boards.dtype)
    open_columns = np.empty(columns, np.int64)
    for i in range(slots.shape[0]):
        slot, state = slots[i], seeds[i]
        reward, count, ply = 0.0, 0, played[slot]
        if to_play[slot] != TERMINAL:
            for cell in range(board.shape[0]):
                board[cell] = boards[slot, cell]
            for column in range(columns):
                if board[top + column] == 0:
                    open_columns[count] = column
                    count += 1
        while count > 0:
            state, bits = _random(state)
            choice = bits % count
            column = open_columns[choice]
            ply += 1
            if _drop(board, columns, x_in_row, column, ply):
                reward = 1.0 if ply & 1 else -1.0
                break
            if board[top + column] != 0:
                count -= 1
                open_columns[choice] = open_columns[count]
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
