"""The tree: one array of nodes and one of edges for all B trees of an actor, and what grows, empties and compacts them.

Node 0 of a tree is its root. Nodes are numbered in the order of their creation, so a child always has a greater number
than its parent; `compact` relies on it. Edges of a node are consecutive, one per *legal* action (chess has 4674
actions and about 35 legal ones). The position of node n of tree b is in slot `b * N + n` of the model.

Nodes and edges are records, not one array a field: what a step down the tree reads lies together. With 256 trees the
search waits for memory, and a record is one cache line where separate arrays are a dozen.

Perspective: node values and rewards are per player; the statistics of an edge are those of the player who moves at its
parent. `expansion.backup` is the only place that turns one into the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.kernels import inlined, kernel

UNVISITED = -1
"""`child` of an edge no simulation has taken."""

NO_PARENT = -1
"""`parent` of a root."""


def node_dtype(num_players: int) -> np.dtype:
    """A node; 64 bytes, one cache line, for two players."""
    return np.dtype(
        [
            ("to_play", np.int32),  # player, games.CHANCE or games.TERMINAL
            ("parent", np.int32),  # or NO_PARENT
            ("parent_edge", np.int32),
            ("first_edge", np.int32),
            ("num_edges", np.int32),  # 0 until the node is expanded, and in terminal nodes
            ("visits", np.int32),  # simulations that ended here or passed
            ("exact", np.int32),  # 1 where `value` is exact (terminal, or proven)
            ("visited_prior", np.float32),  # summed prior of the edges that have been visited
            ("value_total", np.float64, (num_players,)),  # summed returns from the node on, over `visits`
            ("value", np.float32, (num_players,)),  # the evaluator's value of the node, or the exact one
            ("reward", np.float32, (num_players,)),  # earned on arrival at the node
        ],
        align=True,
    )


EDGE = np.dtype(
    [
        ("q", np.float64),  # mean return for the player to move at the parent, or the exact one; 0 while unvisited
        ("visits", np.int32),
        ("prior", np.float32),  # probability; at a root with noise, the noisy one
        ("child", np.int32),  # node, or UNVISITED
        ("action", np.int32),
        ("logit", np.float32),  # log of the prior as the evaluator gave it
        ("padding", np.int32),
    ],
    align=True,
)
"""An edge; half a cache line."""


class Tree(NamedTuple):
    """B trees with room for N nodes and E edges each."""

    nodes: np.ndarray  # [B, N] node_dtype
    edges: np.ndarray  # [B, E] EDGE
    node_count: np.ndarray  # [B] int32
    edge_count: np.ndarray  # [B] int32
    min_q: np.ndarray  # [B] float64, least value of an edge (for `normalize_q`)
    max_q: np.ndarray  # [B] float64
    random: np.ndarray  # [B] uint64, state of the tree's own random numbers
    forced_playouts: np.ndarray  # [B] float64: k of the forced playouts of this search, 0 for none
    gumbel: np.ndarray  # [B, A] float64: Gumbel noise of the root's edges (A = 1 when unused)
    considered_visits: np.ndarray  # [B, S] int32: sequential halving, one entry per simulation (S = 1 when unused)


def allocate(
    num_trees: int, num_nodes: int, edges_per_node: int, num_players: int, gumbel_width: int, num_simulations: int
) -> Tree:
    """An empty tree for each of `num_trees` games."""
    return Tree(
        nodes=np.zeros((num_trees, num_nodes), node_dtype(num_players)),
        edges=np.zeros((num_trees, num_nodes * edges_per_node), EDGE),
        node_count=np.zeros(num_trees, np.int32),
        edge_count=np.zeros(num_trees, np.int32),
        min_q=np.full(num_trees, np.inf),
        max_q=np.full(num_trees, -np.inf),
        random=np.zeros(num_trees, np.uint64),
        forced_playouts=np.zeros(num_trees),
        gumbel=np.zeros((num_trees, gumbel_width), np.float64),
        considered_visits=np.zeros((num_trees, num_simulations), np.int32),
    )


def grow_edges(tree: Tree) -> Tree:
    """The same tree with room for twice as many edges."""
    return tree._replace(edges=np.concatenate([tree.edges, np.zeros_like(tree.edges)], axis=1))


@inlined
def new_node(tree: Tree, b: int, parent: int, edge: int) -> int:
    """Append a node to tree b below an edge (or as the root, with NO_PARENT) and return its number."""
    number = tree.node_count[b]
    tree.node_count[b] = number + 1
    node = tree.nodes[b, number]
    node.parent = parent
    node.parent_edge = edge
    node.num_edges = 0
    node.visits = 0
    node.exact = 0
    node.visited_prior = 0.0
    for p in range(len(node.value)):
        node.value[p] = 0.0
        node.value_total[p] = 0.0
        node.reward[p] = 0.0
    if parent != NO_PARENT:
        tree.edges[b, edge].child = number
    return number


@inlined
def add_edges(tree: Tree, b: int, number: int, actions: np.ndarray, start: int, end: int) -> int:
    """Give a node unvisited edges for `actions[start:end]`, still without priors; returns the first."""
    first = tree.edge_count[b]
    for k in range(start, end):
        edge = tree.edges[b, first + k - start]
        edge.action = actions[k]
        edge.q = 0.0
        edge.visits = 0
        edge.child = UNVISITED
    tree.nodes[b, number].first_edge = first
    tree.nodes[b, number].num_edges = end - start
    tree.edge_count[b] = first + end - start
    return first


@kernel
def clear(tree: Tree, trees: np.ndarray) -> None:
    """Empty `trees` [n]."""
    for i in range(trees.shape[0]):
        b = trees[i]
        tree.node_count[b] = 0
        tree.edge_count[b] = 0
        tree.min_q[b] = np.inf
        tree.max_q[b] = -np.inf


@kernel
def start(tree: Tree, trees: np.ndarray, to_play: np.ndarray) -> None:
    """Give each of `trees` [n] a lone root where `to_play` [n] is to move."""
    clear(tree, trees)
    for i in range(trees.shape[0]):
        tree.nodes[trees[i], new_node(tree, trees[i], NO_PARENT, 0)].to_play = to_play[i]


@kernel
def find_root_child(tree: Tree, b: int, action: int) -> int:
    """The node below the root's edge with `action`, or UNVISITED."""
    if tree.node_count[b] == 0:
        return UNVISITED
    first = tree.nodes[b, 0].first_edge
    for e in range(first, first + tree.nodes[b, 0].num_edges):
        if tree.edges[b, e].action == action:
            return tree.edges[b, e].child
    return UNVISITED


@kernel
def compact(tree: Tree, b: int, root: int, kept: np.ndarray) -> int:
    """Make `root` node 0 of tree b and drop every node outside its subtree.

    Returns the number of nodes kept; `kept[:count]` lists their old numbers, ascending. The caller can move positions
    from slot `kept[i]` to slot `i` in that order, and overwrites none that is still needed.
    """
    new_number = np.full(tree.node_count[b], UNVISITED, np.int32)
    count = 0
    for node in range(root, tree.node_count[b]):
        if node == root or (node > root and new_number[tree.nodes[b, node].parent] != UNVISITED):
            new_number[node] = count
            kept[count] = node
            count += 1
    edge_count = 0
    for i in range(count):
        tree.nodes[b, i] = tree.nodes[b, kept[i]]
        node = tree.nodes[b, i]
        node.parent = NO_PARENT if i == 0 else new_number[node.parent]
        first, node.first_edge = node.first_edge, edge_count
        for j in range(node.num_edges):
            tree.edges[b, edge_count] = tree.edges[b, first + j]
            edge = tree.edges[b, edge_count]
            if edge.child != UNVISITED:
                edge.child = new_number[edge.child]
            edge_count += 1
    for i in range(count):
        first = tree.nodes[b, i].first_edge
        for e in range(first, first + tree.nodes[b, i].num_edges):
            if tree.edges[b, e].child != UNVISITED:
                tree.nodes[b, tree.edges[b, e].child].parent_edge = e
    tree.node_count[b] = count
    tree.edge_count[b] = edge_count
    return count
