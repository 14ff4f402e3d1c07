"""Going down: the walk from the root to a leaf, which all tree policies share, and the edges of chance nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from games import CHANCE
from search import random
from search.kernels import inlined, kernel, prefetch
from search.parameters import SearchParameters
from search.tree import EDGE, UNVISITED, Tree, new_node

EDGES_PER_LINE = 64 // EDGE.itemsize
"""Edges in a cache line."""

PREFETCHED_EDGES = 8
"""Edges of a new node whose memory is asked for early; the processor finds the rest of longer rows by itself."""


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
def rescaled(tree: Tree, b: int, q: float, parameters: SearchParameters) -> float:
    """q as a score sees it: unchanged, or within the range of values in the tree (MuZero, equation 5)."""
    if not parameters.normalize_q:
        return q
    if tree.max_q[b] <= tree.min_q[b]:
        return 0.0
    return (q - tree.min_q[b]) / (tree.max_q[b] - tree.min_q[b])


@inlined
def lost(tree: Tree, b: int, edge: int, parameters: SearchParameters) -> bool:
    """True if the edge is proven to be the worst possible result for the player who would take it."""
    if not parameters.proven_values:
        return False
    child = tree.edges[b, edge].child
    if child == UNVISITED or not tree.nodes[b, child].exact:
        return False
    return tree.edges[b, edge].q <= -parameters.max_return


@kernel
def chance_edge(tree: Tree, b: int, node: int) -> int:
    """An outcome of a chance node, drawn by its probability."""
    first = tree.nodes[b, node].first_edge
    end = first + tree.nodes[b, node].num_edges
    u = random.uniform(tree.random, b)
    for e in range(first, end - 1):
        u -= tree.edges[b, e].prior
        if u < 0.0:
            return e
    return end - 1


@inlined
def arrival(tree: Tree, b: int, node: int, parameters: SearchParameters) -> float:
    """The factor of the return from a node, where it is added to the reward on arrival there.

    A chance event takes no time: what a move pays and what chance pays behind it count alike, as in the returns of
    self-play. So a move is discounted where it arrives at a player.
    """
    return 1.0 if tree.nodes[b, node].to_play == CHANCE else parameters.discount


@inlined
def prefetch_edges(tree: Tree, b: int) -> None:
    """Ask for the memory of the next node's edges: by the time that it is expanded, it is there."""
    begin = tree.edge_count[b]
    for e in range(begin, min(begin + PREFETCHED_EDGES, tree.edges.shape[1]), EDGES_PER_LINE):
        prefetch(tree.edges[b, e])  # type: ignore[call-arg]  # Numba passes the first argument


@inlined
def select_by(
    choose: Callable[..., int],
    tree: Tree,
    trees: np.ndarray,
    parameters: SearchParameters,
    scratch: np.ndarray,
    walk: Walk,
) -> int:
    """Walk down each of `trees` [n] to a leaf; a leaf that does not exist yet is created.

    `choose(tree, b, node, parameters, scratch)` returns the edge to take at a player's node. Each tree policy compiles
    this function with its own `choose`: one kernel for all of them ran at half the speed.

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
            if tree.nodes[b, node].to_play == CHANCE:
                edge = chance_edge(tree, b, node)
            else:
                edge = choose(tree, b, node, parameters, scratch)
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
