"""Pictures of what a player does in a grid world, beside the best that can be done there.

In the flow: `selfplay evaluate --picture` draws one; `selfplay.reports.grid_worlds` knows how.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from games.environments.environment import Environment
from games.environments.grid_world import GridWorld
from selfplay.errors import UserError
from selfplay.players.player import Agent
from selfplay.reports.grid_worlds import bad_and_optimal, draw_panels, policy_panel

MOST_AT_ONCE = 64
"""Number of states in which the player is asked at once."""


def require_grid_world(environment: Environment) -> GridWorld:
    """The environment as a grid world. Raises UserError for another one."""
    if not isinstance(environment, GridWorld):
        raise UserError(f"--picture: only grid worlds are drawn, {environment.name} is none")
    return environment


def policy_in(world: GridWorld, agent: Agent) -> Float[np.ndarray, "S A"]:
    """The action that the player takes in each state, as probabilities of 0 and 1."""
    states = np.arange(world.num_states)
    actions = []
    for start in range(0, world.num_states, MOST_AT_ONCE):
        asked = states[start : start + MOST_AT_ONCE]
        batch = world.new_batch(len(asked), seed=0)
        batch.place(asked)
        actions.append(agent.act(batch))
    return np.eye(world.num_actions)[np.concatenate(actions)]


def draw_player(world: GridWorld, agent: Agent, discount: float) -> bytes:
    """The random policy, the optimal one and the player's, with their exact values, as a PNG.

    Raises GameError where a policy has no values, since it never ends and nothing is discounted.
    """
    player = policy_panel(agent.name, world.to_mdp(), policy_in(world, agent), discount)
    return draw_panels(world, [*bad_and_optimal(world, discount), player])
