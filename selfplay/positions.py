"""The accuracy of a player: how often its move keeps the value of a position that an exact solver has labelled.

A positions file has one JSON object a line:

    {"game": "connect_four", "moves": [3, 3, 2], "values": {"0": -1, "1": -1, "2": 0, ...}}

`moves` lead from the start to the position (chance outcomes included), `values` give every legal move its value for the
side to move. A move keeps the value if no other move has a greater one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import games
from games import Game, GameError, StatePool, check_action
from selfplay.errors import UserError
from selfplay.player import Player
from selfplay.schema import shown
from selfplay.statistics import wilson_interval

BATCH = 1024
"""Positions a player is asked for in one call."""

FIELDS = ("game", "moves", "values")


@dataclass(frozen=True)
class LabelledPositions:
    """n positions of one game; position i is in slot i of the pool."""

    game: Game
    pool: StatePool
    moves: tuple[tuple[int, ...], ...]
    best_actions: tuple[frozenset[int], ...]
    """The moves that keep the value."""


@dataclass(frozen=True)
class Accuracy:
    """How many of the positions a player got right."""

    player: str
    game: str
    accuracy: float
    low: float
    high: float
    """95 % interval (Wilson)."""
    positions: int
    kept: int
    """Positions where the value was kept."""


def measure_accuracy(
    player: Player, positions: LabelledPositions, on_progress: Callable[[int, int], None] | None = None
) -> Accuracy:
    """Ask the player for a move in every position."""
    is_kept = values_kept(player, positions, on_progress)
    kept, total = int(is_kept.sum()), len(is_kept)
    low, high = wilson_interval(kept, total)
    return Accuracy(player.name, positions.game.name, kept / total, low, high, total, kept)


def values_kept(
    player: Player, positions: LabelledPositions, on_progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """In which of the n positions the player's move keeps the value, bool [n]."""
    total = len(positions.moves)
    is_kept = np.zeros(total, np.bool_)
    for start in range(0, total, BATCH):
        slots = np.arange(start, min(start + BATCH, total))
        actions = player.choose(positions.pool, slots, [positions.moves[i] for i in slots])
        is_kept[slots] = [int(action) in positions.best_actions[i] for i, action in zip(slots, actions, strict=True)]
        if on_progress:
            on_progress(int(slots[-1]) + 1, total)
    return is_kept


def read_positions(path: Path) -> LabelledPositions:
    """Read and check a positions file. Raises UserError that names file and line."""
    lines = [(number, line) for number, line in _lines(path) if line.strip()]
    if not lines:
        raise UserError(f"{path}: no positions; one JSON object a line is expected")
    game: Game | None = None
    moves: list[tuple[int, ...]] = []
    best_actions: list[frozenset[int]] = []
    for number, line in lines:
        try:
            label = _parse(line)
            if game is None:
                game = games.load(label["game"])
                pool = game.new_pool(len(lines))
            elif label["game"] != game.name and games.load(label["game"]).rules != game.rules:
                raise ValueError(f"the game is {label['game']}, that of the lines before is {game.name}")
            _set_up(pool, len(moves), label["moves"])
            best_actions.append(_best_actions(pool, len(moves), label["values"]))
            moves.append(tuple(label["moves"]))
        except ValueError as error:  # GameError is one too
            raise UserError(f"{path}, line {number}: {error}") from None
    assert game is not None
    return LabelledPositions(game, pool, tuple(moves), tuple(best_actions))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None


def _parse(line: str) -> dict[str, Any]:
    """The object of a line with the right fields and types. Raises ValueError."""
    try:
        label = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise ValueError(f"not a JSON object: {reason}") from None
    if not isinstance(label, dict) or set(label) != set(FIELDS):
        raise ValueError(f"expected an object with {', '.join(FIELDS)}, got {shown(label)}")
    if not isinstance(label["game"], str):
        raise ValueError(f"game: expected text, got {shown(label['game'])}")
    if not isinstance(label["moves"], list) or not all(type(move) is int for move in label["moves"]):
        raise ValueError(f"moves: expected a list of action ids, got {shown(label['moves'])}")
    if not isinstance(label["values"], dict):
        raise ValueError(f"values: expected an object from action id to value, got {shown(label['values'])}")
    for action, value in label["values"].items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"values: {action}: expected a number, got {shown(value)}")
    return label


def _set_up(pool: StatePool, slot: int, moves: list[int]) -> None:
    """Play the moves in `slot`. Raises GameError at an illegal one."""
    place = np.array([slot], np.int64)
    pool.reset(place)
    for ply, move in enumerate(moves, start=1):
        try:
            check_action(pool, slot, move)
        except GameError as error:
            raise GameError(f"moves: number {ply}: {error}") from None
        pool.step(place, np.array([move], np.int64), place)


def _best_actions(pool: StatePool, slot: int, values: dict[str, float]) -> frozenset[int]:
    """The actions with the greatest value. Raises ValueError unless exactly the legal ones have values."""
    place = np.array([slot], np.int64)
    if pool.to_play(place)[0] < 0:
        raise ValueError("moves: no player is to move in this position")
    legal = [str(action) for action in pool.legal(place)[1].tolist()]
    if set(values) != set(legal):
        wrong = sorted(set(values) - set(legal)) or sorted(set(legal) - set(values))
        what = "is not a legal move" if set(values) - set(legal) else "has no value"
        raise ValueError(f"values: {shown(wrong[0])} {what}; legal here: {' '.join(legal[:40])}")
    best = max(values.values())
    return frozenset(int(action) for action, value in values.items() if value == best)
