"""A `WorldModel` for evaluation only: numpy in, numpy out, for the search of actors and players.

Two functions are traced: `initial` (representation and prediction) for roots, `recurrent` (dynamics and prediction)
for every step below them. With chance codes `departure` makes the first half of a step, and `recurrent` the rest. As
in `nets.inference`, batch normalisation is folded away, batches are padded to one of a few sizes, and new weights are
copied in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from nets import world_int8
from nets.backends import input_dtype, padded
from nets.config import NetConfig
from nets.folding import fold_batch_norm
from nets.inference import NO_WEIGHTS, batch_buckets, bucket_for, check_names
from nets.world_engines import Engine, TracedEngine
from nets.world_model import WorldSizes, build_world_model

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
"""Number types by their names in the settings, the finest first."""

MIN_GAIN = 1.2
"""Factor by which a coarser number type must be faster than a finer one to be chosen."""

MIN_CALLS = 3
"""Least number of calls that a measurement times."""


class Roots(NamedTuple):
    """What the network says of B observations; the arrays belong to the caller."""

    latents: Shaped[np.ndarray, "B ..."]
    policy_logits: Float[np.ndarray, "B A"]
    values: Float[np.ndarray, "B V"]


class Steps(NamedTuple):
    """What the network says of B actions in latents; the arrays belong to the caller."""

    latents: Shaped[np.ndarray, "B ..."]
    policy_logits: Float[np.ndarray, "B A"]
    values: Float[np.ndarray, "B V"]
    rewards: Float[np.ndarray, "B V"] | None
    """For the player who acted, in units of reward; None in a game that only has a result."""
    seats: Int[np.ndarray, " B"] | None
    """Number of seats from the player who acted to the next one; None where players take turns."""


class Departures(NamedTuple):
    """What the network says of B actions in latents, before chance has its turn; the arrays belong to the caller."""

    latents: Shaped[np.ndarray, "B ..."]
    """The afterstates."""
    code_logits: Float[np.ndarray, "B M"]


class WorldInference:
    """A `WorldModel` for evaluation only. `version` is that of the weights, `NO_WEIGHTS` before `load`.

    The object belongs to one thread.
    """

    def __init__(
        self,
        config: NetConfig,
        sizes: WorldSizes,
        device: torch.device | str = "cpu",
        max_batch: int = 256,
        dtype: str = "auto",
        measure_seconds: float = 0.2,
        calibration: Float[np.ndarray, "B ..."] | None = None,
    ) -> None:
        """Build and measure, for about `measure_seconds` a number type, or a tenth of that where there is only one.

        `dtype` is `auto`, `float32`, `bfloat16` or `int8`; the last needs `calibration`, some hundred observations of
        the game, and `auto` leaves it out without. Larger batches than `max_batch` are split. Raises ValueError for
        bad settings.
        """
        if dtype not in ("auto", *DTYPES):
            raise ValueError(f"inference dtype: {dtype!r} is not one of auto, {', '.join(DTYPES)}")
        self.version = NO_WEIGHTS
        self.sizes, self.device = sizes, torch.device(device)
        self._observation_dtype = np.dtype(np.uint8 if input_dtype(config) == torch.uint8 else np.float32)
        self._buckets = batch_buckets(max_batch)
        self._padded: dict[str, dict[int, np.ndarray]] = {
            "observations": {},
            "latents": {},
            "actions": {},
            "choices": {},
        }
        self._expected = {name: t.shape for name, t in build_world_model(config, sizes).state_dict().items()}
        self._calibration = calibration
        self._dtype, self._engine, self._rate = self._choose(config, dtype, measure_seconds)
        self.latent_shape, self.latent_dtype = self._engine.latent_shape, self._engine.latent_dtype

    def initial(self, observations: Shaped[np.ndarray, "B ..."]) -> Roots:
        """h and f for the observations of B roots."""
        self._require_weights()
        observations = np.ascontiguousarray(observations, self._observation_dtype)
        parts = [
            self._cut(self._engine.initial(self._pad("observations", part)), len(part))
            for part in self._split(observations)
        ]
        return Roots(*_joined(parts))

    def recurrent(self, latents: Shaped[np.ndarray, "B ..."], choices: Shaped[np.ndarray, "B ..."]) -> Steps:
        """g and f for an action in each of B latents; with chance codes, for a code in each of B afterstates."""
        latent, logits, value, *others = self._asked(self._engine.recurrent, latents, choices, "choices")
        rewards = others.pop(0) if self.sizes.support else None
        seats = others.pop(0).argmax(axis=1) if self.sizes.num_seats else None
        return Steps(latent, logits, value, rewards, seats)

    def departure(self, latents: Shaped[np.ndarray, "B ..."], actions: Int[np.ndarray, " B"]) -> Departures:
        """phi and psi for an action in each of B latents. Raises RuntimeError for a model without chance codes."""
        return Departures(*self._asked(self._engine.departure, latents, actions, "actions"))

    def _asked(
        self,
        function: Callable[[np.ndarray, np.ndarray], list[np.ndarray]],
        latents: Shaped[np.ndarray, "B ..."],
        choices: Shaped[np.ndarray, "B ..."],
        kind: str,
    ) -> list[np.ndarray]:
        """The outputs of a function of the engine for a choice in each of B latents.

        Each `kind` of choices has rows of its own to fill a batch with: there may be more codes than actions.
        """
        self._require_weights()
        latents, choices = np.ascontiguousarray(latents), np.ascontiguousarray(choices)
        parts = [
            self._cut(function(self._pad("latents", some), self._pad(kind, chosen)), len(some))
            for some, chosen in zip(self._split(latents), self._split(choices), strict=True)
        ]
        return _joined(parts)

    def load(self, state_dict: Mapping[str, Tensor], version: int) -> None:
        """Swap in the weights of a `WorldModel` of the same settings, as a whole or not at all.

        Raises ValueError, with the old weights still in place, for weights of another network or with NaN or
        infinite entries.
        """
        check_names(self._expected, state_dict)
        self._engine.load(fold_batch_norm(state_dict))
        self.version = version

    def describe(self) -> dict[str, str | int | float]:
        """The choice made at the start, and its measured steps of the search per second at `max_batch`."""
        return {
            "device": str(self.device),
            "dtype": self._dtype,
            "mode": "trace",
            "max_batch": self._buckets[-1],
            "positions_per_second": self._rate,
        }

    def _choose(self, config: NetConfig, dtype: str, seconds: float) -> tuple[str, Engine, float]:
        """Name, engine and steps per second of the fastest number type."""
        best: tuple[str, Engine, float] | None = None
        for name, engine in self._candidates(config, dtype):
            rate = self._measure(engine, seconds if dtype == "auto" else seconds / 10)
            if best is None or rate > best[2] * MIN_GAIN:
                best = name, engine, rate
        assert best is not None
        return best

    def _candidates(self, config: NetConfig, dtype: str) -> Iterator[tuple[str, Engine]]:
        """Engines to choose from by name, the finest first, each built when it is asked for."""
        for name in tuple(DTYPES) if dtype == "auto" else (dtype,):
            if name != "int8":
                yield name, TracedEngine(config, self.sizes, DTYPES[name], self.device)
                continue
            floats = TracedEngine(config, self.sizes, torch.float32, self.device)
            if self.device.type == "cpu" and self._calibration is not None and world_int8.is_supported(floats.twin):
                yield name, world_int8.Int8Engine(floats, self._calibration)
            elif dtype == "int8":
                raise ValueError(
                    "inference dtype: int8 needs the model of a board without chance codes, and VNNI; use auto"
                )

    def _measure(self, engine: Engine, seconds: float) -> float:
        batch = self._buckets[-1]
        latents = (255 * np.random.default_rng(0).random((batch, *engine.latent_shape))).astype(engine.latent_dtype)
        actions = self.sizes.no_actions(batch).numpy()
        engine.recurrent(latents, actions)  # kernels for this size are prepared on first use
        times: list[float] = []
        while sum(times) < seconds or len(times) < MIN_CALLS:
            start = time.perf_counter()
            engine.recurrent(latents, actions)
            times.append(time.perf_counter() - start)
        return batch / min(times)

    def _require_weights(self) -> None:
        if self.version == NO_WEIGHTS:
            raise RuntimeError("inference: no weights yet; call load first")

    def _split(self, array: np.ndarray) -> list[np.ndarray]:
        most = self._buckets[-1]
        return [array[start : start + most] for start in range(0, max(1, len(array)), most)]

    def _pad(self, name: str, array: np.ndarray) -> np.ndarray:
        return padded(array, bucket_for(len(array), self._buckets), self._padded[name])

    @staticmethod
    def _cut(outputs: list[np.ndarray], count: int) -> list[np.ndarray]:
        return [output[:count] for output in outputs]


def _joined(parts: list[list[np.ndarray]]) -> list[np.ndarray]:
    return parts[0] if len(parts) == 1 else [np.concatenate(same) for same in zip(*parts, strict=True)]
