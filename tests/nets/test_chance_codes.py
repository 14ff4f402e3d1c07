"""Chance codes of MuZero's network: halves of a move, the straight-through gradient, inference of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from world_helpers import BOARD, FLAT, SMALL, actions, observations, world

from nets import NetConfig
from nets.world_inference import WorldInference
from nets.world_model import BoardDynamics, WorldModel, WorldSizes, build_world_model

CODES = 5
CASES = [
    pytest.param(SMALL, dataclasses.replace(BOARD, chance_codes=CODES), id="board"),
    pytest.param(SMALL, dataclasses.replace(BOARD, chance_codes=42, num_actions=10), id="as many codes as cells"),
    pytest.param(SMALL, dataclasses.replace(FLAT, chance_codes=CODES, num_seats=2), id="flat"),
]


def sequence(sizes: WorldSizes, count: int, steps: int) -> torch.Tensor:
    """Observations of depth 0 to `steps`."""
    return observations(sizes, count * (steps + 1)).unflatten(0, (count, steps + 1))


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_an_unroll_leaves_and_arrives_as_the_search_does(config: NetConfig, sizes: WorldSizes) -> None:
    net, seen, moves = world(config, sizes), sequence(sizes, 6, 3), actions(sizes, 6, 3)
    with torch.no_grad():
        unrolled = net.unroll(seen[:, 0], moves, seen[:, 1:])
        at, chance = net.initial(seen[:, 0]), unrolled.chance
        assert chance is not None and chance.codes.shape == (6, 3)
        assert torch.equal(chance.codes, net.encode(seen).argmax(dim=-1)) and len(chance.codes.unique()) > 1
        torch.testing.assert_close(chance.shares.sum(dim=-1), torch.ones(6, 3))
        for k in range(3):
            afterstate, logits = net.departure(at.latent, moves[:, k])
            torch.testing.assert_close(chance.logits[:, k], logits)
            torch.testing.assert_close(chance.value_output[:, k], net.move_value_head(afterstate))
            at = net.recurrent(afterstate, chance.codes[:, k])
            torch.testing.assert_close(unrolled.latents[:, k + 1], at.latent)
            torch.testing.assert_close(unrolled.policy_logits[:, k + 1], at.policy_logits)
            if sizes.support:
                assert unrolled.reward_output is not None and at.reward is not None
                torch.testing.assert_close(net.number(unrolled.reward_output[:, k]), at.reward)
            lowest, highest = afterstate.flatten(1).amin(dim=1), afterstate.flatten(1).amax(dim=1)
            torch.testing.assert_close((lowest, highest), (torch.zeros(6), torch.ones(6)))


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_a_code_is_of_an_observation_and_of_the_one_before(config: NetConfig, sizes: WorldSizes) -> None:
    net, seen = world(config, sizes), sequence(sizes, 4, 3)
    with torch.no_grad():
        before = net.encode(seen)
        seen[:, 2] += 1.0
        changed = (net.encode(seen) - before).abs().amax(dim=-1) > 1e-4
    assert changed.all(dim=0).tolist() == [False, True, True]


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_the_gradient_of_a_code_goes_straight_through_to_the_encoder(config: NetConfig, sizes: WorldSizes) -> None:
    """g gets a one-hot code. The gradient by it, times the derivative of the encoder's softmax, is that of the
    encoder's logits."""
    net, seen, moves = world(config, sizes).train(), sequence(sizes, 3, 1), actions(sizes, 3, 1)
    weights = torch.rand(3, *net.latent_shape, generator=torch.Generator().manual_seed(7))
    net.zero_grad()
    unrolled = net.unroll(seen[:, 0], moves, seen[:, 1:])
    (unrolled.latents[:, 1] * weights).sum().backward()
    found = [parameter.grad.clone() for parameter in net.encoder.parameters() if parameter.grad is not None]
    assert len(found) == len(list(net.encoder.parameters())) and all(grad.abs().sum() > 0 for grad in found[-2:])

    net.zero_grad()
    logits = net.encode(seen)[:, 0]
    shares = torch.softmax(logits, dim=-1).detach()
    code = nn.functional.one_hot(shares.argmax(dim=-1), sizes.chance_codes).float().requires_grad_()
    with torch.no_grad():
        afterstate = net.leave(net.represent(seen[:, 0]), moves[:, 0])
    mixed = net.dynamics.mixed(afterstate, code)
    low, high = mixed.flatten(1).amin(dim=1), mixed.flatten(1).amax(dim=1)
    shape = (3, *[1] * len(net.latent_shape))
    (((mixed - low.view(shape)) / (high - low).view(shape)) * weights).sum().backward()
    assert code.grad is not None
    by_logits = shares * (code.grad - (shares * code.grad).sum(dim=-1, keepdim=True))
    logits.backward(by_logits)
    for one, parameter in zip(found, net.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-3, atol=1e-5)


def test_codes_have_planes_that_are_learned_whatever_their_number() -> None:
    """As many codes as cells are no cells."""
    for codes in (7, 42, 43):
        net = build_world_model(SMALL, dataclasses.replace(BOARD, chance_codes=codes))
        assert isinstance(net.dynamics, BoardDynamics) and isinstance(net.afterstates, BoardDynamics)
        assert net.dynamics.planes.weight.requires_grad and net.dynamics.planes.weight.std() > 0
        assert not net.afterstates.planes.weight.requires_grad, "actions are where they are"


@pytest.mark.parametrize("sizes", [BOARD, FLAT])
def test_without_codes_there_is_nothing_of_it(sizes: WorldSizes) -> None:
    net = build_world_model(SMALL, sizes)
    assert not [name for name in net.state_dict() if name.split(".")[0] in NEW]
    assert net.unroll(observations(sizes, 2), actions(sizes, 2, 2)).chance is None
    stochastic = build_world_model(SMALL, dataclasses.replace(sizes, chance_codes=CODES))
    assert {name.split(".")[0] for name in stochastic.state_dict()} >= NEW


NEW = {"afterstates", "code_head", "move_value_head", "encoder"}


# Inference.


def loaded(net: WorldModel, dtype: str = "float32") -> WorldInference:
    made = WorldInference(net.config, net.sizes, max_batch=12, dtype=dtype, measure_seconds=0.0)
    made.load(net.state_dict(), version=1)
    return made


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_float32_is_the_learners_network_at_every_depth(config: NetConfig, sizes: WorldSizes) -> None:
    """More rows than a batch has, fewer, and one."""
    net = world(config, sizes)
    fast = loaded(net)
    for count in (30, 5, 1):
        seen, moves = observations(sizes, count), actions(sizes, count, 5)
        codes = torch.randint(sizes.chance_codes, (count, 5), generator=torch.Generator().manual_seed(3))
        latents = fast.initial(seen.numpy()).latents
        with torch.no_grad():
            at = net.initial(seen)
            for k in range(5):
                afterstate, logits = net.departure(at.latent, moves[:, k])
                at = net.recurrent(afterstate, codes[:, k])
                left = fast.departure(latents, moves[:, k].numpy())
                np.testing.assert_allclose(left.latents, afterstate.numpy(), rtol=1e-3, atol=1e-3)
                np.testing.assert_allclose(left.code_logits, logits.numpy(), rtol=1e-3, atol=1e-3)
                steps = fast.recurrent(left.latents, codes[:, k].numpy())
                latents = steps.latents
                np.testing.assert_allclose(latents, at.latent.numpy(), rtol=1e-3, atol=1e-3)
                np.testing.assert_allclose(steps.values, at.value.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_bfloat16_stays_near(config: NetConfig, sizes: WorldSizes) -> None:
    net = world(config, sizes)
    seen, moves = observations(sizes, 9), actions(sizes, 9)
    exact, coarse = loaded(net), loaded(net, "bfloat16")
    latents = exact.initial(seen.numpy()).latents
    one, other = (fast.departure(latents, moves.numpy()) for fast in (exact, coarse))
    assert np.abs(one.latents - other.latents).mean() < 0.02 and other.latents.dtype == np.float32
    assert np.abs(one.code_logits - other.code_logits).mean() < 0.05 * np.abs(one.code_logits).max()
    assert not np.allclose(one.latents, other.latents, rtol=1e-6, atol=1e-6), "this was float32"


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_rows_that_fill_a_batch_of_actions_are_no_codes(config: NetConfig, sizes: WorldSizes) -> None:
    """They keep what an earlier batch left there, and there are more codes than actions."""
    sizes = dataclasses.replace(sizes, chance_codes=sizes.num_actions + 1)
    net = world(config, sizes)
    fast, latents = loaded(net), world(config, sizes).initial(observations(sizes, 8)).latent.detach().numpy()
    fast.recurrent(latents, np.full(8, sizes.chance_codes - 1))
    left = fast.departure(latents[:5], np.zeros(5, np.int64))
    with torch.no_grad():
        afterstate, _ = net.departure(torch.from_numpy(latents[:5]), torch.zeros(5, dtype=torch.int64))
    np.testing.assert_allclose(left.latents, afterstate.numpy(), rtol=1e-3, atol=1e-3)


def test_bytes_are_refused_and_not_chosen() -> None:
    sizes = dataclasses.replace(BOARD, chance_codes=CODES)
    seen = observations(sizes, 20).numpy()
    with pytest.raises(ValueError, match="int8 needs the model of a board without chance codes"):
        WorldInference(SMALL, sizes, dtype="int8", measure_seconds=0.0, calibration=seen)
    chosen = WorldInference(SMALL, sizes, dtype="auto", measure_seconds=0.0, calibration=seen)
    assert chosen.describe()["dtype"] in ("float32", "bfloat16")


def test_a_model_without_codes_has_no_afterstates() -> None:
    fast = loaded(world(SMALL, FLAT))
    with pytest.raises(RuntimeError, match="without chance codes has no afterstates"):
        fast.departure(np.zeros((1, 16), np.float32), np.zeros(1, np.int64))
