"""The search over a model that is not the game: latents, no pool, no chance, no ends, no proofs."""

from __future__ import annotations

import numpy as np
import pytest
from latent_model import CELLS, GAME, LatentFactory, LatentModel
from reference_search import ReferenceSearch
from search_helpers import TextEvaluator, fast_search, new_search, random_positions, reference_evaluate

import games
from games import StatePool
from search import ModelTraits, RootStatistics, Search, SearchConfig
from selfplay.config.run import ActorsConfig
from selfplay.experience.self_play import SelfPlay
from selfplay.players.search import SearchPlayer, expected_line


def latent_search(config: SearchConfig, pool: StatePool, seeds: np.ndarray, noise: bool) -> RootStatistics:
    search, trees = Search(LatentModel(), config, len(seeds), noise), np.arange(len(seeds))
    search.begin(trees, pool, trees, seeds)
    search.run(trees)
    return search.statistics(trees)


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_a_perfect_model_in_latents_plans_as_the_game_does(rule: str, noise: bool) -> None:
    """Visits below an end, where a learned model plays on, leave every number at the root as it was."""
    config = SearchConfig(rule=rule, num_simulations=60)
    pool, states = random_positions(GAME, 12, seed=31)
    seeds = np.arange(12, dtype=np.uint64)
    latent = latent_search(config, pool, seeds, noise)
    real = fast_search(GAME, config, pool, seeds, noise)
    for name in ("actions", "visit_counts", "prior", "raw_value", "to_play", "best_action"):
        np.testing.assert_array_equal(getattr(latent, name), getattr(real, name), err_msg=name)
    for name in ("q_values", "policy_target", "root_value"):
        np.testing.assert_allclose(getattr(latent, name), getattr(real, name), rtol=1e-6, atol=1e-9, err_msg=name)
    for i, state in enumerate(states):
        expected = ReferenceSearch(GAME, config, reference_evaluate(GAME), i, noise)
        root = expected.run(state)
        assert latent.visit_counts[i, : len(root.counts)].tolist() == root.counts


@pytest.mark.parametrize("rule", ["puct", "gumbel", "uct"])
def test_a_model_in_latents_finds_forced_wins(rule: str) -> None:
    pool = GAME.new_pool(2)
    for slot, moves in enumerate([(0, 3, 1, 4), (0, 4, 8, 2)]):  # a line of x to complete; two threats at once
        at = np.array([slot])
        pool.reset(at)
        for move in moves:
            pool.step(at, np.array([move]), at)
    found = latent_search(SearchConfig(rule=rule, num_simulations=1500), pool, np.arange(2, dtype=np.uint64), False)
    assert found.best_action.tolist() == [2, 6]
    assert (found.root_value[:, 0] > 0.5).all() and not found.exact.any()


@pytest.mark.parametrize("setting", ["proven_values", "subtree_reuse"])
def test_settings_that_a_learned_model_cannot_serve_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=rf"search\.{setting}: the model of latent tic-tac-toe .* use false"):
        Search(LatentModel(), SearchConfig(**{setting: True}), 1)


def test_a_model_without_bounds_is_searched_with_rescaled_values() -> None:
    """Values of any size choose the same moves as the same values on another scale."""
    found = []
    for size in (1.0, 1000.0):
        model = LatentModel()
        model.traits = ModelTraits("latent tic-tac-toe", num_players=2, num_actions=CELLS)
        evaluate = model.evaluate
        model.evaluate = lambda slots, evaluate=evaluate, size=size: evaluate(slots)._replace(
            values=evaluate(slots).values * size
        )
        pool, _ = random_positions(GAME, 6, seed=32)
        search, trees = Search(model, SearchConfig(num_simulations=50), 6), np.arange(6)
        search.begin(trees, pool, trees, trees.astype(np.uint64))
        search.run(trees)
        found.append(search.statistics(trees))
    np.testing.assert_array_equal(found[0].visit_counts, found[1].visit_counts)
    np.testing.assert_allclose(found[0].root_value * 1000.0, found[1].root_value, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["connect_four", "pig(winscore=15)", "2048"])
@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_two_halves_that_take_turns_search_as_both_together(name: str, rule: str) -> None:
    """The second half is selected while the evaluation of the first is under way, and the other way round."""
    game = games.load(name)
    config = SearchConfig(rule=rule, num_simulations=40)
    pool, _ = random_positions(game, 8, seed=33)
    seeds = np.arange(8, dtype=np.uint64)
    expected = fast_search(game, config, pool, seeds, True)
    search = new_search(game, config, 8, TextEvaluator(), noise=True)
    first, second = np.arange(4), np.arange(4, 8)
    search.begin(np.arange(8), pool, np.arange(8), seeds)

    made, under_way = 0, search.select(first)
    for _ in range(41):  # the first evaluates the roots
        evaluated = search.evaluate(under_way)
        other = search.select(second)
        made += search.complete(under_way, evaluated)
        under_way = search.select(first) if not search.finished(first).all() else None
        made += search.complete(other, search.evaluate(other))
    assert under_way is None and made == search.simulations() == 8 * 40
    found = search.statistics(np.arange(8))
    for field, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, field), array, err_msg=field)


def test_the_evaluation_of_a_root_is_no_simulation() -> None:
    config = SearchConfig(num_simulations=10, subtree_reuse=True)
    pool, _ = random_positions(GAME, 3, seed=34)
    search, trees = new_search(GAME, config, 3, TextEvaluator()), np.arange(3)
    search.begin(trees[:2], pool, trees[:2], np.arange(2, dtype=np.uint64))
    assert search.simulate(trees[:2]) == 0
    search.begin(trees[2:], pool, trees[2:], np.arange(1, dtype=np.uint64))
    assert search.simulate(trees) == 2, "the third tree has just begun"
    assert search.run(trees) == 3 * 10 - 2
    assert search.simulations() == 30


def after(*moves: int) -> StatePool:
    pool, at = GAME.new_pool(1), np.zeros(1, np.int64)
    pool.reset(at)
    for move in moves:
        pool.step(at, np.array([move]), at)
    return pool


def test_a_player_with_a_learned_model_plays_and_its_line_ends_with_the_game() -> None:
    """The model plays on after the end, or on a cell that is taken; nobody is shown that."""
    player = SearchPlayer("latent", LatentFactory(), SearchConfig(num_simulations=300), seed=0)
    pool = after(0, 3, 1, 4)  # x completes the row of 2, or o wins with 5
    assert player.choose(pool, np.zeros(1, np.int64), [[0, 3, 1, 4]]).tolist() == [2]
    analysis = player.analyse(pool, 0)
    assert [move.action for move in analysis.moves][0] == analysis.action == 2
    search = player.begin(pool, 0)
    search.run(np.zeros(1, np.int64))
    assert len(search.principal_variation(0, 2, 8)) > 1
    assert list(expected_line(search, pool, 0, 2, 8)) == [2]
    assert pool.text(0) == after(0, 3, 1, 4).text(0), "the line is replayed elsewhere"


def test_self_play_with_a_learned_model_records_games_by_the_rules() -> None:
    actors = ActorsConfig(games_per_actor=12)
    search = SearchConfig(num_simulations=16)
    playing = SelfPlay(GAME, LatentFactory(), search, actors, np.random.default_rng(0), endless=False)
    records = []
    while not playing.done:
        records += playing.collect()
    assert len(records) == 12
    for record in records:
        pool = after(*record.action[:-1].tolist())
        assert pool.to_play(np.zeros(1, np.int64))[0] == record.to_play[-1]
        to_play, _ = pool.step(np.zeros(1, np.int64), record.action[-1:].astype(np.int64), np.zeros(1, np.int64))
        assert to_play[0] == games.TERMINAL
    counts = playing.take_counts()
    assert counts.simulations == 16 * sum(map(len, records)) and counts.evaluations == 0
