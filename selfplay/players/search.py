"""A player that searches: plain MCTS, search without knowledge, or search with a network, by the models given.

One `Search` serves every batch. Its trees are built when the first batch shows how many are needed. A batch with more
positions than trees fit into `MEMORY_BYTES` is played in parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from games import CHANCE, StatePool
from games.random_play import draw
from search import ModelFactory, ModelTraits, RootStatistics, Search, SearchConfig
from search.search import ROOT, bytes_per_tree
from selfplay.experience.self_play import sharpened
from selfplay.players.options import MAX_TREES
from selfplay.players.player import Analysis, Branch, Forecast, MoveAnalysis

MEMORY_BYTES = 1 << 30
"""Largest number of bytes of the trees of one player and their positions."""


def trees_that_fit(traits: ModelTraits, config: SearchConfig) -> int:
    """Number of trees of a full search that fit into `MEMORY_BYTES` with their positions, at least one."""
    return max(1, MEMORY_BYTES // bytes_per_tree(traits, config))


class SearchPlayer:
    """Plays what a search finds, without noise."""

    def __init__(
        self,
        name: str,
        models: ModelFactory,
        config: SearchConfig,
        seed: int,
        temperature: float = 0.0,
        max_trees: int = MAX_TREES,
        on_close: Callable[[], None] | None = None,
        forecast: Callable[[StatePool, int], Forecast] | None = None,
    ) -> None:
        """`temperature` 0 plays the best move; above it, moves are drawn by policy target ** (1 / temperature).

        `on_close` frees what the models hold. `forecast` is that of `Forecasts`; None for a player that knows none.
        """
        self.name, self.config, self.temperature = name, config, temperature
        self.max_trees = min(max_trees, trees_that_fit(models.traits, config))
        self._models, self._on_close, self._forecast = models, on_close, forecast
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
            result = self._run(pool, slots[part])
            actions[part] = self._move(result)
            values[part] = result.root_value[np.arange(len(result.to_play)), result.to_play]
        return actions, values

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """See `Analyst.analyse`."""
        return self._analysis(pool, slot, self._run(pool, np.array([slot], np.int64)))

    def forecast(self, pool: StatePool, slot: int) -> Forecast:
        """See `Forecasts.forecast`."""
        return Forecast() if self._forecast is None else self._forecast(pool, slot)

    def begin(self, pool: StatePool, slot: int, num_simulations: int | None = None) -> Search:
        """Begin a search of one position in tree 0, which the caller goes on with; `read` gives its result so far.

        Args:
            num_simulations: to plan with, fewer than those of the player; None: as many as the player makes. A Gumbel
                search must know the number from the start.
        """
        return self._begin(pool, np.array([slot], np.int64), num_simulations)

    def read(self, search: Search, pool: StatePool, slot: int) -> Analysis:
        """The result so far of a search of `begin`, after one simulation or more."""
        return self._analysis(pool, slot, search.statistics(np.zeros(1, np.int64)))

    def _analysis(self, pool: StatePool, slot: int, result: RootStatistics) -> Analysis:
        order = np.lexsort((-result.prior[0], -result.visit_counts[0]))
        moves = tuple(
            MoveAnalysis(
                action=int(result.actions[0, k]),
                text=pool.action_text(slot, int(result.actions[0, k])),
                visits=int(result.visit_counts[0, k]),
                q=float(result.q_values[0, k]),
                prior=float(result.prior[0, k]),
            )
            for k in order
        )
        return Analysis(int(self._move(result)[0]), float(result.root_value[0, result.to_play[0]]), moves)

    def close(self) -> None:
        """Free the trees and what the models hold."""
        self._search = None
        if self._on_close:
            self._on_close()

    def _run(self, pool: StatePool, slots: np.ndarray) -> RootStatistics:
        """Search the positions in `slots` [n], n at most `max_trees`."""
        search, trees = self._begin(pool, slots), np.arange(len(slots))
        search.run(trees)
        return search.statistics(trees)

    def _begin(self, pool: StatePool, slots: np.ndarray, num_simulations: int | None = None) -> Search:
        search = self._search
        if search is None or search.num_trees < len(slots):
            self._search = None  # freed before the greater one is built
            search = self._search = Search(self._models.make_model(), self.config, len(slots))
        trees = np.arange(len(slots))
        search.clear(trees)
        search.begin(trees, pool, slots, self._rng.integers(2**64, size=len(slots), dtype=np.uint64), num_simulations)
        return search

    def _move(self, result: RootStatistics) -> np.ndarray:
        """The moves to play, int64 [n]."""
        if self.temperature == 0.0:
            return result.best_action
        columns = [draw(sharpened(row, self.temperature), self._rng) for row in result.policy_target]
        return result.actions[np.arange(len(columns)), columns]


def expected_line(search: Search, pool: StatePool, slot: int, action: int, most: int) -> Iterator[int]:
    """The moves that tree 0 expects from the position in `slot` of `pool`, at most `most`.

    `action` comes first, then the most visited moves. The line ends at a chance event, at the end of the game, and
    before a move that a learned model believes to be legal and that is not.
    """
    own, place = pool.game.new_pool(1), np.zeros(1, np.int64)
    own.load(place, pool, np.array([slot], np.int64))
    for move in search.principal_variation(0, action, most):
        if own.to_play(place)[0] < 0 or move not in own.legal(place)[1]:
            return
        yield move
        own.step(place, np.array([move], np.int64), place)


def search_branches(search: Search, pool: StatePool, slot: int, most: int) -> tuple[Branch, ...]:
    """The most visited part of tree 0, at most `most` moves, from the position in `slot` of `pool` on.

    Moves that a learned model believes to be legal and that are not are left out, with all that is behind them. So is
    what is behind its own codes of chance, for which the game has no position.
    """
    edges = search.most_visited(0, most)
    own = pool.game.new_pool(1 + len(edges))  # position 0 is that of the root, position 1 + i that behind edge i
    own.load(np.zeros(1, np.int64), pool, np.array([slot], np.int64))
    texts: dict[int, str] = {}
    for i, edge in enumerate(edges):
        before = edge.parent + 1
        is_code = edge.to_play == CHANCE and search.model.traits.has_codes
        if not is_code and (before == 0 or before - 1 in texts):
            here = np.array([before], np.int64)
            mover = int(own.to_play(here)[0])
            allowed = own.legal(here) if mover >= 0 else own.chance(here) if mover == CHANCE else (None, ())
            if mover == edge.to_play and edge.action in allowed[1]:
                texts[i] = own.action_text(before, edge.action)
                own.step(here, np.array([edge.action], np.int64), np.array([i + 1], np.int64))
    replies: dict[int, list[Branch]] = {}
    for i in reversed(texts):  # what is behind a move comes after it
        edge = edges[i]
        q = edge.q if edge.to_play >= 0 else math.nan
        behind = tuple(reversed(replies.pop(i, [])))
        branch = Branch(edge.action, texts[i], edge.to_play, edge.visits, q, edge.prior, behind)
        replies.setdefault(edge.parent, []).append(branch)
    return tuple(reversed(replies.get(ROOT, [])))
