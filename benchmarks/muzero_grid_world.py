"""How near a MuZero run on a grid world is to the exact answer, in every state.

    selfplay train gridworld_muzero --run-dir runs/gridworld_muzero --seed 1
    python benchmarks/muzero_grid_world.py runs/gridworld_muzero

Prints, for the search of the run and for the network alone, in how many states the best action is taken, and the
largest error of a value. Exact values come from value iteration on the map (`games.environments.mdp`).
"""

from __future__ import annotations

import argparse

import numpy as np

from games.environments.grid_world import GridWorld
from games.environments.mdp import optimal_q
from games.environments.registry import load_environment
from games.observed import ObservedPositions
from selfplay.algorithms.registry import searcher
from selfplay.players.kinds import read_player
from selfplay.players.trained import make_net_player, make_run_player, player_of_checkpoint, run_config

SAME = 1e-9
"""Difference of values below which two actions are equally good."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR")
    for run in parser.parse_args().runs:
        measure(run)


def measure(run: str) -> None:
    """Print the figures of a run."""
    config = run_config(run)
    world = load_environment(config.environment)
    assert isinstance(world, GridWorld), f"{run} is no run on a grid world"
    exact = optimal_q(world.to_mdp(), config.search.discount)
    states = np.flatnonzero(~world.terminal)
    observations = np.eye(len(exact), dtype=np.float32)[states]
    positions = ObservedPositions(searcher(config).game, observations)
    for make_player, text in ((make_run_player, player_of_checkpoint(config, run)), (make_net_player, f"net:{run}")):
        player = make_player(read_player(text), None, 0)
        actions, values = player.decide(positions, np.arange(len(states)), [[]] * len(states))
        best = exact[states].max(axis=1)
        is_best = exact[states, actions] >= best - SAME
        error = float(np.abs(values - best).max())
        print(f"{player.name}: best action in {int(is_best.sum())} of {len(states)} states, values within {error:.3f}")
        player.close()


if __name__ == "__main__":
    main()
