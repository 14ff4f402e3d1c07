"""Playing environments with random actions, and the laws that all of them keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from games.environments.environment import Environment, EnvironmentBatch, Step


@dataclass
class Played:
    """What a batch did: observations [T + 1, N, ...], and what went in and came out of each step."""

    observations: list[np.ndarray]
    legal_masks: list[np.ndarray | None]
    actions: list[np.ndarray]
    steps: list[Step]

    def same(self, other: Played) -> bool:
        """Equal observations, rewards, discounts and ends."""
        return (
            all(map(np.array_equal, self.observations, other.observations))
            and all(np.array_equal(a.reward, b.reward) for a, b in zip(self.steps, other.steps))
            and all(np.array_equal(a.discount, b.discount) for a, b in zip(self.steps, other.steps))
            and all(np.array_equal(a.ended, b.ended) for a, b in zip(self.steps, other.steps))
        )

    def ends(self) -> int:
        return int(sum(step.ended.sum() for step in self.steps))


def random_actions(batch: EnvironmentBatch, rng: np.random.Generator) -> np.ndarray:
    """An action for each copy; of continuous ones, some outside the bounds."""
    environment = batch.environment
    if environment.action_low is not None and environment.action_high is not None:
        low, high = 1.5 * environment.action_low, 1.5 * environment.action_high
        return rng.uniform(low, high, (batch.num_envs, low.size)).astype(np.float32)
    if batch.legal_mask is None:
        return rng.integers(environment.num_actions, size=batch.num_envs)
    return np.array([rng.choice(np.flatnonzero(row)) for row in batch.legal_mask])


def play(batch: EnvironmentBatch, num_steps: int, seed: int = 0) -> Played:
    """`num_steps` random steps; arrays are kept as they were handed out."""
    rng = np.random.default_rng(seed)
    played = Played([batch.observation], [batch.legal_mask], [], [])
    for _ in range(num_steps):
        played.actions.append(random_actions(batch, rng))
        played.steps.append(batch.step(played.actions[-1]))
        played.observations.append(batch.observation)
        played.legal_masks.append(batch.legal_mask)
    return played


def check_laws(environment: Environment, num_steps: int, num_envs: int = 3) -> Played:
    """Sizes, types, what an end means, repetition from a seed, and that nothing handed out is written again."""
    batch = environment.new_batch(num_envs, seed=5)
    assert batch.environment is environment and batch.num_envs == num_envs
    rng = np.random.default_rng(1)
    played = Played([batch.observation], [batch.legal_mask], [], [])
    copies: list[np.ndarray] = [batch.observation.copy()]
    for _ in range(num_steps):
        played.actions.append(random_actions(batch, rng))
        step = batch.step(played.actions[-1])
        check_step(environment, batch, step)
        played.steps.append(step)
        played.observations.append(step.observation)
        played.legal_masks.append(step.legal_mask)
        copies.append(step.observation.copy())
    assert all(map(np.array_equal, played.observations, copies)), "an array that was handed out was written again"
    batch.close()
    assert play(environment.new_batch(num_envs, seed=5), num_steps, seed=1).same(played)
    return played


def check_step(environment: Environment, batch: EnvironmentBatch, step: Step) -> None:
    num_envs = batch.num_envs
    shape = (num_envs, *environment.observation_shape)
    assert step.observation is batch.observation and step.legal_mask is batch.legal_mask
    assert step.observation.shape == shape and step.observation.dtype == environment.observation_dtype
    assert step.observation.flags.c_contiguous and np.isfinite(step.observation).all()
    assert step.reward.shape == step.discount.shape == step.ended.shape == (num_envs,)
    assert (step.reward.dtype, step.discount.dtype, step.ended.dtype) == (np.float32, np.float32, np.bool_)
    assert set(step.discount.tolist()) <= {-1.0, 0.0, 1.0}
    assert (step.final_observation is not None) == step.ended.any()
    if step.final_observation is not None:
        assert step.final_observation.shape == shape and step.final_observation.dtype == step.observation.dtype
    assert (step.legal_mask is not None) == environment.has_legal_mask
    if step.legal_mask is not None:
        check_mask(step.legal_mask, (num_envs, environment.num_actions))
        assert (step.final_legal_mask is not None) == step.ended.any()
    if step.final_legal_mask is not None:
        check_mask(step.final_legal_mask, (num_envs, environment.num_actions))


def check_mask(mask: np.ndarray, shape: tuple[int, int]) -> None:
    assert mask.shape == shape and mask.dtype == np.bool_ and mask.any(axis=1).all()
