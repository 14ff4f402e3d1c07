"""Training from beginning to end: `train` starts a run, `resume` goes on with one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn

import games
from nets import int8
from nets.config import NetConfig
from search import ModelTraits
from search.search import check_settings
from selfplay.algorithms.algorithm import Algorithm
from selfplay.algorithms.registry import load_algorithm
from selfplay.config import reader
from selfplay.config.run import BudgetConfig, Config
from selfplay.errors import UserError
from selfplay.players.kinds import read_player
from selfplay.stats.intervals import ELO_FORM, with_interval
from selfplay.storage import shards
from selfplay.storage.files import publish
from selfplay.storage.run_folder import RunFolder
from selfplay.system.failures import is_from_outside
from selfplay.system.preflight import require_memory
from selfplay.training.budget import budget_text
from selfplay.training.display import Display, make_display
from selfplay.training.evaluator import Evaluation, evaluate_checkpoint, evaluates, evaluation_failure
from selfplay.training.next_commands import commands_after
from selfplay.training.reporting import evaluation_metrics, mean_text
from selfplay.training.resuming import only_new_games, refuse_fixed
from selfplay.training.trainer import Trainer


@dataclass(frozen=True)
class Result:
    """What training ended with."""

    run_dir: Path
    version: int
    """The last checkpoint: the learner's steps."""
    stopped_by: str
    """`budget`, or the name of a signal."""
    evaluation: Evaluation | None
    """Matches of the last checkpoint; None when it was stopped early or has no opponents."""
    learned: bool = True
    """False for a new run whose budget was spent before the learner made a step."""


def train(config: Config, run_dir: Path | str | None = None, display: Display | None = None) -> Result:
    """Start a new run in `run_dir` (default `runs/NAME-TIME`) and train it to its budget.

    Raises UserError for settings that cannot work, before anything is created.
    """
    check(config)
    with RunFolder.create(None if run_dir is None else Path(run_dir), config.name) as folder:
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
        new = change(old) if change else old
        refuse_fixed(folder, old, new)
        check(new, is_new=False)

        def accept(trainer: Trainer) -> None:
            """The settings fit what the run has learned: they are the run's from now on."""
            if new != old:
                publish(folder.config, reader.dump(new).encode())
            changed, stored = only_new_games(old, new), shards.totals(folder.games)[0]
            if changed and stored and trainer.algorithm.keeps_games:
                trainer.display.message(
                    f"{', '.join(changed)}: for new games only; the {stored:,} games on disk stay as they were played"
                )

        return _run(new, folder, display, accept)


def check(config: Config, is_new: bool = True) -> None:
    """Every setting by itself, and what only shows with several and the game together; of a run that `is_new` also
    whether it can learn at all. Raises UserError, GameError."""
    reader.check(config)  # a config may have been built in Python
    if config.algorithm == "alphazero":
        _check_search(config)
    algorithm = load_algorithm(config)
    require_memory(algorithm.memory_needs)
    if config.replay.least_reuse > algorithm.sample_reuse:
        is_set = algorithm.sample_reuse == config.replay.sample_reuse
        most = "replay.sample_reuse" if is_set else f"what {config.algorithm} draws"
        raise UserError(
            f"replay.least_reuse: {config.replay.least_reuse:g} is more than {most}, "
            f"{algorithm.sample_reuse:g}; actors and learner would wait for each other"
        )
    if config.replay.min_positions > config.replay.capacity:
        raise UserError(
            f"replay.min_positions: {config.replay.min_positions} is more than replay.capacity, "
            f"{config.replay.capacity}; learning would never start"
        )
    _check_batch_norm(config, algorithm)
    if is_new:
        _check_budget(config, algorithm)
    if config.evaluation.gate:
        _check_gate(config)
    for opponent in config.evaluation.opponents:
        if read_player(opponent).kind.is_person:
            raise UserError("evaluation.opponents: human cannot sit through a training; use `selfplay play`")


def _check_batch_norm(config: Config, algorithm: Algorithm) -> None:
    """A batch of one position has no variance that a fully connected layer could be normalised by."""
    sizes = [("learner.batch_size", config.learner.batch_size)]
    if config.algorithm == "actor_critic":
        sizes.append(("actors.rollout_steps", config.actors.rollout_steps * config.actors.games_per_actor))
    for name, size in sizes:
        if size == 1 and any(isinstance(part, nn.BatchNorm1d) for part in algorithm.make_net().modules()):
            raise UserError(f"{name}: 1 position has no variance for net.batch_norm; use 2 or more, or no norm")


def _check_budget(config: Config, algorithm: Algorithm) -> None:
    """A budget that is spent before the first step of the learner."""
    for name in ("positions", "games"):
        most, needs = getattr(config.budget, name), algorithm.first_step
        need = max(needs, key=lambda need: int(getattr(need, name)), default=None)
        if need and 0 < most < getattr(need, name):
            raise UserError(
                f"budget.{name}: {most:,} are spent before the first step, which waits for {getattr(need, name):,} "
                f"({need.setting}); raise the budget or lower the other"
            )


def _check_gate(config: Config) -> None:
    """What would leave the actors with the first network for ever."""
    if config.environment:
        raise UserError("evaluation.gate: it compares networks in games, an environment has none; leave it out")
    if config.evaluation.every_minutes == 0:
        raise UserError(
            "evaluation.gate: with evaluation.every_minutes 0 no network is ever compared with the actors' one"
        )


def _check_search(config: Config) -> None:
    """What AlphaZero needs."""
    if config.environment:
        raise UserError("environment: alphazero searches a game and needs its rules; name one with `game`")
    game = games.load(config.game)
    if config.learner.batch_size == 0:
        raise UserError("learner.batch_size: 0 takes all of a rollout, alphazero has none; say how many positions")
    if config.net.input_transform == "pixels":
        raise UserError("net.input_transform: pixels is for bytes, a game shows numbers; use none")
    if config.net.policy == "gaussian" or config.net.value_transform == "linear" and not game.has_rewards:
        raise UserError("net: alphazero plays games, whose policy is categorical and whose value is within [-1, 1]")
    if config.search.rule == "uct":
        raise UserError("search.rule: uct has no use for a network's policy; use puct or gumbel")
    try:
        check_settings(config.search, ModelTraits.of_game(game))
    except ValueError as error:
        raise UserError(str(error)) from None
    if config.actors.resign_value > 0 and game.has_rewards:
        raise UserError(f"actors.resign_value: {game.name} is not won or lost, it pays on the way; leave it at 0")
    if config.actors.dtype == "int8" and not _has_int8_form(config.net, game):
        raise UserError("actors.dtype: int8 needs a resnet without pooling or separate_value; use auto")


def _has_int8_form(net: NetConfig, game: games.Game) -> bool:
    try:
        return int8.has_form(net, game.observation_shape)
    except ValueError as error:
        raise UserError(str(error)) from None


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
        evaluation, found = None, []
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
                    found = trainer.algorithm.finish(folder.path, trainer.learner)
            result = Result(folder.path, trainer.version, trainer.stop_requested or "budget", evaluation, learned)
            shown.finish([*_summary(trainer, result), *found], commands_after(config, folder.path, _spent(trainer)))
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            trainer.close()
    return result


def _nothing_learned(trainer: Trainer) -> str:
    """Why a run that has ended was in vain."""
    counters, needs = trainer.counters, trainer.algorithm.first_step
    longest = max(needs, key=lambda need: need.positions, default=None)
    waited = f"{longest.positions:,} positions ({longest.setting})" if longest else "a sweep"
    return (
        f"nothing was learned: the budget, {budget_text(trainer.config.budget)}, is spent after {counters.positions:,} "
        f"positions and {counters.games:,} finished games, without a step of the learner; the first waits for {waited}"
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


def _final_evaluation(trainer: Trainer) -> Evaluation | None:
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
    except (Exception, SystemExit) as error:
        if not is_from_outside(error):
            raise
        trainer.display.warning(f"evaluation failed: {evaluation_failure(error, folder)}")
        return None
    trainer.note(evaluation.notes)
    values = evaluation_metrics(evaluation)
    trainer.write_metrics(values)
    trainer.tracker.summary(values)
    return evaluation


def _summary(trainer: Trainer, result: Result) -> list[tuple[str, str]]:
    rows = [
        ("run", str(result.run_dir)),
        ("stopped by", result.stopped_by),
        ("time", f"{trainer.elapsed / 60:.1f} minutes"),
        ("games", f"{trainer.counters.games:,}"),
        ("positions", f"{trainer.counters.positions:,}"),
        ("steps", f"{trainer.learner.steps:,}"),
    ]
    if result.evaluation is not None:
        rows += [(f"against {name}", line) for name, line in result.evaluation.results.items()]
        if result.evaluation.elo is not None:
            text = with_interval(*result.evaluation.elo, ELO_FORM)
            rows.append(("Elo", f"{text}, {result.evaluation.anchor} = 0"))
        if result.evaluation.mean_return is not None:
            text = mean_text(result.evaluation.mean_return, result.evaluation.return_interval)
            rows.append(("mean return", text))
    return rows


def _spent(trainer: Trainer) -> BudgetConfig:
    """What the run took so far, by everything that a budget limits."""
    counters = trainer.counters
    return BudgetConfig(trainer.elapsed / 60, trainer.learner.steps, counters.games, counters.positions)
