"""Whole games against engines of others: GNU Go, GRhino, Stockfish, Fairy-Stockfish; skipped where one is missing."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from collections.abc import Iterator

import chess
import chess.engine
import pytest
from engine_helpers import GNU_GO, needs, referee_game, served

import games
import nets
from search.perspective import num_values
from selfplay import checkpoint, config
from selfplay.engines.chess_moves import start_state, write_moves
from selfplay.engines.go_board import empty_board, margin
from selfplay.engines.go_moves import gtp_game
from selfplay.engines.gtp import GtpEngine
from selfplay.engines.process import split_command
from selfplay.match import MatchResult, play_match
from selfplay.players import parse_player
from selfplay.run_folder import RunFolder
from selfplay.settings import Config

# The shape checks that only pytest installs look at sizes while a network is traced.
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")

GO = games.load("go(board_size=9)")
CHESS = games.load("chess")
OTHELLO = games.load("othello")
MAX_CHESS_PLIES = 200

needs_gnu_go, needs_rhino = needs("gnugo"), needs("gtp-rhino")
needs_stockfish, needs_fairy = needs("stockfish"), needs("fairy-stockfish")


def new_run(path, game: games.Game) -> str:
    """A run whose network has learnt nothing yet, as the text of a player."""
    net = nets.NetConfig(channels=16, blocks=2, policy_channels=4, value_channels=4, value_hidden=16)
    settings = dataclasses.replace(Config(), game=game.name, net=net)
    with RunFolder.create(path, "test") as folder:
        folder.config.write_text(config.dump(settings))
        weights = nets.build(net, game.observation_shape, game.num_actions, num_values(game), 1).state_dict()
        checkpoint.save(folder.checkpoints, checkpoint.Checkpoint(1, weights, {}, {}))
    return f"run:{path}:simulations=16,rule=puct"


@pytest.fixture(scope="module")
def go_run(tmp_path_factory) -> str:
    return new_run(tmp_path_factory.mktemp("runs") / "go", GO)


@pytest.fixture(scope="module")
def chess_run(tmp_path_factory) -> str:
    return new_run(tmp_path_factory.mktemp("runs") / "chess", CHESS)


def match(game: games.Game, ours: str, theirs: str, num_games: int, **settings) -> MatchResult:
    """A match without forfeits: an illegal move of anybody ends the test."""
    players = [parse_player(text, game, seed) for seed, text in enumerate((ours, theirs))]
    try:
        return play_match(game, players[0], players[1], num_games, seed=1, **settings)
    finally:
        for player in players:
            player.close()


# Go.


def check_go_results(result: MatchResult) -> list[float]:
    """The returns of OpenSpiel's games are those of our own board, and where GNU Go sees no dead stones, its own.

    Returns by how much Black was ahead in the games that GNU Go judged.
    """
    rules, judged = gtp_game(GO), list[float]()
    judge = GtpEngine(GNU_GO, 60)
    for record in result.records:
        board = empty_board(9)
        for command in rules.setup():
            judge.ask(command)
        for ply, action in enumerate(record.moves):
            player = rules.to_play(ply)
            board = board.passed() if action == rules.pass_action else board.play(player, action)
            assert board is not None
            judge.ask(f"play {'bw'[player]} {rules.write_move(action)}")
        ahead = margin(board, rules.komi)
        assert record.finished and not record.forfeit
        assert record.returns == ((1.0, -1.0) if ahead > 0 else (-1.0, 1.0)) or record.returns == (0.0, 0.0)
        has_passed = record.moves[-2:] == (rules.pass_action,) * 2
        if has_passed and not judge.ask("final_status_list dead").strip():
            assert float(judge.ask("final_score").removeprefix("B+").replace("W+", "-")) == ahead
            judged.append(ahead)
    judge.close()
    print(f"{len(result.records)} games, {len(judged)} of them judged by GNU Go, the same: {judged}")
    return judged


def go_games_through_gtp(player: str, num_games: int) -> list[str]:
    """Let `selfplay gtp` and GNU Go play, colours in turn: every result, and what GNU Go says of it."""
    ours, theirs, rules = GtpEngine(served("gtp", player), 300), GtpEngine(GNU_GO, 60), gtp_game(GO)
    results = []
    for number in range(num_games):
        black, white = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        moves, result = referee_game(black, white, rules)
        assert ours.ask("final_score") == result
        is_clean = not theirs.ask("final_status_list dead").strip()
        assert not is_clean or theirs.ask("final_score") == result
        results.append(f"{result} after {len(moves)} moves{'' if is_clean else ', dead stones left'}")
    ours.close()
    theirs.close()
    return results


@needs_gnu_go
def test_gnu_go_as_a_player():
    check_go_results(match(GO, "uniform:simulations=8", f"gtp:{GNU_GO}", 4))


@needs_gnu_go
def test_levels_and_times_of_gnu_go():
    result = match(GO, f"gtp:{GNU_GO}:level=0", f"gtp:{GNU_GO}:seconds=1,timeout=30", 2, max_plies=20)
    assert result.games == 2


@needs_gnu_go
def test_gnu_go_meets_our_server():
    command = served("gtp", "uniform:simulations=8", GO.name)
    ours, theirs = GtpEngine(command, 300), GtpEngine(GNU_GO, 60)
    for black, white in ((ours, theirs), (theirs, ours)):
        _, result = referee_game(black, white, gtp_game(GO))
        assert ours.ask("final_score") == result
    ours.close()
    theirs.close()


@needs_gnu_go
def test_close_games_are_scored_as_gnu_go_scores_them():
    even = match(GO, f"gtp:{GNU_GO} --seed 2:level=0", f"gtp:{GNU_GO}:level=0", 6, opening_plies=4)
    assert len(set(check_go_results(even))) > 2
    # The same through our server, in front of an engine.
    ours, theirs = GtpEngine(served("gtp", f"gtp:{GNU_GO} --seed 3", GO.name), 300), GtpEngine(GNU_GO, 60)
    _, result = referee_game(ours, theirs, gtp_game(GO))
    assert ours.ask("final_score") == theirs.ask("final_score") == result
    ours.close()
    theirs.close()


@needs_gnu_go
@pytest.mark.slow
def test_twenty_games_of_go_in_both_directions(go_run):
    result = match(GO, go_run, f"gtp:{GNU_GO}", 20)
    check_go_results(result)
    assert result.score < 0.5
    results = go_games_through_gtp(go_run, 20)
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


# Othello.


@needs_rhino
def test_rhino_plays_othello_and_wins():
    result = match(OTHELLO, "random", "gtp:gtp-rhino", 4, opening_plies=2)
    assert all(record.finished for record in result.records)
    assert result.score == 0


# Chess.


def check_chess_results(result: MatchResult) -> None:
    """The returns of OpenSpiel's games are what python-chess says of their last position."""
    for record in result.records:
        assert not record.forfeit
        board = chess.Board()
        for text in write_moves(start_state(), record.moves):
            assert chess.Move.from_uci(text) in board.legal_moves
            board.push_uci(text)
        if record.finished:
            outcome = board.outcome(claim_draw=True)
            assert outcome is not None
            white = {chess.WHITE: 1.0, chess.BLACK: -1.0, None: 0.0}[outcome.winner]
            assert record.returns == (-white, white)


def chess_games_through_uci(player: str, engine: str, num_games: int) -> Iterator[chess.Board]:
    """Let `selfplay uci` and Stockfish at level 0 play, colours in turn, with python-chess between them."""
    with (
        chess.engine.SimpleEngine.popen_uci(shlex.split(served("uci", player)), timeout=300) as ours,
        chess.engine.SimpleEngine.popen_uci(split_command(engine), timeout=60) as theirs,
    ):
        theirs.configure({"Skill Level": 0})
        for number in range(num_games):
            board, players = chess.Board(), (ours, theirs) if number % 2 == 0 else (theirs, ours)
            while not board.is_game_over(claim_draw=True) and board.ply() < MAX_CHESS_PLIES:
                player_to_move = players[0] if board.turn == chess.WHITE else players[1]
                played = player_to_move.play(board, chess.engine.Limit(nodes=200), game=number)
                assert played.move in board.legal_moves
                board.push(played.move)
            yield board
        ours.quit()
        theirs.quit()


@needs_stockfish
def test_stockfish_as_a_player():
    engine = "uci:stockfish:skill=0,nodes=200,hash=1,threads=1"
    result = match(CHESS, "random", engine, 4, max_plies=MAX_CHESS_PLIES)
    check_chess_results(result)
    assert result.score < 0.5


@needs_fairy
def test_fairy_stockfish_as_a_player():
    result = match(CHESS, "random", "uci:fairy-stockfish:skill=0,movetime=5", 2, max_plies=MAX_CHESS_PLIES)
    check_chess_results(result)
    assert result.score < 0.5


@needs_stockfish
def test_stockfish_meets_our_server():
    for board in chess_games_through_uci("uniform:simulations=4", "stockfish", 2):
        assert board.ply() > 3


@needs_stockfish
@pytest.mark.slow
def test_twenty_games_of_chess_in_both_directions(chess_run):
    engine = "uci:stockfish:skill=0,nodes=200,hash=1"
    result = match(CHESS, chess_run, engine, 20, max_plies=MAX_CHESS_PLIES)
    check_chess_results(result)
    boards = list(chess_games_through_uci(chess_run, "stockfish", 20))
    assert len(boards) == 20
    print(*(f"{board.result(claim_draw=True)} after {board.ply()} plies" for board in boards), sep="\n")
