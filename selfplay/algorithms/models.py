"""The models that searches think with: a game, and what judges its positions.

In the flow: self-play, players, benchmarks and the page get a factory here and hand it to whoever searches. None of
them knows what a model is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from games import Game, Symmetry
from search import ConstantEvaluator, ModelFactory, NetworkEvaluator, RolloutEvaluator, SimulatorFactory
from search.evaluators import Predict
from search.perspective import num_values

if TYPE_CHECKING:
    from selfplay.config.run import Config


def network_models(
    game: Game,
    predict: Predict,
    cache_megabytes: int,
    symmetries: Sequence[Symmetry] = (),
    symmetry_rng: np.random.Generator | None = None,
) -> ModelFactory:
    """The game with a network; `predict` and the rest as in `search.NetworkEvaluator`."""
    return SimulatorFactory(game, NetworkEvaluator(game, predict, cache_megabytes, symmetries, symmetry_rng))


def selfplay_models(config: Config, game: Game, predict: Predict, rng: np.random.Generator) -> ModelFactory:
    """The game with a network, as `search` and `actors` of a run's settings say. Random symmetries use a child of
    `rng`."""
    symmetries = game.symmetries() if config.actors.symmetries != "none" else []
    symmetry_rng = rng.spawn(1)[0] if config.actors.symmetries == "random" else None
    return network_models(game, predict, config.search.cache_megabytes, symmetries, symmetry_rng)


def blind_models(game: Game, cache_megabytes: int = 0) -> ModelFactory:
    """The game with a network that returns zeros: what self-play costs without the network's time."""
    values = num_values(game)

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(observations)
        return np.zeros((n, game.num_actions), np.float32), np.zeros((n, values), np.float32)

    return network_models(game, predict, cache_megabytes)


def uniform_models(game: Game) -> ModelFactory:
    """The game alone: every move equally likely, every value zero."""
    return SimulatorFactory(game, ConstantEvaluator())


def rollout_models(game: Game, rng: np.random.Generator, rollouts: int = 1) -> ModelFactory:
    """The game with random play to its end, `rollouts` times from each position."""
    return SimulatorFactory(game, RolloutEvaluator(rng, rollouts))
