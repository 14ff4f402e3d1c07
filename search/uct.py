"""UCT: upper confidence bounds without priors (Kocsis and Szepesvari 2006), as plain MCTS has them."""

from __future__ import annotations

import math

import numpy as np

from search import random
from search.config import SearchConfig
from search.kernels import kernel
from search.parameters import SearchParameters
from search.root import RootArrays, TreePolicy, mean_value, read_roots_by, to_shares, value_scores, visit_counts
from search.selection import Walk, lost, rescaled, select_by
from search.tree import Tree


@kernel
def choose(tree: Tree, b: int, node: int, parameters: SearchParameters, scratch: np.ndarray) -> int:
    """An unvisited edge at random, else argmax of q + c * sqrt(log N / n)."""
    first = tree.nodes[b, node].first_edge
    end = first + tree.nodes[b, node].num_edges
    total, unvisited = 0, 0
    for e in range(first, end):
        total += tree.edges[b, e].visits
        unvisited += tree.edges[b, e].visits == 0
    if unvisited > 0:
        skip = int(random.uniform(tree.random, b) * unvisited)
        for e in range(first, end):
            if tree.edges[b, e].visits == 0:
                if skip == 0:
                    return e
                skip -= 1
    log_total = math.log(total)
    best, best_score = first, -np.inf
    for e in range(first, end):
        score = rescaled(tree, b, tree.edges[b, e].q, parameters)
        score += parameters.c_uct * math.sqrt(log_total / tree.edges[b, e].visits)
        if lost(tree, b, e, parameters):
            score -= 1e9
        if score > best_score:
            best, best_score = e, score
    return best


@kernel
def select(tree: Tree, trees: np.ndarray, parameters: SearchParameters, scratch: np.ndarray, walk: Walk) -> int:
    """See `search.selection.select_by`."""
    return select_by(choose, tree, trees, parameters, scratch, walk)


def prepare_roots(tree: Tree, trees: np.ndarray, config: SearchConfig, noisy: np.ndarray, budget: np.ndarray) -> None:
    """Nothing: the rule has no priors that noise could be mixed into."""


@kernel
def visit_policy(tree: Tree, b: int, parameters: SearchParameters, out: np.ndarray, scratch: np.ndarray) -> None:
    """The shares of the visits, into `out[:num_edges]`."""
    visit_counts(tree, b, out)
    to_shares(tree, b, out)


@kernel
def read_roots(
    tree: Tree, trees: np.ndarray, parameters: SearchParameters, out: RootArrays, scratch: np.ndarray
) -> None:
    """See `search.root.read_roots_by`."""
    read_roots_by(value_scores, visit_policy, mean_value, tree, trees, parameters, out, scratch)


UCT = TreePolicy(select=select, prepare_roots=prepare_roots, read_roots=read_roots)
"""The rule `uct`."""
