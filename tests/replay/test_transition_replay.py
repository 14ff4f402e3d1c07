"""The replay of transitions against a list of all steps: stacks, n-step returns, rings that overwrite, priorities."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from counting_environment import CountingEnvironment, WholeObservations

from selfplay.experience.behaviour import Sample
from selfplay.experience.rollouts import Experience, Rollout
from selfplay.replay.transitions import TransitionReplay, replay_bytes

GAMMA = 0.9


class FlatInference:
    """A network that says nothing: every action alike, values 0."""

    version = 0

    def predict(self, observations):
        return np.zeros((len(observations), 3), np.float32), np.zeros((len(observations), 1), np.float32)


def play(environment: CountingEnvironment, num_envs: int, steps: int, rollouts: int, seed: int) -> list[Rollout]:
    """Rollouts with random actions; the observations are whole."""
    rng = np.random.default_rng(seed)
    experience = Experience(
        WholeObservations(environment), FlatInference(), Sample(), num_envs, steps, rng, endless=True
    )
    found: list[Rollout] = []
    while len(found) < rollouts:
        found += experience.collect()
    return found


def newest_only(rollout: Rollout) -> Rollout:
    """The same with the newest frame of every observation."""
    return dataclasses.replace(
        rollout, observation=rollout.observation[..., -3:], final_observation=rollout.final_observation[..., -3:]
    )


def all_transitions(rollouts: list[Rollout], n_step: int) -> dict[tuple[float, ...], tuple]:
    """By the frame of its observation: (observation, action, n-step reward, factor, next observation)."""
    columns = {
        name: np.concatenate([getattr(rollout, name) for rollout in rollouts])
        for name in ("observation", "action", "reward", "discount", "ended")
    }
    finals = {}
    for rollout, start in zip(rollouts, np.cumsum([0] + [len(r.reward) for r in rollouts])):
        for (t, env), final in zip(np.argwhere(rollout.ended), rollout.final_observation):
            finals[start + t, env] = final
    found = {}
    steps, envs = columns["reward"].shape
    for t in range(steps):
        for env in range(envs):
            total, factor, following = 0.0, 1.0, None
            for k in range(t, min(t + n_step, steps)):
                total += factor * columns["reward"][k, env]
                factor *= GAMMA * columns["discount"][k, env]
                if columns["ended"][k, env]:
                    following = finals[k, env]
                    break
                if k == t + n_step - 1 and k + 1 < steps:
                    following = columns["observation"][k + 1, env]
            if following is not None:
                observation = columns["observation"][t, env]
                content = (observation, columns["action"][t, env], total, factor, following)
                found[tuple(observation[-3:].tolist())] = content
    return found


@pytest.mark.parametrize(("stack", "n_step"), [(1, 1), (1, 3), (4, 1), (4, 3), (2, 5)])
def test_every_transition_equals_the_one_put_together_from_all_steps(stack, n_step):
    environment = CountingEnvironment(stack)
    rollouts = play(environment, 3, 7, 10, seed=stack)
    replay = TransitionReplay(environment, 10_000, 3, n_step, GAMMA, 0.0, 0.0)
    for rollout in rollouts:
        replay.add(newest_only(rollout))
    assert replay.total == len(replay) == 3 * 70
    expected, rng, seen = all_transitions(rollouts, n_step), np.random.default_rng(0), set()
    for _ in range(60):
        batch = replay.sample(16, rng)
        for i in range(16):
            key = tuple(batch.observation[i, -3:].tolist())
            observation, action, reward, factor, following = expected[key]
            np.testing.assert_array_equal(batch.observation[i], observation)
            assert batch.action[i] == action
            assert batch.reward[i] == pytest.approx(reward, rel=1e-5)
            assert batch.factor[i] == pytest.approx(factor)
            np.testing.assert_array_equal(batch.next_observation[i], following)
            seen.add(key)
    # All but those that wait for what follows the newest row are drawn sooner or later.
    assert len(expected) - len(seen) <= 3 * n_step


@pytest.mark.parametrize(("stack", "n_step"), [(1, 1), (4, 3)])
def test_a_ring_that_overwrites_hands_out_nothing_torn(stack, n_step):
    environment = CountingEnvironment(stack)
    rollouts = play(environment, 2, 5, 60, seed=1)
    expected = all_transitions(rollouts, n_step)
    replay, rng = TransitionReplay(environment, 2 * 23, 2, n_step, GAMMA, 0.0, 0.0), np.random.default_rng(0)
    ages = []
    for number, rollout in enumerate(rollouts):
        replay.add(newest_only(rollout))
        if number < 2:
            continue
        batch = replay.sample(16, rng)
        for i in range(16):
            observation, action, reward, _, following = expected[tuple(batch.observation[i, -3:].tolist())]
            np.testing.assert_array_equal(batch.observation[i], observation)
            np.testing.assert_array_equal(batch.next_observation[i], following)
            assert (batch.action[i], batch.reward[i]) == (action, pytest.approx(reward, rel=1e-5))
            ages.append(observation[-2])
    assert len(replay) == 46
    assert len(set(ages)) > 30  # episodes of all times were drawn, each while it was there


def test_frames_are_stored_once():
    assert replay_bytes(CountingEnvironment(4), 1000) == replay_bytes(CountingEnvironment(1), 1000) == 1000 * 3 * 4


def test_an_actor_that_was_replaced_leaves_no_transition_into_the_life_of_the_next():
    environment = CountingEnvironment(2)
    first, second = play(environment, 2, 4, 1, seed=0)[0], play(environment, 2, 4, 2, seed=1)
    replay, rng = TransitionReplay(environment, 1000, 2, 2, GAMMA, 0.0, 0.0), np.random.default_rng(0)
    expected = all_transitions([first], 2)
    marked = dataclasses.replace(second[0], observation=second[0].observation + 1000, begins=True)
    replay.add(newest_only(first))
    replay.add(newest_only(marked))
    for _ in range(50):
        batch = replay.sample(8, rng)
        for i in range(8):
            is_first = batch.observation[i, -1] < 1000
            # Of the first life only what had all it needs is drawn, and nothing of it runs into the second.
            if is_first:
                key = tuple(batch.observation[i, -3:].tolist())
                np.testing.assert_array_equal(batch.next_observation[i], expected[key][4])


def test_rewards_are_clipped_where_they_are_learned_from():
    environment = CountingEnvironment()
    replay = TransitionReplay(environment, 1000, 2, 1, GAMMA, 1.0, 0.0)
    replay.add(play(environment, 2, 20, 1, seed=0)[0])
    batch = replay.sample(64, np.random.default_rng(0))
    assert set(np.round(batch.reward.astype(np.float64), 3)) <= {0.0, 0.1, 0.2, 1.0}


def test_legal_actions_are_those_of_the_next_observation():
    environment = CountingEnvironment(has_legal_mask=True)
    replay = TransitionReplay(environment, 1000, 2, 1, GAMMA, 0.0, 0.0)
    replay.add(play(environment, 2, 30, 1, seed=0)[0])
    batch = replay.sample(64, np.random.default_rng(0))
    for i in range(64):  # the last one of an episode too
        step = batch.next_observation[i, -1] - 1
        np.testing.assert_array_equal(batch.next_legal_mask[i], (np.arange(3) + step) % 3 > 0)


def test_priorities_decide_what_is_drawn_and_weights_undo_it():
    environment = CountingEnvironment()
    replay = TransitionReplay(environment, 1000, 2, 1, GAMMA, 0.0, priority_exponent=0.5)
    replay.add(play(environment, 2, 40, 1, seed=0)[0])
    rng = np.random.default_rng(0)
    errors: dict[int, float] = {}
    for _ in range(100):
        batch = replay.sample(16, rng)
        chosen = rng.choice([0.01, 4.0], size=16)
        replay.learned(batch, chosen, 0.0)
        errors |= dict(zip(batch.row.tolist(), chosen))
    replay._priorities.importance = 1.0
    rows = np.concatenate([replay.sample(16, rng).row for _ in range(3000)])
    chance = np.bincount(rows, minlength=1000) / len(rows)
    priority = np.zeros(1000)
    for row, error in errors.items():
        priority[row] = (error + 1e-6) ** 0.5
    np.testing.assert_allclose(chance, priority / priority.sum(), atol=0.003)
    batch = replay.sample(64, rng)
    np.testing.assert_allclose(batch.weight, (priority[batch.row].min() / priority[batch.row]), rtol=1e-4)
    replay._priorities.importance = 0.0
    assert (replay.sample(16, rng).weight == 1).all()


def test_too_little_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        TransitionReplay(CountingEnvironment(4), 20, 4, 3, GAMMA, 0.0, 0.0)
