"""Steps in bytes are near those in floats at every depth, and are given up for versions where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from world_helpers import BOARD, FLAT, SMALL, actions, observations, world

import games
from nets import world_int8
from nets.world_inference import WorldInference
from nets.world_model import WorldModel
from search import Search, SearchConfig
from search.learned_model import LearnedModelFactory
from selfplay.algorithms.networks import CALIBRATION_POSITIONS
from selfplay.experience.openings import random_observations

needs_bytes = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no instructions for bytes")
pytestmark = needs_bytes


def in_bytes(net: WorldModel, seen: torch.Tensor) -> WorldInference:
    made = WorldInference(
        net.config, net.sizes, max_batch=12, dtype="int8", measure_seconds=0.0, calibration=seen.numpy()
    )
    made.load(net.state_dict(), version=1)
    return made


@pytest.mark.parametrize("sizes", [BOARD])
def test_bytes_stay_near_floats_for_five_steps(sizes) -> None:
    net = world(SMALL, sizes)
    seen, moves = observations(sizes, 40), actions(sizes, 40, 5)
    fast = in_bytes(net, seen)
    assert fast._engine._tower is not None, "nothing would be tested"  # type: ignore[attr-defined]
    roots = fast.initial(seen.numpy())
    assert roots.latents.dtype == np.uint8 and roots.latents.shape[1:] == fast.latent_shape
    with torch.no_grad():
        exact = net.initial(seen)
        latents = roots.latents
        np.testing.assert_allclose(latents.transpose(0, 3, 1, 2) / 255, exact.latent, atol=0.5 / 255 + 1e-5)
        spread = float(exact.value.std())
        for k in range(5):
            found, exact = fast.recurrent(latents, moves[:, k].numpy()), net.recurrent(exact.latent, moves[:, k])
            latents = found.latents
            error = np.sqrt(np.square(latents.transpose(0, 3, 1, 2) / 255 - exact.latent.numpy()).mean())
            assert error < 0.03
            assert np.sqrt(np.square(found.values - exact.value.numpy()).mean()) < 0.25 * spread
            assert np.abs(found.policy_logits - exact.policy_logits.numpy()).mean() < 0.1
            if exact.reward is not None:
                assert found.rewards is not None


def test_a_version_that_loses_too_much_is_run_in_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    net = world(SMALL, BOARD)
    seen, moves = observations(BOARD, 20), actions(BOARD, 20, 1)
    monkeypatch.setattr(world_int8, "MAX_VALUE_ERROR", -1.0)
    fast = in_bytes(net, seen)
    assert fast._engine._tower is None  # type: ignore[attr-defined]
    roots = fast.initial(seen.numpy())
    found = fast.recurrent(roots.latents, moves[:, 0].numpy())
    with torch.no_grad():
        given = torch.from_numpy(roots.latents.transpose(0, 3, 1, 2).astype(np.float32) / 255)
        exact = net.recurrent(given, moves[:, 0])
    np.testing.assert_allclose(found.values, exact.value.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.policy_logits, exact.policy_logits.numpy(), atol=1e-3)
    assert found.latents.dtype == np.uint8


def test_only_boards_are_run_in_bytes() -> None:
    seen = observations(FLAT, 20)
    with pytest.raises(ValueError, match="int8 needs the model of a board"):
        in_bytes(world(SMALL, FLAT), seen)


def test_a_search_keeps_latents_as_bytes_and_finds_what_floats_find() -> None:
    from selfplay.algorithms.muzero import world_sizes
    from selfplay.config.run import Config

    game = games.load("tic_tac_toe")
    net = world(SMALL, world_sizes(Config(game="tic_tac_toe", algorithm="muzero"), game))
    seen = random_observations(game, CALIBRATION_POSITIONS, np.random.default_rng(0))
    floats = WorldInference(net.config, net.sizes, max_batch=12, dtype="float32", measure_seconds=0.0)
    floats.load(net.state_dict(), version=1)
    found = []
    for inference in (floats, in_bytes(net, torch.from_numpy(seen))):
        factory = LearnedModelFactory(game, inference, 32)
        search = Search(factory.make_model(), SearchConfig(rule="gumbel", num_simulations=32), 1)
        pool, tree = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(tree)
        search.begin(tree, pool, tree, np.zeros(1, np.uint64))
        search.run(tree)
        found.append(search.statistics(tree))
    assert search.model._latents.dtype == np.uint8  # type: ignore[attr-defined]
    np.testing.assert_allclose(found[0].policy_target, found[1].policy_target, atol=0.1)
