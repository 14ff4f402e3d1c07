"""The web server around the page: a socket, uvicorn, and limits on what a connection may do."""

from __future__ import annotations

import errno
import socket

import uvicorn
from starlette.types import ASGIApp

from selfplay.errors import UserError

MAX_CONNECTIONS = 200
"""Largest number of connections; uvicorn answers more with 503."""

MAX_HEADERS = 16 << 10
"""Largest number of bytes of the head of a request."""

MAX_PORT = 65535

IDLE_SECONDS = 10
"""Seconds after which a connection without a request is closed."""


def listen(host: str, port: int, tries: int = 1) -> socket.socket:
    """A socket that listens on the first port that is free of `tries` ports from `port` on.

    Raises UserError where the address is not of this machine or all these ports are taken.
    """
    try:
        return _listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and tries > 1 and port < MAX_PORT:
            return listen(host, port + 1, tries - 1)
        reason = error.strerror or str(error)
    except (UnicodeError, OverflowError) as error:
        reason = str(error)
    raise UserError(f"cannot listen on {host} port {port}: {reason}; name another with --host or --port")


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server for one socket: `server.run(sockets=[listener])`; it ends at Ctrl-C or when `should_exit` is set."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        http="h11",
        lifespan="on",
        server_header=False,
        date_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADERS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
