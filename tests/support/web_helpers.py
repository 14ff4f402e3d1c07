"""A small run, a small tournament and a client, for the tests of the page."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_helpers import wait_until
from starlette.testclient import TestClient

import games
import nets
from search import Search, SearchConfig
from search.perspective import num_values
from selfplay.algorithms.models import network_models
from selfplay.config import reader
from selfplay.config.run import ActorsConfig, Config
from selfplay.experience.records import GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.players.search import SearchPlayer
from selfplay.storage import checkpoint
from selfplay.storage.files import seal
from selfplay.storage.metrics import MetricsWriter
from selfplay.storage.run_folder import RunFolder
from selfplay.training.run_state import save_games
from selfplay.web.app import make_app
from selfplay.web.library import Library
from selfplay.web.server import address_of, listen, make_server

HOST = "http://127.0.0.1:8000"
HUMAN, RANDOM = {"kind": "human"}, {"kind": "random"}
VERSIONS = (3, 12)


def mcts(simulations: int = 20) -> dict[str, Any]:
    return {"kind": "mcts", "simulations": simulations}


def recorded_games(name: str, count: int = 3, opening_plies: int = 0, seed: int = 0) -> list[GameRecord]:
    """Finished games of self-play without a network."""
    game = games.load(name)

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(observations), game.num_actions)
        return np.zeros(shape, np.float32), np.zeros((len(observations), num_values(game)), np.float32)

    search = SearchConfig(num_simulations=4, cache_megabytes=0)
    actors = ActorsConfig(games_per_actor=count, opening_plies=opening_plies)
    models = network_models(game, predict, 0)
    playing = SelfPlay(game, models, search, actors, np.random.default_rng(seed), endless=False)
    records = []
    while not playing.done:
        records += playing.collect()
    return records


def make_run(path: Path, name: str = "connect_four", opening_plies: int = 6, with_games: bool = True) -> Path:
    """A run with two untrained versions, a shard of three games, and two rows of metrics."""
    game = games.load(name)
    net = nets.NetConfig(channels=8, blocks=1, policy_channels=4, value_channels=4, value_hidden=8)
    settings = dataclasses.replace(Config(), game=game.name, net=net, actors=ActorsConfig(opening_plies=opening_plies))
    with RunFolder.create(path, "test") as folder:
        folder.config.write_text(reader.dump(settings))
        for version in VERSIONS:
            built = nets.build(net, game.observation_shape, game.num_actions, num_values(game), version)
            checkpoint.save(folder.checkpoints, checkpoint.Checkpoint(version, built.state_dict(), {}, {}))
        if with_games:
            records = recorded_games(name, opening_plies=opening_plies)
            save_games(folder, records)
        with MetricsWriter(folder.metrics) as writer:
            writer.write({"train/loss": 2.0, "selfplay/draw": 0.25}, step=10, positions=100, time_s=5.0)
            writer.write({"train/loss": float("nan"), "eval/score/random": 0.9}, step=20, positions=200, time_s=10.0)
    return path


def change_settings(run: Path, **settings: str) -> None:
    """Other settings in the config of a run."""
    path = run / "config.yaml"
    path.write_text(reader.dump(dataclasses.replace(reader.load(Config, path), **settings)))


def make_tournament(path: Path) -> Path:
    """A tournament of tic-tac-toe with two games, the second of them with an illegal move, and a torn line."""
    path.mkdir()
    players = ["random", "mcts:simulations=10"]
    settings = {"conditions": {"game": "tic_tac_toe"}, "names": {name: name for name in players}}
    (path / "tournament.json").write_bytes(seal({"version": 1, **settings}) + b"\n")
    lines = [
        json.dumps({"players": players, "moves": [4, 0, 3, 1, 5], "returns": [1.0, -1.0], "forfeit": ""}),
        json.dumps({"players": players[::-1], "moves": [4, 4], "returns": [0.0, 0.0], "forfeit": "random: illegal"}),
        '{"players": ["a"',
    ]
    (path / "games.jsonl").write_text("\n".join(lines))
    return path


@contextmanager
def page(*folders: Path) -> Iterator[TestClient]:
    """A client of a page that shows `folders`; mistakes of the server are raised here."""
    with TestClient(make_app(Library(folders), seed=1), base_url=HOST, headers={"Origin": HOST}) as client:
        yield client


@contextmanager
def served(*folders: Path) -> Iterator[str]:
    """The address of a page on a port of its own, served by a thread."""
    with listen("127.0.0.1", 0) as listener:
        server = make_server(make_app(Library(folders), seed=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started, "the server starts")
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()


def begin(client: TestClient, game: str, *seats: dict[str, Any], moves: list[int] | None = None) -> dict[str, Any]:
    """A new game; returns its state."""
    answer = client.post("/api/games", json={"game": game, "seats": list(seats), "moves": moves or []})
    assert answer.status_code == 200, answer.text
    return answer.json()


def act(client: TestClient, state: dict[str, Any], what: str, **fields: Any) -> dict[str, Any]:
    """A change that must work; returns the state after it."""
    answer = client.post(f"/api/games/{state['id']}/{what}", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, path: str, value: Any, status: int = 400) -> str:
    """A change that must be turned down; returns the one line that says why."""
    answer = client.post(path, json=value)
    assert answer.status_code == status, (answer.status_code, answer.text)
    message = answer.json()["error"]
    assert message and "\n" not in message
    return message


def settled(client: TestClient, state: dict[str, Any]) -> dict[str, Any]:
    """The whole state once nobody thinks any more."""
    found: dict[str, Any] = {}

    def quiet() -> bool:
        found.update(client.get(f"/api/games/{state['id']}").json())
        return not found["busy"]

    wait_until(quiet, "the players think")
    return found


def search_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of the page make a few simulations and then none, and are never done: only a stop ends them."""

    class Endless:
        def __init__(self, search: Search) -> None:
            self._search, self._left = search, 8

        def simulate(self, trees: np.ndarray) -> int:
            if self._left:
                self._left -= 1
                return self._search.simulate(trees)
            threading.Event().wait(0.001)  # leaves the interpreter to the requests
            return 0

        def finished(self, trees: np.ndarray) -> np.ndarray:
            return np.zeros(len(trees), np.bool_)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._search, name)

    begin = SearchPlayer.begin
    monkeypatch.setattr(
        SearchPlayer, "begin", lambda player, pool, slot, most: Endless(begin(player, pool, slot, most))
    )
