"""MuZero's network: gradients of the unroll by hand, latents within [0, 1], actions where they are on the board."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from world_helpers import BOARD, CASES, FLAT, SMALL, actions, observations, randomised, world

import games
from nets import NetConfig
from nets.board import Board
from nets.world_model import WorldModel, WorldSizes, action_planes, build_world_model, scaled


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_an_unroll_is_initial_and_then_recurrent(config: NetConfig, sizes: WorldSizes) -> None:
    """What is trained is what the search asks, depth by depth."""
    net, seen, moves = world(config, sizes), observations(sizes, 4), actions(sizes, 4, 3)
    with torch.no_grad():
        unrolled = net.unroll(seen, moves)
        at = net.initial(seen)
        for k in range(4):
            torch.testing.assert_close(unrolled.latents[:, k], at.latent)
            torch.testing.assert_close(unrolled.policy_logits[:, k], at.policy_logits)
            torch.testing.assert_close(net.number(unrolled.value_output[:, k]), at.value)
            if k and sizes.support:
                assert unrolled.reward_output is not None and at.reward is not None
                torch.testing.assert_close(net.number(unrolled.reward_output[:, k - 1]), at.reward)
            if k and sizes.num_seats:
                assert unrolled.seat_logits is not None and at.seat_logits is not None
                torch.testing.assert_close(unrolled.seat_logits[:, k - 1], at.seat_logits)
            if k < 3:
                at = net.recurrent(at.latent, moves[:, k])
    assert at.value.shape == (4, sizes.num_values) and at.policy_logits.shape == (4, sizes.policy_outputs)
    assert (at.reward is None) == (sizes.support == 0) and (at.seat_logits is None) == (sizes.num_seats == 0)


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_every_latent_lies_in_0_to_1_and_depends_on_its_own_row(config: NetConfig, sizes: WorldSizes) -> None:
    net, seen, moves = world(config, sizes), observations(sizes, 6), actions(sizes, 6, 3)
    with torch.no_grad():
        latents = net.unroll(seen, moves).latents
        flat = latents.flatten(2)
        assert latents.shape[2:] == net.latent_shape
        torch.testing.assert_close(flat.amin(dim=-1), torch.zeros(6, 4))
        torch.testing.assert_close(flat.amax(dim=-1), torch.ones(6, 4))
        for i in range(6):
            torch.testing.assert_close(net.unroll(seen[i : i + 1], moves[i : i + 1]).latents[0], latents[i])
        other = moves.flip(0) if sizes.action_low else (moves + 1) % sizes.num_actions
        assert ((net.unroll(seen, other).latents[:, 1] - latents[:, 1]).flatten(1).abs().amax(dim=1) > 1e-3).all()


def test_a_latent_without_any_range_is_no_division_by_zero() -> None:
    flat = torch.full((2, 3), 5.0, requires_grad=True)
    found = scaled(flat)
    found.sum().backward()
    assert found.tolist() == [[0.0] * 3] * 2 and flat.grad is not None and flat.grad.isfinite().all()


# Gradients.


class Line(nn.Module):
    """h or g as one number: the latent times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: torch.Tensor, action: torch.Tensor | None = None) -> torch.Tensor:
        return self.weight * x


def linear_world(monkeypatch: pytest.MonkeyPatch) -> tuple[WorldModel, Line, Line, Line]:
    """h(o) = a o, g(s) = b s, value = c s, without the scaling of latents."""
    monkeypatch.setattr("nets.world_model.scaled", lambda latent: latent)
    net = build_world_model(dataclasses.replace(SMALL, hidden=1, layers=1), WorldSizes((1,), 2, 1))
    h, g, f = Line(2.0), Line(3.0), Line(5.0)
    net.trunk, net.dynamics, net.value_head, net.policy_head = h, g, f, Line(1.0)
    return net, h, g, f


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_the_gradient_is_halved_on_the_way_into_each_step_but_the_first(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v_k = c b^k a o. Into h, the gradient of v_k comes through k steps, k - 1 of them after the first."""
    net, h, g, f = linear_world(monkeypatch)
    outputs = net.unroll(torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.int64))
    assert outputs.value_output[0, :, 0].tolist() == [5.0 * 3.0**k * 2.0 for k in range(5)], "values are not halved"
    outputs.value_output[0, depth, 0].backward()
    halved = 0.5 ** max(0, depth - 1)
    assert f.weight.grad is not None and f.weight.grad.item() == 3.0**depth * 2.0, "heads get all of it"
    assert h.weight.grad is not None and h.weight.grad.item() == halved * 5.0 * 3.0**depth
    # g is used at each depth: the last use gets all, the one before it a half, and so on.
    uses = [0.5 ** (depth - k) * 5.0 * 3.0 ** (depth - 1) * 2.0 for k in range(1, depth + 1)]
    assert (0.0 if g.weight.grad is None else g.weight.grad.item()) == sum(uses)


def test_what_was_seen_later_gets_no_gradient_from_the_consistency_loss() -> None:
    net = randomised(build_world_model(SMALL, dataclasses.replace(FLAT, projects=True)))
    latent, seen = torch.rand(4, 16, requires_grad=True), torch.rand(4, 16, requires_grad=True)
    similarity = net.similarity(latent, seen)
    assert similarity.shape == (4,) and (similarity.abs() <= 1 + 1e-6).all()
    similarity.sum().backward()
    assert latent.grad is not None and latent.grad.abs().sum() > 0 and seen.grad is None
    same = net.predictor
    net.predictor = nn.Identity()
    torch.testing.assert_close(net.similarity(seen, seen), torch.ones(4))
    net.predictor = same


# Actions.


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "othello", "hex(board_size=5)"])
def test_an_action_is_a_plane_of_its_own_cells(name: str) -> None:
    game = games.load(name)
    _, height, width = game.observation_shape
    planes = action_planes(game.num_actions, height, width)
    assert planes is not None and planes.shape == (game.num_actions, height, width)
    for action, plane in enumerate(planes):
        cells = torch.nonzero(plane).tolist()
        if game.num_actions == width:
            assert cells == [[row, action] for row in range(height)]
        elif action == height * width:
            assert len(cells) == height * width, "a pass"
        else:
            assert cells == [[action // width, action % width]]


def test_other_actions_have_planes_that_are_learned() -> None:
    assert action_planes(10, 6, 7) is None and action_planes(44, 6, 7) is None
    learned = build_world_model(SMALL, dataclasses.replace(BOARD, num_actions=10))
    assert learned.dynamics.planes.weight.requires_grad and learned.dynamics.planes.weight.std() > 0
    assert not build_world_model(SMALL, BOARD).dynamics.planes.weight.requires_grad


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_planes_of_actions_are_mirrored_as_the_board_is(name: str) -> None:
    """Else a mirrored game would be another one for the dynamics."""
    game = games.load(name)
    channels, height, width = game.observation_shape
    planes = action_planes(game.num_actions, height, width)
    assert planes is not None
    for symmetry in game.symmetries():
        cells = torch.from_numpy(symmetry.observation[: height * width])  # of the first plane, which stays the first
        assert cells.max() < height * width
        for action in range(game.num_actions):
            moved_to = symmetry.action.tolist().index(action)
            torch.testing.assert_close(planes[action].flatten()[cells], planes[moved_to].flatten())


# Making one.


def test_the_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (build_world_model(SMALL, BOARD, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_the_representation_has_batch_normalisation() -> None:
    """Statistics of the dynamics and the heads would mix the depths of an unroll."""
    for sizes in (BOARD, FLAT):
        net = build_world_model(SMALL, sizes)
        norms = nn.BatchNorm1d | nn.BatchNorm2d
        normed = {name.split(".")[0] for name, part in net.named_modules() if isinstance(part, norms)}
        assert normed == {"trunk"}


def test_a_new_model_changes_no_latent_of_a_vector_and_thinks_every_action_likely() -> None:
    net = build_world_model(SMALL, FLAT).eval()
    with torch.no_grad():
        start = net.initial(observations(FLAT, 5))
        step = net.recurrent(start.latent, actions(FLAT, 5))
    torch.testing.assert_close(step.latent, start.latent)
    assert torch.softmax(step.policy_logits, dim=-1).max() < 0.5 and step.value.abs().max() < 0.5


def test_values_and_rewards_are_in_units_of_reward() -> None:
    """Two-hot logits of any number come back as that number, for each player on its own."""
    sizes = dataclasses.replace(FLAT, num_values=2)
    net = build_world_model(SMALL, sizes)
    output = torch.full((1, 18), -1e4)
    output[0, 4 + 3] = 0.0  # 3 on the scale of h
    output[0, 9 + 0] = 0.0  # -4
    found = net.number(output)
    assert found[0, 0].item() == pytest.approx(14.88, abs=0.01)
    assert found[0, 1].item() == pytest.approx(-23.76, abs=0.01)
    plain = build_world_model(SMALL, dataclasses.replace(FLAT, support=0, num_values=2))
    torch.testing.assert_close(plain.number(torch.tensor([[0.5, -3.0]])), torch.tanh(torch.tensor([[0.5, -3.0]])))


def test_planes_are_scaled_as_the_game_says() -> None:
    offset, factor = np.float32([128, 0, 1]), np.float32([0.1, 1, -2])
    sizes = WorldSizes((3, 4, 4), 5, 1)
    plain = build_world_model(SMALL, sizes, seed=1).eval()
    with_scaling = dataclasses.replace(sizes, board=Board((4, 4), scaling=(offset, factor)))
    net = build_world_model(SMALL, with_scaling, seed=1).eval()
    x = torch.randint(0, 255, (5, 3, 4, 4)).float()
    given = (x - torch.from_numpy(offset)[:, None, None]) * torch.from_numpy(factor)[:, None, None]
    torch.testing.assert_close(net.represent(x), plain.represent(given))
