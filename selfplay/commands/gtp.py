"""Let a player play go in any program that speaks the Go Text Protocol, on standard input and output.

The PLAYER is RUN_DIR[@VERSION], or written as for `selfplay match`, e.g. run:RUN_DIR:simulations=400. docs/engines.md
says what is answered, and how to set it up.
"""

from __future__ import annotations

import argparse

from selfplay.commands.arguments import add_served_player
from selfplay.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player and the game."""
    add_served_player(parser, "e.g. 'go(board_size=9)'; may be left out when the player is a run")
    parser.add_argument("--name", metavar="TEXT", help="answer to the command name, e.g. KataGo for Lizzie's ownership")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Serve until `quit`, or until the input ends."""
    import numpy as np

    from games import Game
    from selfplay.engines.lines import LineQueue
    from selfplay.players.thinking import Thinker, make_thinker, try_out
    from selfplay.servers.gtp_analysis import MOST_LINES
    from selfplay.servers.gtp_server import GtpServer
    from selfplay.servers.serving import read_served_player, served_game, standard_input

    spec = read_served_player(args.player)
    game = served_game("gtp", spec, args.game)
    seed = int(np.random.SeedSequence(args.seed).generate_state(1)[0])

    def thinker_for(game: Game) -> Thinker:
        return make_thinker(spec.make_player(game, seed), num_lines=MOST_LINES, forecasts=True)

    thinker = thinker_for(game)
    try:
        server = GtpServer(game, thinker, thinker_for, args.name)  # complains of other games
    except UserError:
        thinker.close()
        raise
    try:
        try_out(thinker, game.new_pool(1))
        server.serve(LineQueue(standard_input()), args.output)
    finally:
        server.close()
    return 0
