"""Made-up evaluators, positions to search from, and a look inside the trees."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np

import games
from games import CHANCE, TERMINAL, Game, StatePool
from search import Evaluation, Evaluator, NetworkEvaluator, RootStatistics, Search, SearchConfig, SimulatorModel
from search.perspective import num_values
from search.tree import NO_PARENT, UNVISITED


def judge(text: str, num_legal: int, num_players: int) -> tuple[np.ndarray, np.ndarray]:
    """A made-up opinion on a position that depends on nothing but its text."""
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    logits = rng.normal(size=num_legal).astype(np.float32)
    values = rng.uniform(-1, 1, size=num_players)
    return logits, np.array([values[0], -values[0]]) if num_players == 2 else values


class TextEvaluator:
    """`judge` for the fast search."""

    def evaluate(self, pool, slots):
        offsets, actions = pool.legal(slots)
        judged = [
            judge(pool.text(int(s)), offsets[i + 1] - offsets[i], pool.game.num_players) for i, s in enumerate(slots)
        ]
        return Evaluation(offsets, actions, np.concatenate([j[0] for j in judged]), np.array([j[1] for j in judged]))


def reference_evaluate(game: Game):
    return lambda state: judge(str(state), len(state.legal_actions()), game.num_players)


def noisy_predict(game: Game, salt: int = 0) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A made-up network: each row of its answer depends on nothing but the bytes of that row."""

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = np.empty((len(observations), game.num_actions), np.float32)
        values = np.empty((len(observations), num_values(game)), np.float32)
        for i, observation in enumerate(observations):
            rng = np.random.default_rng([salt, zlib.crc32(observation.tobytes())])
            logits[i] = rng.normal(size=game.num_actions)
            values[i] = rng.uniform(-1, 1, size=values.shape[1])
        return logits, values

    return predict


def fixed_evaluator(game: Game, prior: Sequence[float], value: Callable[[np.ndarray], float]) -> NetworkEvaluator:
    """The same `prior` [A] everywhere; `value(observation)` for the player to move."""

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = np.tile(np.log(np.array(prior, np.float32)), (len(observations), 1))
        return logits, np.array([[value(observation)] for observation in observations], np.float32)

    return NetworkEvaluator(game, predict)


def random_positions(game: Game, count: int, seed: int, fewest: int = 0):
    """A pool with positions where a player is to move, `fewest` to 11 moves after the start, and the same as states.

    With chance, a few moves more.
    """
    rng = np.random.default_rng(seed)
    pool, states = game.new_pool(count), []
    for slot in range(count):
        while True:
            state = games.new_state(game)
            moves = int(rng.integers(fewest, 12))
            history = []
            while not state.to_play() == games.TERMINAL and (len(history) < moves or state.to_play() == games.CHANCE):
                choices = [o for o, _ in state.chance_outcomes()] if state.to_play() < 0 else state.legal_actions()
                history.append(int(rng.choice(choices)))
                state.apply(history[-1])
            if state.to_play() >= 0:
                break
        play_from_start(pool, slot, history)
        states.append(state)
    return pool, states


def play_from_start(pool: StatePool, slot: int, actions: Sequence[int]) -> None:
    """Put the position after `actions` into a slot."""
    at = np.array([slot])
    pool.reset(at)
    for action in actions:
        pool.step(at, np.array([action]), at)


def new_search(game: Game, config: SearchConfig, count: int, evaluator: Evaluator, noise: bool = False) -> Search:
    """A search with room for `count` trees."""
    return Search(SimulatorModel(game, evaluator), config, count, noise=noise)


def fast_search(game, config, pool, seeds, noise, evaluator=None) -> RootStatistics:
    """Search the first `len(seeds)` positions of the pool."""
    count = len(seeds)
    search = new_search(game, config, count, evaluator or TextEvaluator(), noise)
    trees = np.arange(count)
    search.begin(trees, pool, trees, seeds)
    search.run(trees)
    return search.statistics(trees)


def search_after(
    game: Game, actions: Sequence[int], config: SearchConfig, evaluator: Evaluator, seed: int = 0, noise: bool = False
) -> RootStatistics:
    """Search the position after `actions`."""
    pool = game.new_pool(1)
    play_from_start(pool, 0, actions)
    return fast_search(game, config, pool, np.array([seed], np.uint64), noise, evaluator)


def positions(search: Search) -> StatePool:
    """The positions of a search over the game itself, by slot."""
    assert isinstance(search.model, SimulatorModel)
    return search.model.pool


def subtree(search: Search, b: int, number: int = 0) -> dict:
    """Everything that tree b keeps below a node, with the text of the positions, as nested plain values."""
    node = search.tree.nodes[b, number]
    first, count = node["first_edge"], node["num_edges"]
    return {
        "text": positions(search).text(int(b * search.nodes + number)),
        **{name: int(node[name]) for name in ("to_play", "visits", "exact")},
        **{name: node[name].tolist() for name in ("visited_prior", "value_total", "value", "reward")},
        "edges": [
            {
                **{name: edge[name].item() for name in ("action", "visits", "q", "prior", "logit")},
                "child": None if edge["child"] == UNVISITED else subtree(search, b, int(edge["child"])),
            }
            for edge in search.tree.edges[b, first : first + count]
        ],
    }


def assert_sound(search: Search, b: int) -> None:
    """The laws that every tree keeps: pointers agree, visits add up, edges are exactly the legal actions."""
    tree, pool = search.tree, positions(search)
    assert tree.node_count[b] <= search.nodes
    for number in range(tree.node_count[b]):
        node = tree.nodes[b, number]
        slot = np.array([b * search.nodes + number])
        edges = tree.edges[b, node["first_edge"] : node["first_edge"] + node["num_edges"]]
        assert node["to_play"] == pool.to_play(slot)[0]
        if number == 0:
            assert node["parent"] == NO_PARENT
        else:
            assert 0 <= node["parent"] < number
            above = tree.edges[b, node["parent_edge"]]
            assert above["child"] == number
            assert above["visits"] == node["visits"]
        if node["to_play"] == TERMINAL:
            assert len(edges) == 0
            continue
        passed_on = node["visits"] - (0 if node["to_play"] == CHANCE else 1)  # the first visit was its evaluation
        assert passed_on == edges["visits"].sum() or (node["exact"] and passed_on > edges["visits"].sum())
        allowed = (pool.chance if node["to_play"] == CHANCE else pool.legal)(slot)[1]
        if node["to_play"] == CHANCE and len(edges) < len(allowed):  # a sampled fan
            assert set(edges["action"]) <= set(allowed)
        else:
            assert edges["action"].tolist() == allowed.tolist()
        assert ((edges["visits"] > 0) == (edges["child"] != UNVISITED)).all()
        np.testing.assert_allclose(edges["prior"].sum(), 1.0, rtol=1e-5)
