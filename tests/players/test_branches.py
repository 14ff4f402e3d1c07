"""The part of a search that the page shows: what is there is true of the tree and legal in the game."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from latent_model import LatentFactory

import games
from games import CHANCE, Game
from search import SearchConfig
from selfplay.algorithms.models import rollout_models
from selfplay.players.player import Branch
from selfplay.players.search import SearchPlayer, search_branches
from selfplay.players.thinking import Limits, make_thinker

HERE = np.zeros(1, np.int64)


def player_of(game: Game, num_simulations: int = 300) -> SearchPlayer:
    models = rollout_models(game, np.random.default_rng(1))
    return SearchPlayer("mcts", models, SearchConfig(rule="uct", num_simulations=num_simulations), seed=1)


def all_of(branches: Sequence[Branch]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from all_of(branch.replies)


def check(game: Game, actions: list[int], branches: Sequence[Branch]) -> None:
    """Every branch can be played where it stands, with its text and mover, the most visited first."""
    pool = game.new_pool(1)
    visits = [branch.visits for branch in branches]
    assert visits == sorted(visits, reverse=True) and 0 < len(visits) and visits[-1] > 0
    for branch in branches:
        pool.reset(HERE)
        for action in actions:
            pool.step(HERE, np.array([action]), HERE)
        mover = int(pool.to_play(HERE)[0])
        allowed = pool.chance(HERE)[1] if mover == CHANCE else pool.legal(HERE)[1]
        assert branch.to_play == mover and branch.action in allowed
        assert branch.text == pool.action_text(0, branch.action)
        assert np.isnan(branch.q) == (mover == CHANCE) and 0 <= branch.prior <= 1
        assert sum(reply.visits for reply in branch.replies) <= branch.visits
        if branch.replies:
            check(game, [*actions, branch.action], branch.replies)


@pytest.mark.parametrize(("name", "opening"), [("connect_four", [3, 3]), ("pig(winscore=20)", []), ("2048", [3, 9])])
@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_branches_are_the_most_visited_part_of_the_tree(name: str, opening: list[int], most: int) -> None:
    game = games.load(name)
    player = player_of(game)
    pool = game.new_pool(1)
    pool.reset(HERE)
    for action in opening:
        pool.step(HERE, np.array([action]), HERE)
    analysis = player.analyse(pool, 0)
    branches = search_branches(player._search, pool, 0, most)
    check(game, opening, branches)
    found = list(all_of(branches))
    assert len(found) <= most
    shown = {branch.action: branch for branch in branches}
    visited = [move for move in analysis.moves if move.visits > 0]
    for move in visited[: len(branches)]:
        branch = shown[move.action]
        assert (branch.visits, branch.q, branch.text) == (move.visits, pytest.approx(move.q), move.text)
    if most == 10_000:
        assert len(branches) == len(visited)
        assert len(found) == player._search.tree.node_count[0] - 1, "every node but the root is behind an edge"
    elif most == 40:
        every = all_of(search_branches(player._search, pool, 0, 10_000))
        visits = sorted((branch.visits for branch in every), reverse=True)
        assert sorted((branch.visits for branch in found), reverse=True) == visits[:40]


def test_what_a_learned_model_takes_for_legal_is_left_out() -> None:
    game = games.load("tic_tac_toe")
    player = SearchPlayer("latent", LatentFactory(), SearchConfig(num_simulations=200), seed=1)
    pool = game.new_pool(1)
    pool.reset(HERE)
    for action in (0, 4, 1, 7, 3):
        pool.step(HERE, np.array([action]), HERE)
    player.analyse(pool, 0)
    branches = search_branches(player._search, pool, 0, 500)
    check(game, [0, 4, 1, 7, 3], branches)
    edges = player._search.most_visited(0, 500)
    assert len(list(all_of(branches))) < len(edges), "moves on cells that are taken are in the tree"


def test_a_thought_has_branches_when_it_has_ended_and_where_it_is_asked_for_them() -> None:
    game = games.load("connect_four")
    pool = game.new_pool(1)
    pool.reset(HERE)
    reports: list = []
    asked = make_thinker(player_of(game, 50), num_branches=20)
    thought = asked.think(pool, [], Limits(), report=reports.append)
    assert len(list(all_of(thought.branches))) == 20 and not any(report.branches for report in reports)
    assert make_thinker(player_of(game, 50)).think(pool, [], Limits()).branches == ()
