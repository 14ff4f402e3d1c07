"""What keeps a run from working and only shows with several of its settings, or with the game, together.

In the flow: `train` and `resume` ask before anything is made.
"""

from __future__ import annotations

import numpy as np
from torch import nn

import games
from nets import int8
from nets.config import NetConfig
from search.search import check_settings
from selfplay.algorithms.algorithm import Algorithm
from selfplay.algorithms.alphazero import AlphaZero
from selfplay.algorithms.curriculum import CurriculumAlphaZero
from selfplay.algorithms.networks import without_memory
from selfplay.algorithms.registry import kind_of, load_algorithm
from selfplay.config import reader
from selfplay.config.run import BudgetConfig, Config
from selfplay.errors import UserError
from selfplay.players.kinds import read_player
from selfplay.system.preflight import MemoryNeed, Needs, require_memory
from selfplay.training.initial import check_initial

BYTES_A_WEIGHT = 16
"""Of the learner, at least: a weight, its average, and two numbers of the optimiser."""


def check(config: Config, is_new: bool = True) -> None:
    """Every setting by itself, and what only shows with several and the game together; of a run that `is_new` also
    whether it can learn at all. Raises UserError, GameError."""
    reader.check(config)  # a config may have been built in Python
    _check_algorithm(config)
    algorithm = load_algorithm(config)
    for searching in _searching(algorithm):
        _check_search(config, searching)
    needs = algorithm.needs
    net = without_memory(algorithm.make_net)
    weights = sum(tensor.numel() for tensor in net.state_dict().values())
    kept = MemoryNeed("net", f"the {weights:,} weights of the network, in learning", weights * BYTES_A_WEIGHT)
    require_memory([kept, *needs.memory])
    if config.replay.least_reuse > needs.sample_reuse:
        is_set = needs.sample_reuse == config.replay.sample_reuse
        most = "replay.sample_reuse" if is_set else f"what {config.algorithm} draws"
        raise UserError(
            f"replay.least_reuse: {config.replay.least_reuse:g} is more than {most}, "
            f"{needs.sample_reuse:g}; actors and learner would wait for each other"
        )
    if config.replay.min_positions > config.replay.capacity:
        raise UserError(
            f"replay.min_positions: {config.replay.min_positions} is more than replay.capacity, "
            f"{config.replay.capacity}; learning would never start"
        )
    _check_batch_norm(config, net)
    if config.curriculum and config.budget == BudgetConfig():
        raise UserError("curriculum: its stages are parts of the budget, and there is none; set budget.minutes, say")
    if is_new:
        _check_idle(config)
        _check_scaling(config)
        _check_budget(config, needs)
        if config.init is not None:
            check_initial(config.init, config, algorithm)
    if config.evaluation.gate:
        _check_gate(config)
    for opponent in config.evaluation.opponents:
        if read_player(opponent).kind.is_person:
            raise UserError("evaluation.opponents: human cannot sit through a training; use `selfplay play`")


def _check_algorithm(config: Config) -> None:
    """Settings that some algorithms have no use for."""
    kind = kind_of(config)
    if config.learner.dtype == "float64" and not kind.learns_tables:
        raise UserError("learner.dtype: float64 is for tables; use float32")
    if config.net.input_transform == "running" and not kind.keeps_moments:
        raise UserError(f"net.input_transform: {config.algorithm} keeps no running moments; use none or symlog")
    if config.replay.max_policy_lag and kind.learns_off_policy:
        raise UserError(f"replay.max_policy_lag: {config.algorithm} learns from any policy; use 0")
    if config.checkpoint.replay and not kind.keeps_transitions:
        raise UserError(f"checkpoint.replay: {config.algorithm} has no replay of transitions to save; leave it out")


def _check_idle(config: Config) -> None:
    """Settings that would do nothing: what only games of a search teach, in learning without one."""
    if kind_of(config).searches:
        return
    for name in ("reply_head", "moves_left_head", "ownership_head", "score_head"):
        if getattr(config.net, name):
            raise UserError(f"net.{name}: {config.algorithm} does not teach it; use false")
    if config.actors.opening_moves != "uniform":
        raise UserError(f"actors.opening_moves: {config.algorithm} begins with uniform random moves; use uniform")


def _check_scaling(config: Config) -> None:
    """A transform of the input in place of that of the game."""
    if config.environment or config.net.input_transform == "none":
        return
    game = games.load(config.game)
    if game.plane_scaling is not None:
        raise UserError(
            f"net.input_transform: {game.name} says how each of its planes is scaled, which "
            f"{config.net.input_transform} would replace; use none"
        )


def _check_batch_norm(config: Config, net: nn.Module) -> None:
    """A batch of one position has no variance that a fully connected layer could be normalised by."""
    sizes = [("learner.batch_size", config.learner.batch_size)]
    if kind_of(config).learns_rollouts:
        sizes.append(("actors.rollout_steps", config.actors.rollout_steps * config.actors.games_per_actor))
    for name, size in sizes:
        if size == 1 and any(isinstance(part, nn.BatchNorm1d) for part in net.modules()):
            raise UserError(f"{name}: 1 position has no variance for net.batch_norm; use 2 or more, or no norm")


def _check_budget(config: Config, needs: Needs) -> None:
    """A budget that is spent before the first step of the learner."""
    for name in ("positions", "games"):
        most = getattr(config.budget, name)
        need = max(needs.first_step, key=lambda need: int(getattr(need, name)), default=None)
        if need and 0 < most < getattr(need, name):
            raise UserError(
                f"budget.{name}: a budget of {most:,} is spent before the first step, which waits for "
                f"{getattr(need, name):,} ({need.setting}); raise the budget or lower the other"
            )


def _check_gate(config: Config) -> None:
    """What would leave the actors with the first network for ever."""
    if config.environment:
        raise UserError("evaluation.gate: it compares networks in games, an environment has none; leave it out")
    if config.evaluation.every_minutes == 0:
        raise UserError(
            "evaluation.gate: with evaluation.every_minutes 0 no network is ever compared with the actors' one"
        )


def _searching(algorithm: Algorithm) -> tuple[AlphaZero, ...]:
    """What searches, for each game that the run plays; nothing of algorithms without search."""
    if isinstance(algorithm, CurriculumAlphaZero):
        return algorithm.parts
    return (algorithm,) if isinstance(algorithm, AlphaZero) else ()


def _check_search(config: Config, algorithm: AlphaZero) -> None:
    """What algorithms that search need."""
    game, name = algorithm.game, config.algorithm
    if config.learner.batch_size == 0:
        raise UserError(f"learner.batch_size: 0 takes all of a rollout, {name} has none; say how many positions")
    if config.net.input_transform == "pixels" and not (config.environment and game.observation_dtype == np.uint8):
        raise UserError(f"net.input_transform: pixels is for bytes, {game.name} shows numbers; use none")
    if config.net.policy == "gaussian" or config.net.value_transform == "linear" and not game.has_rewards:
        raise UserError(f"net: {name} plays games, whose policy is categorical and whose value is within [-1, 1]")
    if config.search.rule == "uct":
        raise UserError("search.rule: uct has no use for a network's policy; use puct or gumbel")
    try:
        check_settings(config.search, algorithm.traits)
    except ValueError as error:
        raise UserError(str(error)) from None
    if config.actors.resign_value > 0 and game.has_rewards:
        raise UserError(f"actors.resign_value: {game.name} is not won or lost, it pays on the way; leave it at 0")
    if config.actors.dtype == "int8" and not _has_int8_form(config.net, game):
        raise UserError("actors.dtype: int8 needs a resnet without separate_value; use auto")


def _has_int8_form(net: NetConfig, game: games.Game) -> bool:
    try:
        return int8.has_form(net, game.observation_shape)
    except ValueError as error:
        raise UserError(str(error)) from None
