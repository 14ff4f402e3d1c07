"""The root of a tree: when its search is finished, and how its results are read.

`TreePolicy` is the part in which PUCT, UCT and Gumbel differ. `search.puct`, `search.uct` and `search.gumbel` hold one
each; the rest is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from search.config import SearchConfig
from search.kernels import inlined, kernel
from search.parameters import SearchParameters
from search.selection import Walk, lost
from search.tree import UNVISITED, Tree


class RootArrays(NamedTuple):
    """Results of n searches, for the kernels: a row a tree, a column a legal action (L is the most of any row)."""

    actions: np.ndarray  # [n, L] int64: -1 where a row has fewer actions
    visit_counts: np.ndarray  # [n, L] int64
    q_values: np.ndarray  # [n, L] float64: for the player to move; nan where unvisited
    prior: np.ndarray  # [n, L] float64: without noise
    policy_target: np.ndarray  # [n, L] float64: before any temperature; rows sum to 1
    root_value: np.ndarray  # [n, P] float64: the search's value of the root, or the exact one
    raw_value: np.ndarray  # [n, P] float64: the evaluator's value of the root
    best_action: np.ndarray  # [n] int64: the move to play

    @staticmethod
    def allocate(n: int, width: int, num_players: int) -> RootArrays:
        """Arrays for n trees whose roots have `width` edges at most."""
        return RootArrays(
            actions=np.full((n, width), -1, np.int64),
            visit_counts=np.zeros((n, width), np.int64),
            q_values=np.full((n, width), np.nan),
            prior=np.zeros((n, width)),
            policy_target=np.zeros((n, width)),
            root_value=np.zeros((n, num_players)),
            raw_value=np.zeros((n, num_players)),
            best_action=np.zeros(n, np.int64),
        )


@dataclass(frozen=True)
class TreePolicy:
    """How a search chooses edges and reads its roots: what stands behind a value of `SearchConfig.rule`."""

    select: Callable[[Tree, np.ndarray, SearchParameters, np.ndarray, Walk], int]
    """`search.selection.select_by` with the policy's choice of an edge."""
    prepare_roots: Callable[[Tree, np.ndarray, SearchConfig, np.ndarray, np.ndarray], None]
    """(tree, trees [n], config, noisy bool [B], budget [B]): noise and plans, once a search, for roots with edges."""
    read_roots: Callable[[Tree, np.ndarray, SearchParameters, RootArrays, np.ndarray], None]
    """`read_roots_by` with the policy's scores, target and value."""
    plans_visits: bool = False
    """True where visits of the root follow a plan: `Tree.gumbel` and `Tree.considered_visits` hold it, and no visits
    of an earlier search can count."""
    forces_playouts: bool = False
    """True where `SearchConfig.forced_playouts` has a meaning."""


@kernel
def unfinished(
    tree: Tree, trees: np.ndarray, budget: np.ndarray, spare: int, parameters: SearchParameters, done: np.ndarray
) -> int:
    """Which of `trees` [n] need no further simulation, into `done` bool [n]; returns how many do need one.

    A tree is finished after `budget[b]` simulations; the first visit of its root, its own evaluation, is none. It is
    also finished when it has no more than `spare` nodes left, or when its root is proven.
    """
    count = 0
    for i in range(trees.shape[0]):
        b = trees[i]
        root = tree.nodes[b, 0]
        done[i] = (
            root.visits - 1 >= budget[b]
            or tree.node_count[b] > tree.nodes.shape[1] - spare
            or (parameters.proven_values and root.exact == 1)
        )
        count += not done[i]
    return count


@inlined
def read_roots_by(
    fill_scores: Callable[..., None],
    fill_policy: Callable[..., None],
    fill_value: Callable[..., None],
    tree: Tree,
    trees: np.ndarray,
    parameters: SearchParameters,
    out: RootArrays,
    scratch: np.ndarray,
) -> None:
    """Fill the rows of `out` from the roots of `trees` [n]. Three functions are those of a tree policy:

    `fill_scores(tree, b, parameters, scores)`: what decides between edges with equal visits, the greatest first.
    `fill_policy(tree, b, parameters, policy, scratch)`: the policy target where no move is proven.
    `fill_value(tree, b, policy, parameters, value)`: the value of a root that is not proven, for every player.
    """
    for i in range(trees.shape[0]):
        b = trees[i]
        read_edges(tree, b, i, out)
        target = out.policy_target[i]
        if not proven_wins(tree, b, parameters, target):
            fill_policy(tree, b, parameters, target, scratch)
            drop_losses(tree, b, parameters, target)
        fill_scores(tree, b, parameters, scratch)
        out.best_action[i] = tree.edges[b, best_edge(tree, b, parameters, scratch)].action
        if tree.nodes[b, 0].exact:
            out.root_value[i] = tree.nodes[b, 0].value
        else:
            fill_value(tree, b, target, parameters, out.root_value[i])


@kernel
def read_edges(tree: Tree, b: int, row: int, out: RootArrays) -> None:
    """Copy the statistics of the root of tree b into a row of `out`."""
    first = tree.nodes[b, 0].first_edge
    for j in range(tree.nodes[b, 0].num_edges):
        edge = tree.edges[b, first + j]
        out.actions[row, j] = edge.action
        out.visit_counts[row, j] = edge.visits
        if edge.visits > 0:
            out.q_values[row, j] = edge.q
        out.prior[row, j] = math.exp(edge.logit)
    out.raw_value[row] = tree.nodes[b, 0].value


@kernel
def best_edge(tree: Tree, b: int, parameters: SearchParameters, scores: np.ndarray) -> int:
    """The move to play: a proven win, else the most visited edge, ties by `scores[:num_edges]`.

    Proven losses come last.
    """
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    best, best_rank, best_visits, best_score = first, -1, -1, -np.inf
    for i in range(num):
        e = first + i
        n = tree.edges[b, e].visits
        q = tree.edges[b, e].q if n > 0 else -np.inf
        rank = 1
        child = tree.edges[b, e].child
        if parameters.proven_values and n > 0 and child != UNVISITED and tree.nodes[b, child].exact:
            rank = 2 if q >= parameters.max_return else (0 if q <= -parameters.max_return else 1)
        better = rank > best_rank or (
            rank == best_rank and (n > best_visits or (n == best_visits and scores[i] > best_score))
        )
        if better:
            best, best_rank, best_visits, best_score = e, rank, n, scores[i]
    return best


@kernel
def proven_wins(tree: Tree, b: int, parameters: SearchParameters, policy: np.ndarray) -> bool:
    """Make `policy[:num_edges]` uniform over the root's proven wins; False where there are none.

    At a root proven to be won, the visits stopped early and mean nothing.
    """
    if not parameters.proven_values:
        return False
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    wins = 0
    for i in range(num):
        child = tree.edges[b, first + i].child
        policy[i] = 0.0
        if child != UNVISITED and tree.nodes[b, child].exact and tree.edges[b, first + i].visits > 0:
            if tree.edges[b, first + i].q >= parameters.max_return:
                policy[i] = 1.0
                wins += 1
    for i in range(num):
        if wins > 0:
            policy[i] /= wins
    return wins > 0


@kernel
def drop_losses(tree: Tree, b: int, parameters: SearchParameters, policy: np.ndarray) -> None:
    """Take the root's proven losses out of `policy[:num_edges]`, unless all moves are lost.

    Their visits were made before the proof.
    """
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    losses, rest = 0, 0.0
    for i in range(num):
        if lost(tree, b, first + i, parameters):
            losses += 1
        else:
            rest += policy[i]
    if losses == 0 or losses == num:
        return
    for i in range(num):
        if lost(tree, b, first + i, parameters):
            policy[i] = 0.0
        else:  # a rest of 0: only losses were visited
            policy[i] = policy[i] / rest if rest > 0.0 else 1.0 / (num - losses)


# Parts of `read_roots_by` that several tree policies have.


@kernel
def value_scores(tree: Tree, b: int, parameters: SearchParameters, out: np.ndarray) -> None:
    """The value of each of the root's edges into `out[:num_edges]`; -inf where unvisited."""
    first = tree.nodes[b, 0].first_edge
    for i in range(tree.nodes[b, 0].num_edges):
        edge = tree.edges[b, first + i]
        out[i] = edge.q if edge.visits > 0 else -np.inf


@kernel
def visit_counts(tree: Tree, b: int, out: np.ndarray) -> None:
    """The visits of the root's edges, into `out[:num_edges]`."""
    first = tree.nodes[b, 0].first_edge
    for i in range(tree.nodes[b, 0].num_edges):
        out[i] = tree.edges[b, first + i].visits


@kernel
def to_shares(tree: Tree, b: int, visits: np.ndarray) -> None:
    """Divide the root's `visits[:num_edges]` by their sum, in place; without any visit, the prior takes their place."""
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    total = 0.0
    for i in range(num):
        total += visits[i]
    for i in range(num):
        visits[i] = visits[i] / total if total > 0 else tree.edges[b, first + i].prior


@kernel
def mean_value(tree: Tree, b: int, policy: np.ndarray, parameters: SearchParameters, out: np.ndarray) -> None:
    """The mean return of all simulations, into `out` [P]."""
    root = tree.nodes[b, 0]
    for p in range(len(out)):
        out[p] = root.value_total[p] / root.visits
