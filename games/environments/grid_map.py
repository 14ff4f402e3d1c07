"""Grid worlds as text: the legend, the rules, and the maps that come with the project.

A map is rows of equal length, after lines `rule: number` for rules that are not the usual ones:

    step_reward: -0.04
    slip: 0.2
    ...G
    .#.X
    S...

`parse_map` reads it, `load_map` finds it by name or file; `games.environments.grid_world` makes a world of it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from games.base import GameError
from games.parameters import Value, typed

WALL, FLOOR, START, GOAL, PIT, CLIFF = "#.SGXC"

LEGEND = {
    WALL: "wall: who walks into it, or over the edge of the map, stays where they are",
    FLOOR: "floor",
    START: "start: episodes begin here, with equal probability where there are several",
    GOAL: "goal: pays goal_reward and ends the episode",
    PIT: "pit: pays pit_reward and ends the episode",
    CLIFF: "cliff: pays cliff_reward and puts the agent back at the start",
}

MAX_STATES = 2_000
"""A table of transitions takes 4 S^2 numbers of 8 bytes: 128 megabytes."""

MAX_FILE_BYTES = 100_000

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Row and column of the actions up, right, down, left."""


@dataclass(frozen=True)
class GridMap:
    """A map with its rules. Raises GameError for one that cannot be played."""

    name: str
    """One of `MAPS`, or the path of a file."""
    rows: tuple[str, ...]
    """Characters of `LEGEND`, [H] rows of equal length W, the topmost first."""
    step_reward: float = 0.0
    """Reward of every step; the reward of the entered cell is added."""
    goal_reward: float = 1.0
    pit_reward: float = -1.0
    cliff_reward: float = -1.0
    slip: float = 0.0
    """Probability of moving to one of the two sides of the direction that was chosen, half for each."""
    slip_back: float = 0.0
    """Probability of moving in the opposite direction."""
    max_steps: int = 1_000
    """Number of steps after which an episode is cut off."""

    def __post_init__(self) -> None:
        if min(self.slip, self.slip_back) < 0 or self.slip + self.slip_back > 1:
            raise GameError(
                f"grid_world: slip={self.slip} and slip_back={self.slip_back} are no probabilities; "
                f"make them 0 or more, and 1 together at most"
            )
        if self.max_steps < 1:
            raise GameError(f"grid_world: max_steps={self.max_steps} ends no episode; make it 1 or more")
        self._check_rows()
        self._check_reach()

    def cells(self, characters: str) -> np.ndarray:
        """Row and column of the cells with one of `characters`, row by row, int64 [n, 2]."""
        found = [(i, j) for i, row in enumerate(self.rows) for j, cell in enumerate(row) if cell in characters]
        return np.array(found, np.int64).reshape(-1, 2)

    def _check_rows(self) -> None:
        if not self.rows:
            raise self._error("has no rows; draw it with " + " ".join(LEGEND))
        for i, row in enumerate(self.rows, start=1):
            if len(row) != len(self.rows[0]):
                raise self._error(
                    f"row {i} has {len(row)} cells, row 1 has {len(self.rows[0])}; make all rows equally long"
                )
            for j, cell in enumerate(row, start=1):
                if cell not in LEGEND:
                    raise self._error(f"row {i}, column {j}: {cell!r} is no cell; use one of {' '.join(LEGEND)}")
        text = "".join(self.rows)
        for cell in (START, GOAL):
            if cell not in text:
                raise self._error(f"has no {LEGEND[cell].partition(':')[0]}; mark one with {cell}")
        if CLIFF in text and text.count(START) > 1:
            raise self._error(f"has a cliff and {text.count(START)} starts; leave one, which the cliff puts back to")
        states = len(text) - text.count(WALL) - text.count(CLIFF)
        if states > MAX_STATES:
            raise self._error(f"has {states:,} cells to stand on; {MAX_STATES:,} can be solved exactly")

    def _check_reach(self) -> None:
        """Every state must be reached from a start, and reach an end: with discount 1 it would have no value else."""
        for sources, trouble in ((START, "be reached from a start"), (GOAL + PIT, "reach a goal or pit")):
            connected = self._connected(sources)
            for i, j in self.cells(FLOOR + START + GOAL + PIT).tolist():
                if (i, j) not in connected:
                    raise self._error(f"row {i + 1}, column {j + 1} cannot {trouble}; make it a wall ({WALL})")

    def _connected(self, sources: str) -> set[tuple[int, int]]:
        """Cells at the other end of a way from one of the `sources`, and those. Ways lead over floor and starts."""
        border = [(i, j) for i, j in self.cells(sources).tolist()]
        connected = set(border)
        while border:
            i, j = border.pop()
            for cell in ((i + down, j + right) for down, right in MOVES):
                if cell not in connected and self.at(*cell) not in WALL + CLIFF:
                    connected.add(cell)
                    if self.at(*cell) in FLOOR + START:
                        border.append(cell)
        return connected

    def at(self, row: int, column: int) -> str:
        """The character of a cell, `WALL` outside the map."""
        inside = 0 <= row < len(self.rows) and 0 <= column < len(self.rows[0])
        return self.rows[row][column] if inside else WALL

    def _error(self, what: str) -> GameError:
        return GameError(f"grid_world: map {self.name} {what}")


RULES: dict[str, Value] = {f.name: f.default for f in fields(GridMap) if isinstance(f.default, (int, float))}
"""The rules that a map or a person may set, with the usual values."""


def parse_map(name: str, text: str) -> GridMap:
    """The map of a text. Raises GameError that names `name`."""
    lines = [line.strip() for line in text.strip().splitlines()]
    header: dict[str, str] = {}
    while lines and (":" in lines[0] or not lines[0]):
        key, colon, value = map(str.strip, lines.pop(0).partition(":"))
        if colon and (key in header or not value):
            raise GameError(f"grid_world: map {name} gives {key[:40]!r} twice or without a number; write rule: number")
        if colon:
            header[key] = value
    rules = typed(f"grid_world: map {name}", header, RULES)
    return GridMap(name, tuple(lines), **rules)  # type: ignore[arg-type]


def load_map(name: str) -> GridMap:
    """A map by its name in `MAPS`, or else by its path. Raises GameError."""
    if name in MAPS:
        return parse_map(name, MAPS[name])
    try:
        with Path(name).open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise GameError(f"grid_world: map {name} has more than {MAX_FILE_BYTES:,} bytes; is it a map?")
        return parse_map(name, text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise GameError(f"grid_world: map {name} is no text in UTF-8") from None
    except (OSError, ValueError) as error:
        if isinstance(error, GameError):
            raise
        close = difflib.get_close_matches(name, MAPS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use {', '.join(sorted(MAPS))} or the path of a text file"
        reason = getattr(error, "strerror", None) or error
        raise GameError(f"grid_world: cannot read map {name[:80]!r} ({reason}); {hint}") from None


MAPS = {
    # Russell and Norvig, "Artificial Intelligence: A Modern Approach", 3rd edition (2010), figure 17.1.
    "russell_norvig": """
step_reward: -0.04
slip: 0.2

...G
.#.X
S...
""",
    # The same without slips, and with a start in every cell: every state is seen, and best moves differ clearly.
    "start_anywhere": """
step_reward: -0.04

SSSG
S#SX
SSSS
""",
    # Sutton and Barto (2018), example 6.6: every step costs 1, one into the cliff 100 in all.
    "cliff": """
step_reward: -1
goal_reward: 0
cliff_reward: -99

............
............
............
SCCCCCCCCCCG
""",
    # Sutton, Precup and Singh, "Between MDPs and semi-MDPs" (1999), figure 2, with the goal in the hallway G1: a move
    # succeeds with probability 2/3, and goes in each of the other three directions with 1/9.
    "four_rooms": """
slip: 0.2222222222222222
slip_back: 0.1111111111111111

#############
#S....#.....#
#.....#.....#
#...........#
#.....#.....#
#.....#.....#
##.####.....#
#.....###G###
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#############
""",
    # Gymnasium's FrozenLake-v1: on ice a move goes where it should or to a side, with probability 1/3 each.
    "frozen_lake": """
pit_reward: 0
slip: 0.6666666666666666
max_steps: 100

S...
.X.X
...X
X..G
""",
}
