"""Agents: who acts in environments, as players do in games. `PlayerSpec.make_agent` makes them from a player's text.

`run:RUN_DIR[@VERSION]` acts as the network of a run says, by its likeliest action, or by a draw with `temperature=1`;
`net` always by its likeliest action; `random` draws its actions. The players of a game that knows the environment's
states, such as `cart_pole`, act there as they play, with their search.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import games
from games import Game
from games.environments.environment import Environment, EnvironmentBatch
from games.observed import ObservedPositions
from selfplay.errors import UserError
from selfplay.experience.behaviour import Sample
from selfplay.players.options import RunOptions
from selfplay.players.player import Agent, Player
from selfplay.players.text import PlayerSpec, compose_player
from selfplay.players.trained import (
    learns_by_search,
    leave_idle,
    make_net_player,
    make_run_player,
    read_weights,
    run_config,
    take_idle,
)

MAX_BATCH = 64
"""Largest number of environments that an agent acts in at once."""


def make_random_agent(spec: PlayerSpec, environment: Environment, seed: int) -> Agent:
    """`PlayerKind.make_agent` of random moves."""
    return RandomAgent(environment, seed)


def make_cart_pole_agent(spec: PlayerSpec, environment: Environment, seed: int) -> Agent:
    """`PlayerKind.make_agent` of a search that plays any game: it acts where the game `cart_pole` knows the states."""
    return PlayerAgent(spec, "cart_pole", environment, seed)


def make_run_agent(spec: PlayerSpec, environment: Environment, seed: int) -> Agent:
    """`PlayerKind.make_agent` of a run: its network alone, or its player where it learns by search."""
    options: RunOptions = spec.options
    config = run_config(spec.target)
    if learns_by_search(config):
        if config.environment:
            return PlanningAgent(spec, make_run_player, environment, seed)
        return PlayerAgent(spec, config.game, environment, seed)
    if options.temperature not in (0.0, 1.0):
        raise UserError(f"{spec.name}: in an environment temperature is 0 or 1, not {options.temperature:g}")
    return NetworkAgent(spec.target, environment, options.temperature == 0.0, seed)


def make_net_agent(spec: PlayerSpec, environment: Environment, seed: int) -> Agent:
    """`PlayerKind.make_agent` of the network of a run, whatever it learned by."""
    config = run_config(spec.target)
    if learns_by_search(config):
        if config.environment:
            return PlanningAgent(spec, make_net_player, environment, seed)
        return PlayerAgent(spec, config.game, environment, seed)
    return NetworkAgent(spec.target, environment, is_greedy=True, seed=seed)


class RandomAgent(Agent):
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


class NetworkAgent(Agent):
    """Acts as a policy network says."""

    def __init__(self, target: str, environment: Environment, is_greedy: bool, seed: int) -> None:
        """`target` is `RUN_DIR[@VERSION]`. Raises UserError where the run has no network for such an environment."""
        from selfplay.algorithms.networks import environment_text, make_behaviour, make_environment_inference, net_sizes

        config, weights = run_config(target), read_weights(target)
        self._key = ("agent", config.net, config.actors, config.environment, config.game, environment.name)
        self._inference = take_idle(
            self._key, lambda: make_environment_inference(config, environment, config.actors, MAX_BATCH)
        )
        self._is_closed = False
        try:
            self._inference.load(weights.tensors, weights.version)
        except ValueError:
            shape, outputs, _ = net_sizes(environment)
            raise UserError(
                f"{weights.path} was trained on {environment_text(config)}; {environment.name} has another observation "
                f"({list(shape)}) or other actions ({outputs})"
            ) from None
        self.name = compose_player("run", weights.target, "" if is_greedy else "temperature=1")
        self._behaviour, self._rng = make_behaviour(environment, is_greedy), np.random.default_rng(seed)

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`."""
        output, _ = self._inference.predict(batch.observation)
        return self._behaviour.act(output, batch.legal_mask, self._rng)[0]

    def close(self) -> None:
        """See `Agent.close`."""
        if not self._is_closed:
            self._is_closed = True
            leave_idle(self._key, self._inference)


class PlanningAgent(Agent):
    """A player with a learned model, which needs no more of an environment than agents see: what it observes."""

    def __init__(
        self,
        spec: PlayerSpec,
        make_player: Callable[[PlayerSpec, Game | None, int], Player],
        environment: Environment,
        seed: int,
    ) -> None:
        """`make_player` makes a player of a run for its own game. Raises UserError where the environment is another."""
        from selfplay.algorithms.registry import searcher

        config = run_config(spec.target)
        game = searcher(config).game
        own, theirs = game.num_actions, environment.num_actions
        if game.action_low is not None and environment.action_low is not None:
            own, theirs = len(game.action_low), len(environment.action_low)
        is_other_kind = environment.is_continuous != (game.action_low is not None)
        if is_other_kind or (environment.observation_shape, theirs) != (game.observation_shape, own):
            kind = f"{len(environment.action_low)} real numbers" if environment.action_low is not None else f"{theirs}"
            raise UserError(
                f"{spec.target} was trained on {config.environment}; {environment.name} has another observation "
                f"({list(environment.observation_shape)}) or other actions ({kind})"
            )
        self._game, self._player = game, make_player(spec, None, seed)
        self.name = self._player.name

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`."""
        slots, seen = np.arange(batch.num_envs), ObservedPositions(self._game, batch.observation, batch.legal_mask)
        return seen.played(self._player.choose(seen, slots, [[]] * batch.num_envs))

    def close(self) -> None:
        """See `Agent.close`."""
        self._player.close()


class PlayerAgent(Agent):
    """A player of `cart_pole` that plays from the states of Gymnasium's environment."""

    def __init__(self, spec: PlayerSpec, game_text: str, environment: Environment, seed: int) -> None:
        """Raises UserError where the game is another one."""
        from games.native.cart_pole import CartPolePool

        game = games.load(game_text)
        pool = game.new_pool(MAX_BATCH)
        if not isinstance(pool, CartPolePool) or not environment.name.startswith("CartPole-v"):
            raise UserError(
                f"{spec.name}: searches the game {game.name}, whose positions {environment.name} does not have; "
                "measure it with `selfplay match`"
            )
        self._pool, self._player = pool, spec.make_player(game, seed)
        self.name = self._player.name

    def act(self, batch: EnvironmentBatch) -> np.ndarray:
        """See `Agent.act`. The player does not know how many steps are left."""
        slots = np.arange(batch.num_envs)
        self._pool.place(slots, batch.observation.astype(np.float64), np.zeros(batch.num_envs, np.int64))
        return self._player.choose(self._pool, slots, [[]] * batch.num_envs)
