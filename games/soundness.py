"""Checks of outputs of games and environments that others wrote, each with a message for a person.

Numbers from outside are checked where they come in, so that no code behind has to: `games.environments.checked` checks
Gymnasium's environments with these functions, `games.python_pool` games in plain Python. An episode or game that is
played for learning is cut off before an unsound output; elsewhere `UnsoundError` ends the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from games.base import CHANCE, TERMINAL, GameError

MOST_IN_A_ROW = 100
"""Number of episodes or games in a row, each cut off for an unsound output, that ends a run."""

LARGEST = float(np.finfo(np.float32).max)
"""Largest absolute value of a number from outside: networks and replays keep float32."""

TOLERANCE = 1e-5
"""Largest difference from 1 of the sum of the probabilities of a chance node."""

SHOWN = 60
"""Largest number of characters of a value that a message shows."""


class UnsoundError(GameError):
    """A game or an environment gave an unsound output where it cannot be cut off."""


class Faults:
    """Unsound outputs of the copies of a batch since the last call of `take`; the copies share this object."""

    def __init__(self) -> None:
        self._copies = 0
        self.rows: list[int] = []
        """Numbers of the copies whose present episode was cut off."""
        self.texts: list[str] = []
        """One line for each cut or start that failed."""

    def new_row(self) -> int:
        """The number of a copy, counted from 0."""
        self._copies += 1
        return self._copies - 1

    def take(self) -> tuple[list[int], tuple[str, ...]]:
        """Return rows and texts, and empty both."""
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
    """The fault of `value` as an array of a shape whose numbers fit `dtype`; empty where there is none."""
    try:
        array = np.asarray(value)
    except ValueError:
        return f"{name} is {_shown(value)}, not an array"
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        return f"{name} has masked numbers, which are none"
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
    """The fault of `value` as one number; empty where there is none."""
    try:
        number = float(value) if np.ndim(value) == 0 and not isinstance(value, str | bytes) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        return f"{name} is {_shown(value)}, not one number"
    return "" if abs(number) <= LARGEST else f"{name} is {number:g}"


def mover_fault(value: Any, num_players: int, has_chance: bool) -> str:
    """The fault of `value` as who is to move; empty where there is none."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if 0 <= value < num_players or value == TERMINAL or (value == CHANCE and has_chance):
            return ""
        if value == CHANCE:
            return "to_play() is CHANCE in a game whose max_chance_outcomes is 0"
    return f"to_play() is {_shown(value)}, neither a player 0 to {num_players - 1} nor CHANCE nor TERMINAL"


def legal_fault(actions: Any, num_actions: int) -> str:
    """The fault of `actions` as the legal ones of a position; empty where there is none."""
    if not hasattr(actions, "__len__"):
        return f"legal_actions() is {_shown(actions)}, not a list"
    given = list(actions)
    if not given:
        return "legal_actions() is empty, though a player is to move"
    for action in given:
        if not isinstance(action, int | np.integer) or isinstance(action, bool):
            return f"legal_actions() has {_shown(action)}, which is no whole number"
        if not 0 <= action < num_actions:
            return f"legal_actions() has {action}; actions are 0 to {num_actions - 1}"
    if len(set(given)) < len(given):
        twice = next(action for action in given if given.count(action) > 1)
        return f"legal_actions() has {twice} twice"
    return ""


def chance_fault(outcomes: Any) -> str:
    """The fault of `outcomes` as the (outcome, probability) pairs of a chance node; empty where there is none."""
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
    """Whether all lists are legal actions, in ascending order; not empty where a player moves, `moves` [n]."""
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
