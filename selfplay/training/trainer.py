"""One run: games in, weights out, everything written down. The loop of the picture in docs/architecture.md.

source -> finished games -> memory -> batch -> learner -> weights -> source
                |                                 |
              shards                    checkpoints, evaluation, metrics

Which games, which memory and what is learned is up to the algorithm (`selfplay.algorithms.algorithm`).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import numpy as np
import torch

from selfplay.actors.sources import FleetSource, InlineSource, Source
from selfplay.algorithms.algorithm import Record
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.fault_report import FaultReport
from selfplay.experience.figures import SelfPlayCounts, add_counts
from selfplay.experience.records import GameRecord
from selfplay.replay import saved as saved_replay
from selfplay.replay.positions import Replay
from selfplay.replay.saved import SavedReplay
from selfplay.stats.averages import Averages
from selfplay.storage import checkpoint, shards
from selfplay.storage.files import StorageError
from selfplay.storage.metrics import MetricsWriter, Row
from selfplay.storage.run_folder import RunFolder
from selfplay.system.deadline import TimeIsUp, deadline
from selfplay.system.failures import told
from selfplay.system.machine import MEMORY_SECONDS, give_back_memory
from selfplay.system.preflight import require_disk, size
from selfplay.system.timer import Timer
from selfplay.training.budget import budget_fraction, played_fraction
from selfplay.training.display import Display, Status
from selfplay.training.evaluator import Evaluation, Evaluator, evaluates
from selfplay.training.reporting import evaluation_line, evaluation_metrics
from selfplay.training.run_state import Counters, restore, save_bad_batch, save_checkpoint, save_games
from selfplay.training.tracking import open_tracker

REPORT_SECONDS = 10.0
"""Between two rows of metrics.jsonl."""

SHARD_SECONDS = 30.0
"""Between two shards of finished games; what a kill can lose of them."""


FAILED_PLAY = "failed_play.txt"
"""File in the run's folder with the traceback of a game or an environment that failed in a round of the driver."""

FINISH_SECONDS = 8.0
"""Seconds that the learner gets for what it owes when actor processes have played all that the budget allows."""


class Trainer:
    """One run, from its start or its last checkpoint to its budget."""

    def __init__(self, config: Config, folder: RunFolder, display: Display) -> None:
        """Builds everything and loads the last checkpoint if there is one. The folder must be locked."""
        self._started = time.monotonic()
        self.config, self.folder, self.display = config, folder, display
        self.inline = config.actors.num_actors == 0
        self.algorithm = load_algorithm(config)
        torch.set_num_threads(config.learner.threads)
        self.learner = Learner(self.algorithm.make_net(), config.learner, self.algorithm.make_loss())
        self.replay = self.algorithm.make_memory()
        self._saved_replay = self.replay if isinstance(self.replay, SavedReplay) and config.checkpoint.replay else None
        replay_bytes = self._saved_replay.most_bytes if self._saved_replay is not None else 0
        require_disk(folder.path, 2 * self.learner.checkpoint_bytes, replay_bytes)
        saved_games = self.replay if isinstance(self.replay, Replay) else None
        restored = restore(
            folder,
            self.learner,
            saved_games,
            self.inline,
            display.warning,
            self.algorithm.restore_state,
            self.algorithm.state(),
        )
        self._bad_shards = shards.damaged(folder.games)  # no more are found before the next start
        self.rng, self.counters = restored or (np.random.default_rng([config.seed, 0]), Counters())
        step = self._read_replay() if restored else None
        goes_on = saved_games is not None or step == self.learner.steps  # it is what the checkpoint's counters say
        reuse = [config.replay.sample_reuse, config.replay.least_reuse]
        if not goes_on or self.counters.reuse not in (None, reuse):  # another memory, or other numbers
            self.counters.reuse_kept, self.counters.reuse_samples = self.replay.total, self.counters.samples
        self.counters.reuse = reuse
        if restored:
            display.message(f"resumed at step {self.learner.steps} with {len(self.replay):,} positions in the replay")
        if self._saved_replay is not None:
            display.message(
                f"the replay, {size(replay_bytes)} at most, is written to {folder.replay} when the run stops"
            )
        self.version = self.learner.steps  # of the weights that the actors play with
        self.stop_requested: str | None = None
        self.is_breakable = False
        self.evaluation: Evaluation | None = None
        self.evaluator = Evaluator(config, folder.path)
        self._evaluated: int | None = None  # version that was last given to it
        self.averages, self._counts = Averages(), SelfPlayCounts()
        self._stale = 0  # positions left out for their age
        self._played_all: float | None = None  # when all was played that the budget allows
        self._noted: set[str] = set()
        self._faults = FaultReport(display.warning)
        self._unsaved: list[Record] = []
        self._unreported: list[Record] = []
        self._source: Source | None = None
        self._last_row: Row = {}
        self.metrics = MetricsWriter(folder.metrics)
        self.tracker = open_tracker(
            config.wandb.mode, config.wandb.project, config.wandb.entity, folder.path.name, folder.path,
            dataclasses.asdict(config), self.counters.wandb_id, warn=display.warning,
        )  # fmt: skip
        self.counters.wandb_id = self.tracker.run_id or self.counters.wandb_id  # stays while the mirror is off

    # The loop.

    def run(self) -> None:
        """Train until the budget is spent or somebody asks to stop; ends with a checkpoint."""
        self.save()
        for note in self.algorithm.notes:
            self.display.message(note)
        self.display.phase(self.algorithm.warm_up_note)
        with suppress(TimeIsUp), self.breakable(), told("playing", self.folder.path / FAILED_PLAY):
            with deadline(self.seconds_left()):  # both play games, whose moves may take minutes
                self.algorithm.warm_up()
                self.display.phase("starting actors")
                self._source = self._make_source()
        if self.stop_requested or self._source is None:
            return
        try:
            self._publish_first()
            self._loop(self._source)
        except KeyboardInterrupt:
            self._source.kill()
            raise
        finally:
            self._source.stop()
            self.evaluator.stop()
            self._faults.say()
        self.save()
        if self.counters.champion is None:
            self.version = self.learner.steps
        self._report(self._source)
        self._write_replay()
        for name in ("positions", "games"):
            budget, played = getattr(self.config.budget, name), getattr(self.counters, name)
            if budget and played > budget and self._played_all is not None:
                more = f"played {played - budget:,} {name} more than budget.{name} ({budget:,})"
                self.display.message(f"{more}: one step of all games or environments is not divided")

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """What is done in here is given up at the first request to stop: nothing is unsaved."""
        self.is_breakable = True
        try:
            yield
        except KeyboardInterrupt:
            if not self.stop_requested:
                raise
        finally:
            self.is_breakable = False

    def _make_source(self) -> Source:
        config = self.config
        if self.inline:
            return InlineSource(
                self.algorithm,
                config.seed,
                self.counters.rounds,
                lambda: self.counters.positions,
                lambda: self.stop_requested is not None,
                self,
                self.folder.path / FAILED_PLAY,
            )
        # So that a resumed run plays other games, even from the same step.
        seed = np.random.SeedSequence([config.seed, self.learner.steps, self.counters.positions])
        return FleetSource(
            config, self.folder, seed, lambda: self.counters.positions, self.display.message, self.display.warning
        )

    def _loop(self, source: Source) -> None:
        report = Timer(REPORT_SECONDS)
        shard = Timer(SHARD_SECONDS)
        save = Timer(60 * self.config.checkpoint.every_minutes)
        evaluate = Timer(60 * self.config.evaluation.every_minutes if evaluates(self.config) else 0)
        memory = Timer(MEMORY_SECONDS)
        steps_due, saved_step = self.config.checkpoint.every_steps, self.learner.steps
        while not self.stop_requested and not self._is_over():
            self._play(source)
            if self.may_learn:
                self._learn()
            if shard.due() and not self.inline:
                self._save_games()
            by_steps = steps_due > 0 and self.learner.steps - saved_step >= steps_due
            if save.due() or by_steps:
                self.save()
                saved_step = self.learner.steps
            if not self.evaluator.busy and evaluate.due():
                self.save()
                self._request_evaluation()
            self._take_evaluation(self.evaluator.result())
            if memory.due():
                give_back_memory()
            if report.due():
                self._report(source)
            self._show()

    def _play(self, source: Source) -> None:
        """Take in finished games; wait for them only while there is nothing to learn."""
        may_learn = self.may_learn or self._played_all is not None
        if not may_learn:
            self.display.phase("playing")
        if self.inline and not may_learn:
            self._publish()  # a round plays with the newest weights, no matter when the run was saved or stopped
        if not may_learn:  # what the last step of the learner has made room for is what it waits for
            source.allow(self._ahead(), self._left())
        started = time.monotonic()
        for records, counts in source.play(may_learn):
            self.counters.positions += counts.positions
            self.counters.unfinished += counts.positions - sum(map(len, records))
            for record in records:
                self.counters.games += record.games
                self.algorithm.describe_record(self.averages, record, self.version)
                if self.config.replay.max_policy_lag:
                    self._stale += record.leave_out_older(self.version - self.config.replay.max_policy_lag)
                self.replay.add(record)
            if self.algorithm.keeps_games:
                self._unsaved += records
                self._unreported += records
            self._faults.take(counts)
            add_counts(self._counts, counts)
            self.note([self.algorithm.limit_note] if counts.cut_off else [])
            if isinstance(source, InlineSource):
                self.counters.rounds = source.rounds
        if not may_learn:
            self.averages.add_sum("time/waiting", time.monotonic() - started)
        played = played_fraction(self.config.budget, self.counters.games, self.counters.positions)
        if played >= 1.0 and self._played_all is None:
            self._played_all = time.monotonic()
        source.allow(self._ahead(), self._left())

    def note(self, lines: Iterable[str]) -> None:
        """Say what limits were reached, each once."""
        for line in lines:
            if line not in self._noted:
                self._noted.add(line)
                self.display.warning(line)

    def _learn(self) -> None:
        """One step, and new weights for the actors every so many."""
        self.display.phase("learning" if self.inline else "playing and learning")
        started = time.monotonic()
        batch = self.replay.sample(self.config.learner.batch_size, self.rng)
        terms = self.learner.step(batch, self.progress)
        if not terms and self.learner.bad_steps == 1:
            saved = save_bad_batch(self.folder, batch)
            self.display.warning(f"the loss of step {self.learner.steps} is not finite, it is left out; see {saved}")
        self.algorithm.after_step(self.learner, self.replay, batch, self.progress)
        self.counters.samples += len(batch)
        self.averages.add_mean({f"train/{name}": value for name, value in terms.items()})
        self.averages.add_sum("time/learning", time.monotonic() - started)
        if not self.inline and self.learner.steps % self.config.learner.publish_steps == 0:
            self._publish()

    # Budget and balance.

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all starts of the run."""
        return self.counters.seconds + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, in [0, 1]; 0 without a budget."""
        counters = self.counters
        return budget_fraction(self.config.budget, self.elapsed, self.learner.steps, counters.games, counters.positions)

    def seconds_left(self) -> float | None:
        """See `sources.Budget`."""
        minutes = self.config.budget.minutes
        return 60 * minutes - self.elapsed if minutes else None

    def is_spent(self, counts: SelfPlayCounts) -> bool:
        """See `sources.Budget`."""
        games, positions = self.counters.games + counts.games, self.counters.positions + counts.positions
        return budget_fraction(self.config.budget, self.elapsed, self.learner.steps, games, positions) >= 1.0

    def _is_over(self) -> bool:
        """The budget is spent. Where all was played that it allows, the learner still draws what it owes; with actors,
        which may be far ahead, it gets `FINISH_SECONDS` for it."""
        if self._played_all is None or not self.may_learn:
            return self.progress >= 1.0
        return not self.inline and time.monotonic() - self._played_all > FINISH_SECONDS

    @property
    def may_learn(self) -> bool:
        """Enough positions, no more samples drawn than `sample_reuse` allows, and time and steps left."""
        if self.replay.total < self.algorithm.min_positions:
            return False
        if budget_fraction(self.config.budget, self.elapsed, self.learner.steps, 0, 0) >= 1.0:
            return False
        reuse = self.algorithm.sample_reuse if self._played_all is None else self._least_reuse
        return self._samples_owed(reuse) >= max(1, self.config.learner.batch_size)

    def _samples_owed(self, reuse: float) -> float:
        """Samples that the learner has still to draw for `reuse` of every position kept so far."""
        return reuse * self._counted_positions - self._counted_samples

    @property
    def _counted_positions(self) -> int:
        """Positions kept since samples are counted by them."""
        return self.replay.total - self.counters.reuse_kept

    @property
    def _counted_samples(self) -> int:
        """Samples drawn in the same time."""
        return self.counters.samples - self.counters.reuse_samples

    @property
    def _least_reuse(self) -> float:
        """Samples for each position that the learner draws before the actors play on."""
        return self.config.replay.least_reuse or self.algorithm.sample_reuse

    def _ahead(self) -> float:
        """Positions that may be played before the learner has drawn its least of those that are there; negative where
        it owes so much that the actors should wait for it."""
        least = self._least_reuse
        slack = self.algorithm.min_positions + 0.1 * self.replay.window
        return slack + (4 * self.config.learner.batch_size - self._samples_owed(least)) / least

    def _left(self) -> int | None:
        """Positions that the budget has left, games counted as long as they were so far; None for any number."""
        if self._played_all is not None:
            return 0
        budget, counters, left = self.config.budget, self.counters, []
        if budget.positions:
            left.append(budget.positions - counters.positions)
        if budget.games:
            length = max(1, counters.positions) / max(1, counters.games)  # grows while no game has ended
            left.append(math.ceil((budget.games - counters.games) * length))
        return min(left, default=None)

    # Files.

    def _publish(self) -> None:
        """The newest weights for the actors, unless the gate has chosen theirs; their version is the learner's step."""
        if self.counters.champion is None and self._source is not None:
            self.algorithm.before_publish(self.learner, self.replay)
            self._check_weights()
            self.version = self.learner.steps
            learner = self.learner
            self._source.publish(
                learner.weights() if self.algorithm.acts_with_average else learner.raw_weights(), self.version
            )

    def _publish_first(self) -> None:
        """What the actors begin with; with a gate, the champion of a resumed run or else the network as it is."""
        if not self.config.evaluation.gate:
            self.counters.champion = None
        elif self.counters.champion is not None:
            try:
                return self._crown(self.counters.champion)
            except UserError as error:
                self.display.warning(f"the champion is lost, the newest weights take its place: {error}")
                self.counters.champion = None
        self._publish()
        if self.config.evaluation.gate:
            self.counters.champion = self.version

    def _crown(self, version: int) -> None:
        """Let the actors play with a saved version. Raises UserError when it cannot be read."""
        assert self._source is not None
        weights, _ = checkpoint.load_weights(self.folder.checkpoints, version)
        self._source.publish(weights, version)
        self.version = self.counters.champion = version

    def _save_games(self) -> None:
        limit = self.config.checkpoint.games_gigabytes
        records = cast(list[GameRecord], self._unsaved)  # of an algorithm with `keeps_games`
        save_games(self.folder, records, int(limit * 1e9) if limit else None)
        self._unsaved = []

    def save(self) -> None:
        """All finished games and a checkpoint, whose weights go to actor processes too where no gate forbids it."""
        started = time.monotonic()
        self._save_games()
        self._check_weights()
        if not self.inline:  # else a clock would say when the learner's normaliser changes; a round begins with it
            self._publish()
        counters = dataclasses.replace(self.counters, seconds=self.elapsed, kept=self.replay.total)
        needed = {version for version in (self.counters.champion, self._evaluated) if version is not None}
        gathered = self.algorithm.state()
        save_checkpoint(self.folder, self.learner, self.rng, counters, self.config.checkpoint, needed, gathered)
        self.averages.add_sum("time/checkpoint", time.monotonic() - started)

    def _read_replay(self) -> int | None:
        """The replay that was written when the run stopped; returns the step that it is of, None without one."""
        if not isinstance(self.replay, SavedReplay):
            return None
        return saved_replay.load_latest(self.folder.replay, self.replay, self.display.warning)

    def _write_replay(self) -> None:
        """For the next start. The run is saved without it: what goes wrong here is a warning."""
        if self._saved_replay is None:
            return
        self.display.phase("saving the replay")
        try:
            saved_replay.save(self.folder.replay, self.learner.steps, self._saved_replay)
        except StorageError as error:
            self.display.warning(f"the replay is not saved, a resumed run fills it again: {error}")

    def _check_weights(self) -> None:
        """Raises UserError rather than let weights that are not finite out of the learner."""
        if not self.learner.is_finite:
            newest = max(checkpoint.versions(self.folder.checkpoints), default=None)
            raise UserError(
                f"learner: the weights are not finite at step {self.learner.steps}; lower learner.learning_rate and "
                + ("start again" if newest is None else f"resume from the last checkpoint, of step {newest}")
            )

    def _request_evaluation(self) -> None:
        """Matches of the checkpoint that was just saved."""
        self._evaluated, champion = self.learner.steps, self.counters.champion
        if champion == self._evaluated:
            champion = None
        self.evaluator.request(self._evaluated, self.config.evaluation.games, champion)

    # What a person sees.

    def _take_evaluation(self, evaluation: Evaluation | str | None) -> None:
        if isinstance(evaluation, str):
            self.display.warning(evaluation)
        elif evaluation is not None:
            self.evaluation = evaluation
            self.note(evaluation.notes)
            self.averages.add_mean(evaluation_metrics(evaluation))
            if evaluation.beats_champion:
                self._crown(evaluation.version)

    def _report(self, source: Source) -> None:
        """One row of metrics, from what was gathered since the last."""
        values = {
            **self.algorithm.metrics(self._counts, self._unreported),
            **self.averages.report(),
            "train/games": self.counters.games,
            "train/replay_positions": self.replay.window,
            "train/skipped_steps": self.learner.bad_steps,
            "train/stale_positions": self._stale,
            "train/bad_shards": self._bad_shards,
            "train/sample_reuse": self._counted_samples / max(1, self._counted_positions),
            "selfplay/unsound_games": self._faults.total,
            "selfplay/actor_restarts": source.restarts,
        }
        self._counts, self._unreported = SelfPlayCounts(), []
        self.write_metrics(values)

    def write_metrics(self, values: Row) -> None:
        """A row for the record and for the mirror."""
        self._last_row = self.metrics.write(
            values, step=self.learner.steps, positions=self.counters.positions, time_s=self.elapsed
        )
        self.tracker.log(self._last_row)

    def _show(self) -> None:
        """The state of the run for the display."""
        row, fraction = self._last_row, self.progress
        self.display.update(
            Status(
                elapsed_s=self.elapsed,
                budget_fraction=fraction,
                step=self.learner.steps,
                games=self.counters.games,
                positions=self.counters.positions,
                version=self.version,
                seconds_left=self.elapsed / fraction - self.elapsed if fraction > 0 else None,
                simulations_per_second=row.get("selfplay/simulations_per_second"),
                games_per_minute=row.get("selfplay/games_per_minute"),
                policy_loss=row.get("train/policy_loss"),
                value_loss=row.get("train/value_loss"),
                evaluation=evaluation_line(self.evaluation) if self.evaluation else None,
            )
        )

    def close(self) -> None:
        """Close the record and the mirror."""
        self.metrics.close()
        self.tracker.finish()
