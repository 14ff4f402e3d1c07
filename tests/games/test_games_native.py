"""Native games are OpenSpiel's, move by move; and what is known about each of them."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import live, observations, random_actions, rows, slots

import games
from games.native.pool import NativePool
from games.open_spiel.game import OpenSpielPool

EGOCENTRIC = "connect_four(egocentric_obs_tensor=True)"
GAMES = {  # how many random games are played of each
    "connect_four": 10_000,
    EGOCENTRIC: 500,
    "connect_four(columns=4,rows=5,x_in_row=3)": 500,
    "connect_four(columns=9,egocentric_obs_tensor=True,rows=8,x_in_row=5)": 500,
    "connect_four(columns=6,rows=1,x_in_row=2)": 500,
    "connect_four(columns=1,rows=4,x_in_row=2)": 500,
    "connect_four(x_in_row=1)": 500,
    "connect_four(columns=3,rows=3,x_in_row=9)": 500,
    "othello": 1000,
    "hex": 200,
    "hex(board_size=2)": 500,
    "hex(board_size=5)": 2000,
    "hex(num_cols=2,num_rows=7)": 500,
    "hex(board_size=3,num_cols=6)": 500,
    "hex(board_size=19)": 10,
}
STANDARD = ["connect_four", "othello", "hex(board_size=5)"]


@pytest.mark.parametrize(("name", "num_games"), GAMES.items())
def test_random_games_equal_openspiels(name: str, num_games: int) -> None:
    native, reference = games.load(name), games.load(f"openspiel:{name}")
    assert (native.rules, native.name) == (reference.rules, name)
    assert native.observation_shape == reference.observation_shape
    assert (native.num_actions, native.max_game_length) == (reference.num_actions, reference.max_game_length)
    rng = np.random.default_rng(0)
    ours, theirs = native.new_pool(num_games), reference.new_pool(num_games)
    assert isinstance(ours, NativePool) and isinstance(theirs, OpenSpielPool)
    going = np.arange(num_games)
    ours.reset(going)
    theirs.reset(going)
    finished = 0
    while len(going):
        offsets, actions = ours.legal(going)
        for mine, other in zip((offsets, actions), theirs.legal(going)):
            assert np.array_equal(mine, other)
        assert np.array_equal(observations(ours, going), observations(theirs, going))
        assert ours.text(going[0]) == theirs.text(going[0])
        assert ours.history(going[0]) == theirs.history(going[0])
        counts = np.diff(offsets)
        chosen = actions[offsets[:-1] + rng.integers(counts)]
        assert ours.action_text(going[0], chosen[0]) == theirs.action_text(going[0], chosen[0])
        to_play, rewards = ours.step(going, chosen, going)
        for mine, other in zip((to_play, rewards), theirs.step(going, chosen, going)):
            assert np.array_equal(mine, other)
        over = going[to_play == games.TERMINAL]
        assert np.array_equal(observations(ours, over), observations(theirs, over))
        assert [ours.text(slot) for slot in over[:1]] == [theirs.text(slot) for slot in over[:1]]
        finished += len(over)
        going = going[to_play != games.TERMINAL]
    assert finished == num_games


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("direction", [("", "openspiel:"), ("openspiel:", "")])
def test_positions_pass_between_native_and_openspiel(name: str, direction: tuple[str, str]) -> None:
    source, target = (games.load(f"{prefix}{name}").new_pool(3) for prefix in direction)
    where, rng = np.arange(3), np.random.default_rng(0)
    source.reset(where)
    for ply in range(source.game.max_game_length):
        going = live(source, slots(1, 2) if ply < 4 else slots(2))
        source.step(going, random_actions(source, going, rng), going)
    target.load(where[::-1], source, where)
    assert [target.text(2 - slot) for slot in where] == [source.text(slot) for slot in where]
    assert [target.history(2 - slot) for slot in where] == [source.history(slot) for slot in where]
    assert target.to_play(where[::-1]).tolist() == [0, 0, games.TERMINAL]


@pytest.mark.parametrize(("name", "replies"), list(zip(STANDARD, (7, 3, 24))))
def test_a_batch_larger_than_any_before_is_served(name: str, replies: int) -> None:
    pool = games.load(name).new_pool(2000)
    for batch in (1, 700, 2000):
        where = np.arange(batch)
        pool.reset(where)
        offsets, actions = pool.legal(where)
        to_play, rewards = pool.step(where, actions[offsets[:-1] + where % offsets[1]], where)
        assert to_play.tolist() == [1] * batch and not rewards.any()
        assert len(pool.legal(where)[1]) == replies * batch


@pytest.mark.parametrize(
    ("name", "mean", "draws"),
    [
        ("connect_four", 0.113, 0.003),  # player 0 wins 55.5 % of games
        ("othello", -0.049, 0.042),
        ("hex(board_size=5)", 0.148, 0.0),
        ("hex(num_cols=4,num_rows=3)", 0.395, 0.0),
    ],
)
def test_random_games_from_the_start_have_openspiels_mean(name: str, mean: float, draws: float) -> None:
    """With uniformly random moves from the start of the game; either implementation agrees."""
    results = {}
    for spelled, num_games in ((name, 40_000), (f"openspiel:{name}", 3_000)):
        pool = games.load(spelled).new_pool(1)
        pool.reset(slots(0))
        results[spelled] = pool.rollout(np.zeros(num_games, np.int64), np.random.default_rng(0))[:, 0]
        assert np.mean(results[spelled]) == pytest.approx(mean, abs=4 / np.sqrt(num_games))  # four standard deviations
    assert set(results[name].tolist()) == ({-1.0, 0.0, 1.0} if draws else {-1.0, 1.0})
    assert np.mean(results[name] == 0) == pytest.approx(draws, abs=0.005)


def test_both_observations_of_connect_four_share_positions() -> None:
    plain, egocentric = games.load("connect_four"), games.load(EGOCENTRIC)
    source, target = plain.new_pool(1), egocentric.new_pool(1)
    source.reset(slots(0))
    source.step(slots(0), slots(3), slots(0))
    target.load(slots(0), source, slots(0))
    ours, own_view = observations(source, slots(0))[0], observations(target, slots(0))[0]
    # Player 1 moves: its own discs are the second plane either way, so the views agree; for player 0 they are swapped.
    assert np.array_equal(ours, own_view)
    target.step(slots(0), slots(3), slots(0))
    source.step(slots(0), slots(3), slots(0))
    ours, own_view = observations(source, slots(0))[0], observations(target, slots(0))[0]
    assert np.array_equal(ours[[1, 0, 2, 3, 4]], own_view)


def play(state: games.State, moves: str) -> games.State:
    for move in moves.split():
        state.apply({state.action_text(action): action for action in state.legal_actions()}[move])
    return state


def test_othello_ends_when_one_colour_is_wiped_out() -> None:
    """The shortest game: nine moves."""
    state = play(games.new_state(games.load("othello")), "e6 f4 e3 f6 g5 d6 e7 f5 c5")
    assert state.to_play() == games.TERMINAL and state.rewards() == [1.0, -1.0]
    assert str(state).count("x") == 13 and "o" not in str(state)


def test_othello_passes_only_where_nothing_can_be_placed() -> None:
    pool, where, rng = games.load("othello").new_pool(200), np.arange(200), np.random.default_rng(0)
    pool.reset(where)
    passes = 0
    while len(where):
        legal = rows(*pool.legal(where))
        assert all(64 not in row for row in legal if len(row) > 1)
        passed = np.array([row == [64] for row in legal])
        to_play, rewards = pool.step(where, random_actions(pool, where, rng), where)
        assert not np.any(to_play[passed] == games.TERMINAL) and not rewards[passed].any()
        assert all(64 not in row for row in rows(*pool.legal(where[passed])))
        passes += np.count_nonzero(passed)
        where = where[to_play != games.TERMINAL]
    assert passes > 50


def hex_value(state: games.State, known: dict[str, float]) -> float:
    """Value for the player to move, by minimax."""
    text = str(state)
    if text not in known:
        known[text] = max(move_values(state, known).values())
    return known[text]


def move_values(state: games.State, known: dict[str, float]) -> dict[str, float]:
    values = {}
    for action in state.legal_actions():
        child = state.clone()
        child.apply(action)
        over = child.to_play() == games.TERMINAL
        values[state.action_text(action)] = child.rewards()[state.to_play()] if over else -hex_value(child, known)
    return values


@pytest.mark.parametrize(
    ("name", "winning_openings"),
    [
        ("hex(board_size=2)", "b1 a2"),
        ("hex(board_size=3)", "c1 a2 b2 c2 a3"),
        # With a shorter way for one player, that player wins whoever begins.
        ("hex(num_cols=3,num_rows=2)", "a1 b1 c1 a2 b2 c2"),
        ("hex(num_cols=2,num_rows=3)", ""),
    ],
)
def test_small_hex_is_won_by_the_known_openings(name: str, winning_openings: str) -> None:
    values = move_values(games.new_state(games.load(name)), {})
    assert set(values.values()) <= {-1.0, 1.0}
    assert [move for move, value in values.items() if value == 1.0] == winning_openings.split()


def joined(cells: set[tuple[int, int]], edge: int, size: int) -> bool:
    """Whether cells (row, column) join the first row to the last one (`edge` 0), or the columns (`edge` 1)."""
    reached = {cell for cell in cells if cell[edge] == 0}
    while True:
        steps = [(-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0)]
        more = cells & {(row + down, column + right) for row, column in reached for down, right in steps} - reached
        if not more:
            return any(cell[edge] == size - 1 for cell in reached)
        reached |= more


def test_hex_ends_with_the_stone_that_joins_two_edges_and_has_one_winner() -> None:
    size, pool, rng = 6, games.load("hex(board_size=6)").new_pool(1), np.random.default_rng(0)
    for _ in range(50):
        pool.reset(slots(0))
        while len(live(pool, slots(0))):
            rewards = pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))[1][0]
        moves = [divmod(action, size) for action in pool.history(0)]
        stones = [set(moves[player::2]) for player in (0, 1)]
        winner = 1 - len(moves) % 2
        assert rewards.tolist() == [1.0 - 2.0 * winner, 2.0 * winner - 1.0]
        assert joined(stones[winner], winner, size) and not joined(stones[1 - winner], 1 - winner, size)
        assert not joined(stones[winner] - {moves[-1]}, winner, size)
