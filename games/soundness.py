"""What may come in from environments and games that others wrote, and a few words for a person where it may not.

Numbers from outside are checked at the border, so that nothing behind it has to: `games.environments.checked` asks here
about Gymnasium's environments, `games.python_pool` about games in plain Python. Where an episode or a game is played to
learn from, it is cut off before the number; elsewhere `UnsoundError` ends the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from games.base import CHANCE, TERMINAL, GameError

MOST_IN_A_ROW = 100
"""Number of episodes or games in a row, cut off for what they said, that end a run."""

LARGEST = float(np.finfo(np.float32).max)
"""Greatest absolute value of a number from outside: networks and replays keep float32."""

TOLERANCE = 1e-5
"""Difference from 1 that the sum of the probabilities of a chance node may have."""

SHOWN = 60
"""Characters of a value that a message shows."""


class UnsoundError(GameError):
    """An environment or a game said what none may say, and nothing can be played without it."""


class Faults:
    """What the copies of a batch have said wrongly since they were last asked; the copies share it."""

    def __init__(self) -> None:
        self._copies = 0
        self.rows: list[int] = []
        """Copies whose present episode was cut off."""
        self.texts: list[str] = []
        """One line for each cut or start that failed."""

    def new_row(self) -> int:
        """The number of a copy, counted from 0."""
        self._copies += 1
        return self._copies - 1

    def take(self) -> tuple[list[int], tuple[str, ...]]:
        """Rows and texts, which start afresh."""
        taken = self.rows, tuple(self.texts)
        self.rows, self.texts = [], []
        return taken


def is_finite(array: np.ndarray) -> bool:
    """Whether every number is finite as float32 too. Cheap where all of them are far below the greatest."""
    if array.dtype.kind != "f":
        return True
    flat = array.ravel()
    with np.errstate(over="ignore"):
        if float(flat.dot(flat)) < LARGEST:  # false for NaN
            return True
    return bool((np.abs(flat) <= LARGEST).all())


def array_fault(name: str, value: Any, shape: Sequence[int], dtype: Any = np.float64) -> str:
    """What is wrong with `value` as an array of a shape whose numbers fit `dtype`; empty where nothing is."""
    try:
        array = np.asarray(value)
    except ValueError:
        return f"{name} is {_shown(value)}, not an array"
    if array.dtype != dtype and not _fits(array.dtype, dtype):
        return f"{name} is {_shown(value) if array.ndim == 0 else f'of type {array.dtype}'}, not {np.dtype(dtype)}"
    if array.shape != tuple(shape):
        return f"{name} has the shape {list(array.shape)}, not {list(shape)}"
    if is_finite(array):
        return ""
    place = tuple(int(i) for i in np.argwhere(~(np.abs(array) <= LARGEST))[0])
    return f"{name}{list(place) if place else ''} is {array[place]:g}"


def _fits(given: np.dtype, dtype: Any) -> bool:
    """Whether numpy writes numbers of one type into an array of another."""
    return given.kind in "biuf" and np.can_cast(given, dtype, "same_kind")


def number_fault(name: str, value: Any) -> str:
    """What is wrong with `value` as one number; empty where nothing is."""
    try:
        number = float(value) if np.ndim(value) == 0 and not isinstance(value, str | bytes) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        return f"{name} is {_shown(value)}, not one number"
    return "" if abs(number) <= LARGEST else f"{name} is {number:g}"


def mover_fault(value: Any, num_players: int, has_chance: bool) -> str:
    """What is wrong with `value` as who is to move; empty where nothing is."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if 0 <= value < num_players or value == TERMINAL or (value == CHANCE and has_chance):
            return ""
        if value == CHANCE:
            return "to_play() is CHANCE in a game whose max_chance_outcomes is 0"
    return f"to_play() is {_shown(value)}, neither a player 0 to {num_players - 1} nor CHANCE nor TERMINAL"


def legal_fault(actions: Any, num_actions: int) -> str:
    """What is wrong with `actions` as the legal ones of a position; empty where nothing is."""
    if not hasattr(actions, "__len__"):
        return f"legal_actions() is {_shown(actions)}, not a list"
    found = list(actions)
    if not found:
        return "legal_actions() is empty, though a player is to move"
    for action in found:
        if not isinstance(action, int | np.integer) or isinstance(action, bool):
            return f"legal_actions() has {_shown(action)}, which is no whole number"
        if not 0 <= action < num_actions:
            return f"legal_actions() has {action}; actions are 0 to {num_actions - 1}"
    if len(set(found)) < len(found):
        twice = next(action for action in found if found.count(action) > 1)
        return f"legal_actions() has {twice} twice"
    return ""


def chance_fault(outcomes: Any) -> str:
    """What is wrong with `outcomes` as the (outcome, probability) pairs of a chance node; empty where nothing is."""
    try:
        pairs = [(outcome, probability) for outcome, probability in outcomes]
    except (TypeError, ValueError):
        return f"chance_outcomes() is {_shown(outcomes)}, not a list of pairs"
    if not pairs:
        return "chance_outcomes() is empty"
    for outcome, probability in pairs:
        if not isinstance(outcome, int | np.integer) or isinstance(outcome, bool) or outcome < 0:
            return f"chance_outcomes() has the outcome {_shown(outcome)}, which is no whole number from 0"
        fault = number_fault("a probability of chance_outcomes()", probability)
        if fault or not probability >= 0:
            return fault or f"a probability of chance_outcomes() is {probability:g}"
    total = sum(float(probability) for _, probability in pairs)
    return "" if abs(total - 1.0) <= TOLERANCE else f"the probabilities of chance_outcomes() sum to {total:.6g}, not 1"


def are_legal(rows: Sequence[Any], moves: np.ndarray, num_actions: int) -> bool:
    """Whether all lists are legal actions, in ascending order; not empty where `moves` [n] says that a player moves."""
    try:
        lengths = np.array([len(row) for row in rows], np.int64)
        actions = np.array(list(chain.from_iterable(rows)))
    except (TypeError, ValueError):
        return False
    if (lengths[moves] == 0).any():
        return False
    if not len(actions):
        return True
    if actions.dtype.kind not in "iu" or actions.ndim != 1 or actions.min() < 0 or actions.max() >= num_actions:
        return False
    first = np.zeros(len(actions) + 1, np.bool_)
    first[np.cumsum(lengths)] = True
    return bool(((np.diff(actions) > 0) | first[1:-1]).all())


def are_chances(rows: Sequence[Any]) -> bool:
    """Whether all lists are the (outcome, probability) pairs of chance nodes."""
    if not len(rows):
        return True
    try:
        pairs = np.array(list(chain.from_iterable(rows)), np.float64)
        lengths = np.array([len(row) for row in rows], np.int64)
    except (TypeError, ValueError):
        return False
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not lengths.all():
        return False
    totals = np.add.reduceat(pairs[:, 1], np.cumsum(lengths) - lengths)
    is_whole = (pairs[:, 0] >= 0) & (pairs[:, 0] == np.floor(pairs[:, 0]))
    return bool((is_whole & (pairs[:, 1] >= 0)).all() and (np.abs(totals - 1.0) <= TOLERANCE).all())


def _shown(value: Any) -> str:
    """A value in a message, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
