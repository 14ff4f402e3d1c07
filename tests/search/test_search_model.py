"""The search over a model that is not the game: latents, no pool, no chance, no ends, no proofs."""

from __future__ import annotations

import numpy as np
import pytest
from reference_search import ReferenceSearch
from search_helpers import TextEvaluator, fast_search, judge, new_search, random_positions, reference_evaluate

import games
from games import StatePool
from search import Evaluation, ModelTraits, RootStatistics, Search, SearchConfig

GAME = games.load("tic_tac_toe")
CELLS = 9
LINES = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])


class LatentModel:
    """Tic-tac-toe as a learned model sees it: a latent is the board of the player to move, 1 his cells, -1 the others'.

    Nothing ends: after the end of a game the latent stays as it is, every action is listed, and the value stays the
    result, with its sign alternating (Schrittwieser et al. 2020, appendix B).
    """

    traits = ModelTraits("latent tic-tac-toe", num_players=2, num_actions=CELLS, max_return=1.0)

    def allocate(self, num_slots: int) -> None:
        self.latents = np.zeros((num_slots, CELLS), np.float32)
        self.mover = np.zeros(num_slots, np.int64)

    def load(self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray) -> np.ndarray:
        observations = np.zeros((len(pool_slots), *GAME.observation_shape), np.float32)
        pool.observe(pool_slots, observations)
        self.mover[slots] = pool.to_play(pool_slots)
        # Planes: empty, o (the second player), x, and the seats.
        second, first = observations[:, 1].reshape(-1, CELLS), observations[:, 2].reshape(-1, CELLS)
        self.latents[slots] = (first - second) * np.where(self.mover[slots] == 0, 1, -1)[:, None]
        return self.mover[slots]

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        played = self.latents[src]
        goes_on = self._results(played) == 0
        goes_on &= played[np.arange(len(src)), actions] == 0
        played[np.flatnonzero(goes_on), actions[goes_on]] = 1
        self.latents[dst], self.mover[dst] = -played, 1 - self.mover[src]
        return self.mover[dst], np.zeros((len(src), 2))

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raise AssertionError("a model without chance nodes is never asked for outcomes")

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        rows, logits, values = [], [], []
        for latent, mover in zip(self.latents[slots], self.mover[slots].tolist(), strict=True):
            result = float(self._results(latent[None])[0])
            is_over = result != 0 or (latent != 0).all()
            rows.append(np.arange(CELLS) if is_over else np.flatnonzero(latent == 0))
            if is_over:
                logits.append(np.zeros(CELLS, np.float32))
                values.append(np.array([result, -result]) * (1 if mover == 0 else -1))
            else:
                opinion, value = judge(self.text(latent, mover), len(rows[-1]), 2)
                logits.append(opinion)
                values.append(value)
        offsets = np.cumsum([0, *map(len, rows)])
        return Evaluation(offsets, np.concatenate(rows), np.concatenate(logits), np.array(values))

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        raise AssertionError("a model that cannot reuse positions is never asked to copy them")

    def collect_unsound(self) -> None:
        pass

    def take_unsound(self) -> dict[int, str]:
        return {}

    @staticmethod
    def text(latent: np.ndarray, mover: int) -> str:
        """The board as the game writes it, so that `judge` has the same opinion."""
        own, other = ("x", "o") if mover == 0 else ("o", "x")
        cells = "".join(own if cell > 0 else other if cell < 0 else "." for cell in latent)
        return "\n".join(cells[row : row + 3] for row in (0, 3, 6))

    @staticmethod
    def _results(latents: np.ndarray) -> np.ndarray:
        """[n]: 1 or -1 where the player to move has won or lost, 0 elsewhere."""
        sums = latents[:, LINES].sum(axis=2)
        return (sums == 3).any(axis=1).astype(np.int64) - (sums == -3).any(axis=1)


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
