"""Where the channels, rows and columns of a picture are: `layout_of` an array of numbers by its shape and bounds.

Networks take pictures as [C, H, W]. Environments have them with their channels first or last, as stacks of frames, or
grey without an axis for channels. Two neighbouring axes are the rows and columns:

* the only two that are equally long, if they are at least 3: [84, 84, 4] and [7, 7, 20] have their channels last;
* else those with the largest product: [210, 160, 3] has its channels last, [3, 210, 160] first;
* of equal products the later ones: [9, 9, 9] has its channels first.

All axes before and after them are channels, in that order: [4, 84, 84, 3], four frames of three colours, has twelve.
Two axes alone are a grey picture where both are at least 36 long, and a table of numbers otherwise. The result is
in `Layout.note`, and the parameter `channels` of an environment sets it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from games.base import Game, GameError

MIN_SIDE = 3
"""Smallest number of rows and of columns of a picture."""
MIN_GREY_SIDE = 36
"""Smallest number of rows and of columns of a picture without an axis of channels: the network for screens needs it."""
FEW_PLANES = 3
"""Largest length of a last axis that looks like planes, behind longer axes, and not like columns."""
CHANNELS = ("first", "last", "none")
"""Values of the parameter `channels`: where they are; none reads no picture, only numbers."""


@dataclass(frozen=True)
class Layout:
    """How arrays [n, ...] of numbers become observations [n, *shape]."""

    shape: tuple[int, ...]
    dtype: np.dtype  # uint8 (values in [0, 255]) or float32
    order: tuple[int, ...]  # of the axes of one array
    scale: float = 1.0
    """Values are multiplied by it."""
    is_picture: bool = False
    note: str = ""
    """One line on which axes are channels, rows and columns; empty where the shape leaves no choice."""

    def read(self, given: np.ndarray) -> np.ndarray:
        """Arrays [n, ...] in an array of their own, [n, *shape]; a number that is no byte becomes the nearest byte."""
        moved = given.transpose(0, *(axis + 1 for axis in self.order))
        if self.dtype == np.uint8 and given.dtype != np.uint8:  # else they would come round from the other end
            moved = moved.clip(0, 255)
        read = np.array(moved, dtype=self.dtype, order="C").reshape(len(given), *self.shape)
        return read if self.scale == 1.0 else read * self.dtype.type(self.scale)


def layout_of(shape: tuple[int, ...], dtype: np.dtype, low: float, high: float, channels: str = "") -> Layout:
    """The layout of arrays of `shape` and `dtype` with values in [low, high].

    `channels` is one of `CHANNELS`, or empty for the rule of this module. Raises GameError where it does not fit.
    """
    in_byte_range = low == 0 and high == 255
    sides = None if channels == "none" else _sides(shape, channels)
    if sides is None:
        kept = np.dtype(np.uint8 if in_byte_range and dtype == np.uint8 else np.float32)
        flat = shape if channels != "none" and shape else (math.prod(shape),)
        return Layout(flat, kept, tuple(range(len(shape))))
    rows, columns = sides
    before, after = tuple(range(rows)), tuple(range(columns + 1, len(shape)))
    num_channels = math.prod(shape[axis] for axis in before + after)
    in_fractions = in_byte_range and dtype.kind == "f"
    return Layout(
        (num_channels, shape[rows], shape[columns]),
        np.dtype(np.uint8 if in_byte_range and not in_fractions else np.float32),
        (*before, *after, rows, columns),
        scale=1 / 255 if in_fractions else 1.0,
        is_picture=True,
        note=_note(shape, num_channels, rows) + (", divided by 255" if in_fractions else ""),
    )


def layout_notes(game: Game) -> tuple[str, ...]:
    """A line about a board of a game that looks as if its planes came last; games promise them first."""
    if len(game.observation_shape) != 3:
        return ()
    shape = (game.observation_shape[0] - game.num_players, *game.observation_shape[1:])  # without the seat planes
    is_square_first = shape[0] == shape[1] != shape[2] and shape[0] >= MIN_SIDE
    if not is_square_first and not shape[2] <= FEW_PLANES < min(shape[:2]):
        return ()
    return (
        f"{game.name}: observations {list(shape)} are read as {shape[0]} planes, {shape[1]} rows, {shape[2]} columns; "
        "a game has its planes first",
    )


def _sides(shape: tuple[int, ...], channels: str) -> tuple[int, int] | None:
    """The axes of rows and columns; None for numbers that are no picture."""
    pairs = [(axis, axis + 1) for axis in range(len(shape) - 1)]
    if channels:
        if len(shape) not in (2, 3, 4):
            raise GameError(f"channels={channels} is for pictures of 2 to 4 axes, not for {list(shape)}; leave it out")
        # Of four axes the first are frames, wherever the channels of each are.
        return pairs[-1] if channels == "first" or len(shape) == 2 else pairs[len(shape) - 3]
    if len(shape) == 2:
        return (0, 1) if min(shape) >= MIN_GREY_SIDE else None
    if len(shape) not in (3, 4):
        return None
    square = [pair for pair in pairs if shape[pair[0]] == shape[pair[1]] >= MIN_SIDE]
    if len(square) == 1:
        return square[0]
    best = max(pairs, key=lambda pair: (shape[pair[0]] * shape[pair[1]], pair))
    return best if min(shape[best[0]], shape[best[1]]) >= MIN_SIDE else None


def _note(shape: tuple[int, ...], num_channels: int, rows: int) -> str:
    place = "grey" if len(shape) == 2 else "channels first" if rows == len(shape) - 2 else "channels last"
    other = "none" if len(shape) == 2 else "last" if place == "channels first" else "first"
    channels = f"{num_channels} channel{'s' if num_channels > 1 else ''}"
    return (
        f"observations {list(shape)} are read as {channels}, {shape[rows]} rows, {shape[rows + 1]} columns "
        f"({place}; channels={other} as a parameter reads them otherwise)"
    )
