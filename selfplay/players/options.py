"""The options of the players that come with the project, as they stand behind the last colon of a player's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search import SearchConfig
from selfplay.config.schema import setting

MAX_SIMULATIONS = 1_000_000
"""Largest number of simulations a move; one tree of them takes a few hundred megabytes."""

MAX_TREES = 256
"""Largest number of trees at once: more do not make the network's batches faster."""


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
