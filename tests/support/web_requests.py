"""Requests to the page as no browser sends them, for tests/fuzz/web_fuzz.py; good ones are among them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from selfplay.web.guard import MAX_BODY, MAX_URL

GAMES = ("tic_tac_toe", "connect_four", "go(board_size=5)", "chess", "pig")
"""Games between persons that are watched all the time: moves as places, columns, points and text; chance."""

ID, PLY, MOVE = "@id@", "@ply@", "@move@"
"""Stand for the id and the ply of a watched game, and a legal move there, which are known when the request is sent."""

HUMAN = {"kind": "human"}
KINDS = ("human", "random", "mcts", "uniform", "net", "run", "solver", "gtp:gnugo", "")
CHANGES = ("move", "undo", "seats", "position", "hint", "stop", "compare")
ROUTES = (*CHANGES, *CHANGES, *CHANGES, "nothing", "", "move/", "../move", "%00")
READING = (
    "/api/setup", "/api/game", "/api/shards", "/api/tournament", "/api/replay", "/api/metrics", "/api/games",
    "/api/film", "/api/film.mp4",
    f"/api/games/{ID}", "/api/games/x", "/api/games/%00", "/", "/static/main.js", "/static/../app.py", "/static/%2e%2e",
    "//", "/api/games/" + "a" * 1000, "/api/%ff%fe", "*",
)  # fmt: skip
FIELDS = (
    "ply", "action", "seats", "text", "player", "players", "moves", "game", "kind", "simulations", "run", "version",
    "name", "revision", "shard", "number", "tournament", "start", "x",
)  # fmt: skip
WORDS = (
    "", "\x00", *KINDS, "../../etc/passwd", "%s%n", "<script>", "NaN", "1e999", "-1", "0", "3", "null", "\ud800", PLY,
    "\u2603" * 30, "a" * 3000, *GAMES, "hex(board_size=0)", "go(board_size=99)", "os:path", "[3, 3]", "3 3 2",
    '{"moves": [0, 4]}', "...\nx.o\n...", ".......\n" * 6, "(;B[aa];W[bb])", "[" * 3000, "1. e4 e5 2. Nf3", "x(1,1)",
    "roll\nRoll 3", "B a1 W b2",
)  # fmt: skip
NUMBERS = (*range(-2, 10), 40, 4673, 10**30, -(10**30), 1.5, 1e300, 2**31, 2**63, 2**64, True, False, None)
OPTIONS = ("board_size", "rows", "columns", "players", "num_players", "size", "komi", "horizon", "x")
VALUES = ("0", "-1", "1", "2", "3", "4", "7", "19", "100", "100000", "1e9", "nan", "true", "a", "")
RULES = "tic_tac_toe connect_four go hex pig nim breakthrough othello 2048 mnk y havannah".split()


@dataclass(frozen=True)
class Request:
    """A request, with placeholders."""

    watched: int
    """Index in `GAMES` of the game whose id it may carry."""
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    """In place of or beside the usual ones; an empty value leaves a header out."""
    body: bytes = b""


def requests(count: int, seed: int) -> list[Request]:
    """So many requests."""
    rng = random.Random(seed)
    return [_request(rng) for _ in range(count)]


def _request(rng: random.Random) -> Request:
    watched, kind = rng.randrange(len(GAMES)), rng.randrange(20)
    route = f"/api/games/{ID}/{rng.choice(ROUTES)}"
    if kind < 6:
        return Request(watched, "POST", route, (), garbage(rng))
    if kind < 11:
        return Request(watched, "POST", route, (), _json(_fields(rng)))
    good = _good(rng, watched)
    if kind < 14:
        return good
    if kind < 16:
        names = [rng.choice(FIELDS) for _ in range(rng.randrange(5))]
        query = "&".join(f"{name}={quote(str(_value(rng)), errors='replace')}" for name in names)
        return Request(watched, "GET", f"{rng.choice(READING)}?{query}")
    if kind < 17:
        route = rng.choice(["/api/games", "/api/games", "/api/film"])
        return Request(watched, "POST", route, (), garbage(rng) if rng.randrange(2) else _json(_new_game(rng)))
    if kind < 18:
        method = rng.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "GET", "post", "X"])
        return Request(watched, method, good.target, (), good.body)
    if kind < 19:
        return Request(watched, "POST", good.target, (_wrong_header(rng),), good.body)
    target = quote(rng.randbytes(rng.randrange(30)), safe="/?&=%") + "a" * rng.choice([0, 0, 0, MAX_URL - 20, MAX_URL])
    return Request(watched, rng.choice(["GET", "POST"]), f"/{target}", (), garbage(rng))


def _good(rng: random.Random, watched: int) -> Request:
    """A request that will do, or nearly."""
    route, fields = rng.choice(
        [
            ("move", {"ply": PLY, "action": MOVE}),
            ("move", {"ply": PLY, "action": MOVE}),
            ("move", {"ply": PLY, "action": rng.choice(NUMBERS)}),
            ("undo", {"ply": PLY}),
            ("seats", {"seats": [HUMAN] * rng.choice([1, 2, 2, 2, 3])}),
            ("position", {"text": rng.choice(WORDS)}),
            ("hint", {"ply": PLY, "player": _seat(rng)}),
            ("compare", {"ply": PLY, "players": [_seat(rng) for _ in range(rng.randrange(4))]}),
            ("stop", {}),
        ]
    )
    return Request(watched, "POST", f"/api/games/{ID}/{route}", (), _json(fields))


def _wrong_header(rng: random.Random) -> tuple[str, str]:
    return rng.choice(
        [
            ("host", "evil.example"), ("host", ""), ("host", "127.0.0.1.evil.example"), ("origin", "http://evil.example"),
            ("origin", "null"), ("origin", ""), ("content-type", "text/plain"), ("content-type", ""),
            ("content-type", "application/x-www-form-urlencoded"),
        ]
    )  # fmt: skip


def _json(value: object) -> bytes:
    """JSON in which numbers stand for the placeholders of numbers."""
    text = json.dumps(value)
    return text.replace(f'"{PLY}"', PLY).replace(f'"{MOVE}"', MOVE).encode()


def _value(rng: random.Random) -> Any:
    return rng.choice(WORDS) if rng.randrange(2) else rng.choice(NUMBERS)


def _seat(rng: random.Random) -> Any:
    if rng.randrange(8) == 0:
        return junk(rng)
    seat: dict[str, Any] = {"kind": rng.choice(KINDS)}
    if rng.randrange(4):
        seat["simulations"] = rng.randrange(1, 4)
    if seat["kind"] in ("net", "run") or rng.randrange(10) == 0:
        seat["run"] = rng.randrange(2)
    return seat


def _new_game(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(GAMES)
    if rng.randrange(3):
        name = f"{rng.choice(RULES)}({rng.choice(OPTIONS)}={rng.choice(VALUES)})"
    return {
        "game": name,
        "seats": [_seat(rng) for _ in range(rng.choice([1, 2, 2, 2, 3]))],
        "moves": [rng.randrange(10) for _ in range(rng.randrange(4))],
    }


def _fields(rng: random.Random) -> Any:
    """A JSON object with fields that the routes know."""
    fields = {rng.choice(FIELDS): junk(rng, 2) for _ in range(rng.randrange(4))}
    for name, value in (("ply", PLY), ("player", _seat(rng)), ("seats", [_seat(rng), _seat(rng)]), ("action", MOVE)):
        if rng.randrange(3) == 0:
            fields[name] = value
    return fields


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Any value that JSON has."""
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind < 2:
        return _value(rng)
    if kind == 2:
        return rng.randrange(-5, 20)
    if kind == 3:
        return "".join(chr(rng.randrange(0xD7FF)) for _ in range(rng.randrange(20)))
    if kind == 4:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {rng.choice(FIELDS): junk(rng, depth + 1) for _ in range(rng.randrange(5))}


def garbage(rng: random.Random) -> bytes:
    """A body that is JSON, nearly JSON, or not at all."""
    text, kind = _json(junk(rng)), rng.randrange(12)
    if kind < 2:
        return rng.randbytes(rng.randrange(200))
    if kind < 4:
        return text[: rng.randrange(len(text) + 1)]
    if kind == 4:
        return b"[" * rng.randrange(MAX_BODY)
    if kind == 5 and rng.randrange(5) == 0:
        return b" " * rng.randrange(MAX_BODY - 2, 2 * MAX_BODY)
    if kind < 8 and text:  # one byte is another
        place = rng.randrange(len(text))
        return text[:place] + rng.randbytes(1) + text[place + 1 :]
    return text + (b"\0" if kind == 8 else b"")
