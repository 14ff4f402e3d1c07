"""What self-play counts, and the figures that are made of it for `metrics.jsonl` and the display."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from games import Game
from selfplay.experience.records import GameRecord
from selfplay.experience.targets import TargetSettings, outcomes, seen_by_movers
from selfplay.stats.averages import Averages, calibration


@dataclass
class SelfPlayCounts:
    """What happened since the counts were last taken; sums, so that they can be added over actors."""

    simulations: int = 0
    positions: int = 0
    games: int = 0
    game_plies: int = 0
    first_player_wins: int = 0
    draws: int = 0
    decided: int = 0
    decided_wrongly: int = 0
    cut_off: int = 0  # games or episodes that a limit has ended that nobody has set
    return_first: float = 0.0
    policy_kl: float = 0.0
    target_entropy: float = 0.0
    evaluations: int = 0
    predictions: int = 0
    network_calls: int = 0
    network_seconds: float = 0.0
    cache_seconds: float = 0.0
    batch_capacity: int = 0
    staleness: float = 0.0
    seconds: float = 0.0
    unsound: int = 0  # games dropped and episodes cut off because of what they said (`games.soundness`)
    faults: tuple[str, ...] = ()  # what the last of them said
    warnings: tuple[str, ...] = ()  # what a person should know once

    def take_faults(self, faults: tuple[str, ...], warnings: tuple[str, ...] = ()) -> None:
        """Count a line for each game or episode, and keep the last."""
        if faults:
            self.unsound += len(faults)
            self.faults = faults[-1:]
        self.warnings += warnings


def add_counts(total: SelfPlayCounts, counts: SelfPlayCounts) -> None:
    """Add an actor's counts to the total, in place."""
    for field in dataclasses.fields(counts):
        setattr(total, field.name, getattr(total, field.name) + getattr(counts, field.name))


def describe_game(averages: Averages, record: GameRecord, version: int) -> None:
    """Staleness and root value of the positions of a finished game."""
    values = {
        "selfplay/weight_staleness": float((version - record.version).mean()),
        "selfplay/root_value": float(seen_by_movers(record, record.root_value).mean()),
    }
    averages.add_mean(values, len(record))


def calibration_error(records: Sequence[GameRecord], game: Game, settings: TargetSettings) -> dict[str, float]:
    """Calibration of all positions of some games together; nothing without games, or where values leave [-1, 1].

    Together, because a single game has one result: no prediction but a certain one would seem calibrated in it.
    """
    if not records or game.has_rewards:
        return {}
    predicted = np.concatenate([seen_by_movers(record, record.root_value)[:, 0] for record in records])
    outcome = np.concatenate([outcomes(record, settings)[:, 0] for record in records])
    return {"train/value_calibration_error": calibration(predicted, outcome).error}


THIRDS = ("first", "second", "last")


def endings_metrics(records: Sequence[GameRecord], game: Game) -> dict[str, float]:
    """How games ended and when players passed, in games that have a pass or a score; nothing without records.

    Passes early in games, and scores that lie far apart, show a run that goes wrong before matches do.
    """
    values: dict[str, float] = {}
    if not records:
        return values
    if game.pass_action is not None:
        passed = [record.action == game.pass_action for record in records]
        for third, name in enumerate(THIRDS):
            parts = [np.array_split(passes, 3)[third] for passes in passed]
            values[f"selfplay/passes_{name}_third"] = (
                float(np.concatenate(parts).mean()) if any(map(len, parts)) else 0.0
            )
        values["selfplay/ended_by_passes"] = float(
            np.mean([len(passes) > 1 and passes[-2:].all() for passes in passed])
        )
    if game.pass_action is not None and game.max_chance_outcomes == 0:  # else an opening is not made of moves alone
        lengths = np.array([len(record) + len(record.opening) for record in records])
        values["selfplay/ended_by_length"] = float((lengths >= game.max_game_length).mean())
    scores = np.array([record.final_score[0] for record in records if len(record.final_score)])
    if len(scores):
        values["selfplay/score"], values["selfplay/score_deviation"] = float(scores.mean()), float(scores.std())
    return values


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
