"""A chance event takes no time: what is paid behind it is not discounted once more."""

from __future__ import annotations

import numpy as np
import pytest

from games import CHANCE, TERMINAL, PythonGame, State
from search import ConstantEvaluator, Search, SearchConfig, SimulatorFactory
from selfplay.experience.targets import returns_of_game

PAID = [(1.0, 2.0, 4.0), (8.0, 16.0, 32.0)]
"""Of two moves: what the move pays, and each of the two chance events behind it."""


class PayingState(State):
    """Two moves without a choice, two events without luck behind each."""

    def __init__(self) -> None:
        self.steps, self.paid = 0, 0.0

    def clone(self) -> PayingState:
        other = PayingState()
        other.steps, other.paid = self.steps, self.paid
        return other

    def to_play(self) -> int:
        return TERMINAL if self.steps == 6 else 0 if self.steps % 3 == 0 else CHANCE

    def legal_actions(self) -> list[int]:
        return [0]

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(0, 1.0)]

    def apply(self, action: int) -> None:
        self.paid = PAID[self.steps // 3][self.steps % 3]
        self.steps += 1

    def rewards(self) -> list[float]:
        return [self.paid]

    def observation(self) -> np.ndarray:
        return np.float32([self.steps])

    def __str__(self) -> str:
        return str(self.steps)


class PayingGame(PythonGame):
    name = rules = "paying"
    num_players = num_actions = max_chance_outcomes = 1
    max_game_length = 2
    has_rewards, zero_sum = True, False
    observation_shape = (2,)

    def new_state(self) -> PayingState:
        return PayingState()


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize("proven_values", [False, True])
def test_the_search_discounts_as_the_returns_of_self_play_do(rule: str, proven_values: bool) -> None:
    game, tree = PayingGame(), np.zeros(1, np.int64)
    config = SearchConfig(rule=rule, num_simulations=8, discount=0.5, proven_values=proven_values)
    pool = game.new_pool(1)
    pool.reset(tree)
    search = Search(SimulatorFactory(game, ConstantEvaluator()).make_model(), config, 1)
    search.begin(tree, pool, tree, np.zeros(1, np.uint64))
    search.run(tree)
    found = search.statistics(tree)
    played = np.array([[7.0], [56.0]])  # self-play adds what chance pays to the move before it
    expected = returns_of_game(played, np.zeros((2, 1)), 0.5, 0, True)[0, 0]
    assert expected == 7.0 + 56.0 / 2 and found.exact[0] == proven_values
    if proven_values:
        assert found.root_value[0, 0] == found.q_values[0, 0] == expected
    else:  # the first simulation saw one move alone, and the seven others both
        assert found.q_values[0, 0] == pytest.approx((7.0 + 7 * expected) / 8)
