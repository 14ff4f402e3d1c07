"""Breakthrough on any board: arrays of positions and jitted rules.

The rules of OpenSpiel's `breakthrough`, many times faster: one kernel call serves a whole batch. Observations and
actions are not OpenSpiel's. Both are turned to the player to move, who always plays up the board, and an action is a
plane and a cell, so that a network needs three planes of numbers for all moves.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, GameError, Symmetry
from games.native.bordered import check_size
from games.native.pool import NUM_PLAYERS, NativePool, copy_cells, random_bits
from games.parameters import Value, canonical
from games.seats import mark_seat, with_seats
from games.symmetry import mirror_of_planes, planes_of_cells

SIZE = 8
"""Rows and columns unless given."""

OWN_PLANES = 2
DIRECTIONS = 3
"""Planes of actions: forward to the left, straight, to the right, as the player to move sees it."""


class Breakthrough(Game):
    """Step forward, straight or diagonally, capture only diagonally; a piece on the last row wins.

    Player 0 (white, w) begins at the bottom. Observation: pieces of the player to move, of the opponent, seat planes,
    turned so that the player to move plays up the board. Who captures all pieces wins too.
    """

    num_players = NUM_PLAYERS

    def __init__(self, columns: int = SIZE, rows: int = SIZE) -> None:
        if min(rows, columns) < 2:
            raise GameError("breakthrough: rows and columns must be at least 2")
        chosen: dict[str, Value] = {key: n for key, n in (("columns", columns), ("rows", rows)) if n != SIZE}
        self.name = self.rules = canonical("breakthrough", chosen)
        check_size(self.name, rows, columns)
        self.rows, self.columns = rows, columns
        self.uci_variant = "" if chosen else "breakthrough"
        self.num_actions = DIRECTIONS * rows * columns
        self.max_game_length = 2 * columns * (2 * rows - 3) + 1  # as OpenSpiel has it, which is more than can be played
        self.action_planes = planes_of_cells(DIRECTIONS, rows, columns)
        self.observation_shape = with_seats((OWN_PLANES, rows, columns), NUM_PLAYERS)

    def new_pool(self, capacity: int) -> BreakthroughPool:
        return BreakthroughPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return [mirror_of_planes(self, (2, 1, 0))]


class BreakthroughPool(NativePool):
    """A row is the board and the actions so far.

    The board is turned to the player to move, who has the 1s; the opponent has the -1s.
    """

    game: Breakthrough

    def __init__(self, game: Breakthrough, capacity: int) -> None:
        cells = game.rows * game.columns
        action_dtype = np.min_scalar_type(game.num_actions - 1)
        start = np.zeros(-(-cells // 4) * 4 + game.max_game_length * action_dtype.itemsize, np.int8)
        filled = game.columns * (2 if game.rows > 5 else 1)
        start[:filled] = -1
        start[cells - filled : cells] = 1
        super().__init__(game, capacity, start)
        self._cells = self._boards[:, :cells]
        self._actions = self._boards[:, -(-cells // 4) * 4 :].view(action_dtype)  # [capacity, max_game_length]

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        columns = self.game.columns
        _step(self._cells, self._actions, self._played, self._to_play, columns, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._cells, self._to_play, self.game.columns, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(self._cells, self._to_play, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        _rollout(self._cells, self._to_play, self.game.columns, slots, seeds, rewards)

    def text(self, slot: int) -> str:
        rows, columns = self.game.rows, self.game.columns
        is_turned = self._played[slot] % 2 == 1
        board = -self._cells[slot, ::-1] if is_turned else self._cells[slot]
        lines = [
            f"{rows - row:>{len(str(rows))}} " + "".join(".wb"[piece] for piece in line)
            for row, line in enumerate(board.reshape(rows, columns).tolist())
        ]
        lines.append(" " * len(str(rows)) + " " + "".join(map(_letter, range(columns))))
        to_play = int(self._to_play[slot])
        lines.append("the game is over" if to_play == TERMINAL else f"{('white', 'black')[to_play]} to move")
        return "\n".join(lines)

    def action_text(self, slot: int, action: int) -> str:
        rows, columns = self.game.rows, self.game.columns
        direction, cell = divmod(action, rows * columns)
        target = cell - columns + direction - 1
        if self._to_play[slot] == 1:
            cell, target = rows * columns - 1 - cell, rows * columns - 1 - target
        return "".join(f"{_letter(place % columns)}{rows - place // columns}" for place in (cell, target))

    def history(self, slot: int) -> list[int]:
        return self._actions[slot, : self._played[slot]].tolist()


def _letter(column: int) -> str:
    """a to z, then aa, ab and so on."""
    return chr(ord("a") + column) if column < 26 else _letter(column // 26 - 1) + _letter(column % 26)


@njit(cache=True)
def _move(board, columns, action):  # type: ignore[no-untyped-def]
    """Move a piece of the player to move; returns whether that wins. The board is not turned."""
    cells = board.shape[0]
    direction, cell = action // cells, action % cells
    target = cell - columns + direction - 1
    is_capture = board[target] != 0
    board[cell] = 0
    board[target] = 1
    if target < columns:
        return True
    if is_capture:
        for other in range(cells):
            if board[other] < 0:
                return False
        return True
    return False


@njit(cache=True)
def _turn(board):  # type: ignore[no-untyped-def]
    """Turn the board to the other player."""
    last = board.shape[0] - 1
    for cell in range((last + 1) // 2):
        piece = board[cell]
        board[cell] = -board[last - cell]
        board[last - cell] = -piece
    if last % 2 == 0:
        board[last // 2] = -board[last // 2]


@njit(cache=True)
def _moves(board, columns, actions, count):  # type: ignore[no-untyped-def]
    """Write the legal actions into `actions` from `count` on, ascending; returns the count after them."""
    cells = board.shape[0]
    for direction in range(DIRECTIONS):
        no_column = 0 if direction == 0 else columns - 1 if direction == 2 else -1
        for cell in range(columns, cells):
            if board[cell] == 1:
                victim = board[cell - columns + direction - 1]
                if (victim == 0 if direction == 1 else victim != 1) and cell % columns != no_column:
                    actions[count] = direction * cells + cell
                    count += 1
    return count


@njit(cache=True)
def _step(boards, moves, played, to_play, columns, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        ply = played[s]
        if s != d:
            copy_cells(boards[s], boards[d], boards.shape[1])
            copy_cells(moves[s], moves[d], ply)
        moves[d, ply] = actions[i]
        played[d] = ply + 1
        wins = _move(boards[d], columns, actions[i])
        _turn(boards[d])
        mover = ply & 1
        next_player = TERMINAL if wins else 1 - mover
        reward = (1.0 if mover == 0 else -1.0) if wins else 0.0
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
        to_play[d] = next_player
        out_to_play[i] = next_player


@njit(cache=True)
def _legal(boards, to_play, columns, slots, offsets, actions):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(slots.shape[0]):
        if to_play[slots[i]] != TERMINAL:
            count = _moves(boards[slots[i]], columns, actions, count)
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(boards, to_play, slots, out):  # type: ignore[no-untyped-def]
    cells = boards.shape[1]
    for i in range(slots.shape[0]):
        board, planes = boards[slots[i]], out[i]
        for cell in range(cells):
            planes[cell] = board[cell] > 0
            planes[cells + cell] = board[cell] < 0
        mark_seat(planes, cells, NUM_PLAYERS, to_play[slots[i]])


@njit(cache=True)
def _rollout(boards, to_play, columns, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    board = np.empty(boards.shape[1], boards.dtype)
    actions = np.empty(DIRECTIONS * boards.shape[1], np.int64)
    for i in range(slots.shape[0]):
        state, mover, reward = seeds[i], to_play[slots[i]], 0.0
        if mover != TERMINAL:
            copy_cells(boards[slots[i]], board, board.shape[0])
            while reward == 0.0:  # somebody always has a move, and pieces go forward only: somebody wins
                state, bits = random_bits(state)
                if _move(board, columns, actions[bits % _moves(board, columns, actions, 0)]):
                    reward = 1.0 if mover == 0 else -1.0
                _turn(board)
                mover = 1 - mover
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
