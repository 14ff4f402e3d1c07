"""Evaluation of positions for actors: numpy in, numpy out, as fast as the machine allows.

At the start the precisions are measured and the fastest is kept. Batch normalisation is folded away. Batches are padded
to one of a few sizes, for which kernels are prepared once. New weights are checked in full and then copied in place.
The object belongs to one thread.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from nets import int8
from nets.backends import Backend, CpuBackend, CudaBackend, build_twin, input_dtype
from nets.board import Board
from nets.config import NetConfig
from nets.folding import fold_batch_norm
from nets.models import PolicyValueNet, build

NO_WEIGHTS = -1
"""`Inference.version` before the first `load`."""

MIN_GAIN = 1.2
"""Factor by which a coarser number type must be faster than a finer one to be chosen.

bfloat16 keeps three decimal digits, bytes two."""

PROBE_BATCH = 8
"""Number of positions in the first, cheap measurement of a candidate."""

MIN_BATCHES = 3
"""Least number of batches that a measurement times."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
"""Number types by their names in the settings, the finest first."""


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def one_thread() -> None:
    """Make torch use one thread in this process.

    For every process that shares its cores: a process with two threads is 5 to 40 times slower while another is busy.
    """
    torch.set_num_threads(1)


def batch_buckets(max_batch: int) -> tuple[int, ...]:
    """Batch sizes that are run: powers of two up to an eighth of `max_batch`, then every eighth.

    `batch_buckets(256)` is 1, 2, 4, 8, 16, 32, 64, 96, ... 256. They are few enough to prepare, and padding adds less
    than half to a batch of more than 32.
    """
    eighth = max(1, -(-max_batch // 8))
    powers = [2**k for k in range(eighth.bit_length()) if 2**k < eighth]
    return (*powers, *range(eighth, max_batch, eighth), max_batch)


class Inference:
    """A `PolicyValueNet` for evaluation only. `version` is that of the weights, `NO_WEIGHTS` before `load`."""

    def __init__(
        self,
        config: NetConfig,
        observation_shape: Sequence[int],
        num_actions: int,
        num_values: int,
        device: torch.device | str | None = None,
        max_batch: int = 256,
        dtype: str = "auto",
        measure_seconds: float = 0.3,
        calibration: Float[np.ndarray, "B ..."] | None = None,
        board: Board | None = None,
    ) -> None:
        """Build and measure, for about `measure_seconds` a candidate, or a tenth of that where there is only one.

        `device` None means `default_device()`. `dtype` is `auto`, `float32`, `bfloat16` or `int8`; the last needs
        `calibration`, some hundred observations of the game, and `auto` leaves it out without. Larger batches than
        `max_batch` are split, and so is one that the GPU has no memory for. `board` as in
        `nets.build`. Raises ValueError for bad settings.
        """
        if max_batch < 1:
            raise ValueError(f"inference max_batch: {max_batch} is below 1")
        if dtype not in ("auto", *DTYPES):
            raise ValueError(f"inference dtype: {dtype!r} is not one of auto, {', '.join(DTYPES)}")
        self.device = default_device() if device is None else torch.device(device)
        self.version = NO_WEIGHTS
        self._sizes = (config, tuple(observation_shape), num_actions, num_values)
        self._board = board
        self._shape = tuple(observation_shape)
        self._dtype = np.dtype(np.uint8 if input_dtype(config) == torch.uint8 else np.float32)
        self._buckets = batch_buckets(max_batch)
        self._calibration = calibration
        self._expected = {name: tensor.shape for name, tensor in build(*self._sizes, board=board).state_dict().items()}
        self._backend, self._rate = self._choose(dtype, measure_seconds)

    def predict(
        self, observations: Shaped[np.ndarray, "B ..."]
    ) -> tuple[Float[np.ndarray, "B A"], Float[np.ndarray, "B V"]]:
        """Policy logits over all actions and values, both float32, for observations; B may be any number.

        Observations are float32, or uint8 for a network with `input_transform` pixels.

        Values are those of `PolicyValueNet`, in reward units. The arrays returned belong to the caller. Raises
        RuntimeError before the first `load`, ValueError for another shape or dtype.
        """
        if self.version == NO_WEIGHTS:
            raise RuntimeError("inference: no weights yet; call load first")
        if observations.shape[1:] != self._shape or observations.dtype != self._dtype:
            raise ValueError(
                f"inference: observations are {observations.dtype} {list(observations.shape)}, "
                f"expected {self._dtype} [B, {', '.join(map(str, self._shape))}]"
            )
        count, max_batch = len(observations), self._buckets[-1]
        if 0 < count <= max_batch:
            return self._run(np.ascontiguousarray(observations))
        _, _, num_actions, num_values = self._sizes
        policy_logits = np.empty((count, num_actions), dtype=np.float32)
        value = np.empty((count, num_values), dtype=np.float32)
        for start in range(0, count, max_batch):
            rows = slice(start, start + max_batch)
            policy_logits[rows], value[rows] = self._run(np.ascontiguousarray(observations[rows]))
        return policy_logits, value

    def load(self, state_dict: Mapping[str, Tensor], version: int) -> None:
        """Swap in the weights of a `PolicyValueNet` of the same config, as a whole or not at all.

        Raises ValueError, with the old weights still in place, for weights of another network or with NaN or
        infinite entries.
        """
        check_names(self._expected, state_dict)
        folded = fold_batch_norm(state_dict)
        self._backend.copy_weights(folded)
        self.version = version

    def describe(self) -> dict[str, str | int | float]:
        """The choice made at the start, and its measured positions per second (at `max_batch`, if time allowed)."""
        return {
            "device": str(self.device),
            "dtype": str(self._backend.dtype).removeprefix("torch."),
            "mode": self._backend.mode,
            "max_batch": self._buckets[-1],
            "positions_per_second": self._rate,
        }

    def _run(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._backend.run(observations, bucket_for(len(observations), self._buckets))

    def _candidates(self, dtype: str) -> Iterator[Backend]:
        """Backends to choose from, the finest first, each built when it is asked for."""
        names = tuple(DTYPES) if dtype == "auto" else (dtype,)
        for name in names:
            twin = build_twin(*self._sizes, self._board)
            if name == "int8":
                if self.device.type == "cpu" and self._calibration is not None and int8.is_supported(twin):
                    yield int8.Int8Backend(twin, self._calibration)
                elif dtype == "int8":
                    raise ValueError("inference dtype: int8 needs a resnet without separate_value, and VNNI; use auto")
            elif self.device.type == "cuda":
                try:
                    yield self._cuda_backend(twin, DTYPES[name], may_shrink=name == names[0])
                except torch.cuda.OutOfMemoryError:
                    if name == names[0]:
                        raise  # not even a batch of one; else there is a backend already
            else:
                yield CpuBackend(twin, DTYPES[name])

    def _cuda_backend(self, twin: PolicyValueNet, dtype: torch.dtype, may_shrink: bool) -> Backend:
        """A backend on the GPU. Where the GPU has no memory for the largest batch, it is halved until it fits.

        `may_shrink` false: another backend depends on the present sizes, so the error is raised.
        """
        while True:
            try:
                return CudaBackend(twin, dtype, self.device, self._buckets)
            except torch.cuda.OutOfMemoryError:
                if self._buckets[-1] == 1 or not may_shrink:
                    raise
            torch.cuda.empty_cache()
            self._buckets = batch_buckets(self._buckets[-1] // 2)

    def _choose(self, dtype: str, seconds: float) -> tuple[Backend, float]:
        """The fastest backend and its positions per second."""
        candidates = self._candidates(dtype)
        best = next(candidates)
        best_rate = self._measure(best, seconds if dtype == "auto" else seconds / 10)
        for backend in candidates:
            rate = self._measure(backend, seconds)
            if rate > best_rate * MIN_GAIN:
                best, best_rate = backend, rate
        return best, best_rate

    def _measure(self, backend: Backend, seconds: float) -> float:
        """Positions per second at the largest bucket of which at least two batches fit into `seconds`, at best.

        The best, not the mean: other processes that start at the same time slow down one candidate, and not the next.
        A small batch is timed first: bfloat16 without the instructions for it is ten times slower, and nobody should
        wait for a large batch of that.
        """
        shape = (self._buckets[-1], *self._shape)
        rng = np.random.default_rng(0)
        is_pixels = self._dtype == np.uint8
        observations = (
            rng.integers(256, size=shape, dtype=np.uint8) if is_pixels else rng.standard_normal(shape, np.float32)
        )
        probe = bucket_for(min(PROBE_BATCH, self._buckets[-1]), self._buckets)
        probe_seconds = min(_seconds_of(backend, observations[:probe]) for _ in range(4))
        affordable = [b for b in self._buckets if b > probe and b / probe * probe_seconds <= seconds / 2]
        batch = observations[: max(affordable, default=probe)]
        _seconds_of(backend, batch)  # kernels for this size are prepared on first use
        times = [_seconds_of(backend, batch)]
        while sum(times) < seconds or len(times) < MIN_BATCHES:
            times.append(_seconds_of(backend, batch))
        return len(batch) / min(times)


def bucket_for(count: int, buckets: Sequence[int]) -> int:
    """The smallest bucket that holds `count` positions."""
    return buckets[bisect.bisect_left(buckets, count)]


def check_names(expected: Mapping[str, torch.Size], given: Mapping[str, Tensor]) -> None:
    """Raise ValueError for the first tensor, by name, that is missing, too many or of another shape."""
    for name in sorted(expected.keys() | given.keys()):
        wanted, found = expected.get(name), given[name].shape if name in given else None
        if wanted != found:
            raise ValueError(
                f"weights: {name} has shape {_shape_text(found)}, this network needs {_shape_text(wanted)}; "
                "the weights belong to another net config or game"
            )


def _seconds_of(backend: Backend, observations: np.ndarray) -> float:
    start = time.perf_counter()
    backend.run(observations, len(observations))
    return time.perf_counter() - start


def _shape_text(shape: torch.Size | None) -> str:
    return "nothing" if shape is None else str(list(shape))
