"""What keeps a run from going on from a checkpoint whose files are whole, in a few words for a person.

In the flow: asked before a checkpoint is written, by `selfplay verify`, and when a run is resumed, which then goes on
from the checkpoint before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from selfplay.errors import UserError
from selfplay.storage.checkpoint import LEARNER, STATE, WEIGHTS, Checkpoint
from selfplay.storage.tensors import generator_from_state, unflatten_optimizer

RAW = "raw."
"""Prefix of the weights that the optimiser works on, among the tensors of learner.safetensors."""

LOSS = "loss."
"""Prefix of the tensors of a loss with a state, a target network."""

GATHERED = "algorithm."
"""Prefix of other tensors that learner and replay have gathered, moments of observations and returns."""

LATER = ("returns.settings",)
"""Names of gathered tensors that are younger than the others: checkpoints from before them lack these."""

OF_ANY_LENGTH = ("priorities",)
"""Names of gathered tensors with a number for each row of the replay."""

NEEDED = ("steps", "samples", "games", "positions", "rounds", "seconds", "last_shard", "sampling_rng", "optimizer")
"""Names in state.json that checkpoints have had from the first version on."""

LEAST = {
    "steps": 0, "samples": 0, "games": 0, "positions": 0, "kept": 0, "rounds": 0, "seconds": 0, "last_shard": -1,
    "unfinished": None, "reuse_kept": None, "reuse_samples": None,
}  # fmt: skip
"""Names in state.json whose values are numbers, whole ones but for `seconds`, and the least that each can be."""

LARGEST = 1 << 62
"""No number in state.json is larger."""

TYPES: dict[str, tuple[type, ...]] = {"champion": (int,), "wandb_id": (str,)}
"""Names in state.json that are null, or of one of these types."""


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def fault_within(saved: Checkpoint) -> str:
    """What is wrong with a checkpoint by itself; empty where nothing is."""
    for file, tensors in ((WEIGHTS, saved.weights), (LEARNER, saved.learner)):
        if name := not_finite(tensors):
            return f"{file}: {name} holds values that are not finite"
    missing = [name for name in NEEDED if name not in saved.state]
    if missing:
        return f"{STATE} has no {missing[0]}"
    for name, least in LEAST.items():
        value = saved.state.get(name, 0)
        if type(value) is not int and not (type(value) is float and name == "seconds"):
            return f"{STATE}: {name} is {value!r}, no {'' if name == 'seconds' else 'whole '}number"
        if not (-LARGEST if least is None else least) <= value <= LARGEST:
            return f"{STATE}: {name} is {value}"
    for name, types in TYPES.items():
        if not isinstance(value := saved.state.get(name), (*types, type(None))):
            return f"{STATE}: {name} is {value!r}"
    if saved.state["steps"] != saved.version:
        return f"{STATE} says that version {saved.version} is of step {saved.state['steps']}"
    if not _is_finite(saved.state):
        return f"{STATE} holds a number that is not finite"
    raw = under(RAW, saved.learner)
    if fault := _difference(saved.weights, raw, f"{LEARNER}: {RAW}") or _difference(raw, saved.weights, f"{WEIGHTS}: "):
        return fault
    try:
        generator_from_state(saved.state["sampling_rng"])
        optimizer = unflatten_optimizer(saved.learner, saved.state)
    except UserError as error:
        return str(error)
    return _optimizer_fault(optimizer, raw)


def fault_for(saved: Checkpoint, fresh: Checkpoint) -> str:
    """What is wrong with a checkpoint for a run whose first one would be `fresh`; empty where nothing is.

    A checkpoint without gathered tensors is from before there were any. One of another network has no fault: what is
    played may have changed, and `run_state.hand_out` refuses it.
    """
    if fault := fault_within(saved):
        return fault
    if _difference(fresh.weights, saved.weights, "") or _difference(saved.weights, fresh.weights, ""):
        return ""
    if fault := _difference(under(LOSS, fresh.learner), under(LOSS, saved.learner), f"{LEARNER}: {LOSS}"):
        return fault
    found = under(GATHERED, saved.learner)
    needed = {n: t for n, t in under(GATHERED, fresh.learner).items() if n in found or n not in LATER}
    needed = {name: tensor for name, tensor in needed.items() if name not in OF_ANY_LENGTH}
    return _difference(needed, found, f"{LEARNER}: {GATHERED}") if found else ""


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of a tensor with a number that is not finite; empty where there is none."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return ""


def _difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], place: str) -> str:
    for name, tensor in expected.items():
        if name not in found:
            return f"{place}{name} is missing"
        if found[name].shape != tensor.shape:
            return f"{place}{name} is {list(found[name].shape)} instead of {list(tensor.shape)}"
        if found[name].is_floating_point() != tensor.is_floating_point():
            return f"{place}{name} is {found[name].dtype} instead of {tensor.dtype}"
    return ""


def _optimizer_fault(optimizer: Any, raw: Mapping[str, Tensor]) -> str:
    """What is wrong with the moments of the optimiser; runs from before they had names are not looked at."""
    parameters = optimizer.get("parameters") if isinstance(optimizer, dict) else None
    if not isinstance(parameters, dict):
        return ""
    if not all(isinstance(moments, dict) for moments in parameters.values()):
        return f"{LEARNER}: the optimiser has no moments"
    names = {frozenset(moments) for moments in parameters.values()}
    if len(names) > 1:
        return f"{LEARNER}: the optimiser has {min(names, key=len) ^ max(names, key=len)} for some parameters only"
    for name, moments in parameters.items():
        for kind, moment in moments.items():
            if isinstance(moment, Tensor) and moment.ndim and name in raw and moment.shape != raw[name].shape:
                return f"{LEARNER}: {kind} of {name} is {list(moment.shape)} instead of {list(raw[name].shape)}"
            if isinstance(moment, Tensor) and not moment.is_floating_point():
                return f"{LEARNER}: {kind} of {name} is {moment.dtype}"
    return ""


def _is_finite(value: Any) -> bool:
    """Whether a value of JSON has finite numbers only."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
