"""Pictures of grid worlds: they are drawn for every map, show what they should, and are the same every time."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from games.base import GameError
from games.environments.grid_map import MAPS, parse_map
from games.environments.grid_world import RIGHT, UP, GridWorld, load_grid_world
from games.environments.mdp import constant_policy, optimal_q, policy_evaluation, q_iteration
from selfplay.reports.grid_worlds import (
    GridPanel,
    _decimals,
    _number,
    bad_and_optimal,
    draw_convergence,
    draw_panels,
    greedy_panel,
    policy_panel,
)


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, of a picture that can be read and is not empty."""
    pixels = matplotlib.image.imread(io.BytesIO(png), format="png")
    assert pixels.std() > 0.01
    return pixels.shape[1], pixels.shape[0]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("same_colours", [True, False])
def test_every_map_is_drawn(name, same_colours):
    world = load_grid_world({"map": name})
    width, height = size_of(draw_panels(world, bad_and_optimal(world, 0.95), same_colours))
    assert height < width < 2_000


def test_panels_show_exact_values():
    world = load_grid_world({"map": "russell_norvig"})
    mdp = world.to_mdp()
    bad, best = bad_and_optimal(world, 0.9, RIGHT)
    assert bad.title == "always right" and (bad.policy == constant_policy(mdp, RIGHT)).all()
    assert (bad.values == policy_evaluation(mdp, bad.policy, 0.9)).all()
    assert (best.values == optimal_q(mdp, 0.9).max(axis=1)).all()
    assert (bad.values <= best.values + 1e-12).all()
    assert bad_and_optimal(world, 0.9)[0].title == "uniformly random"


def test_a_learned_table_is_drawn_like_an_exact_one():
    world = load_grid_world({"map": "cliff"})
    q = optimal_q(world.to_mdp(), 0.9)
    assert draw_panels(world, [greedy_panel("Q", q)]) == draw_panels(world, [greedy_panel("Q", q.copy())])
    assert draw_panels(world, [greedy_panel("Q", q)]) != draw_panels(world, [greedy_panel("Q", -q)])


@pytest.mark.parametrize("value", [0.0, 2.0, -3.0])
def test_equal_values_everywhere_are_drawn(value):
    world = GridWorld(parse_map("drawn", "S.G"))
    size_of(draw_panels(world, [GridPanel("flat", np.full(3, value), np.full((3, 4), 0.25))]))


def test_a_policy_that_never_ends_has_no_picture_without_discount():
    world = load_grid_world({"map": "cliff"})
    with pytest.raises(GameError, match="never ends"):
        policy_panel("always up", world.to_mdp(), constant_policy(world.to_mdp(), UP), 1.0)


def test_convergence_is_drawn_also_where_a_sweep_changes_nothing():
    mdp = load_grid_world({"map": "cliff"}).to_mdp()
    residuals = {discount: q_iteration(mdp, discount).residuals for discount in (0.5, 0.9, 1.0)}
    assert residuals[1.0][-1] == 0.0
    size_of(draw_convergence(residuals, "Q-iteration"))


def test_numbers_have_the_digits_that_fit():
    assert [_decimals(np.array([0.0, v]), 3) for v in (0.918, 1.59, -13.2, 155.1, 65_375.4, 1e-9)] == [3, 2, 1, 0, 0, 0]
    assert _decimals(np.array([-13.0, 4.0]), 3) == 0
    assert [_number(-0.04, 2), _number(-0.0001, 2), _number(1.0, 0)] == ["−0.04", "0.00", "1"]
