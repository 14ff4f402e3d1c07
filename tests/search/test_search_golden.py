"""Golden trees: searches small enough to be followed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from search_helpers import fixed_evaluator, search_after

import games
from search import SearchConfig

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")

# `pb_c_base` is so large that the exploration factor is 1.25 * sqrt(N), N the visits of the node.

#   o x x    It is o's move, 5 or 8. The move 8 wins at once, 5 leaves x the last cell and a draw.
#   x o .    Prior: 0.7 for 5, 0.3 for 8.
#   x o .
TWO_CELLS_LEFT = [1, 0, 2, 4, 3, 7, 6]
PRIOR = [0.01, 0.01, 0.01, 0.01, 0.01, 0.7, 0.01, 0.01, 0.3]


def golden(value: float = 0.0, **settings) -> tuple[list[int], list[float], list[float], float, float]:
    """Visits, values and policy target of the moves 5 and 8, o's root value, and whether it is proven."""
    settings = {"pb_c_init": 1.25, "pb_c_base": 1e9, "fpu_reduction": 0.0, "num_simulations": 8} | settings
    evaluator = fixed_evaluator(TIC_TAC_TOE, PRIOR, lambda observation: value)
    found = search_after(TIC_TAC_TOE, TWO_CELLS_LEFT, SearchConfig(**settings), evaluator)
    assert found.actions.tolist() == [[5, 8]]
    np.testing.assert_allclose(found.prior[0], [0.7, 0.3], rtol=1e-6)
    assert found.root_value[0, 0] == -found.root_value[0, 1]
    return (
        found.visit_counts[0].tolist(),
        found.q_values[0].tolist(),
        found.policy_target[0].tolist(),
        float(found.root_value[0, 1]),
        bool(found.exact[0]),
    )


def test_golden_puct():
    # N = 1: move 5 scores 0.7 c, move 8 0.3 c             -> 5, worth 0
    # N = 2: 0.7 / 2 = 0.35 against 0.3                    -> 5 again, now the draw itself
    # N = 3: 0.7 / 3 = 0.233 against 0.3                   -> 8, worth 1
    # N = 4: c = 2.5: 0.583 against 1 + 2.5 * 0.15 = 1.375 -> 8, and so for the rest
    # Root value: nine visits (its own evaluation 0, two draws, six wins).
    visits, q, target, root_value, exact = golden()
    assert (visits, q, target, exact) == ([2, 6], [0.0, 1.0], [0.25, 0.75], False)
    assert root_value == pytest.approx(6 / 9)


def test_golden_puct_with_first_play_urgency():
    # As above, but the unvisited 8 counts as 0 - 0.2 * sqrt(0.7) = -0.167:
    # N = 2: c = 1.768: 0.619 against 0.530 - 0.167        -> 5
    # N = 3: c = 2.165: 0.505 against 0.650 - 0.167 = 0.482 -> 5
    # N = 4: c = 2.5: 0.4375 against 0.583                 -> 8, and so for the rest
    visits, q, _, root_value, _ = golden(fpu_reduction=0.2)
    assert (visits, q) == ([3, 5], [0.0, 1.0])
    assert root_value == pytest.approx(5 / 9)


def test_golden_proven_win_ends_the_search():
    # The third simulation finds the win; a proven root needs no more, and the target is the win alone.
    assert golden(proven_values=True) == ([2, 1], [0.0, 1.0], [0.0, 1.0], 1.0, True)


def a_loss_that_the_prior_likes(**settings) -> tuple[list[int], list[float]]:
    """Visits and policy target of x's moves, of which all but 6 let o win with 2 4 6 next; 0.9 of the prior on 1."""
    #   x . o    It is x's move.
    #   . o .
    #   . . x
    prior = [0.01, 0.9, 0.01, 0.02, 0.01, 0.02, 0.02, 0.02, 0.01]
    evaluator = fixed_evaluator(TIC_TAC_TOE, prior, lambda observation: 0.0)
    found = search_after(TIC_TAC_TOE, [0, 4, 8, 2], SearchConfig(proven_values=True, **settings), evaluator)
    assert found.actions.tolist() == [[1, 3, 5, 6, 7]] and not found.exact[0]
    return found.visit_counts[0].tolist(), found.policy_target[0].tolist()


@pytest.mark.parametrize(("rule", "simulations"), [("puct", 7), ("gumbel", 16)])
def test_golden_proven_losses_are_not_taught(rule: str, simulations: int):
    # The move 1 is visited until o's answer 6 is found, and is then known to be lost: its visits and its prior count
    # no more, although with PUCT both are the most.
    visits, target = a_loss_that_the_prior_likes(rule=rule, num_simulations=simulations, c_scale=0.01)
    assert visits[0] >= (max(visits[1:]) if rule == "puct" else 3)
    assert target[0] == 0.0 and sum(target) == pytest.approx(1.0)


def test_golden_with_nothing_but_losses_visited_the_others_are_alike():
    # As many simulations as o's answer needs to be found below the move 1, which is the first to be visited.
    for simulations in range(2, 9):
        visits, target = a_loss_that_the_prior_likes(num_simulations=simulations)
        if target[0] == 0.0:
            break
    assert visits[1:] == [0, 0, 0, 0] and target == [0.0, 0.25, 0.25, 0.25, 0.25]


def test_golden_gumbel_improved_policy():
    # Two moves considered, eight simulations: four each. Values 0 and 1 are 1/2 and 1 on the scale of sigma, whose
    # factor is (0 + 4) * 0.5 = 2. Improved policy: 0.7 e^1 to 0.3 e^2, that is 0.7 to 0.3 e.
    visits, q, target, root_value, _ = golden(rule="gumbel", c_visit=0.0, c_scale=0.5)
    assert (visits, q) == ([4, 4], [0.0, 1.0])
    assert target == pytest.approx([0.7 / (0.7 + 0.3 * math.e), 0.3 * math.e / (0.7 + 0.3 * math.e)], rel=1e-6)
    assert root_value == pytest.approx(target[1], rel=1e-6), "0 and 1, four visits each, as the policy plays them"


def test_golden_gumbel_completes_values_of_unvisited_moves():
    # One simulation: 5 is visited, and x, to move then, thinks it is worth 0.4, so q = -0.4. The move 8 is assumed to
    # be worth v_mix = (0.4 + 1 * -0.4) / 2 = 0. Scale of sigma: (0 + 1) * 0.5; unit values 0.3 and 0.5.
    visits, q, target, root_value, _ = golden(value=0.4, rule="gumbel", c_visit=0.0, c_scale=0.5, num_simulations=1)
    assert visits == [1, 0]
    assert q[0] == pytest.approx(-0.4) and math.isnan(q[1])
    first, second = 0.7 * math.exp(0.15), 0.3 * math.exp(0.25)
    assert target == pytest.approx([first / (first + second), second / (first + second)], rel=1e-6)
    assert root_value == pytest.approx(-0.4, rel=1e-6)


def test_golden_tree_flips_the_view_at_every_ply():
    # Connect Four from the empty board, prior 0.4 for column 3 and 0.1 for the others. Whoever is to move thinks a
    # position worth 0.6 if column 3 holds one disc, else 0. Without first-play urgency:
    # N = 1: column 3 has the greatest prior                               -> 3, worth -0.6 to the first player
    # N = 2: mean -0.3, c = 1.768: unvisited -0.123, column 3 -0.246       -> 0, worth 0
    # N = 3: mean -0.2, c = 2.165: column 0 0.108, unvisited 0.017         -> 0, then 3: 0.6 to the first player
    # N = 4: mean 0, c = 2.5: column 0 0.3 + 0.125, unvisited 0.25         -> 0, then (mean -0.3 for the second
    #        player) unvisited -0.123, column 3 -0.246                     -> 0: worth 0
    # N = 5: mean 0, c = 2.795: column 0 0.2 + 0.070, unvisited 0.2795     -> 1, worth 0
    prior = [0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1]

    def value(observation: np.ndarray) -> float:
        return 0.6 if observation[:2, :, 3].sum() == 1 else 0.0

    config = SearchConfig(num_simulations=5, pb_c_init=1.25, pb_c_base=1e9, fpu_reduction=0.0)
    found = search_after(CONNECT_FOUR, [], config, fixed_evaluator(CONNECT_FOUR, prior, value))
    assert found.visit_counts.tolist() == [[3, 1, 0, 1, 0, 0, 0]]
    np.testing.assert_allclose(found.q_values[0, [0, 1, 3]], [0.2, 0.0, -0.6], atol=1e-6)
    np.testing.assert_allclose(found.root_value, [[0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found.policy_target[0], np.array([3, 1, 0, 1, 0, 0, 0]) / 5)
