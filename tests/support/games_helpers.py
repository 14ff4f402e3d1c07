"""Playing random games through pools, for the tests of games."""

from __future__ import annotations

import numpy as np

import games
from games import registry


def slots(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def rows(offsets: np.ndarray, flat: np.ndarray) -> list[list]:
    """Compressed rows as lists (copies: the pool may reuse its arrays)."""
    return [flat[offsets[i] : offsets[i + 1]].tolist() for i in range(len(offsets) - 1)]


def observations(pool: games.StatePool, where: np.ndarray) -> np.ndarray:
    out = np.full((len(where), *pool.game.observation_shape), np.nan, dtype=np.float32)
    pool.observe(where, out)
    return out


def random_actions(pool: games.StatePool, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random legal action, or a random chance outcome, for each position; none of them may be finished."""
    chosen = np.empty(len(where), dtype=np.int64)
    for i, to_play in enumerate(pool.to_play(where).tolist()):
        place = where[i : i + 1]
        if to_play == games.CHANCE:
            _, outcomes, probabilities = pool.chance(place)
            chosen[i] = rng.choice(outcomes, p=probabilities / probabilities.sum())
        else:
            chosen[i] = rng.choice(pool.legal(place)[1])
    return chosen


def live(pool: games.StatePool, where: np.ndarray) -> np.ndarray:
    return where[pool.to_play(where) != games.TERMINAL]


def play_to_decision(pool: games.StatePool, slot: int, plies: int, rng: np.random.Generator) -> None:
    """Reset the slot and play random moves until at least `plies` were made and a player is to move.

    A game that ends earlier starts again with fewer plies asked for.
    """
    place, made = slots(slot), 0
    pool.reset(place)
    while made < plies or pool.to_play(place)[0] < 0:
        if pool.to_play(place)[0] == games.TERMINAL:
            pool.reset(place)
            plies, made = plies // 2, 0
            continue
        pool.step(place, random_actions(pool, place, rng), place)
        made += 1


def count_paths(game: games.Game, depth: int) -> list[int]:
    """Number of move paths by ply 1..depth from the initial position, through one pool per ply."""
    pool, where = game.new_pool(1), slots(0)
    pool.reset(where)
    counts = []
    for ply in range(1, depth + 1):
        offsets, actions = pool.legal(where)
        counts.append(len(actions))
        if ply == depth:
            break
        children = game.new_pool(len(actions))
        where, parents = np.arange(len(actions)), np.repeat(where, np.diff(offsets))
        actions = actions.copy()
        children.load(where, pool, parents)
        children.step(where, actions, where)
        pool = children
    return counts


def shipped_names() -> list[str]:
    """The supported games of the project and of OpenSpiel, without those that tests register."""
    own = {name for name, factory in registry._factories.items() if not factory.__module__.startswith("games.")}
    return [info.name for info in games.names() if info.supported and info.name not in own]
