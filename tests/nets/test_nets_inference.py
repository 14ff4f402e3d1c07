"""Inference equals the plain network in evaluation mode, whatever the batch size, kind of network or past weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nets import (
    NO_WEIGHTS,
    Inference,
    NetConfig,
    PolicyValueNet,
    batch_buckets,
    build,
    fold_batch_norm,
    inverse_transform_value,
)
from nets import inference as inference_module
from nets.backends import CpuBackend
from nets.board import Board

SMALL = NetConfig(channels=16, blocks=2, hidden=32, layers=2, policy_channels=8, value_channels=8, value_hidden=16)
BOARD, ACTIONS = (5, 6, 7), 7
PLANES = Board(
    size=(6, 7),
    num_planes=2,
    plane=np.array([0, 1, 0, 1, 1, -1, -1]),
    cell=np.array([0, 0, 41, 41, 7, -1, -1]),
    scaling=(np.linspace(0.0, 1.0, 5, dtype=np.float32), np.linspace(0.5, 2.0, 5, dtype=np.float32)),
)
"""Seven actions, two of which are nowhere on the board."""
BATCHES = (1, 7, 8, 200, 300)
KINDS = [
    pytest.param({}, BOARD, 1, id="resnet"),
    pytest.param({"batch_norm": False}, BOARD, 3, id="resnet-no-norm-three-players"),
    pytest.param({"pooling_every": 1, "reply_head": True, "moves_left_head": True}, BOARD, 1, id="pooling"),
    pytest.param({"heads": "planes", "ownership_head": True, "score_head": True}, BOARD, 1, id="planes"),
    pytest.param({"kind": "mlp"}, BOARD, 1, id="mlp-on-a-board"),
    pytest.param({}, (4, 9), 2, id="mlp"),
    pytest.param({"input_transform": "symlog", "value_transform": "signed_sqrt"}, (3, 4, 4), 1, id="transforms"),
]


def board_of(config: NetConfig) -> Board | None:
    return PLANES if config.heads == "planes" else None


def trained_like(config: NetConfig, shape=BOARD, num_values=1, seed=0) -> PolicyValueNet:
    """A network where nothing is at its initial value: no zero weights, no unit scales, uneven running statistics."""
    net = build(config, shape, ACTIONS, num_values, board=board_of(config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.3)
            elif tensor.is_floating_point():
                spread = 1.0 if tensor.ndim == 1 else (2.0 / tensor[0].numel()) ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
    return net.eval()


def inference(config: NetConfig = SMALL, shape=BOARD, num_values=1, **settings) -> Inference:
    return Inference(
        config,
        shape,
        ACTIONS,
        num_values,
        **{"device": "cpu", "dtype": "float32", "measure_seconds": 0.0, "board": board_of(config), **settings},
    )


def observations(count: int, shape=BOARD, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *shape), dtype=np.float32)


def plain(net: PolicyValueNet, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        policy_logits, value = net(torch.from_numpy(batch))
    return policy_logits.numpy(), inverse_transform_value(value, net.config.value_transform).numpy()


def assert_equal(found, expected, tolerance=2e-4) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("settings", "shape", "num_values"), KINDS)
def test_equals_the_plain_network(settings, shape, num_values):
    config = dataclasses.replace(SMALL, **settings)
    net = trained_like(config, shape, num_values)
    fast = inference(config, shape, num_values)
    fast.load(net.state_dict(), version=1)
    for count in BATCHES:
        batch = observations(count, shape) * (100.0 if config.input_transform == "symlog" else 1.0)
        before = batch.copy()
        found = fast.predict(batch)
        assert found[0].shape == (count, ACTIONS) and found[1].shape == (count, num_values)
        assert_equal(found, plain(net, batch))
        assert np.array_equal(batch, before), "observations belong to the caller"


def test_bfloat16_is_near_the_plain_network():
    net = trained_like(SMALL)
    fast = inference(dtype="bfloat16")
    fast.load(net.state_dict(), version=1)
    assert fast.describe()["dtype"] == "bfloat16"
    (policy_logits, value), expected = fast.predict(observations(9)), plain(net, observations(9))
    assert np.abs(value - expected[1]).max() < 0.1
    assert np.abs(policy_logits - expected[0]).max() < 0.05 * np.abs(expected[0]).max()
    assert not np.allclose(policy_logits, expected[0], rtol=1e-6), "this was float32"


def test_what_observations_are_normalised_by_keeps_its_precision():
    """Means far from zero and rounded to bfloat16 would move every input by some deviations."""
    config = NetConfig(kind="mlp", hidden=32, layers=2, input_transform="running", value_transform="linear")
    net = trained_like(config, (4,))
    net.normaliser.mean.fill_(1003.0)
    net.normaliser.variance.fill_(1.0)
    batch = observations(9, (4,)) + np.float32(1003.0)
    fast = inference(config, (4,), dtype="bfloat16")
    fast.load(net.state_dict(), version=1)
    assert np.abs(fast.predict(batch)[0] - plain(net, batch)[0]).max() < 0.05 * np.abs(plain(net, batch)[0]).max()


BYTES = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(), reason="no instructions for bytes: it needs a processor with VNNI or AMX"
)
BOARDS = [case for case in KINDS if case.id not in ("mlp", "mlp-on-a-board")]


def byte_inference(config: NetConfig, shape=BOARD, num_values=1) -> Inference:
    return inference(config, shape, num_values, dtype="int8", calibration=observations(256, shape, seed=7))


@BYTES
@pytest.mark.parametrize(("settings", "shape", "num_values"), BOARDS)
def test_int8_is_near_the_plain_network(settings, shape, num_values):
    config = dataclasses.replace(SMALL, **settings)
    net = build(config, shape, ACTIONS, num_values, board=board_of(config)).eval()
    fast = byte_inference(config, shape, num_values)
    fast.load(net.state_dict(), version=1)
    assert fast.describe()["dtype"] == "int8" and fast._backend._tower is not None
    for count in BATCHES:
        batch = observations(count, shape)
        found, expected = fast.predict(batch), plain(net, batch)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == np.float32 and one.shape == other.shape
            assert np.sqrt(np.square(one - other).mean()) < 0.06 * np.sqrt(np.square(other).mean())
        assert not np.allclose(found[0], expected[0], rtol=1e-6), "this was float32"


@BYTES
def test_int8_evaluates_each_element_by_itself_and_each_version_as_if_it_were_the_first():
    fast, batch = byte_inference(SMALL), observations(50)
    for version in range(5):
        weights = build(SMALL, BOARD, ACTIONS, 1, seed=version).state_dict()
        fast.load(weights, version)
        fresh = byte_inference(SMALL)
        fresh.load(weights, version)
        together = fast.predict(batch)
        for i in (0, 17, 49):
            alone = fresh.predict(batch[i : i + 1])
            assert_equal(alone, [array[i : i + 1] for array in together], 1e-6)


@BYTES
def test_int8_steps_back_to_float32_for_a_version_that_loses_too_much(monkeypatch):
    net = trained_like(SMALL)
    fast = byte_inference(SMALL)
    monkeypatch.setattr("nets.int8.MAX_VALUE_ERROR", 0.0)
    fast.load(net.state_dict(), version=1)
    assert fast._backend.value_error > 0
    assert_equal(fast.predict(observations(9)), plain(net, observations(9)))
    monkeypatch.undo()
    gentle = build(SMALL, BOARD, ACTIONS, 1)
    fast.load(gentle.state_dict(), version=2)
    assert fast._backend._tower is not None


def test_int8_is_refused_where_it_cannot_be_had():
    some = observations(256, seed=7)
    without_form = ({"kind": "mlp"}, {"separate_value": True})
    for settings, calibration in (*((settings, some) for settings in without_form), ({}, None)):
        with pytest.raises(ValueError, match="int8 needs a resnet"):
            inference(dataclasses.replace(SMALL, **settings), dtype="int8", calibration=calibration)


def test_element_does_not_depend_on_its_batch_mates():
    net = trained_like(SMALL)
    fast = inference()
    fast.load(net.state_dict(), version=1)
    batch = observations(50)
    together = fast.predict(batch)
    for i in (0, 17, 49):
        alone = fast.predict(batch[i : i + 1])
        with_others = fast.predict(np.concatenate([observations(3, seed=i) * 50, batch[i : i + 1]]))
        assert_equal(alone, [array[i : i + 1] for array in together], 1e-5)
        assert_equal([array[3:] for array in with_others], alone, 1e-5)


def test_padding_left_by_an_earlier_batch_changes_nothing():
    net = trained_like(SMALL)
    fast = inference()
    fast.load(net.state_dict(), version=1)
    fast.predict(np.full((15, *BOARD), np.nan, dtype=np.float32))
    assert_equal(fast.predict(observations(9)), plain(net, observations(9)))


def test_results_belong_to_the_caller():
    fast = inference()
    fast.load(trained_like(SMALL).state_dict(), version=1)
    first = fast.predict(observations(8))
    kept = [array.copy() for array in first]
    fast.predict(observations(8, seed=2))
    fast.load(trained_like(SMALL, seed=5).state_dict(), version=2)
    fast.predict(observations(8, seed=3))
    assert all(np.array_equal(one, other) for one, other in zip(first, kept, strict=True))


def test_strided_and_empty_batches():
    net = trained_like(SMALL)
    fast = inference()
    fast.load(net.state_dict(), version=1)
    wide = observations(20)
    assert_equal(fast.predict(wide[::2]), plain(net, wide[::2].copy()))
    assert [array.shape for array in fast.predict(observations(0))] == [(0, ACTIONS), (0, 1)]


def test_load_swaps_weights_without_tracing_again(monkeypatch):
    """Tracing again for every version of the weights grew to 4 GB in 20 minutes."""
    traces = []
    trace = torch.jit.trace
    monkeypatch.setattr(torch.jit, "trace", lambda *args, **kwargs: traces.append(1) or trace(*args, **kwargs))
    fast = inference(dtype="float32")
    assert fast.version == NO_WEIGHTS and traces == [1]
    addresses = [tensor.data_ptr() for tensor in fast._backend._twin.state_dict().values()]
    batch = observations(5)
    for version in range(50):
        net = trained_like(SMALL, seed=version)
        fast.load(net.state_dict(), version)
        assert fast.version == version
        assert_equal(fast.predict(batch), plain(net, batch))
    assert traces == [1]
    assert addresses == [tensor.data_ptr() for tensor in fast._backend._twin.state_dict().values()]


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["trunk.0.layer.weight", "trunk.2.second.norm.running_var", "value_head.5.bias"])
def test_weights_that_are_not_finite_are_refused_whole(poison, where):
    good = trained_like(SMALL)
    fast = inference()
    fast.load(good.state_dict(), version=3)
    bad = {name: tensor.clone() for name, tensor in trained_like(SMALL, seed=9).state_dict().items()}
    bad[where].view(-1)[-1] = poison
    with pytest.raises(ValueError, match=f"^weights: {where} has NaN or infinite"):
        fast.load(bad, version=4)
    assert fast.version == 3
    assert_equal(fast.predict(observations(6)), plain(good, observations(6)))


@pytest.mark.parametrize(
    "other", [{"channels": 8}, {"blocks": 1}, {"blocks": 3}, {"batch_norm": False}], ids=lambda other: str(other)
)
def test_weights_of_another_network_are_refused(other):
    fast = inference()
    weights = build(dataclasses.replace(SMALL, **other), BOARD, ACTIONS, 1).state_dict()
    with pytest.raises(ValueError, match="^weights: .* another net config or game"):
        fast.load(weights, version=1)
    assert fast.version == NO_WEIGHTS


def test_bad_input_is_refused():
    fast = inference()
    with pytest.raises(RuntimeError, match="no weights"):
        fast.predict(observations(2))
    fast.load(build(SMALL, BOARD, ACTIONS, 1).state_dict(), version=0)
    for batch in (observations(2).astype(np.float64), observations(2, (5, 7, 6)), observations(2)[0]):
        with pytest.raises(ValueError, match=r"expected float32 \[B, 5, 6, 7\]"):
            fast.predict(batch)
    with pytest.raises(ValueError, match="max_batch"):
        inference(max_batch=0)
    with pytest.raises(ValueError, match="dtype"):
        inference(dtype="float64")


def test_dtype_is_chosen_by_measuring():
    """A coarser type wins only where it is clearly faster, and the rate reported is that of the winner."""

    class Scripted(Inference):
        rates = {torch.float32: 100.0, torch.bfloat16: 119.0}

        def _measure(self, backend, seconds):
            return self.rates[backend.dtype]

    def chosen():
        found = Scripted(SMALL, BOARD, ACTIONS, 1, device="cpu").describe()
        return found["dtype"], found["positions_per_second"]

    assert chosen() == ("float32", 100.0)
    Scripted.rates = {torch.float32: 100.0, torch.bfloat16: 121.0}
    assert chosen() == ("bfloat16", 121.0), "without calibration int8 is no candidate"
    described = inference(max_batch=16).describe()
    assert described["device"] == "cpu" and described["mode"] == "trace" and described["max_batch"] == 16
    assert described["positions_per_second"] > 0


@pytest.mark.parametrize("fits", [4, 1])
def test_batches_are_halved_until_the_gpu_has_memory_for_them(monkeypatch, fits):
    """The stand-in for the GPU has memory for batches of `fits`, and for one backend."""
    tried = []

    def cuda_backend(twin, dtype, device, buckets):
        tried.append((dtype, max(buckets)))
        if max(buckets) > fits or dtype != torch.float32:
            raise torch.cuda.OutOfMemoryError
        return CpuBackend(twin, dtype)

    monkeypatch.setattr(inference_module, "CudaBackend", cuda_backend)
    found = inference(device="cuda", dtype="auto", max_batch=16)
    sizes = [size for size in (16, 8, 4, 2, 1) if size >= fits]
    assert tried == [*((torch.float32, size) for size in sizes), (torch.bfloat16, fits)]
    assert found.describe()["max_batch"] == fits
    net = trained_like(SMALL)
    found.load(net.state_dict(), 0)
    assert_equal(found.predict(observations(11)), plain(net, observations(11)))


def test_a_gpu_without_memory_for_one_position_is_an_error(monkeypatch):
    def cuda_backend(twin, dtype, device, buckets):
        raise torch.cuda.OutOfMemoryError("no memory")

    monkeypatch.setattr(inference_module, "CudaBackend", cuda_backend)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        inference(device="cuda", max_batch=16)


@pytest.mark.parametrize("max_batch", [1, 2, 3, 8, 10, 100, 256, 1000])
def test_buckets_are_few_and_padding_is_bounded(max_batch):
    buckets = batch_buckets(max_batch)
    assert buckets[0] == 1 and buckets[-1] == max_batch
    assert list(buckets) == sorted(set(buckets)) and len(buckets) <= 8 + max_batch.bit_length()
    for count in range(1, max_batch + 1):
        bucket = next(b for b in buckets if b >= count)
        assert bucket < 2 * count or bucket - count < max_batch / 8 + 1


def test_bucket_figures():
    assert batch_buckets(256) == (1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256)


def test_folding_worked_numbers():
    """One channel: 3 (2 x - 5) / 2 + 7, less what epsilon does to the square root."""
    weights = {
        "a.layer.weight": torch.tensor([[2.0]]),
        "a.norm.weight": torch.tensor([3.0]),
        "a.norm.bias": torch.tensor([7.0]),
        "a.norm.running_mean": torch.tensor([5.0]),
        "a.norm.running_var": torch.tensor([4.0 - 1e-5]),
        "a.norm.num_batches_tracked": torch.tensor(12),
        "head.weight": torch.tensor([[1.0]]),
    }
    folded = fold_batch_norm(weights)
    assert {name: tensor.tolist() for name, tensor in folded.items()} == {
        "a.layer.weight": [[3.0]],
        "a.layer.bias": [-0.5],
        "head.weight": [[1.0]],
    }


@pytest.mark.gpu
@pytest.mark.parametrize(("settings", "shape", "num_values"), KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-2), ("bfloat16", 0.3)])
def test_cuda_graphs_equal_the_plain_network(settings, shape, num_values, dtype, tolerance):
    config = dataclasses.replace(SMALL, **settings)
    fast = inference(config, shape, num_values, device="cuda", dtype=dtype)
    assert fast.describe()["mode"] == "cuda_graph"
    for version in range(3):
        net = trained_like(config, shape, num_values, seed=version)
        fast.load(net.state_dict(), version)
        for count in BATCHES:
            batch = observations(count, shape, seed=count)
            expected = plain(net, batch)
            scale = [np.abs(array).max() for array in expected]
            assert_equal(
                [array / s for array, s in zip(fast.predict(batch), scale, strict=True)],
                [array / s for array, s in zip(expected, scale, strict=True)],
                tolerance,
            )
