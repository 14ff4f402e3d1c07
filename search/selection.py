"""Going down: which edge each rule takes, and the walk from the root to a leaf.

PUCT: Silver et al., "A general reinforcement learning algorithm..." (2018), pseudocode `ucb_score`, with KataGo's
first-play urgency (Wu 2019). UCT: Kocsis and Szepesvari (2006). Gumbel: Danihelka et al., "Policy improvement by
planning with Gumbel" (2022), sections 3 to 5; values are mapped to [0, 1] before sigma, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from games import CHANCE
from search import random
from search.config import Rules
from search.kernels import inlined, kernel, prefetch
from search.tree import EDGE, UNVISITED, Tree, new_node

NO_EDGE = -1
"""No edge of the root is owed a visit."""

EDGES_PER_LINE = 64 // EDGE.itemsize
PREFETCHED_EDGES = 8
"""Of longer rows the processor finds the rest by itself."""


class Walk(NamedTuple):
    """One simulation in n trees, between the kernels. The lists hold as many entries as `counts` says."""

    leaf: np.ndarray  # [n] int64: the node where each walk ended
    row: np.ndarray  # [n] int64: steps for the model: which of the n trees,
    src: np.ndarray  # [n] int64: from which slot,
    action: np.ndarray  # [n] int64: by which action or outcome,
    dst: np.ndarray  # [n] int64: to which slot
    waiting_row: np.ndarray  # [n] int64: leaves that wait for the evaluator: which tree,
    waiting_slot: np.ndarray  # [n] int64: and which slot
    counts: np.ndarray  # [2] int64: steps, waiting leaves

    @staticmethod
    def allocate(num_trees: int) -> Walk:
        """Room for a simulation in each tree."""
        leaf, row, src, action, dst, waiting_row, waiting_slot = np.zeros((7, num_trees), np.int64)
        return Walk(leaf, row, src, action, dst, waiting_row, waiting_slot, np.zeros(2, np.int64))


@inlined
def rescaled(tree: Tree, b: int, q: float, rules: Rules) -> float:
    """q as the PUCT score sees it: unchanged, or within the range of values seen in the tree (MuZero, equation 5)."""
    if not rules.normalize_q:
        return q
    if tree.max_q[b] <= tree.min_q[b]:
        return 0.0
    return (q - tree.min_q[b]) / (tree.max_q[b] - tree.min_q[b])


@inlined
def lost(tree: Tree, b: int, edge: int, rules: Rules) -> bool:
    """True if the edge is proven to be the worst possible result for the player who would take it."""
    if not rules.proven_values:
        return False
    child = tree.edges[b, edge].child
    if child == UNVISITED or not tree.nodes[b, child].exact:
        return False
    return tree.edges[b, edge].q <= -rules.max_return


@inlined
def exploration(visits: int, rules: Rules) -> float:
    """pb_c * sqrt(N) of a node with N visits: what PUCT multiplies the prior with."""
    pb_c = math.log((visits + rules.pb_c_base + 1.0) / rules.pb_c_base) + rules.pb_c_init
    return pb_c * math.sqrt(visits)


@inlined
def puct_edge(tree: Tree, b: int, node: int, rules: Rules) -> int:
    """argmax of q + prior * pb_c * sqrt(N) / (1 + n), the first of equals."""
    here = tree.nodes[b, node]
    node_q = here.value_total[here.to_play] / here.visits
    urgency = rescaled(tree, b, node_q, rules) - rules.fpu_reduction * math.sqrt(here.visited_prior)
    pb_c = exploration(here.visits, rules)
    best, best_score = here.first_edge, -np.inf
    for e in range(here.first_edge, here.first_edge + here.num_edges):
        edge = tree.edges[b, e]
        score = rescaled(tree, b, edge.q, rules) if edge.visits > 0 else urgency
        score += pb_c * edge.prior / (1 + edge.visits)
        if lost(tree, b, e, rules):
            score -= 1e9
        is_better = score > best_score
        best_score = score if is_better else best_score
        best = e if is_better else best
    return best


@inlined
def forced_visits(tree: Tree, b: int, edge: int) -> float:
    """How many visits an edge of the root must have had before the others have their turn."""
    return math.sqrt(tree.forced_playouts[b] * tree.edges[b, edge].prior * (tree.nodes[b, 0].visits - 1))


@kernel
def forced_edge(tree: Tree, b: int, rules: Rules) -> int:
    """The first edge of the root that has been visited, but less than it must be (Wu 2019, section 3.2)."""
    first = tree.nodes[b, 0].first_edge
    for e in range(first, first + tree.nodes[b, 0].num_edges):
        visits = tree.edges[b, e].visits
        if 0 < visits < forced_visits(tree, b, e) and not lost(tree, b, e, rules):
            return e
    return NO_EDGE


@kernel
def uct_edge(tree: Tree, b: int, node: int, rules: Rules) -> int:
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
        score = rescaled(tree, b, tree.edges[b, e].q, rules)
        score += rules.c_uct * math.sqrt(log_total / tree.edges[b, e].visits)
        if lost(tree, b, e, rules):
            score -= 1e9
        if score > best_score:
            best, best_score = e, score
    return best


@inlined
def unit_q(tree: Tree, b: int, q: float, rules: Rules) -> float:
    """q in [0, 1], as sigma expects it. What v_mix assumes may lie beyond the values that were seen."""
    if rules.normalize_q:
        return min(1.0, max(0.0, rescaled(tree, b, q, rules)))
    return 0.5 * (q + 1.0)


@inlined
def mixed_value(tree: Tree, b: int, node: int) -> float:
    """v_mix (appendix D, equation 33): what an unvisited action is assumed to be worth to the player to move."""
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
def improved_logits(tree: Tree, b: int, node: int, rules: Rules, out: np.ndarray) -> None:
    """logit + sigma(completed q) of each edge into `out[:num_edges]` (equations 8 and 10)."""
    first = tree.nodes[b, node].first_edge
    num = tree.nodes[b, node].num_edges
    max_visits = 0
    for e in range(first, first + num):
        max_visits = max(max_visits, tree.edges[b, e].visits)
    mixed = mixed_value(tree, b, node)
    scale = (rules.c_visit + max_visits) * rules.c_scale
    for i in range(num):
        e = first + i
        q = tree.edges[b, e].q if tree.edges[b, e].visits > 0 else mixed
        out[i] = tree.edges[b, e].logit + scale * unit_q(tree, b, q, rules)


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
def gumbel_edge(tree: Tree, b: int, node: int, rules: Rules, scratch: np.ndarray) -> int:
    """Below the root: argmax of pi'(a) - n(a) / (1 + N) (section 5, equation 14)."""
    first = tree.nodes[b, node].first_edge
    num = tree.nodes[b, node].num_edges
    improved_logits(tree, b, node, rules, scratch)
    softmax_in_place(scratch, num)
    total = 0
    for e in range(first, first + num):
        total += tree.edges[b, e].visits
    best, best_score = first, -np.inf
    for i in range(num):
        score = scratch[i] - tree.edges[b, first + i].visits / (1.0 + total)
        if lost(tree, b, first + i, rules):
            score -= 1e9
        if score > best_score:
            best, best_score = first + i, score
    return best


@kernel
def gumbel_root_edge(tree: Tree, b: int, considered: int, rules: Rules, scratch: np.ndarray) -> int:
    """At the root: among edges with `considered` visits, argmax of g + logit + sigma(completed q).

    Where no edge has that number of visits (a proven loss was left out), any other edge is better than none.
    """
    first = tree.nodes[b, 0].first_edge
    num = tree.nodes[b, 0].num_edges
    improved_logits(tree, b, 0, rules, scratch)
    best, best_score = first, -np.inf
    for i in range(num):
        score = scratch[i] + tree.gumbel[b, i]
        if tree.edges[b, first + i].visits != considered:
            score -= 1e6
        if lost(tree, b, first + i, rules):
            score -= 1e9
        if score > best_score:
            best, best_score = first + i, score
    return best


@kernel
def chance_edge(tree: Tree, b: int, node: int) -> int:
    """An outcome of nature, drawn by its probability."""
    first = tree.nodes[b, node].first_edge
    end = first + tree.nodes[b, node].num_edges
    u = random.uniform(tree.random, b)
    for e in range(first, end - 1):
        u -= tree.edges[b, e].prior
        if u < 0.0:
            return e
    return end - 1


@inlined
def puct_or_nature(tree: Tree, b: int, node: int, rules: Rules, scratch: np.ndarray) -> int:
    """The edge the next simulation takes under PUCT."""
    if tree.nodes[b, node].to_play == CHANCE:
        return chance_edge(tree, b, node)
    if node == 0 and tree.forced_playouts[b] > 0.0:
        edge = forced_edge(tree, b, rules)
        if edge != NO_EDGE:
            return edge
    return puct_edge(tree, b, node, rules)


@inlined
def uct_or_nature(tree: Tree, b: int, node: int, rules: Rules, scratch: np.ndarray) -> int:
    """The edge the next simulation takes under UCT."""
    return chance_edge(tree, b, node) if tree.nodes[b, node].to_play == CHANCE else uct_edge(tree, b, node, rules)


@inlined
def gumbel_or_nature(tree: Tree, b: int, node: int, rules: Rules, scratch: np.ndarray) -> int:
    """The edge the next simulation takes under Gumbel: a plan of visits at the root, the improved policy below."""
    if tree.nodes[b, node].to_play == CHANCE:
        return chance_edge(tree, b, node)
    if node > 0:
        return gumbel_edge(tree, b, node, rules, scratch)
    step = min(tree.nodes[b, 0].visits - 1, tree.considered_visits.shape[1] - 1)
    return gumbel_root_edge(tree, b, tree.considered_visits[b, step], rules, scratch)


@inlined
def prefetch_edges(tree: Tree, b: int) -> None:
    """Ask for the memory of the next node's edges: by the time that it is expanded, it is there."""
    begin = tree.edge_count[b]
    for e in range(begin, min(begin + PREFETCHED_EDGES, tree.edges.shape[1]), EDGES_PER_LINE):
        prefetch(tree.edges[b, e])  # type: ignore[call-arg]  # Numba passes the first argument


@inlined
def select_by(
    choose: Callable[..., int], tree: Tree, trees: np.ndarray, rules: Rules, scratch: np.ndarray, walk: Walk
) -> int:
    """Walk down each of `trees` [n] to a leaf; a leaf that does not exist yet is created.

    Writes `walk.leaf` [n], the steps that the model has to make, and the leaves that wait for the evaluator without a
    step: unexpanded roots. Returns the number of steps; `walk.counts` has both numbers.
    """
    steps, waiting = 0, 0
    num_nodes = tree.nodes.shape[1]
    for i in range(trees.shape[0]):
        b = trees[i]
        node = 0
        is_new = False
        while tree.nodes[b, node].num_edges > 0 and not tree.nodes[b, node].exact:
            edge = choose(tree, b, node, rules, scratch)
            child = tree.edges[b, edge].child
            if child == UNVISITED:
                child = new_node(tree, b, node, edge)
                walk.row[steps] = i
                walk.src[steps] = b * num_nodes + node
                walk.action[steps] = tree.edges[b, edge].action
                walk.dst[steps] = b * num_nodes + child
                steps += 1
                is_new = True
                prefetch_edges(tree, b)
            node = child
            if is_new:
                break
        walk.leaf[i] = node
        if not is_new and not tree.nodes[b, node].exact:
            walk.waiting_row[waiting] = i
            walk.waiting_slot[waiting] = b * num_nodes + node
            waiting += 1
    walk.counts[0] = steps
    walk.counts[1] = waiting
    return steps


# A kernel for each rule: one that held all three ran at half the speed.


@kernel
def select_puct(tree: Tree, trees: np.ndarray, rules: Rules, scratch: np.ndarray, walk: Walk) -> int:
    """`select_by` PUCT."""
    return select_by(puct_or_nature, tree, trees, rules, scratch, walk)


@kernel
def select_uct(tree: Tree, trees: np.ndarray, rules: Rules, scratch: np.ndarray, walk: Walk) -> int:
    """`select_by` UCT."""
    return select_by(uct_or_nature, tree, trees, rules, scratch, walk)


@kernel
def select_gumbel(tree: Tree, trees: np.ndarray, rules: Rules, scratch: np.ndarray, walk: Walk) -> int:
    """`select_by` Gumbel."""
    return select_by(gumbel_or_nature, tree, trees, rules, scratch, walk)


SELECT = {"puct": select_puct, "uct": select_uct, "gumbel": select_gumbel}
"""The kernel of each `SearchConfig.rule`."""
