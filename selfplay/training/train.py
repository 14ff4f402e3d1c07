"""Training from beginning to end: `train` starts a run, `resume` goes on with one."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import games
from selfplay.config import reader
from selfplay.config.run import BudgetConfig, Config
from selfplay.errors import UserError
from selfplay.stats.intervals import ELO_FORM, with_interval
from selfplay.storage import shards
from selfplay.storage.files import publish
from selfplay.storage.run_folder import RunFolder
from selfplay.system.failures import is_from_outside
from selfplay.training.budget import budget_text
from selfplay.training.checks import check
from selfplay.training.display import Display, make_display
from selfplay.training.evaluator import CheckpointResult, evaluate_checkpoint, evaluates, evaluation_failure
from selfplay.training.initial import initial_source
from selfplay.training.next_commands import commands_after
from selfplay.training.reporting import mean_text
from selfplay.training.resuming import changed_targets, in_words_of, only_new_games, refuse_fixed
from selfplay.training.tracking import FAILED, FINISHED, STOPPED, mode_within, run_of_environment
from selfplay.training.trainer import Trainer
from selfplay.training.wandb_run import new_run, remember, with_environment


@dataclass(frozen=True)
class Result:
    """What training ended with."""

    run_dir: Path
    version: int
    """The last checkpoint: the learner's steps."""
    stopped_by: str
    """`budget`, or the name of a signal."""
    evaluation: CheckpointResult | None
    """Matches of the last checkpoint; None when it was stopped early or has no opponents."""
    learned: bool = True
    """False for a new run whose budget was spent before the learner made a step."""


def train(config: Config, run_dir: Path | str | None = None, display: Display | None = None) -> Result:
    """Start a new run in `run_dir` (default `runs/NAME-TIME`) and train it to its budget.

    Where WANDB_RUN_ID is the id of a run that exists here, that run goes on, with these settings but for `wandb`.
    Raises UserError for settings that cannot work, before anything is created.
    """
    path = None if run_dir is None else Path(run_dir)
    if (known := run_of_environment(config.wandb.mode, path)) is not None:
        return resume(known, lambda old: dataclasses.replace(config, wandb=old.wandb, init=old.init), display)
    init = None if config.init is None else initial_source(config.init)
    config = dataclasses.replace(config, wandb=with_environment(config.wandb, os.environ), init=init)
    check(config)
    with RunFolder.create(path, config.name) as folder:
        if mode_within(os.environ, config.wandb.mode) != "disabled":
            remember(folder.path, new_run(os.environ))
        publish(folder.config, reader.dump(config).encode())
        return _run(config, folder, display)


def resume(
    run_dir: Path | str, change: Callable[[Config], Config] | None = None, display: Display | None = None
) -> Result:
    """Go on with a run from its last checkpoint. `change` may alter its settings (the budget, say).

    Raises UserError when there is no such run, or a change does not fit what the run has learned.
    """
    with RunFolder.resume(Path(run_dir)) as folder:
        old = reader.load(Config, folder.config, [])
        new = in_words_of(old, change(old)) if change else old
        refuse_fixed(folder, old, new)
        check(new, is_new=False)

        def accept(trainer: Trainer) -> None:
            """The settings fit what the run has learned: they are the run's from now on."""
            if new != old:
                publish(folder.config, reader.dump(new).encode())
            kept, with_targets = changed_targets(old, new), trainer.state.games_with_targets
            if kept and with_targets:
                trainer.display.warning(
                    f"{', '.join(kept)}: {with_targets:,} games in {folder.games} were recorded with their targets by "
                    "an older version of selfplay; these stay as they are"
                )
            changed, stored = only_new_games(old, new), shards.totals(folder.games)[0]
            if changed and stored and trainer.algorithm.keeps_games:
                trainer.display.message(
                    f"{', '.join(changed)}: for new games only; the {stored:,} games on disk stay as they were played"
                )

        return _run(new, folder, display, accept)


def _run(
    config: Config,
    folder: RunFolder,
    display: Display | None,
    accept: Callable[[Trainer], None] = lambda trainer: None,
) -> Result:
    """Train to the end. `accept` is called once everything is built and loaded, and nothing is played yet."""
    with display or make_display(sys.stdout, sys.stdout.isatty()) as shown:
        played = config.environment or config.game
        shown.start(f"{config.algorithm} on {played} in {folder.path}", budget_text(config.budget))
        shown.phase("starting")
        trainer = Trainer(config, folder, shown)
        previous = _catch_signals(trainer)
        evaluation, found, status = None, [], FAILED
        try:
            accept(trainer)
            is_new = not trainer.learner.steps
            trainer.run()
            learned = bool(trainer.learner.steps) or not is_new or trainer.stop_requested is not None
            if not learned:
                shown.warning(_nothing_learned(trainer))
            elif not trainer.stop_requested:
                with trainer.breakable():
                    evaluation = _final_evaluation(trainer)
                    found = trainer.algorithm.finish(trainer.learner)
            status = STOPPED if trainer.stop_requested else FINISHED if learned else FAILED
            result = Result(folder.path, trainer.version, trainer.stop_requested or "budget", evaluation, learned)
            shown.finish([*_summary(trainer, result), *found], commands_after(config, folder.path, _spent(trainer)))
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            trainer.close(status)
    return result


def _nothing_learned(trainer: Trainer) -> str:
    """Why a run that has ended was in vain."""
    progress, needs = trainer.progress, trainer.algorithm.needs.first_step
    longest = max(needs, key=lambda need: need.positions, default=None)
    waited = f"{longest.positions:,} positions ({longest.setting})" if longest else "a sweep"
    return (
        f"nothing was learned: the budget, {budget_text(trainer.config.budget)}, is spent after {progress.positions:,} "
        f"positions and {progress.games:,} finished games, without a step of the learner; the first waits for {waited}"
    )


def _catch_signals(trainer: Trainer) -> dict[int, Any]:
    """First SIGINT or SIGTERM: finish, save, end. Second: end at once. So does the first where nothing is unsaved."""

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        is_first, trainer.stop_requested = not trainer.stop_requested, signal.Signals(number).name
        if trainer.is_breakable or not is_first:
            raise KeyboardInterrupt
        trainer.display.message("stopping: saving first; once more ends at once")

    try:
        return {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals stay with whoever runs it
        return {}


def _final_evaluation(trainer: Trainer) -> CheckpointResult | None:
    settings = trainer.config.evaluation
    if not evaluates(trainer.config):
        return None
    what = "episodes" if trainer.config.environment else "games against each opponent"
    trainer.display.phase(f"evaluating: {settings.final_games} {what}")
    folder = trainer.folder.path
    try:
        evaluation = evaluate_checkpoint(
            trainer.config, folder, trainer.version, settings.final_games, seconds=60 * settings.final_minutes
        )
    except (UserError, games.GameError) as error:  # what was trained is saved; somebody may be rating the run, say
        trainer.display.warning(f"evaluation: {error}")
        return None
    except BaseException as error:
        if not is_from_outside(error):
            raise
        trainer.display.warning(f"evaluation failed: {evaluation_failure(error, folder)}")
        return None
    trainer.reporter.note(evaluation.notes)
    trainer.reporter.write(trainer.reporter.mirror_evaluation(evaluation))
    return evaluation


def _summary(trainer: Trainer, result: Result) -> list[tuple[str, str]]:
    rows = [
        ("run", str(result.run_dir)),
        ("stopped by", result.stopped_by),
        ("time", f"{trainer.progress.elapsed / 60:.1f} minutes"),
        ("games", f"{trainer.progress.games:,}"),
        ("positions", f"{trainer.progress.positions:,}"),
        ("steps", f"{trainer.learner.steps:,}"),
    ]
    if result.evaluation is not None:
        rows += [(f"against {name}", line) for name, line in result.evaluation.results.items()]
        if result.evaluation.elo is not None:
            text = with_interval(*result.evaluation.elo, ELO_FORM)
            rows.append(("Elo", f"{text}, {result.evaluation.anchor} = 0"))
        if result.evaluation.mean_return is not None:
            text = mean_text(result.evaluation.mean_return, result.evaluation.return_interval)
            rows.append(("mean return", f"{text}, episodes: {result.evaluation.num_episodes}"))
    return rows


def _spent(trainer: Trainer) -> BudgetConfig:
    """What the run took so far, by everything that a budget limits."""
    progress = trainer.progress
    return BudgetConfig(progress.elapsed / 60, progress.steps, progress.games, progress.positions)
