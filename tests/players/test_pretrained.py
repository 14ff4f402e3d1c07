"""Players that come with the program: `pretrained:GAME` plays as the run did that it was taken from."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exact_player import move_values
from run_helpers import ROOT, Watcher, tiny_config

import games
import selfplay
from selfplay import cli
from selfplay.errors import UserError
from selfplay.evaluation.match import play_match
from selfplay.players import pretrained
from selfplay.players.kinds import parse_player, read_player
from selfplay.shipped import pretrained_runs
from selfplay.storage import checkpoint
from selfplay.storage.files import digest
from selfplay.storage.run_folder import CARD

sys.path.insert(0, str(ROOT / "benchmarks"))  # where the script finds its neighbours
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "pretrained.py"))
sys.path.pop(0)
TIC_TAC_TOE = games.load("tic_tac_toe")
FIGURES = {"what", "command"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run."""
    folder = tmp_path_factory.mktemp("run")
    selfplay.train(tiny_config(folder, "--budget.steps", "4"), folder / "run", Watcher())
    return folder / "run"


@pytest.fixture
def shipped(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The network of the run as one that comes with the program, the only one."""
    folder = SCRIPT["take_out"](run, tmp_path / "pretrained" / "oxo", {"command": "selfplay train tiny"})
    monkeypatch.setattr(pretrained, "pretrained_runs", lambda: {"oxo": folder})
    return folder


def moves_of(text: str) -> list[tuple[int, ...]]:
    player = parse_player(text, TIC_TAC_TOE, seed=3)
    try:
        result = play_match(TIC_TAC_TOE, player, parse_player("random", TIC_TAC_TOE, seed=4), 20, 5)
    finally:
        player.close()
    return [tuple(record.moves) for record in result.records]


def test_it_plays_as_the_run_that_it_was_taken_from(shipped: Path, run: Path) -> None:
    assert moves_of("pretrained:oxo:simulations=8") == moves_of(f"run:{run}:simulations=8")


def test_it_is_known_by_its_weights_and_named_by_its_game(shipped: Path, run: Path) -> None:
    spec, own = read_player("pretrained:oxo:simulations=8"), read_player(f"run:{run}:simulations=8")
    assert spec.identity.partition(":")[2] == own.identity.partition(":")[2]
    assert spec.game == "tic_tac_toe" and spec.name == "pretrained:oxo:simulations=8"
    player = spec.make_player(TIC_TAC_TOE)
    assert player.name == "pretrained:oxo:simulations=8"
    player.close()
    usual = read_player("pretrained:oxo").make_player(TIC_TAC_TOE)
    assert usual.name == "pretrained:oxo:simulations=100"  # that of the run's evaluation
    usual.close()


def test_a_game_with_the_same_rules_names_it_too(shipped: Path) -> None:
    assert read_player("pretrained:tic_tac_toe").run == str(shipped)
    assert pretrained.pretrained_names() == {TIC_TAC_TOE.rules: "oxo"}


@pytest.mark.parametrize("target", ["nowhere", "connect_four", "../oxo", "oxo@4", "tic_tac_toe("])
def test_another_game_is_one_line_that_lists_those_that_there_are(shipped: Path, target: str) -> None:
    with pytest.raises(UserError, match=r"pretrained: no network for '.*' comes with selfplay; there are oxo$"):
        _ = read_player(f"pretrained:{target}").game


def test_a_match_against_it_needs_no_game(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["match", "pretrained:oxo:simulations=2", "random", "--games", "4"]) == 0
    assert capsys.readouterr().out.startswith("pretrained:oxo:simulations=2 against random: tic_tac_toe, 4 games")
    assert cli.main(["match", "pretrained", "random", "--games", "4"]) == 2
    assert "GAME is missing" in capsys.readouterr().err


def test_nothing_can_go_on_from_it(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(shipped.rglob("*"))
    assert cli.main(["resume", str(shipped)]) == 2
    assert "nothing to go on from; start a run with `selfplay train CONFIG --init" in capsys.readouterr().err
    assert sorted(shipped.rglob("*")) == before


def test_it_takes_the_place_of_an_earlier_one_and_says_how_it_was_made(shipped: Path, run: Path) -> None:
    newest = checkpoint.versions(run / "checkpoints")[-1]
    SCRIPT["take_out"](run, shipped, {"command": "another"})
    assert checkpoint.versions(shipped / "checkpoints") == [newest]
    card = json.loads((shipped / CARD).read_text())
    assert card["made"]["command"] == "another" and card["made"]["steps"] == newest
    assert card["made"]["positions"] > 0


class Weak:
    """Always the legal move with the lowest number."""

    name = "weak"

    def choose(self, pool: games.StatePool, slots: np.ndarray, histories: Any) -> np.ndarray:
        offsets, actions = pool.legal(slots)
        return actions[offsets[:-1]]

    def close(self) -> None:
        pass


class Exact(Weak):
    """Always a best move."""

    def choose(self, pool: games.StatePool, slots: np.ndarray, histories: Any) -> np.ndarray:
        values = [move_values(history) for history in histories]
        return np.array([max(value, key=value.__getitem__) for value in values])


def test_every_reply_is_tried() -> None:
    for seat in (0, 1):
        lost, finished = SCRIPT["lost_games"](Exact(), TIC_TAC_TOE, seat)
        assert lost == 0 and finished > 50
        assert SCRIPT["lost_games"](Weak(), TIC_TAC_TOE, seat)[0] > 0


@pytest.mark.parametrize("name", sorted(pretrained_runs()))
def test_the_networks_that_come_with_the_program_are_what_their_cards_say(name: str) -> None:
    folder = pretrained_runs()[name]
    card, recipe = json.loads((folder / CARD).read_text()), SCRIPT["RECIPES"][name]
    (version,) = checkpoint.versions(folder / "checkpoints")
    weights = (folder / "checkpoints" / f"{version:08d}" / checkpoint.WEIGHTS).read_bytes()
    assert card["weights"] == {"bytes": len(weights), "sha256": digest(weights)}
    assert len(weights) < 2_000_000
    assert card["made"]["steps"] == version and len(card["made"]["commit"]) == 40
    assert card["made"]["command"] == f"selfplay {' '.join(recipe.training(Path('RUN')))}"
    assert card["measured"] and all(set(figure) > FIGURES for figure in card["measured"])
    game = games.load(read_player(f"pretrained:{name}").game or "")
    player = parse_player(f"pretrained:{name}:simulations=4", game, seed=1)
    result = play_match(game, player, parse_player("random", game, seed=2), 8, 3)
    player.close()
    assert result.score >= 0.75  # a broken file loses half of them


@pytest.mark.skipif("tic_tac_toe" not in pretrained_runs(), reason="it does not come with the program")
def test_the_shipped_player_of_tic_tac_toe_never_loses() -> None:
    player = parse_player("pretrained:tic_tac_toe:simulations=32", TIC_TAC_TOE, seed=0)
    for seat in (0, 1):
        lost, finished = SCRIPT["lost_games"](player, TIC_TAC_TOE, seat)
        assert lost == 0 and finished > 50
    player.close()
