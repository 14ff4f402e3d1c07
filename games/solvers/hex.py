"""Who wins after every move in Hex on small boards, by depth-first search with must-play regions.

Stones are bits of a number, row by row. A win comes with the empty cells that it needs, its carrier: a reply outside of
the carrier of the other's threat changes nothing, so only the cells in all of them need be tried ("Solving 7x7 Hex:
Virtual Connections and Game-State Reduction", Hayward et al. 2003). Stones that are joined but for pairs of cells, of
which the other can take only one (bridges), count as joined. A table remembers positions; one and the same after half a
turn of the board are one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from games.base import Game, GameError, StatePool
from games.parameters import parse

MAX_CELLS = 30
"""A key of the table holds the stones of both sides in 60 bits."""

TABLE_BITS = 22
"""Base-2 logarithm of the number of entries of the table, 17 bytes each."""

_HASH = 0x1E3779B97F4A7C15


class HexBoard(NamedTuple):
    """Sizes and masks of a board, for the kernels. Arrays of starts, goals and edges have x at index 0 and o at 1."""

    columns: int
    cells: int
    full: int
    """All cells."""
    left: int
    right: int
    starts: np.ndarray  # [2] int64: cells of the side that a player's chains are grown from
    goals: np.ndarray  # [2] int64: cells of the opposite side
    start_edges: np.ndarray  # [2, cells] int64: the two cells between a cell and that side, 0 where there are not two
    goal_edges: np.ndarray  # [2, cells] int64
    bridges: np.ndarray  # [cells, 6, 2] int64: the cell at the other end and the two cells between, 0 where it is off
    order: np.ndarray  # [cells] int64: from the middle outwards, in which moves are tried


_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))
"""Neighbours, in the order in which they lie around a cell."""


def make_board(rows: int, columns: int) -> HexBoard:
    """A board of `rows` times `columns`."""

    def bit(row: int, column: int) -> int:
        return 1 << (row * columns + column) if 0 <= row < rows and 0 <= column < columns else 0

    def both(*cells: int) -> int:
        """The cells together if all are on the board, else 0."""
        return sum(cells) if all(cells) else 0

    cells = [(row, column) for row in range(rows) for column in range(columns)]
    top, bottom = (sum(bit(row, column) for column in range(columns)) for row in (0, rows - 1))
    left, right = (sum(bit(row, column) for row in range(rows)) for column in (0, columns - 1))
    bridges = np.zeros((len(cells), len(_AROUND), 2), np.int64)
    start_edges, goal_edges = np.zeros((2, len(cells)), np.int64), np.zeros((2, len(cells)), np.int64)
    for i, (row, column) in enumerate(cells):
        around = [(row + down, column + across) for down, across in _AROUND]
        for k, (one, two) in enumerate(zip(around, around[1:] + around[:1])):
            far = (one[0] + two[0] - row, one[1] + two[1] - column)
            if between := both(bit(*one), bit(*two), bit(*far)):
                bridges[i, k] = bit(*far), between & ~bit(*far)
        if row == 1:
            start_edges[0, i] = both(bit(0, column), bit(0, column + 1))
        if row == rows - 2:
            goal_edges[0, i] = both(bit(rows - 1, column), bit(rows - 1, column - 1))
        if column == 1:
            start_edges[1, i] = both(bit(row, 0), bit(row + 1, 0))
        if column == columns - 2:
            goal_edges[1, i] = both(bit(row, columns - 1), bit(row - 1, columns - 1))
    middle = (rows - 1) / 2, (columns - 1) / 2
    outwards = sorted(range(len(cells)), key=lambda i: abs(cells[i][0] - middle[0]) + abs(cells[i][1] - middle[1]))
    return HexBoard(
        columns=columns,
        cells=len(cells),
        full=(1 << len(cells)) - 1,
        left=left,
        right=right,
        starts=np.array([top, left]),
        goals=np.array([bottom, right]),
        start_edges=start_edges,
        goal_edges=goal_edges,
        bridges=bridges,
        order=np.array(outwards),
    )


class HexSolver:
    """Solves positions of one size of board; remembers them from one to the next."""

    def __init__(self, game: Game) -> None:
        """Raises GameError unless `supports` says that the game fits."""
        if not self.supports(game):
            raise GameError(f"{game.name}: the Hex solver takes boards of at most {MAX_CELLS} cells, without swap")
        self.board = make_board(*_size(game))
        entries = 1 << TABLE_BITS
        self._table = (np.full(entries, -1, np.int64), np.zeros(entries, np.bool_), np.zeros(entries, np.int64))

    @staticmethod
    def supports(game: Game) -> bool:
        """Whether the game is Hex, native or OpenSpiel's, without the swap rule and on a board that fits."""
        rules = parse(game.rules)
        if rules.name != "hex" or rules.parameters.get("swap", "False") != "False":
            return False
        rows, columns = _size(game)
        return rows * columns <= MAX_CELLS

    def move_values(self, pool: StatePool, slot: int) -> dict[int, float]:
        """The return of the player to move, -1 or 1, after each legal move of the position and perfect play."""
        moves = pool.history(slot)
        x, o = (sum(1 << cell for cell in moves[side::2]) for side in (0, 1))
        cells = pool.legal(np.array([slot]))[1]
        wins = np.empty(len(cells), np.bool_)
        _winning_moves(self.board, self._table, x, o, len(moves) % 2, cells, wins)
        return {cell: 1.0 if won else -1.0 for cell, won in zip(cells.tolist(), wins.tolist())}

    def best_moves(self, pool: StatePool, slot: int) -> list[int]:
        """The moves with the greatest value."""
        values = self.move_values(pool, slot)
        return [move for move, value in values.items() if value == max(values.values())]


def _size(game: Game) -> tuple[int, int]:
    parameters = parse(game.rules).parameters
    board_size = parameters.get("board_size", "11")  # OpenSpiel's default
    return int(parameters.get("num_rows", board_size)), int(parameters.get("num_cols", board_size))


@intrinsic  # type: ignore[misc]
def _reversed_bits(typingctx: Any, bits: Any) -> Any:
    """The 64 bits in the opposite order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitreverse(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True)
def _half_turn(board, cells):  # type: ignore[no-untyped-def]
    """Cells after half a turn of the board, which leaves the sides of both players where they are."""
    turned: Any = _reversed_bits(np.uint64(cells))  # type: ignore[call-arg]
    return np.int64(turned >> np.uint64(64 - board.cells))


@njit(cache=True)
def _winning_moves(board, table, x, o, player, cells, wins):  # type: ignore[no-untyped-def]
    """Write into `wins` whether each of the cells wins for the player to move, 0 for x and 1 for o."""
    for i in range(cells.size):
        move = 1 << cells[i]
        own, other = (x | move, o) if player == 0 else (o | move, x)
        wins[i] = not _solve(board, table, other, own, 1 - player)[0]


@njit(cache=True)
def _solve(board, table, own, other, player):  # type: ignore[no-untyped-def]
    """Whether the player to move, with stones `own`, wins, and the carrier of whoever wins."""
    keys, wins, carriers = table
    empty = board.full & ~(own | other)
    carrier = _joined(board, other, empty, 1 - player)
    if carrier >= 0:
        return False, carrier
    x, o = (own, other) if player == 0 else (other, own)
    key = x | (o << board.cells)
    turned = _half_turn(board, x) | (_half_turn(board, o) << board.cells)
    is_turned = turned < key
    if is_turned:
        key = turned
    row = ((key * _HASH) >> 20) & (keys.size - 1)
    if keys[row] == key:
        return wins[row], _half_turn(board, carriers[row]) if is_turned else carriers[row]
    won, carrier = _wins_at_once(board, own, empty, player)
    if not won:
        must_play, carrier = _threats(board, other, empty, 1 - player)
        while must_play:
            move = _first_of(board, must_play)
            lost, needed = _solve(board, table, other, own | move, 1 - player)
            if not lost:
                won, carrier = True, move | needed
                break
            must_play &= needed & ~move
            carrier |= needed
    keys[row], wins[row], carriers[row] = key, won, _half_turn(board, carrier) if is_turned else carrier
    return won, carrier


@njit(cache=True)
def _wins_at_once(board, own, empty, player):  # type: ignore[no-untyped-def]
    """Whether a move joins the sides of the player to move, bridges counted, and the carrier."""
    for cell in board.order:
        move = 1 << cell
        if empty & move:
            carrier = _joined(board, own | move, empty & ~move, player)
            if carrier >= 0:
                return True, carrier | move
    return False, 0


@njit(cache=True)
def _threats(board, other, empty, player):  # type: ignore[no-untyped-def]
    """Cells on which the player to move must stop the moves with which the other would win at once.

    These are the empty cells in the carriers of all such moves; beside them the cells in any carrier."""
    must_play, carrier = empty, 0
    for cell in board.order:
        move = 1 << cell
        if empty & move:
            needed = _joined(board, other | move, empty & ~move, player)
            if needed >= 0:
                must_play &= needed | move
                carrier |= needed | move
    return must_play, carrier


@njit(cache=True)
def _joined(board, stones, empty, player):  # type: ignore[no-untyped-def]
    """The carrier with which the stones join the two sides of their player, whoever moves next; -1 where they do not.

    Grows a chain from one side over neighbours and bridges whose cells are empty and not needed by another one. It
    takes the first that it finds and goes back on none, so it may miss a connection, and claims none that is not there.
    """
    carrier, chain = 0, stones & board.starts[player]
    for cell in range(board.cells):
        edge = board.start_edges[player, cell]
        if edge and (stones >> cell) & 1 and edge & ~empty == 0 and edge & carrier == 0 and not (chain >> cell) & 1:
            chain |= 1 << cell
            carrier |= edge
    while True:
        chain = _neighbours(board, chain, stones)
        if chain & board.goals[player]:
            return carrier
        longer = chain
        for cell in range(board.cells):
            if not (chain >> cell) & 1:
                continue
            edge = board.goal_edges[player, cell]
            if edge and edge & ~empty == 0 and edge & carrier == 0:
                return carrier | edge
            for k in range(board.bridges.shape[1]):
                far, between = board.bridges[cell, k, 0], board.bridges[cell, k, 1]
                if far & stones and not far & longer and between & ~empty == 0 and between & carrier == 0:
                    longer |= far
                    carrier |= between
        if longer == chain:
            return -1
        chain = longer


@njit(cache=True)
def _neighbours(board, chain, stones):  # type: ignore[no-untyped-def]
    """All stones that are joined to the chain by stones."""
    while True:
        west, east = chain & ~board.left, chain & ~board.right
        grown = chain | (west >> 1) | (east << 1) | (chain >> board.columns) | (chain << board.columns)
        grown |= (east >> (board.columns - 1)) | (west << (board.columns - 1))
        grown &= stones
        if grown == chain:
            return chain
        chain = grown


@njit(cache=True)
def _first_of(board, cells):  # type: ignore[no-untyped-def]
    """The first of `cells` in the order of the board, as a bit."""
    for cell in board.order:
        if cells & (1 << cell):
            return 1 << cell
    return 0
