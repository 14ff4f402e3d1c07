"""Speed of the rules of Go: nodes a second of a search that costs nothing, beside OpenSpiel's rules in the same run.

A node is what a search does with a new position but for the network: copy its parent and make a move, list the legal
moves, write the observation. The moves are those of random games that leave alone what is a player's for good, so all
phases of a game are counted. Both games play the same moves, chosen before anything is timed; games in which OpenSpiel
sees a repetition are left out.

    python benchmarks/go_rules.py --size 9
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import games
from games import TERMINAL, Game


def random_games(game: Game, number: int, seed: int) -> np.ndarray:
    """The moves of random games that OpenSpiel's rules play out as well: int64 [games, plies], -1 behind the end."""
    rng, pool, twin = np.random.default_rng(seed), game.new_pool(number), openspiels(game).new_pool(number)
    every = np.arange(number)
    moves = np.full((number, game.max_game_length), -1)
    fits = np.ones(number, np.bool_)
    pool.reset(every)
    twin.reset(every)
    going = every
    for ply in range(game.max_game_length):
        offsets, actions = pool.candidates(going)
        chosen = actions[offsets[:-1] + rng.integers(np.diff(offsets))]
        moves[going, ply] = chosen
        to_play = pool.step(going, chosen, going)[0].copy()
        theirs = twin.step(going, chosen, going)[0]
        fits[going] &= (theirs != TERMINAL) | (to_play == TERMINAL)
        going = going[(to_play != TERMINAL) & fits[going]]
        if len(going) == 0:
            break
    return moves[fits]


def openspiels(game: Game) -> Game:
    """OpenSpiel's go of the same size and komi."""
    size = int(np.sqrt(game.num_actions))
    return games.load(f"openspiel:go(board_size={size})")


def nodes_a_second(game: Game, moves: np.ndarray, rounds: int) -> tuple[float, dict[str, float]]:
    """The speed, and the microseconds of a node by what is done."""
    number, plies = moves.shape
    pool = game.new_pool(2 * number)
    observations = np.empty((number, *game.observation_shape), game.observation_dtype)
    spent, nodes = dict.fromkeys(("step", "legal", "observe"), 0.0), 0
    for warm_up in [True] + [False] * rounds:
        here = np.arange(number)
        pool.reset(here)
        if not warm_up:
            nodes += int((moves >= 0).sum())
        there = here + number
        for ply in range(plies):
            playing = moves[:, ply] >= 0
            if not playing.any():
                break
            src, dst, actions = here[playing], there[playing], moves[playing, ply]
            t0 = time.process_time()
            pool.step(src, actions, dst)
            t1 = time.process_time()
            pool.legal(dst)
            t2 = time.process_time()
            pool.observe(dst, observations[: len(dst)])
            t3 = time.process_time()
            if not warm_up:
                for part, seconds in zip(spent, (t1 - t0, t2 - t1, t3 - t2)):
                    spent[part] += seconds
            here, there = there, here
    return nodes / sum(spent.values()), {part: 1e6 * seconds / nodes for part, seconds in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=9, help="rows and columns (default 9)")
    parser.add_argument("--games", type=int, default=128, help="games played side by side (default 128)")
    parser.add_argument("--rounds", type=int, default=10, help="times that they are played (default 10)")
    arguments = parser.parse_args()
    game = games.load(f"go(board_size={arguments.size})")
    moves = random_games(game, arguments.games, 0)
    print(f"{len(moves)} games of {(moves >= 0).sum() / len(moves):.0f} plies on {arguments.size}x{arguments.size}")
    speeds = []
    for name, rules, rounds in ((game.name, game, arguments.rounds), ("OpenSpiel's", openspiels(game), 1)):
        speed, parts = nodes_a_second(rules, moves, rounds)
        speeds.append(speed)
        shown = ", ".join(f"{part} {us:.2f}" for part, us in parts.items())
        print(f"{name}: {speed:,.0f} nodes/s (us a node: {shown})")
    print(f"ratio {speeds[0] / speeds[1]:.1f}")


if __name__ == "__main__":
    main()
