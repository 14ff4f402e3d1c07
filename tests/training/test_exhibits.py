"""What W&B shows of evaluations: a table of games with pictures, a film of an episode, the commit of the code."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from no_wandb import forget_wandb
from PIL import Image
from run_helpers import CART_POLE, Watcher, tiny_config
from wandb_file import offline_runs

import games
import selfplay
from selfplay.config.run import Config
from selfplay.drawings.boards import last_cells, look_at
from selfplay.drawings.pictures import as_png
from selfplay.tournament.store import Conditions, TournamentFolder
from selfplay.tournament.tournament import TournamentPlan, play_tournament
from selfplay.training.exhibits import COLUMNS, Exhibits, show_games, shown
from selfplay.training.wandb_worker import commit_of


def picture(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def after(name: str, moves: list[int]) -> bytes:
    pool = games.load(name).new_pool(1)
    slots = np.zeros(1, np.int64)
    pool.reset(slots)
    for move in moves:
        pool.step(slots, np.array([move]), slots)
    return as_png(look_at(pool, 0))


@pytest.mark.parametrize("name", ["connect_four", "othello", "hex", "go(board_size=5)", "chess", "tic_tac_toe", "2048"])
def test_a_move_is_seen_where_it_was_made(name: str) -> None:
    pool = games.load(name).new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    before = picture(after(name, []))
    move = int(pool.legal(np.zeros(1, np.int64))[1][0]) if name != "2048" else 0
    changed = picture(after(name, [move]))
    assert before.shape == changed.shape and 0 < max(before.shape[:2]) <= 1000
    differs = (before != changed).any(axis=2)
    assert 0 < differs.mean() < 0.2
    rows, columns = np.nonzero(differs)
    if name == "connect_four":  # the first column, and the lowest row
        assert columns.max() < before.shape[1] / 3 and rows.min() > before.shape[0] / 2


@pytest.mark.parametrize(
    ("name", "moves"), [("connect_four", [3, 0]), ("go(board_size=5)", [12, 0]), ("hex(board_size=5)", [12, 0])]
)
def test_the_last_move_is_marked_where_it_was_made(name: str, moves: list[int]) -> None:
    game = games.load(name)
    pool, slots = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(slots)
    for move in moves:
        pool.step(slots, np.array([move]), slots)
    view = look_at(pool, 0)
    plain, marked = picture(as_png(view)), picture(as_png(view, last_cells(game, moves, view)))
    rows, columns = np.nonzero((plain != marked).any(axis=2))
    assert rows.size and np.ptp(rows) < plain.shape[0] / 3 and columns.max() < plain.shape[1] / 3


def test_the_cells_that_won_are_framed() -> None:
    won, open_game = after("tic_tac_toe", [0, 3, 1, 4, 2]), after("tic_tac_toe", [0, 3, 1, 4, 8])
    green = [(picture(one) == [0x1F, 0x8A, 0x4C]).all(axis=2).any() for one in (won, open_game)]
    assert green == [True, False]


def test_a_game_without_a_drawing_is_shown_as_text() -> None:
    shown_text = picture(after("pig", []))
    assert (shown_text < 128).any() and (shown_text == 255).any()


def test_games_of_an_evaluation_are_a_table_with_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_wandb(monkeypatch, tmp_path)
    run = tmp_path / "run"
    opponents = ["--evaluation.opponents", "random", "uniform:simulations=2", "--evaluation.final_games", "6"]
    selfplay.train(tiny_config(tmp_path, "--wandb.mode", "offline", "--budget.steps", "2", *opponents), run, Watcher())
    (offline,) = offline_runs(run)
    assert offline.run.git.commit == (commit_of(str(Path(selfplay.__file__).parents[1])) or "")
    (row,) = [row for row in offline.rows if "eval/games/path" in row]
    assert row["eval/goal"] is not None, "the table belongs to the row of the evaluation"
    entries = [entry for artifact in offline.artifacts for entry in artifact.manifest.contents]
    files = {entry.path: Path(entry.local_path) for entry in entries}
    assert all(path.is_relative_to(run.resolve()) for path in files.values())
    table = json.loads(files["eval/games.table.json"].read_text())
    assert table["columns"] == list(COLUMNS)
    assert [one[:2] for one in table["data"]] == [[2, "random"], [2, "uniform:simulations=2"]] * 4
    game = games.load("tic_tac_toe")
    for *_, plies, moves, image in table["data"]:
        assert len(moves.split()) == plies
        pool, slots, history = game.new_pool(1), np.zeros(1, np.int64), []
        pool.reset(slots)
        for text in moves.split():
            legal = pool.legal(slots)[1].tolist()
            move = next(one for one in legal if pool.action_text(0, one) == text)
            pool.step(slots, np.array([move]), slots)
            history.append(move)
        view = look_at(pool, 0)
        assert files[image["path"]].read_bytes() == as_png(view, last_cells(game, history, view))
    assert not list((run / "wandb" / "exhibits").iterdir())


def test_an_episode_is_a_film(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_wandb(monkeypatch, tmp_path)
    (tmp_path / "film.yaml").write_text(CART_POLE)
    run = tmp_path / "run"
    words = ["--wandb.mode", "offline"]
    selfplay.train(selfplay.load_config(Config, tmp_path / "film.yaml", words), run, Watcher())
    (offline,) = offline_runs(run)
    (film,) = [row["eval/film/path"] for row in offline.rows if "eval/film/path" in row]
    (folder,) = run.glob("wandb/offline-run-*")
    assert b"ftyp" in (folder / "files" / film).read_bytes()[:16]
    assert not list((run / "wandb" / "exhibits").iterdir())


def test_nothing_is_made_where_wandb_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_wandb(monkeypatch, tmp_path)
    words = ["--wandb.mode", "disabled", "--budget.steps", "2", "--evaluation.opponents", "random"]
    selfplay.train(tiny_config(tmp_path, *words), tmp_path / "run", Watcher())
    assert not (tmp_path / "run" / "wandb").exists()


def test_an_exhibit_that_fails_is_a_note() -> None:
    notes: list[str] = []

    def fail() -> Exhibits:
        raise OSError("no room")

    assert shown(fail, notes) == Exhibits()
    assert notes == ["W&B gets no games or film of this evaluation (OSError: no room)"]


def test_the_commit_is_that_of_the_code_and_of_no_repository_around_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    assert commit_of(str(tmp_path)) is None
    git("init", "-q")
    assert commit_of(str(tmp_path)) is None
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert commit_of(str(tmp_path)) == git("rev-parse", "HEAD").strip()
    (tmp_path / "site-packages").mkdir()
    assert commit_of(str(tmp_path / "site-packages")) is None


def test_games_of_one_player_are_shown_as_far_as_the_run_played_them(tmp_path: Path) -> None:
    """`tuple.index(x): x not in tuple`: the opponent plays alone too, and no seat of its games is the run's."""
    plan = TournamentPlan(("random", "random:seed=2"), "gauntlet", 4)
    folder = TournamentFolder(tmp_path / "games", Conditions("catch", seed=0))
    outcome = play_tournament(folder, plan, processes=0)
    folder.close()
    exhibits = show_games(games.load("catch"), outcome, 7, tmp_path)
    assert [row[:3] for row in exhibits.games] == [(7, "random:seed=2", 1)] * 2
