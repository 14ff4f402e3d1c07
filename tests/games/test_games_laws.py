"""Laws that hold for every supported game, played through its pool."""

from __future__ import annotations

import numpy as np
import pyspiel
import pytest
from games_helpers import live, observations, play_to_decision, random_actions, rows, shipped_names, slots

import games
from games.open_spiel.game import OpenSpielPool
from games.open_spiel.load import quiet

VARIANTS = [
    "openspiel:connect_four",
    "openspiel:othello",
    "openspiel:hex(board_size=4)",
    "connect_four(rows=5,columns=4,x_in_row=3)",
    "chinese_checkers(players=3)",
    "pig(players=3)",
    "hex(num_cols=4,num_rows=3)",
    "openspiel:hex(num_cols=4,num_rows=3)",
    "go(board_size=5)",
    "go(board_size=4,handicap=0,komi=2.0,komi_spread=1.5)",
    "openspiel:go(board_size=5)",
    "openspiel:breakthrough(columns=4,rows=5)",
    "dots_and_boxes(utility_margin=True)",
]
OWN = ["animal_shogi", "cart_pole", "gardner_chess", "mini_shogi"]
"""Games that OpenSpiel does not have."""
OWN_RULES = ["breakthrough", "go", "go(board_size=5)", "go(board_size=4,handicap=0,komi=2.0,komi_spread=1.5)"]
"""Games that OpenSpiel has by other rules, or with other actions."""
ALL = shipped_names() + VARIANTS
MAX_STEPS = 150
BATCH = 3


def test_openspiel_supports_41_games() -> None:
    assert set(OWN) <= set(ALL) and len(ALL) - len(OWN) - len(VARIANTS) == 41


@pytest.fixture(params=ALL)
def game(request: pytest.FixtureRequest) -> games.Game:
    return games.load(request.param)


def test_sizes_are_declared(game: games.Game) -> None:
    assert games.load(game.name).name == game.name
    assert game.num_players >= 1 and game.num_actions >= 1 and game.max_game_length >= 1
    assert len(game.observation_shape) in (1, 2, 3) and min(game.observation_shape) >= 1
    assert 0 < game.utility_scale < float("inf")


def test_random_games_keep_the_laws(game: games.Game) -> None:
    rng = np.random.default_rng(1)
    pool, every = game.new_pool(BATCH), np.arange(BATCH)
    pool.reset(every)
    total = np.zeros((BATCH, game.num_players))
    paid_before_the_end = False
    for _ in range(MAX_STEPS if game.max_chance_outcomes < 1000 else MAX_STEPS // 5):  # yacht lists 7776 outcomes
        going = live(pool, every)
        to_play = pool.to_play(going)
        if len(going) == 0:
            break
        assert set(to_play.tolist()) <= {games.CHANCE, *range(game.num_players)}
        check_decisions(game, pool, going[to_play >= 0])
        check_chance(game, pool, going[to_play == games.CHANCE])
        after, rewards = pool.step(going, random_actions(pool, going, rng), going)
        assert np.array_equal(after, pool.to_play(going))
        paid_before_the_end |= bool(np.any(rewards[after != games.TERMINAL]))
        total[going] += rewards
    assert game.has_rewards or not paid_before_the_end
    for slot in every:
        finished = pool.to_play(slots(slot))[0] == games.TERMINAL
        if game.zero_sum:
            assert total[slot].sum() == pytest.approx(0.0, abs=1e-9)
        if finished:
            assert game.has_rewards or np.abs(total[slot]).max() <= 1.0
            assert pool.legal(slots(slot))[1].size == 0
        check_returns(game, pool, slot, total[slot])


def check_decisions(game: games.Game, pool: games.StatePool, where: np.ndarray) -> None:
    for row in rows(*pool.legal(where)):
        assert row and row == sorted(set(row)) and row[0] >= 0 and row[-1] < game.num_actions
    seen = observations(pool, where)
    assert np.isfinite(seen).all()
    for observation, mover in zip(seen, pool.to_play(where)):
        seats = observation[-game.num_players :]
        assert all(np.all(seats[player] == (player == mover)) for player in range(game.num_players))


def check_chance(game: games.Game, pool: games.StatePool, where: np.ndarray) -> None:
    offsets, outcomes, probabilities = pool.chance(where)
    assert len(where) == 0 or np.diff(offsets).max() <= game.max_chance_outcomes
    for row, weights in zip(rows(offsets, outcomes), rows(offsets, probabilities)):
        assert len(set(row)) == len(row) and min(weights) > 0
        assert sum(weights) == pytest.approx(1.0)
    assert all(row == [] for row in rows(*pool.legal(where)))


def spiel_state(game: games.Game, history: list[int]) -> pyspiel.State:
    """The position in an OpenSpiel game of its own, apart from everything the pools hold."""
    with quiet():
        state = pyspiel.load_game(game.name.removeprefix("openspiel:")).new_initial_state()
    for action in history:
        state.apply_action(action)
    return state


def check_returns(game: games.Game, pool: games.StatePool, slot: int, total: np.ndarray) -> None:
    if game.name == "morpion_solitaire":  # states of its own die before their copies do: see the test below
        return
    if game.name.split("(")[0] in (*OWN, *OWN_RULES):
        assert (total == replayed_rewards(game, pool.history(slot))).all()
        return
    state = spiel_state(game, pool.history(slot))
    assert total * game.utility_scale == pytest.approx(state.returns())
    assert state.is_terminal() == (pool.to_play(slots(slot))[0] == games.TERMINAL)


def replayed_rewards(game: games.Game, history: list[int]) -> np.ndarray:
    """What the players earned, [P], when the moves are played again."""
    state, total = games.new_state(game), np.zeros(game.num_players)
    for action in history:
        state.apply(action)
        total += state.rewards()
    return total


@pytest.mark.parametrize("name", [name for name in ALL if name not in (*OWN, *OWN_RULES)])
def test_observation_is_openspiels_for_the_player_to_move(name: str) -> None:
    game = games.load(name)
    rng = np.random.default_rng(2)
    pool = game.new_pool(1)
    for plies in (0, 5, 14):
        play_to_decision(pool, 0, plies, rng)
        state = spiel_state(game, pool.history(0))
        own = observations(pool, slots(0))[0, : -game.num_players].ravel()
        if state.get_game().get_type().provides_observation_tensor:
            expected = np.array(state.observation_tensor(state.current_player()), np.float32)
        else:
            expected = np.zeros(2 * game.num_actions, np.float32)
            expected[state.legal_actions()] = 1.0
            expected[game.num_actions + np.array(state.history(), int)] = 1.0
        assert np.array_equal(own, expected)
        assert pool.text(0) == str(state)
        for action in state.legal_actions():
            assert pool.action_text(0, action) == state.action_to_string(state.current_player(), action)


def snapshot(pool: games.StatePool, slot: int) -> tuple:
    place = slots(slot)
    return pool.text(slot), rows(*pool.legal(place)), observations(pool, place).tobytes(), pool.to_play(place)[0]


def test_step_copy_load_and_rollout_leave_other_positions_alone(game: games.Game) -> None:
    rng = np.random.default_rng(3)
    pool, other = game.new_pool(4), game.new_pool(2)
    play_to_decision(pool, 0, 8, rng)
    before = snapshot(pool, 0)
    pool.step(slots(0), random_actions(pool, slots(0), rng), slots(1))
    pool.copy(slots(0), slots(2))
    other.load(slots(1), pool, slots(0))
    assert before == snapshot(pool, 0) == snapshot(pool, 2) == snapshot(other, 1)
    for changed in (pool, other):
        where = slots(2) if changed is pool else slots(1)
        while snapshot(changed, int(where[0])) == before:  # a chance node may follow: its text can be the same
            changed.step(where, random_actions(changed, where, rng), where)
    assert before == snapshot(pool, 0)
    if game.max_game_length <= 300:
        pool.rollout(slots(0), rng)
        assert before == snapshot(pool, 0)
    pool.reset(slots(2))
    assert before == snapshot(pool, 0)


@pytest.mark.parametrize(
    "name",
    [
        "tic_tac_toe",
        "connect_four",
        "openspiel:connect_four",
        "othello",
        "hex(board_size=4)",
        "pig(winscore=20)",
        "2048(max_tile=16)",
        "cliff_walking",
        "cart_pole",
        "go(board_size=3,komi=2.5)",
        "go(board_size=4,komi_spread=3)",
        "breakthrough(rows=5,columns=4)",
        "gardner_chess",
        "animal_shogi",
    ],
)
def test_rollouts_pay_what_their_games_paid_from_there_on(name: str) -> None:
    game = games.load(name)
    pool = game.new_pool(2)
    play_to_decision(pool, 0, 4, np.random.default_rng(0))
    first, again, other = (pool.rollout(np.zeros(64, np.int64), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (64, game.num_players) and np.array_equal(first, again)
    assert not np.array_equal(first, other)
    if game.zero_sum:
        assert np.allclose(first.sum(axis=1), 0.0)
    if not game.has_rewards:
        assert np.abs(first).max() <= 1.0
    # Played by hand with the pool, random games earn the same on average (many more would be needed to see less).
    rng, totals = np.random.default_rng(3), []
    for _ in range(100):
        pool.copy(slots(0), slots(1))
        total = np.zeros(game.num_players)
        while pool.to_play(slots(1))[0] != games.TERMINAL:
            total += pool.step(slots(1), random_actions(pool, slots(1), rng), slots(1))[1][0]
        totals.append(total[0])
    rollouts = pool.rollout(np.zeros(400, np.int64), rng)[:, 0]
    spread = np.hypot(np.std(totals) / np.sqrt(len(totals)), np.std(rollouts) / np.sqrt(len(rollouts)))
    assert abs(np.mean(totals) - np.mean(rollouts)) <= 4.5 * spread + 1e-9


def test_a_rollout_of_a_finished_game_pays_nothing() -> None:
    for name in (
        "connect_four",
        "openspiel:connect_four",
        "othello",
        "hex(board_size=4)",
        "gardner_chess",
        "mini_shogi",
        "go(board_size=4)",
    ):
        pool, rng = games.load(name).new_pool(1), np.random.default_rng(0)
        pool.reset(slots(0))
        while len(live(pool, slots(0))):
            pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))
        assert pool.rollout(slots(0), np.random.default_rng(0)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "name",
    [
        "tic_tac_toe",
        "connect_four",
        "othello",
        "2048",
        "pig",
        "hex(board_size=3)",
        "cart_pole",
        "mini_shogi",
        "go(board_size=4,komi_spread=1)",
    ],
)
def test_a_single_state_plays_like_its_pool(name: str) -> None:
    game = games.load(name)
    rng = np.random.default_rng(4)
    pool, state = game.new_pool(1), games.new_state(game)
    pool.reset(slots(0))
    for _ in range(60):
        to_play = pool.to_play(slots(0))[0]
        assert state.to_play() == to_play and str(state) == pool.text(0)
        if to_play == games.TERMINAL:
            break
        if to_play == games.CHANCE:
            assert [outcome for outcome, _ in state.chance_outcomes()] == pool.chance(slots(0))[1].tolist()
        else:
            assert list(state.legal_actions()) == pool.legal(slots(0))[1].tolist()
            assert np.array_equal(state.observation(), observations(pool, slots(0))[0, : -game.num_players])
        action = random_actions(pool, slots(0), rng)
        untouched = state.clone()
        text = str(untouched)
        _, rewards = pool.step(slots(0), action, slots(0))
        state.apply(int(action[0]))
        assert state.rewards() == pytest.approx(rewards[0] * game.utility_scale)
        assert str(untouched) == text


@pytest.mark.parametrize(
    "name", ["tic_tac_toe", "connect_four", "hex(board_size=3)", "othello", "pig", "2048", "cart_pole"]
)
def test_check_action_refuses_illegal_moves(name: str) -> None:
    game = games.load(name)
    pool = game.new_pool(1)
    pool.reset(slots(0))
    for bad in (-1, 10_000):
        with pytest.raises(games.GameError, match=f"illegal move {bad}"):
            games.check_action(pool, 0, bad)
    rng = np.random.default_rng(5)
    for _ in range(30):
        if pool.to_play(slots(0))[0] == games.TERMINAL:
            with pytest.raises(games.GameError, match="the game is over"):
                games.check_action(pool, 0, 0)
            break
        action = random_actions(pool, slots(0), rng)
        games.check_action(pool, 0, int(action[0]))
        pool.step(slots(0), action, slots(0))


def test_positions_of_other_rules_are_not_loaded() -> None:
    pool, other = games.load("tic_tac_toe").new_pool(1), games.load("connect_four").new_pool(1)
    for into, source in ((pool, other), (other, pool)):
        with pytest.raises(games.GameError, match="cannot load positions of"):
            into.load(slots(0), source, slots(0))


def test_morpion_positions_outlive_the_position_they_came_from() -> None:
    """Its copies point into the state that they were copied from; freeing that one crashed the process."""
    pool = games.load("morpion_solitaire").new_pool(1)
    assert isinstance(pool, OpenSpielPool)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pool.reset(slots(0))
        while pool.to_play(slots(0))[0] != games.TERMINAL:
            pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))
        assert 15 < len(pool.history(0)) <= 35
