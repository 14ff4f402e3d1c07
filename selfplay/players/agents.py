"""Agents from text: who acts in environments, as players do in games.

`run:RUN_DIR[@VERSION]` acts as the network of a run says, by its likeliest action, or by a draw with `temperature=1`;
`random` draws its actions. The players of a game that knows the environment's states, such as `cart_pole`, act there
with their search.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

import games
from games.environments.environment import Environment, EnvironmentBatch
from games.native.cart_pole import CartPolePool
from selfplay.algorithms.networks import environment_text, make_behaviour, make_environment_inference, net_sizes
from selfplay.errors import UserError
from selfplay.experience.behaviour import Sample
from selfplay.players.kinds import PlayerSpec, RunOptions
from selfplay.players.text import compose_player
from selfplay.players.trained import run_config, split_target
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder

MAX_BATCH = 64
"""Environments that an agent sees at once."""


class Agent(Protocol):
    """Acts in environments."""

    name: str
    """The text that makes this agent."""

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """Actions for the present observations of a batch, as its `step` takes them."""
        ...


class RandomAgent:
    """Every legal action is equally likely; real numbers are drawn uniformly between their bounds."""

    name = "random"

    def __init__(self, environment: Environment, seed: int) -> None:
        self._environment, self._rng = environment, np.random.default_rng(seed)

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`."""
        low, high = self._environment.action_low, self._environment.action_high
        if low is not None and high is not None:
            return self._rng.uniform(low, high, (batch.num_envs, len(low))).astype(np.float32)
        flat = np.zeros((batch.num_envs, self._environment.num_actions), np.float32)
        return Sample().act(flat, batch.legal_mask, self._rng)[0]


class NetworkAgent:
    """Acts as a policy network says."""

    def __init__(self, target: str, environment: Environment, is_greedy: bool, seed: int) -> None:
        """`target` is `RUN_DIR[@VERSION]`. Raises UserError where the run has no network for such an environment."""
        path, version = split_target(target)
        config = run_config(target)
        folder = RunFolder.open(path).checkpoints
        if version is None:
            version = max(checkpoint.versions(folder), default=None)
        weights, _ = checkpoint.load_weights(folder, version)
        self._inference = make_environment_inference(config, environment, config.actors, MAX_BATCH)
        try:
            self._inference.load(weights, version or 0)
        except ValueError:
            shape, outputs, _ = net_sizes(environment)
            raise UserError(
                f"{path} was trained on {environment_text(config)}; {environment.name} has another observation "
                f"({list(shape)}) or other actions ({outputs})"
            ) from None
        self.name = compose_player("run", f"{path}@{version}", "" if is_greedy else "temperature=1")
        self._behaviour, self._rng = make_behaviour(environment, is_greedy), np.random.default_rng(seed)

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`."""
        output, _ = self._inference.predict(batch.observation)
        return self._behaviour.act(output, batch.legal_mask, self._rng)[0]


class SearchAgent:
    """A player of `cart_pole` that searches from the states of Gymnasium's environment."""

    def __init__(self, spec: PlayerSpec, game_text: str, environment: Environment, seed: int) -> None:
        """Raises UserError where the game is another one."""
        game = games.load(game_text)
        pool = game.new_pool(MAX_BATCH)
        if not isinstance(pool, CartPolePool) or not environment.name.startswith("CartPole-v"):
            raise UserError(
                f"{spec.name}: searches the game {game.name}, whose positions {environment.name} does not have; "
                "measure it with `selfplay match`"
            )
        self._pool, self._player = pool, spec.make(game, seed)
        self.name = self._player.name

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`. The search does not know how many steps are left."""
        slots = np.arange(batch.num_envs)
        self._pool.place(slots, batch.observation.astype(np.float64), np.zeros(batch.num_envs, np.int64))
        return self._player.choose(self._pool, slots, [[]] * batch.num_envs)


def make_agent(spec: PlayerSpec, environment: Environment, seed: int) -> Agent:
    """The agent of a player's text. Raises UserError for players that cannot act in environments."""
    if spec.kind == "random":
        return RandomAgent(environment, seed)
    if spec.kind in ("mcts", "uniform"):
        return SearchAgent(spec, "cart_pole", environment, seed)
    if spec.kind in ("run", "net") and run_config(spec.target).algorithm == "alphazero":
        return SearchAgent(spec, run_config(spec.target).game, environment, seed)
    if spec.kind == "run":
        options: RunOptions = spec.options
        if options.temperature not in (0.0, 1.0):
            raise UserError(f"{spec.name}: in an environment temperature is 0 or 1, not {options.temperature:g}")
        return NetworkAgent(spec.target, environment, options.temperature == 0.0, seed)
    raise UserError(f"{spec.kind}: cannot act in {environment.name}; use run:RUN_DIR or random")
