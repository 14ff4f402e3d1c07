"""Every declared symmetry, by law: a game and its mirror image are played side by side and must stay mirror images."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import live, observations, shipped_names, slots

import games
from games.native.pieces import PiecePool

DECLARING = {
    "tic_tac_toe": 7,
    "mnk(k=4,m=6,n=6)": 7,
    "mnk(k=3,m=5,n=4)": 3,
    "gomoku(size=7)": 7,
    "gomoku(connect=4,size=6,wrap=True)": 7,
    "othello": 3,
    "go(board_size=5)": 7,
    "go": 7,
    "openspiel:go(board_size=5)": 7,
    "hex(board_size=5)": 1,
    "hex(num_cols=5,num_rows=3)": 1,
    "openspiel:hex(num_cols=5,num_rows=3)": 1,
    "openspiel:hex(board_size=4,swap=True)": 1,
    "openspiel:hex(board_size=4,plain_obs_tensor=True)": 1,
    "breakthrough": 1,
    "breakthrough(columns=5,rows=6)": 1,
    "openspiel:breakthrough": 1,
    "openspiel:breakthrough(columns=5,rows=6)": 1,
    "gardner_chess": 1,
    "animal_shogi": 1,
    "mini_shogi": 1,
    "connect_four": 1,
    "openspiel:connect_four": 1,
    "connect_four(columns=4,egocentric_obs_tensor=True,rows=5,x_in_row=3)": 1,
    "y(board_size=6)": 5,
    "havannah(board_size=4)": 11,
    "havannah(board_size=3,swap=True)": 11,
}
GAMES_PER_SYMMETRY = 3
MAX_PLIES = 90


def test_no_game_declares_symmetries_unseen_by_the_law() -> None:
    declaring = {name for name in shipped_names() if games.load(name).symmetries()}
    assert declaring == {name.split("(")[0] for name in DECLARING if not name.startswith("openspiel:")}


def test_symmetries_that_a_parameter_breaks_are_not_declared() -> None:
    for name in ("go(handicap=2)", "gomoku(dims=3,size=4)", "checkers"):
        assert games.load(name).symmetries() == []


@pytest.mark.parametrize(("name", "count"), DECLARING.items())
def test_mirrored_games_stay_mirrored(name: str, count: int) -> None:
    game = games.load(name)
    symmetries = game.symmetries()
    assert len(symmetries) == count
    identity = np.arange(game.num_actions)
    assert len({s.action.tobytes() for s in symmetries} | {identity.tobytes()}) == count + 1
    for symmetry in symmetries:
        check_symmetry(game, symmetry)
        assert symmetry.keeps_start == is_its_mirror_image(game, symmetry)


def is_its_mirror_image(game: games.Game, symmetry: games.Symmetry) -> bool:
    """Whether the first position is."""
    pool = game.new_pool(1)
    pool.reset(slots(0))
    start = observations(pool, slots(0)).ravel()
    return np.array_equal(start[symmetry.observation], start)


def check_symmetry(game: games.Game, symmetry: games.Symmetry) -> None:
    size = int(np.prod(game.observation_shape))
    seats = size // game.observation_shape[0] * game.num_players
    assert np.array_equal(np.sort(symmetry.observation), np.arange(size))
    assert np.array_equal(np.sort(symmetry.action), np.arange(game.num_actions))
    assert np.array_equal(symmetry.observation[-seats:], np.arange(size)[-seats:])
    new_action = np.argsort(symmetry.action)  # mirrored[i] = old[action[i]], so old action a becomes its inverse
    rng = np.random.default_rng(0)
    pool, mirrored, every = game.new_pool(GAMES_PER_SYMMETRY), game.new_pool(GAMES_PER_SYMMETRY), np.arange(3)
    pool.reset(every)
    mirrored.reset(every)
    if isinstance(mirrored, PiecePool):  # the first position of these games is not its own mirror image
        cells = mirrored.moves.turned.size
        board = mirrored._rows.position[0, :cells][symmetry.observation[:cells]].tolist()
        for slot in every:
            mirrored.place(slot, board)
    for _ in range(MAX_PLIES):
        going = live(pool, every)
        assert np.array_equal(going, live(mirrored, every))
        if len(going) == 0:
            break
        before = observations(pool, going).reshape(len(going), -1)
        assert np.array_equal(before[:, symmetry.observation], observations(mirrored, going).reshape(len(going), -1))
        actions = []
        for slot in going:
            mask, other = np.zeros((2, game.num_actions), dtype=bool)
            mask[pool.legal(slots(slot))[1]] = True
            other[mirrored.legal(slots(slot))[1]] = True
            assert np.array_equal(mask[symmetry.action], other)
            actions.append(rng.choice(np.flatnonzero(mask)))
        chosen = np.array(actions, dtype=np.int64)
        expected = [result.copy() for result in pool.step(going, chosen, going)]
        for result, other_result in zip(expected, mirrored.step(going, new_action[chosen], going)):
            assert np.array_equal(result, other_result)
