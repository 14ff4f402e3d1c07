"""The page under fire: `python tests/fuzz/web_fuzz.py REQUESTS [SEED]`.

Sends the requests of tests/support/web_requests.py. None may be answered with a status of 500 or more, and a game may
change only through a request that was answered with 200, and only as that request says. Run as a script, it then sends
a tenth of the requests through sockets, noise between them, to the real command.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))  # for the file run as a script
from run_helpers import BOUND_SECONDS, start, wait_until
from web_helpers import make_run, make_tournament
from web_requests import GAMES, HUMAN, ID, MOVE, PLY, Request, requests

import games
from selfplay.drawings.boards import outcome_text
from selfplay.web.app import make_app
from selfplay.web.guard import MAX_BODY
from selfplay.web.library import Library

NOISE = (
    b"\x00" * 1000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\n",
    b"x" * 100_000,
)
"""What is no request at all."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Send(Protocol):
    """Sends one request and waits for its answer."""

    host: str

    def __call__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer: ...


class Application:
    """The application itself, called as a server calls it; an exception that leaves it is raised."""

    host = "127.0.0.1:8000"

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop

    def __call__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }  # fmt: skip
        messages = [
            {"type": "http.request", "body": body[: len(body) // 2], "more_body": True},
            {"type": "http.request", "body": body[len(body) // 2 :], "more_body": False},
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        future = asyncio.run_coroutine_threadsafe(self._app(scope, receive, send), self._loop)
        future.result(BOUND_SECONDS)
        return Answer(sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]))


@contextmanager
def application(*folders: Path) -> Iterator[Application]:
    """The application on an event loop in a thread."""
    app, ready, done = make_app(Library(folders), seed=1), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            loops.append(asyncio.get_running_loop())
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(BOUND_SECONDS)
    try:
        yield Application(app, loops[0])
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join()


class Wire:
    """A server, through a socket that stays open as long as the server lets it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._socket: socket.socket | None = None

    def __call__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        data = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body
        if self._socket is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it may have been closed meanwhile
                return self._exchange(method, data)
        try:
            self._connect()
            return self._exchange(method, data)
        except OSError:
            assert len(body) > MAX_BODY, data[:200]  # the server has stopped to listen, as it should
            self.close()
            return Answer(413, b"")

    def noise(self, data: bytes) -> None:
        """Send what is no request."""
        self._connect()
        assert self._socket is not None
        with contextlib.suppress(OSError):
            self._socket.sendall(data)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(1 << 16):
                pass
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        self.close()
        name, port = self.host.split(":")
        self._socket = socket.create_connection((name, int(port)), timeout=BOUND_SECONDS)

    def _exchange(self, method: str, data: bytes) -> Answer:
        assert self._socket is not None
        self._socket.sendall(data)
        response = http.client.HTTPResponse(self._socket, method=method)
        response.begin()
        answer = Answer(response.status, response.read())
        if response.will_close:
            self.close()
        return answer


class Referee:
    """Games between persons, and what each must look like after every request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.changes = 0
        self.statuses: dict[int, int] = {}
        self._states = [self._post("/api/games", {"game": name, "seats": self._persons(name)}) for name in GAMES]

    def take(self, request: Request) -> None:
        """Send a request and look what it did."""
        before = self._states[request.watched]
        legal = [move["action"] for move in before["position"]["moves"]] or [0]
        body = request.body
        for name, value in ((ID, before["id"]), (PLY, before["ply"]), (MOVE, legal[len(body) * 7919 % len(legal)])):
            body = body.replace(name.encode(), str(value).encode())
        target = request.target.replace(ID, before["id"]).replace(PLY, str(before["ply"]))
        headers = {name: value for name, value in (self._headers() | dict(request.headers)).items() if value}
        answer = self._send(request.method, target, headers, body)
        assert answer.status < 500, (request, answer)
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status >= 400 and answer.body.startswith(b"{"):
            problem = answer.value["error"]
            assert problem and "\n" not in problem and "Traceback" not in problem, (request, answer)
        route = target.rpartition("/")[2] if request.method == "POST" and answer.status == 200 else ""
        self._compare(request.watched, route, body)

    def check(self) -> None:
        """No game has changed since it was last looked at."""
        for watched in range(len(GAMES)):
            self._compare(watched, "", b"")

    def _compare(self, watched: int, route: str, body: bytes) -> None:
        before, after = self._states[watched], self._state(watched)
        if route == "seats" and any(seat["kind"] != "human" for seat in after["seats"]):
            after = self._unseat(watched)
            assert after["moves"][: before["ply"]] == before["moves"], (route, body)
        elif route == "move":
            fields, made = json.loads(body), after["moves"][before["ply"] :]
            texts = {move["action"]: move["text"] for move in before["position"]["moves"]}
            assert int(fields["ply"]) == before["ply"] and after["moves"][: before["ply"]] == before["moves"], body
            assert made[0] == [before["position"]["to_play"], texts[int(fields["action"])]], (body, made)
            assert all(player == games.CHANCE for player, _ in made[1:]), (body, made)
        elif route == "undo":
            assert after["ply"] < before["ply"] and before["moves"][: after["ply"]] == after["moves"], body
        elif route != "position":
            assert what_counts(after) == what_counts(before), (route, body)
        if what_counts(after) != what_counts(before):
            self.changes += 1
            assert text_after(GAMES[watched], after["moves"]) == after["position"]["text"], (route, body)
        self._states[watched] = after

    def _unseat(self, watched: int) -> dict[str, Any]:
        """Persons take all seats again."""
        self._post(f"/api/games/{self._states[watched]['id']}/seats", {"seats": self._persons(GAMES[watched])})
        wait_until(lambda: not self._state(watched)["busy"], "the players leave")
        return self._state(watched)

    def _state(self, watched: int) -> dict[str, Any]:
        answer = self._send("GET", f"/api/games/{self._states[watched]['id']}", self._headers(), b"")
        assert answer.status == 200, answer
        return answer.value

    def _post(self, target: str, value: Any) -> Any:
        answer = self._send("POST", target, self._headers(), json.dumps(value).encode())
        assert answer.status == 200, answer
        return answer.value

    def _headers(self) -> dict[str, str]:
        host = self._send.host
        return {"host": host, "origin": f"http://{host}", "content-type": "application/json"}

    def _persons(self, name: str) -> list[Any]:
        return [HUMAN] * games.load(name).num_players


def what_counts(state: dict[str, Any]) -> list[Any]:
    """What only a good request may change; thoughts about a position come and go."""
    return [state[name] for name in ("game", "ply", "moves", "position", "returns", "result", "seats")]


def text_after(name: str, moves: list[list[Any]]) -> str:
    """The text of the position after moves of a fresh game."""
    pool, slot = games.load(name).new_pool(1), np.zeros(1, np.int64)
    pool.reset(slot)
    for player, text in moves:
        assert pool.to_play(slot)[0] == player
        if player == games.CHANCE:
            actions = [outcome for outcome in pool.chance(slot)[1].tolist() if outcome_text(pool, 0, outcome) == text]
        else:
            actions = [action for action in pool.legal(slot)[1].tolist() if pool.action_text(0, action) == text]
        pool.step(slot, np.array(actions[:1]), slot)
    return pool.text(0)


def fuzz(send: Send, wanted: list[Request]) -> Referee:
    """Send all requests, looking after each; the referee has counts."""
    referee = Referee(send)
    for number, request in enumerate(wanted):
        if isinstance(send, Wire) and number % 100 == 0:
            send.noise(NOISE[number // 100 % len(NOISE)])
        referee.take(request)
        if number % 20 == 0:
            referee.check()
    referee.check()
    return referee


def fuzz_command(wanted: list[Request], *folders: Path) -> Referee:
    """Send all requests to the command, which must live through them, say nothing, and end at Ctrl-C."""
    process = start("serve", *folders, "--port", "0")
    assert process.stdout is not None
    try:
        found = re.search(r"http://(127\.0\.0\.1:\d+)/", process.stdout.readline())
        assert found is not None
        wire = Wire(found[1])
        referee = fuzz(wire, wanted)
        wire.close()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=BOUND_SECONDS)
        assert process.returncode == 0 and "Traceback" not in said, said[-2000:]
    finally:
        process.kill()
        process.wait()
    return referee


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wanted = requests(count, seed)
    with tempfile.TemporaryDirectory() as folder:
        folders = make_run(Path(folder) / "run"), make_tournament(Path(folder) / "tournament")
        with application(*folders) as send:
            referee = fuzz(send, wanted)
        statuses = dict(sorted(referee.statuses.items()))
        print(f"the application: {count} requests, {referee.changes} changes, statuses {statuses}", flush=True)
        part = wanted[: count // 10]
        referee = fuzz_command(part, *folders)
        statuses = dict(sorted(referee.statuses.items()))
        print(f"the command: {len(part)} requests, {referee.changes} changes, statuses {statuses}")


if __name__ == "__main__":
    main()
