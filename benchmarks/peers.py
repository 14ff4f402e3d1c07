"""Other people's AlphaZero on Connect Four, measured beside ours in the same run. Needs packages that we do not.

    pip install jax flax optax chex orbax-checkpoint mctx pgx

Each function runs in a process of its own under `selfplay.system.together.run_together` and returns simulations/s.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

OPENSPIEL_NEEDS = ("jax", "flax", "optax", "chex", "orbax")
MCTX_NEEDS = ("jax", "flax", "mctx", "pgx")
PACKAGES = ("jax", "flax", "mctx", "pgx")
"""Whose versions belong into a report."""

OPENSPIEL_APIS = ("nnx", "linen")
"""OpenSpiel has its network in two versions; the first is its default."""


def missing(needs: tuple[str, ...]) -> list[str]:
    """Which packages are not installed."""
    return [name for name in needs if importlib.util.find_spec(name) is None]


def openspiel_alphazero(
    ready: Callable[[], object], api: str, channels: int, blocks: int, num_simulations: int, seconds: float
) -> float:
    """An actor of OpenSpiel's Python AlphaZero: its search, its evaluator with cache, its network, one game at a time.

    The settings are those of its Connect Four example; moves are drawn by visits. Only searching is done in the loop,
    no trajectory is kept and nobody learns.
    """
    import numpy as np
    import pyspiel
    from open_spiel.python.algorithms import mcts
    from open_spiel.python.algorithms.alpha_zero import evaluator, utils

    game = pyspiel.load_game("connect_four")
    model = utils.api_selector(api).Model.build_model(
        "resnet", game.observation_tensor_shape(), game.num_distinct_actions(), channels, blocks, 1e-4, 1e-3, path=None
    )
    bot = mcts.MCTSBot(
        game,
        uct_c=2,
        max_simulations=num_simulations,
        evaluator=evaluator.AlphaZeroEvaluator(game, model),
        solve=False,
        dirichlet_noise=(0.25, 1),
        child_selection_fn=mcts.SearchNode.puct_value,
        dont_return_chance_node=True,
    )
    rng = np.random.default_rng()
    state = game.new_initial_state()
    model.inference(np.asarray(state.observation_tensor()), np.asarray(state.legal_actions_mask()))  # compiles
    ready()
    simulations, start = 0, time.perf_counter()
    while simulations == 0 or time.perf_counter() - start < seconds:
        root = bot.mcts_search(state)
        simulations += num_simulations
        visits = np.array([child.explore_count for child in root.children])
        state.apply_action(root.children[rng.choice(len(visits), p=visits / visits.sum())].action)
        if state.is_terminal():
            state = game.new_initial_state()
    return simulations / (time.perf_counter() - start)


def mctx_pgx(
    ready: Callable[[], object],
    rule: str,
    channels: int,
    blocks: int,
    num_simulations: int,
    num_games: int,
    seconds: float,
) -> float:
    """mctx over pgx's Connect Four with a network of the same size, all games and all cores in one process.

    Search, rules and network are one jitted function. Games that end are replaced, as in self-play.
    """
    import jax
    import mctx
    import pgx
    from pgx.experimental import auto_reset

    env = pgx.make("connect_four")
    step, step_or_reset = jax.vmap(env.step), jax.vmap(auto_reset(env.step, env.init))
    net = _flax_net(channels, blocks, env.num_actions)
    policy = mctx.gumbel_muzero_policy if rule == "gumbel" else mctx.muzero_policy

    def evaluate(params: Any, state: Any) -> tuple[Any, Any]:
        logits, value = net.apply(params, state.observation)
        return jax.numpy.where(state.legal_action_mask, logits, jax.numpy.finfo(logits.dtype).min), value

    def recurrent(params: Any, key: Any, action: Any, state: Any) -> tuple[Any, Any]:
        player = state.current_player
        state = step(state, action)
        logits, value = evaluate(params, state)
        reward = jax.numpy.take_along_axis(state.rewards, player[:, None], axis=1)[:, 0]
        discount = jax.numpy.where(state.terminated, 0.0, -1.0)
        value = jax.numpy.where(state.terminated, 0.0, value)
        return mctx.RecurrentFnOutput(reward=reward, discount=discount, prior_logits=logits, value=value), state

    @jax.jit
    def move(params: Any, key: Any, state: Any) -> Any:
        search_key, step_key = jax.random.split(key)
        logits, value = evaluate(params, state)
        root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state)
        illegal = ~state.legal_action_mask
        action = policy(params, search_key, root, recurrent, num_simulations, invalid_actions=illegal).action
        return step_or_reset(state, action, jax.random.split(step_key, num_games))

    key = jax.random.key(0)
    state = jax.vmap(env.init)(jax.random.split(key, num_games))
    params = net.init(key, state.observation)
    compiled = move.lower(params, key, state).compile()
    ready()
    simulations, start = 0, time.perf_counter()
    while simulations == 0 or time.perf_counter() - start < seconds:
        key, move_key = jax.random.split(key)
        state = jax.block_until_ready(compiled(params, move_key, state))
        simulations += num_games * num_simulations
    return simulations / (time.perf_counter() - start)


def _flax_net(channels: int, blocks: int, num_actions: int) -> Any:
    """A residual network with the heads of ours (`nets.models`), for evaluation only."""
    import flax.linen as nn
    import jax.numpy as jnp

    class Net(nn.Module):
        @nn.compact
        def __call__(self, observation: Any) -> tuple[Any, Any]:
            def convolve(x: Any, width: int, size: int) -> Any:
                x = nn.Conv(width, (size, size), use_bias=False)(x)
                return nn.BatchNorm(use_running_average=True)(x)

            def flat(x: Any) -> Any:
                return nn.relu(x).reshape(len(x), -1)

            x = nn.relu(convolve(observation.astype(jnp.float32), channels, 3))
            for _ in range(blocks):
                x = nn.relu(x + convolve(nn.relu(convolve(x, channels, 3)), channels, 3))
            policy_logits = nn.Dense(num_actions)(flat(convolve(x, 32, 1)))
            value = nn.Dense(1)(nn.relu(nn.Dense(64)(flat(convolve(x, 32, 1)))))
            return policy_logits, jnp.tanh(value)[:, 0]

    return Net()
