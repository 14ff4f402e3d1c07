"""The algorithms by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from selfplay.algorithms.algorithm import Algorithm
from selfplay.config.run import Config

CLASSES = {
    "alphazero": ("selfplay.algorithms.alphazero", "AlphaZero"),
    "dqn": ("selfplay.algorithms.dqn", "Dqn"),
    "q_iteration": ("selfplay.algorithms.q_iteration", "QIteration"),
    "reinforce": ("selfplay.algorithms.actor_critic", "ActorCritic"),
    "actor_critic": ("selfplay.algorithms.actor_critic", "ActorCritic"),
}
"""Module and class of each algorithm; only the one that a run uses is imported."""


def load_algorithm(config: Config) -> Algorithm:
    """The algorithm of a run. Raises UserError or GameError for settings that do not fit the game or environment."""
    module, name = CLASSES[config.algorithm]
    return cast(Algorithm, getattr(import_module(module), name)(config))
