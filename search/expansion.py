"""Coming back up: new nodes get their edges, results travel to the root.

`backup` is the only place where a value per player becomes a value for the player to move.
"""

from __future__ import annotations

import math

import numpy as np

from games import CHANCE, TERMINAL
from search import random
from search.evaluators import Evaluation
from search.kernels import inlined, kernel
from search.parameters import SearchParameters
from search.selection import Walk, arrival, chance_edge
from search.tree import NO_PARENT, UNVISITED, Tree, add_edges, new_node

LARGEST_FAN = 64
"""Outcomes of a chance node that has more of them, drawn once by their probability (yacht has 7776)."""


EXPANDED, NO_ROOM, NOT_FINITE = 0, 1, 2
"""Outcomes of `expand`."""


@inlined
def has_room(tree: Tree, trees: np.ndarray, rows: np.ndarray, count: int, offsets: np.ndarray, most: int) -> bool:
    """Whether the rows of `offsets` [count + 1] fit behind the edges of the trees that `rows[:count]` name.

    At most `most` entries of a row become edges.
    """
    for k in range(count):
        if tree.edge_count[trees[rows[k]]] + min(offsets[k + 1] - offsets[k], most) > tree.edges.shape[1]:
            return False
    return True


@kernel
def arrive(tree: Tree, trees: np.ndarray, to_play: np.ndarray, rewards: np.ndarray, walk: Walk) -> int:
    """Write what the model's steps returned (`to_play` [k], `rewards` [k, P]) into the leaves.

    Decision nodes join the leaves that wait for the evaluator. The steps into chance nodes stay in the lists of
    `walk`, compacted; returns how many there are.
    """
    events, waiting = 0, walk.counts[1]
    for k in range(walk.counts[0]):
        i = walk.row[k]
        node = tree.nodes[trees[i], walk.leaf[i]]
        node.to_play = to_play[k]
        for p in range(rewards.shape[1]):
            node.reward[p] = rewards[k, p]
        if to_play[k] == TERMINAL:
            node.exact = 1  # `value` is zero: the result came as the reward
        elif to_play[k] == CHANCE:
            walk.row[events] = i
            walk.dst[events] = walk.dst[k]
            events += 1
        else:
            walk.waiting_row[waiting] = i
            walk.waiting_slot[waiting] = walk.dst[k]
            waiting += 1
    walk.counts[0] = events
    walk.counts[1] = waiting
    return events


@kernel
def expand_chance(
    tree: Tree, trees: np.ndarray, offsets: np.ndarray, outcomes: np.ndarray, probabilities: np.ndarray, walk: Walk
) -> bool:
    """Give the chance nodes left by `arrive` their outcomes as edges, and make a step along one of them in `walk`.

    Returns False, having changed nothing, where the edges do not fit into the tree.
    """
    if not has_room(tree, trees, walk.row, walk.counts[0], offsets, LARGEST_FAN):
        return False
    num_nodes = tree.nodes.shape[1]
    for k in range(walk.counts[0]):
        i = walk.row[k]
        b, node = trees[i], walk.leaf[i]
        start, end = offsets[k], offsets[k + 1]
        if end - start > LARGEST_FAN:
            draw_fan(tree, b, start, end, outcomes, probabilities)
            end = start + LARGEST_FAN
        first = add_edges(tree, b, node, outcomes, start, end)
        for j in range(end - start):
            tree.edges[b, first + j].prior = probabilities[start + j]
            tree.edges[b, first + j].logit = math.log(probabilities[start + j])
        edge = chance_edge(tree, b, node)
        child = new_node(tree, b, node, edge)
        walk.leaf[i] = child
        walk.src[k] = b * num_nodes + node
        walk.action[k] = tree.edges[b, edge].action
        walk.dst[k] = b * num_nodes + child
    return True


@kernel
def draw_fan(tree: Tree, b: int, start: int, end: int, outcomes: np.ndarray, probabilities: np.ndarray) -> None:
    """Replace the first LARGEST_FAN of the outcomes `start:end` by a sample of all, each equally likely, in place."""
    drawn = np.empty(LARGEST_FAN, np.int64)
    for j in range(LARGEST_FAN):
        u = random.uniform(tree.random, b)
        k = start
        while k < end - 1 and u >= probabilities[k]:
            u -= probabilities[k]
            k += 1
        drawn[j] = outcomes[k]
    for j in range(LARGEST_FAN):
        outcomes[start + j] = drawn[j]
        probabilities[start + j] = 1.0 / LARGEST_FAN


@kernel
def expand(tree: Tree, trees: np.ndarray, evaluation: Evaluation, walk: Walk) -> int:
    """Give waiting leaves their value and their edges, one for each legal action; returns EXPANDED.

    The prior is the softmax of the logits over the legal actions. Returns NO_ROOM, having changed nothing, where the
    edges do not fit into the tree, and NOT_FINITE, having stopped, where the logits or values are not finite.
    """
    offsets, logits, values = evaluation.offsets, evaluation.logits, evaluation.values
    if not has_room(tree, trees, walk.waiting_row, walk.counts[1], offsets, len(logits)):
        return NO_ROOM
    for k in range(walk.counts[1]):
        i = walk.waiting_row[k]
        b, node = trees[i], walk.leaf[i]
        start, end = offsets[k], offsets[k + 1]
        first = add_edges(tree, b, node, evaluation.actions, start, end)
        top = -np.inf
        for j in range(start, end):
            top = max(top, logits[j])
        total = 0.0
        for j in range(start, end):
            weight = math.exp(logits[j] - top)
            tree.edges[b, first + j - start].prior = weight
            total += weight
        if not math.isfinite(total) or total <= 0.0:
            return NOT_FINITE
        offset = top + math.log(total)
        for j in range(start, end):
            edge = tree.edges[b, first + j - start]
            edge.prior = edge.prior / total
            edge.logit = logits[j] - offset
        for p in range(values.shape[1]):
            if not math.isfinite(values[k, p]):
                return NOT_FINITE
            tree.nodes[b, node].value[p] = values[k, p]
    return EXPANDED


@kernel
def prove(tree: Tree, b: int, node: int, parameters: SearchParameters) -> None:
    """Mark the node exact if its children decide it (MCTS-Solver, Winands et al. 2008, for P players and chance).

    A player's node is proven by one child that is the best possible result, or once all children are exact; a chance
    node once all its outcomes are.
    """
    mover = tree.nodes[b, node].to_play
    num_players = len(tree.nodes[b, node].value)
    first = tree.nodes[b, node].first_edge
    best, best_q, all_exact = UNVISITED, -np.inf, True
    for e in range(first, first + tree.nodes[b, node].num_edges):
        child = tree.edges[b, e].child
        if child == UNVISITED or not tree.nodes[b, child].exact:
            all_exact = False
        elif mover != CHANCE:
            q = (
                tree.nodes[b, child].reward[mover]
                + arrival(tree, b, child, parameters) * tree.nodes[b, child].value[mover]
            )
            if q > best_q:
                best, best_q = child, q
    if mover == CHANCE and all_exact and tree.nodes[b, node].num_edges < LARGEST_FAN:
        for p in range(num_players):
            total = 0.0
            for e in range(first, first + tree.nodes[b, node].num_edges):
                child = tree.edges[b, e].child
                discounted = arrival(tree, b, child, parameters) * tree.nodes[b, child].value[p]
                total += tree.edges[b, e].prior * (tree.nodes[b, child].reward[p] + discounted)
            tree.nodes[b, node].value[p] = total
        tree.nodes[b, node].exact = 1
    elif mover != CHANCE and (all_exact or best_q >= parameters.max_return):
        for p in range(num_players):
            tree.nodes[b, node].value[p] = (
                tree.nodes[b, best].reward[p] + arrival(tree, b, best, parameters) * tree.nodes[b, best].value[p]
            )
        tree.nodes[b, node].exact = 1


@kernel
def backup(tree: Tree, trees: np.ndarray, leaf: np.ndarray, parameters: SearchParameters, returns: np.ndarray) -> None:
    """Add the value of each leaf to the edges above it. `returns` [P] is scratch.

    At an edge, the return is the reward on arrival plus the return from there, discounted as `arrival` says. The edge
    adds the return of the player who moves at its parent. Above an exact node the exact value replaces the mean.
    """
    num_players = len(returns)
    for i in range(trees.shape[0]):
        b, node = trees[i], leaf[i]
        for p in range(num_players):
            returns[p] = tree.nodes[b, node].value[p]
            tree.nodes[b, node].value_total[p] += returns[p]
        tree.nodes[b, node].visits += 1
        while tree.nodes[b, node].parent != NO_PARENT:
            here = tree.nodes[b, node]
            parent = here.parent
            above, edge = tree.nodes[b, parent], tree.edges[b, here.parent_edge]
            mover = above.to_play
            discount = arrival(tree, b, node, parameters)
            exact = here.exact == 1
            for p in range(num_players):
                if exact:
                    returns[p] = here.value[p]
                returns[p] = here.reward[p] + discount * returns[p]
                above.value_total[p] += returns[p]
            if edge.visits == 0:
                above.visited_prior += edge.prior
            edge.visits += 1
            above.visits += 1
            if mover != CHANCE:
                if exact:
                    edge.q = returns[mover]
                else:
                    edge.q += (returns[mover] - edge.q) / edge.visits
                if parameters.normalize_q:
                    tree.min_q[b] = min(tree.min_q[b], edge.q)
                    tree.max_q[b] = max(tree.max_q[b], edge.q)
            if exact and parameters.proven_values:
                prove(tree, b, parent, parameters)
            node = parent
