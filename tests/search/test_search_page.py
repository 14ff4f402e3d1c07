"""The examples of docs/search.md are computed by the kernels that the page describes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import games
from search import SearchConfig, puct
from search.expansion import backup
from search.gumbel import (
    considered_visits,
    improved_logits,
    inner_edge,
    mixed_value,
    policy_value,
    softmax_in_place,
)
from search.model import ModelTraits
from search.parameters import SearchParameters
from search.puct import exploration, forced_visits
from search.tree import NO_PARENT, Tree, add_edges, allocate, new_node

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8").replace("−", "-")
TRAITS = ModelTraits.of_game(games.load("tic_tac_toe"))


@dataclass
class Edge:
    prior: float
    visits: int
    q: float = 0.0


def one_node(edges: list[Edge], value: float, value_total: float) -> Tree:
    """A root where player 0 moves, with a child for every visited edge, as a search would have left it."""
    tree = allocate(1, 1 + len(edges), len(edges), 2, len(edges), 1)
    nodes, rows = tree.nodes[0], tree.edges[0]
    root, first = new_node(tree, 0, NO_PARENT, 0), add_edges(tree, 0, 0, np.arange(len(edges)), 0, len(edges))
    nodes["visits"][root] = 1 + sum(edge.visits for edge in edges)
    nodes["value"][root], nodes["value_total"][root] = (value, -value), (value_total, -value_total)
    nodes["visited_prior"][root] = sum(edge.prior for edge in edges if edge.visits)
    for number, edge in enumerate(edges, start=first):
        rows["prior"][number], rows["logit"][number] = edge.prior, math.log(edge.prior)
        rows["visits"][number], rows["q"][number] = edge.visits, edge.q
        if edge.visits:
            child = new_node(tree, 0, root, number)
            nodes["to_play"][child], nodes["visits"][child] = 1, edge.visits
            nodes["value_total"][child] = (edge.visits * edge.q, -edge.visits * edge.q)
    return tree


def rows_after(mark: str) -> list[list[str]]:
    """The cells of the first table after a text of the page."""
    table = PAGE.partition(mark)[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_example_of_puct() -> None:
    parameters = SearchParameters.of(SearchConfig(), TRAITS)
    rows = rows_after("A node has N = 4 and the mean return 0.05.")
    edges = [Edge(float(row[1]), int(row[2]), float(row[3] or 0)) for row in rows]
    tree = one_node(edges, value=0.0, value_total=4 * 0.05)
    assert f"pb_c = {exploration(4, parameters):.4f}" in PAGE
    scores = []
    for row in rows:
        terms, _, score = row[4].partition(" = ")
        scores.append(float(score))
        number = eval(re.sub(r"√([\d.]+)", r"math.sqrt(\1)", terms).replace("·", "*"), {"math": math})
        assert number == pytest.approx(scores[-1], abs=1e-4)
    unvisited = 0.05 - parameters.fpu_reduction * math.sqrt(tree.nodes["visited_prior"][0, 0])
    assert scores[2] == pytest.approx(unvisited + exploration(4, parameters) * edges[2].prior, abs=1e-4)
    assert puct.best_edge(tree, 0, 0, parameters) == np.argmax(scores)


def test_the_example_of_gumbel() -> None:
    parameters = SearchParameters.of(SearchConfig(rule="gumbel", c_visit=50, c_scale=0.2), TRAITS)
    rows = rows_after("A node has v = 0.1.")
    edges = [Edge(float(row[1]), int(row[2]), float(row[3] or 0)) for row in rows]
    tree = one_node(edges, value=0.1, value_total=0.1 + sum(edge.visits * edge.q for edge in edges))
    mixed = mixed_value(tree, 0, 0)
    assert f"v_mix = {mixed:.4f}" in PAGE and "the factor of u is 10.4" in PAGE
    policy, scratch = np.zeros(3), np.zeros(3)
    improved_logits(tree, 0, 0, parameters, policy)
    for row, edge, logit in zip(rows, edges, policy, strict=True):
        completed = edge.q if edge.visits else mixed
        assert [float(cell) for cell in row[4:7]] == pytest.approx([completed, (completed + 1) / 2, logit], abs=5e-4)
    softmax_in_place(policy, 3)
    assert [float(row[7]) for row in rows] == pytest.approx(policy.tolist(), abs=5e-4)
    scores = [share - edge.visits / 4 for share, edge in zip(policy, edges, strict=True)]
    assert [float(row[8]) for row in rows] == pytest.approx(scores, abs=5e-4)
    assert inner_edge(tree, 0, 0, parameters, scratch) == np.argmax(scores)
    values = np.zeros(2)
    policy_value(tree, 0, policy, parameters, values)
    plain = tree.nodes["value_total"][0, 0, 0] / tree.nodes["visits"][0, 0]
    assert f"In the example it is {values[0]:.3f}, and the plain mean is {plain:.3f}." in PAGE


def test_the_examples_of_sequential_halving() -> None:
    plan = considered_visits(4, 8)
    assert f"the plan is {' '.join(map(str, plan))}." in PAGE
    counts = [f"{considered_visits(16, 32).count(visits)} times {visits}" for visits in range(4)]
    assert f"For m = 16 and 32 simulations it is {', '.join(counts)}:" in PAGE


def test_the_example_of_forced_playouts() -> None:
    tree = one_node([Edge(0.1, 1), Edge(0.9, 199)], 0.0, 0.0)
    tree.forced_playouts[0] = 2.0
    assert f"With k = 2, P(a) = 0.1 and 200 visits, n_forced = {forced_visits(tree, 0, 0):.1f}." in PAGE


def test_the_example_of_backup() -> None:
    """Player 0 at the root, player 1 at the child, -0.3 for player 0 at the grandchild."""
    assert "So G = (-0.3, 0.3)." in PAGE
    assert "from the child to the grandchild adds +0.3, and the edge from the root to the child adds -0.3" in PAGE
    tree = allocate(1, 3, 1, 2, 1, 1)
    for number, (parent, to_play) in enumerate([(NO_PARENT, 0), (0, 1), (1, 0)]):
        tree.nodes["to_play"][0, new_node(tree, 0, parent, parent)] = to_play
        add_edges(tree, 0, number, np.zeros(1, np.int64), 0, 1)
    tree.nodes["value"][0, 2] = (-0.3, 0.3)
    backup(tree, np.zeros(1, np.int64), np.array([2]), SearchParameters.of(SearchConfig(), TRAITS), np.zeros(2))
    assert tree.edges["q"][0, :2].tolist() == pytest.approx([-0.3, 0.3])
