"""Play against a player in the terminal; `hint` shows what it thinks.

The board has coordinates, and colours where the terminal has them. NO_COLOR=1 turns colours off.

A PLAYER is written as for `selfplay match`, e.g. pretrained:connect_four or run:RUN_DIR:simulations=400.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from selfplay.commands.arguments import integer
from selfplay.errors import UserError

if TYPE_CHECKING:
    import games


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player, the game and the seat."""
    parser.add_argument("player", metavar="PLAYER", help="who plays the other seats")
    parser.add_argument("--game", metavar="G", help="the game; may be left out when the player is a run")
    parser.add_argument("--seat", metavar="N", type=integer(0, 100), default=0, help="your seat, 0 moves first (0)")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), help="of player and chance (new every time)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play one game."""
    import os
    import sys

    import numpy as np

    import games
    from selfplay.players.human import board_text, play, standard_terminal
    from selfplay.players.kinds import read_player
    from selfplay.web.drawings.boards import look_at
    from selfplay.web.drawings.terminal import board, screen_of

    spec = read_player(args.player)
    name = args.game or spec.game
    if name is None:
        raise UserError("play: --game is missing; `selfplay games` lists them")
    game = games.load(name)
    if args.seat >= game.num_players:
        raise UserError(f"--seat: {game.name} has seats 0 to {game.num_players - 1}, not {args.seat}")
    rng = np.random.default_rng(args.seed)
    player = spec.make_player(game, int(rng.integers(2**32)))
    terminal = standard_terminal(sys.stdout)
    screen = screen_of(terminal.screen, os.environ)

    def show(pool: games.StatePool, slot: int) -> str:
        return board(look_at(pool, slot), screen) or board_text(pool, slot)

    try:
        play(game, player, args.seat, terminal, rng, show, _side(game, args.seat))
    finally:
        player.close()
    return 0


def _side(game: games.Game, seat: int) -> str | None:
    """What the pieces of a seat are called; None where the game has no drawing that names them."""
    import numpy as np

    from selfplay.web.drawings.boards import look_at

    pool = game.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    drawing = look_at(pool, 0).drawing
    pool.close()
    return drawing.sides[seat] if drawing is not None and seat < len(drawing.sides) else None
