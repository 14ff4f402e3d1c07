"""Whole games against GNU Go or Stockfish, in both directions, every move and result judged by somebody else.

    python benchmarks/engine_games.py go run:RUN_DIR:simulations=100
    python benchmarks/engine_games.py chess run:RUN_DIR:simulations=100

First the engine is a player of ours, in a match as `selfplay match` plays it. Then PLAYER is an engine, `selfplay gtp`
or `selfplay uci`, and a referee stands between the two: this script for Go, python-chess for chess.

Every move must be legal, on a board of our own for Go, by python-chess for chess. Go: both programs must give the same
`final_score`. Where it was not two passes that ended a game, or GNU Go sees dead stones, it plays on for both sides
first: ours takes off only those that are dead whatever follows. Chess: results must be those of python-chess.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import games
from games import Game
from games.native.go import dead_stones
from selfplay.commands.arguments import integer
from selfplay.engines.chess_moves import start_state, write_moves
from selfplay.engines.go_moves import GtpGame, gtp_game
from selfplay.engines.gtp import COLORS, GtpEngine
from selfplay.engines.process import split_command
from selfplay.evaluation.match import MatchResult, play_match
from selfplay.players.kinds import parse_player
from selfplay.servers.go_board import GoBoard, empty_board, margin, result_text

GNU_GO = "gnugo --mode gtp --chinese-rules --capture-all-dead --positional-superko --never-resign --level 1 --seed 1"
STOCKFISH = "stockfish"
GO, CHESS = "go(board_size=9)", "chess"

MAX_CHESS_PLIES = 300
"""Longer games are stopped and count as unfinished."""

MAX_GO_MOVES = 1000
SERVER_SECONDS, ENGINE_SECONDS = 300, 60
"""Answers may take so long."""


def served(protocol: str, player: str, game: str) -> str:
    """The command line of one of our servers."""
    return shlex.join([sys.executable, "-m", "selfplay", protocol, player, "--seed", "1", "--game", game])


def match(game: Game, ours: str, theirs: str, num_games: int, **settings: Any) -> MatchResult:
    """A match in which an illegal move of anybody is an error."""
    players = [parse_player(text, game, seed) for seed, text in enumerate((ours, theirs))]
    try:
        return play_match(game, players[0], players[1], num_games, seed=1, **settings)
    finally:
        for player in players:
            player.close()


# Go.


def following(board: GoBoard, rules: GtpGame, ply: int, action: int) -> GoBoard:
    """The board after a move, which has to be legal."""
    after = board.passed() if action == rules.pass_action else board.play(rules.to_play(ply), action)
    assert after is not None, f"{rules.write_move(action)} as move {ply + 1} is illegal"
    return after


def lead(board: GoBoard, rules: GtpGame) -> float:
    """By how much Black is ahead, without the stones that are dead by our rules."""
    return margin(board.without(dead_stones(rules.size, board.points)), rules.komi)


def referee_game(black: GtpEngine, white: GtpEngine, rules: GtpGame) -> tuple[list[int], GoBoard]:
    """Let two GTP programs play until both have passed: the moves, each of them legal, and the board."""
    for engine in (black, white):
        for command in rules.setup():
            engine.ask(command)
    board, moves = empty_board(rules.size), list[int]()
    players = (black, white)
    while moves[-2:] != [rules.pass_action] * 2:
        assert len(moves) < MAX_GO_MOVES, "the game does not end"
        ply = len(moves)
        color = COLORS[rules.to_play(ply)]
        moves.append(rules.read_move(players[rules.to_play(ply)].ask(f"genmove {color}")))
        board = following(board, rules, ply, moves[-1])
        players[1 - rules.to_play(ply)].ask(f"play {color} {rules.write_move(moves[-1])}")
    return moves, board


def clear_up(
    judge: GtpEngine, others: Sequence[GtpEngine], board: GoBoard, rules: GtpGame, moves: list[int]
) -> GoBoard:
    """Let GNU Go play on for both sides until both have passed and it sees no dead stone; the board then."""
    moves = list(moves)
    while moves[-2:] != [rules.pass_action] * 2 or judge.ask("final_status_list dead").strip():
        assert len(moves) < MAX_GO_MOVES, "GNU Go does not capture what it calls dead"
        ply, color = len(moves), COLORS[rules.to_play(len(moves))]
        moves.append(rules.read_move(judge.ask(f"genmove {color}")))
        board = following(board, rules, ply, moves[-1])
        for other in others:
            other.ask(f"play {color} {rules.write_move(moves[-1])}")
    return board


def judge_go_match(result: MatchResult) -> Iterator[str]:
    """Every game of a match against what GNU Go says of it."""
    rules, judge = gtp_game(games.load(GO)), GtpEngine(GNU_GO, ENGINE_SECONDS)
    for record in result.records:
        assert record.finished and not record.forfeit
        board = empty_board(rules.size)
        for command in rules.setup():
            judge.ask(command)
        for ply, action in enumerate(record.moves):
            board = following(board, rules, ply, action)
            judge.ask(f"play {COLORS[rules.to_play(ply)]} {rules.write_move(action)}")
        assert record.returns == ((1.0, -1.0) if lead(board, rules) > 0 else (-1.0, 1.0)), record
        yield _judged(judge, [], board, rules, list(record.moves))
    judge.close()


def go_games_through_gtp(player: str, num_games: int) -> Iterator[str]:
    """`selfplay gtp` and GNU Go, colours in turn: every result."""
    ours = GtpEngine(served("gtp", player, GO), SERVER_SECONDS)
    theirs, rules = GtpEngine(GNU_GO, ENGINE_SECONDS), gtp_game(games.load(GO))
    for number in range(num_games):
        black, white = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        moves, board = referee_game(black, white, rules)
        assert ours.ask("final_score") == result_text(lead(board, rules))
        yield f"{'black' if number % 2 == 0 else 'white'}: {_judged(theirs, [ours], board, rules, moves)}"
    ours.close()
    theirs.close()


def _judged(judge: GtpEngine, others: Sequence[GtpEngine], board: GoBoard, rules: GtpGame, moves: list[int]) -> str:
    """The result of a game; that of GNU Go and of `others` is the same once no dead stones are left."""
    clean = clear_up(judge, others, board, rules, moves)
    result, after = result_text(lead(board, rules)), result_text(lead(clean, rules))
    scores = [engine.ask("final_score") for engine in (judge, *others)]
    assert set(scores) == {after}, (scores, after)
    stones = sum(point >= 0 for point in board.points)
    changed = "" if clean is board else f", {after} after dead stones were captured"
    return f"{result} after {len(moves)} moves, {stones} stones on the board{changed}"


# Chess.


def judge_chess_match(result: MatchResult) -> Iterator[str]:
    """Every game of a match against what python-chess says of it."""
    import chess

    for record in result.records:
        assert not record.forfeit
        board = chess.Board()
        for text in write_moves(start_state(), record.moves):
            assert chess.Move.from_uci(text) in board.legal_moves
            board.push_uci(text)
        outcome = board.outcome(claim_draw=True)
        assert record.finished == (outcome is not None)
        if outcome is not None:
            white = {chess.WHITE: 1.0, chess.BLACK: -1.0, None: 0.0}[outcome.winner]
            assert record.returns == (-white, white)  # Black is OpenSpiel's player 0
        yield f"{board.result(claim_draw=True)} after {board.ply()} plies"


def chess_games_through_uci(player: str, num_games: int, nodes: int = 200) -> Iterator[str]:
    """`selfplay uci` and Stockfish at skill 0, colours in turn, with python-chess between them: every result."""
    import chess
    import chess.engine

    with (
        chess.engine.SimpleEngine.popen_uci(shlex.split(served("uci", player, CHESS)), timeout=SERVER_SECONDS) as ours,
        chess.engine.SimpleEngine.popen_uci(split_command(STOCKFISH), timeout=ENGINE_SECONDS) as theirs,
    ):
        theirs.configure({"Skill Level": 0, "Hash": 1, "Threads": 1})
        for number in range(num_games):
            board, players = chess.Board(), (ours, theirs) if number % 2 == 0 else (theirs, ours)
            while not board.is_game_over(claim_draw=True) and board.ply() < MAX_CHESS_PLIES:
                to_play = players[0] if board.turn == chess.WHITE else players[1]
                played = to_play.play(board, chess.engine.Limit(nodes=nodes), game=number)
                assert played.move in board.legal_moves
                board.push(played.move)
            color = "white" if number % 2 == 0 else "black"
            yield f"{color}: {board.result(claim_draw=True)} after {board.ply()} plies"
        ours.quit()
        theirs.quit()


def main() -> int:
    """Play both ways; every line is a game that passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("game", choices=("go", "chess"))
    parser.add_argument("player", metavar="PLAYER", help="ours")
    parser.add_argument("--games", metavar="N", type=integer(2, 10_000), default=20, help="in each direction (20)")
    parser.add_argument("--nodes", metavar="N", type=integer(1, 10**9), default=200, help="of Stockfish a move (200)")
    arguments = parser.parse_args()
    if arguments.game == "go":
        result = match(games.load(GO), arguments.player, f"gtp:{GNU_GO}", arguments.games)
        judged, through = judge_go_match(result), go_games_through_gtp(arguments.player, arguments.games)
    else:
        engine = f"uci:{STOCKFISH}:skill=0,nodes={arguments.nodes},hash=1,threads=1"
        result = match(games.load(CHESS), arguments.player, engine, arguments.games, max_plies=MAX_CHESS_PLIES)
        judged = judge_chess_match(result)
        through = chess_games_through_uci(arguments.player, arguments.games, arguments.nodes)
    print(f"the engine as a player: {result.wins} won, {result.draws} drawn, {result.losses} lost", flush=True)
    for line in judged:
        print(f"  {line}", flush=True)
    print("the engine meets our server", flush=True)
    for line in through:
        print(f"  {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
