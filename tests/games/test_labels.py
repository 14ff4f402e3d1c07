"""Games in plain Python that say whose the cells are, and which moves a search may leave out."""

from __future__ import annotations

import numpy as np
import pytest

import games
from games.soundness import UnsoundError

SIDE = 2
HERE = np.zeros(1, np.int64)


class Claim(games.State):
    """Two players claim the four cells of a board in turn; the labels are the claims."""

    def __init__(self, owners: list[int], answers: dict[str, object]) -> None:
        self.owners, self.answers = owners, answers

    def clone(self) -> Claim:
        return Claim(list(self.owners), self.answers)

    def to_play(self) -> int:
        return games.TERMINAL if all(self.owners) else sum(map(abs, self.owners)) % 2

    def legal_actions(self) -> list[int]:
        return [cell for cell, owner in enumerate(self.owners) if not owner]

    def apply(self, action: int) -> None:
        self.owners[action] = 1 - 2 * self.to_play()

    def rewards(self) -> list[float]:
        return [0.0, 0.0]

    def observation(self) -> np.ndarray:
        return np.array([self.owners], np.float32).reshape(1, SIDE, SIDE)

    def candidates(self):
        return self.answers.get("candidates", self.legal_actions()[-1:])

    def final_labels(self):
        return self.answers.get("final_labels", np.array(self.owners).reshape(SIDE, SIDE))

    def final_score(self):
        return self.answers.get("final_score", float(sum(self.owners)))


class ClaimGame(games.PythonGame):
    name = rules = "claim"
    num_players, num_actions, max_game_length = 2, SIDE * SIDE, SIDE * SIDE
    observation_shape = games.with_seats((1, SIDE, SIDE), 2)
    final_label_shape, largest_score = (SIDE, SIDE), float(SIDE * SIDE)

    def __init__(self, **answers: object) -> None:
        self.answers = answers

    def new_state(self) -> Claim:
        return Claim([0] * (SIDE * SIDE), self.answers)


def test_a_state_says_labels_score_and_candidates() -> None:
    pool = ClaimGame().new_pool(1)
    pool.reset(HERE)
    labels = np.zeros((1, SIDE, SIDE), np.int8)
    for action in (2, 0, 3):
        pool.step(HERE, np.array([action]), HERE)
    assert [array.tolist() for array in pool.candidates(HERE)] == [[0, 1], [1]]
    pool.final_labels(HERE, labels)
    assert labels.tolist() == [[[-1, 0], [1, 1]]] and pool.final_scores(HERE).tolist() == [1.0]
    pool.step(HERE, np.array([1]), HERE)
    assert [array.tolist() for array in pool.candidates(HERE)] == [[0, 0], []]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"candidates": []}, r"candidates\(\) gave \[\]"),
        ({"candidates": [0, 7]}, r"candidates\(\) gave \[0, 7\]"),
        ({"candidates": [1, 0]}, r"candidates\(\) gave \[1, 0\]"),
        ({"final_labels": np.zeros(3)}, r"final_labels\(\) has another shape"),
        ({"final_labels": np.full((SIDE, SIDE), 2)}, r"final_labels\(\) has .* numbers but 1, -1, 0"),
        ({"final_labels": np.full((SIDE, SIDE), np.nan)}, r"final_labels\(\) has"),
        ({"final_score": np.nan}, r"final_score\(\) gave nan"),
        ({"final_score": 5.0}, r"final_score\(\) gave 5, the largest is 4"),
    ],
)
def test_what_they_may_not_say_is_named(answers: dict, message: str) -> None:
    pool = ClaimGame(**answers).new_pool(1)
    pool.reset(HERE)

    def ask() -> None:
        pool.candidates(HERE)
        pool.final_labels(HERE, np.zeros((1, SIDE, SIDE), np.int8))
        pool.final_scores(HERE)

    with pytest.raises(UnsoundError, match=f"^claim: {message}"):
        ask()
    pool.unsound = {}
    pool.reset(HERE)
    ask()
    assert list(pool.unsound) == [0] and pool.unsound[0].startswith("claim: ")
