"""Environments as games: equal to their batches, slot by slot, and what self-play records of their episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import unsound_environments
from constant_model import ConstantFactory
from counting_environment import CountingEnvironment
from games_helpers import observations, rows, slots

import games
from games import TERMINAL, GameError, load_environment
from games.environments.environment import EPISODES_SEED, Environment, EnvironmentBatch, Step
from games.environments.pool import EnvironmentGame, EnvironmentPool
from games.random_play import begin_games
from games.soundness import UnsoundError
from search import SearchConfig, SimulatorFactory
from selfplay.config.run import ActorsConfig
from selfplay.experience.openings import random_observations
from selfplay.experience.records import Ending, GameRecord
from selfplay.experience.self_play import SelfPlay

LIMITED = "CartPole-v1(max_episode_steps=30)"
ENVIRONMENTS = [
    "CartPole-v1",
    LIMITED,
    "grid_world(map=cliff,slip=0.2,max_steps=12)",
    "Acrobot-v1(max_episode_steps=9)",
]
SLOT = slots(0)


class Lives(Environment):
    """Observations are [episode, step], from 0. A life is lost after two steps, a limit ends the episode after `limit`
    steps, and the third life is the last; action a pays a."""

    observation_dtype = np.dtype(np.uint8)
    observation_shape = (2,)
    num_actions = 3
    name = "lives"

    def __init__(self, limit: int = 100) -> None:
        self.step_limit = limit

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> EnvironmentBatch:
        return LivesBatch(self, seed)


class LivesBatch(EnvironmentBatch):
    """A single copy."""

    def __init__(self, environment: Lives, seed: int) -> None:
        self.environment, self.num_envs, self.seed = environment, 1, seed
        self.at = [0, 0]
        self.observation = self._look()

    def step(self, actions: np.ndarray) -> Step:
        self.at[1] += 1
        is_lost, is_over = self.at[1] % 2 == 0, self.at[1] == 6
        ended = is_over or self.at[1] == self.environment.step_limit
        final = self._look() if ended else None
        if ended:
            self.at = [self.at[0] + 1, 0]
        self.observation = self._look()
        discount = np.float32([0.0 if is_lost else 1.0])
        return Step(self.observation, np.float32(actions), discount, np.array([ended]), final)

    def _look(self) -> np.ndarray:
        return np.array([self.at], np.uint8)


def new_pool(environment: Environment, capacity: int = 1, seed: int = 0) -> EnvironmentPool:
    return EnvironmentGame(environment, seed).new_pool(capacity)


def self_play(environment: Environment, endless: bool = True, value: float = 0.0, **actors) -> SelfPlay:
    game = EnvironmentGame(environment)
    settings = ActorsConfig(**({"games_per_actor": 4} | actors))
    search = SearchConfig(rule="gumbel", num_simulations=2)
    return SelfPlay(game, ConstantFactory(game, value), search, settings, np.random.default_rng(0), endless)


def collect(playing: SelfPlay, least: int) -> list[GameRecord]:
    records: list[GameRecord] = []
    while len(records) < least and not playing.done:
        records += playing.collect()
    return records


def batch_seeds(seed: int, capacity: int) -> list[np.random.Generator]:
    """The generators of the seeds of slots, of the first pool that a game with `seed` makes."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(1)[0].spawn(capacity)]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_slot_is_a_batch_of_one_copy(name: str) -> None:
    """Same seed, same actions: the same observations, rewards and ends, over several episodes."""
    environment, rng = load_environment(name), np.random.default_rng(1)
    pool = new_pool(environment, capacity=2)
    pool.reset(slots(0, 1))
    for slot, seeds in enumerate(batch_seeds(0, 2)):
        batch, at = environment.new_batch(1, int(seeds.integers(EPISODES_SEED))), slots(slot)
        ended = 0
        while ended < 3:
            np.testing.assert_array_equal(observations(pool, at), batch.observation)
            assert pool.to_play(at).tolist() == [0] and not pool.cut_off(at)[0]
            assert rows(*pool.legal(at)) == [list(range(environment.num_actions))]
            action = rng.integers(environment.num_actions, size=1)
            to_play, rewards = pool.step(at, action, at)
            step = batch.step(action)
            assert rewards.dtype == np.float64 and rewards.tolist() == [[step.reward[0]]]
            assert to_play.tolist() == pool.to_play(at).tolist() == [TERMINAL if step.discount[0] == 0 else 0]
            assert pool.cut_off(at).tolist() == (step.ended & (step.discount == 1)).tolist()
            if step.ended[0]:
                ended += 1
                assert step.final_observation is not None
                np.testing.assert_array_equal(observations(pool, at), step.final_observation)
                pool.reset(at)
        batch.close()
    pool.close()


def played(pool: EnvironmentPool, order: Sequence[int]) -> dict[int, list[bytes]]:
    """Observations by slot, where the slots step in `order` and begin again when they end; actions are by slot."""
    rngs = {slot: np.random.default_rng(slot) for slot in order}
    seen: dict[int, list[bytes]] = {slot: [] for slot in order}
    for slot in order:
        at = slots(slot)
        if pool.to_play(at)[0] == TERMINAL or pool.cut_off(at)[0]:
            pool.reset(at)
        else:
            pool.step(at, rngs[slot].integers(2, size=1), at)
        seen[slot].append(observations(pool, at).tobytes())
    return seen


def test_slots_move_independently_and_equal_seeds_play_equal_episodes() -> None:
    environment = load_environment(LIMITED)
    round_robin, shuffled = [0, 1, 2] * 45, np.random.default_rng(0).permutation([0, 1, 2] * 45).tolist()
    first = played(new_pool(environment, 3), round_robin)
    assert played(new_pool(environment, 3), shuffled) == first
    assert played(new_pool(environment, 3), [2] * 45)[2] == first[2], "the other slots stand still"
    assert len({views[0] for views in first.values()}) == 3, "each slot has episodes of its own"
    assert played(new_pool(environment, 3, seed=1), round_robin)[0] != first[0]


def test_pools_of_a_game_have_other_episodes() -> None:
    game, again = (EnvironmentGame(load_environment("CartPole-v1"), seed=5) for _ in range(2))
    starts = [[observations(pool, SLOT).tobytes() for pool in begun(one)] for one in (game, again)]
    assert starts[0] == starts[1] and len(set(starts[0])) == 3


def begun(game: EnvironmentGame) -> list[EnvironmentPool]:
    pools = [game.new_pool(1) for _ in range(3)]
    for pool in pools:
        pool.reset(SLOT)
    return pools


def test_a_game_that_is_given_up_begins_another_episode() -> None:
    pool = new_pool(load_environment("CartPole-v1"))
    pool.reset(SLOT)
    start = observations(pool, SLOT)
    pool.reset(SLOT)
    np.testing.assert_array_equal(observations(pool, SLOT), start, "nothing was played")
    pool.step(SLOT, slots(1), SLOT)
    moved = observations(pool, SLOT)
    pool.reset(SLOT)
    again = observations(pool, SLOT)
    assert np.abs(again).max() <= 0.05 and not np.array_equal(again, start) and not np.array_equal(again, moved)


def test_a_lost_life_is_an_end_and_the_episode_goes_on() -> None:
    """Every game has two steps; three of them make an episode."""
    pool = new_pool(Lives())
    views, paid = [], []
    for _ in range(4):
        pool.reset(SLOT)
        views.append(observations(pool, SLOT)[0].tolist())
        for action, goes_on in ((1, True), (2, False)):
            to_play, rewards = pool.step(SLOT, slots(action), SLOT)
            assert (to_play[0] == 0) == goes_on and not pool.cut_off(SLOT)[0]
            views.append(observations(pool, SLOT)[0].tolist())
            paid.append(float(rewards[0, 0]))
    assert views[:9] == [[0, 0], [0, 1], [0, 2], [0, 2], [0, 3], [0, 4], [0, 4], [0, 5], [0, 6]]
    assert views[9:] == [[1, 0], [1, 1], [1, 2]] and paid == [1.0, 2.0] * 4


def test_sizes_and_limits_are_the_environments() -> None:
    game = EnvironmentGame(load_environment("CartPole-v1"))
    assert (game.name, game.num_players, game.num_actions, game.observation_shape) == ("CartPole-v1", 1, 2, (4,))
    assert game.has_rewards and not game.zero_sum and game.utility_scale == 1.0 and game.symmetries() == []
    assert game.max_chance_outcomes == 0 and game.most_plies == 500 and game.has_own_limit
    limits = {
        LIMITED: (30, True),
        "CartPole-v1(max_episode_steps=50000)": (50_000, True),
        "CartPole-v1(max_episode_steps=-1)": (27_000, False),
        "grid_world(map=cliff,max_steps=12)": (12, True),
        "unsound_environments:SensorGap-v0": (27_000, False),
    }
    for name, expected in limits.items():
        game = EnvironmentGame(load_environment(name))
        assert (game.most_plies, game.has_own_limit) == expected, name


def test_bytes_are_shown_as_bytes_or_numbers() -> None:
    pool = new_pool(Lives())
    assert pool.game.observation_dtype == np.uint8
    pool.reset(SLOT)
    pool.step(SLOT, slots(0), SLOT)
    shown = np.zeros((1, 2), np.uint8)
    pool.observe(SLOT, shown)
    assert shown.tolist() == observations(pool, SLOT).tolist() == [[0, 1]]


def test_legal_actions_are_those_of_the_position_that_is_held() -> None:
    """Another action is illegal at each step of three; the first episode is over after 3 steps, the next one cut off
    after 4."""
    pool = new_pool(CountingEnvironment(has_legal_mask=True), 2)
    pool.reset(slots(0, 1))
    legal = [[1, 2], [0, 1], [0, 2]]
    lengths = {3: 0, 4: 0}
    for _ in range(2):
        step = 0
        while True:
            is_over = pool.to_play(SLOT)[0] == TERMINAL
            assert rows(*pool.legal(slots(0, 1)))[0] == ([] if is_over else legal[step % 3])
            if is_over or pool.cut_off(SLOT)[0]:
                break
            pool.step(SLOT, slots(legal[step % 3][0]), SLOT)
            step += 1
        lengths[step] += 1
        assert bool(pool.cut_off(SLOT)[0]) == (step == 4)
        pool.reset(SLOT)
    assert lengths == {3: 1, 4: 1}


@pytest.mark.parametrize("name", ["CartPole-v1(max_episode_steps=9)", "CartPole-v1"])
def test_nothing_can_be_played_after_an_end(name: str) -> None:
    pool = new_pool(load_environment(name))
    with pytest.raises(GameError, match="over, no move can be played"):
        pool.step(SLOT, slots(0), SLOT)  # never reset
    pool.reset(SLOT)
    while pool.to_play(SLOT)[0] == 0 and not pool.cut_off(SLOT)[0]:
        pool.step(SLOT, slots(0), SLOT)
    with pytest.raises(GameError, match="CartPole-v1.*over, no move can be played"):
        pool.step(SLOT, slots(0), SLOT)


def test_what_needs_rules_is_refused_in_one_line() -> None:
    game = EnvironmentGame(load_environment("CartPole-v1"))
    pool = game.new_pool(2)
    pool.reset(slots(0, 1))
    before = observations(pool, slots(0, 1))
    refused = (
        lambda: pool.copy(SLOT, slots(1)),
        lambda: pool.load(SLOT, pool, slots(1)),
        lambda: pool.rollout(SLOT, np.random.default_rng(0)),
        lambda: pool.step(SLOT, slots(0), slots(1)),
    )
    for call in refused:
        with pytest.raises(GameError, match=r"^CartPole-v1 has no rules to look ahead with, .*learned$"):
            call()
    with pytest.raises(GameError, match="does not keep the moves"):
        pool.history(0)
    np.testing.assert_array_equal(observations(pool, slots(0, 1)), before)
    assert (
        game.judge(pool, SLOT) is None and pool.action_text(0, 1) == "1" and pool.text(1) == "CartPole-v1 after 0 steps"
    )
    model = SimulatorFactory(game, ConstantFactory(game)).make_model()  # type: ignore[arg-type]
    model.allocate(4)
    with pytest.raises(GameError, match="a model of it that was learned"):
        model.load(slots(2), pool, SLOT)


@pytest.mark.parametrize("name", ["Pendulum-v1", "game:tic_tac_toe(max_plies=4)", "game:2048"])
def test_what_is_no_choice_of_actions_is_refused(name: str) -> None:
    with pytest.raises(GameError, match="actions to choose from|is a game: name it (tic_tac_toe|2048) to search"):
        EnvironmentGame(load_environment(name))


# Actions that are real numbers.


def test_numbers_of_actions_stand_for_the_real_ones_that_were_set() -> None:
    """The environment gets them bit for bit; each slot and each position has its own."""
    game = EnvironmentGame(load_environment("Pendulum-v1"), sampled_actions=3)
    assert game.num_actions == 3 and game.sampled_shape == (3, 1) and game.action_high.tolist() == [2.0]
    pool, rng, both = game.new_pool(2), np.random.default_rng(0), slots(0, 1)
    pool.reset(both)
    assert rows(*pool.legal(both)) == [[0, 1, 2]] * 2
    batches = [game.environment.new_batch(1, int(seeds.integers(EPISODES_SEED))) for seeds in batch_seeds(0, 2)]
    for _ in range(5):
        sampled = rng.uniform(-2, 2, (2, 3, 1)).astype(np.float32)
        pool.set_sampled_actions(both, sampled)
        np.testing.assert_array_equal(pool.sampled_actions(both), sampled)
        numbers = rng.integers(3, size=2)
        assert pool.action_text(1, 2) == f"{sampled[1, 2, 0]:.3g}"
        sampled_before, sampled[:] = sampled.copy(), 0.0  # the pool keeps its own
        _, rewards = pool.step(both, numbers, both)
        for slot, batch in enumerate(batches):
            step = batch.step(sampled_before[slot, numbers[slot]][None])
            assert rewards[slot, 0] == step.reward[0]
            np.testing.assert_array_equal(observations(pool, slots(slot)), step.observation)
        with pytest.raises(GameError, match="Pendulum-v1: its actions are real numbers; none were sampled"):
            pool.step(both, numbers, both)
    pool.set_sampled_actions(both, sampled)
    pool.reset(both)
    with pytest.raises(GameError, match="none were sampled"):
        pool.sampled_actions(both)


def test_numbers_of_choices_stand_for_themselves() -> None:
    pool = new_pool(load_environment("CartPole-v1"))
    pool.reset(SLOT)
    assert pool.sampled_actions(SLOT).shape == (1, 0, 0) and pool.game.sampled_shape == (0, 0)
    chess = games.load("tic_tac_toe").new_pool(1)
    chess.reset(SLOT)
    assert chess.sampled_actions(SLOT).shape == (1, 0, 0)
    with pytest.raises(GameError, match="tic_tac_toe: its actions have a meaning of their own"):
        chess.set_sampled_actions(SLOT, np.zeros((1, 9, 1), np.float32))


# What self-play makes of it.


def test_an_episode_that_ends_is_over_and_one_that_a_limit_ends_is_cut_off() -> None:
    records = collect(self_play(load_environment("CartPole-v1(max_episode_steps=20)"), value=3.0), 16)
    endings = {record.ending for record in records}
    assert endings == {Ending.OVER, Ending.CUT_OFF}
    for record in records:
        assert (record.reward == 1.0).all() and (record.to_play == 0).all() and not len(record.opening)
        last = np.concatenate([record.observation, record.final_observation])[-1]
        if record.ending == Ending.CUT_OFF:
            assert len(record) == 20
            assert record.final_observation.shape == (1, 4) and record.final_to_play.tolist() == [0]
            assert record.final_legal_actions.tolist() == [0, 1]
            assert np.abs(last[[0, 2]]).max() <= 2.4, "the position after the last move, and no start"
            assert np.abs(last).max() > 0.05
        else:
            assert len(record) <= 20 and not len(record.final_observation) and not len(record.final_to_play)


def test_records_hold_the_episodes_of_the_environment() -> None:
    """Each game replayed in a batch with the slot's seed, in the order in which its episodes came."""
    environment = load_environment(LIMITED)
    records = collect(self_play(environment, games_per_actor=1), 5)
    batch = environment.new_batch(1, int(batch_seeds(0, 1)[0].integers(EPISODES_SEED)))
    for record in records:
        for view, action, reward in zip(record.observation, record.action, record.reward):
            np.testing.assert_array_equal(batch.observation[0], view)
            step = batch.step(np.array([action]))
            assert reward.tolist() == step.reward.tolist()
        assert step.ended[0] and (step.discount[0] == 1) == (record.ending == Ending.CUT_OFF)
        if record.ending == Ending.CUT_OFF:
            np.testing.assert_array_equal(record.final_observation, step.final_observation)


def test_a_game_under_way_keeps_bytes_as_bytes() -> None:
    """One game of Atari may have 27 000 positions, gigabytes as float32. Here the limit cuts each second life short."""
    playing = self_play(Lives(limit=3), games_per_actor=2)
    records = collect(playing, 8)
    kept = [view for trajectory in playing.trajectories for view in trajectory.observation]
    assert all(view.dtype == np.uint8 for view in kept)
    assert {record.ending for record in records} == {Ending.OVER, Ending.CUT_OFF}
    for record in records:
        assert record.observation.dtype == record.final_observation.dtype == np.uint8
        first = 2 if record.ending == Ending.CUT_OFF else 0
        assert record.observation[:, 1].tolist() == list(range(first, first + len(record)))
        assert record.final_observation[:, 1].tolist() == ([3] if record.ending == Ending.CUT_OFF else [])
        np.testing.assert_array_equal(record.reward[:, 0], record.action)


def test_a_limit_that_nobody_has_set_is_counted() -> None:
    playing = self_play(load_environment("CartPole-v1(max_episode_steps=12)"))
    records = collect(playing, 10)
    assert any(record.ending == Ending.CUT_OFF for record in records) and playing.take_counts().cut_off == 0

    environment = load_environment("CartPole-v1(max_episode_steps=12)")
    environment.default_limit = 12  # as if it came from here
    playing = self_play(environment)
    records = collect(playing, 10)
    cut_off = sum(record.ending == Ending.CUT_OFF for record in records)
    assert playing.take_counts().cut_off == cut_off > 0


def test_a_smaller_limit_of_the_run_cuts_episodes_off_and_begins_others() -> None:
    records = collect(self_play(load_environment("CartPole-v1"), max_plies=5), 12)
    assert all(len(record) == 5 and record.ending == Ending.CUT_OFF for record in records)
    starts = np.array([record.observation[0] for record in records])
    assert np.abs(starts).max() <= 0.05 and len(np.unique(starts[:, 0])) == len(records)


def test_games_begin_after_random_moves_and_never_at_an_end() -> None:
    """Episodes have three or five steps and are over, or four or six and are cut off: openings of up to seven moves
    meet all of these ends."""
    pool, rng = new_pool(CountingEnvironment(), 8), np.random.default_rng(0)
    lengths: list[int] = []
    for _ in range(40):
        openings = begin_games(pool, np.arange(8), 7, rng)
        assert (pool.to_play(np.arange(8)) == 0).all() and not pool.cut_off(np.arange(8)).any()
        assert observations(pool, np.arange(8))[:, 2].tolist() == [1 + len(opening) for opening in openings]
        lengths += map(len, openings)
    assert set(lengths) == {0, 1, 2, 3, 4, 5}
    playing = self_play(load_environment("CartPole-v1(max_episode_steps=15)"), opening_plies=20)
    records = collect(playing, 16)
    assert max(len(record.opening) for record in records) > 3
    assert all(len(record.opening) + len(record) <= 15 and len(record) for record in records)


def test_random_observations_come_from_steps_that_can_be_played() -> None:
    game = EnvironmentGame(load_environment("CartPole-v1(max_episode_steps=8)"))
    seen = random_observations(game, 1000, np.random.default_rng(0))
    assert seen.shape == (16 * 8, 4) and len(np.unique(seen[:, 0])) == 16 * 8


@pytest.mark.parametrize("kind", unsound_environments.CUT_OFF, ids=lambda kind: kind.__name__)
def test_games_with_an_unsound_output_are_dropped_and_counted(kind: type) -> None:
    name = f"unsound_environments:{kind.__name__}-v0"
    playing = self_play(load_environment(name))
    records = collect(playing, 8)
    counts = playing.take_counts()
    assert counts.unsound > 1 and f"{name}: " in counts.faults[-1]
    for record in records:
        assert len(record) == 20 and record.ending == Ending.OVER, "whole episodes alone"
        np.testing.assert_allclose(20 * record.observation[:, 0], np.arange(20), atol=1e-5)
        assert np.isfinite(record.reward).all()


def test_an_unsound_output_counts_once_and_ends_the_game_at_the_observation_before() -> None:
    pool = new_pool(load_environment("unsound_environments:NanReward-v0"))
    pool.unsound = {}
    unsound_environments.NanReward.answers = 0
    pool.reset(SLOT)
    for _ in range(36):
        before = observations(pool, SLOT)
        pool.step(SLOT, slots(0), SLOT)
        if pool.to_play(SLOT)[0] == TERMINAL:
            pool.reset(SLOT)
    assert not pool.unsound
    before = observations(pool, SLOT)
    to_play, rewards = pool.step(SLOT, slots(0), SLOT)
    assert to_play.tolist() == [TERMINAL] and rewards.tolist() == [[0.0]] and not pool.cut_off(SLOT)[0]
    assert list(pool.unsound) == [0] and "NanReward-v0: reward is nan" in pool.unsound[0]
    np.testing.assert_array_equal(observations(pool, SLOT), before)
    pool.unsound = {}
    pool.reset(SLOT)
    assert pool.to_play(SLOT).tolist() == [0] and not pool.unsound


@pytest.mark.parametrize("name", ["AlwaysNan", "NeverStarts"])
def test_an_environment_that_is_never_sound_ends_the_run(name: str) -> None:
    with pytest.raises(UnsoundError, match=rf"unsound_environments:{name}-v0: observation.*nan.* in a row"):
        collect(self_play(load_environment(f"unsound_environments:{name}-v0")), 1)


def test_where_nobody_collects_them_an_unsound_output_is_an_error() -> None:
    pool = new_pool(load_environment("unsound_environments:AlwaysNan-v0"))
    pool.reset(SLOT)
    with pytest.raises(UnsoundError, match="AlwaysNan-v0: observation"):
        pool.step(SLOT, slots(0), SLOT)


@pytest.mark.parametrize("opening_plies", [0, 4])
def test_a_faulty_start_costs_no_game_that_was_played(opening_plies: int) -> None:
    """Each third start is wrong and the environment draws another at once: it is counted, and the game before kept."""
    unsound_environments.NanStart.starts = 0
    playing = self_play(load_environment("unsound_environments:NanStart-v0"), opening_plies=opening_plies)
    records = collect(playing, 15)
    assert all(len(record) + len(record.opening) == 20 and record.ending == Ending.OVER for record in records)
    counts = playing.take_counts()
    assert counts.unsound > 1 and "at the start of an episode" in counts.faults[-1]


def test_warnings_of_an_environment_reach_the_counts_once() -> None:
    playing = self_play(load_environment("unsound_environments:OutOfBounds-v0"))
    collect(playing, 12)
    counts = playing.take_counts()
    assert counts.unsound == 0 and counts.warnings and "outside the bounds" in counts.warnings[0]
    assert len(set(counts.warnings)) == len(counts.warnings)
    collect(playing, 12)
    assert not playing.take_counts().warnings


def test_a_game_in_python_is_cut_off_by_its_own_pool_only_where_it_says_so() -> None:
    pool = games.load("tic_tac_toe").new_pool(2)
    pool.reset(slots(0, 1))
    assert pool.cut_off(slots(0, 1)).tolist() == [False, False] and pool.take_warnings() == ()
