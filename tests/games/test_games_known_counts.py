"""Move paths and positions of well-known games, counted through their pools (chessprogramming.org, OEIS)."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import count_paths, observations, slots

import games

CONNECT_FOUR_PATHS = [7, 49, 343, 2401, 16807, 117649, 823536]
OTHELLO_PATHS = [4, 12, 56, 244, 1396, 8200, 55092, 390216]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("tic_tac_toe", [9, 72, 504, 3024, 15120, 54720, 148176, 200448, 127872]),
        ("connect_four", CONNECT_FOUR_PATHS),
        ("openspiel:connect_four", CONNECT_FOUR_PATHS),
        ("othello", OTHELLO_PATHS),
        ("openspiel:othello", OTHELLO_PATHS[:6]),
        ("hex(board_size=3)", [9, 72, 504, 3024]),
        ("breakthrough", [22, 484, 11132, 256036]),
        ("checkers", [7, 49, 302, 1469, 7361, 36768]),
        ("chess", [20, 400, 8902]),
        ("animal_shogi", [4, 17, 123, 976, 8122, 71677]),
        ("mini_shogi", [14, 181, 2512, 35401, 533203]),
        ("gardner_chess", [7, 53, 506, 4775, 52512]),
    ],
)
def test_move_paths_by_ply(name: str, counts: list[int]) -> None:
    assert count_paths(games.load(name), len(counts)) == counts


def distinct_by_ply(game: games.Game, plies: int) -> list[int]:
    """Distinct positions by ply 1..plies, told apart by their observations; ended games are not played on."""
    pool = game.new_pool(1)
    pool.reset(slots(0))
    where, counts = slots(0), []
    for _ in range(plies):
        offsets, actions = pool.legal(where)
        children = game.new_pool(max(1, len(actions)))
        parents, where = np.repeat(where, np.diff(offsets)), np.arange(len(actions))
        actions = actions.copy()
        children.load(where, pool, parents)
        children.step(where, actions, where)
        seen = observations(children, where)[:, : -game.num_players].reshape(len(where), -1)
        _, first = np.unique(seen, axis=0, return_index=True)
        counts.append(len(first))
        pool, where = children, first
    return counts


def test_connect_four_positions_by_ply() -> None:
    assert distinct_by_ply(games.load("connect_four"), 6) == [7, 49, 238, 1120, 4263, 16422]


def test_tic_tac_toe_has_5478_positions() -> None:
    assert 1 + sum(distinct_by_ply(games.load("tic_tac_toe"), 9)) == 5478
