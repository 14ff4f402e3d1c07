"""What is known about animal shogi and mini shogi: drops, promotions, repetition, and the ends of a game."""

from __future__ import annotations

import re

import numpy as np
import pytest
from games_helpers import observations, slots

import games
from games.native.shogi import ShogiPool

HERE = slots(0)
WON, LOST, DRAWN = [1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]


def place(name: str, fen: str) -> ShogiPool:
    """A pool with a position, board and hands as in a FEN, where player 0 is to move."""
    pool = games.load(name).new_pool(1)
    assert isinstance(pool, ShogiPool)
    letters, hands = pool.game.letters, pool.hands
    board, held = re.fullmatch(r"(.*)\[(.*)\]", fen).groups()  # type: ignore[union-attr]
    cells: list[int] = []
    for sign in re.findall(r"\+?[A-Za-z]|\d", board):
        kind = 0 if sign.isdigit() else letters.index(sign.upper()) + 1
        cells += [0] * int(sign) if sign.isdigit() else [kind if sign[-1].isupper() else -kind]
    counts = [held.count(letter) for letter in letters[:hands]] + [held.count(x.lower()) for x in letters[:hands]]
    pool.place(0, cells, counts)
    return pool


def legal(pool: ShogiPool) -> dict[str, int]:
    return {pool.action_text(0, action): action for action in pool.legal(HERE)[1].tolist()}


def play(pool: ShogiPool, *moves: str) -> list[float]:
    """Play moves by their text; returns the rewards of the last one."""
    rewards = DRAWN
    for move in moves:
        assert rewards == DRAWN and pool.to_play(HERE)[0] != games.TERMINAL, f"the game was over before {move}"
        rewards = pool.step(HERE, slots(legal(pool)[move]), HERE)[1][0].tolist()
    return rewards


def is_over(pool: ShogiPool) -> bool:
    return bool(pool.to_play(HERE)[0] == games.TERMINAL)


def test_a_lion_is_captured_or_comes_home() -> None:
    assert play(place("animal_shogi", "l2/2L/3/3[]"), "c3c4") == WON, "the last row, where nothing can capture it"
    assert play(place("animal_shogi", "l2/1L1/3/3[]"), "b3a4") == WON, "a capture"
    attacked = place("animal_shogi", "1g1/2L/l2/3[]")
    assert play(attacked, "c3c4") == DRAWN and not is_over(attacked)
    assert play(attacked, "b4c4") == LOST


def test_an_attacked_lion_that_comes_home_wins_where_it_is_left() -> None:
    pool = place("animal_shogi", "1g1/2L/l2/3[]")
    assert play(pool, "c3c4", "b4b3") == WON and is_over(pool)


def test_chicks_become_hens_on_the_last_row_but_not_by_a_drop() -> None:
    pool = place("animal_shogi", "2l/C2/3/L2[]")
    assert "a3a4+" in legal(pool) and "a3a4" not in legal(pool)
    play(pool, "a3a4+")
    assert pool.fen(0).startswith("+C1l/")
    dropped = place("animal_shogi", "2l/3/3/L2[C]")
    play(dropped, "C@a4")
    assert dropped.fen(0).startswith("C1l/3/3/L2[-]")
    captured = place("animal_shogi", "+c1l/1L1/3/3[]")
    assert play(captured, "b3a4") == WON
    assert captured.fen(0).split("[")[1][0] == "C", "a hen comes back as a chick"


def test_the_third_occurrence_is_a_draw_in_animal_shogi() -> None:
    pool = games.load("animal_shogi").new_pool(1)
    pool.reset(HERE)
    cycle = ("c1c2", "a4a3", "c2c1", "a3a4")
    for expected in (0, 1):
        assert np.all(observations(pool, HERE)[0, 16] == expected)
        assert play(pool, *cycle) == DRAWN
    assert is_over(pool)


def test_the_fourth_occurrence_is_lost_for_player_0_in_mini_shogi() -> None:
    pool = games.load("mini_shogi").new_pool(1)
    pool.reset(HERE)
    cycle = ("e1e2", "a5a4", "e2e1", "a4a5")
    play(pool, *cycle, *cycle)
    assert np.all(observations(pool, HERE)[0, 30] == 2) and not is_over(pool)
    assert play(pool, *cycle) == LOST


@pytest.mark.parametrize(("checker", "result"), [("first", LOST), ("second", WON)])
def test_perpetual_check_loses(checker: str, result: list[float]) -> None:
    """A rook gives check on two files in turn, and the king steps to and fro."""
    pool = place("mini_shogi", "4k/5/3R1/5/K4[]" if checker == "first" else "k4/5/1r3/5/K4[P]")
    cycle = ("d3e3", "e5d5", "e3d3", "d5e5") if checker == "first" else ("b3a3", "a1b1", "a3b3", "b1a1")
    last = DRAWN if checker == "first" else play(pool, "P@e2")
    for move in 4 * cycle:
        if not is_over(pool):
            last = play(pool, move)
    assert is_over(pool) and last == result and len(pool.history(0)) <= 14


def test_a_pawn_is_not_dropped_on_a_file_with_another_nor_on_the_last_row() -> None:
    drops = {text for text in legal(place("mini_shogi", "4k/5/5/1P3/K4[P]")) if "@" in text}
    assert drops == {f"P@{file}{rank}" for file in "acde" for rank in (1, 2, 3, 4)} - {"P@a1"}
    promoted = {text for text in legal(place("mini_shogi", "4k/5/5/1+P3/K4[P]")) if "@b" in text}
    assert promoted == {"P@b1", "P@b3", "P@b4"}, "a promoted pawn does not count"


def test_a_dropped_pawn_gives_check_but_not_mate() -> None:
    assert "P@e4" not in legal(place("mini_shogi", "3rk/5/3GG/5/K4[P]"))
    assert "P@e4" in legal(place("mini_shogi", "3sk/5/3GG/5/K4[P]")), "the silver captures it"
    assert "P@e4" in legal(place("mini_shogi", "4k/5/4G/5/K4[P]"))
    assert play(place("mini_shogi", "3rk/5/3GP/5/K4[]"), "e3e4") == WON, "a pawn that moves may mate"


def test_promotion_is_a_choice_on_the_last_row_but_for_pawns() -> None:
    moves = legal(place("mini_shogi", "1R2k/S1P2/5/5/K4[]"))
    assert {"a4a5", "a4a5+", "b5b1", "b5b1+", "c4c5+"} <= set(moves) and "c4c5" not in moves
    assert moves["a4a5+"] - moves["a4a5"] == 200
    assert "e1e2+" not in legal(place("mini_shogi", "k4/5/5/5/K3R[]"))


def test_a_player_without_a_move_loses() -> None:
    stuck = place("mini_shogi", "k4/2R2/5/1R3/K4[]")
    assert play(stuck, "c4d4") == WON, "stalemate"
    mated = place("mini_shogi", "k4/5/G4/5/K4[G]")
    assert play(mated, "G@a4") == WON and is_over(mated)


@pytest.mark.parametrize(("name", "first"), [("animal_shogi", "c1c2"), ("mini_shogi", "e1e2")])
def test_both_players_see_their_own_side_below(name: str, first: str) -> None:
    pool = games.load(name).new_pool(1)
    assert isinstance(pool, ShogiPool)
    pool.reset(HERE)
    own, before = len(pool.game.letters), observations(pool, HERE)[0]
    play(pool, first)
    after = observations(pool, HERE)[0]
    assert np.array_equal(before[:own], after[:own]) and not np.array_equal(before[own : 2 * own], after[own : 2 * own])
    assert before[:own, -1].sum() == before.shape[2], "the last row is the own first one"
