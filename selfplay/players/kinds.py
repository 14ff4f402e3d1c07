"""The players that come with the project, from text: `parse_player("mcts:simulations=1000", game)`.

Every command that takes a PLAYER reads it here. `random`; `mcts`, the usual honest baseline: UCT (Kocsis and
Szepesvari 2006) with random games at the leaves, a new tree every move, no knowledge, and no proven values unless
`solve=true` asks for them; `uniform`, search that knows only how games end; `run`, a trained network with search;
`net`, the network alone; `solver`, which knows the value of every move in small games; `human`; `gtp` and `uci`,
other programs that speak these protocols (docs/engines.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from games import Game, StatePool
from games.random_play import random_actions
from search import SearchConfig
from selfplay.algorithms.models import rollout_models, uniform_models
from selfplay.config.schema import setting
from selfplay.engines.options import GtpOptions, UciOptions
from selfplay.errors import UserError
from selfplay.players.player import Player
from selfplay.players.search import MAX_TREES, SearchPlayer
from selfplay.players.text import PlayerSpec, parse_player, read_player, register_player

if TYPE_CHECKING:
    from selfplay.config.run import Config

__all__ = ["Player", "PlayerSpec", "RandomPlayer", "parse_player", "read_player", "register_player"]

MAX_SIMULATIONS = 1_000_000
"""Largest number of simulations a move: a tree of that size takes a few hundred megabytes."""

RUN_DIR = "RUN_DIR[@VERSION]"


def _simulations_option(default: int | None) -> Any:
    return setting(default, "simulations a move", 1, MAX_SIMULATIONS)


def _seed_option() -> Any:
    return setting(None, "seed of its own random numbers", 0, 2**63 - 1)


@dataclass(frozen=True)
class RandomOptions:
    """Options of `random`."""

    seed: int | None = _seed_option()


@dataclass(frozen=True)
class MctsOptions:
    """Options of `mcts`."""

    simulations: int = _simulations_option(1000)
    c: float = setting(SearchConfig().c_uct, "UCT exploration constant", 0, 100)
    rollouts: int = setting(1, "random games from each leaf", 1, 10_000)
    solve: bool = setting(False, "propagate proven wins and losses (MCTS-Solver, Winands et al. 2008)")
    seed: int | None = _seed_option()


@dataclass(frozen=True)
class UniformOptions:
    """Options of `uniform`."""

    simulations: int = _simulations_option(1000)
    c: float = setting(SearchConfig().pb_c_init, "PUCT exploration constant", 0, 100)
    solve: bool = setting(False, "propagate proven wins and losses (MCTS-Solver, Winands et al. 2008)")
    seed: int | None = _seed_option()


@dataclass(frozen=True)
class SolverOptions:
    """Options of `solver`."""

    seed: int | None = _seed_option()


@dataclass(frozen=True)
class RunOptions:
    """Options of `run`. What is not given comes from the run's config.yaml."""

    simulations: int | None = _simulations_option(None)
    rule: str | None = setting(None, "how the search chooses", choices=("puct", "gumbel", "uct"))
    symmetries: bool | None = setting(None, "average the network over the game's symmetries")
    temperature: float = setting(0.0, "0 plays the best move, above it moves are drawn", 0, 100)
    batch: int = setting(MAX_TREES, "positions searched at once", 1, 65536)
    seed: int | None = _seed_option()


class RandomPlayer:
    """Every legal move is equally likely."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng(seed)

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """See `Player.choose`."""
        return random_actions(pool, slots, self._rng)

    def close(self) -> None:
        """Nothing to free."""


def _make_random(spec: PlayerSpec, game: Game, seed: int) -> Player:
    return RandomPlayer(spec.name, seed)


def _make_mcts(spec: PlayerSpec, game: Game, seed: int) -> Player:
    options: MctsOptions = spec.options
    config = SearchConfig(rule="uct", num_simulations=options.simulations, c_uct=options.c, proven_values=options.solve)
    trees_seed, rollouts_seed = np.random.SeedSequence(seed).generate_state(2)
    models = rollout_models(game, np.random.default_rng(rollouts_seed), options.rollouts)
    return SearchPlayer(spec.name, models, config, int(trees_seed))


def _make_uniform(spec: PlayerSpec, game: Game, seed: int) -> Player:
    options: UniformOptions = spec.options
    config = SearchConfig(
        rule="puct", num_simulations=options.simulations, pb_c_init=options.c, proven_values=options.solve
    )
    return SearchPlayer(spec.name, uniform_models(game), config, seed)


def _run_search(options: RunOptions, settings: Config) -> SearchConfig:
    """How a player of a run searches: what is not given is as the run's settings say."""
    return dataclasses.replace(
        settings.search,
        rule=options.rule or settings.search.rule,
        num_simulations=options.simulations or settings.evaluation.num_simulations,
        subtree_reuse=False,  # positions come in any order
        forced_playouts=0.0,  # they belong to the noise of self-play
    )


def _identify_run(spec: PlayerSpec) -> str:
    """By weights and search; noise, memory and how many are searched at once do not change what is played."""
    from selfplay.players.trained import run_config, weights_digest

    options: RunOptions = spec.options
    settings = run_config(spec.target)
    usual = SearchConfig()
    unseen = {name: getattr(usual, name) for name in ("dirichlet_alpha", "dirichlet_fraction", "cache_megabytes")}
    search = dataclasses.replace(_run_search(options, settings), **unseen)
    symmetries = settings.evaluation.symmetries if options.symmetries is None else options.symmetries
    given = {"symmetries": symmetries, "temperature": options.temperature, "seed": options.seed}
    shown = [f"num_simulations={search.num_simulations}"]
    shown += [
        f"{name}={value}"
        for name, value in dataclasses.asdict(search).items()
        if name != "num_simulations" and value != getattr(usual, name)
    ]
    shown += [f"{name}={value}" for name, value in given.items() if value or value == 0 and name == "seed"]
    return f"{spec.kind}:{weights_digest(spec.target)}:{','.join(shown)}"


def _identify_net(spec: PlayerSpec) -> str:
    from selfplay.players.trained import weights_digest

    return f"{spec.kind}:{weights_digest(spec.target)}"


def _make_run(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.trained import TrainedNetwork

    options: RunOptions = spec.options
    network = TrainedNetwork(spec.target, game, options.batch, options.symmetries)
    settings = network.config
    if settings.algorithm == "dqn":
        network.close()
        raise UserError(f"{spec.target}: dqn has learned what moves are worth, no policy for a search; use net:")
    config = _run_search(options, settings)
    shown = dataclasses.replace(options, simulations=config.num_simulations)
    name = PlayerSpec(spec.kind, network.target, shown).name
    return SearchPlayer(name, network.models, config, seed, options.temperature, options.batch, network.close)


def _make_net(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.trained import NetworkPlayer, TrainedNetwork

    network = TrainedNetwork(spec.target, game, MAX_TREES)
    return NetworkPlayer(PlayerSpec(spec.kind, network.target, spec.options).name, network)


def _make_solver(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.solver import SolverPlayer, shared_solver

    return SolverPlayer(spec.name, shared_solver(game.name), seed)


def _make_human(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.human import HumanPlayer

    return HumanPlayer()


def _make_gtp(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.engines.gtp_player import GtpPlayer

    return GtpPlayer(spec.name, spec.target, game, spec.options)


def _make_uci(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.engines.uci_player import UciPlayer

    return UciPlayer(spec.name, spec.target, game, spec.options)


def _game_of_run(target: str) -> str:
    from selfplay.players.trained import game_of_run

    return game_of_run(target)


register_player("random", _make_random, RandomOptions)
register_player("mcts", _make_mcts, MctsOptions)
register_player("uniform", _make_uniform, UniformOptions)
register_player("run", _make_run, RunOptions, RUN_DIR, _game_of_run, identify=_identify_run)
register_player("net", _make_net, target=RUN_DIR, find_game=_game_of_run, identify=_identify_net)
register_player("solver", _make_solver, SolverOptions)
register_player("human", _make_human)
register_player("gtp", _make_gtp, GtpOptions, "COMMAND", is_command=True)
register_player("uci", _make_uci, UciOptions, "COMMAND", is_command=True)
