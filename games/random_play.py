"""Chance and uniformly random moves in the slots of a pool: what begins a game, for whoever plays it after that.

In the flow: `games.environments.game` and `selfplay.experience.self_play` begin games here,
`selfplay.evaluation.openings` draws the openings of matches from the same moves.
"""

from __future__ import annotations

import numpy as np

from games.base import CHANCE, TERMINAL, StatePool, chance_rounds


def begin_games(pool: StatePool, slots: np.ndarray, opening_plies: int, rng: np.random.Generator) -> None:
    """New games in `slots` [n], each after between 0 and `opening_plies` random moves, at a decision of a player.

    The number of moves is uniform and drawn for each game; chance that comes between them does not count. A game that
    they end begins again without any. What chance and the moves pay is nobody's.
    """
    _reset(pool, slots, rng)
    if opening_plies == 0:
        return
    left = rng.integers(0, opening_plies, size=len(slots), endpoint=True)
    for ply in range(int(left.max())):
        moving = slots[left > ply]
        pool.step(moving, random_actions(pool, moving, rng), moving)
        _play_chance(pool, moving, rng)
        ended = moving[pool.to_play(moving) == TERMINAL]
        if ended.size:
            _reset(pool, ended, rng)
            left[np.isin(slots, ended)] = 0


def random_actions(pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random legal action for each of `slots` [n] (a player is to move), int64 [n]."""
    offsets, actions = pool.legal(slots)
    return actions[offsets[:-1] + rng.integers(np.diff(offsets))]


def draw_outcomes(pool: StatePool, slots: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
    """Nature's move for each of `slots` [n], drawn with the random numbers of its game, int64 [n]."""
    offsets, outcomes, probabilities = pool.chance(slots)
    rows = [slice(offsets[i], offsets[i + 1]) for i in range(len(slots))]
    drawn = [outcomes[row][draw(probabilities[row], rng)] for row, rng in zip(rows, rngs)]
    return np.array(drawn, dtype=np.int64)


def draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """An index drawn in proportion to `weights` (not all zero)."""
    cumulative = np.cumsum(weights)
    return int(min(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"), len(weights) - 1))


def _reset(pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> None:
    pool.reset(slots)
    _play_chance(pool, slots, rng)


def _play_chance(pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> None:
    """Play chance in `slots` until a player moves or the game is over."""
    events = chance_rounds(pool.game)
    while (waiting := slots[pool.to_play(slots) == CHANCE]).size:
        next(events)
        pool.step(waiting, draw_outcomes(pool, waiting, [rng] * len(waiting)), waiting)
