"""Connect Four with any rows, columns and length of line: arrays of positions and jitted rules.

The same game as OpenSpiel's `connect_four` (actions, returns, observation, text), tens of times faster: one kernel call
serves a whole batch. A position is a board of `games.native.bordered`, so lines end without a check of the bounds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, GameError, Symmetry
from games.native.bordered import check_size, empty_board, filled, inner
from games.native.pool import NUM_PLAYERS, NativePool, random_bits
from games.parameters import Value, canonical
from games.seats import mark_seat, with_seats
from games.symmetry import declared_symmetries

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
        check_size("connect_four", rows, columns)
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

    def new_pool(self, capacity: int) -> ConnectFourPool:
        return ConnectFourPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return declared_symmetries("connect_four", self, {"rows": self.rows, "columns": self.columns})


class ConnectFourPool(NativePool):
    """A cell holds the ply that filled it, negative for player 1. The board is stored from the bottom row up."""

    def __init__(self, game: ConnectFour, capacity: int) -> None:
        super().__init__(game, capacity, empty_board(game.rows, game.columns, largest=game.max_game_length))
        self.game: ConnectFour = game
        self._size = (game.rows, game.columns, game.x_in_row)

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        rows, columns, x_in_row = self._size
        _step(
            self._boards, self._played, self._to_play, rows, columns, x_in_row, src, actions, dst, to_play, rewards
        )  # fmt: skip

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._boards, self._to_play, self.game.rows, self.game.columns, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        rows, columns, _ = self._size
        _observe(self._boards, self._to_play, rows, columns, self.game.egocentric, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        rows, columns, x_in_row = self._size
        _rollout(self._boards, self._played, self._to_play, rows, columns, x_in_row, slots, seeds, rewards)

    def _cells(self, slot: int) -> np.ndarray:
        """The board of a slot without its border, `[rows, columns]`, the bottom row first."""
        return inner(self._boards[slot], self.game.rows, self.game.columns)

    def text(self, slot: int) -> str:
        discs = np.array(["o", ".", "x"])[np.sign(self._cells(slot)) + 1]
        return "".join("".join(row) + "\n" for row in discs[::-1])

    def action_text(self, slot: int, action: int) -> str:
        return f"{'xo'[self._played[slot] % NUM_PLAYERS]}{action}"

    def history(self, slot: int) -> list[int]:
        return (filled(self._cells(slot), self._played[slot]) % self.game.columns).tolist()


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
        # No player moves in a finished game: the view is that of player 0, and no seat is marked.
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
        mark_seat(planes, cells, NUM_PLAYERS, mover)


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
            state, bits = random_bits(state)
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
