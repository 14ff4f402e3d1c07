"""What a run says of itself: rows for `metrics.jsonl` and its mirror, lines and a status for a person.

In the flow: the trainer tells the `Reporter` what happens; nothing here decides anything.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from selfplay.actors.finished import Finished
from selfplay.algorithms.algorithm import Algorithm, Record
from selfplay.config.run import Config
from selfplay.experience.fault_report import FaultReport
from selfplay.experience.figures import SelfPlayCounts, add_counts
from selfplay.stats.averages import Averages
from selfplay.stats.intervals import ELO_FORM, interval_text, with_interval
from selfplay.storage.metrics import MetricsWriter, Row
from selfplay.storage.run_folder import RunFolder
from selfplay.training.budget import Progress
from selfplay.training.display import Display, Status
from selfplay.training.evaluator import CheckpointResult
from selfplay.training.exhibits import COLUMNS
from selfplay.training.tracking import MirroredRun, NullTracker, Tracker, open_tracker
from selfplay.training.wandb_run import WandbRun, remember, remembered
from selfplay.training.wandb_weights import newest


class Reporter:
    """Gathers figures from one report to the next, and shows them."""

    def __init__(
        self, config: Config, folder: RunFolder, display: Display, algorithm: Algorithm, progress: Progress
    ) -> None:
        """`open` comes before the first row, after the state of a resumed run is loaded."""
        self.averages = Averages()
        self.evaluation: CheckpointResult | None = None
        """The newest."""
        self.tracker: Tracker = NullTracker()
        self._config, self._folder, self._display = config, folder, display
        self._algorithm, self._progress = algorithm, progress
        self._faults = FaultReport(display.warning)
        self._counts = SelfPlayCounts()
        self._records: list[Record] = []  # of games since the last report
        self._noted: set[str] = set()
        self._metrics: MetricsWriter | None = None
        self._mirror_id: str | None = None
        self._last_row: Row = {}

    def open(self) -> None:
        """Open the record and the mirror."""
        self._metrics = MetricsWriter(self._folder.metrics)
        path = self._folder.path
        known = remembered(path)
        if known is None and self._mirror_id:  # of a run from before there was `wandb.json`
            known = WandbRun(self._mirror_id)
        config, metrics = dataclasses.asdict(self._config), self._metrics
        run = MirroredRun(path.name, path, config, known, record=self._folder.metrics, lines=metrics.lines)
        self.tracker = open_tracker(self._config.wandb, run, self._display.warning)
        # It stays while the mirror is off.
        self._mirror_id = self.tracker.run_id or (None if known is None else known.run_id)
        if self._mirror_id and remembered(path) is None:
            remember(path, WandbRun(self._mirror_id))

    def note(self, lines: Iterable[str]) -> None:
        """Say what limits were reached, each once."""
        for line in lines:
            if line not in self._noted:
                self._noted.add(line)
                self._display.warning(line)

    def take(self, finished: Finished, version: int) -> None:
        """Take in the figures of what was played; `version` is the newest that was published."""
        for record in finished.records:
            self._algorithm.describe_record(self.averages, record, version)
        if self._algorithm.keeps_games:
            self._records += finished.records
        self._faults.take(finished.counts)
        add_counts(self._counts, finished.counts)
        self.note([self._algorithm.limit_note] if finished.counts.cut_off else [])

    def take_evaluation(self, evaluation: CheckpointResult) -> None:
        """Take in the matches of a checkpoint."""
        self.evaluation = evaluation
        self.note(evaluation.notes)
        self.averages.add_mean(self.mirror_evaluation(evaluation))

    def mirror_evaluation(self, evaluation: CheckpointResult) -> dict[str, float]:
        """What the mirror gets of an evaluation beside the row; returns the values of the row."""
        values = evaluation_metrics(evaluation)
        self.tracker.summary(values)
        self.tracker.show(evaluation.version, COLUMNS, evaluation.exhibits.games, evaluation.exhibits.film)
        self.tracker.weights(evaluation.version, evaluation.goal)
        return values

    def report(self, values: Mapping[str, Any]) -> None:
        """One row of metrics: `values`, and what was gathered since the last."""
        played = self._algorithm.metrics(self._counts, self._records)
        self._counts, self._records = SelfPlayCounts(), []
        self.write({**played, **self.averages.report(), **values, "selfplay/unsound_games": self._faults.total})

    def write(self, values: Mapping[str, Any]) -> None:
        """A row for the record and for the mirror."""
        assert self._metrics is not None, "open comes first"
        progress = self._progress
        self._last_row = self._metrics.write(
            values, step=progress.steps, positions=progress.positions, time_s=progress.elapsed
        )
        self.tracker.log(self._last_row, self._metrics.lines - 1)

    def show(self, version: int) -> None:
        """The state of the run for the display; `version` is that of the weights that play."""
        row, progress = self._last_row, self._progress
        elapsed, fraction = progress.elapsed, progress.fraction
        self._display.update(
            Status(
                elapsed_s=elapsed,
                budget_fraction=fraction,
                step=progress.steps,
                games=progress.games,
                positions=progress.positions,
                version=version,
                seconds_left=elapsed / fraction - elapsed if fraction > 0 else None,
                simulations_per_second=row.get("selfplay/simulations_per_second"),
                games_per_minute=row.get("selfplay/games_per_minute"),
                policy_loss=row.get("train/policy_loss"),
                value_loss=row.get("train/value_loss"),
                evaluation=evaluation_line(self.evaluation) if self.evaluation else None,
            )
        )

    def say_faults(self) -> None:
        """A line for unsound play since the last such line."""
        self._faults.say()

    def close(self, exit_code: int = 0) -> None:
        """Close the record and the mirror, which shows the run as `exit_code` says (`Tracker.finish`)."""
        if self._metrics is not None:
            self._metrics.close()
        self.tracker.weights(newest(self._folder.path))
        self.tracker.finish(exit_code)

    def state_dict(self) -> dict[str, Any]:
        """By which name the mirror knows the run."""
        return {"wandb_id": self._mirror_id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, before `open`."""
        self._mirror_id = state.get("wandb_id")


def mean_text(mean: float, interval: tuple[float, float] | None) -> str:
    """A mean return for a person, with its interval in the same digits."""
    form = f".{_digits(mean)}f"
    return f"{mean:{form}}" if interval is None else with_interval(mean, *interval, form)


def return_text(value: float) -> str:
    """A return for a person: three significant digits, without zeros behind the first decimal."""
    whole, _, decimals = f"{value:.{_digits(value)}f}".partition(".")
    return f"{whole}.{decimals[0]}{decimals[1:].rstrip('0')}"


def _digits(value: float) -> int:
    """Decimals that show three significant digits, from 1 to 4."""
    return 1 if value == 0 or not math.isfinite(value) else min(4, max(1, 2 - math.floor(math.log10(abs(value)))))


def evaluation_line(evaluation: CheckpointResult) -> str:
    """Scores of a checkpoint as one line."""
    parts = [f"{name} {score:.0%}" for name, score in evaluation.scores.items()]
    if evaluation.elo is not None:
        rating, low, high = evaluation.elo
        parts.append(f"Elo {rating:{ELO_FORM}} ({interval_text(low, high, ELO_FORM)}), {evaluation.anchor} = 0")
    if evaluation.mean_return is not None:
        text = mean_text(evaluation.mean_return, evaluation.return_interval)
        parts.append(f"return {text}, episodes: {evaluation.num_episodes}")
    if evaluation.beats_champion is not None:
        parts.append("beats the champion" if evaluation.beats_champion else "does not beat the champion")
    return f"step {evaluation.version}: {', '.join(parts)}"


def evaluation_metrics(evaluation: CheckpointResult) -> dict[str, float]:
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
    if evaluation.goal is not None:
        values["eval/goal"] = evaluation.goal
    return {**values, "time/evaluation": evaluation.seconds}
