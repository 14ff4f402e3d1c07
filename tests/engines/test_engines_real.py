"""Whole games against engines of others: GNU Go, GRhino, Stockfish, Fairy-Stockfish; skipped where one is missing."""

from __future__ import annotations

import dataclasses
import subprocess

import pytest
from engine_helpers import needs

import games
import nets
from benchmarks.engine_games import (
    GNU_GO,
    MAX_CHESS_PLIES,
    chess_games_through_uci,
    go_games_through_gtp,
    judge_chess_match,
    judge_go_match,
    match,
    served,
)
from search.perspective import num_values
from selfplay.algorithms.networks import board_of
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.engines.process import split_command
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder

GO = games.load("go(board_size=9)")
CHESS = games.load("chess")
OTHELLO = games.load("othello")
BREAKTHROUGH = games.load("variant_games:python_breakthrough")

needs_gnu_go, needs_rhino = needs("gnugo"), needs("gtp-rhino")
needs_stockfish, needs_fairy = needs("stockfish"), needs("fairy-stockfish")


def new_run(path, game: games.Game) -> str:
    """A run whose network has learnt nothing yet, as the text of a player."""
    net = nets.NetConfig(channels=16, blocks=2, policy_channels=4, value_channels=4, value_hidden=16)
    settings = dataclasses.replace(Config(), game=game.name, net=net)
    with RunFolder.create(path, "test") as folder:
        folder.config.write_text(reader.dump(settings))
        sizes = game.observation_shape, game.num_actions, num_values(game)
        weights = nets.build(net, *sizes, 1, board_of(game)).state_dict()
        checkpoint.save(folder.checkpoints, checkpoint.Checkpoint(1, weights, {}, {}))
    return f"run:{path}:simulations=16,rule=puct"


@pytest.fixture(scope="module")
def go_run(tmp_path_factory) -> str:
    return new_run(tmp_path_factory.mktemp("runs") / "go", GO)


@pytest.fixture(scope="module")
def chess_run(tmp_path_factory) -> str:
    return new_run(tmp_path_factory.mktemp("runs") / "chess", CHESS)


# Go.


@needs_gnu_go
def test_gnu_go_as_a_player():
    assert len(list(judge_go_match(match(GO, "uniform:simulations=8", f"gtp:{GNU_GO}", 4)))) == 4


@needs_gnu_go
def test_levels_and_times_of_gnu_go():
    result = match(GO, f"gtp:{GNU_GO}:level=0", f"gtp:{GNU_GO}:seconds=1,timeout=30", 2, max_plies=20)
    assert result.games == 2


@needs_gnu_go
def test_gnu_go_meets_our_server():
    assert len(list(go_games_through_gtp("uniform:simulations=8", 2))) == 2


@needs_gnu_go
def test_close_games_are_scored_as_gnu_go_scores_them():
    even = match(GO, f"gtp:{GNU_GO} --seed 2:level=0", f"gtp:{GNU_GO}:level=0", 6)
    assert len(set(judge_go_match(even))) > 2
    # The same through our server, in front of an engine.
    assert len(list(go_games_through_gtp(f"gtp:{GNU_GO} --seed 3", 2))) == 2


@needs_gnu_go
@pytest.mark.slow
def test_twenty_games_of_go_in_both_directions(go_run):
    result = match(GO, go_run, f"gtp:{GNU_GO}", 20)
    print(*judge_go_match(result), sep="\n")
    assert result.score < 0.5
    results = list(go_games_through_gtp(go_run, 20))
    assert len(results) == 20
    print(*results, sep="\n")


@needs("gogui-twogtp")
@needs_gnu_go
def test_gogui_twogtp_drives_the_server(tmp_path):
    # GoGui splits a command at its spaces and knows no quotes of a shell.
    black, white = (
        " ".join(split_command(command)) for command in (served("gtp", "uniform:simulations=8", GO.name), GNU_GO)
    )
    command = ["-black", black, "-white", white, "-games", "4", "-size", "9", "-komi", "7.5", "-alternate", "-auto"]
    program = split_command("gogui-twogtp")
    subprocess.run([*program, *command, "-sgffile", str(tmp_path / "games")], check=True, timeout=600)
    lines = (tmp_path / "games.dat").read_text().splitlines()
    names = next(line for line in lines if line.startswith("#GAME")).lstrip("#").split("\t")
    games_played = [dict(zip(names, line.split("\t"))) for line in lines if line[:1].isdigit()]
    assert len(games_played) == 4
    for row in games_played:
        assert row["ERR"] == "0" and row["RES_B"] == row["RES_W"] != "?", row
        print(row["RES_B"], "after", row["LEN"], "moves")


# Variants of chess.


@needs_fairy
def test_fairy_stockfish_plays_breakthrough_by_our_rules():
    result = match(BREAKTHROUGH, "uci:fairy-stockfish:skill=20,nodes=300", "random", 6, opening_plies=2)
    assert result.wins == 6 and result.unfinished == 0
    even = match(BREAKTHROUGH, "uci:fairy-stockfish:skill=0,nodes=50", "uci:fairy-stockfish:depth=1", 4)
    assert even.draws == 0  # each game went to an end that both accept


# Othello.


@needs_rhino
def test_rhino_plays_othello_and_wins():
    result = match(OTHELLO, "random", "gtp:gtp-rhino", 4, opening_plies=2)
    assert all(record.finished for record in result.records)
    assert result.score == 0


# Chess.


@needs_stockfish
def test_stockfish_as_a_player():
    engine = "uci:stockfish:skill=0,nodes=200,hash=1,threads=1"
    result = match(CHESS, "random", engine, 4, max_plies=MAX_CHESS_PLIES)
    assert len(list(judge_chess_match(result))) == 4
    assert result.score < 0.5


@needs_fairy
def test_fairy_stockfish_as_a_player():
    result = match(CHESS, "random", "uci:fairy-stockfish:skill=0,movetime=5", 2, max_plies=MAX_CHESS_PLIES)
    assert len(list(judge_chess_match(result))) == 2
    assert result.score < 0.5


@needs_stockfish
def test_stockfish_meets_our_server():
    assert len(list(chess_games_through_uci("uniform:simulations=4", 2))) == 2


@needs_stockfish
@pytest.mark.slow
def test_twenty_games_of_chess_in_both_directions(chess_run):
    engine = "uci:stockfish:skill=0,nodes=200,hash=1"
    result = match(CHESS, chess_run, engine, 20, max_plies=MAX_CHESS_PLIES)
    print(*judge_chess_match(result), sep="\n")
    results = list(chess_games_through_uci(chess_run, 20))
    assert len(results) == 20
    print(*results, sep="\n")
