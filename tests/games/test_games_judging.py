"""The judge of chinese checkers against a slow one that reads the board as text; who has a judge and who has none."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import play_to_decision, random_actions, slots

import games

TIPS = {2: [(16, 12), (0, 12)], 3: [(16, 12), (4, 0), (4, 24)]}
"""The far tip of each player's goal, row and column of the text: opposite its home."""


def slowly_judged(text: str, num_players: int) -> list[float]:
    distances = []
    for player in range(num_players):
        target_row, target_column = TIPS[num_players][player]
        steps = []
        for row, line in enumerate(text.split("\n")[:17]):
            for column, mark in enumerate(line):
                if mark == str(player + 1):
                    down, across = abs(row - target_row), abs(column - target_column)
                    steps.append(down + max(0, (across - down) / 2))
        assert len(steps) == 10
        distances.append(sum(steps) / 10)
    mean = sum(distances) / num_players
    return [max(-1.0, min(1.0, (mean - distance) / 12)) for distance in distances]


@pytest.mark.parametrize("num_players", [2, 3])
def test_chinese_checkers_is_judged_by_how_far_the_pieces_have_come(num_players: int) -> None:
    game = games.load(f"chinese_checkers(players={num_players})")
    pool, rng = game.new_pool(1), np.random.default_rng(0)
    pool.reset(slots(0))
    movers, judged_apart = set(), 0
    for _ in range(60):
        judged = game.judge(pool, slots(0))
        assert judged is not None and judged.shape == (1, num_players)
        np.testing.assert_allclose(judged[0], slowly_judged(pool.text(0), num_players), atol=1e-9)
        np.testing.assert_allclose(judged.sum(), 0.0, atol=1e-9)
        movers.add(int(pool.to_play(slots(0))[0]))
        judged_apart += np.ptp(judged) > 0.01
        pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))
    assert movers == set(range(num_players)) and judged_apart > 20


@pytest.mark.parametrize("name", ["connect_four", "openspiel:connect_four", "pig", "2048", "hex(board_size=3)"])
def test_other_games_have_no_judge(name: str) -> None:
    game = games.load(name)
    pool = game.new_pool(1)
    play_to_decision(pool, 0, 3, np.random.default_rng(0))
    assert game.judge(pool, slots(0)) is None
