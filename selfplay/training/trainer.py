"""One run: games in, weights out, everything written down. The loop of the picture in docs/architecture.md.

source -> finished games -> replay -> batch -> learner -> weights -> source
                |                                 |
              shards                    checkpoints, evaluation, metrics

Which games, which replay and what is learned is up to the algorithm (`selfplay.algorithms.algorithm`), who waits for
whom to `sample_reuse`, which weights the actors play with to `gate`, and what is saved to `run_state`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import numpy as np
import torch

from selfplay.actors.sources import FleetSource, InlineSource, Source
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.records import GameRecord
from selfplay.players.trained import earlier_game_hint
from selfplay.storage import checkpoint, shards
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import OtherNetworkError
from selfplay.system.deadline import TimeIsUp, deadline
from selfplay.system.failures import told
from selfplay.system.machine import MEMORY_SECONDS, give_back_memory
from selfplay.system.preflight import require_disk, size
from selfplay.system.timer import Timer
from selfplay.training.budget import Progress
from selfplay.training.display import Display
from selfplay.training.evaluator import CheckpointResult, EvaluationProcess, evaluates
from selfplay.training.gate import NEWEST, make_gate, plays_newest
from selfplay.training.initial import read_initial
from selfplay.training.reporting import Reporter
from selfplay.training.run_state import RunState, save_bad_batch, understand_games
from selfplay.training.sample_reuse import SampleReuse

REPORT_SECONDS = 10.0
"""Seconds between two rows of metrics.jsonl."""

SHARD_SECONDS = 30.0
"""Seconds between two shards of finished games; what a kill can lose of them."""

FAILED_PLAY = "failed_play.txt"
"""File in the run's folder with the traceback of a game or an environment that failed in a round of the driver."""

FINISH_SECONDS = 8.0
"""Seconds that the learner gets for what it owes when actor processes have played all that the budget allows."""


class Trainer:
    """One run, from its start or its last checkpoint to its budget."""

    def __init__(self, config: Config, folder: RunFolder, display: Display) -> None:
        """Builds everything and loads the last checkpoint if there is one. The folder must be locked."""
        self.config, self.folder, self.display = config, folder, display
        self.inline = config.actors.num_actors == 0
        self.progress = Progress(config.budget, lambda: self.learner.steps)
        self.algorithm = load_algorithm(config)
        torch.set_num_threads(config.learner.threads)
        self.learner, self.replay = self.algorithm.make_learner(), self.algorithm.make_replay()
        self.reuse = SampleReuse(config, self.algorithm.needs, self.replay)
        self.gate = make_gate(config.evaluation)
        self.source = self._make_source()
        self.reporter = Reporter(config, folder, display, self.algorithm, self.progress)
        self.state = RunState(
            folder, config.checkpoint, self.learner, self.replay, self.reuse, self.progress,
            np.random.default_rng([config.seed, 0]), understand_games(self.algorithm),
            gate=self.gate, source=self.source, reporter=self.reporter,
        )  # fmt: skip
        replay_bytes = self.state.replay_bytes
        require_disk(folder.path, 2 * self.learner.checkpoint_bytes, replay_bytes or 0)
        self.stop_requested: str | None = None
        self.is_breakable = False
        self._is_started = False
        if self._restore():
            display.message(f"resumed at step {self.learner.steps} with {len(self.replay):,} positions in the replay")
        elif config.init is not None:
            self.state.begin_with(read_initial(config.init))
            display.message(f"starting with the network of {config.init}")
        if replay_bytes is not None:
            display.message(
                f"the replay, {size(replay_bytes)} at most, is written to {folder.replay} when the run stops"
            )
        self.version = self.learner.steps  # of the weights that the actors play with
        self._published: dict[str, int] = {}  # versions that the source has, by role
        self.evaluator = EvaluationProcess(config, folder.path)
        self._evaluated: int | None = None  # version that was last given to it
        self._bad_shards = shards.damaged(folder.games)  # no more are found before the next start
        self._stale = 0  # positions left out for their age
        self.reporter.open()

    def _restore(self) -> bool:
        """`RunState.restore`; a game that has changed since is named with what it was."""
        try:
            return self.state.restore(self.inline, self.display.warning)
        except OtherNetworkError as error:
            raise UserError(f"{error}{earlier_game_hint(self.config.game, self.folder.config)}") from error

    def _make_source(self) -> Source:
        config, progress = self.config, self.progress
        if self.inline:
            return InlineSource(
                self.algorithm,
                config.seed,
                lambda: progress.positions,
                lambda: self.stop_requested is not None,
                progress,
                self.folder.path / FAILED_PLAY,
            )
        return FleetSource(
            config,
            self.folder,
            # So that a resumed run plays other games, even from the same step.
            lambda: np.random.SeedSequence([config.seed, progress.steps, progress.positions]),
            lambda: progress.positions,
            self.display.message,
            self.display.warning,
        )

    # The loop.

    def run(self) -> None:
        """Train until the budget is spent or somebody asks to stop; ends with a checkpoint."""
        self.save()
        for note in self.algorithm.notes:
            self.display.message(note)
        self.display.phase(self.algorithm.warm_up_note)
        with suppress(TimeIsUp), self.breakable(), told("playing", self.folder.path / FAILED_PLAY):
            with deadline(self.progress.seconds_left()):  # both play games, whose moves may take minutes
                self.algorithm.warm_up()
                self.display.phase("starting actors")
                self.source.start()
                self._is_started = True
        if self.stop_requested or not self._is_started:
            return
        try:
            self._publish_first()
            self._loop()
        except KeyboardInterrupt:
            self.source.kill()
            raise
        finally:
            self.source.stop()
            self.evaluator.stop()
            self.reporter.say_faults()
        self.save()
        if plays_newest(self.gate):
            self.version = self.learner.steps
        self._report()
        if self.state.replay_bytes is not None:
            self.display.phase("saving the replay")
            self.state.write_replay(self.display.warning)
        for line in self.progress.overshoot():
            self.display.message(line)

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

    def _loop(self) -> None:
        report = Timer(REPORT_SECONDS)
        shard = Timer(SHARD_SECONDS)
        save = Timer(60 * self.config.checkpoint.every_minutes)
        evaluate = Timer(60 * self.config.evaluation.every_minutes if evaluates(self.config) else 0)
        memory = Timer(MEMORY_SECONDS)
        steps_due, saved_step = self.config.checkpoint.every_steps, self.learner.steps
        while not self.stop_requested and not self._is_over():
            self._play()
            if self.may_learn:
                self._learn()
            if shard.due() and not self.inline:
                self.state.save_games()
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
                self._report()
            self.reporter.show(self.version)

    def _play(self) -> None:
        """Take in finished games; wait for them only while there is nothing to learn."""
        waits = not self.may_learn and not self.progress.is_all_played
        if waits:
            self.display.phase("playing")
            if self.inline:
                self._publish()  # a round plays with the newest weights, no matter when the run was saved or stopped
            self._allow()  # what the last step of the learner has made room for is what it waits for
        started = time.monotonic()
        for finished in self.source.play(not waits):
            self.progress.add(finished)
            self.reporter.take(finished, self.version)
            for record in finished.records:
                if self.config.replay.max_policy_lag:
                    oldest = self.version - self.config.replay.max_policy_lag
                    record, stale = record.leave_out_older(oldest)  # noqa: PLW2901
                    self._stale += stale
                self.learner.observe(record)
                self.replay.add(record)
                if self.algorithm.keeps_games:
                    self.state.add_game(cast(GameRecord, record))
        if waits:
            self.reporter.averages.add_sum("time/waiting", time.monotonic() - started)
        self._allow()

    def _allow(self) -> None:
        """Tell the source how far it may play."""
        self.source.progress_changed(self.progress.fraction)
        self.source.allow(self.reuse.ahead(), self.progress.positions_left())

    def _learn(self) -> None:
        """One step, and new weights for the actors after `learner.publish_steps` of them."""
        self.display.phase("learning" if self.inline else "playing and learning")
        started, averages = time.monotonic(), self.reporter.averages
        batch = self.replay.sample(self.config.learner.batch_size, self.state.rng)
        result = self.learner.step(batch, self.progress.fraction)
        if result.is_left_out and self.learner.bad_steps == 1:
            saved = save_bad_batch(self.folder, batch)
            self.display.warning(f"the loss of step {self.learner.steps} is not finite, it is left out; see {saved}")
        self.reporter.note(result.remarks)
        self.replay.learned(batch, result.errors, self.progress.fraction)
        self.reuse.draw(len(batch))
        averages.add_mean({f"train/{name}": value for name, value in result.terms.items()})
        averages.add_sum("time/learning", time.monotonic() - started)
        if not self.inline and self.learner.steps % self.config.learner.publish_steps == 0:
            self._publish()

    @property
    def may_learn(self) -> bool:
        """Time and steps are left, and the balance of samples and positions allows another batch."""
        return self.progress.may_go_on and self.reuse.may_learn(self.progress.is_all_played)

    def _is_over(self) -> bool:
        """The budget is spent. Where all was played that it allows, the learner still draws what it owes; with actors,
        which may be far ahead, it gets `FINISH_SECONDS` for it."""
        if not self.progress.is_all_played or not self.may_learn:
            return self.progress.fraction >= 1.0
        return not self.inline and self.progress.seconds_since_all_played > FINISH_SECONDS

    # Weights.

    def _publish(self) -> None:
        """What the gate has chosen for the actors, unless they have it: the newest weights may always be newer.

        The version of weights is the learner's step. Raises UserError for a version that cannot be read.
        """
        choice = self.gate.choice()
        if not self._is_started or choice == self._published:
            return
        publication = {}
        for role, version in choice.items():
            if version is NEWEST:
                self.learner.prepare_publication()
                self.state.check_weights()
                publication[role] = self.learner.steps, self.learner.acting_weights()
            else:
                publication[role] = version, checkpoint.load_weights(self.folder.checkpoints, version)[0]
        self._published = {role: version for role, (version, _) in publication.items()}
        self.version = self._published[PLAYER]
        self.source.publish(publication)
        self.gate.published(self._published)

    def _publish_first(self) -> None:
        """What the actors begin with; the newest weights where those that the gate has chosen are lost."""
        try:
            self._publish()
        except UserError as error:
            if plays_newest(self.gate):
                raise
            self.display.warning(f"the champion is lost, the newest weights take its place: {error}")
            self.gate.lose()
            self._publish()

    def _request_evaluation(self) -> None:
        """Matches of the checkpoint that was just saved."""
        self._evaluated = self.learner.steps
        self.evaluator.request(self._evaluated, self.config.evaluation.games, self.gate.rival(self._evaluated))

    def _take_evaluation(self, evaluation: CheckpointResult | str | None) -> None:
        if isinstance(evaluation, str):
            self.display.warning(evaluation)
        elif evaluation is not None:
            self.reporter.take_evaluation(evaluation)
            self.gate.judge(evaluation)
            if not plays_newest(self.gate):
                self._publish()

    # Files.

    def save(self) -> None:
        """All finished games and a checkpoint, whose weights go to actor processes too where no gate forbids it."""
        started = time.monotonic()
        self.state.save_games()
        self.state.check_weights()
        if not self.inline:  # else a clock would say when the learner's normaliser changes; a round begins with it
            self._publish()
        pinned = self.gate.pinned_versions() | ({self._evaluated} if self._evaluated is not None else set())
        self.state.save(pinned)
        self.reporter.averages.add_sum("time/checkpoint", time.monotonic() - started)

    def _report(self) -> None:
        """One row of metrics."""
        self.reporter.report(
            {
                "train/games": self.progress.games,
                "train/replay_positions": self.replay.window,
                "train/skipped_steps": self.learner.bad_steps,
                "train/stale_positions": self._stale,
                "train/bad_shards": self._bad_shards,
                "train/sample_reuse": self.reuse.mean,
                "selfplay/actor_restarts": self.source.restarts,
            }
        )

    def close(self, exit_code: int = 0) -> None:
        """Close the record and the mirror, see `Reporter.close`."""
        self.reporter.close(exit_code)
