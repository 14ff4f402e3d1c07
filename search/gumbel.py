"""Gumbel: sequential halving at the root, an improved policy below it and as the target.

Danihelka et al., "Policy improvement by planning with Gumbel" (2022), sections 3 to 5; values are mapped to [0, 1]
before sigma, as there.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from search import random
from search.config import SearchConfig
from search.kernels import inlined, kernel
from search.parameters import SearchParameters
from search.root import RootArrays, TreePolicy, read_roots_by
from search.selection import Walk, arrival, lost, rescaled, select_by
from search.tree import Tree


@inlined
def unit_q(tree: Tree, b: int, q: float, parameters: SearchParameters) -> float:
    """q in [0, 1], as sigma expects it. The value that v_mix assumes may lie beyond those in the tree."""
    if parameters.normalize_q:
        return min(1.0, max(0.0, rescaled(tree, b, q, parameters)))
    return 0.5 * (q + 1.0)


@inlined
def mixed_value(tree: Tree, b: int, node: int) -> float:
    """v_mix (appendix D, equation 33): the assumed value of an unvisited action for the player to move."""
    first = tree.nodes[b, node].first_edge
    total, visited_prior, weighted_q = 0, 0.0, 0.0
    for e in range(first, first + tree.nodes[b, node].num_edges):
        n = tree.edges[b, e].visits
        if n > 0:
            total += n
            visited_prior += tree.edges[b, e].prior
            weighted_q += tree.edges[b, e].prior * tree.edges[b, e].q
    raw = tree.nodes[b, node].value[tree.nodes[b, node].to_play]
    if total == 0 or visited_prior <= 0.0:
        return raw
    return (raw + total * weighted_q / visited_prior) / (1 + total)


@inlined
def improved_logits(tree: Tree, b: int, node: int, parameters: SearchParameters, out: np.ndarray) -> None:
    """logit + sigma(completed q) of each edge into `out[:num_edges]` (equations 8 and 10)."""
    first = tree.nodes[b, node].first_edge
    num = tree.nodes[b, node].num_edges
    max_visits = 0
    for e in range(first, first + num):
        max_visits = max(max_visits, tree.edges[b, e].visits)
    mixed = mixed_value(tree, b, node)
    scale = (parameters.c_visit + max_visits) * parameters.c_scale
    for i in range(num):
        e = first + i
        q = tree.edges[b, e].q if tree.edges[b, e].visits > 0 else mixed
        out[i] = tree.edges[b, e].logit + scale * unit_q(tree, b, q, parameters)


@inlined
def softmax_in_place(x: np.ndarray, num: int) -> None:
    """Softmax of `x[:num]`."""
    top = -np.inf
    for i in range(num):
        top = max(top, x[i])
    total = 0.0
    for i in range(num):
        x[i] = math.exp(x[i] - top)
        total += x[i]
    for i in range(num):
        x[i] /= total


@inlined
def inner_edge(tree: Tree, b: int, node: int, parameters: SearchParameters, scratch: np.ndarray) -> int:
    """Below the root: argmax of pi'(a) - n(a) / (1 + N) (section 5, equation 14)."""
    first = tree.nodes[b, node].first_edge
    num = tree.nodes[b, node].num_edges
    improved_logits(tree, b, node, parameters, scratch)
    softmax_in_place(scratch, num)
    total = 0
    for e in range(first, first + num):
        total += tree.edges[b, e].visits
    best, best_score = first, -np.inf
    for i in range(num):
        score = scratch[i] - tree.edges[b, first + i].visits / (1.0 + total)
        if lost(tree, b, first + i, parameters):
            score -= 1e9
        if score > best_score:
            best, best_score = first + i, score
    return best


@kernel
def root_edge(tree: Tree, b: int, considered: int, parameters: SearchParameters, scratch: np.ndarray) -> int:
    """At the root: among edges with `considered` visits, argmax of g + logit + sigma(completed q).

    Where no edge has that number of visits (a proven loss was left out), any other edge is better than none.
    """
    first = tree.nodes[b, 0].first_edge
    num = tree.nodes[b, 0].num_edges
    improved_logits(tree, b, 0, parameters, scratch)
    best, best_score = first, -np.inf
    for i in range(num):
        score = scratch[i] + tree.gumbel[b, i]
        if tree.edges[b, first + i].visits != considered:
            score -= 1e6
        if lost(tree, b, first + i, parameters):
            score -= 1e9
        if score > best_score:
            best, best_score = first + i, score
    return best


@inlined
def choose(tree: Tree, b: int, node: int, parameters: SearchParameters, scratch: np.ndarray) -> int:
    """The edge that the next simulation takes: at the root by the plan of visits, below by the improved policy."""
    if node > 0:
        return inner_edge(tree, b, node, parameters, scratch)
    step = min(tree.nodes[b, 0].visits - 1, tree.considered_visits.shape[1] - 1)
    return root_edge(tree, b, tree.considered_visits[b, step], parameters, scratch)


@kernel
def select(tree: Tree, trees: np.ndarray, parameters: SearchParameters, scratch: np.ndarray, walk: Walk) -> int:
    """See `search.selection.select_by`."""
    return select_by(choose, tree, trees, parameters, scratch, walk)


@functools.lru_cache(maxsize=1024)
def considered_visits(num_considered: int, num_simulations: int) -> tuple[int, ...]:
    """Sequential halving, one number a simulation: the visits that the edge to take must have had by then.

    Starts with `num_considered` edges, gives each surviving edge an equal share of a phase's simulations, and keeps the
    better half after each phase (Danihelka et al. 2022, algorithm 2). Phases: ceil(log2(num_considered)).
    """
    if num_considered <= 1:
        return tuple(range(num_simulations))
    phases = math.ceil(math.log2(num_considered))
    sequence: list[int] = []
    alive, visits = num_considered, 0
    while len(sequence) < num_simulations:
        for _ in range(max(1, num_simulations // (phases * alive))):
            sequence += [visits] * alive
            visits += 1
        alive = max(2, alive // 2)
    return tuple(sequence[:num_simulations])


@kernel
def draw_gumbel(tree: Tree, trees: np.ndarray, noisy: np.ndarray) -> None:
    """Gumbel noise for each edge of the roots of `trees` [n]; zero where `noisy` bool [B] is false."""
    for t in range(trees.shape[0]):
        b = trees[t]
        for i in range(tree.nodes[b, 0].num_edges):
            drawn = random.gumbel(tree.random, b)
            tree.gumbel[b, i] = drawn if noisy[b] else 0.0


def prepare_roots(tree: Tree, trees: np.ndarray, config: SearchConfig, noisy: np.ndarray, budget: np.ndarray) -> None:
    """Noise for those of `trees` [n] that `noisy` bool [B] names, and a plan of `budget` [B] visits for all."""
    draw_gumbel(tree, trees, noisy)
    num_edges = tree.nodes["num_edges"][trees, 0]
    for b, edges in zip(trees.tolist(), num_edges.tolist(), strict=True):
        plan = considered_visits(min(config.max_considered_actions, edges), int(budget[b]))
        tree.considered_visits[b, : len(plan)] = plan


@kernel
def scores(tree: Tree, b: int, parameters: SearchParameters, out: np.ndarray) -> None:
    """g + logit + sigma(completed q) of the root's edges into `out[:num_edges]`."""
    improved_logits(tree, b, 0, parameters, out)
    for i in range(tree.nodes[b, 0].num_edges):
        out[i] += tree.gumbel[b, i]


@kernel
def improved_policy(tree: Tree, b: int, parameters: SearchParameters, out: np.ndarray, scratch: np.ndarray) -> None:
    """The improved policy, into `out[:num_edges]` (equation 11)."""
    num = tree.nodes[b, 0].num_edges
    improved_logits(tree, b, 0, parameters, scratch)
    softmax_in_place(scratch, num)
    out[:num] = scratch[:num]


@kernel
def policy_value(tree: Tree, b: int, policy: np.ndarray, parameters: SearchParameters, out: np.ndarray) -> None:
    """Mean return, each simulation weighted by `policy[:num_edges]` of its move, into `out` [P].

    The improved policy is better than the prior by its expected value (Danihelka et al. 2022, section 4), so that is
    the result of the search. The plain mean is not: sequential halving shares simulations among moves that nobody
    would play, and where one of sixteen is good the mean says that the position is lost. The visits keep a move that
    was tried once, and looked good, from counting as much as one that was tried often.
    """
    root = tree.nodes[b, 0]
    out[:] = 0.0
    total = 0.0
    for i in range(root.num_edges):
        edge = tree.edges[b, root.first_edge + i]
        if edge.visits > 0:
            child = tree.nodes[b, edge.child]
            weight = policy[i] * edge.visits
            total += weight
            for p in range(len(out)):
                value = child.value[p] if child.exact else child.value_total[p] / child.visits
                out[p] += weight * (child.reward[p] + arrival(tree, b, edge.child, parameters) * value)
    if total > 0.0:
        out /= total
    else:
        out[:] = root.value


@kernel
def read_roots(
    tree: Tree, trees: np.ndarray, parameters: SearchParameters, out: RootArrays, scratch: np.ndarray
) -> None:
    """See `search.root.read_roots_by`."""
    read_roots_by(scores, improved_policy, policy_value, tree, trees, parameters, out, scratch)


GUMBEL = TreePolicy(select=select, prepare_roots=prepare_roots, read_roots=read_roots, plans_visits=True)
"""The rule `gumbel`."""
