"""Forced wins are found, proven values are exact, every tree keeps its laws, bad evaluators are refused."""

from __future__ import annotations

import numpy as np
import pytest
from search_helpers import (
    TextEvaluator,
    assert_sound,
    fast_search,
    new_search,
    noisy_predict,
    random_positions,
    search_after,
    subtree,
)

import games
from games import TERMINAL, State
from search import ConstantEvaluator, Evaluation, NetworkEvaluator, RolloutEvaluator, Search, SearchConfig
from search.expansion import LARGEST_FAN
from search.search import LONGEST_CHAIN, SearchError

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")

# Forced wins.

# Winning moves (or the only moves that do not lose), for the player to move after the moves given.
TACTICS = {
    "win in one": ("tic_tac_toe", [0, 3, 1, 4], {2}),
    "win rather than block": ("tic_tac_toe", [4, 0, 8, 1, 3], {2}),
    "block": ("tic_tac_toe", [0, 4, 1], {2}),
    # x in two opposite corners, o in the centre and one corner: the last corner makes two threats.
    "fork, win in three plies": ("tic_tac_toe", [0, 4, 8, 2], {6}),
    "only an edge holds against the corners": ("tic_tac_toe", [0, 4, 8], {1, 3, 5, 7}),
    "four in a column": ("connect_four", [3, 2, 3, 2, 3, 2], {3}),
    "stop four in a column": ("connect_four", [3, 2, 3, 2, 3], {3}),
    # Two discs side by side with room on both sides: a third makes two threats.
    "open three, win in three plies": ("connect_four", [2, 2, 3, 3], {1, 4}),
    "stop the open three": ("connect_four", [2, 2, 3], {1, 4}),
}


@pytest.mark.parametrize("proven_values", [False, True])
@pytest.mark.parametrize("rule", ["puct", "uct", "gumbel"])
@pytest.mark.parametrize(("name", "moves", "best"), TACTICS.values(), ids=TACTICS.keys())
def test_tactics_are_found(name: str, moves: list[int], best: set[int], rule: str, proven_values: bool) -> None:
    game = games.load(name)
    config = SearchConfig(rule=rule, num_simulations=1500, proven_values=proven_values, fpu_reduction=0.0)
    evaluator = RolloutEvaluator(np.random.default_rng(0)) if rule == "uct" else ConstantEvaluator()
    found = search_after(game, moves, config, evaluator)
    assert int(found.best_action[0]) in best
    target = dict(zip(found.actions[0].tolist(), found.policy_target[0].tolist(), strict=True))
    assert max(target, key=target.__getitem__) in best


# Proven values.


def minimax(state: State, known: dict[str, float]) -> float:
    """Value for the player to move; `known` by the text of the position."""
    text = str(state)
    if text not in known:
        known[text] = max(value_of_move(state, action, known) for action in state.legal_actions())
    return known[text]


def value_of_move(state: State, action: int, known: dict[str, float]) -> float:
    after = state.clone()
    after.apply(action)
    if after.to_play() == TERMINAL:
        return float(after.rewards()[state.to_play()])
    return -minimax(after, known)


@pytest.mark.parametrize("rule", ["puct", "gumbel", "uct"])
def test_proven_values_equal_minimax(rule: str) -> None:
    game = games.load("connect_four(rows=4,columns=4,x_in_row=3)")
    pool, states = random_positions(game, 16, seed=6, fewest=5)
    config = SearchConfig(rule=rule, num_simulations=20_000, proven_values=True)
    found = fast_search(game, config, pool, np.arange(16, dtype=np.uint64), False, ConstantEvaluator())
    known: dict[str, float] = {}
    expected = [minimax(state, known) for state in states]
    assert set(expected) >= {-1.0, 1.0}
    assert found.exact.all()
    assert found.root_value[np.arange(16), found.to_play].tolist() == expected
    moves_worth = [value_of_move(state, int(a), known) for state, a in zip(states, found.best_action, strict=True)]
    assert moves_worth == expected


@pytest.mark.parametrize("opening", [0, 1, 4])
def test_tic_tac_toe_is_proven_to_be_a_draw(opening: int) -> None:
    # The three first moves that differ. Much exploration, for the tree has to be exhausted.
    config = SearchConfig(num_simulations=60_000, proven_values=True, pb_c_init=100)
    found = search_after(TIC_TAC_TOE, [opening], config, ConstantEvaluator())
    assert found.exact.tolist() == [True]
    assert found.root_value.tolist() == [[0.0, 0.0]]


# Laws of every tree.

LAWS = [
    "tic_tac_toe",
    "connect_four",
    "othello",
    "pig(winscore=20)",
    "2048",
    "chinese_checkers(players=3)",
    "yacht",
    "cart_pole",
]


@pytest.mark.parametrize("rule", ["puct", "gumbel", "uct"])
@pytest.mark.parametrize("name", LAWS)
def test_no_illegal_move_ever_gets_a_visit(name: str, rule: str) -> None:
    game = games.load(name)
    config = SearchConfig(rule=rule, num_simulations=50)
    pool, _ = random_positions(game, 3, seed=8)
    search = new_search(game, config, 3, TextEvaluator(), noise=rule != "uct")
    trees = np.arange(3)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    search.run(trees)
    found = search.statistics(trees)
    for b in trees:
        legal = pool.legal(trees[b : b + 1])[1].tolist()
        count = len(legal)
        assert found.actions[b, :count].tolist() == legal
        assert (found.actions[b, count:] == -1).all()
        assert (found.visit_counts[b, count:] == 0).all() and (found.policy_target[b, count:] == 0).all()
        assert found.visit_counts[b].sum() == 50
        assert found.policy_target[b].sum() == pytest.approx(1.0)
        assert int(found.best_action[b]) in legal
        assert_sound(search, b)


def test_wide_chance_nodes_get_a_fan_of_bounded_size():
    game = games.load("yacht")
    search = new_search(game, SearchConfig(num_simulations=200), 1, ConstantEvaluator())
    pool, _ = random_positions(game, 1, seed=1)
    trees = np.arange(1)
    search.begin(trees, pool, trees, np.array([5], np.uint64))
    search.run(trees)
    nodes = search.tree.nodes[0, : search.tree.node_count[0]]
    fans = nodes[nodes["to_play"] == games.CHANCE]
    assert fans["num_edges"].max() == LARGEST_FAN
    first = fans["first_edge"][np.argmax(fans["num_edges"])]
    np.testing.assert_allclose(search.tree.edges["prior"][0, first : first + LARGEST_FAN], 1 / LARGEST_FAN, rtol=1e-6)
    assert_sound(search, 0)


def test_room_was_made_for_all_outcomes_of_a_wide_chance_node():
    game = games.load("yacht")
    search = new_search(game, SearchConfig(num_simulations=20), 2, ConstantEvaluator())
    pool, _ = random_positions(game, 2, seed=1)
    trees = np.arange(2)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    search.run(trees)
    chance = search.tree.nodes["to_play"] == games.CHANCE
    assert search.tree.nodes["num_edges"][chance].max() == LARGEST_FAN
    assert search.tree.edges.shape[1] < 2 * search.tree.edge_count.max(), "it grows only for edges that do not fit"


@pytest.mark.parametrize("name", ["pig(winscore=20)", "2048", "backgammon"])
def test_chance_nodes_fit_into_the_room_for_nodes(name: str) -> None:
    game = games.load(name)
    pool, _ = random_positions(game, 4, seed=3)
    search = new_search(game, SearchConfig(num_simulations=120, subtree_reuse=True), 4, ConstantEvaluator(), noise=True)
    trees = np.arange(4)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    for _ in range(121):
        search.simulate(trees)
        assert (search.tree.node_count <= search.nodes - LONGEST_CHAIN).all()
    assert search.statistics(trees).visit_counts.sum(axis=1).tolist() == [120] * 4


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe", "pig(winscore=20)", "2048"])
def test_a_kept_subtree_is_the_subtree_it_was_and_is_searched_to_the_budget(name: str) -> None:
    game = games.load(name)
    config = SearchConfig(num_simulations=150, subtree_reuse=True)
    pool, _ = random_positions(game, 3, seed=4)
    search = new_search(game, config, 3, TextEvaluator())
    trees, rng = np.arange(3), np.random.default_rng(0)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    search.run(trees)
    kept = 0
    for b in trees:
        at = trees[b : b + 1]
        while True:  # the most visited move, and what chance draws after it
            edges = subtree(search, b)["edges"]
            edge = max(edges, key=lambda edge: edge["visits"])
            to_play, _ = pool.step(at, np.array([edge["action"]]), at)
            search.advance(at, np.array([edge["action"]]))
            if edge["child"] is None:
                assert search.tree.node_count[b] == 0
                break
            assert subtree(search, b) == edge["child"] | {"reward": edge["child"]["reward"]}
            assert_sound_after_move(search, b)
            kept += 1
            if to_play[0] != games.CHANCE:
                break
        if pool.to_play(at)[0] < 0:  # the game is over, or chance moves on
            continue
        before = search.tree.nodes["visits"][b, 0]
        search.begin(at, pool, at, rng.integers(2**64, size=1, dtype=np.uint64))
        search.run(at)
        assert search.statistics(at).visit_counts.sum() == 150 > before - 1
        assert_sound(search, b)
    assert kept >= 3


def assert_sound_after_move(search: Search, b: int) -> None:
    if search.tree.nodes["to_play"][b, 0] != TERMINAL:
        assert_sound(search, b)


def test_a_move_that_was_never_searched_empties_the_tree():
    config = SearchConfig(num_simulations=1, subtree_reuse=True)
    search = new_search(CONNECT_FOUR, config, 2, ConstantEvaluator())
    pool, trees = CONNECT_FOUR.new_pool(2), np.arange(2)
    pool.reset(trees)
    search.begin(trees, pool, trees, trees.astype(np.uint64))
    search.run(trees)
    search.advance(trees, np.array([0, 6]))  # the one simulation went to column 0
    assert search.tree.node_count.tolist() == [1, 0]


# Refusals.


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["policy", "value"])
def test_an_evaluator_that_is_not_finite_is_refused(bad: float, where: str) -> None:
    class Broken(ConstantEvaluator):
        calls = 0

        def evaluate(self, pool, slots):
            found = super().evaluate(pool, slots)
            self.calls += 1
            logits, values = found.logits.copy(), found.values.copy()
            if self.calls == 3:
                (logits if where == "policy" else values).flat[-1] = bad
            return Evaluation(found.offsets, found.actions, logits, values)

    with pytest.raises(SearchError, match="not finite"):
        search_after(TIC_TAC_TOE, [], SearchConfig(num_simulations=10), Broken())


def test_a_finished_game_is_refused():
    with pytest.raises(SearchError, match="a player is to move"):
        search_after(TIC_TAC_TOE, [0, 3, 1, 4, 2], SearchConfig(num_simulations=10), ConstantEvaluator())


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"search\.subtree_reuse"):
        new_search(TIC_TAC_TOE, SearchConfig(rule="gumbel", subtree_reuse=True), 1, ConstantEvaluator())


def test_values_of_three_players_are_rotated_to_the_player_to_move():
    game = games.load("chinese_checkers(players=3)")

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.tile(np.array([0.5, 0.25, -0.75], np.float32), (len(observations), 1))
        return np.zeros((len(observations), game.num_actions), np.float32), values

    config = SearchConfig(num_simulations=1)
    for moves in range(3):
        state, history = games.new_state(game), []
        for _ in range(moves):
            history.append(int(state.legal_actions()[0]))
            state.apply(history[-1])
        found = search_after(game, history, config, NetworkEvaluator(game, predict))
        mover = int(found.to_play[0])
        seen = [found.raw_value[0, (mover + k) % 3] for k in range(3)]
        assert seen == pytest.approx([0.5, 0.25, -0.75])


def test_dense_statistics_are_zero_for_illegal_moves():
    evaluator = NetworkEvaluator(CONNECT_FOUR, noisy_predict(CONNECT_FOUR))
    moves = [3, 3, 3, 3, 3, 3, 0]  # column 3 is full
    found = search_after(CONNECT_FOUR, moves, SearchConfig(num_simulations=30), evaluator)
    dense = found.dense("visit_counts", 7)
    assert dense.shape == (1, 7) and dense[0, 3] == 0 and dense.sum() == 30
