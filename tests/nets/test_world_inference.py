"""Inference of MuZero's network equals the learner's in evaluation mode, whatever the batch and past weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from world_helpers import BOARD, CASES, FLAT, SMALL, actions, observations, world

import games
from nets import NO_WEIGHTS, NetConfig
from nets.world_inference import WorldInference
from nets.world_model import Prediction, WorldModel, WorldSizes, build_world_model
from search import Search, SearchConfig
from search.learned_model import LearnedModelFactory

LEARNED = dataclasses.replace(SMALL, batch_norm=True)
ACTOR = WorldSizes((4, 3, 3), 9, 1)


def inference(config: NetConfig, sizes: WorldSizes, **settings) -> WorldInference:
    return WorldInference(config, sizes, **{"max_batch": 12, "dtype": "float32", "measure_seconds": 0.0, **settings})


def loaded(net: WorldModel, **settings) -> WorldInference:
    made = inference(net.config, net.sizes, **settings)
    made.load(net.state_dict(), version=1)
    return made


def expected_steps(net: WorldModel, seen: torch.Tensor, moves: torch.Tensor) -> list[Prediction]:
    """What the learner's network says of roots, and after each move from there."""
    with torch.no_grad():
        said = [net.initial(seen)]
        for k in range(moves.shape[1]):
            said.append(net.recurrent(said[-1].latent, moves[:, k]))
    return said


def assert_close(found, expected: Prediction, tolerance: float) -> None:
    pairs = [(found.latents, expected.latent), (found.policy_logits, expected.policy_logits)]
    pairs.append((found.values, expected.value))
    if getattr(found, "rewards", None) is not None:
        pairs.append((found.rewards, expected.reward))
    for one, other in pairs:
        assert one.dtype == np.float32 and one.shape == tuple(other.shape)
        np.testing.assert_allclose(one, other.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("config", "sizes"), CASES)
@pytest.mark.parametrize("count", [1, 5, 30])
def test_float32_is_the_learners_network_at_every_depth(config: NetConfig, sizes: WorldSizes, count: int) -> None:
    """Latents go through numpy between the steps; batches are padded, and split where they are larger than 12."""
    net = world(config, sizes)
    seen, moves, fast = observations(sizes, count), actions(sizes, count, 5), loaded(net)
    assert fast.latent_shape == net.latent_shape
    roots, said = fast.initial(seen.numpy()), expected_steps(net, seen, moves)
    assert_close(roots, said[0], 2e-4)
    latents = roots.latents
    for k in range(5):
        steps = fast.recurrent(latents, moves[:, k].numpy())
        assert_close(steps, said[k + 1], 1e-3)
        assert (steps.rewards is None) == (sizes.support == 0) and (steps.seats is None) == (sizes.num_seats == 0)
        if steps.seats is not None:
            logits = said[k + 1].seat_logits
            assert logits is not None and steps.seats.tolist() == logits.argmax(dim=1).tolist()
        latents = steps.latents


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_bfloat16_stays_near_for_five_steps(config: NetConfig, sizes: WorldSizes) -> None:
    net = world(config, sizes)
    seen, moves, fast = observations(sizes, 9), actions(sizes, 9, 5), loaded(net, dtype="bfloat16")
    assert fast.describe()["dtype"] == "bfloat16"
    latents, said = fast.initial(seen.numpy()).latents, expected_steps(net, seen, moves)
    for k in range(5):
        steps = fast.recurrent(latents, moves[:, k].numpy())
        latents = steps.latents
        # Latents lie in [0, 1], with eight bits a number; errors grow from step to step.
        assert np.abs(latents - said[k + 1].latent.numpy()).mean() < 0.01 * (k + 2)
        if k in (0, 2, 4):
            logits = said[k + 1].policy_logits.numpy()
            assert np.abs(steps.policy_logits - logits).mean() < 0.05 * np.abs(logits).max()
    assert not np.allclose(latents, said[-1].latent.numpy(), rtol=1e-6, atol=1e-6), "this was float32"
    assert latents.dtype == np.float32


def test_what_observations_are_normalised_by_keeps_its_precision() -> None:
    """Means far from zero and rounded to bfloat16 would move every input by some deviations."""
    sizes = WorldSizes((4,), 3, 1)
    net = world(dataclasses.replace(SMALL, kind="mlp", input_transform="running"), sizes)
    assert net.normaliser is not None
    net.normaliser.mean.fill_(1003.0)
    net.normaliser.variance.fill_(1.0)
    seen = observations(sizes, 9)
    with torch.no_grad():
        expected = net.initial(seen + 1003.0)
    for dtype, tolerance in (("float32", 1e-4), ("bfloat16", 0.05)):
        roots = loaded(net, dtype=dtype).initial((seen + 1003.0).numpy())
        assert np.abs(roots.policy_logits - expected.policy_logits.numpy()).max() < tolerance


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_rows_know_nothing_of_each_other_or_of_what_was_there_before(config: NetConfig, sizes: WorldSizes) -> None:
    """Padding rows keep what an earlier, larger batch left there."""
    net = world(config, sizes)
    fast, seen, moves = loaded(net), observations(sizes, 11), actions(sizes, 11)
    latents = fast.initial(seen.numpy()).latents
    together = fast.recurrent(latents, moves.numpy())
    for rows in ([0], [3, 1], [10, 2, 5, 4, 7, 6, 0]):
        few = fast.recurrent(latents[rows], moves.numpy()[rows])
        again = fast.initial(seen.numpy()[rows])
        np.testing.assert_allclose(again.latents, latents[rows], rtol=1e-4, atol=1e-5)
        for name in ("latents", "policy_logits", "values", "rewards", "seats"):
            part, whole = getattr(few, name), getattr(together, name)
            assert (part is None) == (whole is None)
            if part is not None:
                np.testing.assert_allclose(part, whole[rows], rtol=1e-4, atol=1e-5, err_msg=name)


def test_arrays_belong_to_the_caller() -> None:
    fast = loaded(world(LEARNED, BOARD))
    for count in (3, 12):  # with padding rows, and without
        seen, moves = observations(BOARD, count).numpy(), actions(BOARD, count).numpy()
        roots = fast.initial(seen)
        kept = [array.copy() for array in roots]
        steps = fast.recurrent(roots.latents, moves)
        later = [steps.latents.copy(), steps.policy_logits.copy(), steps.values.copy()]
        other = fast.recurrent(fast.initial(-seen).latents, moves)
        assert not np.array_equal(other.latents, later[0])
        for array, before in zip([*roots, *steps[:3]], [*kept, *later], strict=True):
            np.testing.assert_array_equal(array, before)


# Weights.


def test_without_weights_nothing_is_said() -> None:
    fast = inference(SMALL, FLAT)
    assert fast.version == NO_WEIGHTS
    with pytest.raises(RuntimeError, match="no weights yet"):
        fast.initial(observations(FLAT, 1).numpy())
    with pytest.raises(RuntimeError, match="no weights yet"):
        fast.recurrent(np.zeros((1, 16), np.float32), np.zeros(1, np.int64))


@pytest.mark.parametrize("fault", ["another network", "nan", "infinite", "too few", "too many"])
def test_weights_that_do_not_fit_change_nothing(fault: str) -> None:
    net = world(LEARNED, BOARD)
    fast, seen, moves = loaded(net), observations(BOARD, 4).numpy(), actions(BOARD, 4).numpy()
    before = fast.recurrent(fast.initial(seen).latents, moves)
    state = {name: tensor.clone() + 0.5 for name, tensor in net.state_dict().items()}
    last = sorted(name for name in state if name.endswith("weight"))[-1]
    if fault == "another network":
        state = world(dataclasses.replace(LEARNED, channels=12), BOARD).state_dict()
    elif fault == "too few":
        del state[last]
    elif fault == "too many":
        state["reward_head.weight"] = torch.zeros(3)
    else:
        state[last].view(-1)[-1] = float("nan" if fault == "nan" else "inf")
    with pytest.raises(ValueError, match="weights: .*"):
        fast.load(state, version=2)
    assert fast.version == 1
    after = fast.recurrent(fast.initial(seen).latents, moves)
    for one, other in zip(after[:3], before[:3], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("config", "sizes"), CASES)
def test_weights_that_are_swapped_replace_the_old_ones(config: NetConfig, sizes: WorldSizes) -> None:
    fast, seen, moves = loaded(world(config, sizes)), observations(sizes, 6), actions(sizes, 6, 1)
    fast.recurrent(fast.initial(seen.numpy()).latents, moves[:, 0].numpy())
    other = world(dataclasses.replace(config), sizes)
    with torch.no_grad():
        for tensor in other.parameters():
            if tensor.requires_grad:
                tensor.mul_(0.9).add_(0.01)
    fast.load(other.state_dict(), version=8)
    assert fast.version == 8
    said = expected_steps(other, seen, moves)
    roots = fast.initial(seen.numpy())
    assert_close(roots, said[0], 1e-3)
    assert_close(fast.recurrent(roots.latents, moves[:, 0].numpy()), said[1], 1e-3)


def test_a_search_after_a_swap_is_that_of_the_new_weights() -> None:
    """Nothing of the old network is left in the model: latents of one network mean nothing to another."""
    game, config = games.load("tic_tac_toe"), SearchConfig(rule="gumbel", num_simulations=16)
    sizes = dataclasses.replace(ACTOR, observation_shape=game.observation_shape)
    nets = [world(LEARNED, sizes), world(dataclasses.replace(LEARNED, batch_norm=True), sizes)]
    with torch.no_grad():
        for tensor in nets[1].parameters():
            tensor.mul_(-0.7 if tensor.requires_grad else 1.0)
    pool, trees = game.new_pool(3), np.arange(3)
    pool.reset(trees)
    pool.step(trees, np.array([0, 4, 8]), trees)
    fast = loaded(nets[0])
    models = LearnedModelFactory(game, fast, 9)
    search = Search(models.make_model(), config, 3)

    def searched(by: Search):
        by.clear(trees)
        by.begin(trees, pool, trees, np.arange(3, dtype=np.uint64))
        by.run(trees)
        return by.statistics(trees)

    first = searched(search)
    fast.load(nets[1].state_dict(), version=2)
    models.weights_changed()
    second = searched(search)
    fresh = searched(Search(LearnedModelFactory(game, loaded(nets[1]), 9).make_model(), config, 3))
    np.testing.assert_array_equal(second.visit_counts, fresh.visit_counts)
    np.testing.assert_array_equal(second.raw_value, fresh.raw_value)
    assert not np.array_equal(first.raw_value, second.raw_value)


def test_layers_that_only_train_are_no_part_of_it() -> None:
    """The consistency loss has layers that inference loads with the rest, and leaves alone."""
    net = world(SMALL, dataclasses.replace(FLAT, projects=True))
    fast = loaded(net)
    seen = observations(FLAT, 3)
    assert_close(fast.initial(seen.numpy()), expected_steps(net, seen, actions(FLAT, 3, 0))[0], 2e-4)


def test_a_dtype_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'int4' is not one of auto, float32, bfloat16, int8"):
        inference(SMALL, FLAT, dtype="int4")


def test_what_was_chosen_is_described() -> None:
    described = inference(SMALL, FLAT).describe()
    assert described["dtype"] == "float32" and described["max_batch"] == 12 and described["positions_per_second"] > 0


def test_screens_in_bytes_are_read_in_every_number_type() -> None:
    config = NetConfig(kind="nature", channels=4, hidden=16, batch_norm=False, input_transform="pixels")
    sizes = WorldSizes((2, 36, 36), 3, 1, support=5)
    screens = np.random.default_rng(0).integers(0, 256, (3, 2, 36, 36), dtype=np.uint8)
    found = []
    for dtype in ("float32", "bfloat16"):
        inference = WorldInference(config, sizes, max_batch=4, dtype=dtype, measure_seconds=0.01)
        inference.load(build_world_model(config, sizes).state_dict(), 1)
        found.append(inference.initial(screens).policy_logits)
    np.testing.assert_allclose(found[1], found[0], atol=0.05)
