"""The network of a run, from its settings and from the game or the environment that it plays.

In the flow: algorithms train it, and players that are made from a run's checkpoints build it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import nn

import games
from games import Game
from games.environments.environment import Environment
from nets.board import Board
from nets.config import NetConfig
from nets.inference import Inference
from nets.models import PolicyValueNet, build
from search.perspective import num_values
from selfplay.algorithms.precision import choose_device
from selfplay.config.run import ActorsConfig, Config
from selfplay.experience.behaviour import Behaviour, GaussianMean, GaussianSample, Greedy, Sample
from selfplay.experience.openings import random_observations

Net = TypeVar("Net", bound=nn.Module)

CALIBRATION_POSITIONS = 256
"""Positions of random games, from which int8 inference learns how large activations get."""

NUM_VALUES = 1
"""A value is one number: that of the only agent, or of the player to move, who loses what the other wins."""


def game_net_config(config: Config, game: Game) -> NetConfig:
    """The settings of the network; returns that no tanh can hold are learned on another scale."""
    if game.has_rewards and config.net.value_transform == "none":
        return replace(config.net, value_transform="signed_sqrt")
    return config.net


def board_of(game: Game) -> Board | None:
    """What a network has to know of the board of a game; None for a game without one."""
    if len(game.observation_shape) != 3:
        return None
    height, width = game.observation_shape[1:]
    planes = game.action_planes
    if planes is None:
        return Board((height, width), scaling=game.plane_scaling)
    return Board(planes.size, planes.num_planes, planes.plane, planes.cell, game.plane_scaling)


def make_net(config: Config, game: Game, *others: Game) -> PolicyValueNet:
    """A fresh network for the game, and for `others` on boards of other sizes; the seed of the run decides its
    weights."""
    return build(
        game_net_config(config, game),
        game.observation_shape,
        game.num_actions,
        num_values(game),
        seed=config.seed % 2**63,
        board=board_of(game),
        more_boards=[board for other in others if (board := board_of(other)) is not None],
    )


def make_inference(config: Config, game: Game, actors: ActorsConfig, max_batch: int) -> Inference:
    """The same network for evaluation only, without weights yet.

    The positions that int8 takes its scales from are the same in every process.
    """
    return Inference(
        game_net_config(config, game),
        game.observation_shape,
        game.num_actions,
        num_values(game),
        device=choose_device(actors.device),
        max_batch=max_batch,
        dtype=actors.dtype,
        calibration=random_observations(game, CALIBRATION_POSITIONS, np.random.default_rng(0)),
        board=board_of(game),
    )


def without_memory(make: Callable[[], Net]) -> Net:
    """What `make` makes, a network whose tensors have shapes and no numbers: settings may ask for one that is larger
    than memory."""
    with torch.device("meta"):
        return make()


def environment_text(config: Config) -> str:
    """What the run plays, as `load_environment` reads it."""
    return config.environment or f"game:{config.game}"


def environment_net_config(config: Config, environment: Environment) -> NetConfig:
    """The settings of the network with what the environment decides: the kind of policy, pixels, unbounded returns.

    Policies on a game have the same network as AlphaZero's, so that the same players can be made from it.
    """
    net = config.net if config.environment else game_net_config(config, games.load(config.game))
    if net.policy == "auto":
        net = replace(net, policy="gaussian" if environment.is_continuous else "categorical")
    if config.environment and net.value_transform == "none":
        net = replace(net, value_transform="linear")
    if environment.observation_dtype == np.uint8 and net.input_transform == "none":
        net = replace(net, input_transform="pixels")
    return net


def environment_board(config: Config) -> Board | None:
    """What a network has to know of the board where the run plays a game; None in environments."""
    return None if config.environment else board_of(games.load(config.game))


def net_sizes(environment: Environment) -> tuple[tuple[int, ...], int, int]:
    """Observation shape, outputs of the policy head, number of values."""
    if environment.is_continuous:
        assert environment.action_low is not None
        return environment.observation_shape, len(environment.action_low), NUM_VALUES
    return environment.observation_shape, environment.num_actions, NUM_VALUES


def make_environment_net(config: Config, environment: Environment) -> PolicyValueNet:
    """A fresh network for the environment; the seed of the run decides its weights."""
    return build(
        environment_net_config(config, environment),
        *net_sizes(environment),
        seed=config.seed % 2**63,
        board=environment_board(config),
    )


def make_environment_inference(
    config: Config, environment: Environment, actors: ActorsConfig, max_batch: int
) -> Inference:
    """The network for evaluation only, without weights yet."""
    return Inference(
        environment_net_config(config, environment),
        *net_sizes(environment),
        device=choose_device(actors.device),
        max_batch=max_batch,
        dtype=actors.dtype,
        board=environment_board(config),
    )


def make_behaviour(environment: Environment, is_greedy: bool) -> Behaviour:
    """How a trained policy acts: its likeliest action (or its mean), or a draw."""
    if environment.is_continuous:
        return GaussianMean() if is_greedy else GaussianSample()
    return Greedy() if is_greedy else Sample()
