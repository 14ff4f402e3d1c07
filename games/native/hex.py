"""Hex on any board: arrays of positions and jitted rules.

The same game as OpenSpiel's `hex` (actions, returns, observation, text), many times faster: one kernel call serves a
whole batch. A position is a board of `games.native.bordered`. Every stone knows which edges of its colour it is joined
to, as OpenSpiel's observation shows them; so a stone that joins both wins, and a move looks at its neighbours and at
stones that it joins to their first edge, never at the whole board.
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

BOARD_SIZE = 11
"""Rows and columns unless given (OpenSpiel's default)."""

OWN_PLANES = 9
EMPTY_PLANE = 4
"""Planes of stones lie around that of the empty cells: player 0's behind it, player 1's in front of it."""

FAR, NEAR = 1, 2
"""Links of a stone, two bits: joined to the last row or column (south, east), to the first one (north, west)."""

BOTH = FAR | NEAR


class Hex(Game):
    """Place stones; player 0 (x) wins by joining the top row to the bottom row, player 1 (o) the left to the right.

    Observation, OpenSpiel's planes: the stone that won, stones joined to the left, to the right, and to neither, of
    player 1; empty cells; stones joined to neither, to the bottom, to the top, the stone that won, of player 0; seat
    planes. A stone that wins joins its neighbours to nothing. `num_cols` and `num_rows` are `board_size` unless given.
    """

    num_players = NUM_PLAYERS

    def __init__(
        self,
        board_size: int = BOARD_SIZE,
        num_cols: int = 0,
        num_rows: int = 0,
        plain_obs_tensor: bool = False,
        string_rep: str = "standard",
        swap: bool = False,
    ) -> None:
        self.rows, self.columns = num_rows or board_size, num_cols or board_size
        sizes: dict[str, tuple[Value, Value]] = {  # each with its default
            "board_size": (board_size, BOARD_SIZE),
            "num_cols": (self.columns, board_size),
            "num_rows": (self.rows, board_size),
        }
        others: dict[str, tuple[Value, Value]] = {
            "plain_obs_tensor": (plain_obs_tensor, False),
            "string_rep": (string_rep, "standard"),
            "swap": (swap, False),
        }
        chosen = {key: value for key, (value, default) in (sizes | others).items() if value != default}
        if refused := [key for key in others if key in chosen]:
            instead = canonical("openspiel:hex", chosen)
            raise GameError(f"hex: only OpenSpiel's version has {' and '.join(refused)}; write {instead}")
        if min(self.rows, self.columns) < 2:  # on a single row OpenSpiel's game may end without a winner
            raise GameError("hex: board_size, num_cols and num_rows must be at least 2")
        self.name = self.rules = canonical("hex", chosen)
        check_size(self.name, self.rows, self.columns)
        self.num_actions = self.max_game_length = self.rows * self.columns
        self.observation_shape = with_seats((OWN_PLANES, self.rows, self.columns), NUM_PLAYERS)

    def new_pool(self, capacity: int) -> HexPool:
        return HexPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        sizes = {"num_rows": self.rows, "num_cols": self.columns, "plain_obs_tensor": False}
        return declared_symmetries("hex", self, sizes)


class HexPool(NativePool):
    """A cell holds four times the ply that filled it plus the links of the stone, negative for player 1."""

    def __init__(self, game: Hex, capacity: int) -> None:
        super().__init__(game, capacity, empty_board(game.rows, game.columns, 4 * game.max_game_length + BOTH))
        self._size = (game.rows, game.columns)

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        rows, columns = self._size
        _step(self._boards, self._played, self._to_play, rows, columns, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        rows, columns = self._size
        return _legal(self._boards, self._to_play, rows, columns, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        rows, columns = self._size
        _observe(self._boards, self._to_play, rows, columns, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        rows, columns = self._size
        _rollout(self._boards, self._played, self._to_play, rows, columns, slots, seeds, rewards)

    def _cells(self, slot: int) -> np.ndarray:
        return inner(self._boards[slot], *self._size)

    def text(self, slot: int) -> str:
        stones = np.array(["o ", ". ", "x "])[np.sign(self._cells(slot)) + 1]
        return "\n".join(" " * row + "".join(line) for row, line in enumerate(stones))

    def action_text(self, slot: int, action: int) -> str:
        row, column = divmod(action, self._size[1])
        return f"{chr(ord('a') + column)}{row + 1}"

    def history(self, slot: int) -> list[int]:
        return filled(self._cells(slot), self._played[slot]).tolist()


@njit(cache=True)
def _neighbours(columns):  # type: ignore[no-untyped-def]
    """Steps to the six neighbours of a cell on a board with border: a row's next one is shifted by half a cell."""
    down = columns + 1
    return -down, 1 - down, -1, 1, down - 1, down


@njit(cache=True)
def _place(board, rows, columns, action, ply, stack):  # type: ignore[no-untyped-def]
    """Put the stone of `ply` on a board; returns whether it joins both edges. `stack` has room for all cells."""
    row, column = action // columns, action % columns
    cell, neighbours = (row + 1) * (columns + 1) + column + 1, _neighbours(columns)
    sign, along, last = (1, row, rows - 1) if ply & 1 else (-1, column, columns - 1)
    link = NEAR if along == 0 else FAR if along == last else 0
    for step in neighbours:
        stone = board[cell + step] * sign
        if stone > 0:
            link |= stone & BOTH
    board[cell] = (4 * ply + link) * sign
    if link == 0 or link == BOTH:
        return link == BOTH
    stack[0] = cell
    count = 1
    while count > 0:  # hand the link on to stones that had none
        count -= 1
        cell = stack[count]
        for step in neighbours:
            stone = board[cell + step] * sign
            if stone > 0 and stone & BOTH == 0:
                board[cell + step] = (stone + link) * sign
                stack[count] = cell + step
                count += 1
    return False


@njit(cache=True)
def _step(boards, played, to_play, rows, columns, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    stack = np.empty(rows * columns, np.int64)
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        board, parent = boards[d], boards[s]
        if s != d:
            for cell in range(board.shape[0]):
                board[cell] = parent[cell]
        ply = played[s] + 1
        played[d] = ply
        wins = _place(board, rows, columns, actions[i], ply, stack)
        next_player = TERMINAL if wins else ply & 1
        reward = (1.0 if ply & 1 else -1.0) if wins else 0.0  # of player 0, who plays the odd plies
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
        to_play[d] = next_player
        out_to_play[i] = next_player


@njit(cache=True)
def _empty(board, rows, columns, actions, count):  # type: ignore[no-untyped-def]
    """Write the actions of empty cells into `actions` from `count` on; returns the count after them."""
    for row in range(rows):
        start = (row + 1) * (columns + 1) + 1
        for column in range(columns):
            if board[start + column] == 0:
                actions[count] = row * columns + column
                count += 1
    return count


@njit(cache=True)
def _legal(boards, to_play, rows, columns, slots, offsets, actions):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(slots.shape[0]):
        if to_play[slots[i]] != TERMINAL:
            count = _empty(boards[slots[i]], rows, columns, actions, count)
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(boards, to_play, rows, columns, slots, out):  # type: ignore[no-untyped-def]
    cells = rows * columns
    for i in range(slots.shape[0]):
        board, planes = boards[slots[i]], out[i]
        for k in range(OWN_PLANES * cells):
            planes[k] = 0.0
        cell = 0
        for row in range(rows):
            start = (row + 1) * (columns + 1) + 1
            for column in range(columns):
                stone = board[start + column]
                plane = EMPTY_PLANE
                if stone > 0:
                    plane += 1 + (stone & BOTH)
                elif stone < 0:
                    plane -= 1 + (-stone & BOTH)
                planes[plane * cells + cell] = 1.0
                cell += 1
        mark_seat(planes, cells, NUM_PLAYERS, to_play[slots[i]])


@njit(cache=True)
def _rollout(boards, played, to_play, rows, columns, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    board = np.empty(boards.shape[1], boards.dtype)
    empty, stack = np.empty(rows * columns, np.int64), np.empty(rows * columns, np.int64)
    for i in range(slots.shape[0]):
        slot, state = slots[i], seeds[i]
        reward, ply = 0.0, played[slot]
        if to_play[slot] != TERMINAL:
            for cell in range(board.shape[0]):
                board[cell] = boards[slot, cell]
            count = _empty(board, rows, columns, empty, 0)
            while reward == 0.0:  # a full board always has a winner
                state, bits = random_bits(state)
                choice = bits % count
                action = empty[choice]
                count -= 1
                empty[choice] = empty[count]
                ply += 1
                if _place(board, rows, columns, action, ply, stack):
                    reward = 1.0 if ply & 1 else -1.0
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
