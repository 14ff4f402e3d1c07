"""Evaluation under the symmetries of a game: what comes back fits the position that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from search_helpers import noisy_predict, random_positions

import games
from search import NetworkEvaluator

NAMES = ["connect_four", "tic_tac_toe", "hex(board_size=4)"]


def images(game: games.Game, predict, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits [1 + S, n, A] and values [1 + S, n, 1] of the positions and their images, mirrored back."""
    logits, values = [], []
    for gather, action in [(None, None), *((s.observation, s.action) for s in game.symmetries())]:
        flat = observations.reshape(len(observations), -1)
        seen = flat if gather is None else flat[:, gather]
        said, value = predict(seen.reshape(observations.shape))
        logits.append(said if action is None else said[:, np.argsort(action)])
        values.append(value)
    return np.array(logits), np.array(values)


def evaluated(name: str, seeded: bool):
    game = games.load(name)
    pool, _ = random_positions(game, 40, seed=2)
    slots = np.arange(40)
    observations = np.zeros((40, *game.observation_shape), np.float32)
    pool.observe(slots, observations)
    predict = noisy_predict(game)
    rng = np.random.default_rng(1) if seeded else None
    evaluator = NetworkEvaluator(game, predict, 0, game.symmetries(), rng)
    evaluation = evaluator.evaluate(pool, slots)
    rows = np.repeat(slots, np.diff(evaluation.offsets))
    own = evaluation.values[slots, pool.to_play(slots)]
    return *images(game, predict, observations), rows, evaluation, own, evaluator


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_all_images(name: str) -> None:
    logits, values, rows, evaluation, own, _ = evaluated(name, seeded=False)
    np.testing.assert_allclose(evaluation.logits, logits.mean(axis=0)[rows, evaluation.actions], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own, values.mean(axis=0)[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_image_drawn_for_each_position(name: str) -> None:
    logits, values, rows, evaluation, own, evaluator = evaluated(name, seeded=True)
    used = set()
    for i in range(len(own)):
        here = rows == i
        found = evaluation.logits[here]
        fitting = [
            k
            for k in range(len(values))
            if np.isclose(own[i], values[k, i, 0]) and np.allclose(found, logits[k, i, evaluation.actions[here]])
        ]
        assert fitting, "value and policy are those of one image"
        used.update(fitting[:1])
    assert used == set(range(len(values))), "every image is drawn"
    assert evaluator.take_counts().predictions == len(own), "at the price of one prediction"
