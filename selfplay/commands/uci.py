"""Let a player play chess or a variant in any program that speaks the Universal Chess Interface.

The PLAYER is RUN_DIR[@VERSION], or written as for `selfplay match`, e.g. run:RUN_DIR:simulations=400. It answers on
standard input and output; docs/engines.md says what is answered, and how to set it up.
"""

from __future__ import annotations

import argparse

from selfplay.commands.arguments import add_served_player


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the player and the game."""
    add_served_player(parser, "the run's own game unless given; chess for a player without one")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Serve until `quit`, or until the input ends."""
    from selfplay.engines.uci import UCI
    from selfplay.servers.serving import serve_engine

    return serve_engine("uci", args.player, args.game, args.seed, UCI, args.output)
