"""Grid worlds: an environment whose exact values are known.

`GridWorld` makes the outcomes of every action from a map, once. `to_mdp` sums them up for the solvers of
`games.environments.mdp`, and batches draw from them, so that the process that is solved and the one that is played
cannot differ.

Observations are one-hot: a linear network without bias is a table of action values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from games.environments.actions import checked_choices
from games.environments.environment import Environment, EnvironmentBatch, Step
from games.environments.grid_map import CLIFF, FLOOR, GOAL, MOVES, PIT, RULES, START, WALL, GridMap, load_map
from games.environments.mdp import Outcomes, TabularMdp
from games.parameters import canonical, typed

ACTIONS = ("up", "right", "down", "left")

UP, RIGHT, DOWN, LEFT = range(4)

DEFAULT_MAP = "russell_norvig"

NAME = "grid_world"

CELL_PIXELS = 24

COLOURS = {
    WALL: (74, 78, 85),
    FLOOR: (240, 240, 240),
    START: (210, 225, 235),
    GOAL: (120, 190, 120),
    PIT: (200, 90, 80),
    CLIFF: (225, 160, 150),
}

AGENT_COLOUR = (42, 111, 151)


class GridWorld(Environment):
    """The world of a map. States are the cells to stand on, row by row; walls and cliffs are none."""

    observation_dtype = np.dtype(np.float32)
    num_actions = len(ACTIONS)

    def __init__(self, grid: GridMap, name: str = "") -> None:
        """`name` is what `load_environment` makes the world from; it is made from the map's where it is empty."""
        self.grid = grid
        self.name = name or canonical(NAME, {"map": grid.name})
        self.cells: Int[np.ndarray, "S 2"] = grid.cells(FLOOR + START + GOAL + PIT)
        """Row and column of each state."""
        kinds = np.array([grid.at(i, j) for i, j in self.cells.tolist()])
        self.terminal = np.isin(kinds, [GOAL, PIT])
        self.starts: Int[np.ndarray, " n"] = np.flatnonzero(kinds == START)
        """The states that episodes begin in, each with the same probability."""
        self.observation_shape = (len(self.cells),)
        self.step_limit = grid.max_steps
        self.outcomes = self._outcomes()

    @property
    def num_states(self) -> int:
        """Number of states, S."""
        return len(self.cells)

    def to_mdp(self) -> TabularMdp:
        """The process for the solvers of `games.environments.mdp`, without the limit of steps: 4 S^2 numbers."""
        start = np.zeros(self.num_states)
        start[self.starts] = 1.0 / len(self.starts)
        return self.outcomes.to_mdp(start, self.terminal)

    def on_grid(self, values: Float[np.ndarray, " S"]) -> Float[np.ndarray, "H W"]:
        """Values of states where they belong on the map, NaN elsewhere; float64."""
        grid = np.full((len(self.grid.rows), len(self.grid.rows[0])), np.nan)
        grid[*self.cells.T] = values
        return grid

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> GridWorldBatch:
        """`num_envs` copies; `threads` is not needed."""
        return GridWorldBatch(self, num_envs, seed)

    def _outcomes(self) -> Outcomes:
        """[S, 4, 4]: outcome k of an action is that one moves in direction k, as `ACTIONS` counts them."""
        grid = self.grid
        index = {(i, j): state for state, (i, j) in enumerate(self.cells.tolist())}
        next_states = np.zeros((self.num_states, len(MOVES)), np.int64)
        rewards = np.zeros((self.num_states, len(MOVES)))
        cell_rewards = {GOAL: grid.goal_reward, PIT: grid.pit_reward, CLIFF: grid.cliff_reward}
        for (i, j), state in index.items():
            for direction, (down, right) in enumerate(MOVES):
                cell = (i + down, j + right)
                entered = WALL if self.terminal[state] else grid.at(*cell)
                next_states[state, direction] = (
                    state if entered == WALL else int(self.starts[0]) if entered == CLIFF else index[cell]
                )
                rewards[state, direction] = (
                    0.0 if self.terminal[state] else grid.step_reward + cell_rewards.get(entered, 0.0)
                )
        shape = (self.num_states, len(ACTIONS), len(MOVES))
        return Outcomes(
            np.broadcast_to(self._directions(), shape),
            np.broadcast_to(next_states[:, None], shape),
            np.broadcast_to(rewards[:, None], shape),
        )

    def _directions(self) -> Float[np.ndarray, "4 4"]:
        """The probability of moving in a direction (second axis) after an action (first)."""
        slip, back = self.grid.slip, self.grid.slip_back
        clockwise = np.array([max(0.0, 1.0 - slip - back), slip / 2, back, slip / 2])  # 1 - 0.8 - 0.2 is below 0
        return np.array([np.roll(clockwise, action) for action in range(len(ACTIONS))])


class GridWorldBatch(EnvironmentBatch):
    """N copies of a grid world."""

    def __init__(self, environment: GridWorld, num_envs: int, seed: int) -> None:
        self.environment: GridWorld = environment
        self.num_envs = num_envs
        self._rng = np.random.default_rng(seed)
        self._eye = np.eye(environment.num_states, dtype=np.float32)
        # Cumulative probabilities end in exactly 1, which no number drawn from [0, 1) reaches.
        self._cumulative = np.cumsum(environment.outcomes.probabilities, axis=2)
        self._cumulative /= self._cumulative[:, :, -1:]
        self._state = self._first_states(num_envs)  # [N] int64
        self._steps = np.zeros(num_envs, np.int64)
        self.observation = self._eye[self._state]

    @property
    def state(self) -> Int[np.ndarray, " N"]:
        """The states that the copies are in, int64."""
        return self._state.copy()

    def place(self, states: Int[np.ndarray, " N"]) -> None:
        """Put every copy into a state, as if its episode began there."""
        self._state = np.array(states, np.int64)
        self._steps = np.zeros(self.num_envs, np.int64)
        self.observation = self._eye[self._state]

    def step(self, actions: np.ndarray) -> Step:
        """One step of every copy; see `Step`. Raises GameError for an action that does not exist."""
        actions = checked_choices(self.environment, self.num_envs, actions)
        outcomes = self.environment.outcomes
        drawn = self._rng.random(self.num_envs)[:, None] < self._cumulative[self._state, actions]
        outcome = np.argmax(drawn, axis=1)  # the first one that is true
        reward = outcomes.rewards[self._state, actions, outcome].astype(np.float32)
        self._state = outcomes.next_states[self._state, actions, outcome]
        self._steps += 1
        terminated = self.environment.terminal[self._state]
        ended = terminated | (self._steps >= self.environment.grid.max_steps)
        final_observation = None
        if ended.any():
            final_observation = self._eye[self._state]
            self._state[ended] = self._first_states(int(ended.sum()))
            self._steps[ended] = 0
        self.observation = self._eye[self._state]
        discount = np.where(terminated, 0.0, 1.0).astype(np.float32)
        return Step(self.observation, reward, discount, ended, final_observation)

    def frame(self) -> np.ndarray:
        """The map with the first copy on it, uint8 [H, W, 3], `CELL_PIXELS` pixels a cell."""
        rows = self.environment.grid.rows
        picture = np.array([[COLOURS[cell] for cell in row] for row in rows], np.uint8)
        picture = picture.repeat(CELL_PIXELS, axis=0).repeat(CELL_PIXELS, axis=1)
        corner = self.environment.cells[self._state[0]] * CELL_PIXELS
        y, x = (slice(start + CELL_PIXELS // 4, start + CELL_PIXELS * 3 // 4) for start in corner)
        picture[y, x] = AGENT_COLOUR
        return picture

    def _first_states(self, count: int) -> Int[np.ndarray, " n"]:
        return self._rng.choice(self.environment.starts, count)


def load_grid_world(parameters: Mapping[str, str]) -> GridWorld:
    """The world of `grid_world(map=cliff,slip=0.1)`, from its parameters as text.

    They are `map` and the rules of `games.environments.grid_map`. A rule that is not given is the map's. Raises
    GameError with one line for a person.
    """
    given = typed(NAME, parameters, {"map": DEFAULT_MAP, **RULES})
    grid = load_map(str(given.pop("map", DEFAULT_MAP)))
    changed = {key: value for key, value in given.items() if value != getattr(grid, key)}
    return GridWorld(
        replace(grid, **changed),  # type: ignore[arg-type]
        canonical(NAME, {"map": grid.name, **changed}),
    )
