"""Play against a player in the terminal; `hint` shows what it thinks.

The board has coordinates and a mark on the last move. It is in colour where the terminal has colours. NO_COLOR=1 turns
them off. A move is its text, its number, or its place on the board: c3 in Go, e2e4 in chess.

A PLAYER is written as for `selfplay match`, e.g. pretrained:connect_four or run:RUN_DIR:simulations=400.
"""

from __future__ import annotations

import argparse

from selfplay.commands.arguments import integer
from selfplay.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player, the game and the seat."""
    parser.add_argument("player", metavar="PLAYER", help="who plays the other seats")
    parser.add_argument("--game", metavar="G", help="the game; may be left out when the player is a run")
    parser.add_argument(
        "--seat", metavar="N", type=integer(0, 100), default=0, help="your seat (0, which moves first in most games)"
    )
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), help="of player and chance (new every time)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play one game."""
    import sys

    import numpy as np

    import games
    from selfplay.players.human import TerminalGame, standard_terminal
    from selfplay.players.kinds import read_player

    spec = read_player(args.player)
    name = args.game or spec.game
    if name is None:
        raise UserError("play: --game is missing; `selfplay games` lists them")
    game = games.load(name)
    if args.seat >= game.num_players:
        raise UserError(f"--seat: {game.name} has seats 0 to {game.num_players - 1}, not {args.seat}")
    rng = np.random.default_rng(args.seed)
    player = spec.make_player(game, int(rng.integers(2**32)))
    try:
        TerminalGame(game, player, args.seat, standard_terminal(sys.stdout), rng).run()
    finally:
        player.close()
    return 0
