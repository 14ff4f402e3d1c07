"""The search: many trees, one simulation in each per call, one batched evaluation for all of them.

    select (walk down) -> model.step -> [chance: outcomes, step] -> model.evaluate -> expand -> backup

Trees are independent: each has its own random numbers and its own number of simulations. A tree whose root has not
been evaluated yet spends its first call on that, in the same batch as the leaves of the others. So an actor can move
on in one game while others are still thinking, and the batch stays full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from games import Game, GameError, StatePool
from search import expansion, root
from search.config import GUMBEL, Rules, SearchConfig
from search.model import Model
from search.selection import SELECT, Walk
from search.tree import UNVISITED, allocate, clear, compact, find_root_child, grow_edges, start

LONGEST_CHAIN = 8
"""Nodes one simulation may create: a move, and the chance events that follow it one after the other."""

FIRST_EDGES_PER_NODE = 8
"""Edges per node with which a tree is allocated; it grows where a game has more."""


class SearchError(GameError, RuntimeError):
    """The evaluator or the game gave the search something it cannot work with."""


@dataclass(frozen=True)
class RootStatistics:
    """What n searches found, one row a tree, one column a legal action (L the most of any row)."""

    actions: Int64[np.ndarray, "n L"]  # -1 where a row has fewer actions
    visit_counts: Int64[np.ndarray, "n L"]
    q_values: Float64[np.ndarray, "n L"]  # for the player to move; nan where unvisited
    prior: Float64[np.ndarray, "n L"]  # without noise
    policy_target: Float64[np.ndarray, "n L"]  # before any temperature; rows sum to 1
    root_value: Float64[np.ndarray, "n P"]  # mean return (`root.policy_value` with Gumbel), or the exact value
    raw_value: Float64[np.ndarray, "n P"]  # the evaluator's value of the root
    to_play: Int64[np.ndarray, " n"]
    best_action: Int64[np.ndarray, " n"]  # the move the search would play
    exact: Bool[np.ndarray, " n"]  # root_value is proven

    def dense(self, name: str, num_actions: int) -> np.ndarray:
        """One of the [n, L] fields as [n, A], zero for illegal actions."""
        out = np.zeros((len(self.actions), num_actions), dtype=np.float64)
        rows, columns = np.nonzero(self.actions >= 0)
        out[rows, self.actions[rows, columns]] = getattr(self, name)[rows, columns]
        return out


def nodes_per_tree(game: Game, config: SearchConfig) -> int:
    """Nodes a tree may need: one a simulation, twice that with chance nodes, and a chain to spare."""
    per_simulation = 2 if game.max_chance_outcomes > 0 else 1
    return per_simulation * (config.num_simulations + 1) + LONGEST_CHAIN


def slots_needed(game: Game, config: SearchConfig, num_trees: int) -> int:
    """Capacity of the model's pool for a search of `num_trees` trees."""
    return num_trees * nodes_per_tree(game, config)


class Search:
    """B trees over one model.

    Use: `begin` some trees at positions, `simulate` until they are `finished`, read `statistics`, then `advance` them
    along the moves played (which keeps their subtree where `subtree_reuse` is on) or `begin` anew.
    """

    def __init__(self, model: Model, config: SearchConfig, num_trees: int, noise: bool = False) -> None:
        """`noise`: exploration at the root, as in self-play (Dirichlet for PUCT, Gumbel noise for Gumbel).

        Raises ValueError for settings that contradict each other.
        """
        if config.rule == "gumbel" and config.subtree_reuse:
            raise ValueError(
                "search.subtree_reuse: cannot be combined with search.rule gumbel (its visits follow a fixed plan)"
            )
        if config.rule != "puct" and config.forced_playouts > 0:
            raise ValueError("search.forced_playouts: only with search.rule puct")
        game = model.game
        self.model, self.config, self.num_trees, self.noise = model, config, num_trees, noise
        self.rules = Rules.of(config, game)
        self._select = SELECT[config.rule]
        self.nodes = nodes_per_tree(game, config)
        is_gumbel = self.rules.rule == GUMBEL
        self.tree = allocate(
            num_trees,
            self.nodes,
            min(max(game.num_actions, game.max_chance_outcomes), FIRST_EDGES_PER_NODE),
            game.num_players,
            game.num_actions if is_gumbel else 1,
            config.num_simulations if is_gumbel else 1,
        )
        self.budget = np.zeros(num_trees, np.int64)
        self._noisy = np.zeros(num_trees, np.bool_)
        self.fresh_roots = 0
        """Roots that still wait for their own evaluation, which the next simulation of their tree will be."""
        self._scratch = np.zeros(max(game.num_actions, 1))
        self._returns = np.zeros(game.num_players)
        self._walk = Walk.allocate(num_trees)
        self._done = np.zeros(num_trees, np.bool_)

    # One move.

    def begin(
        self,
        trees: np.ndarray,
        pool: StatePool,
        slots: np.ndarray,
        seeds: np.ndarray,
        num_simulations: np.ndarray | int | None = None,
        noise: np.ndarray | bool = True,
    ) -> None:
        """Start a search in each of `trees` [n] from the positions in `slots` [n] of `pool` (a player must be to move).

        A tree that `advance` kept goes on from its subtree. `seeds` uint64 [n] fix the random numbers of the trees;
        `num_simulations` (at most the setting) may differ from tree to tree, and so may `noise`, where the search has
        any.
        """
        budget = self.config.num_simulations if num_simulations is None else num_simulations
        self.budget[trees] = np.minimum(budget, self.config.num_simulations)
        self._noisy[trees] = self.noise & np.asarray(noise)
        self.tree.forced_playouts[trees] = self.config.forced_playouts * self._noisy[trees]
        self.tree.random[trees] = seeds
        empty = self.tree.node_count[trees] == 0
        if empty.any():
            fresh = trees[empty]
            to_play = self.model.load(fresh * self.nodes, pool, slots[empty])
            if (to_play < 0).any():
                raise SearchError("search: begin needs positions where a player is to move")
            start(self.tree, fresh, to_play)
            self.fresh_roots += len(fresh)
        if not empty.all():
            self._prepare_roots(trees[~empty])

    def finished(self, trees: np.ndarray) -> np.ndarray:
        """Which of `trees` need no further simulation, bool [n]; valid until the next call."""
        done = self._done[: len(trees)]
        root.unfinished(self.tree, trees, self.budget, LONGEST_CHAIN, self.rules, done)
        return done

    def run(self, trees: np.ndarray) -> None:
        """Simulate until all of `trees` are finished."""
        while len(trees):
            self.simulate(trees)
            done = self.finished(trees)
            if done.any():
                trees = trees[~done]

    def simulate(self, trees: np.ndarray) -> None:
        """One simulation in each of `trees` [n] (distinct): its root's evaluation where that is still to come."""
        walk = self._walk
        steps = self._select(self.tree, trees, self.rules, self._scratch, walk)
        while steps:
            to_play, rewards = self.model.step(walk.src[:steps], walk.action[:steps], walk.dst[:steps])
            steps = expansion.arrive(self.tree, trees, to_play, rewards, walk)
            if steps:
                self._play_nature(trees, steps)
        if walk.counts[1]:
            self._expand(trees, walk.counts[1])
        expansion.backup(self.tree, trees, walk.leaf, self.rules, self._returns)

    def _play_nature(self, trees: np.ndarray, count: int) -> None:
        """Expand the chance nodes that were reached, and take one outcome of each as the next step."""
        rows = self._walk.row[:count]
        if (self.tree.node_count[trees[rows]] >= self.nodes).any():
            raise SearchError(f"search: more than {LONGEST_CHAIN} chance events in a row in {self.model.game.name}")
        offsets, outcomes, probabilities = self.model.chance(self._walk.dst[:count])
        self._reserve(trees, rows, offsets)
        expansion.expand_nature(self.tree, trees, offsets, outcomes, probabilities, self._walk)

    def _expand(self, trees: np.ndarray, count: int) -> None:
        """Evaluate the leaves that wait and give them their edges."""
        rows = self._walk.waiting_row[:count]
        offsets, actions, logits, values = self.model.evaluate(self._walk.waiting_slot[:count])
        self._reserve(trees, rows, offsets)
        if not expansion.expand(self.tree, trees, offsets, actions, logits, values, self._walk):
            raise SearchError("search: the evaluator returned a policy or a value that is not finite")
        if self.fresh_roots:
            roots = trees[rows[self._walk.leaf[rows] == 0]]
            self.fresh_roots -= len(roots)
            self._prepare_roots(roots)

    def _reserve(self, trees: np.ndarray, rows: np.ndarray, offsets: np.ndarray) -> None:
        """Make room for the edges of nodes that are about to be expanded."""
        while expansion.room_needed(self.tree, trees, rows, offsets) > self.tree.edges.shape[1]:
            self.tree = grow_edges(self.tree)

    def _prepare_roots(self, trees: np.ndarray) -> None:
        """Noise and, for Gumbel, the plan of visits, once per search, for roots that have their edges."""
        if self.rules.rule == GUMBEL:
            root.draw_gumbel(self.tree, trees, self._noisy)
            num_edges = self.tree.nodes["num_edges"][trees, 0]
            for b, edges in zip(trees.tolist(), num_edges.tolist(), strict=True):
                plan = root.considered_visits(min(self.config.max_considered_actions, edges), int(self.budget[b]))
                self.tree.considered_visits[b, : len(plan)] = plan
        elif self.noise:
            noisy = trees[self._noisy[trees]]
            root.add_dirichlet_noise(self.tree, noisy, self.config.dirichlet_alpha, self.config.dirichlet_fraction)

    # After the search.

    def statistics(self, trees: np.ndarray) -> RootStatistics:
        """What the searches of `trees` [n] found. Their roots must have been evaluated."""
        n, players = len(trees), self.model.game.num_players
        width = int(self.tree.nodes["num_edges"][trees, 0].max())
        actions = np.full((n, width), -1, np.int64)
        visit_counts = np.zeros((n, width), np.int64)
        q_values = np.full((n, width), np.nan)
        prior, target = np.zeros((n, width)), np.zeros((n, width))
        values, best = np.zeros((2, n, players)), np.zeros(n, np.int64)
        root.read_roots(
            self.tree, trees, self.rules, actions, visit_counts, q_values, prior, target, values, best, self._scratch
        )
        return RootStatistics(
            actions=actions,
            visit_counts=visit_counts,
            q_values=q_values,
            prior=prior,
            policy_target=target,
            root_value=values[0],
            raw_value=values[1],
            to_play=self.tree.nodes["to_play"][trees, 0].astype(np.int64),
            best_action=best,
            exact=self.tree.nodes["exact"][trees, 0] == 1,
        )

    def advance(self, trees: np.ndarray, actions: np.ndarray) -> None:
        """The move (or chance outcome) `actions[i]` was played in tree i: keep its subtree, or empty the tree."""
        if not self.config.subtree_reuse:
            clear(self.tree, trees)
            return
        for b, action in zip(trees, actions, strict=True):
            child = find_root_child(self.tree, b, action)
            if child == UNVISITED:
                clear(self.tree, np.array([b]))
                continue
            kept = np.empty(self.tree.node_count[b], np.int64)
            count = compact(self.tree, b, child, kept)
            base = b * self.nodes
            self.model.copy(base + kept[:count], base + np.arange(count))

    def clear(self, trees: np.ndarray) -> None:
        """Empty trees, for positions that do not follow from the last ones."""
        if self.fresh_roots:
            alone = self.tree.node_count[trees] == 1
            self.fresh_roots -= int((alone & (self.tree.nodes["visits"][trees, 0] == 0)).sum())
        clear(self.tree, trees)
