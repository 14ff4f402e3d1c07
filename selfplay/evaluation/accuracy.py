"""How well a player does in positions with exact labels: moves that keep the value, perfect moves, foreseen values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.evaluation.labelled import LabelledPositions
from selfplay.players.player import Evaluates, Player
from selfplay.stats.averages import calibration
from selfplay.stats.intervals import wilson_interval

BATCH = 1024
"""Number of positions in one call of the player."""

PHASES = ("opening", "middle", "end")
"""Thirds of the longest game of the rules."""


@dataclass(frozen=True)
class Share:
    """A share of positions with its 95 % interval (Wilson)."""

    share: float
    low: float
    high: float
    count: int
    positions: int


@dataclass(frozen=True)
class ValueQuality:
    """How well a player's values foresee those of the labels, both in [-1, 1]."""

    mean_error: float
    """Mean absolute difference."""
    sign_right: float
    """Share of positions in which the nearest of loss, draw and win is the true one."""
    calibration_error: float
    """Expected calibration error in ten bins of the value (`selfplay.stats.averages.calibration`)."""


@dataclass(frozen=True)
class Accuracy:
    """The result of a player on labelled positions."""

    player: str
    game: str
    accuracy: float
    """Share of positions where its move keeps the value."""
    low: float
    high: float
    """95 % interval (Wilson)."""
    kept: int
    positions: int
    phases: dict[str, Share]
    """The accuracy in each phase of the game that occurs."""
    perfect: Share | None
    """Share of positions where its move has the greatest score; None for labels without scores."""
    values: ValueQuality | None
    """The quality of its values of positions; None for a player without them."""


def measure_accuracy(
    player: Player, positions: LabelledPositions, on_progress: Callable[[int, int], None] | None = None
) -> Accuracy:
    """Ask the player for a move in every position, and for a value where it has one."""
    actions, values = _ask(player, positions, on_progress)
    kept = _among(actions, positions.best_actions)
    thirds = [3 * len(moves) // (positions.game.max_game_length + 1) for moves in positions.moves]
    phase = np.minimum(thirds, len(PHASES) - 1)
    whole, perfect = _share(kept), positions.perfect_actions
    return Accuracy(
        player=player.name,
        game=positions.game.name,
        accuracy=whole.share,
        low=whole.low,
        high=whole.high,
        kept=whole.count,
        positions=whole.positions,
        phases={name: _share(kept[phase == i]) for i, name in enumerate(PHASES) if (phase == i).any()},
        perfect=_share(_among(actions, perfect)) if perfect else None,
        values=_value_quality(values, positions.values) if values is not None else None,
    )


def values_kept(player: Player, positions: LabelledPositions) -> np.ndarray:
    """In which of the n positions the player's move keeps the value, bool [n]."""
    return _among(_ask(player, positions)[0], positions.best_actions)


def _ask(
    player: Player, positions: LabelledPositions, on_progress: Callable[[int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Moves int64 [n] and, from players that have them, values for the side to move float64 [n]."""
    total = len(positions.moves)
    actions, values = np.empty(total, np.int64), np.empty(total)
    has_values = isinstance(player, Evaluates)
    for start in range(0, total, BATCH):
        slots = np.arange(start, min(start + BATCH, total))
        histories = [positions.moves[i] for i in slots]
        if isinstance(player, Evaluates):
            actions[slots], values[slots] = player.decide(positions.pool, slots, histories)
        else:
            actions[slots] = player.choose(positions.pool, slots, histories)
        if on_progress:
            on_progress(int(slots[-1]) + 1, total)
    return actions, values if has_values else None


def _among(actions: np.ndarray, allowed: Sequence[frozenset[int]]) -> np.ndarray:
    return np.array([action in row for action, row in zip(actions.tolist(), allowed, strict=True)], np.bool_)


def _share(right: np.ndarray) -> Share:
    count, total = int(right.sum()), len(right)
    return Share(count / total, *wilson_interval(count, total), count, total)


def _value_quality(predicted: np.ndarray, true: np.ndarray) -> ValueQuality:
    nearest = np.clip(np.rint(predicted), -1, 1)
    return ValueQuality(
        mean_error=float(np.abs(predicted - true).mean()),
        sign_right=float((nearest == np.sign(true)).mean()),
        calibration_error=calibration(np.clip(predicted, -1, 1), true).error,
    )
