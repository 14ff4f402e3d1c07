"""Play and look at runs in a browser: a local page, for this machine only unless --host says otherwise.

Give the folders of runs and tournaments that the page may show. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from selfplay.commands.arguments import integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the folders and the address."""
    parser.add_argument(
        "folders", metavar="RUN_DIR", nargs="*", type=Path, help="runs and tournaments to play against and to look at"
    )
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    ports, seeds = integer(0, 65535), integer(0, 2**63 - 1)
    parser.add_argument("--port", metavar="N", type=ports, default=8000, help="port, 0 for a free one (8000)")
    parser.add_argument("--seed", metavar="N", type=seeds, help="of players and chance (new every time)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Serve until interrupted."""
    import secrets

    from selfplay.web.app import make_app
    from selfplay.web.library import Library
    from selfplay.web.server import address_of, listen, make_server

    library = Library(args.folders)
    seed = secrets.randbits(63) if args.seed is None else args.seed
    with listen(args.host, args.port) as listener:
        print(f"selfplay is at {address_of(listener)} (Ctrl-C stops it)", flush=True)
        server = make_server(make_app(library, args.host, seed))
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # the usual way to stop it
    return 0
