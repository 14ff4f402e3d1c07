"""What is learned from a finished game: its value targets, and how often each position counts.

In the flow: `replay` makes them when a game enters it, from the facts in its record and the settings of the present
run. So a resumed run with other settings learns other things from the games that it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int8, Int32, Int64

from games import Game
from search.perspective import from_players, num_values
from selfplay.config.run import Config
from selfplay.experience.records import UNDECIDED, Ending, GameRecord, TargetRecord

NO_LABEL = -128
"""Label of a cell where nobody says whose it was."""


@dataclass(frozen=True)
class TargetSettings:
    """The settings that targets and weights are made by."""

    num_values: int
    """V, the numbers of a value (`search.perspective.num_values`)."""
    discount: float = 1.0
    """`search.discount`: factor of a reward that comes a move later."""
    td_steps: int = 0
    """`learner.td_steps`: rewards of an n-step return; 0 is all rewards to the end."""
    root_value_share: float = 0.0
    """`learner.root_value_share` of the value target is the search's root value, the rest is the return."""
    policy_surprise: float = 0.0
    """`learner.policy_surprise`, see `sampling_weights`."""
    resign_weight: float = 1.0
    """`actors.resign_weight`: factor for positions after the verdict of a decided game."""
    label_shape: tuple[int, int] = (0, 0)
    """`Game.final_label_shape`; zeros for a game without labels."""

    @classmethod
    def of(cls, config: Config, game: Game) -> TargetSettings:
        """The settings of a run."""
        learner = config.learner
        return cls(
            num_values(game),
            config.search.discount,
            learner.td_steps,
            learner.root_value_share,
            learner.policy_surprise,
            config.actors.resign_weight,
            game.final_label_shape or (0, 0),
        )


@dataclass(frozen=True)
class Targets:
    """What is learned from the T positions of a game, V numbers a value, as the network sees it."""

    value: Float32[np.ndarray, "T V"]
    outcome: Float32[np.ndarray, "T V"]  # what the game paid from here on
    weight: Float32[np.ndarray, " T"]  # how often the position is learned from, on average; 0 leaves it out


def targets_of(record: GameRecord | TargetRecord, settings: TargetSettings) -> Targets:
    """The targets of a game; those of a record that stores them stay as they are, whatever the settings.

    The value target is an n-step return (MuZero, Schrittwieser et al. 2020), mixed with the search's root value.
    """
    weight = weights_of(record, settings)
    if isinstance(record, TargetRecord):
        return Targets(record.value_target, record.outcome, weight)
    paid, share = _returns(record, settings.discount, 0), settings.root_value_share
    returns = _returns(record, settings.discount, settings.td_steps) if settings.td_steps > 0 else paid
    mixed = (1.0 - share) * returns + share * record.root_value
    value, outcome = (seen_by_movers(record, values, settings.num_values) for values in (mixed, paid))
    return Targets(value, outcome, weight)


def labels_seen(
    record: GameRecord | TargetRecord, settings: TargetSettings
) -> tuple[Int8[np.ndarray, "T H W"], Float32[np.ndarray, " T"]]:
    """The labels of the cells and the score at the end for the player to move at each position: 1 is a cell of its own.

    NO_LABEL and not-a-number where the record has none.
    """
    length = len(record)
    labels = np.full((length, *settings.label_shape), NO_LABEL, np.int8)
    score = np.full(length, np.nan, np.float32)
    if isinstance(record, GameRecord):
        sign = np.where(record.to_play == 0, 1, -1)
        if record.final_labels.size:
            labels = (sign[:, None, None] * record.final_labels).astype(np.int8)
        if len(record.final_score):
            score = (sign * record.final_score[0]).astype(np.float32)
    return labels, score


def outcomes(record: GameRecord, settings: TargetSettings) -> Float32[np.ndarray, "T V"]:
    """What the game paid from each position on, discounted, as the network sees it."""
    return seen_by_movers(record, _returns(record, settings.discount, 0), settings.num_values)


def weights_of(record: GameRecord | TargetRecord, settings: TargetSettings) -> Float32[np.ndarray, " T"]:
    """How often each position is learned from, on average; 0 leaves it out.

    The lot decides, not the search that followed: positions of a decided game that were chosen count too, although
    their searches are fast ones. They count less, by `resign_weight`.
    """
    if isinstance(record, TargetRecord):
        return record.weight
    weights = sampling_weights(record.is_chosen, np.maximum(record.surprise, 0.0), settings.policy_surprise)
    if record.decided_at != UNDECIDED:
        weights[record.decided_at :] *= settings.resign_weight
    return np.where(record.learn, weights, 0.0).astype(np.float32)


def seen_by_movers(
    record: GameRecord, values: Float64[np.ndarray, "T P"], num_values: int = 1
) -> Float32[np.ndarray, "T V"]:
    """Values per player as the network sees them at each position: the first is that of the player to move."""
    return from_players(values, record.to_play, num_values).astype(np.float32)


def sampling_weights(
    is_chosen: Bool[np.ndarray, " T"], surprise: Float[np.ndarray, " T"], share: float
) -> Float[np.ndarray, " T"]:
    """Weights [T] of the positions of a game: 0 where `is_chosen` is false, 1 on average elsewhere.

    `share` of a weight goes by `surprise` [T] >= 0 (the divergence of the search's policy from the network's) against
    its mean, the rest is the same for all. Source: "policy surprise weighting" in KataGo's KataGoMethods.md.
    """
    weights = is_chosen.astype(np.float64)
    mean = surprise[is_chosen].mean() if is_chosen.any() else 0.0
    if share > 0 and mean > 0:
        weights *= (1.0 - share) + share * surprise / mean
    return weights


def rows_by_weight(weight: Float32[np.ndarray, " T"], action: Int32[np.ndarray, " T"]) -> Int64[np.ndarray, " K"]:
    """The positions of a game as they are sampled, int64 [K]: position t about `weight[t]` times, in order.

    Fractions are rounded at random (systematic resampling: K is the sum of the weights, rounded up or down). The random
    numbers come from the moves `action` of the game, so that a resumed run has the same rows.
    """
    if (weight == 1).all():
        return np.arange(len(weight))
    start = np.random.default_rng(action.astype(np.uint32)).random()
    steps = np.floor(np.cumsum(weight, dtype=np.float64) + start)
    return np.repeat(np.arange(len(weight)), np.diff(steps, prepend=0.0).astype(np.int64))


def rewards_of(record: GameRecord) -> Float64[np.ndarray, "T P"]:
    """The reward of each move as it is learned from: that of a judge comes with the last move."""
    if record.ending != Ending.JUDGED:
        return record.reward
    return np.concatenate([record.reward[:-1], record.reward[-1:] + record.judge_reward])


def _returns(record: GameRecord, discount: float, td_steps: int) -> np.ndarray:
    """`returns_of_game` of a record."""
    is_known = record.ending != Ending.CUT_OFF
    return returns_of_game(rewards_of(record), record.root_value, discount, td_steps, is_known)


def discounted_returns(
    rewards: Float[np.ndarray, "T P"], discount: float, bootstrap: Float[np.ndarray, " P"]
) -> Float[np.ndarray, "T P"]:
    """G_t = r_{t+1} + discount * G_{t+1} for every player, float64 [T, P]; `bootstrap` [P] stands at the end.

    `rewards[t]` is what the move at t (and the chance after it) paid.
    """
    returns = np.empty(rewards.shape)
    for player, (paid, following) in enumerate(zip(rewards.T.tolist(), bootstrap.tolist(), strict=True)):
        sums = []
        for reward in reversed(paid):  # of Python's numbers: short arrays would take ten times as long
            following = reward + discount * following
            sums.append(following)
        returns[:, player] = sums[::-1]
    return returns


def n_step_returns(
    rewards: Float[np.ndarray, "T P"],
    root_values: Float[np.ndarray, "T P"],
    discount: float,
    td_steps: int,
    bootstrap: Float[np.ndarray, " P"],
) -> Float[np.ndarray, "T P"]:
    """n-step returns that end in the root value of the search, [T, P] (MuZero, Schrittwieser et al. 2020, appendix G).

    `td_steps` 0 means all rewards to the end.
    """
    length = len(rewards)
    if td_steps == 0 or td_steps >= length:
        return discounted_returns(rewards, discount, bootstrap)
    ends = np.minimum(np.arange(length) + td_steps, length)
    returns = np.concatenate([root_values, bootstrap[None]])[ends]
    for step in reversed(range(td_steps)):  # of all positions that have so many moves before them
        returns[: length - step] = rewards[step:] + discount * returns[: length - step]
    return returns


def returns_of_game(
    rewards: Float[np.ndarray, "T P"],
    root_values: Float[np.ndarray, "T P"],
    discount: float,
    td_steps: int,
    is_terminal: bool,
) -> Float[np.ndarray, "T P"]:
    """`n_step_returns` of a whole game, [T, P].

    In a game that was cut off nobody knows where the last move led: its position is worth what its search expected.
    """
    if is_terminal:
        return n_step_returns(rewards, root_values, discount, td_steps, np.zeros(rewards.shape[1]))
    known = n_step_returns(rewards[:-1], root_values[:-1], discount, td_steps, root_values[-1])
    return np.concatenate([known, root_values[-1:]])
