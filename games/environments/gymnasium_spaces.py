"""Gymnasium's spaces as the numbers of `games.environments`: observations as one array, actions as choices.

Observations. A Box or MultiBinary is an array, by `games.observation_layout`. Discrete and MultiDiscrete become
one-hot numbers; of Tuple and Dict, nested as they may be, all numbers stand in one row, in the order of Gymnasium's
`flatten`. Where a Tuple or Dict has a picture, the result is a picture: pictures of one size lie on top of each other,
and every other number is a plane of its own that has it everywhere. Text is left out.

Actions. A Discrete choice, or a Box of real numbers with bounds. MultiDiscrete and MultiBinary become one choice
among all their combinations, while these are few (Tavakoli et al. 2018 describe this, and what to do for more).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from gymnasium.spaces.utils import flatdim, flatten

from games.base import GameError
from games.observation_layout import Layout, layout_of

MAX_ONE_HOT = 100_000
"""Largest number of one-hot numbers of an observation."""
MAX_COMBINATIONS = 4096
"""Largest number of combinations of a MultiDiscrete or MultiBinary action."""

OBSERVATIONS_TAKEN = "Box, Discrete, MultiDiscrete, MultiBinary, and Tuple or Dict of these"
ACTIONS_TAKEN = (
    f"one Discrete choice, a Box of real numbers with bounds, or MultiDiscrete or MultiBinary with at most "
    f"{MAX_COMBINATIONS:,} combinations"
)


class ObservationSpace:
    """How the observations of a space become arrays. `needs_reading` says whether single ones go through `read_one`
    before they are put in batches."""

    def __init__(self, space: Space, channels: str = "") -> None:
        """`channels` as for `layout_of`. Raises GameError for a space that is not taken, or not so."""
        self.notes: list[str] = []
        parts = list(_parts(space, ()))
        self._parts = [part for part in parts if not part.is_text]
        if len(self._parts) < len(parts):
            self.notes.append(f"{_names(part for part in parts if part.is_text)} left out of the observations: text")
        if not self._parts:
            raise GameError(f"its observations are {one_line(space)}, text alone; what is taken: {OBSERVATIONS_TAKEN}")
        if not sum(part.size for part in self._parts):
            raise GameError(f"its observations are {one_line(space)}, of no numbers")
        self.needs_reading = not isinstance(space, (Box, MultiBinary))
        self._read: Callable[[list[np.ndarray]], np.ndarray]
        pictures = [part for part in self._parts if part.set_layout(channels).is_picture]
        if channels in ("first", "last") and not pictures:
            raise GameError(f"channels={channels} is for pictures, not for {one_line(space)}; leave it out")
        if len(self._parts) == 1 and self._parts[0].layout is not None:
            self._read_one_array(self._parts[0].layout)
        elif pictures and len({part.shape[1:] for part in pictures}) == 1:
            self._read_planes(pictures)
        else:
            self._read_row(space)

    def _read_one_array(self, layout: Layout) -> None:
        self.layout = layout
        self._read = lambda arrays: arrays[0]
        self.notes += [layout.note] if layout.note else []

    def _read_planes(self, pictures: list[_Part]) -> None:
        """Pictures of one size, and planes of the other numbers."""
        height, width = pictures[0].shape[1:]
        others = [part for part in self._parts if part not in pictures]
        as_bytes = all(part.is_bytes for part in pictures) and all(part.is_binary for part in others)
        dtype = np.dtype(np.uint8 if as_bytes else np.float32)
        depth = sum(part.shape[0] for part in pictures) + sum(part.size for part in others)

        def read(arrays: list[np.ndarray]) -> np.ndarray:
            planes: list[np.ndarray] = []
            for part, array in zip(self._parts, arrays):
                if part not in pictures:
                    array = np.broadcast_to(array.reshape(-1, 1, 1), (array.size, height, width))
                if part.is_bytes != as_bytes and (part.is_bytes or part.is_binary):
                    array = array * (255 if as_bytes else np.float32(1 / 255))
                planes.append(array.astype(dtype))
            return np.concatenate(planes)

        self._read = read
        self.layout = Layout((depth, height, width), dtype, (0, 1, 2), is_picture=True)
        self.notes += [f"{part.name}: {part.layout.note}" for part in pictures if part.layout is not None]
        if others:
            self.notes.append(f"{_names(others)}: a plane of the picture for every number; with it {depth} channels")

    def _read_row(self, space: Space) -> None:
        """All numbers in one row."""
        size = sum(part.size for part in self._parts)
        self.layout = Layout((size,), np.dtype(np.float32), (0,))
        self._read = lambda arrays: np.concatenate([_numbers(array) for array in arrays])
        self.notes.append(f"observations {one_line(space)} are read as a row of {size:,} numbers, choices one-hot")

    @property
    def box(self) -> Box:
        """The space of what `read_one` gives, with the bounds that the parts declare."""
        if self.layout.dtype == np.uint8:
            return Box(0, 255, self.layout.shape, np.uint8)
        with np.errstate(over="ignore"):  # of bounds beyond float32
            lows, highs = zip(*(part.bounds() for part in self._parts))
            low, high = (self._read(list(bounds)).reshape(self.layout.shape) for bounds in (lows, highs))
        return Box(low, high, self.layout.shape, np.float32)

    def read_one(self, observation: Any) -> np.ndarray:
        """One observation of the space, [*layout.shape]. Raises GameError for a choice that the space does not have."""
        return self._read([part.read(observation) for part in self._parts]).reshape(self.layout.shape)

    def read_batch(self, given: np.ndarray) -> np.ndarray:
        """Observations [n, ...] as a vector environment has them, in an array of their own."""
        return np.array(given) if self.needs_reading else self.layout.read(given)


class _Part:
    """A space inside Tuple and Dict that is neither, and the way to it."""

    def __init__(self, space: Space, path: tuple[Any, ...]) -> None:
        """Raises GameError for a kind of space that is not taken."""
        self.space, self.path = space, path
        self.name = ".".join(map(str, path)) or "the observation"
        self.is_text = is_text(space)
        self.is_one_hot = isinstance(space, (Discrete, MultiDiscrete))
        self.is_binary = self.is_one_hot or isinstance(space, MultiBinary)
        self.layout: Layout | None = None
        if not self.is_text and not isinstance(space, (Box, Discrete, MultiDiscrete, MultiBinary)):
            raise GameError(f"its observations have {one_line(space)}; what is taken: {OBSERVATIONS_TAKEN}")
        self.size = 0 if self.is_text else flatdim(space)
        if self.is_one_hot and self.size > MAX_ONE_HOT:
            raise GameError(
                f"its observations have {one_line(space)}, {self.size:,} one-hot numbers; at most {MAX_ONE_HOT:,} are "
                "taken: a wrapper of Gymnasium's can give them as a Box"
            )

    def set_layout(self, channels: str) -> Layout:
        """The layout of arrays; choices are a row, which `layout` does not hold. Raises GameError, see `layout_of`."""
        if self.path and len(self.space.shape or ()) < 3 and channels != "none":
            channels = ""  # meant for the picture beside these numbers
        if isinstance(self.space, Box):
            low, high = (self.space.low.min(), self.space.high.max()) if self.size else (0, 0)
            self.layout = layout_of(self.space.shape, self.space.dtype, float(low), float(high), channels)
        elif isinstance(self.space, MultiBinary):
            self.layout = layout_of(self.space.shape, np.dtype(np.int8), 0.0, 1.0, channels)
        return self.layout or Layout((self.size,), np.dtype(np.float32), (0,))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of what `read` gives."""
        return (self.size,) if self.layout is None else self.layout.shape

    @property
    def is_bytes(self) -> bool:
        """Whether `read` gives bytes."""
        return self.layout is not None and self.layout.dtype == np.uint8

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the numbers from `read`, as far as the space has them."""
        if isinstance(self.space, Box) and self.layout is not None:
            return self.layout.read(self.space.low[None])[0], self.layout.read(self.space.high[None])[0]
        return np.zeros(self.shape, np.float32), np.ones(self.shape, np.float32)

    def read(self, observation: Any) -> np.ndarray:
        """This part of an observation as an array."""
        try:
            for key in self.path:
                observation = observation[key]
        except (KeyError, IndexError, TypeError):
            raise GameError(f"{self.name} is missing in the observation {one_line(observation)}") from None
        if self.layout is not None:
            array = np.asarray(observation)
            if array.shape != self.space.shape:
                raise GameError(f"{self.name} has shape {list(array.shape)}, its space {list(self.space.shape or ())}")
            return self.layout.read(array[None])[0]
        if not self.space.contains(observation):
            raise GameError(f"{self.name} is {one_line(observation)}, which is not in its {one_line(self.space)}")
        return np.asarray(flatten(self.space, observation))


def _parts(space: Space, path: tuple[Any, ...]) -> Iterator[_Part]:
    """The parts of a space in the order of Gymnasium's `flatten`."""
    if isinstance(space, Dict):
        for key, inner in space.spaces.items():
            yield from _parts(inner, (*path, key))
    elif isinstance(space, Tuple):
        for index, inner in enumerate(space.spaces):
            yield from _parts(inner, (*path, index))
    else:
        yield _Part(space, path)


class ActionSpace:
    """How actions of agents become those of a space: a choice among `num_choices`, or a vector within bounds."""

    def __init__(self, space: Space) -> None:
        """Raises GameError for a space that is not taken."""
        self.notes: list[str] = []
        self.low: np.ndarray | None = None
        self.high: np.ndarray | None = None
        self.num_choices = 0
        self._choices: np.ndarray | None = None
        if isinstance(space, Discrete):
            self.num_choices, self._start = int(space.n), int(space.start)
        elif isinstance(space, Box) and space.dtype.kind == "f":
            if not space.is_bounded():
                raise GameError("its actions have no bounds")
            with np.errstate(over="ignore"):  # looked at below
                self.low, self.high = space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32)
                is_narrow = bool(np.isfinite(self.high - self.low).all())
            if not is_narrow:
                raise GameError(
                    f"its actions are {one_line(space)}, whose range float32 cannot hold; declare a smaller"
                )
            if not self.low.size:
                raise GameError(f"its actions are {one_line(space)}, of no numbers")
            self._box = space
        elif isinstance(space, (MultiDiscrete, MultiBinary)):
            self._number_combinations(space)
        else:
            raise GameError(f"its actions are {one_line(space)}; what is taken: {ACTIONS_TAKEN}")

    def _number_combinations(self, space: MultiDiscrete | MultiBinary) -> None:
        """The last choice counts fastest."""
        sizes = space.nvec if isinstance(space, MultiDiscrete) else np.full(space.shape, 2)
        total = float(np.prod(sizes, dtype=np.float64))
        if total > MAX_COMBINATIONS:
            raise GameError(
                f"its actions are {one_line(space)}, {total:,.0f} combinations; what is taken: {ACTIONS_TAKEN}"
            )
        self.num_choices = int(total)
        places = np.unravel_index(np.arange(self.num_choices), sizes.ravel().tolist())
        choices = np.stack(places, axis=1).reshape(self.num_choices, *space.shape)
        start = space.start if isinstance(space, MultiDiscrete) else 0
        self._choices = (choices + start).astype(space.dtype)
        self.notes.append(f"actions {one_line(space)} are numbered as one choice of {self.num_choices:,} combinations")

    def choices(self, actions: np.ndarray) -> np.ndarray:
        """Actions [n] in `range(num_choices)`, as the space has them."""
        return actions + self._start if self._choices is None else self._choices[actions]

    def vectors(self, actions: np.ndarray) -> np.ndarray:
        """Actions [n, D] as the space has them, clipped to its bounds."""
        given = actions.reshape(len(actions), *self._box.shape)
        # In the type of the bounds, which float32 may overstep.
        return np.clip(given.astype(self._box.dtype), self._box.low, self._box.high)


def is_text(space: Space) -> bool:
    """Whether a space has texts: Gymnasium's `Text`, MiniGrid's missions."""
    return space.dtype is not None and np.dtype(space.dtype).kind == "U"


def one_line(what: object) -> str:
    """The first line of a text, or the name of an exception without one; a space in full, which may have many."""
    if isinstance(what, Space):
        return " ".join(str(what).split())[:300]
    lines = str(what).strip().splitlines()
    return lines[0][:300] if lines else type(what).__name__


def _numbers(array: np.ndarray) -> np.ndarray:
    """An array as a row of float32; bytes are divided by 255."""
    row = array.ravel().astype(np.float32)
    return row / 255 if array.dtype == np.uint8 else row


def _names(parts: Any) -> str:
    return ", ".join(part.name for part in parts)
