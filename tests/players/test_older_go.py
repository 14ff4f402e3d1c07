"""Runs that were trained when `go` was OpenSpiel's game."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from run_helpers import tiny_file

import games
import nets
from games.registry import earlier_meaning
from search.perspective import num_values
from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.players.trained import TrainedNetwork
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder

NET = nets.NetConfig(channels=4, blocks=1, policy_channels=2, value_channels=2, value_hidden=8)


def old_run(path: Path) -> Path:
    """A run as an older version left it: its name for the game means another one now."""
    game = games.load("openspiel:go(board_size=3)")
    with RunFolder.create(path, "test") as folder:
        settings = dataclasses.replace(Config(), game="go(board_size=3)", net=NET)
        folder.config.write_text(reader.dump(settings))
        weights = nets.build(NET, game.observation_shape, game.num_actions, num_values(game), 1).state_dict()
        checkpoint.save(folder.checkpoints, checkpoint.Checkpoint(1, weights, {}, {}))
        return folder.path


@pytest.mark.parametrize("game", [None, "go(board_size=3)", "go(board_size=3,komi=2.5)"])
def test_the_network_of_an_old_run_says_what_its_game_is_called_now(game: str | None, tmp_path: Path) -> None:
    run = old_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"needs `game: openspiel:go\(board_size=3\)` in .*config\.yaml") as caught:
        TrainedNetwork(str(run), games.load(game) if game else None, 8)
    assert "\n" not in str(caught.value)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("game: go(board_size=3)", "game: openspiel:go(board_size=3)"))
    network = TrainedNetwork(str(run), None, 8)
    assert network.game.name == "openspiel:go(board_size=3)"
    network.close()


def test_resuming_an_old_run_says_so_and_leaves_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, game = tmp_path / "run", "openspiel:go(board_size=3)"
    settings = ["--game", game, "--budget.minutes", "0", "--budget.steps", "2", "--replay.min_positions", "8"]
    assert cli.main(["train", str(tiny_file(tmp_path)), "--run-dir", str(run), *settings]) == 0
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(game, "go(board_size=3)"))
    before = sorted((run / "checkpoints").iterdir())
    capsys.readouterr()
    assert cli.main(["resume", str(run), "--budget.steps", "4"]) == 2
    error = capsys.readouterr().err
    assert f"needs `game: {game}` in" in error and "Traceback" not in error
    assert sorted((run / "checkpoints").iterdir()) == before


def test_only_names_that_meant_another_game_have_an_earlier_meaning() -> None:
    assert earlier_meaning("go") == "openspiel:go"
    assert earlier_meaning("go(board_size=9,komi=0.5)") == "openspiel:go(board_size=9,komi=0.5)"
    for text in ("openspiel:go", "go(komi_spread=1)", "hex", "my_module:go"):
        assert earlier_meaning(text) == ""
