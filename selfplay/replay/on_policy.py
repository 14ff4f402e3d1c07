"""Rollouts that are learned from at once and then forgotten: the replay of REINFORCE and actor-critic.

In the flow: collectors make rollouts, `add` gives every step its return and advantage, the learner passes over all
steps in random order as often as the run's `sample_reuse` says, and the next rollouts take their place.

    G_t = r_t + gamma d_t G_{t+1}                              the return; d is the environment's discount
    A_t = delta_t + gamma lambda d_t A_{t+1},                  generalised advantage estimation
          delta_t = r_t + gamma d_t v(s_{t+1}) - v(s_t)        (Schulman et al. 2016, equation 16)

A_{t+1} and G_{t+1} are those of the same episode. d may be -1: then the opponent moves next, whose gain is the loss of
the one who moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped

from selfplay.experience.rollouts import Rollout, stacked_observations
from selfplay.replay.rewards import Rewards


@dataclass(frozen=True)
class RolloutBatch:
    """B steps."""

    observation: Shaped[np.ndarray, "B *observation"]
    legal_mask: Bool[np.ndarray, "B A"] | None
    action: Int64[np.ndarray, " B"] | Float32[np.ndarray, "B D"]
    advantage: Float32[np.ndarray, " B"]
    target: Float32[np.ndarray, " B"]  # what the value should be
    log_probability: Float32[np.ndarray, " B"]  # of the action, at the time of acting
    episode_length: float
    """Mean steps of an episode: turns a mean over steps into the textbook's sum over an episode's steps."""

    def __len__(self) -> int:
        return len(self.action)


Estimator = Callable[[Rollout, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(rollout, reward [T, N] as it is learned from) -> advantage and value target, float32 [T, N] each."""


def discounted_sums(
    terms: Float[np.ndarray, "T N"], factor: Float[np.ndarray, "T N"], last: Float[np.ndarray, " N"]
) -> Float[np.ndarray, "T N"]:
    """`x_t = terms_t + factor_t x_{t+1}` along the first axis, `last` standing at the end; all float64 [T, N]."""
    sums = np.empty_like(terms, dtype=np.float64)
    following = last
    for t in reversed(range(len(terms))):
        following = terms[t] + factor[t] * following
        sums[t] = following
    return sums


def generalised_advantages(discount: float, gae_lambda: float) -> Estimator:
    """A2C's and PPO's estimator; the value target is the advantage plus the value."""

    def estimate(
        rollout: Rollout, reward: Float[np.ndarray, "T N"]
    ) -> tuple[Float[np.ndarray, "T N"], Float[np.ndarray, "T N"]]:
        factor = discount * rollout.discount.astype(np.float64)
        delta = reward + factor * rollout.next_value - rollout.value
        follows = np.where(rollout.ended, 0.0, gae_lambda * factor)
        if rollout.unsound is not None:  # what came before was cut off there: its future is the value alone
            delta = np.where(rollout.unsound, 0.0, delta)
        advantage = discounted_sums(delta, follows, np.zeros(delta.shape[1]))
        return advantage.astype(np.float32), (advantage + rollout.value).astype(np.float32)

    return estimate


def monte_carlo_returns(discount: float, reward_to_go: bool, baseline: bool) -> Estimator:
    """REINFORCE's estimator for whole episodes; the value target is the return that followed.

    Without `reward_to_go` every action of an episode counts the whole return (Williams 1992, equation 11, with a return
    in place of the reward), which is the same in expectation and varies more. An episode that was cut off by a limit
    counts what the network expects of the rest.
    """

    def estimate(
        rollout: Rollout, reward: Float[np.ndarray, "T N"]
    ) -> tuple[Float[np.ndarray, "T N"], Float[np.ndarray, "T N"]]:
        factor = discount * rollout.discount.astype(np.float64)
        cut_off = np.where(rollout.ended, factor * rollout.next_value, 0.0)
        terms = reward + cut_off
        if rollout.unsound is not None:  # what came before was cut off there: its future is the value
            terms = np.where(rollout.unsound, rollout.value, terms)
        returns = discounted_sums(terms, np.where(rollout.ended, 0.0, factor), np.zeros(reward.shape[1]))
        counted = returns if reward_to_go else _from_the_start(returns, rollout)
        advantage = counted - rollout.value if baseline else counted
        return advantage.astype(np.float32), returns.astype(np.float32)

    return estimate


def _from_the_start(returns: np.ndarray, rollout: Rollout) -> np.ndarray:
    """[T, N]: at every step the return from the start of its episode, seen by the player who moves there."""
    whole = np.empty_like(returns)
    start, seen_by_mover = returns[0], np.ones(returns.shape[1])
    for t in range(len(returns)):
        whole[t] = seen_by_mover * start
        seen_by_mover = np.where(
            rollout.ended[t], 1.0, np.where(rollout.discount[t] < 0, -seen_by_mover, seen_by_mover)
        )
        if t + 1 < len(returns):
            start = np.where(rollout.ended[t], returns[t + 1], start)
    return whole


class RolloutReplay:
    """The rollouts that are learned from at present, and those that have come in since."""

    def __init__(self, estimator: Estimator, rewards: Rewards, passes: int = 1) -> None:
        """`rewards` says how rewards are learned from. After `passes` over the present rollouts, those that have come
        in take their place."""
        self._estimator, self._rewards, self._passes = estimator, rewards, passes
        self._passes_left = 0  # over the current rollouts, before others may take their place
        self.total = 0
        """Steps ever added."""
        self._waiting: list[RolloutBatch] = []
        self._current: RolloutBatch | None = None
        self._order = np.empty(0, np.int64)  # steps of the current rollouts that this pass has not seen yet

    @property
    def window(self) -> int:
        """Steps that are sampled at present."""
        return len(self)

    def __len__(self) -> int:
        return 0 if self._current is None else len(self._current)

    def add(self, rollout: Rollout) -> None:
        """Take in the steps that count."""
        self._rewards.count(rollout)
        with np.errstate(over="ignore"):  # of huge rewards: the learner says that the loss is not finite
            advantage, target = self._estimator(rollout, self._rewards.shaped(rollout))
        rows = rollout.counted.T  # of one environment after the other, so that steps stay in order
        steps = int(rows.sum())
        if steps == 0:
            return

        def chosen(array: np.ndarray) -> np.ndarray:
            return array.swapaxes(0, 1)[rows]

        self._waiting.append(
            RolloutBatch(
                observation=chosen(stacked_observations(rollout)),
                legal_mask=None if rollout.legal_mask is None else chosen(rollout.legal_mask),
                action=chosen(rollout.action),
                advantage=chosen(advantage),
                target=chosen(target),
                log_probability=chosen(rollout.log_probability),
                episode_length=steps / max(1, rollout.games),
            )
        )
        self.total += steps

    def sample(self, size: int, rng: np.random.Generator) -> RolloutBatch:
        """The next `size` steps of a pass in random order, or what is left of it; all steps in order for size 0.

        A single step that would be left goes with the last `size`: alone it has no variance to normalise by.

        Raises ValueError while it is empty.
        """
        if not len(self._order):
            self._begin_pass(size, rng)
        assert self._current is not None
        if size == 0:
            self._order = self._order[:0]
            return self._current
        if len(self._order) == size + 1:
            size += 1
        rows, self._order = self._order[:size], self._order[size:]
        return _pick(self._current, rows)

    def learned(self, batch: RolloutBatch, errors: np.ndarray | None, progress: float) -> None:
        """Every step is drawn as often as another."""

    def state_dict(self) -> dict[str, Any]:
        """See `algorithm.Replay.state_dict`: the rollouts are forgotten, what is known of rewards is not."""
        return {"kept": self.total, **self._rewards.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what is known of rewards; rollouts are counted again."""
        self._rewards.load_state_dict(state)

    def _begin_pass(self, size: int, rng: np.random.Generator) -> None:
        """Over the rollouts that have come in, or once more over the present ones."""
        if self._waiting and self._passes_left <= 0:
            self._current = _joined(self._waiting)
            self._waiting, self._passes_left = [], self._passes
        if self._current is None:
            raise ValueError("rollouts: nothing to sample yet")
        self._passes_left -= 1
        self._order = np.arange(len(self._current)) if size == 0 else rng.permutation(len(self._current))


def _pick(batch: RolloutBatch, rows: np.ndarray) -> RolloutBatch:
    picked = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return RolloutBatch(**{n: x[rows] if isinstance(x, np.ndarray) else x for n, x in picked.items()})


def _joined(batches: list[RolloutBatch]) -> RolloutBatch:
    if len(batches) == 1:
        return batches[0]
    columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(RolloutBatch)}
    length = float(np.mean(columns.pop("episode_length")))
    joined: dict[str, Any] = {n: None if xs[0] is None else np.concatenate(xs) for n, xs in columns.items()}
    return RolloutBatch(**joined, episode_length=length)
