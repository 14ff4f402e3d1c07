"""The search over a learned model: a perfect one plans as the rules do, and no tree sees another one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chance_games import DiceGame
from hypothesis import given
from hypothesis import strategies as st
from perfect_world import DepartureOutputs, HiddenEnds, HiddenEvaluator, PerfectWorld, WorldOutputs, random_histories
from race_game import RaceGame
from search_helpers import TextEvaluator, fast_search, judge, play_from_start

import games
from games import CHANCE, Game
from search import RootStatistics, Search, SearchConfig
from search.evaluators import EvaluationCounts
from search.learned_model import LEAST_SHARE, LearnedModel, LearnedModelFactory, _Nodes, learned_traits, list_likely

EXACT = ("actions", "visit_counts", "prior", "raw_value", "to_play", "best_action")
CLOSE = ("q_values", "policy_target", "root_value")


def learned_search(
    world: PerfectWorld, config: SearchConfig, histories, seeds, noise=True, order=None, width=10_000, codes=0
) -> RootStatistics:
    """Search the positions after `histories`, one tree each, in the trees `order`; `codes` for chance."""
    game = world.game
    pool = game.new_pool(len(histories))
    world.know(pool, histories)
    models = LearnedModelFactory(game, world, width, codes)
    search = Search(models.make_model(), config, len(histories), noise)
    trees = np.arange(len(histories)) if order is None else np.asarray(order)
    search.begin(trees, pool, np.arange(len(histories)), np.asarray(seeds, np.uint64))
    search.run(trees)
    return search.statistics(trees)


def assert_same_search(found: RootStatistics, expected: RootStatistics) -> None:
    for name in EXACT:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in CLOSE:
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-6, atol=1e-9, err_msg=name
        )  # fmt: skip


RESULT_GAMES = [
    pytest.param(games.load("tic_tac_toe"), False, 8, id="tic-tac-toe"),
    pytest.param(games.load("connect_four"), False, 34, id="connect four"),
    pytest.param(RaceGame(3, has_rewards=False), False, 3, id="three players"),
    pytest.param(RaceGame(2, has_rewards=False, extra_turns=True), True, 3, id="turns that come twice"),
    pytest.param(RaceGame(3, has_rewards=False, extra_turns=True), True, 3, id="three players and such turns"),
]


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize(("game", "says_seats", "most"), RESULT_GAMES)
def test_a_perfect_model_plans_as_the_game_does(game: Game, says_seats: bool, most: int, rule: str) -> None:
    """What the model dreams behind an end leaves every number at the root as the rules have it."""
    histories, config = random_histories(game, 8, 1, most), SearchConfig(rule=rule, num_simulations=50)
    seeds, pool = np.arange(8, dtype=np.uint64), game.new_pool(8)
    for slot, history in enumerate(histories):
        play_from_start(pool, slot, history)
    world = PerfectWorld(game, says_seats)
    found = learned_search(world, config, histories, seeds)
    assert_same_search(found, fast_search(game, config, pool, seeds, True, TextEvaluator()))
    assert any(state.is_over for state in world.states), "no search came to an end of the game"


REWARD_GAMES = [
    pytest.param(games.load("cart_pole(max_steps=6,starts=4)"), False, 4, id="cart-pole"),
    pytest.param(RaceGame(1, has_rewards=True), False, 3, id="one player"),
    pytest.param(RaceGame(2, has_rewards=True), False, 3, id="two players"),
    pytest.param(RaceGame(2, has_rewards=True, extra_turns=True), True, 3, id="turns that come twice"),
    pytest.param(RaceGame(2, has_rewards=True, extra_turns=True, zero_sum=False), True, 3, id="not zero-sum"),
    pytest.param(RaceGame(3, has_rewards=True, extra_turns=True), True, 3, id="three players"),
]


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize(("game", "says_seats", "most"), REWARD_GAMES)
def test_a_perfect_model_of_rewards_plans_as_a_game_whose_end_is_hidden(
    game: Game, says_seats: bool, most: int, rule: str
) -> None:
    """Edges behind the end, with the value 0, count for the least and the greatest value in the tree."""
    histories = random_histories(game, 5, 2, most)
    config = SearchConfig(rule=rule, num_simulations=50, discount=0.9)
    seeds, hidden = np.arange(5, dtype=np.uint64), HiddenEnds(game)
    pool = hidden.new_pool(5)
    for slot, history in enumerate(histories):
        play_from_start(pool, slot, history)
    world = PerfectWorld(game, says_seats)
    found = learned_search(world, config, histories, seeds)
    assert_same_search(found, fast_search(hidden, config, pool, seeds, True, HiddenEvaluator()))
    assert any(state.is_over for state in world.states), "no search came to an end of the game"
    assert np.nanmax(np.abs(found.q_values)) > 1.0, "rewards are larger than values"


CHANCE_GAMES = [
    pytest.param(DiceGame(2, has_rewards=False), False, id="two players, result"),
    pytest.param(DiceGame(2, has_rewards=False, extra_turns=True), True, id="turns that come twice"),
    pytest.param(DiceGame(1, has_rewards=True), False, id="one player, rewards"),
    pytest.param(DiceGame(2, has_rewards=True, extra_turns=True), True, id="two players, rewards"),
    pytest.param(DiceGame(3, has_rewards=True, extra_turns=True), True, id="three players, rewards"),
]


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize(("game", "says_seats"), CHANCE_GAMES)
def test_a_perfect_model_of_chance_plans_as_the_game_does(game: Game, says_seats: bool, rule: str) -> None:
    """Codes are drawn as outcomes are. The game pays on the move and behind it, the model when chance has had its turn:
    with a discount, both are the same only where no time passes in between."""
    histories = random_histories(game, 5, 2, 4)
    config = SearchConfig(rule=rule, num_simulations=50, discount=0.9 if game.has_rewards else 1.0)
    seeds, hidden = np.arange(5, dtype=np.uint64), HiddenEnds(game)
    pool = hidden.new_pool(5)
    for slot, history in enumerate(histories):
        play_from_start(pool, slot, history)
    world = PerfectWorld(game, says_seats)
    found = learned_search(world, config, histories, seeds, codes=game.max_chance_outcomes)
    assert_same_search(found, fast_search(hidden, config, pool, seeds, True, HiddenEvaluator()))
    assert any(state.is_over for state in world.states), "no search came to an end of the game"


def test_codes_that_are_unlikely_are_no_outcomes() -> None:
    """Of a thousandth of the likeliest one and less; the others' probabilities sum to 1."""

    class Unsure(PerfectWorld):
        def departure(self, latents: np.ndarray, actions: np.ndarray) -> DepartureOutputs:
            said = super().departure(latents, actions)
            logits = np.float32([[0.0, math.log(0.5), math.log(0.9e-3)], [-80.0, 5.0, -80.0]])
            return said._replace(code_logits=logits[: len(actions)])

    game = DiceGame(1, has_rewards=True)
    world, pool, slots = Unsure(game), game.new_pool(2), np.arange(2)
    world.know(pool, [[], [0, 1]])
    factory = LearnedModelFactory(game, world, 3, 3)
    model = factory.make_model()
    model.allocate(6)
    model.load(slots, pool, slots)
    model.evaluate(slots)
    to_play, rewards = model.step(slots, np.array([0, 1]), slots + 2)
    assert to_play.tolist() == [CHANCE, CHANCE] and not rewards.any()
    offsets, codes, probabilities = model.chance(slots + 2)
    assert offsets.tolist() == [0, 2, 3] and codes.tolist() == [0, 1, 1]
    np.testing.assert_allclose(probabilities, [2 / 3, 1 / 3, 1.0], rtol=1e-6)
    both = np.array([2, 1])  # an afterstate, and a position where a player moves
    to_play, rewards = model.step(both, np.array([0, 2]), np.array([4, 5]))
    assert to_play.tolist() == [0, CHANCE] and rewards[0] != 0
    counts = factory.take_counts()
    assert counts.evaluations + 1 == counts.predictions == 2 + 2 + 2, "the leaf is not asked for again"


# One tree does not see another.


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_one_tree_alone_is_as_among_many(rule: str) -> None:
    """LightZero's fault: a number of one tree leaked into the next one of the batch."""
    game = RaceGame(2, has_rewards=True, extra_turns=True, zero_sum=False)
    one_each = random_histories(game, 8, 3, 3)
    histories, seeds = one_each * 8, np.arange(64, dtype=np.uint64)
    config = SearchConfig(rule=rule, num_simulations=24)
    together = learned_search(PerfectWorld(game, True), config, histories, seeds)
    order = np.random.default_rng(0).permutation(64)
    shuffled = learned_search(PerfectWorld(game, True), config, histories, seeds, order=order)
    for name in (*EXACT, *CLOSE):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(together, name), err_msg=name)
    for i in (0, 13, 63):
        alone = learned_search(PerfectWorld(game, True), config, [histories[i]], seeds[i : i + 1])
        width = alone.actions.shape[1]
        for name in (*EXACT, *CLOSE):
            row = getattr(together, name)[i]
            row = row[:width] if name not in ("to_play", "best_action", "root_value", "raw_value") else row
            np.testing.assert_array_equal(getattr(alone, name)[0], row, err_msg=name)


def test_roots_join_the_batch_of_leaves_and_are_asked_once() -> None:
    """A tree that begins later gets its root's legal actions; slots of an older search leave nothing behind."""
    game, config = games.load("tic_tac_toe"), SearchConfig(num_simulations=9)
    world, histories = PerfectWorld(game), [[0], [4, 0], [4, 0, 8]]
    pool = game.new_pool(3)
    world.know(pool, histories)
    factory = LearnedModelFactory(game, world, 9)
    search, trees = Search(factory.make_model(), config, 2), np.arange(2)
    search.begin(trees[:1], pool, trees[:1], np.zeros(1, np.uint64))
    search.simulate(trees[:1])
    search.simulate(trees[:1])
    search.begin(trees[1:], pool, trees[1:], np.ones(1, np.uint64))
    search.run(trees)
    mixed = search.statistics(trees)
    expected = learned_search(PerfectWorld(game), config, histories[:2], [0, 1], noise=False)
    assert_same_search(mixed, expected)
    counts = factory.take_counts()
    assert counts.evaluations == counts.predictions == 2 + 2 * 9
    assert counts.network_calls == len(world.batches) and factory.take_counts().predictions == 0
    search.clear(trees)
    search.begin(trees[:1], pool, np.array([2]), np.array([2], np.uint64))
    search.run(trees[:1])
    again = learned_search(PerfectWorld(game), config, histories[2:], [2], noise=False)
    assert_same_search(search.statistics(trees[:1]), again)


# The cut of unlikely actions.


class LoudWorld(PerfectWorld):
    """One that thinks every action likely below the root, those that are not legal most of all."""

    def recurrent(self, latents: np.ndarray, actions: np.ndarray) -> WorldOutputs:
        legal = [self.states[int(latent)].clone() for latent in latents[:, 0]]
        playable = np.array([
            action if action in state.legal_actions() else state.legal_actions()[0]
            for state, action in zip(legal, actions.tolist(), strict=True)
        ])  # fmt: skip
        said = super().recurrent(latents, playable)
        return said._replace(policy_logits=np.where(said.policy_logits < -1e8, np.float32(3), said.policy_logits))


def test_a_root_lists_the_legal_actions_alone_whatever_the_network_thinks() -> None:
    game = games.load("connect_four")
    histories = [[], [3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]
    found = learned_search(LoudWorld(game), SearchConfig(num_simulations=40), histories, [0, 1, 2], width=2)
    legal = [list(range(7)), [0, 1, 2, 4, 5, 6], [2, 3, 4, 5, 6]]
    for row, expected in zip(found.actions, legal, strict=True):
        assert row[row >= 0].tolist() == expected, "neither cut to a width of 2 nor with a column that is full"


def likely(logits: np.ndarray, width: int) -> list[tuple[int, float]]:
    """The slow reference of `list_likely` for one row."""
    near = [a for a in range(len(logits)) if float(logits[a]) >= float(logits.max()) + math.log(LEAST_SHARE)]
    likeliest = sorted(near, key=lambda a: (-logits[a], a))[:width]
    return [(a, float(logits[a])) for a in sorted(likeliest)]


def run_list_likely(logits: np.ndarray, slots: np.ndarray, width: int) -> _Nodes:
    room = int(slots.max()) + 1
    nodes = _Nodes(
        to_play=np.zeros(room, np.int64),
        values=np.zeros((room, 1), np.float32),
        actions=np.full((room, width), -7, np.int32),
        logits=np.zeros((room, width), np.float32),
        num_actions=np.zeros(room, np.int32),
    )
    list_likely(logits, slots, LEAST_SHARE, nodes)
    return nodes


numbers = st.sampled_from([-1e9, -30.0, -7.0, -6.9, -3.0, -0.5, 0.0, 0.5, 1.0, 3.9])
rows = st.integers(1, 12).flatmap(
    lambda actions: st.lists(st.lists(numbers, min_size=actions, max_size=actions), min_size=1, max_size=4)
)


@given(rows, st.integers(1, 12))
def test_the_likeliest_actions_are_listed_in_the_order_of_their_numbers(table: list[list[float]], width: int) -> None:
    """Many equal logits: where there is no room for all of them, the likelier ones stay."""
    logits = np.array(table, np.float32)
    width = min(width, logits.shape[1])
    slots = np.random.default_rng(len(table)).permutation(len(table) + 2)[: len(table)].astype(np.int64)
    nodes = run_list_likely(logits, slots, width)
    for row, slot in zip(logits, slots, strict=True):
        count = nodes.num_actions[slot]
        found = list(zip(nodes.actions[slot, :count].tolist(), nodes.logits[slot, :count].tolist(), strict=True))
        assert found == likely(row, width) and 1 <= count <= width


def test_the_likeliest_action_stays_where_others_are_equal() -> None:
    nodes = run_list_likely(np.array([[1, 1, 1, 2]], np.float32), np.zeros(1, np.int64), 2)
    assert nodes.actions[0].tolist() == [0, 3]


def test_below_the_root_no_unlikely_action_is_ever_tried() -> None:
    """In a lost position, an action that nobody visited would look better than all that were."""
    game = games.load("tic_tac_toe")

    def lost(text: str, num_legal: int, players: int) -> tuple[np.ndarray, np.ndarray]:
        return judge(text, num_legal, players)[0], np.array([-0.9, 0.9])

    world = PerfectWorld(game, opinion=lost)
    pool = game.new_pool(1)
    world.know(pool, [[4, 0]])
    model = LearnedModelFactory(game, world, 9).make_model()
    search, tree = Search(model, SearchConfig(num_simulations=200, fpu_reduction=0.0), 1), np.zeros(1, np.int64)
    search.begin(tree, pool, tree, np.zeros(1, np.uint64))
    search.run(tree)
    edges = search.tree.edges[0, : search.tree.edge_count[0]]
    assert len(edges) > 200 and (edges["logit"] > -20).all()
    for number in range(1, search.tree.node_count[0]):
        node = search.tree.nodes[0, number]
        state = world.states[int(model._latents[number, 0])]
        listed = search.tree.edges[0, node["first_edge"] : node["first_edge"] + node["num_edges"]]["action"]
        assert listed.tolist() == list(state.legal_actions()) and node["to_play"] == state.to_play()


def test_a_position_of_a_game_that_shows_other_things_is_seen_as_the_network_knows_it() -> None:
    own, other = games.load("connect_four(egocentric_obs_tensor=True)"), games.load("connect_four")
    assert own.rules == other.rules
    histories, slots = [[3, 3, 2], [0, 1]], np.arange(2)
    world, pool = PerfectWorld(own), other.new_pool(2)
    world.know(own.new_pool(2), histories)
    for slot, history in enumerate(histories):
        play_from_start(pool, slot, history)
    model = LearnedModelFactory(own, world, 7).make_model()
    model.allocate(2)
    assert model.load(slots, pool, slots).tolist() == [1, 0]
    model.evaluate(slots)  # the world has never seen other observations
    assert [state.to_play() for state in world.states] == [1, 0]


def test_what_a_learned_model_cannot_do_is_said() -> None:
    game = games.load("tic_tac_toe")
    traits = learned_traits(game, (2, 3), 4)
    assert not traits.can_prove and not traits.can_reuse and traits.max_chance_outcomes == 0
    assert traits.max_return == 1.0 and math.isinf(learned_traits(games.load("2048"), (2, 3), 4).max_return)
    assert traits.slot_bytes >= 4 * 6 + 8 * 4
    model = LearnedModel(game, PerfectWorld(game), traits, 4, EvaluationCounts())
    assert not traits.has_codes and learned_traits(game, (2, 3), 4, 5).has_codes
    with pytest.raises(RuntimeError, match="no subtree"):
        model.copy(np.zeros(1, np.int64), np.zeros(1, np.int64))
    for setting in ("proven_values", "subtree_reuse"):
        with pytest.raises(ValueError, match=rf"search\.{setting}: the model of tic_tac_toe .* use false"):
            Search(model, SearchConfig(**{setting: True}), 1)
