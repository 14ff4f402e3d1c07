"""PUCT: value plus prior-weighted exploration, Dirichlet noise at the root, visit shares as the policy target.

Silver et al., "A general reinforcement learning algorithm..." (2018), pseudocode `ucb_score` and
`add_exploration_noise`. First-play urgency, forced playouts and pruned targets: Wu 2019, "Accelerating Self-Play
Learning in Go".
"""

from __future__ import annotations

import math

import numpy as np

from search import random
from search.config import SearchConfig
from search.kernels import inlined, kernel
from search.parameters import SearchParameters
from search.root import RootArrays, TreePolicy, mean_value, read_roots_by, to_shares, value_scores, visit_counts
from search.selection import Walk, lost, rescaled, select_by
from search.tree import Tree

NO_EDGE = -1
"""No edge of the root is owed a forced visit."""


@inlined
def exploration(visits: int, parameters: SearchParameters) -> float:
    """pb_c * sqrt(N) of a node with N visits: what the prior is multiplied with."""
    pb_c = math.log((visits + parameters.pb_c_base + 1.0) / parameters.pb_c_base) + parameters.pb_c_init
    return pb_c * math.sqrt(visits)


@inlined
def best_edge(tree: Tree, b: int, node: int, parameters: SearchParameters) -> int:
    """argmax of q + prior * pb_c * sqrt(N) / (1 + n), the first of equals."""
    here = tree.nodes[b, node]
    node_q = here.value_total[here.to_play] / here.visits
    urgency = rescaled(tree, b, node_q, parameters) - parameters.fpu_reduction * math.sqrt(here.visited_prior)
    pb_c = exploration(here.visits, parameters)
    best, best_score = here.first_edge, -np.inf
    for e in range(here.first_edge, here.first_edge + here.num_edges):
        edge = tree.edges[b, e]
        score = rescaled(tree, b, edge.q, parameters) if edge.visits > 0 else urgency
        score += pb_c * edge.prior / (1 + edge.visits)
        if lost(tree, b, e, parameters):
            score -= 1e9
        is_better = score > best_score
        best_score = score if is_better else best_score
        best = e if is_better else best
    return best


@inlined
def forced_visits(tree: Tree, b: int, edge: int) -> float:
    """The number of visits that an edge of the root must have had before the other edges have their turn."""
    return math.sqrt(tree.forced_playouts[b] * tree.edges[b, edge].prior * (tree.nodes[b, 0].visits - 1))


@kernel
def forced_edge(tree: Tree, b: int, parameters: SearchParameters) -> int:
    """The first edge of the root with a visit and fewer than it must have (Wu 2019, section 3.2), or NO_EDGE."""
    first = tree.nodes[b, 0].first_edge
    for e in range(first, first + tree.nodes[b, 0].num_edges):
        visits = tree.edges[b, e].visits
        if 0 < visits < forced_visits(tree, b, e) and not lost(tree, b, e, parameters):
            return e
    return NO_EDGE


@inlined
def choose(tree: Tree, b: int, node: int, parameters: SearchParameters, scratch: np.ndarray) -> int:
    """The edge that the next simulation takes: at the root a forced one first."""
    if node == 0 and tree.forced_playouts[b] > 0.0:
        edge = forced_edge(tree, b, parameters)
        if edge != NO_EDGE:
            return edge
    return best_edge(tree, b, node, parameters)


@kernel
def select(tree: Tree, trees: np.ndarray, parameters: SearchParameters, scratch: np.ndarray, walk: Walk) -> int:
    """See `search.selection.select_by`."""
    return select_by(choose, tree, trees, parameters, scratch, walk)


@kernel
def add_dirichlet_noise(tree: Tree, trees: np.ndarray, alpha: float, fraction: float) -> None:
    """Mix noise into the priors of the roots of `trees` [n]. `alpha` 0 means 10 / number of edges."""
    for t in range(trees.shape[0]):
        b = trees[t]
        node = tree.nodes[b, 0]
        shape = alpha if alpha > 0.0 else 10.0 / node.num_edges
        noise = np.empty(node.num_edges)
        total = 0.0
        for i in range(node.num_edges):
            noise[i] = random.gamma(tree.random, b, shape)
            total += noise[i]
        node.visited_prior = 0.0
        for i in range(node.num_edges):
            edge = tree.edges[b, node.first_edge + i]
            edge.prior = (1.0 - fraction) * edge.prior + fraction * noise[i] / total
            if edge.visits > 0:
                node.visited_prior += edge.prior


def prepare_roots(tree: Tree, trees: np.ndarray, config: SearchConfig, noisy: np.ndarray, budget: np.ndarray) -> None:
    """Dirichlet noise for those of `trees` [n] that `noisy` bool [B] names."""
    noisy_trees = trees[noisy[trees]]
    if len(noisy_trees):
        add_dirichlet_noise(tree, noisy_trees, config.dirichlet_alpha, config.dirichlet_fraction)


@kernel
def prune_forced(tree: Tree, b: int, parameters: SearchParameters, visits: np.ndarray) -> None:
    """Take the forced playouts back out of the root's `visits[:num_edges]` (Wu 2019, section 3.2).

    Each edge but the most visited one loses as many visits as were forced. A visit stays where PUCT, with the values
    at the end, would have chosen the edge over the most visited one. An edge that keeps no more than one visit loses
    that too.
    """
    root = tree.nodes[b, 0]
    first, num = root.first_edge, root.num_edges
    best = first
    for e in range(first, first + num):
        if tree.edges[b, e].visits > tree.edges[b, best].visits:
            best = e
    pb_c = exploration(root.visits, parameters)
    top = tree.edges[b, best]
    best_score = rescaled(tree, b, top.q, parameters) + pb_c * top.prior / (1 + top.visits)
    for i in range(num):
        edge = tree.edges[b, first + i]
        if first + i == best or edge.visits == 0:
            continue
        least = max(0.0, edge.visits - forced_visits(tree, b, first + i))
        q = rescaled(tree, b, edge.q, parameters)
        # 1 + n visits less one must still leave the edge's score below the best one's.
        while visits[i] - 1 >= least and q + pb_c * edge.prior / visits[i] < best_score:
            visits[i] -= 1
        if visits[i] <= 1:
            visits[i] = 0


@kernel
def visit_policy(tree: Tree, b: int, parameters: SearchParameters, out: np.ndarray, scratch: np.ndarray) -> None:
    """The shares of the visits that were not forced, into `out[:num_edges]`."""
    visit_counts(tree, b, out)
    if tree.forced_playouts[b] > 0.0:
        prune_forced(tree, b, parameters, out)
    to_shares(tree, b, out)


@kernel
def read_roots(
    tree: Tree, trees: np.ndarray, parameters: SearchParameters, out: RootArrays, scratch: np.ndarray
) -> None:
    """See `search.root.read_roots_by`."""
    read_roots_by(value_scores, visit_policy, mean_value, tree, trees, parameters, out, scratch)


PUCT = TreePolicy(select=select, prepare_roots=prepare_roots, read_roots=read_roots, forces_playouts=True)
"""The rule `puct`."""
