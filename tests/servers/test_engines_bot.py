"""Our players as OpenSpiel's bots: its own evaluation code plays with them."""

from __future__ import annotations

import numpy as np
import pyspiel
import pytest
from engine_helpers import fake_engine
from open_spiel.python.algorithms import evaluate_bots
from script_player import Script

import games
from selfplay.errors import UserError
from selfplay.servers.openspiel_bot import OpenSpielBot


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "pig(winscore=20)", "chess"])
def test_whole_games_in_both_of_openspiels_loops(name):
    game = pyspiel.load_game(name)
    players = ("random", "random") if name == "chess" else ("uniform:simulations=8", "random")
    bots = [OpenSpielBot(player, game, seed=i) for i, player in enumerate(players)]
    for number in range(3):
        returns = pyspiel.evaluate_bots(game.new_initial_state(), bots, number)
        assert sum(returns) == 0
        state = game.new_initial_state()
        assert evaluate_bots.evaluate_bots(state, bots, np.random.RandomState(number)) == state.returns()
        assert state.is_terminal()
    for bot in bots:
        bot.close()


def test_a_good_player_beats_openspiels_random_bot():
    game = pyspiel.load_game("tic_tac_toe")
    bot = OpenSpielBot("uniform:simulations=300,solve=true", game, seed=1)
    for number in range(20):
        bots = [bot, pyspiel.make_uniform_random_bot(1, number)]
        assert pyspiel.evaluate_bots(game.new_initial_state(), bots, number)[0] >= 0


def test_openspiels_own_search_meets_ours():
    game = pyspiel.load_game("connect_four")
    mcts = pyspiel.MCTSBot(game, pyspiel.RandomRolloutEvaluator(1, 1), 2.0, 20, 10, False, 1, False)
    bot = OpenSpielBot("mcts:simulations=20", game, seed=1)
    assert sum(pyspiel.evaluate_bots(game.new_initial_state(), [mcts, bot], 1)) == 0


def test_games_in_the_middle_and_one_after_the_other():
    bot = OpenSpielBot(Script(4, 2, 6, 3), "tic_tac_toe")
    game = pyspiel.load_game("tic_tac_toe")
    first, second = game.new_initial_state(), game.new_initial_state()
    assert bot.step(first) == 4
    second.apply_action(0)
    bot.restart_at(second)
    assert bot.step(second) == 2
    first.apply_action(4)
    first.apply_action(0)
    assert bot.step(first) == 6
    first.apply_action(1)
    assert bot.step(first) == 3


def test_an_engine_as_a_bot():
    bot = OpenSpielBot(f"gtp:{fake_engine('gtp', 'moves', moves='A1,B1,pass')}", games.load("go(board_size=5)"))
    state = pyspiel.load_game("go(board_size=5)").new_initial_state()
    assert bot.step(state) == 0
    bot.close()


def test_what_is_wrong_is_one_line():
    tic_tac_toe = pyspiel.load_game("tic_tac_toe").new_initial_state()
    with pytest.raises(UserError, match="chose the illegal move 4"):
        bot = OpenSpielBot(Script(4), "tic_tac_toe")
        bot.step(tic_tac_toe.child(4))
    with pytest.raises(UserError, match="does not follow from the start of connect_four"):
        OpenSpielBot("random", "connect_four").step(tic_tac_toe)
    chess = pyspiel.load_game("chess").new_initial_state("4k3/8/8/8/8/8/R7/4K3 w - - 0 1")
    with pytest.raises(UserError, match="does not follow from the start of chess"):
        OpenSpielBot("random", "chess").step(chess)
    with pytest.raises(games.GameError):
        OpenSpielBot("random", "no_such_game")
