"""Go in plain Python: the rules as sets, slow and obvious, to compare the native game with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

EMPTY, BLACK, WHITE = -1, 0, 1
Board = tuple[int, ...]
Points = frozenset[int]


@cache
def beside(size: int) -> tuple[tuple[int, ...], ...]:
    """The points beside each point."""
    return tuple(
        tuple(
            r * size + c for r, c in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)) if 0 <= r < size and 0 <= c < size
        )
        for y in range(size)
        for x in range(size)
    )


def of(board: Board, color: int) -> set[int]:
    return {point for point, found in enumerate(board) if found == color}


def parts(points: set[int], size: int) -> Iterator[set[int]]:
    """The connected parts of a set of points."""
    left = set(points)
    while left:
        part, waiting = set[int](), {min(left)}
        while waiting:
            part |= waiting
            waiting = {n for p in waiting for n in beside(size)[p]} & points - part
        left -= part
        yield part


def border(points: set[int], size: int) -> set[int]:
    """The points beside a set of points."""
    return {n for p in points for n in beside(size)[p]} - points


def play(board: Board, size: int, player: int, point: int) -> Board | None:
    """The board after a stone; None where a stone lies there, or where it has no liberty then."""
    if board[point] != EMPTY:
        return None
    points = list(board)
    points[point] = player
    for color in (1 - player, player):
        empty = of(tuple(points), EMPTY)
        for chain in list(parts(of(tuple(points), color), size)):
            if not border(chain, size) & empty:
                if color == player:
                    return None
                for stone in chain:
                    points[stone] = EMPTY
    return tuple(points)


def alive(board: Board, size: int, player: int) -> set[int]:
    """What is a player's for good, by the definition of Benson (1976) and the rule for territory of the game."""
    own, empty = of(board, player), of(board, EMPTY)
    everything = set(range(size * size))
    chains, regions = list(parts(own, size)), list(parts(everything - own, size))
    while True:
        living = set[int]().union(*chains)
        regions = [region for region in regions if border(region, size) <= living]
        kept = [chain for chain in chains if sum(region & empty <= border(chain, size) for region in regions) >= 2]
        if len(kept) == len(chains):
            break
        chains = kept
    result = set(living)
    if living:
        for region in parts(everything - own, size):
            away = [point for point in region if not set(beside(size)[point]) & own]
            if border(region, size) <= living and len(away) <= 1:
                result |= region
    return result


def owners(board: Board, size: int) -> list[int]:
    """Whose each point is: 1 Black's, -1 White's, 0 nobody's."""
    good = [alive(board, size, player) for player in (BLACK, WHITE)]
    points = [EMPTY if color != EMPTY and point in good[1 - color] else color for point, color in enumerate(board)]
    result = [{EMPTY: 0, BLACK: 1, WHITE: -1}[color] for color in points]
    for region in parts(of(tuple(points), EMPTY), size):
        colors = {points[point] for point in border(region, size)}
        if len(colors) == 1:
            for point in region:
                result[point] = 1 if colors == {BLACK} else -1
    return result


class GoReference:
    """A game under way."""

    def __init__(self, size: int, komi: float = 7.5, handicap: tuple[int, ...] = (), ends_when_alive: bool = True):
        self.size, self.ends_when_alive = size, ends_when_alive
        self.board: Board = tuple(BLACK if point in handicap else EMPTY for point in range(size * size))
        self.white_has = komi + len(handicap)
        self.to_play = WHITE if handicap else BLACK
        self.boards = {self.board}
        self.moves: list[int] = []
        self.is_over = False

    @property
    def pass_action(self) -> int:
        return self.size * self.size

    def after(self, point: int) -> Board | None:
        """The board after a stone of the player to move; None where it is illegal but for superko."""
        return play(self.board, self.size, self.to_play, point)

    def repeating(self) -> set[int]:
        """The points where a stone is illegal only because a board comes again."""
        return {point for point in range(self.pass_action) if self.after(point) in self.boards}

    def legal(self) -> list[int]:
        boards = [self.after(point) for point in range(self.pass_action)]
        points = [point for point, board in enumerate(boards) if board is not None and board not in self.boards]
        return [*points, self.pass_action]

    def apply(self, action: int) -> None:
        if action != self.pass_action:
            board = self.after(action)
            assert board is not None and board not in self.boards
            self.board = board
            self.boards.add(board)
        self.moves.append(action)
        self.to_play = 1 - self.to_play
        self.is_over = (
            self.moves[-2:] == [self.pass_action] * 2
            or len(self.moves) == 2 * self.size * self.size
            or (self.ends_when_alive and self.is_settled())
        )

    def is_settled(self) -> bool:
        both = alive(self.board, self.size, BLACK) | alive(self.board, self.size, WHITE)
        return len(both) == self.size * self.size

    def score(self) -> float:
        return sum(owners(self.board, self.size)) - self.white_has

    def planes(self) -> np.ndarray:
        """The observation of the player to move, int [17, size, size]."""
        size, mover = self.size, self.to_play
        planes = np.zeros((17, size * size), int)
        for plane, points in enumerate((of(self.board, mover), of(self.board, 1 - mover))):
            planes[plane, list(points)] = 1
        empty = of(self.board, EMPTY)
        for color in (BLACK, WHITE):
            for chain in parts(of(self.board, color), size):
                liberties = len(border(chain, size) & empty)
                if liberties <= 3:
                    planes[1 + liberties, list(chain)] = 1
        planes[5, list(self.repeating())] = 1
        for back, action in enumerate(self.moves[:-3:-1]):
            if action == self.pass_action:
                planes[8 + back] = 1
            else:
                planes[6 + back, action] = 1
        sign = 1 if mover == BLACK else -1
        ends = self.moves[-1:] == [self.pass_action] or len(self.moves) + 1 == 2 * size * size
        planes[10] = 128 + 40 * (int(np.sign(sign * self.score())) if ends else 0)
        planes[11] = np.clip(128 - sign * 2 * self.white_has, 0, 255)
        for plane, player in ((12, mover), (13, 1 - mover)):
            planes[plane, list(alive(self.board, size, player))] = 1
        planes[14] = 1
        planes[15 + mover] = 1
        return planes.reshape(17, size, size)
