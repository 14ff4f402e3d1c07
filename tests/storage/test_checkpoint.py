"""Checkpoints and tensors on disk: what was saved comes back bit for bit, or not at all and loudly."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crashing import killed_at
from torch import Tensor, nn

from selfplay.errors import UserError
from selfplay.storage import checkpoint as checkpoints
from selfplay.storage import files
from selfplay.storage.checkpoint import Checkpoint, load, load_latest, load_weights, prune, save, versions
from selfplay.storage.files import StorageError, sweep_temporaries
from selfplay.storage.tensors import (
    check_weights,
    flatten_optimizer,
    from_bytes,
    generator_from_state,
    generator_state,
    publish_weights,
    read_weights,
    to_bytes,
    unflatten_optimizer,
)

FILES = [checkpoints.WEIGHTS, checkpoints.LEARNER, checkpoints.STATE, checkpoints.MANIFEST]


def make(version: int) -> Checkpoint:
    torch.manual_seed(version)
    return Checkpoint(
        version,
        weights={"trunk.weight": torch.randn(4, 3), "trunk.bias": torch.randn(4)},
        learner={"raw.weight": torch.randn(4, 3), "rng.torch": torch.get_rng_state(), "step": torch.tensor(version)},
        state={"step": version, "rate": 0.1 + version, "rng": generator_state(np.random.default_rng(version))},
    )


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def assert_version(loaded: Checkpoint | None, version: int) -> None:
    expected = make(version)
    assert loaded is not None and loaded.version == version
    assert same(loaded.weights, expected.weights) and same(loaded.learner, expected.learner)
    assert loaded.state == expected.state


def fail(line: str) -> None:
    pytest.fail(f"unexpected warning: {line}")


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "checkpoints", fail) is None
    for version in (0, 7, 123_456_789):
        save(tmp_path / "checkpoints", make(version))
    assert versions(tmp_path / "checkpoints") == [0, 7, 123_456_789]
    assert_version(load_latest(tmp_path / "checkpoints", fail), 123_456_789)
    assert_version(load(tmp_path / "checkpoints"), 123_456_789)
    assert_version(load(tmp_path / "checkpoints", 7), 7)
    weights, state = load_weights(tmp_path / "checkpoints", 0)
    assert same(weights, make(0).weights) and state == make(0).state


def test_the_newest_is_decided_by_version_not_by_mtime(tmp_path: Path) -> None:
    for version in (12, 3, 100):
        save(tmp_path, make(version))
    os.utime(tmp_path / "00000003", (4e9, 4e9))
    assert_version(load_latest(tmp_path, fail), 100)
    assert_version(load(tmp_path), 100)


def test_a_version_is_never_written_twice(tmp_path: Path) -> None:
    save(tmp_path, make(1))
    with pytest.raises(ValueError, match="exists already"):
        save(tmp_path, make(1))


@pytest.mark.parametrize("version", [None, 4])
def test_a_missing_checkpoint_is_one_clear_line(tmp_path: Path, version: int | None) -> None:
    with pytest.raises(UserError, match="no checkpoints yet"):
        load(tmp_path / "checkpoints", version)
    for present in range(10):
        save(tmp_path, make(10 * present))
    with pytest.raises(UserError, match=r"no version 4; there are 0, 10, \.\.\., 70, 80, 90$"):
        load_weights(tmp_path, 4)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(path.name).randrange(len(data))] ^= 1 << 3
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped bit": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "missing": lambda path: path.unlink(),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "huge header": lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "of another version": lambda path: shutil.copy(path.parent.parent / "00000001" / path.name, path),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    for version in (1, 2):
        save(tmp_path, make(version))
    damage(tmp_path / "00000002" / name)
    with pytest.raises(UserError, match=r"^damaged checkpoint: .*00000002.*; use another version$"):
        load(tmp_path)
    assert versions(tmp_path) == [1, 2]  # reading changes nothing
    warnings: list[str] = []
    assert_version(load_latest(tmp_path, warnings.append), 1)
    assert len(warnings) == 1 and "00000002" in warnings[0] and "\n" not in warnings[0]
    assert versions(tmp_path) == [1] and os.listdir(tmp_path / "quarantine") == ["00000002"]
    save(tmp_path, make(2))
    assert_version(load_latest(tmp_path, fail), 2)


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, make(1)) / name
    data = path.read_bytes()
    for bit in random.Random(0).sample(range(8 * len(data)), 150):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(UserError, match="damaged checkpoint"):
            load(tmp_path)


def test_a_file_of_the_wrong_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, make(1)) / checkpoints.WEIGHTS
    os.truncate(path, 1 << 33)
    with pytest.raises(UserError, match=r"weights\.safetensors has 8,589,934,592 bytes instead of \d+; use"):
        load(tmp_path)


def test_a_renamed_folder_is_not_taken_for_another_version(tmp_path: Path) -> None:
    save(tmp_path, make(1)).rename(tmp_path / "00000009")
    with pytest.raises(UserError, match="holds version 1"):
        load(tmp_path)


def test_without_a_sound_checkpoint_there_is_no_silent_fresh_start(tmp_path: Path) -> None:
    for version in (1, 2):
        flip(save(tmp_path, make(version)) / checkpoints.LEARNER)
    warnings: list[str] = []
    for _ in range(2):  # the second time everything is in quarantine already
        with pytest.raises(UserError, match="every checkpoint is damaged"):
            load_latest(tmp_path, warnings.append)
    assert len(warnings) == 2


def test_another_format_is_refused_not_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, make(1))
    monkeypatch.setattr(checkpoints, "FORMAT_VERSION", 2)
    save(tmp_path, make(2))
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"has format 2, this program reads 1"):
        load_latest(tmp_path, fail)
    assert versions(tmp_path) == [1, 2]


def test_a_failure_to_read_is_not_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, make(1))

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        load_latest(tmp_path, fail)
    assert versions(tmp_path) == [1]


BEFORE_RENAME = ["after_open", "mid_write", "before_fsync", "before_manifest", "before_rename"]


@pytest.mark.parametrize("gap", BEFORE_RENAME)
def test_a_kill_before_the_rename_leaves_the_checkpoint_before(tmp_path: Path, gap: str) -> None:
    save(tmp_path, make(1))
    killed_at(f"checkpoint.{gap}", lambda: save(tmp_path, make(2)))
    assert_version(load_latest(tmp_path, fail), 1)
    assert sweep_temporaries(tmp_path) == 1
    save(tmp_path, make(2))
    assert_version(load_latest(tmp_path, fail), 2)


def test_a_kill_after_the_rename_leaves_the_new_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, make(1))
    killed_at("checkpoint.after_rename", lambda: save(tmp_path, make(2)))
    assert_version(load_latest(tmp_path, fail), 2)
    assert sweep_temporaries(tmp_path) == 0


def test_a_kill_while_pruning_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        save(tmp_path, make(version))
    killed_at("checkpoint.during_prune", lambda: prune(tmp_path, 1))
    assert versions(tmp_path) == [2, 3] and sweep_temporaries(tmp_path) == 1
    assert prune(tmp_path, 1) == [2]
    assert_version(load_latest(tmp_path, fail), 3)


def test_a_full_disk_leaves_earlier_checkpoints_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, make(1))

    def full(descriptor: int, view: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(StorageError, match=r"^disk full: .*00000002 needs"):
        save(tmp_path, make(2))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["00000001"]
    assert_version(load_latest(tmp_path, fail), 1)


@pytest.mark.parametrize(
    ("keep_last", "keep_every", "kept"),
    [
        (1, 0, [95]),
        (3, 0, [75, 85, 95]),
        (99, 0, [0, 5, 15, 25, 35, 45, 55, 65, 75, 85, 95]),
        (1, 30, [0, 35, 65, 95]),  # the first version at or after 0, 30, 60, 90
        (2, 1000, [0, 85, 95]),
    ],
)
def test_prune_keeps_the_newest_and_one_in_each_span(
    tmp_path: Path, keep_last: int, keep_every: int, kept: list[int]
) -> None:
    present = [0, *range(5, 100, 10)]
    for version in present:
        (tmp_path / f"{version:08d}").mkdir()
    assert prune(tmp_path, keep_last, keep_every) == sorted(set(present) - set(kept))
    assert versions(tmp_path) == kept
    assert prune(tmp_path, keep_last, keep_every) == []


def test_pruning_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        prune(tmp_path, 0)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "SGD momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, amsgrad=True),
    "AdamW fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=torch.tensor(0.01), weight_decay=0.1),
}


class Trainer:
    """A small network that learns from random batches."""

    def __init__(self, optimizer: str, channels_last: bool) -> None:
        torch.manual_seed(0)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        layers = [nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(80, 1)]
        self.net = nn.Sequential(*layers).to(memory_format=layout)
        groups = [{"params": list(layer.parameters())} for layer in (self.net[0], self.net[1], self.net[3])]
        self.optimizer = OPTIMIZERS[optimizer](groups)
        self.rng = np.random.default_rng(1)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            batch = torch.from_numpy(self.rng.standard_normal((8, 3, 6, 6), dtype=np.float32))
            self.optimizer.zero_grad()
            (self.net(batch + 0.1 * torch.randn(8, 3, 6, 6)) ** 2).mean().backward()
            self.optimizer.step()
            for group in self.optimizer.param_groups:
                group["lr"] = 0.9 * group["lr"]

    def checkpoint(self, version: int) -> Checkpoint:
        tensors, description = flatten_optimizer(self.optimizer.state_dict())
        raw = {f"raw.{name}": tensor for name, tensor in self.net.state_dict().items()}
        learner = tensors | raw | {"rng.torch": torch.get_rng_state()}
        return Checkpoint(version, self.net.state_dict(), learner, description | {"rng": generator_state(self.rng)})

    def restore(self, saved: Checkpoint) -> None:
        raw = {name[4:]: tensor for name, tensor in saved.learner.items() if name.startswith("raw.")}
        self.net.load_state_dict(raw)
        self.optimizer.load_state_dict(unflatten_optimizer(saved.learner, saved.state))
        self.rng = generator_from_state(saved.state["rng"])
        torch.set_rng_state(saved.learner["rng.torch"])


def bits(value: Any) -> Any:
    """A nested value with tensors as bytes, so that == compares every bit."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape), value.detach().contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {name: bits(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(bits(item) for item in value)
    return value


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_learner_equals_an_uninterrupted_one(tmp_path: Path, optimizer: str, channels_last: bool) -> None:
    trainer = Trainer(optimizer, channels_last)
    trainer.train(5)
    save(tmp_path, trainer.checkpoint(5))
    trainer.train(5)
    resumed = Trainer(optimizer, channels_last)
    loaded = load_latest(tmp_path, fail)
    assert loaded is not None
    resumed.restore(loaded)
    resumed.train(5)
    assert bits(resumed.net.state_dict()) == bits(trainer.net.state_dict())
    assert bits(resumed.optimizer.state_dict()) == bits(trainer.optimizer.state_dict())


def test_the_optimiser_state_keeps_types_layout_and_bits() -> None:
    trainer = Trainer("Adam", channels_last=True)
    trainer.train(2)
    state = trainer.optimizer.state_dict()
    tensors, description = flatten_optimizer(state)
    rebuilt = unflatten_optimizer(from_bytes(to_bytes(tensors)), json.loads(json.dumps(description)))
    assert bits(rebuilt) == bits(state)
    assert rebuilt["state"][0]["exp_avg"].stride() == state["state"][0]["exp_avg"].stride() != (27, 9, 3, 1)


def test_optimiser_state_that_does_not_belong_is_refused() -> None:
    trainer = Trainer("Adam", channels_last=False)
    trainer.train(1)
    _, description = flatten_optimizer(trainer.optimizer.state_dict())
    with pytest.raises(UserError, match="optimiser state"):
        unflatten_optimizer({}, description)
    with pytest.raises(UserError, match="optimiser state"):
        unflatten_optimizer({}, {})
    with pytest.raises(TypeError, match=r"optimizer\.state: object cannot be written"):
        flatten_optimizer({"state": object()})


def test_tensors_of_every_layout_and_dtype_come_back() -> None:
    base = torch.arange(24.0)
    tensors = {
        "transposed": base.view(4, 6).t(),
        "view": base[3:7],
        "same view": base[3:7],
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "expanded": torch.ones(1).expand(5),
        "bfloat16": torch.randn(3).bfloat16(),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3, dtype=torch.int64),
        "empty": torch.zeros(0, 4),
        "gradient": torch.ones(2, requires_grad=True),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }
    restored = from_bytes(to_bytes(tensors))
    assert restored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert restored[name].dtype == tensor.dtype and restored[name].shape == tensor.shape
        assert torch.equal(restored[name].nan_to_num(7.0), tensor.detach().nan_to_num(7.0)), name
    restored["transposed"].add_(1)  # memory of its own, writable
    assert torch.equal(base, torch.arange(24.0))


def test_generators_go_on_where_they_were() -> None:
    rng = np.random.default_rng(3)
    rng.integers(10, size=3, dtype=np.int32)  # leaves half a 64-bit draw in the generator
    restored = generator_from_state(json.loads(json.dumps(generator_state(rng))))
    np.testing.assert_array_equal(
        restored.integers(10, size=9, dtype=np.int32), rng.integers(10, size=9, dtype=np.int32)
    )
    np.testing.assert_array_equal(restored.standard_normal(9), rng.standard_normal(9))
    with pytest.raises(TypeError, match="MT19937"):
        generator_state(np.random.Generator(np.random.MT19937(0)))
    for state in ({}, {"bit_generator": "PCG64"}, {"bit_generator": "MT19937", "state": {}}):
        with pytest.raises(UserError, match="random state"):
            generator_from_state(state)


def test_published_weights_carry_their_version(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for version in (3, 4):
        publish_weights(path, make(version).weights, version)
        weights, read_version = read_weights(path)
        assert read_version == version and same(weights, make(version).weights)
    killed_at("weights.before_rename", lambda: publish_weights(path, make(5).weights, 5))
    assert read_weights(path)[1] == 4


@pytest.mark.parametrize("content", [None, b"", b"\0" * 64, pickle.dumps([1]), to_bytes({"a": torch.ones(2)})])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.safetensors: no weights"):
        read_weights(path)


def test_weights_are_checked_against_the_network() -> None:
    weights = make(1).weights
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    check_weights(weights, shapes, "run")
    with pytest.raises(UserError, match=r"^run: .*: trunk\.weight is \[4, 3\] instead of \[8, 3\]; use the game"):
        check_weights(weights, {**shapes, "trunk.weight": (8, 3)}, "run")
    with pytest.raises(UserError, match=r"head\.bias is missing"):
        check_weights(weights, {**shapes, "head.bias": (2,)}, "run")
    with pytest.raises(UserError, match=r"trunk\.weight is unknown \(the first of 2 tensors that differ\);"):
        check_weights(weights, {}, "run")
    with pytest.raises(UserError, match=r"a is missing \(the first of \d tensors that differ\); use"):
        check_weights(weights, dict.fromkeys("abcde", (1,)), "run")
    with pytest.raises(UserError, match=r"^run: trunk\.bias holds values that are not finite"):
        check_weights({**weights, "trunk.bias": torch.full((4,), float("nan"))}, shapes, "run")
