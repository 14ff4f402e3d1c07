"""What is known about Gardner's chess: its endings, its actions, and what its observation shows."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import observations, slots

import games
from games.native.gardner_chess import LETTERS, MAX_PROGRESS, GardnerPool

HERE = slots(0)


def place(*ranks: str) -> GardnerPool:
    """A pool with a position, rank 5 first, where white is to move."""
    pool = games.load("gardner_chess").new_pool(1)
    assert isinstance(pool, GardnerPool)
    letters = "".join(ranks)
    pool.place(0, [LETTERS.index(x.upper()) * (1 if x.isupper() else -1) if x != "." else 0 for x in letters])
    return pool


def play(pool: GardnerPool, *moves: str) -> np.ndarray:
    """Play moves by their text; returns the rewards of the last one."""
    rewards = np.zeros(2)
    for move in moves:
        assert not rewards.any() and pool.to_play(HERE)[0] != games.TERMINAL, f"the game was over before {move}"
        actions = {pool.action_text(0, action): action for action in pool.legal(HERE)[1].tolist()}
        rewards = pool.step(HERE, slots(actions[move]), HERE)[1][0].copy()
    return rewards


def test_a_mate_wins_and_a_stalemate_does_not() -> None:
    assert play(place("..k..", "P....", ".....", "..K..", "....R"), "e1e5").tolist() == [0.0, 0.0]
    mate = place("k....", ".....", "K....", ".....", "....R")
    assert play(mate, "e1e5").tolist() == [1.0, -1.0] and mate.to_play(HERE)[0] == games.TERMINAL
    stalemate = place("k....", "..Q..", "..K..", ".....", ".....")
    assert play(stalemate, "c3b3").tolist() == [0.0, 0.0] and stalemate.to_play(HERE)[0] == games.TERMINAL


def test_the_third_occurrence_of_a_position_is_a_draw() -> None:
    pool = place("r...k", ".....", ".....", ".....", "R...K")
    for expected in (0, 1):
        seen = observations(pool, HERE)[0]
        assert np.all(seen[12] == expected) and np.all(seen[13] == 4 * expected)
        assert play(pool, "a1b1", "a5b5", "b1a1", "b5a5").tolist() == [0.0, 0.0]
    assert pool.to_play(HERE)[0] == games.TERMINAL


@pytest.mark.parametrize(
    ("ranks", "move", "is_over"),
    [
        (("....k", ".....", ".....", ".p...", "K...."), "a1b2", True),
        (("....k", ".....", ".....", ".p...", "KN..."), "a1b2", True),
        (("....k", ".....", ".....", ".p...", "K..B."), "a1b2", True),
        (("....k", ".....", ".....", ".p...", "KR..."), "a1b2", False),
        (("....k", ".....", ".....", ".p...", "KNN.."), "a1b2", False),
        (("b...k", ".....", ".....", ".p...", "K.B.."), "a1b2", True),
        (("b...k", ".....", ".....", ".p...", "KB..."), "a1b2", False),
        (("b...k", ".....", "..P..", ".p...", "K.B.."), "a1b2", False),
    ],
)
def test_too_little_material_is_a_draw(ranks: tuple[str, ...], move: str, is_over: bool) -> None:
    pool = place(*ranks)
    assert play(pool, move).tolist() == [0.0, 0.0]
    assert (pool.to_play(HERE)[0] == games.TERMINAL) == is_over


def test_a_hundred_moves_without_progress_are_a_draw() -> None:
    """Of every move, one is played that captures nothing, ends nothing and repeats nothing."""
    one, pool = place("r...k", ".....", ".....", ".....", "R...K"), games.load("gardner_chess").new_pool(2)
    pool.load(HERE, one, HERE)
    for plies in range(MAX_PROGRESS):
        assert np.all(observations(pool, HERE)[0, 13] == plies) and pool.to_play(HERE)[0] == plies % 2
        for action in pool.legal(HERE)[1].tolist():
            to_play = pool.step(HERE, slots(action), slots(1))[0][0]
            seen = observations(pool, slots(1))[0]
            if seen[:12].sum() == 4 and not seen[12].any() and (to_play != games.TERMINAL or plies == 99):
                break
        pool.copy(slots(1), HERE)
    assert pool.to_play(HERE)[0] == games.TERMINAL


def test_a_pawn_becomes_four_pieces_and_a_check_must_be_answered() -> None:
    pool = place("..n.k", ".P...", ".....", ".....", "K....")
    texts = {pool.action_text(0, action): action for action in pool.legal(HERE)[1].tolist()}
    promotions = {f"b4{end}{piece}" for end in ("b5", "c5") for piece in "qrbn"}
    assert {text for text in texts if text.startswith("b4")} == promotions
    planes = pool.game.action_planes
    assert planes is not None
    where = {text: divmod(action, 25) for text, action in texts.items()}
    assert all(where[text][1] == planes.cell[texts[text]] == 6 for text in promotions), "b4 in reading order"
    assert [where[f"b4b5{piece}"][0] for piece in "qrbn"] == [0, 41, 44, 47]
    assert [where[f"b4c5{piece}"][0] for piece in "qrbn"] == [4, 42, 45, 48]
    play(pool, "b4c5q")
    assert {pool.action_text(0, action) for action in pool.legal(HERE)[1].tolist()} <= {"e5e4", "e5d4"}


def test_black_sees_the_board_upside_down() -> None:
    pool = games.load("gardner_chess").new_pool(1)
    pool.reset(HERE)
    first = observations(pool, HERE)[0]
    play(pool, "a2a3")
    second = observations(pool, HERE)[0]
    assert np.array_equal(first[:6], second[:6]) and not np.array_equal(first[6:12], second[6:12])
    assert pool.text(0).splitlines() == [
        "5 r n b q k",
        "4 p p p p p",
        "3 P . . . .",
        "2 . P P P P",
        "1 R N B Q K",
        "  a b c d e",
        "rnbqk/ppppp/P4/1PPPP/RNBQK b - - 0 1",
    ]
