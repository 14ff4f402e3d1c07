"""Symmetries of games, declared once per game as gather indices (see `games.base.Symmetry`).

Training mirrors positions and policies with them. A declaration is a claim about OpenSpiel's rules, encoding of
actions and layout of observations, so a law in the tests plays every game and its mirror image side by side. A mirror
image of the initial position may be another one, as in chess; it keeps the rules. Seat planes never move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np

from games.base import ActionPlanes, Game, Symmetry

_Builder = Callable[[Game, Mapping[str, Any]], list[Symmetry]]


def declared_symmetries(name: str, game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    """The symmetries of an OpenSpiel game (or our version of it) by its short name; empty when none is declared."""
    build = _BUILDERS.get(name)
    return build(game, parameters) if build else []


def planes_of_cells(num_planes: int, rows: int, columns: int) -> ActionPlanes:
    """The planes of a game whose actions are `plane * rows * columns + cell`, for every plane and cell."""
    actions, cells = np.arange(num_planes * rows * columns), rows * columns
    return ActionPlanes(num_planes, (rows, columns), actions // cells, actions % cells)


def mirror_of_planes(game: Game, planes: Sequence[int], keeps_start: bool = True) -> Symmetry:
    """The mirror image, left for right, of a game with `planes_of_cells`.

    `planes[p]` is the plane of actions that becomes plane p. `keeps_start` as in `Symmetry`.
    """
    rows, columns = game.observation_shape[1:]
    cells = _board_maps(rows, columns)["mirror"]
    mirror = _of_cells(game, cells, actions=(np.array(planes)[:, None] * cells.size + cells).ravel())
    return replace(mirror, keeps_start=keeps_start)


def _of_cells(game: Game, cells: np.ndarray, actions: np.ndarray | None = None, planes: Any = None) -> Symmetry:
    """The symmetry that puts board cell `cells[i]` at cell i, in every plane.

    Actions are cells unless given, further actions (a pass) stay. `planes[c]` is the plane that becomes plane c.
    """
    own_planes = game.observation_shape[0] - game.num_players
    sources = np.arange(own_planes) if planes is None else np.asarray(planes)
    observation = np.arange(int(np.prod(game.observation_shape)))
    observation[: own_planes * cells.size] = (sources[:, None] * cells.size + cells).ravel()
    if actions is None:
        actions = np.concatenate([cells, np.arange(cells.size, game.num_actions)])
    return Symmetry(observation.astype(np.int64), actions.astype(np.int64))


def _board_maps(rows: int, columns: int) -> dict[str, np.ndarray]:
    """Every map of a rectangular board onto itself but the identity, as gather indices of its cells."""
    board = np.arange(rows * columns).reshape(rows, columns)
    maps = {"upside_down": board[::-1], "mirror": board[:, ::-1], "half_turn": board[::-1, ::-1]}
    if rows == columns:
        maps |= {"transpose": board.T, "anti_transpose": board[::-1, ::-1].T}
        maps |= {"quarter_turn": np.rot90(board), "three_quarter_turn": np.rot90(board, 3)}
    return {name: cells.ravel() for name, cells in maps.items()}


def _whole_board(game: Game, rows: int, columns: int) -> list[Symmetry]:
    return [_of_cells(game, cells) for cells in _board_maps(rows, columns).values()]


def _tic_tac_toe(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    return _whole_board(game, 3, 3)


def _mnk(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    return _whole_board(game, rows=parameters["n"], columns=parameters["m"])


def _gomoku(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    return _whole_board(game, parameters["size"], parameters["size"]) if parameters["dims"] == 2 else []


def _go(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    # Handicap stones are not placed symmetrically.
    return _whole_board(game, parameters["board_size"], parameters["board_size"]) if not parameters["handicap"] else []


def _othello(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    # The other four swap the colours of the initial discs.
    maps = _board_maps(8, 8)
    return [_of_cells(game, maps[name]) for name in ("half_turn", "transpose", "anti_transpose")]


def _connect_four(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    rows, columns = parameters["rows"], parameters["columns"]
    return [_of_cells(game, _board_maps(rows, columns)["mirror"], actions=np.arange(columns)[::-1])]


def _hex(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    rows, columns = parameters["num_rows"], parameters["num_cols"]
    if rows == 1 or columns == 1:  # a stone of a single row counts as touching one of its two edges only
        return []
    # Planes: white wins, west, east, white, empty, black, south, north, black wins. Half a turn swaps the edges.
    planes = None if parameters["plain_obs_tensor"] else [0, 2, 1, 3, 4, 5, 7, 6, 8]
    return [_of_cells(game, _board_maps(rows, columns)["half_turn"], planes=planes)]


def _breakthrough(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    # Actions are (row, column, direction, capture); directions 0-2 and 3-5 go left, straight, right.
    rows, columns = parameters["rows"], parameters["columns"]
    actions = np.arange(game.num_actions).reshape(rows, columns, 2, 3, 2)[:, ::-1, :, ::-1, :]
    return [_of_cells(game, _board_maps(rows, columns)["mirror"], actions=actions.ravel())]


def _y(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    # A triangle: the three distances to its sides add up to size - 1, and may be permuted.
    size = parameters["board_size"]
    sides = [(x, y, size - 1 - x - y) for y in range(size) for x in range(size - y)]
    maps = []
    for order in list(permutations(range(3)))[1:]:
        cells = np.arange(size * size)  # cells outside the triangle stay
        for side in sides:
            cells[side[0] + side[1] * size] = side[order[0]] + side[order[1]] * size
        maps.append(_of_cells(game, cells))
    return maps


def _havannah(game: Game, parameters: Mapping[str, Any]) -> list[Symmetry]:
    # A hexagon: three coordinates from the centre add up to 0, and may be permuted and negated.
    reach = parameters["board_size"] - 1
    width = 2 * reach + 1

    def index(q: int, r: int) -> int:
        return (q + reach) + (reach - r) * width

    inside = [(q, r, -q - r) for q, r in product(range(-reach, reach + 1), repeat=2) if abs(q + r) <= reach]
    maps = []
    for order, sign in list(product(permutations(range(3)), (1, -1)))[1:]:
        cells = np.arange(width * width)  # cells outside the hexagon stay
        for place in inside:
            cells[index(place[0], place[1])] = index(sign * place[order[0]], sign * place[order[1]])
        maps.append(_of_cells(game, cells))
    return maps


_BUILDERS: dict[str, _Builder] = {
    "breakthrough": _breakthrough,
    "connect_four": _connect_four,
    "go": _go,
    "gomoku": _gomoku,
    "havannah": _havannah,
    "hex": _hex,
    "mnk": _mnk,
    "othello": _othello,
    "tic_tac_toe": _tic_tac_toe,
    "y": _y,
}
