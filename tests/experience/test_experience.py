"""Rollouts: what is kept of each step, values after ends, and how behaviour draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from counting_environment import CountingEnvironment, WholeObservations

from games.environments.environment import Step
from selfplay.experience.behaviour import GaussianMean, GaussianSample, Greedy, Sample
from selfplay.experience.episode_counter import EpisodeCounter
from selfplay.experience.rollouts import Experience, stacked_observations


class EchoInference:
    """A network whose value of an observation is `1000 env + 100 episode + step`, of its newest frame."""

    version = 0

    def predict(self, observations):
        value = observations[:, -3] * 1000 + observations[:, -2] * 100 + observations[:, -1]
        return np.zeros((len(observations), 3), np.float32), value[:, None].astype(np.float32)


def experience(steps: int | None, num_envs: int = 3, stack: int = 1, endless: bool = True, **more) -> Experience:
    rng = np.random.default_rng(0)
    return Experience(CountingEnvironment(stack), EchoInference(), Sample(), num_envs, steps, rng, endless, **more)


def play(collector: Experience, rollouts: int):
    found = []
    while len(found) < rollouts:
        found += collector.collect()
    return found


def test_values_after_a_step_are_those_of_the_next_observation_or_of_the_last_where_an_episode_was_cut_off():
    for rollout in play(experience(steps=9), 4):
        frames = rollout.observation
        finals = iter(rollout.final_observation)
        for t, env in np.ndindex(*rollout.ended.shape):
            own = frames[t, env] @ np.array([1000, 100, 1])
            assert rollout.value[t, env] == own
            if rollout.ended[t, env]:
                last = next(finals) @ np.array([1000, 100, 1])
                assert last == own + 1  # a step later in the same episode
                if rollout.discount[t, env]:
                    assert rollout.next_value[t, env] == last
            else:
                assert rollout.next_value[t, env] == own + 1


def test_a_rollout_is_as_old_as_the_first_network_that_acted_in_it():
    collector = experience(steps=4)
    collector.weights_changed(5)
    assert collector.collect() == []
    collector.weights_changed(9)
    assert [rollout.version for rollout in play(collector, 2)] == [5, 9]


def test_rollouts_follow_one_another_without_a_gap():
    rollouts = play(experience(steps=4), 5)
    frames = np.concatenate([rollout.observation for rollout in rollouts])
    ended = np.concatenate([rollout.ended for rollout in rollouts])
    for env in range(3):
        for t in range(len(frames) - 1):
            _, episode, step = frames[t, env]
            follows = (episode + 1, 1.0) if ended[t, env] else (episode, step + 1)
            assert tuple(frames[t + 1, env, 1:]) == follows
    assert [rollout.begins for rollout in rollouts] == [True, False, False, False, False]


def test_whole_episodes_are_played_one_in_every_environment_and_what_follows_does_not_count():
    collector = experience(steps=None, num_envs=3)
    for _ in range(2):
        (rollout,) = play(collector, 1)
        assert rollout.begins
        assert rollout.games == 3
        for env, length in enumerate((3, 4, 5)):  # new environments each time, so always the first episode
            assert rollout.counted[:, env].sum() == length
            assert rollout.ended[length - 1, env]


def test_one_environment_goes_on_with_its_next_episode():
    collector = experience(steps=None, num_envs=1)
    lengths = [len(rollout) for rollout in play(collector, 4)]
    assert lengths == [3, 4, 5, 6]


@pytest.mark.parametrize("steps", [1, 2, 6, 20, None])
@pytest.mark.parametrize("stack", [1, 2, 4])
def test_only_the_newest_frames_are_kept_and_stacks_are_put_together_from_them(stack, steps):
    environment = CountingEnvironment(stack)
    kinds = (WholeObservations(environment), environment)
    made = (Experience(kind, EchoInference(), Sample(), 3, steps, np.random.default_rng(0), True) for kind in kinds)
    for whole, newest in zip(*(play(generator, 8) for generator in made), strict=True):
        np.testing.assert_array_equal(newest.observation, whole.observation[..., -3:])
        np.testing.assert_array_equal(newest.final_observation, whole.final_observation[..., -3:])
        np.testing.assert_array_equal(stacked_observations(newest), whole.observation)
        assert stacked_observations(whole) is whole.observation


def test_a_round_ends_with_a_rollout_and_the_next_goes_on():
    collector = experience(steps=4, endless=False)
    first = play(collector, 1)[0]
    assert collector.done
    collector.begin_round()
    assert not collector.done
    second = play(collector, 1)[0]
    assert second.observation[0, 0, 2] == first.observation[-1, 0, 2] % (3 if first.ended[-1, 0] else 9) + 1


def test_counts_are_of_whole_episodes_as_the_environment_pays_them():
    collector = experience(steps=20, num_envs=2)
    rollout = play(collector, 1)[0]
    counts = collector.take_counts()
    assert counts.positions == 40
    assert counts.games == rollout.games == int(rollout.ended.sum())
    paid, lengths = 0.0, 0
    for env in range(2):
        last = int(np.nonzero(rollout.ended[:, env])[0].max())
        paid += float(rollout.reward[: last + 1, env].sum())
        lengths += last + 1
    assert counts.return_first == pytest.approx(paid, rel=1e-5)
    assert counts.game_plies == lengths


def test_draws_are_from_the_softmax_over_legal_actions_with_their_log_probabilities():
    logits = np.tile(np.array([1.0, 0.0, 2.0, -1.0], np.float32), (20_000, 1))
    legal = np.tile(np.array([True, True, False, True]), (20_000, 1))
    actions, log_probability = Sample().act(logits, legal, np.random.default_rng(0))
    weights = np.exp([1.0, 0.0, -math.inf, -1.0])
    chance = weights / weights.sum()
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / 20_000, chance, atol=0.01)
    np.testing.assert_allclose(np.exp(log_probability), chance[actions], rtol=1e-5)
    assert (Greedy().act(logits, legal, np.random.default_rng(0))[0] == 0).all()


def test_gaussian_draws_have_their_mean_deviation_and_density():
    output = np.tile(np.array([1.0, -2.0, math.log(0.5), math.log(2.0)], np.float32), (20_000, 1))
    actions, log_probability = GaussianSample().act(output, None, np.random.default_rng(0))
    np.testing.assert_allclose(actions.mean(axis=0), [1.0, -2.0], atol=0.06)
    np.testing.assert_allclose(actions.std(axis=0), [0.5, 2.0], rtol=0.03)
    normed = (actions - [1.0, -2.0]) / [0.5, 2.0]
    expected = (-0.5 * normed**2 - np.log([0.5, 2.0]) - 0.5 * math.log(2 * math.pi)).sum(axis=1)
    np.testing.assert_allclose(log_probability, expected, atol=1e-4)
    np.testing.assert_array_equal(GaussianMean().act(output, None, np.random.default_rng(0))[0], output[:, :2])


def test_the_return_of_a_game_is_that_of_who_began():
    counter = EpisodeCounter(2)

    def step(reward, discount, ended):
        none = np.zeros((2, 1), np.float32)
        return counter.add(Step(none, np.float32(reward), np.float32(discount), np.array(ended)))

    assert step([1.0, 2.0], [-1.0, 1.0], [False, False]) == []
    assert step([10.0, 20.0], [-1.0, 0.0], [False, True]) == [(1, 22.0, 2)]
    assert step([100.0, 5.0], [0.0, 0.0], [True, True]) == [(0, 1 - 10 + 100, 3), (1, 5.0, 1)]
