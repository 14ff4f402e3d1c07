"""The search over real-valued actions: with a perfect model of one step it finds the best that was sampled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from real_bandit import NAME, best

from games import load_environment
from games.environments.pool import EnvironmentGame, EnvironmentPool
from nets.real_policy import log_density
from search import RootStatistics, Search, SearchConfig
from search.sampled_model import SampledModelFactory

EVERY = SearchConfig(rule="gumbel", num_simulations=40, max_considered_actions=16)
FEW = SearchConfig(rule="gumbel", num_simulations=2)


class Outputs(NamedTuple):
    latents: np.ndarray
    policy_logits: np.ndarray
    values: np.ndarray
    rewards: np.ndarray | None = None
    seats: np.ndarray | None = None


class PerfectBandit:
    """Knows what `real_bandit` pays. A latent is what is shown, 0 behind the end; the policy is the same everywhere."""

    latent_shape = (1,)
    latent_dtype = np.dtype(np.float32)

    def __init__(self, mean: float = 0.0, log_std: float = 0.0, size: int = 1) -> None:
        self.policy = np.float32([mean] * size + [log_std] * size)
        self.given: list[np.ndarray] = []

    def initial(self, observations: np.ndarray) -> Outputs:
        return self._say(observations.astype(np.float32), None)

    def recurrent(self, latents: np.ndarray, actions: np.ndarray) -> Outputs:
        self.given.append(actions.copy())
        target = np.array([[best(float(x))] for x in latents[:, 0]])
        rewards = np.where(latents == 0, 0.0, -np.square(actions - target).sum(axis=1, keepdims=True))
        return self._say(np.zeros_like(latents), rewards.astype(np.float32))

    def _say(self, latents: np.ndarray, rewards: np.ndarray | None) -> Outputs:
        count = len(latents)
        return Outputs(latents, np.tile(self.policy, (count, 1)), np.zeros((count, 1), np.float32), rewards)


def searched(
    world: PerfectBandit,
    num_actions: int = 16,
    trees: int = 6,
    config: SearchConfig = EVERY,
    uniform: int | None = 0,
    seeds=None,
    size: int = 1,
    inner: int = 32,
    noise: bool = True,
) -> tuple[RootStatistics, np.ndarray, np.ndarray]:
    """Statistics, the sampled actions, and what is shown at the roots."""
    environment = load_environment(NAME if size == 1 else f"{NAME}(size={size})")
    game = EnvironmentGame(environment, sampled_actions=num_actions)
    pool, slots = game.new_pool(trees), np.arange(trees)
    pool.reset(slots)
    return *search_of(world, game, pool, slots, config, uniform, seeds, inner, noise), shown(pool, slots)


def search_of(world, game, pool, slots, config, uniform, seeds, inner=32, noise=True):
    search = Search(SampledModelFactory(game, world, inner, uniform).make_model(), config, len(slots), noise)
    trees = np.arange(len(slots))
    given = trees if seeds is None else seeds
    search.begin(trees, pool, slots, np.asarray(given, np.uint64))
    search.run(trees)
    return search.statistics(trees), pool.sampled_actions(slots)


def shown(pool: EnvironmentPool, slots: np.ndarray) -> np.ndarray:
    out = np.zeros((len(slots), 1), np.float32)
    pool.observe(slots, out)
    return out


def paid(sampled: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What each action [B, A, D] would pay."""
    target = np.array([best(float(x)) for x in seen[:, 0]])
    return -np.square(sampled - target[:, None, None]).sum(axis=2)


@pytest.mark.parametrize("rule", ["gumbel", "puct"])
def test_a_perfect_model_finds_the_best_action_that_was_sampled(rule: str) -> None:
    config = SearchConfig(rule=rule, num_simulations=200, max_considered_actions=16)
    statistics, sampled, seen = searched(PerfectBandit(), config=config, trees=12, noise=False)
    assert len(np.unique(seen)) == 2, "both optima are sought"
    worth = paid(sampled, seen)
    assert statistics.best_action.tolist() == worth.argmax(axis=1).tolist()
    assert statistics.policy_target.argmax(axis=1).tolist() == worth.argmax(axis=1).tolist()
    np.testing.assert_allclose(statistics.prior, 1 / 16)
    visited = statistics.visit_counts > 0
    np.testing.assert_allclose(statistics.q_values[visited], worth[visited], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inner", [1, 5, 32])
def test_the_policy_of_the_search_moves_the_mean_towards_the_optimum(inner: int) -> None:
    """One step of descent on the cross-entropy, from the policy that the actions were drawn from."""
    statistics, sampled, seen = searched(PerfectBandit(), trees=64, inner=inner)
    for x in (-1.0, 1.0):
        here = seen[:, 0] == x
        output = torch.zeros(1, 2, requires_grad=True)
        scaled = torch.from_numpy((sampled[here] - 1.0) / 3.0)
        target = torch.from_numpy(statistics.policy_target[here])
        (-(target * log_density(output.expand(len(scaled), 2), scaled)).sum(dim=1).mean()).backward()
        assert output.grad is not None
        mean, log_std = (-output.grad[0]).tolist()
        wanted = np.arctanh((best(x) - 1.0) / 3.0)
        assert 0.5 * abs(wanted) < mean / np.sign(wanted) < 1.5 * abs(wanted), "about as far as the optimum is"
        assert log_std < -0.2, "and narrower"


def test_the_network_is_given_the_numbers_that_the_pool_was_told() -> None:
    world = PerfectBandit(size=3)
    _, sampled, _ = searched(world, trees=1, size=3)
    assert sampled.shape == (1, 16, 3) and sampled.dtype == np.float32
    root = {row.tobytes() for row in sampled[0]}
    given = [row.tobytes() for batch in world.given for row in batch]
    assert given[0] in root and len(root) == 16 and sum(row in root for row in given) >= 16
    assert len({*given} - root) > 5, "nodes below have actions of their own"


def test_actions_lie_within_the_bounds_and_have_the_distribution_of_the_policy() -> None:
    mean, log_std = 0.4, -0.5
    _, sampled, _ = searched(PerfectBandit(mean, log_std), num_actions=200, trees=50, config=FEW)
    assert sampled.min() > -2.0 and sampled.max() < 4.0
    u = np.arctanh((sampled.astype(np.float64) - 1.0) / 3.0).ravel()
    assert u.mean() == pytest.approx(mean, abs=0.02) and u.std() == pytest.approx(np.exp(log_std), rel=0.03)
    for share, z in ((0.025, -1.96), (0.5, 0.0), (0.975, 1.96)):
        assert np.quantile(u, share) == pytest.approx(mean + z * np.exp(log_std), abs=0.06)
    _, far, _ = searched(PerfectBandit(30.0, 0.0))
    assert (far == 4.0).all(), "the end of the range, and not beyond"


def test_some_actions_of_self_play_are_drawn_uniformly() -> None:
    _, sampled, _ = searched(PerfectBandit(0.0, -9.0), num_actions=40, trees=50, uniform=30, config=FEW)
    np.testing.assert_allclose(sampled[:, :10], 1.0, atol=3e-3)
    drawn = sampled[:, 10:].ravel()
    assert drawn.mean() == pytest.approx(1.0, abs=0.15) and drawn.std() == pytest.approx(6 / 12**0.5, rel=0.05)
    assert drawn.min() > -2.0 and drawn.max() < 4.0 and len(np.unique(drawn)) == drawn.size


def test_the_first_action_of_a_player_is_the_middle_of_the_policy() -> None:
    _, sampled, _ = searched(PerfectBandit(0.7, 0.0), uniform=None)
    np.testing.assert_allclose(sampled[:, 0], 1.0 + 3.0 * np.tanh(0.7), rtol=1e-6)
    assert len(np.unique(sampled[:, 1:])) == 6 * 15


def test_seeds_decide_what_is_sampled_and_no_tree_sees_another() -> None:
    environment = load_environment(NAME)
    game = EnvironmentGame(environment, sampled_actions=8)
    pool, every, config = game.new_pool(24), np.arange(24), SearchConfig(rule="gumbel", num_simulations=30)
    pool.reset(every)
    together, sampled = search_of(PerfectBandit(), game, pool, every, config, 2, every)
    assert len({row.tobytes() for row in sampled}) == 24
    order = np.random.default_rng(0).permutation(24)
    shuffled, moved = search_of(PerfectBandit(), game, pool, order, config, 2, order)
    np.testing.assert_array_equal(moved, sampled[order])
    for name in ("visit_counts", "q_values", "policy_target", "root_value"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(together, name)[order], err_msg=name)
    alone, own = search_of(PerfectBandit(), game, pool, every[5:6], config, 2, every[5:6])
    np.testing.assert_array_equal(own[0], sampled[5])
    np.testing.assert_array_equal(alone.policy_target[0], together.policy_target[5])


def test_more_actions_than_there_are_to_tell_apart_do_no_harm() -> None:
    """A policy that is all but certain: twenty times the same action."""
    statistics, sampled, _ = searched(PerfectBandit(0.3, -40.0), num_actions=20)
    assert len(np.unique(sampled)) == 1 and np.isfinite(statistics.policy_target).all()
    np.testing.assert_allclose(statistics.policy_target.sum(axis=1), 1.0)
