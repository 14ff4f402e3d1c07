"""What environments and games of other people's making say wrongly never gets behind the border."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
import torch
import unsound_environments
from run_helpers import tiny_config
from search_helpers import noisy_predict

import games
from games.environments.environment import Environment
from games.environments.game import GameEnvironment
from games.environments.registry import load_environment
from games.soundness import UnsoundError, array_fault, chance_fault, is_finite, legal_fault, number_fault
from search import SearchConfig
from selfplay.algorithms.models import network_models
from selfplay.config.run import ActorsConfig
from selfplay.evaluation.episodes import play_episodes
from selfplay.experience.behaviour import Sample
from selfplay.experience.fault_report import FaultReport
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.rollouts import Experience, Rollout
from selfplay.experience.self_play import SelfPlay
from selfplay.replay.on_policy import generalised_advantages, monte_carlo_returns
from selfplay.replay.transitions import TransitionReplay


class Undecided:
    """A network that knows nothing."""

    version = 0

    def __init__(self, environment: Environment) -> None:
        self.num_actions = environment.num_actions

    def predict(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(observation)
        return np.zeros((n, self.num_actions), np.float32), observation.reshape(n, -1)[:, :1].astype(np.float32)


class Anything:
    """An agent that takes the first legal action."""

    name = "anything"

    def act(self, batch) -> np.ndarray:
        if batch.legal_mask is None:
            return np.zeros(batch.num_envs, np.int64)
        return batch.legal_mask.argmax(axis=1)


def experience(environment: Environment, steps: int | None = 16, num_envs: int = 3) -> Experience:
    rng = np.random.default_rng(0)
    return Experience(environment, Undecided(environment), Sample(), num_envs, steps, rng, endless=True)  # type: ignore[arg-type]


def rollouts(playing: Experience, count: int) -> list[Rollout]:
    found: list[Rollout] = []
    while len(found) < count:
        found += playing.collect()
    return found


def is_whole(record: object) -> bool:
    """Whether every array of numbers in a record is finite."""
    arrays = [getattr(record, field.name) for field in fields(record)]  # type: ignore[arg-type]
    return all(is_finite(array) for array in arrays if isinstance(array, np.ndarray))


@pytest.fixture
def unsound_games(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The module of games, whose names are forgotten afterwards."""
    monkeypatch.setattr("games.registry._factories", dict(games.registry._factories))
    module = importlib.import_module("unsound_games")
    module.register_all()
    return module


@pytest.mark.parametrize("kind", unsound_environments.CUT_OFF, ids=lambda kind: kind.__name__)
def test_an_episode_is_cut_off_before_what_an_environment_says_wrongly(kind):
    playing = experience(load_environment(f"unsound_environments:{kind.__name__}-v0"))
    found = rollouts(playing, 20)
    assert all(is_whole(rollout) for rollout in found)
    assert playing.counts.unsound > 3
    assert f"unsound_environments:{kind.__name__}-v0: " in playing.counts.faults[-1]
    for rollout in found:
        if rollout.unsound is not None:
            assert rollout.ended[rollout.unsound].all() and not rollout.counted[rollout.unsound].any()
            assert (rollout.discount[rollout.unsound] == 1).all(), "cut off, not over"


def test_the_last_observation_is_that_before_the_missing_number():
    batch = load_environment("unsound_environments:SensorGap-v0").new_batch(1, seed=0)
    step, before = None, batch.observation
    while step is None or step.unsound is None:
        before = batch.observation
        step = batch.step(np.zeros(1, np.int64))
    assert step.final_observation is not None
    assert np.array_equal(step.final_observation[0], before[0])
    assert step.observation[0, 0] == 0, "the next episode has begun"


@pytest.mark.parametrize("name", ["AlwaysNan", "NeverStarts", "NanEnd"])
def test_a_hundred_episodes_cut_off_in_a_row_end_the_run(name):
    with pytest.raises(UnsoundError, match=rf"unsound_environments:{name}-v0: observation\[\d\] is nan .*in a row"):
        rollouts(experience(load_environment(f"unsound_environments:{name}-v0")), 1000)


def test_episodes_with_a_hundred_sound_steps_are_not_cut_off_in_a_row(monkeypatch):
    monkeypatch.setattr(unsound_environments.Short, "length", 10**9)
    monkeypatch.setattr(unsound_environments.Short, "every", 450)
    playing = experience(load_environment("unsound_environments:SensorGap-v0"), num_envs=8)
    rollouts(playing, 400)
    assert playing.counts.unsound > 110


@pytest.mark.parametrize(("name", "place"), [("OutOfBounds", 0), ("PartOutOfBounds", 2)])
def test_a_finite_number_beyond_the_declared_bounds_is_one_warning(name, place):
    playing = experience(load_environment(f"unsound_environments:{name}-v0"))
    found = rollouts(playing, 30)
    assert playing.counts.unsound == 0 and len(playing.counts.warnings) == 1
    assert f"observation[{place}] is 3, outside the bounds" in playing.counts.warnings[0]
    assert max(rollout.observation.max() for rollout in found) == 3


def test_an_evaluation_says_that_episodes_were_cut_off():
    found = play_episodes(Anything(), load_environment("unsound_environments:NanReward-v0"), 12, seed=0)
    assert np.isfinite(found.mean) and found.unsound > 0
    (remark,) = found.remarks
    assert "reward is nan after step" in remark


def test_an_evaluation_ends_where_one_copy_never_takes_a_step():
    unsound_environments.NanCopy.made = 0
    with pytest.raises(UnsoundError, match="NanCopy-v0: .* is nan .*in a row of one copy did not begin"):
        play_episodes(Anything(), load_environment("unsound_environments:NanCopy-v0"), 4, seed=0)


@pytest.mark.parametrize("reward_to_go", [True, False])
def test_what_came_before_an_unsound_step_is_worth_the_value_there(reward_to_go):
    ones = np.ones((3, 1), np.float32)
    rollout = Rollout(
        observation=np.zeros((3, 1, 1), np.float32), action=np.zeros((3, 1), np.int64),
        reward=np.array([[1.0], [2.0], [0.0]], np.float32), discount=ones,
        ended=np.array([[False], [False], [True]]), final_observation=np.zeros((1, 1), np.float32),
        legal_mask=None, final_legal_mask=None, value=np.array([[3.0], [4.0], [5.0]], np.float32),
        next_value=np.array([[4.0], [5.0], [5.0]], np.float32), log_probability=ones,
        counted=np.array([[True], [True], [False]]), begins=True, version=0,
        unsound=np.array([[False], [False], [True]]),
    )  # fmt: skip
    advantage, _ = generalised_advantages(0.5, 1.0)(rollout, rollout.reward)
    assert advantage[1, 0] == 2 + 0.5 * 5 - 4
    assert advantage[0, 0] == 1 + 0.5 * (2 + 0.5 * 5) - 3
    _, returns = monte_carlo_returns(0.5, reward_to_go, baseline=False)(rollout, rollout.reward)
    assert returns[:2, 0].tolist() == [1 + 0.5 * (2 + 0.5 * 5), 2 + 0.5 * 5]


def test_the_replay_ends_an_episode_at_the_observation_before_an_unsound_step():
    environment = load_environment("unsound_environments:NanReward-v0")
    replay = TransitionReplay(environment, 3000, 3, n_step=3, discount=1.0, reward_clip=0.0, priority_exponent=0.0)
    for rollout in rollouts(experience(environment), 30):
        replay.add(rollout)
    batch = replay.sample(2000, np.random.default_rng(0))
    assert is_whole(batch)
    steps = 20 * batch.observation[:, 0], 20 * batch.next_observation[:, 0]  # numbers of the steps in their episodes
    gone = np.round(steps[1] - steps[0])
    assert set(gone) <= {1, 2, 3}, "never the next episode"
    assert (batch.factor[(gone < 3) & (np.round(steps[1]) < 20)] == 1).all() and ((gone < 3) & (steps[1] < 19)).any()


@pytest.mark.parametrize("max_plies", [0, 2])
@pytest.mark.parametrize("name", ["nan_rewards", "nothing_legal", "half_chance", "nan_observation", "third_player"])
def test_games_that_say_something_wrong_are_dropped_from_self_play(unsound_games, name, max_plies):
    """With a limit, the position after the last move is looked at too."""
    game = games.load(f"unsound_games:{name}")
    models = network_models(game, noisy_predict(game), 1)
    actors = ActorsConfig(games_per_actor=6, max_plies=max_plies)
    search = SearchConfig(num_simulations=6, cache_megabytes=1)
    playing = SelfPlay(game, models, search, actors, np.random.default_rng(0))
    records = []
    while len(records) < 30 or not playing.counts.unsound:
        records += playing.collect()
    assert all(is_whole(record) for record in records)
    assert f"unsound_games:{name}: " in playing.counts.faults[-1]


@pytest.mark.parametrize("name", ["always_wrong", "wrong_start"])
def test_a_hundred_dropped_games_in_a_row_end_the_run(unsound_games, name):
    game = games.load(f"unsound_games:{name}")
    models = network_models(game, noisy_predict(game), 1)
    dropped, rounds = 0, 0
    with pytest.raises(UnsoundError, match=f"unsound_games:{name}: .*100 games in a row"):
        while rounds < 100:  # each of them loses all of its games
            playing = SelfPlay(
                game, models, SearchConfig(num_simulations=4), ActorsConfig(games_per_actor=6),
                np.random.default_rng(0), endless=False, dropped_in_a_row=dropped,
            )  # fmt: skip
            while not playing.done:
                assert not playing.collect()
            dropped, rounds = playing.dropped_in_a_row, rounds + 1


def test_every_wrong_answer_of_a_game_cuts_its_episode_off(unsound_games):
    for kind in unsound_games.WRONG_SOMETIMES:
        game = games.load(f"unsound_games:{unsound_games.name_of(kind)}")
        playing = experience(GameEnvironment(game))
        found: list[Rollout] = []
        while not playing.counts.unsound:
            found += playing.collect()
        found += rollouts(playing, 1)
        assert all(is_whole(rollout) for rollout in found), kind
        assert any(rollout.unsound is not None for rollout in found), kind
        assert "moves" in playing.counts.faults[-1], kind


def test_elsewhere_a_game_that_says_something_wrong_is_one_line(unsound_games):
    for kind in unsound_games.WRONG_SOMETIMES:
        kind.every, kind.answers = 1, 0
        try:
            pool = games.load(f"unsound_games:{unsound_games.name_of(kind)}").new_pool(4)
            slots = np.arange(4)
            pool.reset(slots)
            with pytest.raises(UnsoundError, match=f"unsound_games:{unsound_games.name_of(kind)}: "):
                for _ in range(20):
                    pool.rollout(slots, np.random.default_rng(0))
                    pool.reset(slots)
                    for action in (0, 1, 0, 1, 0, 0, 0):
                        pool.step(slots, np.full(4, action), slots)
                        pool.observe(slots, np.empty((4, *pool.game.observation_shape), np.float32))
                        pool.legal(slots)
        finally:
            kind.every = 60


def test_one_line_a_minute_about_all_actors():
    said: list[str] = []
    now = [0.0]
    report = FaultReport(said.append, lambda: now[0])
    for second in range(130):
        now[0] = float(second)
        report.take(SelfPlayCounts(unsound=2, faults=("x: reward is nan",), warnings=("once",)))
    assert said[0] == "once" and len(said) == 4
    assert "120 times" in said[2] and "x: reward is nan" in said[2]
    report.say()
    assert report.total == 260 and len(said) == 5


def test_every_actor_and_every_new_copy_warned_of_the_same_bounds():
    said: list[str] = []
    report = FaultReport(said.append)
    for place, value, high in (("0", "3", "1"), ("2", "-4.25", "1"), ("1", "1e+07", "inf")):
        line = f"E-v1: observation[{place}] is {value}, outside the bounds (-1 to {high})"
        report.take(SelfPlayCounts(warnings=(line,)))
    assert said == ["E-v1: observation[0] is 3, outside the bounds (-1 to 1)"]
    report.take(SelfPlayCounts(warnings=("another matter",)))
    assert len(said) == 2


@pytest.mark.parametrize("algorithm", ["actor_critic", "dqn", "reinforce"])
def test_nothing_that_is_saved_has_numbers_that_are_not_finite(tmp_path, algorithm):
    import selfplay
    from selfplay.storage import checkpoint

    config = tiny_config(
        tmp_path, "--algorithm", algorithm, "--environment", "unsound_environments:SensorGap-v0",
        "--net.input-transform", "none" if algorithm == "dqn" else "running", "--actors.rollout-steps", "16",
        "--budget.steps", "20", "--learner.warmup-steps", "0", "--evaluation.final-games", "2",
    )  # fmt: skip
    run = selfplay.train(config, tmp_path / "run").run_dir
    saved = checkpoint.load(run / "checkpoints")
    assert all(torch.isfinite(tensor).all() for part in (saved.weights, saved.learner) for tensor in part.values())


def test_faults_are_named():
    assert array_fault("x", np.array([[1.0, np.nan]]), (1, 2)) == "x[0, 1] is nan"
    assert array_fault("x", np.array([1e39]), (1,)) == "x[0] is 1e+39"
    assert array_fault("x", np.ma.array([1.0, 2.0], mask=[0, 1]), (2,)) == "x has masked numbers, which are none"
    assert array_fault("x", np.ma.array([1.0, 2.0]), (2,)) == ""
    assert array_fault("x", [1, 2], (2,)) == "" and array_fault("x", np.ones(2, np.int64), (2,), np.uint8)
    assert number_fault("r", np.float32(1)) == "" == number_fault("r", np.array(2.0)) == number_fault("r", True)
    assert number_fault("r", [1.0]) and number_fault("r", None) and number_fault("r", "1") and number_fault("r", 1e39)
    assert legal_fault(range(3), 3) == "" and legal_fault([2, 0], 3) == ""
    assert chance_fault([(0, 1 / 3), (1, 1 / 3), (2, 1 / 3)]) == ""
