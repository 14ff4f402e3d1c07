"""What small games of chess and shogi share: how pieces move, attacks on a cell, and the row of a position.

A board is seen by the player to move, who plays up it: row 0 is the farthest. Its pieces are the numbers of their kinds
from 1 on, the opponent's the same numbers below zero. After every move the board is turned to the other player, so all
rules are written for one side.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from games.base import Game
from games.native.pool import NUM_PLAYERS, NativePool, copy_cells

FORWARD, FORWARD_RIGHT, RIGHT, BACK_RIGHT, BACK, BACK_LEFT, LEFT, FORWARD_LEFT = range(8)
"""Directions, clockwise; the opposite of `d` is `d ^ 4`. The eight jumps of a knight follow them, clockwise too."""

OPPOSITE = 4
KINGS_STEPS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
KNIGHTS_STEPS = ((-2, 1), (-1, 2), (1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1))
"""Rows and columns of a step in each direction."""

DIAGONAL = (FORWARD_RIGHT, BACK_RIGHT, BACK_LEFT, FORWARD_LEFT)
STRAIGHT = (FORWARD, RIGHT, BACK, LEFT)
EVERYWHERE = tuple(range(8))
GOLDS = (FORWARD_LEFT, FORWARD, FORWARD_RIGHT, LEFT, RIGHT, BACK)
"""Directions of the gold general of shogi, which many pieces promote to."""

MAX_PLIES = 256
"""A game of so many moves is a draw (Koyamada et al. 2023, "Pgx": the limit of its Gardner chess and animal shogi)."""

OWN_KING, OTHER_KING, CHECK, PROGRESS, REPEATS = range(5)
"""Columns of `Rows.info`: cells of the kings of both players; whether the player to move is in check; moves since the
last capture or move of a pawn; how often the position has occurred before."""

WIN, DRAW, LOSS, GOES_ON = 1, 0, -1, 2
"""What a move leads to, for the player who made it."""


class Moves(NamedTuple):
    """How the pieces of a game move. D directions, K kinds; entry 0 of the kinds is an empty cell."""

    lines: np.ndarray  # [cells, D, longest] int8: the cells in a direction, nearest first; -1 behind the last
    near: np.ndarray  # [1 + K] int64: bits of the directions in which a piece captures one step away
    far: np.ndarray  # [1 + K] int64: of those, directions in which it goes on
    quiet: (
        np.ndarray
    )  # [1 + K] int64: directions of a step that does not capture; a piece with any only captures by `near`
    aligned: np.ndarray  # [cells, cells] bool: whether a line of steps joins two cells
    turned: np.ndarray  # [cells] int8: the cell as the opponent sees it


def moves_of(
    rows: int, columns: int, kinds: Sequence[Mapping[str, Sequence[int]]], is_half_turn: bool, has_knights: bool = False
) -> Moves:
    """The tables of a game. A kind is a mapping with some of `near`, `far` and `quiet`, each of directions.

    `far` counts as `near` too. The opponent sees the board after half a turn, or else upside down.
    """
    cells = np.arange(rows * columns).reshape(rows, columns)
    steps = KINGS_STEPS + (KNIGHTS_STEPS if has_knights else ())
    lines = np.full((rows * columns, len(steps), max(rows, columns) - 1), -1, np.int8)
    aligned = np.zeros((rows * columns, rows * columns), np.bool_)
    for cell in range(rows * columns):
        for direction, (down, right) in enumerate(steps):
            row, column = divmod(cell, columns)
            for k in range(1 if direction >= len(KINGS_STEPS) else lines.shape[2]):
                row, column = row + down, column + right
                if not (0 <= row < rows and 0 <= column < columns):
                    break
                lines[cell, direction, k] = cells[row, column]
                aligned[cell, cells[row, column]] |= direction < len(KINGS_STEPS)

    def bits(name: str) -> list[int]:
        return [0, *(sum(1 << direction for direction in kind.get(name, ())) for kind in kinds)]

    near, far, quiet = (np.array(bits(name), np.int64) for name in ("near", "far", "quiet"))
    turned = (cells[::-1, ::-1] if is_half_turn else cells[::-1]).ravel().astype(np.int8)
    return Moves(lines, near | far, far, quiet, aligned, turned)


class Rows(NamedTuple):
    """The parts of the rows of a pool of S slots: views of one array, so that a row is copied as a whole."""

    words: np.ndarray  # [S, W] uint64: the board, then the hands of the player to move and of the opponent
    position: np.ndarray  # [S, 8 * W] int8: the same by cell
    info: np.ndarray  # [S, 8] int8
    keys: np.ndarray  # [S, MAX_PLIES + 1] uint64: the positions so far; their lowest bit is `CHECK`
    actions: np.ndarray  # [S, MAX_PLIES] uint16: the moves so far


class PiecePool(NativePool):
    """A pool whose rows are `Rows`. It has one row more than slots, in which random games are played."""

    def __init__(
        self, game: Game, capacity: int, moves: Moves, board: Sequence[int], king: int, hands: int = 0
    ) -> None:
        """`board` is the first position, `king` the kind that kings are, `hands` the number of kinds in a hand."""
        num_words = -(-(len(board) + NUM_PLAYERS * hands) // 8)
        start = np.zeros(num_words + 1 + MAX_PLIES + 1 + MAX_PLIES // 4, np.uint64)
        super().__init__(game, capacity + 1, start)
        self.capacity, self.moves, self.hands, self._king = capacity, moves, hands, king
        self._rows = _rows(self._boards, num_words)
        self.place(capacity, board)
        start[:] = self._boards[capacity]

    def place(self, slot: int, board: Sequence[int], held: Sequence[int] = ()) -> None:
        """Put a position into a slot, where player 0 is to move and nothing was played before.

        `board` has the pieces by cell, `held` those in both hands by kind. Positions that cannot come up are for tests.
        """
        self._boards[slot] = 0
        rows, pieces = self._rows, list(board)
        rows.position[slot, : len(pieces) + len(held)] = [*pieces, *held]
        rows.info[slot, [OWN_KING, OTHER_KING]] = pieces.index(self._king), pieces.index(-self._king)
        rows.info[slot, CHECK] = is_attacked(rows.position[slot], self.moves, rows.info[slot, OWN_KING])
        rows.keys[slot, 0] = position_key(rows.words[slot], rows.info[slot, CHECK])
        self._played[slot] = self._to_play[slot] = 0

    def _board(self, slot: int) -> list[int]:
        """The board in reading order as player 0 sees it, its pieces above zero."""
        board = self._rows.position[slot, : self.moves.turned.size]
        return (-board[self.moves.turned] if self._played[slot] % 2 else board).tolist()

    @abstractmethod
    def fen(self, slot: int) -> str:
        """The position as Fairy-Stockfish writes it."""

    def history(self, slot: int) -> list[int]:
        return self._rows.actions[slot, : self._played[slot]].tolist()


def _rows(array: np.ndarray, num_words: int) -> Rows:
    words, info, keys, actions = np.split(array, np.cumsum([num_words, 1, MAX_PLIES + 1]), axis=1)
    return Rows(words, words.view(np.int8), info.view(np.int8), keys, actions.view(np.uint16))


def fen_board(letters: Sequence[str], columns: int) -> str:
    """The first field of a FEN from the letters of the cells in reading order, `.` for an empty one."""
    rows = [letters[start : start + columns] for start in range(0, len(letters), columns)]
    return "/".join("".join(_with_gaps(row)) for row in rows)


def _with_gaps(row: Sequence[str]) -> list[str]:
    parts: list[Any] = []
    for letter in row:
        if letter != ".":
            parts.append(letter)
        elif parts and isinstance(parts[-1], int):
            parts[-1] += 1
        else:
            parts.append(1)
    return [str(part) for part in parts]


def diagram(letters: Sequence[str], columns: int) -> str:
    """The board with numbers of ranks and letters of files, from the letters of the cells, `.` for an empty one."""
    width = max(map(len, letters))
    rows = [letters[start : start + columns] for start in range(0, len(letters), columns)]
    lines = [f"{len(rows) - i} " + " ".join(f"{x:>{width}}" for x in row) for i, row in enumerate(rows)]
    return "\n".join([*lines, "  " + " ".join(f"{file:>{width}}" for file in "abcdefgh"[:columns])])


def cell_name(cell: int, rows: int, columns: int) -> str:
    """A cell in reading order as player 0 sees the board, as file and rank: a1 is at the lower left."""
    return f"{'abcdefgh'[cell % columns]}{rows - cell // columns}"


@njit(cache=True)
def copy_row(rows, source, target, ply):  # type: ignore[no-untyped-def]
    """Copy the part of a row that is filled after `ply` moves."""
    copy_cells(rows.words[source], rows.words[target], rows.words.shape[1])
    copy_cells(rows.info[source], rows.info[target], rows.info.shape[1])
    copy_cells(rows.keys[source], rows.keys[target], ply + 1)
    copy_cells(rows.actions[source], rows.actions[target], ply)


@njit(cache=True)
def position_key(words, check):  # type: ignore[no-untyped-def]
    """63 bits that tell positions of one player to move apart, and whether that player is in check."""
    key = np.uint64(0x9E3779B97F4A7C15)
    for word in words:
        key = (key ^ word) * np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(32)
    key *= np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(29)
    return (key & ~np.uint64(1)) | np.uint64(check)


@njit(cache=True)
def is_attacked(position, moves, cell):  # type: ignore[no-untyped-def]
    """Whether the opponent could capture on a cell."""
    for direction in range(moves.lines.shape[1]):
        for k in range(moves.lines.shape[2]):
            place = moves.lines[cell, direction, k]
            if place < 0:
                break
            piece = position[place]
            if piece != 0:
                # A piece seen in a direction moves against it, and so along it as its owner sees the board.
                if piece < 0 and (((moves.near if k == 0 else moves.far)[-piece] >> direction) & 1):
                    return True
                break
    return False


@njit(cache=True)
def _is_safe(position, moves, king, check, start, end):  # type: ignore[no-untyped-def]
    """Whether the king at `king` is not attacked after a move; `king` may be -1 where that is no rule."""
    if king < 0 or (start != king and not check and not moves.aligned[king, start]):
        return True
    piece, victim = position[start], position[end]
    position[start], position[end] = 0, piece
    is_safe = not is_attacked(position, moves, end if start == king else king)
    position[start], position[end] = piece, victim
    return is_safe


@njit(cache=True)
def piece_moves(position, moves, king, check, out, most):  # type: ignore[no-untyped-def]
    """Write moves of pieces on the board into `out`, at most `most` of them; returns their number.

    The king at `king` is not attacked after any of them. A move is packed (see `unpacked`).
    """
    count = 0
    for start in range(moves.lines.shape[0]):
        piece = position[start]
        if piece <= 0:
            continue
        near, far, quiet = moves.near[piece], moves.far[piece], moves.quiet[piece]
        for direction in range(moves.lines.shape[1]):
            if not ((near | quiet) >> direction) & 1:
                continue
            for k in range(moves.lines.shape[2]):
                end = moves.lines[start, direction, k]
                if end < 0 or position[end] > 0:
                    break
                victim = position[end]
                if quiet and (victim != 0) == ((quiet >> direction) & 1):
                    break
                if _is_safe(position, moves, king, check, start, end):
                    out[count] = ((start * 16 + direction) * 8 + k) * 32 + end
                    count += 1
                    if count == most:
                        return count
                if victim != 0 or not (far >> direction) & 1:
                    break
    return count


@njit(cache=True)
def unpacked(move):  # type: ignore[no-untyped-def]
    """The cell where a move starts, its direction, its number of steps less 1, and the cell where it ends."""
    return move >> 12, (move >> 8) & 15, (move >> 5) & 7, move & 31


@njit(cache=True)
def turn(position, info, moves, hands):  # type: ignore[no-untyped-def]
    """Turn the board, the kings and the hands to the other player."""
    cells = moves.turned.shape[0]
    for cell in range(cells):
        other = moves.turned[cell]
        if other >= cell:
            piece = position[cell]
            position[cell] = -position[other]
            position[other] = -piece
    for kind in range(cells, cells + hands):
        held = position[kind]
        position[kind] = position[kind + hands]
        position[kind + hands] = held
    own = info[OWN_KING]
    info[OWN_KING] = moves.turned[info[OTHER_KING]]
    info[OTHER_KING] = moves.turned[own]


@njit(cache=True)
def note_position(rows, slot, ply, first):  # type: ignore[no-untyped-def]
    """Keep the key of the position after `ply` moves, and count how often it has occurred since ply `first`."""
    keys, info = rows.keys[slot], rows.info[slot]
    key = position_key(rows.words[slot], info[CHECK])
    keys[ply] = key
    repeats = 0
    for earlier in range(ply - 4, first - 1, -2):
        if keys[earlier] == key:
            repeats += 1
    info[REPEATS] = repeats
    return repeats


@njit(cache=True)
def pay(outcome, ply, rewards):  # type: ignore[no-untyped-def]
    """Write the rewards [2] of a game where the move at `ply` led to `outcome`; player 0 makes the even ones."""
    own = 0.0 if outcome == GOES_ON else float(outcome)
    rewards[ply & 1] = own
    rewards[1 - (ply & 1)] = -own


@njit(cache=True)
def sort(actions, first, last):  # type: ignore[no-untyped-def]
    """Sort `actions[first:last]`, of which there are few, in place."""
    for i in range(first + 1, last):
        action = actions[i]
        k = i
        while k > first and actions[k - 1] > action:
            actions[k] = actions[k - 1]
            k -= 1
        actions[k] = action
