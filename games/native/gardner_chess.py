"""Gardner's chess on 5x5: arrays of positions and jitted rules.

Chess with one row of pawns in front of the pieces of one side of a board (Gardner 1969): no double steps, no castling,
no capture en passant. Threefold repetition, fifty moves of each side without capture or move of a pawn, and too little
material end the game as a draw, as they do in Koyamada et al. 2023, "Pgx".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, Symmetry
from games.native.pieces import (
    CHECK,
    DIAGONAL,
    DRAW,
    EVERYWHERE,
    FORWARD,
    FORWARD_LEFT,
    FORWARD_RIGHT,
    GOES_ON,
    MAX_PLIES,
    OWN_KING,
    PROGRESS,
    REPEATS,
    STRAIGHT,
    WIN,
    PiecePool,
    cell_name,
    copy_row,
    diagram,
    fen_board,
    is_attacked,
    moves_of,
    note_position,
    pay,
    piece_moves,
    sort,
    turn,
    unpacked,
)
from games.native.pool import NUM_PLAYERS, random_bits
from games.seats import mark_seat, with_seats
from games.symmetry import mirror_of_planes, planes_of_cells

SIZE = 5
CELLS = SIZE * SIZE
PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
KINDS = 6
LETTERS = ".PNBRQK"

FARTHEST = SIZE - 1
"""Largest number of steps of a move."""

KNIGHT_PLANES = len(EVERYWHERE) * FARTHEST
UNDERPROMOTIONS = KNIGHT_PLANES + 8
ACTION_PLANES = UNDERPROMOTIONS + 9
"""Planes of actions: each direction with each number of steps, the jumps of a knight, then promotions to rook, bishop
and knight, each to the left, straight and to the right. A pawn that reaches the last row otherwise becomes a queen."""

REPEATS_PLANE, PROGRESS_PLANE = 2 * KINDS, 2 * KINDS + 1
OWN_PLANES = PROGRESS_PLANE + 1

MAX_PROGRESS = 100
"""Moves without a capture or a move of a pawn that make a draw."""

_KNIGHT_JUMPS = tuple(range(8, 16))
_MOVES = moves_of(
    SIZE,
    SIZE,
    [
        {"near": (FORWARD_LEFT, FORWARD_RIGHT), "quiet": (FORWARD,)},
        {"near": _KNIGHT_JUMPS},
        {"far": DIAGONAL},
        {"far": STRAIGHT},
        {"far": EVERYWHERE},
        {"near": EVERYWHERE},
    ],
    is_half_turn=False,
    has_knights=True,
)
_FIRST_ROW = (ROOK, KNIGHT, BISHOP, QUEEN, KING)
_START = [*(-piece for piece in _FIRST_ROW), *[-PAWN] * SIZE, *[0] * SIZE, *[PAWN] * SIZE, *_FIRST_ROW]


class GardnerChess(Game):
    """Chess on 5x5; player 0 (white) begins.

    Observation: own pawns, knights, bishops, rooks, queens, king, the same of the opponent, how often the position has
    occurred before, moves since the last capture or move of a pawn, seat planes. The board is turned upside down for
    black, so that the player to move plays up it.
    """

    num_players = NUM_PLAYERS
    num_actions = ACTION_PLANES * CELLS
    observation_shape = with_seats((OWN_PLANES, SIZE, SIZE), NUM_PLAYERS)
    max_game_length = MAX_PLIES
    name = rules = "gardner_chess"
    uci_variant = "gardner"
    action_planes = planes_of_cells(ACTION_PLANES, SIZE, SIZE)

    def __init__(self) -> None:
        factor = np.ones(self.observation_shape[0], np.float32)
        factor[PROGRESS_PLANE] = 1 / MAX_PROGRESS
        self.plane_scaling = (np.zeros_like(factor), factor)

    def new_pool(self, capacity: int) -> GardnerPool:
        return GardnerPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        """The mirror image of the rules; the first position is not its own mirror image."""
        queens = [4 * (-direction % 8) + steps for direction in EVERYWHERE for steps in range(FARTHEST)]
        knights = [KNIGHT_PLANES + 7 - jump for jump in range(8)]
        promotions = [UNDERPROMOTIONS + 3 * piece + side for piece in range(3) for side in (2, 1, 0)]
        return [mirror_of_planes(self, (*queens, *knights, *promotions), keeps_start=False)]


class GardnerPool(PiecePool):
    """See `PiecePool`."""

    def __init__(self, game: GardnerChess, capacity: int) -> None:
        super().__init__(game, capacity, _MOVES, _START, KING)

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        _step(self._rows, self._played, self._to_play, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._rows, self._to_play, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(self._rows, self._to_play, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        _rollout(self._rows, self._played, self._to_play, slots, seeds, rewards)

    def text(self, slot: int) -> str:
        return f"{diagram(self._letters(slot), SIZE)}\n{self.fen(slot)}"

    def fen(self, slot: int) -> str:
        """See `PiecePool.fen`."""
        ply, progress = int(self._played[slot]), self._rows.info[slot, PROGRESS]
        return f"{fen_board(self._letters(slot), SIZE)} {'wb'[ply % 2]} - - {progress} {1 + ply // 2}"

    def _letters(self, slot: int) -> list[str]:
        return [LETTERS[piece] if piece >= 0 else LETTERS[-piece].lower() for piece in self._board(slot)]

    def action_text(self, slot: int, action: int) -> str:
        start, end, promoted = decoded(self._rows.position[slot], action)
        cells = [start, end] if self._played[slot] % 2 == 0 else _MOVES.turned[[start, end]].tolist()
        squares = "".join(cell_name(cell, SIZE, SIZE) for cell in cells)
        return squares + (LETTERS[promoted].lower() if promoted else "")


@njit(cache=True)
def decoded(position, action):  # type: ignore[no-untyped-def]
    """The cells where an action starts and ends, and the piece that a pawn becomes or 0."""
    plane, start = action // CELLS, action % CELLS
    if plane >= UNDERPROMOTIONS:
        kind, side = (plane - UNDERPROMOTIONS) // 3, (plane - UNDERPROMOTIONS) % 3
        return start, np.int64(_MOVES.lines[start, (side + FORWARD_LEFT) & 7, 0]), ROOK - kind
    if plane >= KNIGHT_PLANES:
        return start, np.int64(_MOVES.lines[start, 8 + plane - KNIGHT_PLANES, 0]), 0
    end = np.int64(_MOVES.lines[start, plane // FARTHEST, plane % FARTHEST])
    return start, end, QUEEN if position[start] == PAWN and end < SIZE else 0


@njit(cache=True)
def _actions(position, info, packed, actions, count):  # type: ignore[no-untyped-def]
    """Write the legal actions into `actions` from `count` on, ascending; returns the count after them."""
    first = count
    for i in range(piece_moves(position, _MOVES, info[OWN_KING], info[CHECK], packed, packed.shape[0])):
        start, direction, k, end = unpacked(packed[i])
        plane = direction * FARTHEST + k if direction < 8 else KNIGHT_PLANES + direction - 8
        actions[count] = plane * CELLS + start
        count += 1
        if position[start] == PAWN and end < SIZE:
            side = (direction - FORWARD_LEFT) & 7
            for kind in range(3):
                actions[count] = (UNDERPROMOTIONS + 3 * kind + side) * CELLS + start
                count += 1
    sort(actions, first, count)
    return count


@njit(cache=True)
def _is_too_little(position):  # type: ignore[no-untyped-def]
    """Whether nobody has the material to mate: a piece besides the kings, or bishops on cells of one colour alone."""
    minor, bishops, colours = 0, 0, 0
    for cell in range(CELLS):
        piece = abs(position[cell])
        if piece == PAWN or piece == ROOK or piece == QUEEN:
            return False
        if piece == KNIGHT:
            minor += 1
        elif piece == BISHOP:
            bishops += 1
            colours |= 1 << (cell % 2)
    return minor + bishops <= 1 or (minor == 0 and colours != 3)


@njit(cache=True)
def _advance(rows, slot, ply, action, packed):  # type: ignore[no-untyped-def]
    """Play an action after `ply` moves; returns what it leads to."""
    position, info = rows.position[slot], rows.info[slot]
    rows.actions[slot, ply] = action
    start, end, promoted = decoded(position, action)
    piece = position[start]
    info[PROGRESS] = 0 if piece == PAWN or position[end] != 0 else info[PROGRESS] + 1
    position[start] = 0
    position[end] = promoted if promoted else piece
    if piece == KING:
        info[OWN_KING] = end
    turn(position, info, _MOVES, 0)
    info[CHECK] = is_attacked(position, _MOVES, info[OWN_KING])
    progress = info[PROGRESS]
    repeats = note_position(rows, slot, ply + 1, max(0, ply + 1 - progress))
    if piece_moves(position, _MOVES, info[OWN_KING], info[CHECK], packed, 1) == 0:
        return WIN if info[CHECK] else DRAW
    if repeats >= 2 or progress >= MAX_PROGRESS or ply + 1 >= MAX_PLIES:
        return DRAW
    return DRAW if progress == 0 and _is_too_little(position) else GOES_ON


@njit(cache=True)
def _step(rows, played, to_play, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    packed = np.empty(1, np.int64)
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        ply = played[s]
        if s != d:
            copy_row(rows, s, d, ply)
        outcome = _advance(rows, d, ply, actions[i], packed)
        played[d] = ply + 1
        to_play[d] = out_to_play[i] = 1 - (ply & 1) if outcome == GOES_ON else TERMINAL
        pay(outcome, ply, out_rewards[i])


@njit(cache=True)
def _legal(rows, to_play, slots, offsets, actions):  # type: ignore[no-untyped-def]
    packed = np.empty(ACTION_PLANES * SIZE, np.int64)
    count = 0
    for i in range(slots.shape[0]):
        if to_play[slots[i]] != TERMINAL:
            count = _actions(rows.position[slots[i]], rows.info[slots[i]], packed, actions, count)
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(rows, to_play, slots, out):  # type: ignore[no-untyped-def]
    for i in range(slots.shape[0]):
        position, info, planes = rows.position[slots[i]], rows.info[slots[i]], out[i]
        planes[: REPEATS_PLANE * CELLS] = 0
        for cell in range(CELLS):
            piece = position[cell]
            if piece > 0:
                planes[(piece - 1) * CELLS + cell] = 1
            elif piece < 0:
                planes[(KINDS - piece - 1) * CELLS + cell] = 1
        planes[REPEATS_PLANE * CELLS : PROGRESS_PLANE * CELLS] = info[REPEATS]
        planes[PROGRESS_PLANE * CELLS : OWN_PLANES * CELLS] = info[PROGRESS]
        mark_seat(planes, CELLS, NUM_PLAYERS, to_play[slots[i]])


@njit(cache=True)
def _rollout(rows, played, to_play, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    packed, actions = np.empty(ACTION_PLANES * SIZE, np.int64), np.empty(ACTION_PLANES * SIZE, np.int64)
    here = rows.words.shape[0] - 1  # the row that is no slot
    for i in range(slots.shape[0]):
        state, ply, outcome = seeds[i], played[slots[i]], GOES_ON
        if to_play[slots[i]] != TERMINAL:
            copy_row(rows, slots[i], here, ply)
            while outcome == GOES_ON:
                state, bits = random_bits(state)
                count = _actions(rows.position[here], rows.info[here], packed, actions, 0)
                outcome = _advance(rows, here, ply, actions[bits % count], packed)
                ply += 1
        pay(outcome, ply - 1, out_rewards[i])
