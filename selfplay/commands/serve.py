"""Play and look at runs in a browser: a local page, for this machine only unless --host says otherwise.

Give the folders of runs and tournaments that the page may show. Without any, the page opens in the browser, with a game
against a trained network that comes with selfplay. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from selfplay.commands.arguments import integer

FIRST_PORT, PORTS = 8000, 100
"""Ports that are tried where none is asked for: the first, and how many."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folders and the address."""
    parser.add_argument(
        "folders", metavar="RUN_DIR", nargs="*", type=Path, help="runs and tournaments to play against and to look at"
    )
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    ports, seeds = integer(0, 65535), integer(0, 2**63 - 1)
    parser.add_argument(
        "--port", metavar="N", type=ports, help=f"port, 0 for any free one (the first free one from {FIRST_PORT} on)"
    )
    parser.add_argument("--seed", metavar="N", type=seeds, help="of players and chance (new every time)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Serve until interrupted."""
    import secrets
    import threading
    import webbrowser

    from selfplay.web.app import make_app
    from selfplay.web.library import Library
    from selfplay.web.server import address_of, listen, make_server

    library = Library(args.folders)
    seed = secrets.randbits(63) if args.seed is None else args.seed
    first, tries = (FIRST_PORT, PORTS) if args.port is None else (args.port, 1)
    with listen(args.host, first, tries) as listener:
        address = address_of(listener)
        print(f"selfplay is at {address} (Ctrl-C stops it)", flush=True)
        server = make_server(make_app(library, args.host, seed))
        if not args.folders:
            threading.Thread(target=warm_up, daemon=True).start()
            if has_display():
                webbrowser.open(address)  # which waits for its answer until the server runs
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # the usual way to stop it
    return 0


def has_display() -> bool:
    """Whether a browser with windows can be opened: one in the terminal would take the terminal."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def warm_up() -> None:
    """Let a network that comes with selfplay think once.

    After an installation, this compiles kernels for a minute, which nobody should wait for after a first move.
    """
    from contextlib import suppress

    import games
    from selfplay.errors import UserError
    from selfplay.players.kinds import read_player
    from selfplay.players.thinking import make_thinker, try_out
    from selfplay.shipped import pretrained_runs

    for name in [*pretrained_runs()][:1]:
        with suppress(UserError, games.GameError):  # whoever plays against it is told
            spec = read_player(f"pretrained:{name}:batch=1")
            game = games.load(str(spec.game))
            thinker = make_thinker(spec.make_player(game))
            try_out(thinker, game.new_pool(1))
            thinker.close()
