"""Games as environments: returns by discounts are the game's returns, for whoever moves, however a game ends."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from environment_helpers import Played, check_laws, play, random_actions
from games_helpers import observations, rows, slots

import games
from games.environments.game import GameBatch, GameEnvironment

ALTERNATING = ["tic_tac_toe", "connect_four(rows=4,columns=4)", "openspiel:hex(board_size=3)", "breakthrough"]
SAME_PLAYER_AGAIN = ["dots_and_boxes", "othello"]
CHANCE = ["calling_coins", "cart_pole", "pig", "backgammon", "einstein_wurfelt_nicht", "2048", "catch"]
REWARDS = ["calling_coins", "cart_pole", "2048", "cliff_walking"]
TWO_PLAYERS = [*ALTERNATING, *SAME_PLAYER_AGAIN, "pig", "backgammon"]
NUM_STEPS = {"pig": 1000, "2048": 400, "backgammon": 400}
SLOT = slots(0)


class Watched:
    """A pool that writes down what it was told: who moved, with what action, and what each player was paid."""

    def __init__(self, pool: games.StatePool) -> None:
        self.pool = pool
        self.games: dict[int, list[list[tuple[int, int, np.ndarray]]]] = {}

    def __getattr__(self, name: str):
        return getattr(self.pool, name)

    def reset(self, where: np.ndarray) -> None:
        self.pool.reset(where)
        for slot in where.tolist():
            self.games.setdefault(slot, []).append([])

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        movers = self.pool.to_play(src).tolist()
        to_play, rewards = self.pool.step(src, actions, dst)
        for slot, mover, action, paid in zip(src.tolist(), movers, actions.tolist(), rewards):
            self.games[slot][-1].append((mover, action, paid.copy()))
        return to_play, rewards


class Coins(games.State):
    """Three turns each of calling a coin, which falls and pays at once, for a stake that chance draws first."""

    def __init__(self) -> None:
        self.turn, self.stake, self.called, self.paid = 0, 0, -1, (0.0, 0.0)

    def clone(self) -> Coins:
        return copy.copy(self)

    def to_play(self) -> int:
        if self.stake == 0 or self.called >= 0:
            return games.CHANCE
        return self.turn % 2 if self.turn < 6 else games.TERMINAL

    def legal_actions(self) -> list[int]:
        return [0, 1]

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(0, 0.5), (1, 0.5)]

    def apply(self, action: int) -> None:
        self.paid = (0.0, 0.0)
        if self.stake == 0:
            self.stake = action + 1
        elif self.called < 0:
            self.called = action
        else:
            mover, won = self.turn % 2, self.stake if self.called == action else -self.stake
            self.paid = (won, -won) if mover == 0 else (-won, won)
            self.called, self.turn = -1, self.turn + 1

    def rewards(self) -> tuple[float, float]:
        return self.paid

    def observation(self) -> np.ndarray:
        return np.array([self.turn, self.stake], np.float32)


class CoinsGame(games.PythonGame):
    num_players, num_actions, observation_shape, max_game_length = 2, 2, (4,), 6
    max_chance_outcomes, has_rewards = 2, True

    def new_state(self) -> Coins:
        return Coins()


@pytest.fixture(autouse=True)
def coins(monkeypatch: pytest.MonkeyPatch) -> None:
    """`calling_coins` is a game for these tests only: others go through all games that there are."""
    monkeypatch.setattr("games.registry._factories", dict(games.registry._factories))
    games.register("calling_coins", CoinsGame)


def watched_batch(environment: GameEnvironment, num_envs: int, seed: int) -> tuple[GameBatch, Watched]:
    pools = []
    game = copy.copy(environment.game)
    new_pool = game.new_pool
    game.new_pool = lambda capacity: pools.append(Watched(new_pool(capacity))) or pools[-1]
    return GameEnvironment(game, environment.max_plies).new_batch(num_envs, seed), pools[0]


def load(text: str) -> GameEnvironment:
    environment = games.load_environment(text)
    assert isinstance(environment, GameEnvironment)
    return environment


def returns_by_discounts(played: Played, copy_index: int) -> list[list[float]]:
    """G_t of the finished episodes of one copy, by the recursion."""
    episodes: list[list[float]] = []
    following = None
    for step in reversed(played.steps):
        if step.ended[copy_index]:
            episodes.append([])
            following = 0.0
        if following is None:
            continue
        following = float(step.reward[copy_index]) + float(step.discount[copy_index]) * following
        episodes[-1].append(following)
    return [episode[::-1] for episode in episodes[::-1]]


def returns_of_the_game(game: list[tuple[int, int, np.ndarray]]) -> list[float]:
    """What each mover of a finished game was paid from its move on."""
    return [float(sum(paid[mover] for _, _, paid in game[t:])) for t, (mover, _, _) in enumerate(game) if mover >= 0]


@pytest.mark.parametrize("name", sorted({*TWO_PLAYERS, *CHANCE, *REWARDS}))
def test_returns_by_discounts_are_those_of_the_mover(name: str) -> None:
    environment = load(f"game:{name}")
    batch, pool = watched_batch(environment, num_envs=3, seed=7)
    played = play(batch, NUM_STEPS.get(name, 150))
    finished, some = 0, 0.0
    for copy_index in range(3):
        for found, game in zip(returns_by_discounts(played, copy_index), pool.games[copy_index]):
            assert found == pytest.approx(returns_of_the_game(game), abs=1e-4)
            finished += 1
            some += sum(map(abs, found))
    assert finished >= 2 and some > 0.0


@pytest.mark.parametrize("name", sorted({*TWO_PLAYERS, *CHANCE, *REWARDS}))
def test_laws(name: str) -> None:
    environment = load(f"game:{name}")
    assert environment.has_legal_mask and environment.observation_dtype == np.float32
    assert load(environment.name).name == environment.name == f"game:{environment.game.name}"
    check_laws(environment, num_steps=60)


@pytest.mark.parametrize("name", CHANCE)
def test_only_chance_depends_on_the_seed(name: str) -> None:
    environment = load(f"game:{name}")
    batches = [environment.new_batch(4, seed) for seed in (1, 2)]
    first, second = (play(batch, 20) for batch in batches)
    assert not first.same(second)


def test_worked_example() -> None:
    """Crosses take the middle column; each move is seen from its mover."""
    batch = load("game:tic_tac_toe").new_batch(1, seed=0)
    steps = [batch.step(np.array([action])) for action in (1, 0, 4, 2, 7)]
    assert [step.reward.tolist() for step in steps] == [[0.0], [0.0], [0.0], [0.0], [1.0]]
    assert [step.discount.tolist() for step in steps] == [[-1.0], [-1.0], [-1.0], [-1.0], [0.0]]
    assert [step.ended.tolist() for step in steps] == [[False]] * 4 + [[True]]
    np.testing.assert_array_equal(batch.observation, load("game:tic_tac_toe").new_batch(1, seed=0).observation)
    assert batch.legal_mask.all()
    assert not np.array_equal(steps[-1].final_observation, batch.observation)
    assert steps[-1].final_legal_mask is not None and steps[-1].final_legal_mask.all()


def test_what_chance_pays_belongs_to_the_move_before_it() -> None:
    played = play(load("game:calling_coins").new_batch(4, seed=0), 6)
    assert {abs(reward) for step in played.steps for reward in step.reward.tolist()} == {1.0, 2.0}


def test_the_same_player_moves_again() -> None:
    """In pig a roll keeps the turn unless it is a 1; to stop gives it away."""
    played = play(load("game:pig").new_batch(8, seed=0), 60)
    after = {0: set(), 1: set()}  # by action: roll, stop
    for actions, step in zip(played.actions, played.steps):
        for action, discount in zip(actions.tolist(), step.discount.tolist()):
            after[action].add(discount)
    assert after == {0: {1.0, -1.0}, 1: {-1.0}}


def test_observations_are_those_of_the_mover_in_a_pool() -> None:
    environment = load("game:connect_four")
    batch, pool = environment.new_batch(1, seed=0), environment.game.new_pool(1)
    pool.reset(SLOT)
    rng = np.random.default_rng(0)
    for _ in range(25):
        np.testing.assert_array_equal(batch.observation, observations(pool, SLOT))
        assert np.flatnonzero(batch.legal_mask[0]).tolist() == rows(*pool.legal(SLOT))[0]
        actions = random_actions(batch, rng)
        to_play, _ = pool.step(SLOT, actions, SLOT)
        step = batch.step(actions)
        if to_play[0] == games.TERMINAL:
            np.testing.assert_array_equal(step.final_observation, observations(pool, SLOT))
            pool.reset(SLOT)


@pytest.mark.parametrize("name", sorted({*TWO_PLAYERS, "2048", "cliff_walking"}))
def test_a_game_that_is_cut_off_is_discounted_as_if_it_went_on(name: str) -> None:
    """Up to the cut everything equals the game that goes on, and so does the last position."""
    whole = load(f"game:{name}").new_batch(1, seed=3)
    environment = GameEnvironment(load(f"game:{name}").game, max_plies=4)
    assert load(environment.name).max_plies == 4
    cut = environment.new_batch(1, seed=3)
    rng = np.random.default_rng(2)
    for ply in range(1, 5):
        actions = random_actions(whole, rng)
        expected, step = whole.step(actions), cut.step(actions)
        assert (step.reward, step.discount) == (expected.reward, expected.discount)
        assert not expected.ended[0] and step.ended[0] == (ply == 4)
    assert step.discount[0] in ((-1.0, 1.0) if environment.game.num_players == 2 else (1.0,))
    np.testing.assert_array_equal(step.final_observation, expected.observation)
    np.testing.assert_array_equal(step.final_legal_mask, expected.legal_mask)
    assert play(cut, 12).ends() == 3


def test_a_cut_by_the_mover_who_moves_again_keeps_its_sign() -> None:
    """Dots and boxes: who completes a box moves again."""
    discounts = set()
    for seed in range(20):
        played = play(load("game:dots_and_boxes(max_plies=9)").new_batch(2, seed=0), 9, seed)
        discounts |= set(played.steps[-1].discount.tolist())
        assert played.steps[-1].ended.all()
    assert discounts == {-1.0, 1.0}


def test_a_game_that_ends_at_the_limit_has_ended() -> None:
    batch = load("game:tic_tac_toe(max_plies=5)").new_batch(2, seed=0)
    for actions in ([1, 1], [0, 0], [4, 4], [2, 2], [7, 8]):
        step = batch.step(np.array(actions))
    assert step.ended.tolist() == [True, True]
    assert step.discount.tolist() == [0.0, -1.0] and step.reward.tolist() == [1.0, 0.0]
    assert step.final_legal_mask is not None
    assert step.final_legal_mask.tolist() == [[True] * 9, [i in (3, 5, 6, 7) for i in range(9)]]


def test_chance_is_drawn_by_its_probabilities() -> None:
    batch, pool = watched_batch(load("game:pig"), num_envs=4, seed=0)
    for _ in range(600):
        batch.step(batch.legal_mask.argmax(axis=1))  # roll where that is allowed
    every = [move for slot in pool.games.values() for game in slot for move in game]
    counts = np.bincount([outcome for mover, outcome, _ in every if mover == games.CHANCE], minlength=6)
    assert counts.sum() > 1000 and len(counts) == 6
    assert (np.abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean())).all()


def test_a_move_that_is_not_legal_is_refused_and_nothing_is_played() -> None:
    batch = load("game:tic_tac_toe").new_batch(2, seed=0)
    batch.step(np.array([4, 4]))
    before = batch.observation
    for wrong in ([0, 4], [0, 9], [-1, 0], [0]):
        with pytest.raises(games.GameError):
            batch.step(np.array(wrong))
    step = batch.step(np.array([0, 0]))
    assert before is not step.observation and (step.legal_mask.sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("game:pig(players=3)", "3 players"),
        ("game:tictactoe", "did you mean tic_tac_toe"),
        ("game:tic_tac_toe(max_plies=0)", "at least 1"),
        ("game:tic_tac_toe(max_plies=x)", "not of type int"),
        ("game:tic_tac_toe(size=4)", "unknown parameter 'size'"),
        ("game:poker!", "malformed game"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(games.GameError) as refused:
        games.load_environment(text)
    assert complaint in str(refused.value) and "\n" not in str(refused.value)


def test_more_players_and_other_sums_are_for_alphazero() -> None:
    with pytest.raises(games.GameError, match="use algorithm alphazero"):
        GameEnvironment(games.load("pig(players=3)"))
    game = copy.copy(games.load("tic_tac_toe"))
    game.zero_sum = False
    with pytest.raises(games.GameError, match="do not sum to zero.*use algorithm alphazero"):
        GameEnvironment(game)


def test_games_have_no_frames() -> None:
    with pytest.raises(games.GameError, match="no pictures"):
        load("game:tic_tac_toe").new_batch(1, seed=0).frame()
