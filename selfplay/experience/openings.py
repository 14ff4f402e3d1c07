"""Random starts: episodes that begin after random moves, and positions of random games.

In the flow: training without search plays environments from `with_openings`; int8 inference takes its scales from
`random_observations`. The openings of matches are in `selfplay.evaluation.openings`.
"""

from __future__ import annotations

import numpy as np

from games import CHANCE, Environment, Game
from games.base import chance_rounds
from games.environments.game import GameEnvironment
from games.random_play import draw_outcomes, random_actions
from selfplay.errors import UserError

SAMPLED_GAMES, SAMPLED_PLIES = 16, 200
"""Number of games that `random_observations` plays, and of moves after which each is left."""


def with_openings(environment: Environment, plies: int) -> Environment:
    """The same environment, whose episodes begin after between 0 and `plies` random moves: for training without search.

    Raises UserError for more than 0 plies where the environment is no game.
    """
    if plies == 0:
        return environment
    if not isinstance(environment, GameEnvironment):
        raise UserError(f"actors.opening_plies: {environment.name} is no game, it begins episodes itself; use 0")
    return GameEnvironment(environment.game, environment.max_plies, plies)


def random_observations(game: Game, count: int, rng: np.random.Generator) -> np.ndarray:
    """Observations from random games, of all their phases: float32 [n, *observation_shape], n at most `count`."""
    pool, slots = game.new_pool(SAMPLED_GAMES), np.arange(SAMPLED_GAMES)
    pool.reset(slots)
    pool.unsound = {}  # a game that says what none may say is left out; self-play speaks of it
    seen = [np.zeros((0, *game.observation_shape), np.float32)]
    for _ in range(SAMPLED_PLIES):
        to_play = pool.to_play(slots)
        events = chance_rounds(game)
        while (at_chance := slots[to_play == CHANCE]).size:
            next(events)
            pool.step(at_chance, draw_outcomes(pool, at_chance, [rng] * len(at_chance)), at_chance)
            to_play = pool.to_play(slots)
        slots = slots[(to_play >= 0) & ~pool.cut_off(slots)]
        if not slots.size:
            break
        observations = np.empty((len(slots), *game.observation_shape), np.float32)
        pool.observe(slots, observations)
        sound = np.array([slot not in pool.unsound for slot in slots.tolist()])
        seen.append(observations[sound])
        slots = slots[sound]
        pool.step(slots, random_actions(pool, slots, rng), slots)
    pool.close()
    everything = np.concatenate(seen)
    if not len(everything):
        return np.zeros((1, *game.observation_shape), np.float32)
    return everything[np.linspace(0, len(everything) - 1, min(count, len(everything))).astype(int)]
