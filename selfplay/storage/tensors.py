"""Dictionaries of tensors as bytes, and back, bit for bit: weights, optimiser state, random number generators.

Only safetensors and JSON, never pickle, so that opening a file from elsewhere runs nothing. Between the learner and
`selfplay.storage.checkpoint`, and between the learner and the actors (`publish_weights`, `read_weights`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from selfplay.errors import UserError
from selfplay.storage.files import publish


class OtherNetworkError(UserError):
    """Weights are those of a network of another shape."""


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors on any device and in any memory layout as one safetensors file. The order of the keys is not kept."""
    # safetensors refuses tensors that share memory or are not contiguous (channels-last weights are not)
    packed = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    return save(packed, dict(metadata) if metadata else None)


def from_bytes(data: bytes) -> dict[str, Tensor]:
    """Contiguous CPU tensors of a safetensors file. Raises `ValueError` when it is none."""
    try:
        return load(data)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"not a safetensors file ({error})") from error


def publish_weights(path: Path, weights: Mapping[str, Tensor], version: int) -> None:
    """Replace the file that actors read, in one step. Raises `StorageError`."""
    publish(path, to_bytes(weights, {"version": str(version)}), "weights")


def read_weights(path: Path) -> tuple[dict[str, Tensor], int]:
    """Weights and their version, both from the same file even if a newer one replaces it meanwhile.

    Raises `UserError` when the file is missing or not one that `publish_weights` wrote.
    """
    try:
        data = path.read_bytes()
        # Not by `safe_open`, whose `get_tensor` never frees a kilobyte a file: 20 MB an hour for a busy actor.
        weights = from_bytes(data)
        return weights, int(_metadata(data)["version"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no weights of a run can be read from it ({error})") from error


def _metadata(data: bytes) -> dict[str, str]:
    """What `to_bytes` put beside the tensors of a file that `from_bytes` has read: its header is JSON, its length goes
    before it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]], where: str) -> None:
    """Refuse weights whose names or shapes are not the `expected` ones, or that are not finite.

    `where` begins the one-line `UserError`, an `OtherNetworkError` for names and shapes, which names the first tensor
    that differs in the order of `expected`. Costs one pass over the weights.
    """
    wrong = [
        f"{name} is {list(weights[name].shape)} instead of {list(shape)}" if name in weights else f"{name} is missing"
        for name, shape in expected.items()
        if name not in weights or tuple(weights[name].shape) != tuple(shape)
    ]
    wrong += [f"{name} is unknown" for name in weights if name not in expected]
    if wrong:
        more = f" (the first of {len(wrong)} tensors that differ)" if len(wrong) > 1 else ""
        raise OtherNetworkError(
            f"{where}: the weights do not fit the network: {wrong[0]}{more}; "
            "use the game and the net settings that they were trained with"
        )
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{where}: {name} holds values that are not finite; use an earlier version")


def flatten_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of an optimiser (nested dictionaries) as tensors under string keys and plain JSON for the rest.

    The JSON part also keeps what neither format can say: integer keys, tuples, and channels-last layout. The layout
    matters: a fused step on the CPU pairs weights and momentum by their place in memory, so momentum that came back in
    another layout than its weights would be applied to the wrong ones.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, {"optimizer": _describe(dict(state), "optimizer", tensors)}


def unflatten_optimizer(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> dict[str, Any]:
    """The state that `flatten_optimizer` took apart; other entries of `tensors` are ignored.

    Raises `UserError` when the two parts do not belong together.
    """
    try:
        return _rebuild(description["optimizer"], tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the optimiser state of the checkpoint is incomplete: {error}") from error


def _describe(value: Any, key: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for `value`: scalars as they are, everything else as `{kind: content}`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        tensors[key] = value
        last = value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        return {"channels_last" if last else "tensor": key}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_describe(item, f"{key}.{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": [[name, _describe(item, f"{key}.{name}", tensors)] for name, item in value.items()]}
    raise TypeError(f"{key}: {type(value).__name__} cannot be written to a checkpoint")


def _rebuild(description: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "channels_last":
        return tensors[content].contiguous(memory_format=torch.channels_last)
    if kind == "dict":
        return {name: _rebuild(item, tensors) for name, item in content}
    items = [_rebuild(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """State of a generator made by `np.random.default_rng`, as JSON. How many children it has spawned is not in it."""
    state = dict(rng.bit_generator.state)
    if state["bit_generator"] != "PCG64":
        raise TypeError(f"{state['bit_generator']}: only generators of np.random.default_rng can be saved")
    return state


def generator_from_state(state: Mapping[str, Any]) -> np.random.Generator:
    """The generator that `generator_state` described. Raises `UserError` when it is none."""
    bits = np.random.PCG64()
    try:
        bits.state = cast(Any, dict(state))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"the random state of the checkpoint cannot be used: {error}") from error
    return np.random.Generator(bits)
