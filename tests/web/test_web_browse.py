"""Looking at runs and tournaments: games are followed from their start, nothing in the folders changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import old_records
import pytest
from record_helpers import facts
from run_helpers import wait_until
from web_helpers import VERSIONS, change_settings, make_run, make_tournament, page, recorded_games

import games
from games import Game
from search.perspective import num_values
from selfplay.errors import UserError
from selfplay.experience.records import GameRecord, TargetRecord, from_arrays
from selfplay.experience.targets import TargetSettings
from selfplay.storage.metrics import METRICS
from selfplay.web.browse import blunders
from selfplay.web.curves import Curves
from selfplay.web.films import Films
from selfplay.web.library import Library
from selfplay.web.panels import LOSSES, PLAY, REST, STRENGTH, panels_of
from selfplay.web.retrace import retrace
from selfplay.web.table import Table


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    path = tmp_path_factory.mktemp("folders")
    return make_run(path / "run"), make_tournament(path / "cup")


@pytest.fixture
def client(folders):
    with page(*folders) as found:
        yield found


def observed(table: Table) -> np.ndarray:
    out = np.empty((1, *table.game.observation_shape), np.float32)
    table.pool.observe(np.zeros(1, np.int64), out)
    return out[0]


GAMES = [
    ("tic_tac_toe", 0),
    ("connect_four", 6),
    ("othello", 3),
    ("hex(board_size=4)", 4),
    ("pig(winscore=15)", 0),
    ("nim", 2),
]


def with_targets(record: GameRecord, game: Game) -> TargetRecord:
    """The same game as an older version has recorded it."""
    row = old_records.with_targets(record, TargetSettings(num_values(game))).arrays()
    found = from_arrays(row)
    assert isinstance(found, TargetRecord)
    return found


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize(("name", "opening_plies"), GAMES)
def test_recorded_games_are_followed_from_the_start(name, opening_plies, is_old):
    game = games.load(name)
    for record in recorded_games(name, 4, opening_plies):
        found = retrace(game, with_targets(record, game) if is_old else record, opening_plies)
        assert found.complaint == "" and len(found.notes) == len(record)
        assert found.opening <= opening_plies or game.max_chance_outcomes
        for t, (ply, noted) in enumerate(sorted(found.notes.items())):
            assert np.array_equal(observed(Table(game, found.moves[:ply])), record.observation[t])
            assert noted.action == found.moves[ply] == record.action[t]
            assert noted.value == pytest.approx(record.root_value[t, record.to_play[t]], abs=1e-6)
            assert abs(sum(share for _, share in noted.policy) - 1) < 1e-5
        if not is_old:
            assert list(found.moves) == sum(record.history(), [])


def test_an_opening_that_cannot_be_found_is_said_to_be_missing():
    game = games.load("connect_four")
    record = next(r for r in recorded_games("connect_four", 8, opening_plies=6) if len(r.opening) > 1)
    floating = replace(record, observation=np.roll(record.observation, 1, axis=2))  # discs above an empty row
    assert "opening of this game was not recorded" in retrace(game, with_targets(floating, game), 6).complaint


def test_a_recorded_position_that_is_not_that_of_the_moves_is_said():
    """The rules may have changed since."""
    game = games.load("connect_four")
    record = next(r for r in recorded_games("connect_four", 8, opening_plies=6) if len(r.opening) > 1)
    found = retrace(game, replace(record, observation=np.roll(record.observation, 1, axis=2)), 6)
    assert found.complaint == "the position before recorded move 1 is not the one that was recorded"
    assert list(found.moves) == record.opening.tolist() and not found.notes
    found = retrace(game, replace(record, opening=np.append(record.opening, 99).astype(np.int32)), 6)
    assert found.complaint.startswith("the opening: ") and "illegal move 99" in found.complaint


@pytest.mark.parametrize("is_old", [False, True])
def test_a_record_with_an_illegal_move_is_followed_up_to_it(is_old):
    game, (record,) = games.load("tic_tac_toe"), recorded_games("tic_tac_toe", 1)
    record = replace(record, action=np.concatenate([record.action[:1], record.action[:1], record.action[2:]]))
    found = retrace(game, with_targets(record, game) if is_old else record, 0)
    assert "recorded move 2: " in found.complaint and "illegal move" in found.complaint and len(found.moves) == 1


def test_games_of_a_run_are_listed_and_stepped_through(client):
    assert client.get("/api/shards", params={"run": 0}).json() == {"shards": [0]}
    listed = client.get("/api/shards", params={"run": 0, "shard": 0}).json()["games"]
    assert [entry["number"] for entry in listed] == [0, 1, 2]
    first = client.get("/api/replay", params={"run": 0, "shard": 0, "number": 0, "ply": 0}).json()
    assert first["ply"] == 0 and first["complaint"] == "" and len(first["values"]) == listed[0]["length"]
    assert len(first["moves"]) == listed[0]["length"] + first["opening"] and first["title"] == "run, shard 0, game 0"
    searched = client.get("/api/replay", params={"run": 0, "shard": 0, "number": 0, "ply": first["opening"]}).json()
    assert searched["noted"]["version"] == 0 and searched["noted"]["action"] == first["actions"][first["opening"]]
    last = client.get("/api/replay", params={"run": 0, "shard": 0, "number": 0, "ply": len(first["moves"])}).json()
    assert last["noted"] is None and last["result"]
    assert client.get("/api/replay", params={"run": 0, "shard": 0, "number": 0}).json() == last


def test_blunders_are_moves_after_which_the_value_fell_for_who_made_them():
    mine = np.array([0.2, 0.1, -0.5, -0.6, 0.3, 0.4])  # of player 0, before each move
    made = facts(
        6,
        to_play=np.array([0, 1, 0, 1, 0, 1], np.int32),
        root_value=np.stack([mine, -mine], axis=1),
        opening=np.array([4, 5], np.int32),
    )
    # Move 1 is player 1's, who gains 0.6. Move 3 is player 1's, who loses 0.9. No move of player 0 loses half a point.
    assert blunders(made) == [2 + 3]
    with_chance = replace(made, chance=np.array([0, 0], np.int32), chance_count=np.array([1, 0, 1, 0, 0, 0], np.int32))
    assert blunders(with_chance) == [2 + 3 + 2]
    lucky = replace(made, chance=np.zeros(1, np.int32), chance_count=np.array([0, 0, 0, 1, 0, 0], np.int32))
    assert blunders(lucky) == [], "chance came between"
    assert blunders(facts(3, players=1, root_value=np.array([[1.0], [0.0], [0.0]]))) == []


def test_games_of_a_tournament(client):
    listed = client.get("/api/tournament", params={"tournament": 0}).json()
    assert listed["total"] == 2 and [entry["length"] for entry in listed["games"]] == [5, 2]
    won = client.get("/api/replay", params={"tournament": 0, "number": 0, "ply": 5}).json()
    assert won["result"] == "x won." and won["players"] == ["random", "mcts:simulations=10"]
    broken = client.get("/api/replay", params={"tournament": 0, "number": 1, "ply": 1}).json()
    assert "illegal move" in broken["complaint"] and len(broken["moves"]) == 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("shards", {"run": 1}), ("shards", {"run": 0, "shard": 7}), ("tournament", {"tournament": 3}),
        ("replay", {"run": 0, "shard": 0, "number": 3}), ("replay", {"run": 0, "shard": 0, "number": 0, "ply": 99}),
        ("replay", {"tournament": 0, "number": 2}), ("metrics", {"run": 2}),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client, path, query):
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == 404 and answer.json()["error"]


def test_looking_changes_no_file(folders, client):
    def sums():
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()
        }  # fmt: skip

    before = sums()
    test_games_of_a_run_are_listed_and_stepped_through(client)
    test_games_of_a_tournament(client)
    client.get("/api/metrics", params={"run": 0})
    assert sums() == before


def test_a_damaged_shard_is_left_where_it_is(tmp_path):
    run = make_run(tmp_path / "run")
    shard = run / "games" / "00000000.npz"
    shard.write_bytes(shard.read_bytes()[:100])
    with page(run) as client:
        answer = client.get("/api/shards", params={"run": 0, "shard": 0})
        assert answer.status_code == 400 and "cannot be read" in answer.json()["error"]
    assert shard.exists()


def test_episodes_of_an_environment_are_not_taken_for_games(tmp_path):
    run = make_run(tmp_path / "run")
    change_settings(run, environment="CartPole-v1")
    with page(run) as client:
        assert client.get("/api/shards", params={"run": 0}).json() == {"shards": []}
        answer = client.get("/api/shards", params={"run": 0, "shard": 0})
        assert answer.status_code == 404 and "CartPole-v1" in answer.json()["error"]


def test_curves_have_names_units_and_gaps(client):
    found = client.get("/api/metrics", params={"run": 0}).json()
    assert found["rows"] == 2 and found["series"]["step"] == [10, 20]
    assert found["series"]["train/loss"] == [2.0, None] and found["series"]["eval/score/random"] == [None, 0.9]
    assert found["meaning"]["selfplay/draw"] == ["share", "games drawn"]
    assert "OPPONENT" in found["meaning"]["eval/score/random"][1]


def test_curves_are_in_plots_with_titles_strength_first():
    names = [
        "time/waiting", "selfplay/draw", "train/loss", "train/value_loss", "eval/elo", "eval/elo_low", "eval/elo_high",
        "eval/score/random", "eval/score/mcts:simulations=1_0", "selfplay/positions_per_second",
    ]  # fmt: skip
    found = panels_of(names, {"eval/elo": ["Elo, random = 0", "a rating"]})
    assert [panel["title"] for panel in found] == [
        "Rating", "Score against each opponent", "Loss that is minimised", "Parts of the loss", "Positions a second",
        "Results of games", "Waiting",
    ]  # fmt: skip
    assert [panel["section"] for panel in found][::3] == [STRENGTH, LOSSES, REST]
    rating, scores = found[:2]
    assert rating["band"] == ["eval/elo_low", "eval/elo_high"] and rating["unit"] == "Elo, random = 0"
    assert [line["label"] for line in scores["lines"]] == ["random", "mcts:simulations=1_0"] and scores["is_share"]
    drawn = [line["name"] for panel in found for line in panel["lines"]] + rating["band"]
    assert sorted(drawn) == sorted(names), "each name is drawn once"


def test_a_rating_without_its_interval_has_no_band():
    (found,) = panels_of(["eval/elo"], {})
    assert found["band"] is None


def test_returns_are_strength_in_an_environment():
    names = ["train/loss", "selfplay/return", "eval/return"]
    sections = [[panel["section"] for panel in panels_of(names, {}, is_one)] for is_one in (False, True)]
    assert sections == [[STRENGTH, LOSSES, PLAY], [STRENGTH, STRENGTH, LOSSES]]


def test_every_metric_is_in_a_plot():
    names = [name for name in METRICS if not name.isupper()]
    drawn = panels_of(names, {})
    shown = {line["name"] for panel in drawn for line in panel["lines"]}
    assert shown | {name for panel in drawn for name in panel["band"] or ()} == set(names)


def test_a_film_is_made_once_and_sent_in_parts(tmp_path, monkeypatch):
    run = make_run(tmp_path / "pole", with_games=False)
    change_settings(run, environment="CartPole-v1", algorithm="dqn")
    asked = []

    def film(self, run, version, path):
        asked.append(version)
        path.write_bytes(b"0123456789")
        return 500.0

    monkeypatch.setattr(Films, "_film", film)
    with page(run, make_run(tmp_path / "four", with_games=False)) as client:
        assert client.get("/api/film", params={"run": 0}).json() == {"versions": list(VERSIONS), "film": None}
        assert client.get("/api/film.mp4", params={"run": 0, "version": 12}).status_code == 404
        for path, value in (("/api/film", {"run": 0, "version": 5}), ("/api/film", {"run": 1}), ("/api/film", {})):
            assert client.post(path, json=value).status_code == 400
        assert client.post("/api/film", json={"run": 7}).status_code == 404
        assert client.post("/api/film", json={"run": 0}).json()["version"] == VERSIONS[-1]
        wait_until(lambda: client.get("/api/film", params={"run": 0}).json()["film"]["state"] == "ready", "the film")
        client.post("/api/film", json={"run": 0})
        assert asked == [VERSIONS[-1]]
        assert client.get("/api/film", params={"run": 0}).json()["film"]["return"] == 500.0

        def part(wanted):
            query = {"run": 0, "version": 12}
            answer = client.get("/api/film.mp4", params=query, headers={"Range": wanted} if wanted else {})
            return answer.status_code, answer.content

        assert part("") == (200, b"0123456789") == part("bytes=x")
        assert part("bytes=2-4") == (206, b"234") and part("bytes=7-") == (206, b"789") == part("bytes=7-99")
        assert part("bytes=10-") == (416, b"")


def test_a_film_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    run = make_run(tmp_path / "pole", with_games=False)
    change_settings(run, environment="CartPole-v1", algorithm="dqn")
    program = "import sys; sys.stderr.write('noise\\nerror: no such thing\\n'); sys.exit(2)"
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: popen([sys.executable, "-c", program], **how))
    with page(run) as client:
        client.post("/api/film", json={"run": 0})
        wait_until(lambda: client.get("/api/film", params={"run": 0}).json()["film"]["state"] == "failed", "an end")
        assert client.get("/api/film", params={"run": 0}).json()["film"]["problem"] == "error: no such thing"


def test_a_run_that_goes_on_is_seen(tmp_path):
    run = make_run(tmp_path / "run", with_games=False)
    with page(run) as client:
        lock = run / "run.lock"
        lock.write_text(json.dumps({"pid": os.getpid()}))
        assert client.get("/api/metrics", params={"run": 0}).json()["is_running"] is True
        lock.write_text(json.dumps({"pid": 2**22 + 1}))  # more than Linux gives
        assert client.get("/api/metrics", params={"run": 0}).json()["is_running"] is False


def test_curves_follow_a_file_that_grows_and_one_that_begins_anew(tmp_path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    assert curves.as_json()["rows"] == 0
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3')
    assert curves.as_json()["series"]["step"] == [1, 2]
    with path.open("a") as file:
        file.write('}\nnot json\n{"step": 4}\n')
    assert curves.as_json()["series"]["step"] == [1, 2, 3, 4]
    path.write_text('{"step": 9}\n')
    assert curves.as_json()["series"]["step"] == [9]


def test_rows_that_a_resumed_run_has_undone_are_not_drawn(tmp_path):
    path = tmp_path / "metrics.jsonl"
    curves = Curves(path)
    path.write_text("".join(f'{{"step": {10 * i}, "positions": {i}, "time_s": {i}}}\n' for i in range(4)))
    assert curves.as_json()["series"]["step"] == [0, 10, 20, 30]
    with path.open("a") as file:
        file.write('{"step": 15, "positions": 2, "time_s": "now"}\n')
    assert curves.as_json()["series"]["step"] == [0, 10, 15]


def test_a_long_run_is_sent_in_few_points_with_all_its_evaluations(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [f'{{"step": {i}' + (', "eval/elo": 0.5' if i % 100 == 7 else "") + "}\n" for i in range(5000)]
    path.write_text("".join(rows))
    series = Curves(path).as_json()["series"]
    assert len(series["step"]) == 400 and series["step"][-1] == 4999
    assert sum(value is not None for value in series["eval/elo"]) == 50


def test_only_folders_of_runs_and_tournaments_are_taken(tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml"):
        Library([tmp_path])
    with pytest.raises(UserError, match="no such run"):
        Library([tmp_path / "nowhere"])
    (tmp_path / "tournament.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        Library([tmp_path])
