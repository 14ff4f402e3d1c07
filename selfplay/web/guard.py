"""Between the network and the page: who may ask, how much, and the headers of every answer.

A web page elsewhere that the person looks at can make their browser send requests here. Reading answers is forbidden by
browsers. A name of another machine that was made to point here (DNS rebinding) fails at the `Host` header, a request
from another page at `Sec-Fetch-Site`. A request that changes something is also checked by `Origin`, and must carry
JSON.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from games import GameError
from selfplay.errors import UserError
from selfplay.web.refusals import BAD_REQUEST, FORBIDDEN, TIMEOUT, TOO_LARGE, Fields, Refused, shown

MAX_BODY = 64 << 10
"""Largest number of bytes of the body of a request."""

MAX_URL = 2_000
"""Largest number of bytes of a path with its query."""

BODY_SECONDS = 10.0
"""Seconds for the body of a request to arrive."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

READING = ("GET", "HEAD")


class Guard:
    """Middleware: checks a request before the page sees it, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """`host` is the address of the server's socket."""
        self._app = app
        self._names = LOOPBACK | {_in_brackets(host).lower()}
        self._any_address = _is_wildcard(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_RAW_HEADERS]}
            await send(message)

        problem = self._problem(scope)
        app = self._app if problem is None else refusal(problem)
        await app(scope, receive, send_with_headers)

    def _problem(self, scope: Scope) -> Refused | None:
        """Why the request is turned down, if it is."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not self._is_known(host):
            hint = "open it by the address that `selfplay serve` shows"
            return Refused(f"host {shown(host)} is not this page; {hint}", FORBIDDEN)
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > MAX_URL:
            return Refused("the address is too long", TOO_LARGE)
        site = headers.get(b"sec-fetch-site", [b"none"])[0]
        if scope["path"].startswith("/api/") and site not in (b"same-origin", b"none"):
            return Refused("the request does not come from this page (Sec-Fetch-Site)", FORBIDDEN)
        if scope["method"] in READING:
            return None
        origins = headers.get(b"origin", [])
        if len(origins) != 1 or origins[0].decode("latin-1").lower() != f"{scope['scheme']}://{host}".lower():
            return Refused("the request does not come from this page (Origin)", FORBIDDEN)
        kind = headers.get(b"content-type", [b""])[0].split(b";")[0].strip().lower()
        return None if kind == b"application/json" else Refused("expected application/json")

    def _is_known(self, host: str) -> bool:
        name = host.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdigit() else name
        return name in self._names or (self._any_address and _is_address(name))


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_wildcard(host: str) -> bool:
    """Whether all addresses of the machine are listened on; then any address, but no name, may be asked for."""
    return host in ("0.0.0.0", "::", "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def answer(value: Any, status: int = 200) -> Response:
    """An answer in JSON; lone halves of surrogate pairs, which UTF-8 has no bytes for, stay escaped."""
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def refusal(error: Exception) -> Response:
    """A mistake of the request as an answer of one line."""
    status = error.status if isinstance(error, Refused) else BAD_REQUEST
    lines = str(error).splitlines() or [type(error).__name__]
    return answer({"error": lines[0][:500]}, status)


async def body_of(request: Request) -> Fields:
    """The JSON object of a request. Raises Refused for anything else, and for what is too long or too slow."""
    data = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY:
                    raise Refused(f"the request is longer than {MAX_BODY:,} bytes", TOO_LARGE)
    except TimeoutError:
        raise Refused("the request took too long to arrive", TIMEOUT) from None
    except ClientDisconnect:
        raise Refused("the request ended early") from None
    try:
        return Fields(json.loads(bytes(data), parse_constant=_no_constant))
    except Refused:
        raise
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def query_of(request: Request) -> Fields:
    """The fields of a query. Raises Refused where one comes twice."""
    pairs = request.query_params.multi_items()
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Refused(f"{shown(name)} is given {count} times")
    return Fields(dict(pairs), are_text=True)


Handler = Callable[[Request, Fields], Any]
"""Answers a request with plain values: its path parameters are in the request, the body or the query in the fields."""


def endpoint(handler: Handler) -> Callable[[Request], Any]:
    """A handler as Starlette calls it; it runs in a thread, for it may wait for a lock or a file."""

    async def serve(request: Request) -> Response:
        try:
            reading = request.method in READING
            fields = query_of(request) if reading else await body_of(request)
            return answer(await run_in_threadpool(handler, request, fields))
        except (UserError, GameError) as error:
            return refusal(error)

    return serve


def file_endpoint(handler: Callable[[Request, Fields], bytes], kind: str) -> Callable[[Request], Any]:
    """As `endpoint`, for a handler that answers with a file of a media type; a part of it may be asked for."""

    async def serve(request: Request) -> Response:
        try:
            data = await run_in_threadpool(handler, request, query_of(request))
        except (UserError, GameError) as error:
            return refusal(error)
        return _part(data, request.headers.get("range", ""), kind)

    return serve


def _part(data: bytes, wanted: str, kind: str) -> Response:
    """What a `Range` header asks for (RFC 9110, one range of bytes), else the whole; players seek in films so."""
    headers = {"Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", wanted)
    if match is None:
        return Response(data, media_type=kind, headers=headers)
    first, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(b"", 416, {"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], 206, headers, kind)
