"""Chance and uniformly random moves in the slots of a pool, with which games begin.

In the flow: `games.environments.game` and `selfplay.experience.self_play` begin games here,
`selfplay.evaluation.openings` draws the openings of matches from the same moves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from games.base import CHANCE, TERMINAL, StatePool, chance_rounds

Choose = Callable[[StatePool, np.ndarray, np.random.Generator], np.ndarray]
"""(pool, slots [n], rng) -> an action for each of `slots`, int64 [n]; a player is to move in all of them."""


def random_actions(pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random legal action for each of `slots` [n] (a player is to move), int64 [n]."""
    offsets, actions = pool.legal(slots)
    return actions[offsets[:-1] + rng.integers(np.diff(offsets))]


def begin_games(
    pool: StatePool,
    slots: np.ndarray,
    opening_plies: int,
    rng: np.random.Generator,
    choose: Choose = random_actions,
) -> list[list[int]]:
    """New games in `slots` [n], each after between 0 and `opening_plies` moves by `choose`, at a decision of a player.

    The number of moves is uniform and drawn for each game; chance that comes between them does not count. A game that
    they end, or that is cut off after them, begins again without any. Rewards of chance and of these moves are dropped.

    Returns the actions and chance outcomes of each slot so far, in order: `StatePool.step` from `StatePool.reset` plays
    them again.
    """
    played: dict[int, list[int]] = {}
    _reset(pool, slots, rng, played)
    if opening_plies > 0:
        left = rng.integers(0, opening_plies, size=len(slots), endpoint=True)
        ply = 0
        while (moving := slots[left > ply]).size:
            ply += 1
            _step(pool, moving, choose(pool, moving, rng), played)
            _play_chance(pool, moving, rng, played)
            ended = moving[(pool.to_play(moving) == TERMINAL) | pool.cut_off(moving)]
            if ended.size:
                _reset(pool, ended, rng, played)
                left[np.isin(slots, ended)] = 0
    return [played[slot] for slot in slots.tolist()]


def draw_outcomes(pool: StatePool, slots: np.ndarray, rngs: list[np.random.Generator]) -> np.ndarray:
    """A chance outcome for each of `slots` [n], drawn with the generator of its game in `rngs` [n], int64 [n]."""
    offsets, outcomes, probabilities = pool.chance(slots)
    rows = [slice(offsets[i], offsets[i + 1]) for i in range(len(slots))]
    drawn = [outcomes[row][draw(probabilities[row], rng)] for row, rng in zip(rows, rngs)]
    return np.array(drawn, dtype=np.int64)


def draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """An index drawn in proportion to `weights` (not all zero)."""
    cumulative = np.cumsum(weights)
    return int(min(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"), len(weights) - 1))


def _reset(pool: StatePool, slots: np.ndarray, rng: np.random.Generator, played: dict[int, list[int]]) -> None:
    pool.reset(slots)
    played.update((slot, []) for slot in slots.tolist())
    _play_chance(pool, slots, rng, played)


def _play_chance(pool: StatePool, slots: np.ndarray, rng: np.random.Generator, played: dict[int, list[int]]) -> None:
    """Play chance in `slots` until a player moves or the game is over."""
    events = chance_rounds(pool.game)
    while (waiting := slots[pool.to_play(slots) == CHANCE]).size:
        next(events)
        _step(pool, waiting, draw_outcomes(pool, waiting, [rng] * len(waiting)), played)


def _step(pool: StatePool, slots: np.ndarray, moves: np.ndarray, played: dict[int, list[int]]) -> None:
    """Play an action or outcome in each of `slots`, and note it in `played`, by slot."""
    pool.step(slots, moves, slots)
    for slot, move in zip(slots.tolist(), moves.tolist()):
        played[slot].append(move)
