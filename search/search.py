"""The search: many trees, one simulation in each per call, one batched evaluation for all of them.

    select: walk down -> model.step -> [chance: outcomes, step]
    evaluate: model.evaluate
    complete: expand -> backup

Trees are independent: each has its own random numbers and its own number of simulations. A tree whose root has not
been evaluated yet spends its first call on that, in the same batch as the leaves of the others. So an actor can move
on in one game while others are still thinking, and the batch stays full.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from games import GameError, StatePool
from search import expansion, root
from search.config import SearchConfig
from search.evaluators import Evaluation
from search.gumbel import GUMBEL
from search.model import Model, ModelTraits
from search.parameters import SearchParameters
from search.puct import PUCT
from search.selection import Walk
from search.tree import (
    EDGE,
    UNVISITED,
    allocate,
    clear,
    compact,
    find_root_child,
    grow_edges,
    node_dtype,
    start,
)
from search.uct import UCT

TREE_POLICIES = {"puct": PUCT, "uct": UCT, "gumbel": GUMBEL}
"""Tree policies by the values of `SearchConfig.rule`."""

LONGEST_CHAIN = 8
"""Largest number of nodes that one simulation creates: that of a move, and those of the chance events behind it."""

FIRST_EDGES_PER_NODE = 8
"""Largest number of edges per node for which a tree is allocated; it grows where a game has more."""

USUAL_EDGES = 40
"""Legal moves on average in games that have more actions than this (chess: 35)."""


class SearchError(GameError, RuntimeError):
    """The evaluator or the game gave the search something it cannot work with."""


class TreeEdge(NamedTuple):
    """A move in a tree, or an outcome of chance, as `Search.most_visited` lists it."""

    parent: int
    """Index in the list of the edge that leads to its node; ROOT for those of the root."""
    to_play: int
    """Who makes the move: a player, or `games.CHANCE`."""
    action: int
    visits: int
    q: float
    """Mean return of the player who makes the move; 0 at chance nodes, where nobody moves."""
    prior: float


ROOT = -1
"""`TreeEdge.parent` of the moves at the root."""


@dataclass(frozen=True)
class RootStatistics:
    """Results of n searches: a row a tree, a column a legal action (L is the most of any row)."""

    actions: Int64[np.ndarray, "n L"]  # -1 where a row has fewer actions
    visit_counts: Int64[np.ndarray, "n L"]
    q_values: Float64[np.ndarray, "n L"]  # for the player to move; nan where unvisited
    prior: Float64[np.ndarray, "n L"]  # without noise
    policy_target: Float64[np.ndarray, "n L"]  # before any temperature; rows sum to 1
    root_value: Float64[np.ndarray, "n P"]  # mean return (`gumbel.policy_value` with Gumbel), or the exact value
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


class Selection(NamedTuple):
    """One simulation in each of n trees, between `Search.select` and `Search.complete`."""

    trees: np.ndarray  # [n] int64
    walk: Walk
    slots: np.ndarray  # [m] int64: slots of the model that wait for an evaluation, m at most n
    num_roots: int  # trees whose root was not evaluated yet; they are the first of those that wait


def nodes_per_tree(traits: ModelTraits, config: SearchConfig) -> int:
    """Number of nodes that a tree may need: one a simulation, two with chance nodes, and a chain to spare."""
    per_simulation = 2 if traits.max_chance_outcomes > 0 else 1
    return per_simulation * (config.num_simulations + 1) + LONGEST_CHAIN


def bytes_per_tree(traits: ModelTraits, config: SearchConfig) -> int:
    """Memory of a tree and its slots in the model, about, with the usual number of edges at every node."""
    edges = min(max(traits.num_actions, traits.max_chance_outcomes), USUAL_EDGES)
    node_bytes = traits.slot_bytes + node_dtype(traits.num_players).itemsize + EDGE.itemsize * edges
    return nodes_per_tree(traits, config) * node_bytes


def check_settings(config: SearchConfig, traits: ModelTraits) -> None:
    """Raise ValueError, with a line for a person, for settings that contradict each other or the model."""
    policy = TREE_POLICIES[config.rule]
    if policy.plans_visits and config.subtree_reuse:
        raise ValueError(
            f"search.subtree_reuse: not with search.rule {config.rule}, whose visits follow a fixed plan; use false"
        )
    if config.forced_playouts > 0 and not policy.forces_playouts:
        raise ValueError(f"search.forced_playouts: only with search.rule puct, not with {config.rule}; use 0")
    if config.proven_values and not traits.can_prove:
        raise ValueError(f"search.proven_values: the model of {traits.name} does not know where a game ends; use false")
    if config.subtree_reuse and not traits.can_reuse:
        raise ValueError(f"search.subtree_reuse: the model of {traits.name} keeps no real positions; use false")


class Search:
    """B trees over one model.

    Use: `begin` some trees at positions, `simulate` until they are `finished`, read `statistics`, then `advance` them
    along the moves played (which keeps their subtree where `subtree_reuse` is on) or `begin` anew.

    `simulate` is `select`, `evaluate` and `complete`. Between these calls, other trees of the same search can be
    selected, so that they go on while a network works.
    """

    def __init__(self, model: Model, config: SearchConfig, num_trees: int, noise: bool = False) -> None:
        """Allocates the slots of `model`, which serves this search alone.

        `noise`: exploration at the root, as in self-play (Dirichlet for PUCT, Gumbel noise for Gumbel).

        Raises ValueError for settings that contradict each other or that the model cannot serve.
        """
        traits = model.traits
        check_settings(config, traits)
        self.model, self.config, self.num_trees, self.noise = model, config, num_trees, noise
        self.parameters = SearchParameters.of(config, traits)
        self._policy = TREE_POLICIES[config.rule]
        self.nodes = nodes_per_tree(traits, config)
        """N: nodes that a tree has room for."""
        model.allocate(num_trees * self.nodes)
        self.tree = allocate(
            num_trees,
            self.nodes,
            min(max(traits.num_actions, traits.max_chance_outcomes), FIRST_EDGES_PER_NODE),
            traits.num_players,
            traits.num_actions if self._policy.plans_visits else 1,
            config.num_simulations if self._policy.plans_visits else 1,
        )
        self.budget = np.zeros(num_trees, np.int64)
        self._noisy = np.zeros(num_trees, np.bool_)
        self._scratch = np.zeros(max(traits.num_actions, 1))
        self._returns = np.zeros(traits.num_players)
        self._free_walks: list[Walk] = []
        self._done = np.zeros(num_trees, np.bool_)

    @property
    def nbytes(self) -> int:
        """Memory of the trees, without the positions of the model."""
        return sum(array.nbytes for array in self.tree)

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
            to_play = self.model.load(fresh * self.nodes, pool, slots[empty], seeds[empty])
            if (to_play < 0).any():
                raise SearchError("search: begin needs positions where a player is to move")
            start(self.tree, fresh, to_play)
        if not empty.all():
            self._prepare_roots(trees[~empty])

    def finished(self, trees: np.ndarray) -> np.ndarray:
        """Which of `trees` need no further simulation, bool [n]; valid until the next call."""
        done = self._done[: len(trees)]
        root.unfinished(self.tree, trees, self.budget, LONGEST_CHAIN, self.parameters, done)
        return done

    def run(self, trees: np.ndarray) -> int:
        """Simulate until all of `trees` are finished; returns the number of simulations made."""
        made = 0
        while len(trees):
            made += self.simulate(trees)
            done = self.finished(trees)
            if done.any():
                trees = trees[~done]
        return made

    def simulate(self, trees: np.ndarray) -> int:
        """One simulation in each of `trees` [n] (distinct): its root's evaluation where that is still to come.

        Returns the number of simulations made. The evaluation of a root is none of them.
        """
        selection = self.select(trees)
        return self.complete(selection, self.evaluate(selection))

    def select(self, trees: np.ndarray) -> Selection:
        """Walk down each of `trees` [n] (distinct, none of them selected already) to a leaf, and make its position.

        `complete` must follow, with the result of `evaluate`. Other trees can be selected, evaluated, completed and
        begun in between.
        """
        walk = self._free_walks.pop() if self._free_walks else Walk.allocate(self.num_trees)
        steps = self._policy.select(self.tree, trees, self.parameters, self._scratch, walk)
        num_roots = walk.counts.item(1)  # leaves that are there and have no edges yet
        while steps:
            to_play, rewards = self.model.step(walk.src[:steps], walk.action[:steps], walk.dst[:steps])
            steps = expansion.arrive(self.tree, trees, to_play, rewards, walk)
            if steps:
                self._play_chance(trees, walk, steps)
        return Selection(trees, walk, walk.waiting_slot[: walk.counts.item(1)], num_roots)

    def evaluate(self, selection: Selection) -> Evaluation | None:
        """The model's evaluation of the leaves that wait for one; None where there are none.

        It reads the model and no tree, so that a model may allow it in another thread. The arrays are valid until the
        next call.
        """
        return self.model.evaluate(selection.slots) if len(selection.slots) else None

    def complete(self, selection: Selection, evaluation: Evaluation | None) -> int:
        """Expand the leaves of a selection and back their values up; returns the number of simulations made."""
        trees, walk, _, num_roots = selection
        if evaluation is not None:
            self._expand(trees, walk, num_roots, evaluation)
        expansion.backup(self.tree, trees, walk.leaf, self.parameters, self._returns)
        self._free_walks.append(walk)
        return len(trees) - num_roots

    def _play_chance(self, trees: np.ndarray, walk: Walk, count: int) -> None:
        """Expand the chance nodes that were reached, and take one outcome of each as the next step."""
        rows = walk.row[:count]
        if (self.tree.node_count[trees[rows]] >= self.nodes).any():
            raise SearchError(f"search: more than {LONGEST_CHAIN} chance events in a row in {self.model.traits.name}")
        offsets, outcomes, probabilities = self.model.chance(walk.dst[:count])
        while not expansion.expand_chance(self.tree, trees, offsets, outcomes, probabilities, walk):
            self.tree = grow_edges(self.tree)

    def _expand(self, trees: np.ndarray, walk: Walk, num_roots: int, evaluation: Evaluation) -> None:
        """Give the leaves that were evaluated their edges."""
        while (outcome := expansion.expand(self.tree, trees, evaluation, walk)) == expansion.NO_ROOM:
            self.tree = grow_edges(self.tree)
        if outcome == expansion.NOT_FINITE:
            raise SearchError("search: the evaluator returned a policy or a value that is not finite")
        if num_roots:
            self._prepare_roots(trees[walk.waiting_row[:num_roots]])

    def _prepare_roots(self, trees: np.ndarray) -> None:
        """Noise and plans of visits, once per search, for roots that have their edges."""
        self._policy.prepare_roots(self.tree, trees, self.config, self._noisy, self.budget)

    # After the search.

    def statistics(self, trees: np.ndarray) -> RootStatistics:
        """The results of the searches of `trees` [n]. Their roots must have been evaluated."""
        width = int(self.tree.nodes["num_edges"][trees, 0].max())
        arrays = root.RootArrays.allocate(len(trees), width, self.model.traits.num_players)
        self._policy.read_roots(self.tree, trees, self.parameters, arrays, self._scratch)
        return RootStatistics(
            **arrays._asdict(),
            to_play=self.tree.nodes["to_play"][trees, 0].astype(np.int64),
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
        clear(self.tree, trees)

    def simulations(self) -> int:
        """Simulations in the present trees, those of kept subtrees among them."""
        visits = self.tree.nodes["visits"][self.tree.node_count > 0, 0]
        return int(np.maximum(visits - 1, 0).sum())  # a root's first visit is its own evaluation

    def principal_variation(self, b: int, action: int, most: int) -> list[int]:
        """The actions that tree b expects: `action` first, and then the most visited ones, `most` of them at most.

        A chance node ends it.
        """
        nodes, edges = self.tree.nodes[b], self.tree.edges[b]
        line: list[int] = []
        node = 0
        while node != UNVISITED and nodes[node]["to_play"] >= 0 and nodes[node]["num_edges"] and len(line) < most:
            first = int(nodes[node]["first_edge"])
            here = edges[first : first + int(nodes[node]["num_edges"])]
            best = int(np.argmax(here["visits"] if line else here["action"] == action))
            if line and not here["visits"][best]:
                break
            line.append(int(here["action"][best]))
            node = int(here["child"][best])
        return line

    def most_visited(self, b: int, most: int) -> list[TreeEdge]:
        """The edges of tree b with the most visits, at most `most` and none without a visit, each behind its parent."""
        nodes, edges = self.tree.nodes[b], self.tree.edges[b]
        found: list[TreeEdge] = []
        waiting: list[tuple[int, int, int, int]] = []  # fewest visits first, with a sign; then the order of arrival

        def add(node: int, parent: int) -> None:
            first = int(nodes[node]["first_edge"])
            for e in range(first, first + int(nodes[node]["num_edges"])):
                if edges[e]["visits"] > 0:
                    heapq.heappush(waiting, (-int(edges[e]["visits"]), e, node, parent))

        if self.tree.node_count[b] > 0:
            add(0, ROOT)
        while waiting and len(found) < most:
            _, e, node, parent = heapq.heappop(waiting)
            edge = edges[e]
            to_play = int(nodes[node]["to_play"])
            q = float(edge["q"]) if to_play >= 0 else 0.0
            found.append(TreeEdge(parent, to_play, int(edge["action"]), int(edge["visits"]), q, float(edge["prior"])))
            if edge["child"] != UNVISITED:
                add(int(edge["child"]), len(found) - 1)
        return found

    # Faults of a game.

    def collect_unsound(self) -> None:
        """See `Model.collect_unsound`."""
        self.model.collect_unsound()

    def take_unsound(self) -> dict[int, str]:
        """Trees in which the game answered what no game may answer, with a line each, since the last call."""
        return {slot // self.nodes: line for slot, line in self.model.take_unsound().items()}
