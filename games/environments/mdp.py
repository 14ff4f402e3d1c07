"""Markov decision processes small enough for a table, and their exact solutions.

The reference for learning: `optimal_q` computes the values that tabular Q-learning and DQN approach on a grid world.
Formulas in Sutton and Barto, "Reinforcement Learning: An Introduction" (2018), chapters 3 and 4; proofs in Puterman,
"Markov Decision Processes" (1994), chapter 6.

The discount, in [0, 1], is an argument and no part of the process: one world is solved for several. With discount
1 a policy has a value only where it reaches a terminal state from everywhere with certainty; others are refused.
Policy iteration then finds the best of those that end. Sweeps from 0 find the same where going on for ever is no
better than ending, as when steps cost something or no reward is negative (Bertsekas and Tsitsiklis, "An Analysis of
Stochastic Shortest Path Problems", 1991).

Letters: S states, A actions, K outcomes. A policy is float64 [S, A], the probabilities of the actions in each state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from games.base import GameError

SUM_TOLERANCE = 1e-9
"""Largest difference from 1 that a sum of probabilities may have."""

TIE_TOLERANCE = 1e-9
"""Actions whose values differ by less count as equally good; times the largest value where that is above 1."""

ROUNDING = 1e-13
"""Differences below this are rounding, and change no policy; times the largest value where that is above 1."""

MAX_SWEEPS = 100_000


@dataclass(frozen=True, eq=False)
class TabularMdp:
    """A Markov decision process with finitely many states and actions. Raises GameError where it is none."""

    transitions: Float[np.ndarray, "S A S"]  # float64, the probability of the next state
    rewards: Float[np.ndarray, "S A"]  # float64, the expected reward of the transition
    start: Float[np.ndarray, " S"]  # float64, the distribution of the first state
    terminal: Bool[np.ndarray, " S"]  # every action stays here with the reward 0, so that the value is 0

    def __post_init__(self) -> None:
        s, a = self.rewards.shape
        if self.transitions.shape != (s, a, s) or self.start.shape != (s,) or self.terminal.shape != (s,):
            raise GameError(
                f"mdp: rewards {self.rewards.shape}, transitions {self.transitions.shape}, start {self.start.shape}, "
                f"terminal {self.terminal.shape} do not fit; make them [S, A], [S, A, S], [S] and [S]"
            )
        if not np.isfinite(self.rewards).all():
            raise GameError(f"mdp: the reward of state, action {_first(~np.isfinite(self.rewards))} is not finite")
        _check_distributions("the next states of state, action", self.transitions)
        _check_distributions("the first states", self.start)
        leaves = self.terminal[:, None] & ((self.rewards != 0) | (_stays(self.transitions) < 1 - SUM_TOLERANCE))
        if leaves.any():
            raise GameError(
                f"mdp: state, action {_first(leaves)} is terminal, but pays or leads away; "
                f"let it stay with probability 1 and reward 0"
            )

    @property
    def num_states(self) -> int:
        """Number of states, S."""
        return self.rewards.shape[0]

    @property
    def num_actions(self) -> int:
        """Number of actions, A."""
        return self.rewards.shape[1]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcomes of each action, one by one, to be sampled. Two outcomes with one next state may have different
    rewards, which a `TabularMdp` does not keep apart."""

    probabilities: Float[np.ndarray, "S A K"]  # float64; 0 for those that fill up
    next_states: Int[np.ndarray, "S A K"]  # int64
    rewards: Float[np.ndarray, "S A K"]  # float64

    def to_mdp(self, start: Float[np.ndarray, " S"], terminal: Bool[np.ndarray, " S"]) -> TabularMdp:
        """The process with these outcomes. Raises GameError as `TabularMdp` does."""
        s, a, _ = self.probabilities.shape
        transitions = np.zeros((s, a, s))
        states, actions = np.arange(s)[:, None, None], np.arange(a)[:, None]
        np.add.at(transitions, (states, actions, self.next_states), self.probabilities)
        return TabularMdp(transitions, (self.probabilities * self.rewards).sum(axis=2), start, terminal)


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Values after sweeps from 0."""

    values: np.ndarray  # float64, [S] of value iteration, [S, A] of Q-iteration
    residuals: Float[np.ndarray, " n"]  # float64, the greatest change of each sweep


@dataclass(frozen=True, eq=False)
class PolicyIteration:
    """The policies of policy iteration, the last one optimal, with their exact values."""

    policies: Float[np.ndarray, "n S A"]
    values: Float[np.ndarray, "n S"]


def action_values(mdp: TabularMdp, values: Float[np.ndarray, " S"], discount: float) -> Float[np.ndarray, "S A"]:
    """r(s, a) + discount * sum of P(s' | s, a) v(s'): values of actions [S, A] from `values` of states [S]."""
    return mdp.rewards + _checked(discount) * (mdp.transitions @ np.where(mdp.terminal, 0.0, values))


def bellman_optimality(mdp: TabularMdp, q: Float[np.ndarray, "S A"], discount: float) -> Float[np.ndarray, "S A"]:
    """One sweep of Q-iteration, r(s, a) + discount * sum of P(s' | s, a) max q(s', a'), (3.20) in Sutton and Barto.

    A contraction: two tables come nearer in the greatest difference, at least by the factor `discount`.
    """
    return action_values(mdp, q.max(axis=1), discount)


def q_iteration(mdp: TabularMdp, discount: float, tolerance: float = 1e-10, max_sweeps: int = MAX_SWEEPS) -> Sweeps:
    """Q-iteration from 0 until no value changes by more than `tolerance`, times the largest where that is above 1.

    The optimal values [S, A] are then at most discount / (1 - discount) times the last residual away. Raises GameError
    where `max_sweeps` are not enough.
    """
    return _sweep(lambda q: bellman_optimality(mdp, q, discount), np.zeros_like(mdp.rewards), tolerance, max_sweeps)


def value_iteration(mdp: TabularMdp, discount: float, tolerance: float = 1e-10, max_sweeps: int = MAX_SWEEPS) -> Sweeps:
    """Value iteration from 0, (4.10) in Sutton and Barto; as `q_iteration`, with values [S]."""
    return _sweep(
        lambda values: action_values(mdp, values, discount).max(axis=1), np.zeros(mdp.num_states), tolerance, max_sweeps
    )


def policy_evaluation(mdp: TabularMdp, policy: Float[np.ndarray, "S A"], discount: float) -> Float[np.ndarray, " S"]:
    """The values of a policy, exact: the solution of v = r + discount * P v, (4.4) in Sutton and Barto.

    Raises GameError for what is no policy, and with discount 1 for one that may go on for ever.
    """
    if policy.shape != mdp.rewards.shape:
        raise GameError(f"mdp: a policy of shape {policy.shape} for states and actions {mdp.rewards.shape}")
    _check_distributions("the actions of the policy in state", policy)
    transitions = np.einsum("sa,sat->st", policy, mdp.transitions)
    if _checked(discount) == 1.0 and not (ends := _can_end(transitions, mdp.terminal)).all():
        raise GameError(f"mdp: the policy never ends from state {_first(~ends)}; use a discount below 1")
    going = ~mdp.terminal
    values = np.zeros(mdp.num_states)
    system = np.eye(int(going.sum())) - discount * transitions[np.ix_(going, going)]
    values[going] = np.linalg.solve(system, (policy * mdp.rewards).sum(axis=1)[going])
    return values


def policy_iteration(
    mdp: TabularMdp, discount: float, policy: Float[np.ndarray, "S A"] | None = None
) -> PolicyIteration:
    """Evaluate and improve until nothing improves, from `policy` or the uniform one; section 4.3 of Sutton and Barto.

    Values never fall. Raises GameError as `policy_evaluation` does.
    """
    policy = uniform_policy(mdp) if policy is None else policy
    policies, values = [policy], [policy_evaluation(mdp, policy, discount)]
    while True:
        q = action_values(mdp, values[-1], discount)
        gain = q.max(axis=1) - (policies[-1] * q).sum(axis=1)
        # Where nothing is better the old actions stay. With discount 1 this keeps a policy that ends from turning into
        # one that walks round for ever among equals.
        better = gain > ROUNDING * _scale(q)
        policy = np.where(better[:, None], np.eye(mdp.num_actions)[q.argmax(axis=1)], policies[-1])
        following = policy_evaluation(mdp, policy, discount)
        if following.sum() <= values[-1].sum():  # nothing improved, or rounding alone did
            return PolicyIteration(np.array(policies), np.array(values))
        policies.append(policy)
        values.append(following)


def optimal_q(mdp: TabularMdp, discount: float) -> Float[np.ndarray, "S A"]:
    """The optimal action values to machine precision: those of the last policy of policy iteration, a linear solve."""
    return action_values(mdp, policy_iteration(mdp, discount).values[-1], discount)


def greedy_policy(q: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
    """The best actions of each state, all that tie with equal probability."""
    best = q >= q.max(axis=1, keepdims=True) - TIE_TOLERANCE * _scale(q)
    return best / best.sum(axis=1, keepdims=True)


def uniform_policy(mdp: TabularMdp) -> Float[np.ndarray, "S A"]:
    """Every action with the same probability."""
    return np.full((mdp.num_states, mdp.num_actions), 1.0 / mdp.num_actions)


def constant_policy(mdp: TabularMdp, action: int) -> Float[np.ndarray, "S A"]:
    """The same action everywhere."""
    return np.tile(np.eye(mdp.num_actions)[action], (mdp.num_states, 1))


def _sweep(
    operator: Callable[[np.ndarray], np.ndarray], values: np.ndarray, tolerance: float, max_sweeps: int
) -> Sweeps:
    residuals: list[float] = []
    while len(residuals) < max_sweeps:
        following = operator(values)
        residuals.append(float(np.abs(following - values).max()))
        values = following
        if residuals[-1] <= tolerance * _scale(values):
            return Sweeps(values, np.array(residuals))
    raise GameError(
        f"mdp: values still change after {max_sweeps:,} sweeps; lower the discount, or allow more sweeps or tolerance"
    )


def _can_end(transitions: np.ndarray, terminal: np.ndarray) -> np.ndarray:
    """[S] bool: states that a terminal one can be reached from. Where all can, all do in the end."""
    leads = transitions > 0
    ends = border = terminal
    while border.any():
        border = leads[:, border].any(axis=1) & ~ends
        ends = ends | border
    return ends


def _check_distributions(what: str, probabilities: np.ndarray) -> None:
    """Raise GameError unless the last axis holds distributions (NaN is none)."""
    sums = np.abs(probabilities.sum(axis=-1) - 1.0) <= SUM_TOLERANCE
    wrong = ~(sums & (probabilities >= 0).all(axis=-1))
    if wrong.any():
        where = f" {_first(wrong)}" if wrong.ndim else ""
        raise GameError(f"mdp: the probabilities of {what}{where} are negative or do not sum to 1")


def _checked(discount: float) -> float:
    if not 0.0 <= discount <= 1.0:
        raise GameError(f"mdp: discount {discount} is not in [0, 1]")
    return discount


def _stays(transitions: np.ndarray) -> np.ndarray:
    """[S, A]: the probability of staying."""
    return np.einsum("sas->sa", transitions)


def _scale(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values).max()))


def _first(wrong: np.ndarray) -> str:
    """The first index where `wrong` is true, for a person."""
    return ", ".join(map(str, np.argwhere(wrong)[0].tolist()))
