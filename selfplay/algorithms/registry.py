"""The algorithms by name."""

from __future__ import annotations

from selfplay.algorithms.algorithm import Algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError


def load_algorithm(config: Config) -> Algorithm:
    """The algorithm of a run. Raises UserError or GameError for settings that do not fit together."""
    if config.learner.dtype == "float64" and config.algorithm not in ("dqn", "q_iteration"):
        raise UserError("learner.dtype: float64 is for tables; use float32")
    if config.net.input_transform == "running" and config.algorithm not in ("actor_critic", "reinforce"):
        raise UserError(f"net.input_transform: {config.algorithm} keeps no running moments; use none or symlog")
    if config.replay.max_policy_lag and config.algorithm in ("dqn", "q_iteration"):
        raise UserError(f"replay.max_policy_lag: {config.algorithm} learns from any policy; use 0")
    if config.checkpoint.replay and config.algorithm != "dqn":
        raise UserError(f"checkpoint.replay: {config.algorithm} has no replay of transitions to save; leave it out")
    if config.algorithm == "alphazero":
        from selfplay.algorithms.alphazero import AlphaZero

        return AlphaZero(config)
    if config.algorithm == "dqn":
        from selfplay.algorithms.dqn import Dqn

        return Dqn(config)
    if config.algorithm == "q_iteration":
        from selfplay.algorithms.q_iteration import QIteration

        return QIteration(config)
    from selfplay.algorithms.actor_critic import ActorCritic

    return ActorCritic(config)
