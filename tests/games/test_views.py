"""Boards of OpenSpiel turned to the player to move: a position and its mirror with colours changed look the same."""

from __future__ import annotations

import chess
import numpy as np
import pytest

import games
from games.random_play import random_actions

HERE = np.zeros(1, np.int64)
TURNED = "chess(egocentric_obs_tensor=True)"
SIDE_TO_MOVE = 14
"""The plane that names the colour."""


def shown(game: games.Game, fen: str) -> tuple[np.ndarray, list[int]]:
    """Observation and legal actions of a position."""
    pool = game.new_pool(1)
    pool._states[0] = game.spiel_game.new_initial_state(fen)
    observation = np.zeros((1, *game.observation_shape), np.float32)
    pool.observe(HERE, observation)
    return observation[0], pool.legal(HERE)[1].tolist()


def fens(count: int) -> list[str]:
    """Positions of random games, by an independent program."""
    rng, found = np.random.default_rng(4), []
    while len(found) < count:
        board = chess.Board()
        for _ in range(int(rng.integers(1, 120))):
            if board.is_game_over():
                break
            board.push(list(board.legal_moves)[rng.integers(board.legal_moves.count())])
        if not board.is_game_over():
            found.append(board.fen())
    return found


@pytest.mark.parametrize("fen", [*fens(40), "r3k2r/8/8/8/8/8/8/R3K2R w Kq - 3 10", "4k3/P7/8/8/8/8/p7/4K3 b - - 0 1"])
def test_a_position_and_its_mirror_look_the_same_to_their_movers(fen: str) -> None:
    game = games.load(TURNED)
    (one, moves), (other, mirrored) = shown(game, fen), shown(game, chess.Board(fen).mirror().fen())
    assert moves == mirrored
    seats = game.num_players
    one[SIDE_TO_MOVE] = other[SIDE_TO_MOVE] = 0
    np.testing.assert_array_equal(one[:-seats], other[:-seats])


@pytest.mark.parametrize("fen", fens(40))
def test_a_move_is_where_its_piece_is_shown(fen: str) -> None:
    game = games.load(TURNED)
    observation, moves = shown(game, fen)
    own = observation[0:12:2].sum(axis=0).ravel()
    cells = game.action_planes.cell[moves]
    assert (own[cells[cells >= 0]] == 1).all() and (cells >= 0).any()
    castling = [move for move, cell in zip(moves, cells, strict=True) if cell < 0]
    assert set(castling) <= {4672, 4673}


def test_the_view_changes_no_rules() -> None:
    plain, turned = games.load("chess"), games.load(TURNED)
    assert (plain.rules, turned.rules, turned.name) == ("chess", "chess", TURNED)
    assert plain.action_planes is None and games.load("chess(egocentric_obs_tensor=False)").name == "chess"
    source, target, rng = plain.new_pool(1), turned.new_pool(1), np.random.default_rng(0)
    source.reset(HERE)
    for _ in range(30):
        source.step(HERE, random_actions(source, HERE, rng), HERE)
    target.load(HERE, source, HERE)
    assert target.text(0) == source.text(0)
    of_black, start = "8/8/8/8/8/p7/4k3/K7 b - - 0 1", chess.STARTING_FEN
    assert not np.array_equal(shown(plain, of_black)[0], shown(turned, of_black)[0])
    np.testing.assert_array_equal(shown(plain, start)[0], shown(turned, start)[0])
