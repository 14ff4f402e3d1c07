"""Let a player play chess in any program that speaks the Universal Chess Interface, on standard input and output.

The PLAYER is RUN_DIR[@VERSION], or written as for `selfplay match`, e.g. run:RUN_DIR:simulations=400. docs/engines.md
says what is answered, and how to set it up.
"""

from __future__ import annotations

import argparse

from selfplay.commands.arguments import integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player and the game."""
    parser.add_argument("player", metavar="PLAYER", help="who plays")
    parser.add_argument("--game", metavar="G", help="chess, if anything")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), help="of the player (new every time)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Serve until `quit`, or until the input ends."""
    import numpy as np

    from selfplay.engines.lines import LineQueue
    from selfplay.players.thinking import Thinker, make_thinker
    from selfplay.servers.serving import read_served_player, served_game, standard_input
    from selfplay.servers.uci_server import UciServer

    spec = read_served_player(args.player)
    game = served_game("uci", spec, args.game, "chess")
    seed = int(np.random.SeedSequence(args.seed).generate_state(1)[0])

    def make() -> Thinker:  # only when asked: other programs wait for `uciok`, and torch takes two seconds
        return make_thinker(spec.make_player(game, seed))

    server = UciServer(game, make, LineQueue(standard_input()), args.output)
    try:
        server.serve()
    finally:
        server.close()
    if server.failure is not None:
        raise server.failure
    return 0
