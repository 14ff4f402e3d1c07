"""The exact value of every move in Connect Four, by alpha-beta search on bitboards.

A position is two numbers of up to 56 bits: the stones of the player to move, and all stones. A column takes rows + 1
bits, the lowest row first; the spare bit on top keeps neighbouring columns apart (Tromp, "John's Connect Four
Playground"). The search leaves out moves that lose at once, tries first those that make the most threats, remembers
bounds in a table, and asks only whether a score lies above a limit (Pons, "Solving Connect Four: how to build a perfect
AI").

Scores say how soon: a win with the last stone that the winner can place is 1, with the one before it 2, and so on; a
loss is the negative of the winner's, a draw 0. Values are the signs of scores. Both are the mover's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from games.base import Game, GameError, StatePool
from games.parameters import parse

MAX_BITS = 56
"""(rows + 1) * columns at most; an entry of the table has the position in 56 bits and a bound in 8."""

MAX_ROWS = 13
"""Lines of higher columns would be shifted out of 64 bits."""

LINE = 4

TABLE_MEGABYTES = 128

MIRRORED_STONES = 14
"""Largest number of stones with which a position and its mirror image are one in the table."""

PROBED_CELLS = 8
"""Number of empty cells from which on the table is asked about all following positions before any is searched."""

_HASH = 0x1E3779B97F4A7C15  # odd, so that no bit of a key is lost
_UPPER, _LOWER = 0, 1  # bounds in the table
_OFFSET = 64  # a bound is stored with this added
_OPEN, _NOT_ABOVE, _ABOVE = -1, 0, 1  # answers of the search


class Board(NamedTuple):
    """Sizes and masks of a board, for the kernels."""

    height: int
    """Bits of a column: rows + 1."""
    columns: int
    cells: int
    bottom: int
    """The lowest cell of each column."""
    full: int
    """All cells."""


def make_board(rows: int, columns: int) -> Board:
    """A board of `rows` times `columns`."""
    bottom = sum(1 << (column * (rows + 1)) for column in range(columns))
    return Board(rows + 1, columns, rows * columns, bottom, bottom * ((1 << rows) - 1))


class ConnectFourSolver:
    """Solves positions of one size of board; remembers bounds from one to the next."""

    def __init__(self, game: Game, table_megabytes: int = TABLE_MEGABYTES) -> None:
        """The table takes the greatest power of two that `table_megabytes` holds. Raises GameError unless `supports`
        says that the game fits."""
        if not self.supports(game):
            raise GameError(f"{game.name}: the Connect Four solver takes lines of four on (rows + 1) * columns <= 56")
        self.board = make_board(*_size(game))
        entries = 1 << ((table_megabytes << 20) // 8).bit_length() - 1
        self._table = np.zeros(entries, np.int64)
        middle = (self.board.columns - 1) / 2
        self._order = np.array(sorted(range(self.board.columns), key=lambda column: abs(column - middle)), np.int64)

    @staticmethod
    def supports(game: Game) -> bool:
        """Whether the game is Connect Four, native or OpenSpiel's, with lines of four on a board that fits."""
        rules = parse(game.rules)
        if rules.name != "connect_four" or int(rules.parameters.get("x_in_row", LINE)) != LINE:
            return False
        rows, columns = _size(game)
        return rows <= MAX_ROWS and (rows + 1) * columns <= MAX_BITS

    def move_values(self, pool: StatePool, slot: int) -> dict[int, float]:
        """The return of the player to move, -1, 0 or 1, after each legal move of the position and perfect play."""
        return {column: float(np.sign(score)) for column, score in self._evaluate(pool, slot, limit=1).items()}

    def best_moves(self, pool: StatePool, slot: int) -> list[int]:
        """The moves with the greatest value."""
        values = self.move_values(pool, slot)
        return [move for move, value in values.items() if value == max(values.values())]

    def move_scores(self, pool: StatePool, slot: int) -> dict[int, int]:
        """The score (see above) of each legal move; takes several times as long as the values."""
        return self._evaluate(pool, slot, limit=self.board.cells)

    def _evaluate(self, pool: StatePool, slot: int, limit: int) -> dict[int, int]:
        own, stones = 0, 0
        for column in pool.history(slot):
            own ^= stones  # the stones of the player who moves next
            stones |= stones + (1 << (column * self.board.height))
        columns = pool.legal(np.array([slot]))[1]
        scores = np.empty(len(columns), np.int64)
        _score_moves(self.board, self._order, self._table, own, stones, columns, limit, scores)
        return dict(zip(columns.tolist(), scores.tolist()))


def _size(game: Game) -> tuple[int, int]:
    parameters = parse(game.rules).parameters
    return int(parameters.get("rows", 6)), int(parameters.get("columns", 7))


@intrinsic  # type: ignore[misc]
def _count_bits(typingctx: Any, bits: Any) -> Any:
    """Number of bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@njit(cache=True, inline="always")
def _wins(board, own, stones):  # type: ignore[no-untyped-def]
    """The empty cells that complete a line of `own`, whether or not a stone can be placed there now."""
    found = (own << 1) & (own << 2) & (own << 3)
    for step in (board.height - 1, board.height, board.height + 1):
        two_left = (own << step) & (own << 2 * step)
        two_right = (own >> step) & (own >> 2 * step)
        found |= two_left & ((own << 3 * step) | (own >> step))
        found |= two_right & ((own >> 3 * step) | (own << step))
    return found & (board.full ^ stones)


@njit(cache=True)
def _score_moves(board, order, table, own, stones, columns, limit, scores):  # type: ignore[no-untyped-def]
    """Write the score of each move into `scores`, cut off at -limit and limit."""
    rest = board.cells - _count_bits(stones)  # type: ignore[call-arg]
    other = stones ^ own
    for i in range(columns.size):
        column = columns[i] * board.height
        move = (stones + (1 << column)) & (((1 << (board.height - 1)) - 1) << column)
        after = stones | move
        if _wins(board, own, stones) & move:
            scores[i] = min((rest + 1) // 2, limit)
        elif rest == 1:
            scores[i] = 0
        elif _wins(board, other, after) & (after + board.bottom):
            scores[i] = -min(rest // 2, limit)
        else:
            lowest, highest = -((rest - 1) // 2), (rest - 2) // 2
            scores[i] = -_search_score(board, order, table, other, after, max(lowest, -limit), min(highest, limit))


@njit(cache=True)
def _search_score(board, order, table, own, stones, lowest, highest):  # type: ignore[no-untyped-def]
    """The score of a position in which the mover cannot win at once: halves what it can be, easy questions first."""
    while lowest < highest:
        middle = (lowest + highest) // 2
        if middle <= 0:
            middle = min(middle, -(-lowest // 2))
        else:
            middle = max(middle, highest // 2)
        if _is_above(board, order, table, own, stones, middle):
            lowest = middle + 1
        else:
            highest = middle
    return lowest


@njit(cache=True)
def _is_above(board, order, table, own, stones, limit):  # type: ignore[no-untyped-def]
    """Whether the score of a position in which the mover cannot win at once is more than `limit`.

    Depth-first, without recursion: row d of the arrays is the position d plies on. A score above l for the one player
    is one of at most -l - 1 for the other, so the limit alternates.
    """
    most = board.cells + 1
    own_at, stones_at, left = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    moves, threats = np.empty((most, board.columns), np.int64), np.empty(board.columns, np.int64)
    own_at[0], stones_at[0] = own, stones
    rest = board.cells - _count_bits(stones)  # type: ignore[call-arg]  # empty cells at depth 0
    depth = 0
    while True:
        own, stones = own_at[depth], stones_at[depth]
        playable = _safe_moves(board, own, stones)
        answer = _look_up(board, table, own, stones, playable, rest - depth, limit)
        if answer == _OPEN:
            left[depth] = _sort_moves(board, order, own, stones, playable, moves[depth], threats)
        while answer != _OPEN:
            if depth == 0:
                return answer == _ABOVE
            depth -= 1
            limit = -limit - 1
            own, stones = own_at[depth], stones_at[depth]
            if answer == _NOT_ABOVE:
                answer = _ABOVE
                _remember(board, table, own, stones, _LOWER, limit + 1)
            elif left[depth] == 0:
                answer = _NOT_ABOVE
                _remember(board, table, own, stones, _UPPER, limit)
            else:
                answer = _OPEN
        left[depth] -= 1
        own_at[depth + 1] = stones ^ own
        stones_at[depth + 1] = stones | moves[depth, left[depth]]
        depth += 1
        limit = -limit - 1


@njit(cache=True, inline="always")
def _safe_moves(board, own, stones):  # type: ignore[no-untyped-def]
    """The cells where the mover does not lose with the next stone; it cannot win at once itself."""
    playable = (stones + board.bottom) & board.full
    danger = _wins(board, stones ^ own, stones)
    forced = playable & danger
    if forced & (forced - 1):
        return 0  # two wins at once
    if forced:
        playable = forced
    return playable & ~(danger >> 1)  # not below a cell where the other wins


@njit(cache=True, inline="always")
def _look_up(board, table, own, stones, playable, rest, limit):  # type: ignore[no-untyped-def]
    """The answer without a search: `_ABOVE`, `_NOT_ABOVE` or `_OPEN`. `rest` is the number of empty cells."""
    if playable == 0:
        return _ABOVE if -(rest // 2) > limit else _NOT_ABOVE
    if rest <= 2:
        return _ABOVE if limit < 0 else _NOT_ABOVE  # no time for a line
    if (rest - 1) // 2 <= limit:
        return _NOT_ABOVE  # a win with the stone after the next
    if -((rest - 2) // 2) > limit:
        return _ABOVE
    answer = _bound(board, table, own, stones, limit)
    if answer != _OPEN or rest < PROBED_CELLS:
        return answer
    other, below = stones ^ own, -limit - 1
    for column in range(board.columns):
        move = playable & (((1 << (board.height - 1)) - 1) << (column * board.height))
        if move and _bound(board, table, other, stones | move, below) == _NOT_ABOVE:
            return _ABOVE
    return _OPEN


@njit(cache=True, inline="always")
def _bound(board, table, own, stones, limit):  # type: ignore[no-untyped-def]
    """Whether the bounds in the table answer the question: `_ABOVE`, `_NOT_ABOVE` or `_OPEN`."""
    key = _key(board, own, stones)
    row = _row_of(table, key)
    if (table[row + _UPPER] ^ (key << 8)) & ~255 == 0 and (table[row + _UPPER] & 255) - _OFFSET <= limit:
        return _NOT_ABOVE
    if (table[row + _LOWER] ^ (key << 8)) & ~255 == 0 and (table[row + _LOWER] & 255) - _OFFSET > limit:
        return _ABOVE
    return _OPEN


@njit(cache=True, inline="always")
def _remember(board, table, own, stones, kind, bound):  # type: ignore[no-untyped-def]
    """Put a bound of a position's score into the table, in place of what was there."""
    key = _key(board, own, stones)
    table[_row_of(table, key) + kind] = (key << 8) | (bound + _OFFSET)


@njit(cache=True, inline="always")
def _key(board, own, stones):  # type: ignore[no-untyped-def]
    """A number of its own for each position; early on, where it saves work, the same for one and its mirror image."""
    key = own + stones + board.bottom
    if _count_bits(stones) <= MIRRORED_STONES:  # type: ignore[call-arg]
        mirrored, column, left = 0, (1 << board.height) - 1, key
        for _ in range(board.columns):
            mirrored = (mirrored << board.height) | (left & column)
            left >>= board.height
        key = min(key, mirrored)
    return key


@njit(cache=True, inline="always")
def _row_of(table, key):  # type: ignore[no-untyped-def]
    """The first of the two entries of a position: an upper bound, then a lower one."""
    return ((key * _HASH) >> 24) & (table.size - 2)


@njit(cache=True, inline="always")
def _sort_moves(board, order, own, stones, playable, moves, threats):  # type: ignore[no-untyped-def]
    """Write the cells of `playable` into `moves`, the best last: by cells that would win then, then by the middle."""
    count = 0
    for i in range(order.size - 1, -1, -1):
        move = playable & (((1 << (board.height - 1)) - 1) << (order[i] * board.height))
        if move:
            made: int = _count_bits(_wins(board, own | move, stones | move))  # type: ignore[call-arg]
            place = count
            while place > 0 and threats[place - 1] > made:
                threats[place], moves[place] = threats[place - 1], moves[place - 1]
                place -= 1
            threats[place], moves[place] = made, move
            count += 1
    return count
