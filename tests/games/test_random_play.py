"""Openings of training: legal, never over, of uniform length, from the seed alone, and learned from by nobody."""

from __future__ import annotations

import numpy as np
import pytest
from environment_helpers import check_laws, play
from games_helpers import observations, rows
from run_helpers import ROOT

import games
import selfplay
from games.environments.game import GameBatch, GameEnvironment
from games.random_play import begin_games
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.behaviour import Sample
from selfplay.experience.openings import with_openings
from selfplay.experience.rollouts import Experience
from selfplay.training.checks import check

GAMES = ["tic_tac_toe", "connect_four", "openspiel:connect_four", "othello", "dots_and_boxes", "pig(winscore=15)"]
BOARD = 9
"""Cells of tic-tac-toe; its first plane holds the empty ones."""
CELLS = 42
"""Cells of Connect Four; its third plane holds the empty ones."""


class Refereed:
    """A pool that refuses moves that are not legal and counts those of players since a slot was last reset."""

    def __init__(self, pool: games.StatePool, size: int) -> None:
        self.pool, self.game, self.made = pool, pool.game, np.zeros(size, np.int64)

    def __getattr__(self, name: str):
        return getattr(self.pool, name)

    def reset(self, where: np.ndarray) -> None:
        self.made[where] = 0
        self.pool.reset(where)

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for slot, mover, action in zip(src, self.pool.to_play(src).tolist(), actions.tolist()):
            assert mover != games.TERMINAL
            ways = self.pool.chance(np.array([slot])) if mover == games.CHANCE else self.pool.legal(np.array([slot]))
            assert action in ways[1]
            self.made[slot] += mover != games.CHANCE
        return self.pool.step(src, actions, dst)


def begun(name: str, size: int, plies: int, seed: int = 0) -> Refereed:
    game = games.load(name)
    pool = Refereed(game.new_pool(size), size)
    begin_games(pool, np.arange(size), plies, np.random.default_rng(seed))
    return pool


@pytest.mark.parametrize("name", [*GAMES, "cart_pole", "2048"])
def test_what_was_played_leads_to_the_same_positions(name: str) -> None:
    game, where = games.load(name), np.arange(20)
    pool, again = game.new_pool(40), game.new_pool(1)
    played = begin_games(pool, where + 20, 6, np.random.default_rng(3))
    assert len(played) == 20 and len({len(moves) for moves in played}) > 1
    for slot, moves in zip(where + 20, played):
        again.reset(where[:1])
        for move in moves:
            games.check_action(again, 0, move)
            again.step(where[:1], np.array([move]), where[:1])
        assert again.history(0) == pool.history(slot) == moves
        assert again.text(0) == pool.text(slot)


def marks(observation: np.ndarray) -> np.ndarray:
    """How many moves of tic-tac-toe were made before each observation [..., C, 3, 3]."""
    return BOARD - observation[..., 0, :, :].sum(axis=(-2, -1)).astype(int)


@pytest.mark.parametrize("plies", [0, 1, 5])
@pytest.mark.parametrize("name", GAMES)
def test_games_begin_at_a_decision_after_legal_moves(name: str, plies: int) -> None:
    pool = begun(name, 60, plies)
    assert (pool.to_play(np.arange(60)) >= 0).all()
    assert pool.made.max() == plies and pool.made.min() == 0


@pytest.mark.parametrize(("name", "plies"), [("tic_tac_toe", 4), ("connect_four", 6), ("dots_and_boxes", 3)])
def test_every_length_is_as_likely(name: str, plies: int) -> None:
    counts = np.bincount(begun(name, 400 * (plies + 1), plies).made, minlength=plies + 1)
    assert len(counts) == plies + 1
    assert (np.abs(counts - 400) < 5 * 20).all()  # five standard deviations


def test_every_first_move_is_as_likely() -> None:
    pool = begun("tic_tac_toe", 4000, 1)
    once = np.flatnonzero(pool.made == 1)
    legal = rows(*pool.legal(once))
    taken = np.bincount([(set(range(BOARD)) - set(row)).pop() for row in legal], minlength=BOARD)
    assert (np.abs(taken - len(once) / BOARD) < 5 * np.sqrt(len(once) / BOARD)).all()


def test_an_opening_that_ends_the_game_is_taken_back() -> None:
    """Nine random moves always end tic-tac-toe, five do so now and then."""
    pool = begun("tic_tac_toe", 1000, 9)
    assert (pool.to_play(np.arange(1000)) >= 0).all()
    counts = np.bincount(pool.made, minlength=9)
    assert counts[0] > 300 and (counts[1:5] > 50).all()


def test_the_seed_decides_the_openings() -> None:
    first, again, other = (observations(begun("connect_four", 30, 6, seed), np.arange(30)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["tic_tac_toe", "pig(winscore=15)", "2048", "dots_and_boxes"])
def test_environments_with_openings_keep_the_laws(name: str) -> None:
    environment = GameEnvironment(games.load(name), opening_plies=3)
    check_laws(environment, num_steps=60)
    assert environment.name == f"game:{environment.game.name}"
    assert not play(environment.new_batch(4, seed=1), 20).same(play(environment.new_batch(4, seed=2), 20))


def test_moves_of_an_opening_do_not_count_for_the_limit() -> None:
    environment = GameEnvironment(games.load("connect_four"), max_plies=2, opening_plies=3)
    batch = environment.new_batch(50, seed=0)
    for _ in range(3):
        made = CELLS - batch.observation[:, 2].sum(axis=(1, 2)).astype(int)
        assert set(made.tolist()) == {0, 1, 2, 3}
        assert not batch.step(batch.legal_mask.argmax(axis=1)).ended.any()
        assert batch.step(batch.legal_mask.argmax(axis=1)).ended.all()


def test_moves_of_an_opening_are_not_learned_from() -> None:
    """What a rollout holds of a game that ended are the moves after its opening, all of them and no other."""
    environment = GameEnvironment(games.load("tic_tac_toe"), opening_plies=4)

    class Uniform:
        def predict(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(observation), BOARD), np.float32), np.zeros((len(observation), 1), np.float32)

    size = 40
    collector = Experience(environment, Uniform(), Sample(), size, None, np.random.default_rng(0), endless=True)
    rollout = next(filter(None, (collector.collect() for _ in range(20))))[0]
    at = marks(rollout.observation)
    assert set(at[0].tolist()) == {0, 1, 2, 3, 4}
    for row in range(size):
        counted = np.flatnonzero(rollout.counted[:, row])
        np.testing.assert_array_equal(at[counted, row], at[0, row] + np.arange(len(counted)))
        assert rollout.ended[counted, row].tolist() == [False] * (len(counted) - 1) + [True]


@pytest.mark.parametrize("algorithm", ["reinforce", "actor_critic", "dqn"])
def test_algorithms_without_search_play_the_openings_of_the_settings(algorithm: str) -> None:
    overrides = ["--algorithm", algorithm, "--actors.opening-plies", "4", "--learner.batch-size", "32"]
    config = selfplay.load_config(Config, ROOT / "configs" / "tic_tac_toe_reinforce.yaml", overrides)
    environment = load_algorithm(config).environment
    assert isinstance(environment, GameEnvironment) and environment.opening_plies == 4
    batch = environment.new_batch(50, seed=0)
    assert isinstance(batch, GameBatch) and set(marks(batch.observation).tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    "name", ["cartpole_reinforce", "cartpole_a2c", "cartpole_dqn", "gridworld_dqn", "gridworld_q_iteration"]
)
def test_openings_without_a_game_are_refused_in_one_line(name: str) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    with pytest.raises(UserError, match="actors.opening_plies: .* is no game") as refused:
        check(selfplay.load_config(Config, path, ["--actors.opening-plies", "2"]))
    assert "\n" not in str(refused.value)


def test_no_opening_leaves_an_environment_as_it_is() -> None:
    environment = games.load_environment("CartPole-v1")
    assert with_openings(environment, 0) is environment
    game = games.load_environment("game:tic_tac_toe(max_plies=5)")
    assert with_openings(game, 2).max_plies == 5
