"""The cache of evaluations: it changes how often the network is asked, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from search_helpers import new_search, noisy_predict, random_positions

import games
from search import EvaluationCache, EvaluationCounts, NetworkEvaluator, SearchConfig
from search.cache import WAYS, WIDEST, Answers


def run(game, evaluator: NetworkEvaluator, rule: str = "puct", count: int = 6):
    """Statistics of searches from the start and from other positions, some of them equal."""
    pool, _ = random_positions(game, count, seed=3)
    slots = np.arange(count)
    slots[1] = slots[0]  # two trees with the same root
    search = new_search(game, SearchConfig(rule=rule, num_simulations=60), count, evaluator)
    trees = np.arange(count)
    search.begin(trees, pool, slots, trees.astype(np.uint64))
    search.run(trees)
    return search.statistics(trees)


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "pig(winscore=15)", "chinese_checkers(players=3)"])
def test_cached_search_equals_the_uncached(name: str, rule: str) -> None:
    game = games.load(name)
    plain, cached = (NetworkEvaluator(game, noisy_predict(game), megabytes) for megabytes in (0, 4))
    expected, found = run(game, plain, rule), run(game, cached, rule)
    for field in ("actions", "visit_counts", "q_values", "policy_target", "root_value", "best_action"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
    with_cache, without = cached.take_counts(), plain.take_counts()
    assert with_cache.evaluations == without.evaluations == without.predictions
    assert with_cache.predictions < without.predictions
    assert with_cache.cache_seconds > 0 and without.cache_seconds == 0
    assert cached.take_counts() == EvaluationCounts(), "they start again"


def test_each_position_is_predicted_once():
    game = games.load("tic_tac_toe")
    seen: list[bytes] = []
    predict = noisy_predict(game)

    def recording(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.extend(row.tobytes() for row in observations)
        return predict(observations)

    evaluator = NetworkEvaluator(game, recording, 4)
    run(game, evaluator)
    run(game, evaluator)
    assert len(seen) == len(set(seen)) == evaluator.take_counts().predictions


def test_new_weights_are_asked_again():
    game = games.load("connect_four")
    evaluator = NetworkEvaluator(game, noisy_predict(game, salt=0), 4)
    run(game, evaluator)
    evaluator.predict = noisy_predict(game, salt=1)
    evaluator.weights_changed()
    found, expected = run(game, evaluator), run(game, NetworkEvaluator(game, noisy_predict(game, salt=1)))
    np.testing.assert_array_equal(found.q_values, expected.q_values)
    np.testing.assert_array_equal(found.visit_counts, expected.visit_counts)


# The cache by itself, with made-up observations.


def ask(cache: EvaluationCache, observations: np.ndarray, legal: list[list[int]], salt: float = 0.0):
    """Look up and store; returns the logits and values answered, and the rows that were not known."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in legal])]).astype(np.int64)
    actions = np.array([a for row in legal for a in row], np.int64)
    answers = Answers.allocate(offsets, actions, cache.entries.values.shape[2])
    answers.logits[:], answers.values[:] = np.nan, np.nan
    misses = cache.lookup(observations, answers).copy()
    if len(misses):
        cache.store(*opinion(cache, observations[misses], salt), answers)
    return answers.logits, answers.values, misses


def opinion(cache: EvaluationCache, observations: np.ndarray, salt: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, 400] and values for made-up observations: sums, so that each is easy to check."""
    sums = observations.reshape(len(observations), -1).sum(axis=1, keepdims=True)
    num_values = cache.entries.values.shape[2]
    return (sums + np.arange(400) + salt).astype(np.float32), np.repeat(sums, num_values, axis=1) + salt


def assert_right(cache: EvaluationCache, observations: np.ndarray, legal: list[list[int]], logits, values, salt=0.0):
    expected_logits, expected_values = opinion(cache, observations, salt)
    expected = [expected_logits[i, row] for i, row in enumerate(legal)]
    np.testing.assert_array_equal(logits, np.concatenate(expected))
    np.testing.assert_array_equal(values, expected_values)


def made_up(count: int, first: int = 0) -> np.ndarray:
    """Distinct observations [count, 2, 3] of small whole numbers."""
    out = np.zeros((count, 2, 3), np.float32)
    out[:, 0, 0] = np.arange(first, first + count)
    return out


def test_a_batch_is_answered_from_the_cache_the_second_time():
    cache = EvaluationCache(1, 400, 3)
    observations, legal = made_up(50), [[i, i + 100] for i in range(50)]
    *answers, misses = ask(cache, observations, legal)
    assert misses.tolist() == list(range(50))
    assert_right(cache, observations, legal, *answers)
    *answers, misses = ask(cache, observations, legal)
    assert len(misses) == 0
    assert_right(cache, observations, legal, *answers)


def test_equal_positions_of_a_batch_are_evaluated_once():
    cache = EvaluationCache(1, 400, 1)
    observations = made_up(4)[[0, 1, 0, 2, 1, 0, 3]]
    legal = [[5, 7]] * 7
    *answers, misses = ask(cache, observations, legal)
    assert misses.tolist() == [0, 1, 3, 6]
    assert_right(cache, observations, legal, *answers)


def test_equal_observations_with_other_legal_actions_do_not_collide():
    cache = EvaluationCache(1, 400, 1)
    observations = made_up(1)[[0, 0, 0, 0]]
    legal = [[1, 2], [1, 3], [1], [1, 2, 3]]
    for expected_misses in (4, 0):
        *answers, misses = ask(cache, observations, legal)
        assert len(misses) == expected_misses
        assert_right(cache, observations, legal, *answers)


def test_clear_forgets():
    cache = EvaluationCache(1, 400, 1)
    observations, legal = made_up(10), [[1, 2]] * 10
    ask(cache, observations, legal)
    cache.clear()
    *answers, misses = ask(cache, observations, legal, salt=0.5)
    assert len(misses) == 10
    assert_right(cache, observations, legal, *answers, salt=0.5)


def test_memory_is_bounded_and_answers_stay_right_when_old_entries_make_room():
    cache = EvaluationCache(1, 400, 2)
    arrays = cache.entries
    assert sum(array.nbytes for array in arrays) <= 1_000_000
    room = cache.entries.keys.shape[0] * WAYS
    legal = [[0, 9]] * 100
    for first in range(0, 4 * room, 100):
        observations = made_up(100, first)
        *answers, misses = ask(cache, observations, legal)
        assert len(misses) == 100
        assert_right(cache, observations, legal, *answers)
        *answers, _ = ask(cache, made_up(100, max(0, first - 300)), legal)  # some known, some forgotten
        assert_right(cache, made_up(100, max(0, first - 300)), legal, *answers)
    assert all(a is b for a, b in zip(arrays, cache.entries, strict=True))
    *_, misses = ask(cache, observations, legal)
    assert len(misses) < 10, "the newest entries are the ones that are kept"


def test_positions_with_too_many_moves_are_shared_in_a_batch_but_not_kept():
    cache = EvaluationCache(1, 400, 1)
    observations, legal = made_up(2)[[0, 1, 0]], [list(range(WIDEST + 1)), [3], list(range(WIDEST + 1))]
    *answers, misses = ask(cache, observations, legal)
    assert misses.tolist() == [0, 1]
    assert_right(cache, observations, legal, *answers)
    *answers, misses = ask(cache, observations, legal)
    assert misses.tolist() == [0]
    assert_right(cache, observations, legal, *answers)
