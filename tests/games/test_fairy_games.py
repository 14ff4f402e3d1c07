"""Chess and shogi on small boards are Fairy-Stockfish's games, move by move (through `pyffish`)."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyffish
import pytest
from games_helpers import slots

import games
from games.native.pieces import MAX_PLIES, PiecePool

HERE = slots(0)
VARIANTS = ["animal_shogi", "gardner_chess", "mini_shogi"]

COMPARED = 8
"""Number of moves between two comparisons of the board."""


def fields(fen: str) -> list[str]:
    """Board, hands in alphabetical order and side of a FEN. A captured lion is in nobody's hand here."""
    board, hands, side = re.fullmatch(r"([^ \[]+)(?:\[(.*)\])? ([wb]) .*", fen).groups(default="")
    return [board, re.sub("[-Ll]", "", "".join(sorted(hands))), side]


def sign(value: int) -> int:
    return (value > 0) - (value < 0)


def play_game(pool: PiecePool, variant: str, rng: np.random.Generator) -> str:
    """One random game, every list of moves and some positions compared; returns how it ended.

    A call of `pyffish` takes a millisecond, so positions are compared now and then, after the moves since the start.
    """
    start = pyffish.start_fen(variant)
    moves: list[str] = []
    seen: Counter[str] = Counter()
    rewards = np.zeros(2)
    pool.reset(HERE)
    while True:
        mover, is_over, fen = len(moves) % 2, pool.to_play(HERE)[0] == games.TERMINAL, pool.fen(0)
        seen[" ".join(fields(fen))] += 1
        if is_over or len(moves) % COMPARED == 0:
            assert fields(fen) == fields(pyffish.get_fen(variant, start, moves))
        legal = pyffish.legal_moves(variant, fen, [])
        value, ending = 0, ""
        if is_over or not legal or len(moves) % COMPARED == 0 or max(seen.values()) > 2:
            value, ending = end_of_game(variant, start, moves, legal)
        if not ending and is_over and not pool.hands and all(pyffish.has_insufficient_material(variant, fen, [])):
            ending = "material"
        if not ending and variant == "dobutsu" and max(seen.values()) == 3:
            ending = "third occurrence"  # there it is the fourth
        if not ending and len(moves) == MAX_PLIES:
            ending = "256 moves"
        assert bool(ending) == is_over, (ending, start, moves)
        if is_over:
            assert rewards[mover] == sign(value) == -rewards[1 - mover], (ending, start, moves)
            return ending
        assert pool.to_play(HERE)[0] == mover and not rewards.any(), (start, moves)
        actions = {pool.action_text(0, action): action for action in pool.legal(HERE)[1].tolist()}
        for move in set(legal) - actions.keys():  # a pawn dropped to mate: there it is legal, and loses
            assert move.startswith("P@") and not pyffish.legal_moves(variant, fen, [move]), (move, start, moves)
            assert pyffish.game_result(variant, fen, [move]) > 0, (move, start, moves)
            legal.remove(move)
        assert sorted(actions) == sorted(legal), (start, moves)
        moves.append(legal[rng.integers(len(legal))])
        rewards = pool.step(HERE, slots(actions[moves[-1]]), HERE)[1][0].copy()


def end_of_game(variant: str, start: str, moves: list[str], legal: list[str]) -> tuple[int, str]:
    """The value for the player to move and the reason, which is empty where the game goes on."""
    has_ended, value = pyffish.is_immediate_game_end(variant, start, moves)
    if has_ended:
        return value, "rules"
    if not legal:
        return pyffish.game_result(variant, start, moves), "no move"
    has_ended, value = pyffish.is_optional_game_end(variant, start, moves)
    return (value, "repetition or length") if has_ended else (0, "")


def check_games(name: str, num_games: int) -> Counter[str]:
    game, rng = games.load(name), np.random.default_rng(num_games)
    pool = game.new_pool(1)
    assert isinstance(pool, PiecePool)
    return Counter(play_game(pool, game.uci_variant, rng) for _ in range(num_games))


@pytest.mark.parametrize("name", VARIANTS)
def test_random_games_equal_fairy_stockfishs(name: str) -> None:
    assert sum(check_games(name, 6).values()) == 6


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_many_random_games_equal_fairy_stockfishs(name: str) -> None:
    endings = check_games(name, 100)
    assert sum(endings.values()) == 100
    assert len(endings) >= 2 or name == "animal_shogi"  # whose random games all end with a lion
