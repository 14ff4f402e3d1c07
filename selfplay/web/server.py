"""The web server around the page: a socket, uvicorn, and limits on what a connection may do."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from selfplay.errors import UserError

MAX_CONNECTIONS = 200
"""Largest number of connections; uvicorn answers more with 503."""

MAX_HEADERS = 16 << 10
"""Largest number of bytes of the head of a request."""

IDLE_SECONDS = 10
"""Seconds after which a connection without a request is closed."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError where the address is not of this machine or the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen on {host} port {port}: {reason}; name another with --host or --port") from None
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
