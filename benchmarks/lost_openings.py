"""Of the games of a match that a player did not win, which it could not have: their openings were lost or drawn.

    selfplay match run:RUN_DIR:simulations=600 mcts:simulations=10000 --games 200 --save games.jsonl
    python benchmarks/lost_openings.py games.jsonl --opening-plies 3

Solves the position after the opening of every such game exactly, for the player named by --player (the first of the
first game), and says how many games ended worse than their opening was: those that the player gave away. A match whose
openings favour one side measures the opponent as well: even perfect play gets no more from them than the opponent lets
it have. Connect Four takes one to three minutes of a core for an opening of three plies.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import machine_header

import games
from games import Game, GameError
from games.solvers.solving import Solver, make_solver
from selfplay.commands.arguments import integer
from selfplay.errors import UserError
from selfplay.evaluation.labelled import set_up


def read_games(path: Path) -> list[dict[str, Any]]:
    """The lines of `selfplay match --save`. Raises UserError."""
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        if not records or any({"game", "seats", "moves", "returns"} - set(record) for record in records):
            raise ValueError
    except (OSError, ValueError, TypeError):
        raise UserError(f"{path}: expected games as `selfplay match --save` writes them") from None
    return records


def opening_value(game: Game, solver: Solver, moves: Sequence[int], seat: int) -> float:
    """What the position after `moves` is worth to the player in `seat`, of two, with perfect play.

    Raises GameError for an illegal move, UserError where the game is over.
    """
    pool = game.new_pool(1)
    set_up(pool, 0, moves)
    to_play = pool.to_play(np.zeros(1, np.int64))[0]
    if to_play < 0:
        raise UserError(f"--opening-plies: nobody is to move after {' '.join(map(str, moves))}; take fewer")
    best = max(solver.move_values(pool, 0).values())
    return best if to_play == seat else -best


def run(arguments: argparse.Namespace) -> None:
    """Solve, print a line for every game that was not won, and the counts."""
    records = read_games(arguments.games)
    game = games.load(records[0]["game"])
    if game.num_players != 2 or game.has_rewards:
        raise UserError(f"{game.name}: only for games of two players that are won, drawn or lost")
    player = arguments.player or records[0]["seats"][0]
    if any(player not in record["seats"] for record in records):
        raise UserError(f"--player: {player} does not play; the players are {' and '.join(records[0]['seats'])}")
    solver = make_solver(game)
    print(f"{machine_header()}\n{player}, {len(records)} games of {game.name}\n")
    given_away = not_won = 0
    for number, record in enumerate(records, start=1):
        seat = record["seats"].index(player)
        result = record["returns"][seat]
        if result > 0:
            continue
        opening = record["moves"][: arguments.opening_plies]
        value = opening_value(game, solver, opening, seat)
        not_won, given_away = not_won + 1, given_away + (result < value)
        print(
            f"game {number}, after {' '.join(map(str, opening))}: worth {value + 0.0:+g}, ended {result + 0.0:+g}",
            flush=True,
        )
    print(f"\n{not_won} games not won; {given_away} ended worse than their opening")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("games", metavar="GAMES.jsonl", type=Path)
    parser.add_argument("--opening-plies", metavar="K", type=integer(0, 10_000), required=True, help="random moves")
    parser.add_argument("--player", metavar="NAME", help="as the file names it (who sits first in the first game)")
    try:
        run(parser.parse_args(words))
    except (UserError, GameError) as error:
        print(f"lost_openings: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
