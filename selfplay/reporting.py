"""From counts to the figures of `metrics.jsonl` and of the display."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from games import Game
from selfplay.evaluator import Evaluation
from selfplay.metrics import Averages, calibration
from selfplay.records import GameRecord
from selfplay.self_play import SelfPlayCounts


def add_counts(total: SelfPlayCounts, counts: SelfPlayCounts) -> None:
    """Add an actor's counts to the total, in place."""
    for field in dataclasses.fields(counts):
        setattr(total, field.name, getattr(total, field.name) + getattr(counts, field.name))


def describe_game(averages: Averages, record: GameRecord, version: int) -> None:
    """Staleness and root value of the positions of a finished game."""
    values = {
        "selfplay/weight_staleness": float((version - record.version).mean()),
        "selfplay/root_value": float(record.root_value[:, 0].mean()),
    }
    averages.add_mean(values, len(record))


def calibration_error(records: Sequence[GameRecord], game: Game) -> dict[str, float]:
    """Calibration of all positions of some games together; nothing without games, or where values leave [-1, 1].

    Together, because a single game has one result: no prediction but a certain one would seem calibrated in it.
    """
    if not records or game.has_rewards:
        return {}
    predicted = np.concatenate([record.root_value[:, 0] for record in records])
    outcome = np.concatenate([record.outcome[:, 0] for record in records])
    return {"train/value_calibration_error": calibration(predicted, outcome).error}


def selfplay_metrics(counts: SelfPlayCounts, num_actors: int, game: Game) -> dict[str, float]:
    """Rates and shares of self-play since the last report; empty if nothing was played."""
    if counts.seconds <= 0:
        return {}
    wall = counts.seconds / max(1, num_actors)
    values = {
        "selfplay/simulations_per_second": counts.simulations / wall,
        "selfplay/positions_per_second": counts.positions / wall,
        "selfplay/games_per_minute": 60 * counts.games / wall,
        "selfplay/network_share": counts.network_seconds / counts.seconds,
    }
    if counts.evaluations:
        values["selfplay/cache_hit_rate"] = 1 - counts.predictions / counts.evaluations
        values["selfplay/batch_fill"] = counts.predictions / max(1, counts.batch_capacity)
    if counts.games:
        values["selfplay/game_length"] = counts.game_plies / counts.games
        if counts.decided:
            values["selfplay/decided"] = counts.decided / counts.games
            values["selfplay/decided_wrongly"] = counts.decided_wrongly / counts.decided
        values["selfplay/return"] = game.utility_scale * counts.return_first / counts.games
        if game.num_players == 2:
            values["selfplay/first_player_win"] = counts.first_player_wins / counts.games
            values["selfplay/draw"] = counts.draws / counts.games
            values["selfplay/second_player_win"] = 1 - (counts.first_player_wins + counts.draws) / counts.games
    return values


def mean_text(mean: float, interval: tuple[float, float] | None) -> str:
    """A mean return for a person, with its interval in the same digits."""
    digits = _digits(mean)
    if interval is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} (95 %: {interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def return_text(value: float) -> str:
    """A return for a person: three significant digits, without zeros behind the first decimal."""
    whole, _, decimals = f"{value:.{_digits(value)}f}".partition(".")
    return f"{whole}.{decimals[0]}{decimals[1:].rstrip('0')}"


def _digits(value: float) -> int:
    """Decimals that show three significant digits, from 1 to 4."""
    return 1 if value == 0 or not math.isfinite(value) else min(4, max(1, 2 - math.floor(math.log10(abs(value)))))


def evaluation_line(evaluation: Evaluation) -> str:
    """Scores of a checkpoint as one line."""
    parts = [f"{name} {score:.0%}" for name, score in evaluation.scores.items()]
    if evaluation.elo is not None:
        rating, low, high = evaluation.elo
        parts.append(f"Elo {rating:+z.0f} ({low:+z.0f} to {high:+z.0f}), {evaluation.anchor} = 0")
    if evaluation.mean_return is not None:
        parts.append(f"return {mean_text(evaluation.mean_return, evaluation.return_interval)}")
    if evaluation.beats_champion is not None:
        parts.append("beats the champion" if evaluation.beats_champion else "does not beat the champion")
    return f"step {evaluation.version}: {', '.join(parts)}"


def evaluation_metrics(evaluation: Evaluation) -> dict[str, float]:
    """A checkpoint's matches as metrics."""
    values = {f"eval/score/{name}": score for name, score in evaluation.scores.items()}
    if evaluation.elo is not None:
        values |= dict(zip(("eval/elo", "eval/elo_low", "eval/elo_high"), evaluation.elo))
    if evaluation.mean_return is not None:
        values["eval/return"] = evaluation.mean_return
    if evaluation.return_interval is not None:
        values |= dict(zip(("eval/return_low", "eval/return_high"), evaluation.return_interval))
    if evaluation.beats_champion is not None:
        values["eval/beats_champion"] = float(evaluation.beats_champion)
    return {**values, "time/evaluation": evaluation.seconds}
