"""Breakthrough is OpenSpiel's game with the board turned to the player to move; and what is known about it."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import observations, slots

import games
from games.native.breakthrough import Breakthrough


def as_openspiel(game: Breakthrough, action: int, mover: int) -> tuple[int, int, int]:
    """Row, column and direction of OpenSpiel's action: player 0 begins on its top row, directions 0-2 go down."""
    direction, cell = divmod(action, game.rows * game.columns)
    row, column = divmod(cell, game.columns)
    if mover == 0:
        return game.rows - 1 - row, column, direction
    return row, game.columns - 1 - column, 5 - direction


@pytest.mark.parametrize(
    ("name", "num_games"),
    [
        ("breakthrough", 300),
        ("breakthrough(columns=2,rows=2)", 50),
        ("breakthrough(columns=5,rows=6)", 200),
        ("breakthrough(columns=7,rows=5)", 200),
        ("breakthrough(columns=3,rows=9)", 100),
        pytest.param("breakthrough", 10_000, marks=pytest.mark.slow),
    ],
)
def test_random_games_equal_openspiels(name: str, num_games: int) -> None:
    native, reference = games.load(name), games.load(f"openspiel:{name}")
    assert isinstance(native, Breakthrough)
    assert native.max_game_length == reference.max_game_length and native.rules != reference.rules
    ours, theirs = native.new_pool(num_games), reference.new_pool(num_games)
    going, rng, mover, finished = np.arange(num_games), np.random.default_rng(0), 0, 0
    ours.reset(going)
    theirs.reset(going)
    while len(going):
        offsets, actions = ours.legal(going)
        assert np.array_equal(offsets, theirs.legal(going)[0])
        expected = {}
        for i, action in enumerate(theirs.legal(going)[1].tolist()):
            slot = int(np.searchsorted(offsets, i, side="right")) - 1
            expected[slot, action // 12 // native.columns, action // 12 % native.columns, action // 2 % 6] = action
        own = [
            (slot, *as_openspiel(native, action, mover))
            for slot in range(len(going))
            for action in actions[offsets[slot] : offsets[slot + 1]].tolist()
        ]
        assert set(own) == expected.keys() and len(own) == len(expected)
        check_boards(native, observations(ours, going), observations(theirs, going), mover)
        chosen = offsets[:-1] + rng.integers(np.diff(offsets))
        translated = np.array([expected[own[i]] for i in chosen.tolist()])
        to_play, rewards = ours.step(going, actions[chosen], going)
        for mine, other in zip((to_play, rewards), theirs.step(going, translated, going)):
            assert np.array_equal(mine, other)
        finished += np.count_nonzero(to_play == games.TERMINAL)
        going, mover = going[to_play != games.TERMINAL], 1 - mover
    assert finished == num_games


def check_boards(game: Breakthrough, own: np.ndarray, other: np.ndarray, mover: int) -> None:
    turned = own[:, :, :, ::-1] if mover else own[:, :, ::-1]
    assert np.array_equal(turned[:, mover], other[:, 0]) and np.array_equal(turned[:, 1 - mover], other[:, 1])
    assert np.array_equal(own[:, 2:], other[:, 3:])


def test_actions_are_planes_of_cells() -> None:
    game = games.load("breakthrough(columns=5,rows=6)")
    planes = game.action_planes
    assert planes is not None and (planes.num_planes, planes.size) == (3, (6, 5))
    assert np.array_equal(planes.plane * 30 + planes.cell, np.arange(game.num_actions))
    pool = game.new_pool(1)
    pool.reset(slots(0))
    legal = pool.legal(slots(0))[1]
    assert set(planes.cell[legal].tolist()) <= set(range(20, 25)), (
        "the front row of the player to move, near the bottom"
    )


def test_moves_are_written_as_uci_engines_write_them() -> None:
    pool = games.load("breakthrough").new_pool(1)
    pool.reset(slots(0))
    texts = {pool.action_text(0, action): action for action in pool.legal(slots(0))[1].tolist()}
    assert {"a2a3", "a2b3", "h2g3"} <= set(texts) and "a2h3" not in texts
    pool.step(slots(0), slots(texts["a2b3"]), slots(0))
    texts = {pool.action_text(0, action): action for action in pool.legal(slots(0))[1].tolist()}
    assert {"a7a6", "h7g6"} <= set(texts) and len(texts) == 22
    assert pool.text(0).splitlines()[5:7] == ["3 .w......", "2 .wwwwwww"] and pool.text(0).endswith("black to move")


def test_random_games_are_as_long_and_as_fair_as_openspiels() -> None:
    results = {}
    for name, num_games in (
        ("breakthrough(rows=6,columns=6)", 20_000),
        ("openspiel:breakthrough(rows=6,columns=6)", 2000),
    ):
        pool = games.load(name).new_pool(1)
        pool.reset(slots(0))
        results[name] = pool.rollout(np.zeros(num_games, np.int64), np.random.default_rng(0))[:, 0]
        assert set(results[name].tolist()) == {-1.0, 1.0}
    ours, theirs = (np.mean(result) for result in results.values())
    assert abs(ours - theirs) < 4 / np.sqrt(2000)
