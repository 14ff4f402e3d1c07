"""The page against what is not a person at it: other names, other pages, other methods, too much, and garbage."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from run_helpers import BOUND_SECONDS, start
from starlette.testclient import TestClient
from web_helpers import (
    HOST,
    HUMAN,
    RANDOM,
    act,
    begin,
    change_settings,
    make_run,
    page,
    refused,
    search_without_end,
    served,
    settled,
)

from selfplay import cli
from selfplay.errors import UserError
from selfplay.web.app import make_app
from selfplay.web.guard import MAX_BODY
from selfplay.web.library import Library
from selfplay.web.server import address_of, listen

STATIC = Path(__file__).resolve().parents[2] / "selfplay" / "web" / "static"
GAME = {"game": "tic_tac_toe", "seats": [HUMAN, HUMAN]}


@pytest.fixture(scope="module")
def client():
    with page() as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_the_page_answers_to_its_names(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "127.0.0.2", "localhost.evil", "x\x00"]
)
def test_other_names_are_refused(client, host):
    answer = client.get("/api/setup", headers={"Host": host})
    assert answer.status_code == 403 and "\n" not in answer.json()["error"]


@pytest.mark.parametrize(("bound", "host", "status"), [
    ("192.168.1.5", "192.168.1.5:8000", 200), ("192.168.1.5", "192.168.1.6", 403),
    ("0.0.0.0", "192.168.1.6:8000", 200), ("0.0.0.0", "evil.example", 403),
    ("::", "[fe80::1]:8000", 200), ("127.0.0.1", "192.168.1.6", 403),
])  # fmt: skip
def test_the_address_that_is_listened_on_is_a_name_too(bound, host, status):
    with TestClient(make_app(Library([]), bound), base_url=HOST) as found:
        assert found.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "origin", [None, "null", "https://127.0.0.1:8000", "http://127.0.0.1:8001", "http://evil.example"]
)
def test_changes_from_other_pages_are_refused(client, origin):
    headers = {} if origin is None else {"Origin": origin}
    client.headers.pop("Origin")
    try:
        answer = client.post("/api/games", json=GAME, headers=headers)
    finally:
        client.headers["Origin"] = HOST
    assert answer.status_code == 403 and "Origin" in answer.json()["error"]


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_another_page_cannot_read_either(client, site, status):
    assert client.get("/api/game?name=hex", headers={"Sec-Fetch-Site": site}).status_code == status
    assert client.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200, "a link to the page is no harm"


def test_a_form_of_another_page_cannot_send_json(client):
    answer = client.post("/api/games", content=json.dumps(GAME), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400 and "application/json" in answer.json()["error"]


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for path in ("/", "/static/main.js", "/api/setup", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_front_end_asks_for_nothing_from_elsewhere_and_has_no_inline_code():
    for file in filter(Path.is_file, STATIC.rglob("*")):
        text = file.read_text(encoding="utf-8")
        if "vendor" in file.parts:  # names its home in comments and its licence
            asks = r"""fetch\(|XMLHttpRequest|import\(|sendBeacon|from\s*["']http|@import|url\("""
            assert file.suffix not in (".js", ".css") or not re.search(asks, text), file
            continue
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}, file.name
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html))


@pytest.mark.parametrize("path", [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/index.html", "/static/",
    "//etc/passwd", "/static/main.js/", "/api/replay/../../etc", "/%00", "/api/games/..%2f..", "/static/main.js%00",
])  # fmt: skip
def test_no_path_leads_to_a_file(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 403, 404, 405) and answer.json()["error"]


def test_requests_that_are_too_long_are_refused(client):
    answer = client.post("/api/games", content=b" " * (MAX_BODY + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert client.get("/api/game", params={"name": "x" * 3000}).status_code == 413


def test_a_body_without_a_length_is_cut_off_as_well(client):
    def chunks():
        for _ in range(100):
            yield b" " * 10_000

    answer = client.post("/api/games", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "kind", ["gtp", "uci", "engine", "run:/etc", "../run", "gtp:sh -c true", "", "Human", None, 7, ["mcts"]]
)
def test_players_of_requests_are_of_the_known_kinds(client, kind):
    refused(client, "/api/games", {"game": "tic_tac_toe", "seats": [HUMAN, {"kind": kind}]})


@pytest.mark.parametrize("seat", [
    {"kind": "run", "run": 0}, {"kind": "run", "run": -1}, {"kind": "net", "run": "0/../.."}, {"kind": "run"},
    {"kind": "mcts", "simulations": 10**9}, {"kind": "mcts", "simulations": 0}, {"kind": "mcts", "simulations": True},
    {"kind": "mcts", "simulations": 1.5}, {"kind": "mcts", "target": "/etc"}, {"kind": "random", "path": "/etc"},
    "mcts", None,
])  # fmt: skip
def test_seats_hold_numbers_in_their_range_only(client, seat):
    answer = client.post("/api/games", json={"game": "tic_tac_toe", "seats": [HUMAN, seat]})
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize("name", [
    "os:connect_four", "my_games:countdown", "no_such_game", "connect_four(rows=", "tic_tac_toe\x00",
    "hex(board_size=0)", "go(board_size=99)", "connect_four(rows=1000000)", "hex(board_size=180)",
    "go(board_size=/etc)", "a" * 200, "kuhn_poker",
])  # fmt: skip
def test_games_of_requests_import_nothing_and_have_bounds(client, name):
    refused(client, "/api/games", {"game": name, "seats": [HUMAN, HUMAN]})


def test_a_number_is_no_text_and_a_field_comes_once(client):
    state = begin(client, "tic_tac_toe", HUMAN, HUMAN)
    path = f"/api/games/{state['id']}"
    assert "whole number" in refused(client, f"{path}/move", {"ply": 0, "action": "4"})
    assert client.get(path).json() == state
    for query in ("/api/game?name=hex&name=go", "/api/replay?tournament=0&run=0&shard=0&number=0"):
        answer = client.get(query)
        assert answer.status_code == 400 and "\n" not in answer.json()["error"]


def test_solvers_that_take_minutes_are_not_started(client):
    for game in ("connect_four", "hex(board_size=5)", "chess"):
        assert "too large" in refused(client, "/api/games", {"game": game, "seats": [HUMAN, {"kind": "solver"}]})


# Garbage.

WORDS = [
    "",
    "\x00",
    "a" * 5000,
    "\ud800",
    "💥" * 50,
    "../../etc/passwd",
    "%s%n",
    "<script>",
    "NaN",
    "1e999",
    "-1",
    "null",
]
NUMBERS = [0, 1, -1, 4, 10**30, -(10**30), 1.5, 2**63, 2**64]


def junk(rng: random.Random, depth: int = 0):
    """Any value that JSON has."""
    kind = rng.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rng.choice(WORDS)
    if kind == 1:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice([None, True, False])
    if kind == 3:
        return "".join(chr(rng.randrange(1, 0xD7FF)) for _ in range(rng.randrange(20)))
    if kind == 4:
        return rng.randrange(-5, 20)
    if kind == 5:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(5))]
    fields = ["ply", "action", "seats", "text", "player", "players", "moves", "game", "kind", "simulations", "run", "x"]
    return {rng.choice(fields): junk(rng, depth + 1) for _ in range(rng.randrange(5))}


def body(rng: random.Random) -> bytes:
    """A body that is JSON, nearly JSON, or not at all."""
    text = json.dumps(junk(rng)).encode()
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return text[: rng.randrange(len(text) + 1)]
    if kind == 2:
        return b"[" * rng.randrange(60_000)
    return text


def makes_sense(data: bytes) -> bool:
    """Whether it may be what a person wants by chance: a change at the right ply, or an empty object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and (not value or value.get("ply") == 1 or value.get("text") in list("012345678"))


ROUTES = ["move", "undo", "seats", "position", "hint", "stop", "compare", "nothing"]


@pytest.mark.parametrize("seed", range(8))
def test_garbage_changes_nothing(client, seed):
    rng = random.Random(seed)
    state = act(client, begin(client, "tic_tac_toe", HUMAN, HUMAN), "move", ply=0, action=4)
    path = f"/api/games/{state['id']}"
    for _ in range(150):
        route, data = rng.choice(ROUTES), body(rng)
        if makes_sense(data):
            continue
        answer = client.post(f"{path}/{route}", content=data, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (route, data[:200], answer.text)
        assert answer.json()["error"] and "\n" not in answer.json()["error"]
    for _ in range(50):
        answer = client.post("/api/games", content=body(rng), headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        query = {
            rng.choice(["run", "shard", "ply", "name", "revision", "number"]): rng.choice(WORDS).replace("\ud800", "?")[
                :500
            ]
        }
        answer = client.get(rng.choice(["/api/replay", "/api/shards", "/api/game", "/api/metrics", path]), params=query)
        assert answer.status_code < 500
    assert client.get(path).json() == state


@pytest.mark.parametrize("seed", range(4))
def test_moves_out_of_turn_change_nothing_while_a_player_thinks(client, seed, monkeypatch):
    search_without_end(monkeypatch)
    rng = random.Random(seed)
    state = begin(client, "connect_four", {"kind": "mcts", "simulations": 100_000}, HUMAN)
    for _ in range(40):
        move = {"ply": rng.randrange(3), "action": rng.choice([*range(9), -1])}
        answer = client.post(f"/api/games/{state['id']}/move", json=move)
        assert answer.status_code in (400, 409)
    now = client.get(f"/api/games/{state['id']}").json()
    assert now["ply"] == 0 and now["busy"]
    assert settled(client, act(client, state, "seats", seats=[HUMAN, HUMAN]))["ply"] == 0


def test_requests_at_the_same_time_leave_a_game_that_could_have_been(client):
    """Threads play random moves, take back and swap in one game; its moves must be legal from the start."""
    from concurrent.futures import ThreadPoolExecutor

    state = begin(client, "tic_tac_toe", HUMAN, RANDOM)
    path = f"/api/games/{state['id']}"

    def work(seed: int) -> set[int]:
        rng, seen = random.Random(seed), set()
        for _ in range(40):
            now = client.get(path).json()
            what, value = rng.choice([
                ("move", {"ply": now["ply"], "action": rng.randrange(9)}), ("undo", {"ply": now["ply"]}),
                ("seats", {"seats": rng.sample([HUMAN, RANDOM], 2)}), ("hint", {"ply": now["ply"], "player": RANDOM}),
            ])  # fmt: skip
            seen.add(client.post(f"{path}/{what}", json=value).status_code)
        return seen

    with ThreadPoolExecutor(4) as threads:
        codes = set().union(*threads.map(work, range(4)))
    assert codes <= {200, 400, 409}
    end = settled(client, state)
    fresh = begin(client, "tic_tac_toe", HUMAN, HUMAN)
    text = " ".join(text for _, text in end["moves"])
    if text:
        fresh = act(client, fresh, "position", text=text)
    assert fresh["position"] == end["position"] and fresh["ply"] == end["ply"]


def raw_requests(rng: random.Random, host: str) -> bytes:
    """Bytes that a server may get: noise, requests that break off, headers without end, bodies of another length."""
    lines = ["POST /api/games HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Content-Type: application/json"]
    head = "\r\n".join([*lines, ""]).encode()
    return rng.choice([
        rng.randbytes(rng.randrange(1, 3000)),
        b"\x00" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        head + b"Content-Length: 5\r\n\r\n" + rng.randbytes(5),
        head + b"Content-Length: 99999999999\r\n\r\n" + b"{" * 100_000,
        head + b"Content-Length: -1\r\n\r\n{}",
        head + b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n" + rng.randbytes(100),
        head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        head[: rng.randrange(len(head))],
    ])  # fmt: skip


def test_noise_on_the_wire_leaves_the_server_answering():
    import http.client
    import socket

    rng = random.Random(0)
    with served() as address:
        host = address.removeprefix("http://").rstrip("/")
        name, port = host.split(":")
        for _ in range(60):
            with socket.create_connection((name, int(port))) as connection:
                try:
                    connection.sendall(raw_requests(rng, host))
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass  # the server has hung up
        answering = http.client.HTTPConnection(name, int(port))
        answering.request("GET", "/api/setup")
        assert answering.getresponse().status == 200
        answering.close()


IN_TORCH = """
import sys, threading, torch
import selfplay.commands.serve as serve
def warm_up():
    x = torch.ones(600, 600)
    while True:
        x = x @ x / 600
serve.warm_up = warm_up
from selfplay.cli import main
sys.argv[1:] = ["serve", "--port", "0"]
sys.exit(main())
"""


def test_ctrl_c_ends_the_server_even_while_a_thread_is_in_the_middle_of_torch():
    """The interpreter's own end aborts the process there: "terminate called without an active exception"."""
    import http.client
    import signal

    command = [sys.executable, "-c", IN_TORCH]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        address = re.search(r"http://(127\.0\.0\.1:\d+)/", process.stdout.readline())[1]
        connection = http.client.HTTPConnection(address)
        connection.request("GET", "/api/setup", headers={"Host": address})
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=BOUND_SECONDS)
        assert process.returncode == 0 and "Traceback" not in output, output
    finally:
        process.kill()


def test_ctrl_c_ends_the_server_even_while_a_player_thinks():
    import http.client
    import signal

    process = start("serve", "--port", "0")
    try:
        address = re.search(r"http://(127\.0\.0\.1:\d+)/", process.stdout.readline())[1]
        value = json.dumps({"game": "connect_four", "seats": [{"kind": "mcts", "simulations": 100_000}, HUMAN]})
        headers = {"Origin": f"http://{address}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(address)
        connection.request("POST", "/api/games", value, headers)
        assert json.load(connection.getresponse())["busy"]
        connection.close()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=BOUND_SECONDS)
        assert process.returncode == 0 and "Traceback" not in output, output
    finally:
        process.kill()


# The command.


def test_a_taken_port_is_one_line():
    with listen("127.0.0.1", 0) as taken:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(taken))
        with pytest.raises(UserError, match="name another with --host or --port"):
            listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UserError, match="cannot listen on no.such.host"):
        listen("no.such.host.invalid", 0)


def test_the_next_free_port_takes_the_place_of_a_taken_one():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with listen("127.0.0.1", port, tries=50) as found:
            assert port < found.getsockname()[1] < port + 50
    with pytest.raises(UserError, match="cannot listen on no.such.host"):
        listen("no.such.host.invalid", 8000, tries=50)


@pytest.mark.parametrize(("display", "folders", "opens"), [(":0", [], True), ("", [], False), (":0", ["run"], False)])
def test_serve_alone_opens_the_browser_where_there_is_a_display(tmp_path, monkeypatch, capsys, display, folders, opens):
    make_run(tmp_path / "run", with_games=False)
    opened, asked = [], []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: asked.extend(sockets))
    assert cli.main(["serve", *folders]) == 0
    printed = capsys.readouterr().out
    assert re.fullmatch(r"selfplay is at http://127\.0\.0\.1:8\d\d\d/ \(Ctrl-C stops it\)\n", printed)
    assert len(asked) == 1 and [f"selfplay is at {address} (Ctrl-C stops it)\n" for address in opened] == (
        [printed] if opens else []
    )


def test_serve_refuses_folders_that_are_no_runs(tmp_path, capsys):
    assert cli.main(["serve", str(tmp_path), "--port", "0"]) == cli.BAD_INPUT
    assert "is not the folder of a run" in capsys.readouterr().err


def test_setup_shows_the_runs_and_no_paths(tmp_path):
    run = make_run(tmp_path / "secret" / "run", with_games=False)
    with page(run) as found:
        setup = found.get("/api/setup")
        assert [entry["name"] for entry in setup.json()["runs"]] == ["run"] and "secret" not in setup.text


def test_runs_that_cannot_play_are_not_offered(tmp_path):
    environment, learned = tmp_path / "pole", tmp_path / "dqn"
    change_settings(make_run(environment, with_games=False), algorithm="dqn", environment="CartPole-v1")
    change_settings(make_run(learned, with_games=False), algorithm="dqn")
    with page(environment, learned) as found:
        runs = found.get("/api/setup").json()["runs"]
        assert [(bool(run["versions"]), run["searches"]) for run in runs] == [(False, False), (True, False)]
        for number, kind, complaint in ((0, "net", "which is no game"), (1, "run", "no policy for a search")):
            seats = [HUMAN, {"kind": kind, "run": number}]
            assert complaint in refused(found, "/api/games", {"game": "connect_four", "seats": seats})
