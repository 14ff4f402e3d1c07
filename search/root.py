"""The root of a tree: noise before the search, statistics and a decision after it.

Dirichlet noise: Silver et al. 2018. Sequential halving and the improved policy: Danihelka et al. 2022.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from search import random
from search.config import GUMBEL, Rules
from search.kernels import kernel
from search.selection import exploration, forced_visits, improved_logits, lost, rescaled, softmax_in_place
from search.tree import UNVISITED, Tree


@functools.lru_cache(maxsize=1024)
def considered_visits(num_considered: int, num_simulations: int) -> tuple[int, ...]:
    """Sequential halving as one number per simulation: how often the edge to take must have been visited so far.

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


@kernel
def draw_gumbel(tree: Tree, trees: np.ndarray, noise: np.ndarray) -> None:
    """Gumbel noise for each edge of the roots of `trees` [n]; without `noise` bool [B] a search is deterministic."""
    for t in range(trees.shape[0]):
        b = trees[t]
        for i in range(tree.nodes[b, 0].num_edges):
            drawn = random.gumbel(tree.random, b)
            tree.gumbel[b, i] = drawn if noise[b] else 0.0


@kernel
def unfinished(tree: Tree, trees: np.ndarray, budget: np.ndarray, spare: int, rules: Rules, done: np.ndarray) -> int:
    """Which of `trees` [n] need no further simulation, into `done` bool [n]; returns how many do need one.

    A tree is finished when its root has had `budget[b]` simulations (its first visit is its own evaluation), when it
    has no more than `spare` nodes left, or when its root is proven.
    """
    count = 0
    for i in range(trees.shape[0]):
        b = trees[i]
        root = tree.nodes[b, 0]
        done[i] = (
            root.visits - 1 >= budget[b]
            or tree.node_count[b] > tree.nodes.shape[1] - spare
            or (rules.proven_values and root.exact == 1)
        )
        count += not done[i]
    return count


@kernel
def best_edge(tree: Tree, b: int, rules: Rules, scratch: np.ndarray) -> int:
    """The move to play: a proven win, else the most visited edge, ties by value (Gumbel: by g + logit + sigma(q)).

    Proven losses come last.
    """
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    if rules.rule == GUMBEL:
        improved_logits(tree, b, 0, rules, scratch)
    best, best_rank, best_visits, best_score = first, -1, -1, -np.inf
    for i in range(num):
        e = first + i
        n = tree.edges[b, e].visits
        q = tree.edges[b, e].q if n > 0 else -np.inf
        rank = 1
        child = tree.edges[b, e].child
        if rules.proven_values and n > 0 and child != UNVISITED and tree.nodes[b, child].exact:
            rank = 2 if q >= rules.max_return else (0 if q <= -rules.max_return else 1)
        score = scratch[i] + tree.gumbel[b, i] if rules.rule == GUMBEL else q
        better = rank > best_rank or (
            rank == best_rank and (n > best_visits or (n == best_visits and score > best_score))
        )
        if better:
            best, best_rank, best_visits, best_score = e, rank, n, score
    return best


@kernel
def policy_target(tree: Tree, b: int, rules: Rules, out: np.ndarray, scratch: np.ndarray) -> None:
    """What the network should learn, into `out[:num_edges]`: visit shares, or Gumbel's improved policy.

    At a root proven to be won the target is uniform over its proven wins: the visits stopped early and mean nothing.
    Proven losses are no part of it while there is anything else: their visits were made before the proof.
    """
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    wins = 0
    if rules.proven_values:
        for i in range(num):
            child = tree.edges[b, first + i].child
            out[i] = 0.0
            if child != UNVISITED and tree.nodes[b, child].exact and tree.edges[b, first + i].visits > 0:
                if tree.edges[b, first + i].q >= rules.max_return:
                    out[i] = 1.0
                    wins += 1
    if wins > 0:
        for i in range(num):
            out[i] /= wins
    elif rules.rule == GUMBEL:
        improved_logits(tree, b, 0, rules, scratch)
        softmax_in_place(scratch, num)
        out[:num] = scratch[:num]
    else:
        total = 0.0
        for i in range(num):
            out[i] = tree.edges[b, first + i].visits
        if tree.forced_playouts[b] > 0.0:
            prune_forced(tree, b, rules, out)
        for i in range(num):
            total += out[i]
        for i in range(num):
            out[i] = out[i] / total if total > 0 else tree.edges[b, first + i].prior
    if wins == 0:
        drop_losses(tree, b, rules, out)


@kernel
def drop_losses(tree: Tree, b: int, rules: Rules, policy: np.ndarray) -> None:
    """Take the root's proven losses out of `policy[:num_edges]`, unless all moves are lost."""
    first, num = tree.nodes[b, 0].first_edge, tree.nodes[b, 0].num_edges
    losses, rest = 0, 0.0
    for i in range(num):
        if lost(tree, b, first + i, rules):
            losses += 1
        else:
            rest += policy[i]
    if losses == 0 or losses == num:
        return
    for i in range(num):
        if lost(tree, b, first + i, rules):
            policy[i] = 0.0
        else:  # a rest of 0: only losses were visited
            policy[i] = policy[i] / rest if rest > 0.0 else 1.0 / (num - losses)


@kernel
def prune_forced(tree: Tree, b: int, rules: Rules, visits: np.ndarray) -> None:
    """Take the forced playouts back out of the root's `visits[:num_edges]` (Wu 2019, section 3.2).

    From each edge but the most visited, as many as were forced, as long as PUCT with what is known in the end would
    not have chosen the edge over the most visited one. An edge that keeps no more than one visit loses that too.
    """
    root = tree.nodes[b, 0]
    first, num = root.first_edge, root.num_edges
    best = first
    for e in range(first, first + num):
        if tree.edges[b, e].visits > tree.edges[b, best].visits:
            best = e
    pb_c = exploration(root.visits, rules)
    top = tree.edges[b, best]
    best_score = rescaled(tree, b, top.q, rules) + pb_c * top.prior / (1 + top.visits)
    for i in range(num):
        edge = tree.edges[b, first + i]
        if first + i == best or edge.visits == 0:
            continue
        least = max(0.0, edge.visits - forced_visits(tree, b, first + i))
        q = rescaled(tree, b, edge.q, rules)
        # 1 + n visits less one must still leave the edge's score below the best one's.
        while visits[i] - 1 >= least and q + pb_c * edge.prior / visits[i] < best_score:
            visits[i] -= 1
        if visits[i] <= 1:
            visits[i] = 0


@kernel
def policy_value(tree: Tree, b: int, policy: np.ndarray, rules: Rules, out: np.ndarray) -> None:
    """Mean return of a Gumbel search, each simulation weighted by `policy[:num_edges]` of its move, into `out` [P].

    The improved policy is better than the prior by its expected value (Danihelka et al. 2022, section 4), so that is
    what the search has found out. The plain mean is not: sequential halving shares simulations among moves that nobody
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
                out[p] += weight * (child.reward[p] + rules.discount * value)
    if total > 0.0:
        out /= total
    else:
        out[:] = root.value


@kernel
def read_roots(
    tree: Tree,
    trees: np.ndarray,
    rules: Rules,
    actions: np.ndarray,
    visit_counts: np.ndarray,
    q_values: np.ndarray,
    prior: np.ndarray,
    target: np.ndarray,
    values: np.ndarray,
    best: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Fill the arrays of `RootStatistics`; `values` is [2, n, P]: searched, and as evaluated."""
    for i in range(trees.shape[0]):
        b = trees[i]
        first = tree.nodes[b, 0].first_edge
        for j in range(tree.nodes[b, 0].num_edges):
            e = first + j
            actions[i, j] = tree.edges[b, e].action
            visit_counts[i, j] = tree.edges[b, e].visits
            if tree.edges[b, e].visits > 0:
                q_values[i, j] = tree.edges[b, e].q
            prior[i, j] = math.exp(tree.edges[b, e].logit)
        policy_target(tree, b, rules, target[i], scratch)
        best[i] = tree.edges[b, best_edge(tree, b, rules, scratch)].action
        values[1, i] = tree.nodes[b, 0].value
        if tree.nodes[b, 0].exact:
            values[0, i] = tree.nodes[b, 0].value
        elif rules.rule == GUMBEL:
            policy_value(tree, b, target[i], rules, values[0, i])
        else:
            values[0, i] = tree.nodes[b, 0].value_total / tree.nodes[b, 0].visits
