"""A player that searches: plain MCTS, search without knowledge, or search with a network, by the evaluator given.

One `Search` is kept and used again for every batch. Its trees are built when the first batch shows how many are
needed; a batch of more positions than trees fit into the memory allowed is played in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int64

from games import Game, StatePool
from games.random_play import draw
from search import Evaluator, RootStatistics, Search, SearchConfig, SimulatorModel
from search.search import nodes_per_tree, slots_needed
from search.tree import EDGE, UNVISITED, node_dtype
from selfplay.experience.self_play import sharpened
from selfplay.players.player import Analysis, MoveAnalysis

MAX_TREES = 256
"""Trees at once: more do not make the network's batches faster."""

MEMORY_BYTES = 1 << 30
"""Trees are built to stay below this."""

POSITION_BYTES = 100
"""A position in the pool, about."""

USUAL_EDGES = 40
"""Legal moves on average in games that have more actions than this (chess: 35)."""


def trees_that_fit(game: Game, config: SearchConfig) -> int:
    """How many trees of the size of a full search fit into `MEMORY_BYTES`, at least one."""
    edges = min(max(game.num_actions, game.max_chance_outcomes), USUAL_EDGES)
    node_bytes = POSITION_BYTES + node_dtype(game.num_players).itemsize + EDGE.itemsize * edges
    return max(1, MEMORY_BYTES // (nodes_per_tree(game, config) * node_bytes))


class SearchPlayer:
    """Plays what a search finds, without noise."""

    def __init__(
        self,
        name: str,
        game: Game,
        evaluator: Evaluator,
        config: SearchConfig,
        seed: int,
        temperature: float = 0.0,
        max_trees: int = MAX_TREES,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """`temperature` 0 plays the best move; above it, moves are drawn by policy target ** (1 / temperature).

        `on_close` frees what the evaluator holds.
        """
        self.name, self.game, self.config, self.temperature = name, game, config, temperature
        self.max_trees = min(max_trees, trees_that_fit(game, config))
        self._evaluator, self._on_close = evaluator, on_close
        self._rng = np.random.default_rng(seed)
        self._search: Search | None = None

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """See `Player.choose`."""
        return self.decide(pool, slots, histories)[0]

    def decide(
        self, pool: StatePool, slots: np.ndarray, histories: Sequence[Sequence[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Evaluates.decide`."""
        actions, values = np.empty(len(slots), np.int64), np.empty(len(slots))
        for start in range(0, len(slots), self.max_trees):
            part = slice(start, start + self.max_trees)
            found = self._run(pool, slots[part])
            actions[part] = self._move(found)
            values[part] = found.root_value[np.arange(len(found.to_play)), found.to_play]
        return actions, values

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """See `Analyst.analyse`."""
        return self._analysis(pool, slot, self._run(pool, np.array([slot], np.int64)))

    def begin(self, pool: StatePool, slot: int, simulations: int | None = None) -> Search:
        """A search of one position, in tree 0, that the caller goes on with; `read` says what it has found so far.

        `simulations` fewer than those of the player, if given: Gumbel's plan wants to know before.
        """
        return self._begin(pool, np.array([slot], np.int64), simulations)

    def read(self, search: Search, pool: StatePool, slot: int) -> Analysis:
        """What a search of `begin` has found after one simulation or more."""
        return self._analysis(pool, slot, search.statistics(np.zeros(1, np.int64)))

    def _analysis(self, pool: StatePool, slot: int, found: RootStatistics) -> Analysis:
        order = np.lexsort((-found.prior[0], -found.visit_counts[0]))
        moves = tuple(
            MoveAnalysis(
                action=int(found.actions[0, k]),
                text=pool.action_text(slot, int(found.actions[0, k])),
                visits=int(found.visit_counts[0, k]),
                q=float(found.q_values[0, k]),
                prior=float(found.prior[0, k]),
            )
            for k in order
        )
        return Analysis(int(self._move(found)[0]), float(found.root_value[0, found.to_play[0]]), moves)

    def close(self) -> None:
        """Free the trees and what the evaluator holds."""
        self._search = None
        if self._on_close:
            self._on_close()

    def _run(self, pool: StatePool, slots: np.ndarray) -> RootStatistics:
        """Search the positions in `slots` [n], n at most `max_trees`."""
        search, trees = self._begin(pool, slots), np.arange(len(slots))
        search.run(trees)
        return search.statistics(trees)

    def _begin(self, pool: StatePool, slots: np.ndarray, simulations: int | None = None) -> Search:
        search = self._search
        if search is None or search.num_trees < len(slots):
            self._search = None  # freed before the greater one is built
            model = SimulatorModel(self.game, self._evaluator, slots_needed(self.game, self.config, len(slots)))
            search = self._search = Search(model, self.config, len(slots))
        trees = np.arange(len(slots))
        search.clear(trees)
        search.begin(trees, pool, slots, self._rng.integers(2**64, size=len(slots), dtype=np.uint64), simulations)
        return search

    def _move(self, found: RootStatistics) -> np.ndarray:
        """The moves to play, int64 [n]."""
        if self.temperature == 0.0:
            return found.best_action
        columns = [draw(sharpened(row, self.temperature), self._rng) for row in found.policy_target]
        return found.actions[np.arange(len(columns)), columns]


def principal_variation(search: Search, action: int, most: int) -> list[tuple[int, int]]:
    """The moves that tree 0 expects, `action` first and then the most visited ones, as (node, action) pairs.

    At most `most` of them; nature's moves end it.
    """
    nodes, edges = search.tree.nodes[0], search.tree.edges[0]
    line: list[tuple[int, int]] = []
    node = 0
    while node != UNVISITED and nodes[node]["to_play"] >= 0 and nodes[node]["num_edges"] and len(line) < most:
        first = int(nodes[node]["first_edge"])
        here = edges[first : first + int(nodes[node]["num_edges"])]
        best = int(np.argmax(here["visits"] if line else here["action"] == action))
        if line and not here["visits"][best]:
            break
        line.append((node, int(here["action"][best])))
        node = int(here["child"][best])
    return line
