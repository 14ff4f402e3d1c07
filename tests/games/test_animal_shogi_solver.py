"""The solver of animal shogi against plain search, and its labels."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import play_to_decision, slots

import games
from games.solvers.animal_shogi import AnimalShogiSolver
from games.solvers.solving import make_solver
from games.solvers.unsolved import UnsolvedError
from selfplay.evaluation.labelling import Wanted, label_positions

GAME = games.load("animal_shogi")


def proven(pool: games.StatePool, slot: int, depth: int) -> int:
    """1 or -1 where the player to move in a slot wins or loses within `depth` moves, by trying everything; else 0."""
    if depth == 0:
        return 0
    values = list(move_values(pool, slot, depth).values())
    return 1 if 1 in values else -1 if set(values) == {-1} else 0


def move_values(pool: games.StatePool, slot: int, depth: int) -> dict[int, int]:
    values = {}
    mover = int(pool.to_play(slots(slot))[0])
    for action in pool.legal(slots(slot))[1].tolist():
        to_play, rewards = pool.step(slots(slot), slots(action), slots(slot + 1))
        over = to_play[0] == games.TERMINAL
        values[action] = int(rewards[0, mover]) if over else -proven(pool, slot + 1, depth - 1)
    return values


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_is_proven_is_what_plain_search_finds(depth: int) -> None:
    """With the depth of the plain search, a position is solved where that decides every move."""
    solver, pool, rng, solved = AnimalShogiSolver(GAME, depth), GAME.new_pool(6), np.random.default_rng(depth), 0
    for _ in range(12):
        play_to_decision(pool, 0, int(rng.integers(3, 9)), rng)
        expected = move_values(pool, 0, depth)
        if all(expected.values()):
            assert solver.move_values(pool, 0) == expected
            best = max(expected.values())
            assert solver.best_moves(pool, 0) == [move for move, value in expected.items() if value == best]
            solved += 1
        else:
            with pytest.raises(UnsolvedError, match=r"not decided|occurred twice"):
                solver.move_values(pool, 0)
    assert depth < 3 or solved > 0


def test_deeper_proofs_agree_with_those_of_the_replies() -> None:
    """A move wins where all replies lose, and loses where one reply wins."""
    solver, pool, rng, checked = AnimalShogiSolver(GAME, 6), GAME.new_pool(2), np.random.default_rng(0), 0
    for _ in range(25):
        play_to_decision(pool, 0, int(rng.integers(4, 12)), rng)
        try:
            values = solver.move_values(pool, 0)
        except UnsolvedError:
            continue
        for action, value in values.items():
            if pool.step(slots(0), slots(action), slots(1))[0][0] != games.TERMINAL:
                try:
                    assert max(solver.move_values(pool, 1).values()) == -value
                    checked += 1
                except UnsolvedError:
                    pass
    assert checked > 5


def test_the_first_position_and_repetitions_are_out_of_reach() -> None:
    solver, pool = make_solver(GAME), GAME.new_pool(1)
    assert isinstance(solver, AnimalShogiSolver)
    solver.depth = 3
    pool.reset(slots(0))
    with pytest.raises(UnsolvedError, match="4 moves are not decided in 3 moves"):
        solver.move_values(pool, 0)
    for text in ("c1c2", "a4a3", "c2c1", "a3a4"):
        actions = {pool.action_text(0, action): action for action in pool.legal(slots(0))[1].tolist()}
        pool.step(slots(0), slots(actions[text]), slots(0))
    with pytest.raises(UnsolvedError, match="occurred twice"):
        solver.move_values(pool, 0)


def test_labels_leave_out_what_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnimalShogiSolver.__init__, "__defaults__", (4,))
    labels = list(label_positions(Wanted("animal_shogi", num_positions=3, min_plies=4, max_plies=12, hard=True), 1))
    assert len(labels) == 3
    for label in labels:
        values = list(label["values"].values())
        assert set(values) <= {-1.0, 1.0} and 2 * values.count(max(values)) <= len(values)
