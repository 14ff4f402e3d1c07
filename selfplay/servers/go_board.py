"""A board of go for a GTP server: what lies where, what is legal, and who is ahead.

The rules are simple: no suicide, no recapture of a single stone at once (simple ko), area scoring of all stones on the
board (Tromp and Taylor). Unlike the games of go here the board never ends one: other programs play on after two passes
and after very many moves. What else is illegal or dead in the player's game, the server asks of that game.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from selfplay.engines.go_moves import BLACK, WHITE

EMPTY = -1

NO_POINT = -1


@dataclass(frozen=True)
class GoBoard:
    """A position; `play` makes a new one."""

    size: int
    points: tuple[int, ...]
    """By `row * size + column`: a player, or EMPTY."""
    ko: int = NO_POINT
    """Where the next move may not take back a single stone."""

    @property
    def num_empty(self) -> int:
        """Number of points without a stone."""
        return self.points.count(EMPTY)

    def play(self, player: int, point: int) -> GoBoard | None:
        """The board after a stone was put on a point; None where that is illegal."""
        if self.points[point] != EMPTY or point == self.ko:
            return None
        points = list(self.points)
        points[point] = player
        taken: list[int] = []
        for neighbour in self.neighbours(point):
            if points[neighbour] == 1 - player:
                chain, liberties = self._chain(points, neighbour)
                if not liberties:
                    taken += chain
                    for stone in chain:
                        points[stone] = EMPTY
        chain, liberties = self._chain(points, point)
        if not liberties:
            return None
        is_ko = len(taken) == len(chain) == len(liberties) == 1
        return GoBoard(self.size, tuple(points), taken[0] if is_ko else NO_POINT)

    def passed(self) -> GoBoard:
        """The board after a pass."""
        return GoBoard(self.size, self.points)

    def without(self, stones: Collection[int]) -> GoBoard:
        """The board after stones were taken off."""
        return GoBoard(self.size, tuple(EMPTY if i in stones else color for i, color in enumerate(self.points)))

    def area(self, player: int) -> int:
        """Points with the player's stones, and empty ones that reach no stone of the other."""
        own, visited = self.points.count(player), set[int]()
        for point, color in enumerate(self.points):
            if color == EMPTY and point not in visited:
                region, borders = self._region(point)
                visited |= region
                own += len(region) if borders == {player} else 0
        return own

    def chains(self) -> Iterator[list[int]]:
        """The chains of stones, each from its lowest point on."""
        visited = set[int]()
        for point, color in enumerate(self.points):
            if color != EMPTY and point not in visited:
                chain, _ = self._chain(self.points, point)
                visited |= set(chain)
                yield sorted(chain)

    def neighbours(self, point: int) -> list[int]:
        """The points beside a point."""
        row, column = divmod(point, self.size)
        sides = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        return [r * self.size + c for r, c in sides if 0 <= r < self.size and 0 <= c < self.size]

    def _chain(self, points: list[int] | tuple[int, ...], start: int) -> tuple[list[int], set[int]]:
        """The stones connected with the one on `start`, and the empty points beside them."""
        chain, liberties, visited = [start], set[int](), {start}
        for stone in chain:  # grows while it is walked
            for neighbour in self.neighbours(stone):
                if points[neighbour] == EMPTY:
                    liberties.add(neighbour)
                elif points[neighbour] == points[start] and neighbour not in visited:
                    visited.add(neighbour)
                    chain.append(neighbour)
        return chain, liberties

    def _region(self, start: int) -> tuple[set[int], set[int]]:
        """The empty points connected with `start`, and the players whose stones they touch."""
        region, borders, waiting = {start}, set[int](), [start]
        while waiting:
            for neighbour in self.neighbours(waiting.pop()):
                if self.points[neighbour] != EMPTY:
                    borders.add(self.points[neighbour])
                elif neighbour not in region:
                    region.add(neighbour)
                    waiting.append(neighbour)
        return region, borders


def empty_board(size: int, black: Iterable[int] = ()) -> GoBoard:
    """A board with nothing on it but black stones of a handicap."""
    stones = set(black)
    return GoBoard(size, tuple(BLACK if point in stones else EMPTY for point in range(size * size)))


def margin(board: GoBoard, komi: float, handicap: int = 0) -> float:
    """By how many points Black is ahead; White gets a point for each stone of a handicap, as in the games."""
    return board.area(BLACK) - board.area(WHITE) - komi - handicap


def result_text(black_margin: float) -> str:
    """A result as GTP has it: `B+3.5`, `W+7.5`, `0`."""
    return "0" if black_margin == 0 else f"{'B' if black_margin > 0 else 'W'}+{abs(black_margin):g}"


def draw_board(board: GoBoard) -> str:
    """The board as a person reads it: X black, O white."""
    marks = {EMPTY: ".", BLACK: "X", WHITE: "O"}
    columns = "   " + " ".join("ABCDEFGHJKLMNOPQRST"[: board.size])
    rows = [
        f"{row + 1:2} {' '.join(marks[p] for p in board.points[row * board.size : (row + 1) * board.size])} {row + 1}"
        for row in range(board.size - 1, -1, -1)
    ]
    return "\n".join([columns, *rows, columns])
