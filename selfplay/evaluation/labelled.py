"""Positions that an exact solver has labelled: the files that `selfplay evaluate` reads and `selfplay label` writes.

A positions file has one JSON object a line:

    {"game": "connect_four", "moves": [3, 3, 2], "values": {"0": -1, "1": -1, "2": 0, ...}}

`moves` lead from the start to the position (chance outcomes included), `values` give every legal move its value for the
side to move. A move keeps the value if no other move has a greater one. `scores`, which may be left out, tell more than
who wins, for instance how soon; a move is perfect if no other has a greater score. `selfplay label` makes such files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

import games
from games import Game, GameError, StatePool, check_action
from selfplay.errors import UserError, shown
from selfplay.shipped import POSITIONS
from selfplay.storage.files import read_named_lines

FIELDS = ("game", "moves", "values")
SCORES = "scores"


@dataclass(frozen=True)
class LabelledPositions:
    """n positions of one game; position i is in slot i of the pool."""

    game: Game
    pool: StatePool
    moves: tuple[tuple[int, ...], ...]
    best_actions: tuple[frozenset[int], ...]
    """The moves that keep the value."""
    values: Float[np.ndarray, " n"]
    """Values of the positions for the side to move."""
    perfect_actions: tuple[frozenset[int], ...] | None
    """The moves with the greatest score; None unless all positions have scores."""


def read_positions(path: Path) -> LabelledPositions:
    """Read and check a positions file, or the shipped one of that name. Raises UserError that names file and line."""
    numbered = enumerate(read_named_lines(POSITIONS.find(path)), start=1)
    lines = [(number, line) for number, line in numbered if line.strip()]
    if not lines:
        raise UserError(f"{path}: no positions; one JSON object a line is expected")
    game: Game | None = None
    moves: list[tuple[int, ...]] = []
    best_actions: list[frozenset[int]] = []
    perfect_actions: list[frozenset[int]] = []
    values: list[float] = []
    for number, line in lines:
        try:
            label = _parse(line)
            if game is None:
                game = games.load(label["game"], may_import=False)
                pool = game.new_pool(len(lines))
            elif label["game"] != game.name and games.load(label["game"], may_import=False).rules != game.rules:
                raise ValueError(f"the game is {label['game']}, that of the lines before is {game.name}")
            set_up(pool, len(moves), label["moves"])
            best_actions.append(_best_actions(pool, len(moves), label, "values"))
            if SCORES in label:
                perfect_actions.append(_best_actions(pool, len(moves), label, SCORES))
            values.append(max(label["values"].values()))
            moves.append(tuple(label["moves"]))
        except ValueError as error:  # GameError is one too
            raise UserError(f"{path}, line {number}: {error}") from None
    assert game is not None
    perfect = tuple(perfect_actions) if len(perfect_actions) == len(moves) else None
    return LabelledPositions(game, pool, tuple(moves), tuple(best_actions), np.array(values, np.float64), perfect)


def _parse(line: str) -> dict[str, Any]:
    """The object of a line with the right fields and types. Raises ValueError."""
    try:
        label = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise ValueError(f"not a JSON object: {reason}") from None
    if not isinstance(label, dict) or set(label) - {SCORES} != set(FIELDS):
        raise ValueError(f"expected an object with {', '.join(FIELDS)}, got {shown(label)}")
    if not isinstance(label["game"], str):
        raise ValueError(f"game: expected text, got {shown(label['game'])}")
    if not isinstance(label["moves"], list) or not all(type(move) is int for move in label["moves"]):
        raise ValueError(f"moves: expected a list of action ids, got {shown(label['moves'])}")
    for name in label.keys() & {"values", SCORES}:
        if not isinstance(label[name], dict):
            raise ValueError(f"{name}: expected an object from action id to value, got {shown(label[name])}")
        for action, value in label[name].items():
            if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:  # no NaN either
                raise ValueError(f"{name}: {action}: expected a number, got {shown(value)}")
    return label


def set_up(pool: StatePool, slot: int, moves: Sequence[int]) -> None:
    """Bring `slot` to the position after the moves from the start. Raises GameError at an illegal one."""
    place = np.array([slot], np.int64)
    pool.reset(place)
    for ply, move in enumerate(moves, start=1):
        try:
            check_action(pool, slot, move)
        except GameError as error:
            raise GameError(f"moves: number {ply}: {error}") from None
        pool.step(place, np.array([move], np.int64), place)


def _best_actions(pool: StatePool, slot: int, label: dict[str, Any], name: str) -> frozenset[int]:
    """The actions with the greatest value or score. Raises ValueError unless exactly the legal ones have one."""
    values = label[name]
    place = np.array([slot], np.int64)
    if pool.to_play(place)[0] < 0:
        raise ValueError("moves: no player is to move in this position")
    legal = [str(action) for action in pool.legal(place)[1].tolist()]
    if set(values) != set(legal):
        wrong = sorted(set(values) - set(legal)) or sorted(set(legal) - set(values))
        what = "is not a legal move" if set(values) - set(legal) else "is missing"
        raise ValueError(f"{name}: {shown(wrong[0])} {what}; legal here: {' '.join(legal[:40])}")
    best = max(values.values())
    return frozenset(int(action) for action, value in values.items() if value == best)
