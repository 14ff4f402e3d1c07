"""The algorithms by name, and what others must know of one before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from selfplay.config.run import Config
from selfplay.errors import UserError

if TYPE_CHECKING:
    from selfplay.algorithms.algorithm import Algorithm  # loads torch, which takes two seconds
    from selfplay.algorithms.alphazero import AlphaZero


@dataclass(frozen=True)
class AlgorithmKind:
    """A row of the table of algorithms."""

    module: str
    class_name: str
    searches: bool = False
    """It plays with a search while it learns, so that its players search too."""
    can_be_measured: bool = False
    """`selfplay bench` and `selfplay plan` can take its actors and its learner apart."""
    learns_policy: bool = True
    """Its network has a policy, which a search can use; otherwise it has values of actions instead."""
    learns_off_policy: bool = False
    """It learns from what any policy has played, however old."""
    learns_tables: bool = False
    """It can learn in float64, which is for tables."""
    keeps_moments: bool = False
    """It keeps running moments of the observations, which its network is normalised by."""
    keeps_transitions: bool = False
    """Its replay holds transitions, which no game on disk brings back: it can be saved."""
    learns_rollouts: bool = False
    """It learns from rollouts of `actors.rollout_steps`, all of their steps or batches of them."""
    curriculum: tuple[str, str] | None = None
    """Module and class of the algorithm with a `curriculum`; None where it plays one game alone."""


KINDS = {
    "alphazero": AlgorithmKind(
        "selfplay.algorithms.alphazero",
        "AlphaZero",
        searches=True,
        can_be_measured=True,
        curriculum=("selfplay.algorithms.curriculum", "CurriculumAlphaZero"),
    ),
    "muzero": AlgorithmKind("selfplay.algorithms.muzero", "MuZero", keeps_moments=True, searches=True),
    "dqn": AlgorithmKind(
        "selfplay.algorithms.dqn",
        "Dqn",
        learns_policy=False,
        learns_off_policy=True,
        learns_tables=True,
        keeps_transitions=True,
    ),
    "q_iteration": AlgorithmKind(
        "selfplay.algorithms.q_iteration",
        "QIteration",
        learns_policy=False,
        learns_off_policy=True,
        learns_tables=True,
    ),
    "reinforce": AlgorithmKind("selfplay.algorithms.actor_critic", "Reinforce", keeps_moments=True),
    "actor_critic": AlgorithmKind(
        "selfplay.algorithms.actor_critic", "ActorCritic", keeps_moments=True, learns_rollouts=True
    ),
}
"""Every algorithm; only the module of the one that a run uses is imported."""


def kind_of(config: Config) -> AlgorithmKind:
    """The kind of the algorithm of a run."""
    return KINDS[config.algorithm]


def load_algorithm(config: Config) -> Algorithm:
    """The algorithm of a run. Raises UserError or GameError for settings that do not fit the game or environment."""
    kind = kind_of(config)
    module, class_name = kind.module, kind.class_name
    if config.curriculum:
        if kind.curriculum is None:
            raise UserError(f"curriculum: {config.algorithm} plays one game; use alphazero, or leave it out")
        module, class_name = kind.curriculum
    return cast("Algorithm", getattr(import_module(module), class_name)(config))


def searcher(config: Config) -> AlphaZero:
    """What makes network and models of the players of a run, for `game` alone.

    The networks of algorithms without search are AlphaZero's, in games.
    """
    kind = kind_of(config)
    kind = kind if kind.searches else KINDS["alphazero"]
    return cast("AlphaZero", getattr(import_module(kind.module), kind.class_name)(config))
