"""Chess through UCI without a real engine: moves and positions as text, the player, the server, and python-chess."""

from __future__ import annotations

import io
import subprocess
import sys

import chess
import chess.engine
import numpy as np
import pytest
from engine_helpers import after, fake_engine, random_history

import games
from selfplay.engines.chess_moves import check_fen, legal_moves, start_state, write_moves
from selfplay.engines.lines import LineQueue
from selfplay.engines.process import EngineError
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player
from selfplay.players.thinking import Limits, Thought, make_thinker, never
from selfplay.servers.chess_position import set_up
from selfplay.servers.uci_server import UciServer, centipawns

CHESS = games.load("chess")
DROPS = games.load("variant_games:drops")

REPEATED = "g1f3 g8f6 f3g1 f6g8 g1f3 g8f6 f3g1 f6g8".split()
"""The start, for the third time."""


class FirstMove:
    """Thinks of the first legal move in the order of their texts."""

    name = "first"

    def __init__(self, needs_history: bool = False) -> None:
        self.needs_history = needs_history
        self.limits: list[Limits] = []

    def think(self, pool, history, limits, should_stop=never):
        self.limits.append(limits)
        state = pool._states[0]
        moves = legal_moves(state)
        while limits.num_simulations is None and limits.seconds is None and not should_stop():
            pass
        action = moves[min(moves)]
        return Thought(action, 0.5, line=(action,), num_simulations=7, seconds=0.01)

    def close(self):
        pass


def server(text: str = "", thinker=None) -> tuple[UciServer, io.StringIO]:
    out = io.StringIO()
    lines = LineQueue(io.BytesIO(text.encode()))
    return UciServer(CHESS, lambda: thinker or FirstMove(), lines, out), out


def session(text: str, thinker=None) -> list[str]:
    """The lines that are written for a whole input."""
    on, out = server(text, thinker)
    on.serve()
    return out.getvalue().splitlines()


def board_of(position) -> chess.Board:
    return chess.Board(str(position.state))


# Moves and positions.


def test_moves_are_those_of_python_chess_in_random_games():
    rng = np.random.default_rng(5)
    promotions = castlings = 0
    for _ in range(12):
        state, board = start_state(), chess.Board()
        history = random_history(CHESS, 300, rng)
        texts = write_moves(state, history)
        for action, text in zip(history, texts):
            moves = legal_moves(state)
            assert set(moves) == {move.uci() for move in board.legal_moves}
            assert moves[text] == action
            promotions += len(text) == 5
            castlings += board.is_castling(chess.Move.from_uci(text))
            board.push_uci(text)
            state.apply_action(action)
            assert str(state).split()[:3] == board.fen().split()[:3]
    assert promotions and castlings


def test_a_game_by_hand_with_all_special_moves():
    moves = "e2e4 g8f6 e4e5 d7d5 e5d6 c7d6 g1f3 g7g6 f1e2 f8g7 e1g1 e8g8".split()
    position = set_up().after(moves)
    assert board_of(position).board_fen() == "rnbq1rk1/pp2ppbp/3p1np1/8/8/5N2/PPPPBPPP/RNBQ1RK1"
    assert position.is_usual and write_moves(start_state(), position.state.history()) == moves
    promoted = set_up("8/P6k/8/8/8/8/8/K7 w - - 0 1").after(["a7a8n"])
    assert str(promoted.state).startswith("N7/7k/")


@pytest.mark.parametrize("move", ["e2e5", "d2d4", "e2", "", "e2e4q", "0000", "a1a1", "e2-e4", "E2E4", "z9z9"])
def test_illegal_moves_are_named(move):
    with pytest.raises(UserError, match=f"move 2, '{move}', is illegal"):
        set_up().after(["g1f3", move])


@pytest.mark.parametrize(
    ("fen", "part"),
    [
        ("", "six fields"),
        ("8/8/8/8/8/8/8/8 w - - 0", "six fields"),
        ("8/8 w - - 0 1", "eight ranks"),
        ("9/8/8/8/8/8/8/8 w - - 0 1", "'9' is no piece"),
        ("8/8/8/8/8/8/8/pppppppppp w - - 0 1", "eight squares"),
        ("8/8/8/8/8/8/8/7 w - - 0 1", "eight squares"),
        ("8/8/8/8/8/8/8/4K2x w - - 0 1", "'x' is no piece"),
        ("8/8/8/8/8/8/8/4K3 w - - 0 1", "one king"),
        ("4k3/8/8/8/8/8/8/3KK3 w - - 0 1", "one king"),
        ("4k2P/8/8/8/8/8/8/4K3 w - - 0 1", "a pawn on the first or last rank"),
        ("4k3/8/8/8/8/8/8/4K3 x - - 0 1", "w or b"),
        ("4k3/8/8/8/8/8/8/4K3 w X - 0 1", "castling rights"),
        ("4k3/8/8/8/8/8/8/4K3 w KK - 0 1", "castling rights"),
        ("4k3/8/8/8/8/8/8/4K3 w K - 0 1", "no castling K"),
        ("r3k3/8/8/8/8/8/8/4K3 w k - 0 1", "no castling k"),
        ("4k3/8/8/8/8/8/8/4K3 w - e4 0 1", "no such square"),
        ("4k3/8/8/8/8/8/8/4K3 w - e6 0 1", "no pawn has just gone"),
        ("4k3/8/8/8/8/8/8/4K3 w - - x 1", "numbers"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 99999", "numbers"),
        ("4k3/8/8/8/8/8/8/4RK2 w - - 0 1", "in check"),
        ("4k3/3P4/8/8/8/8/8/5K2 w - - 0 1", "in check"),
        ("8/8/8/3kK3/8/8/8/8 w - - 0 1", "in check"),
        ("4k3/8/3N4/8/8/8/8/5K2 w - - 0 1", "in check"),
        ("4k3/8/8/1B6/8/8/8/5K2 w - - 0 1", "in check"),
        ("4k3/8/8/8/8/8/5p2/4K3 b - - 0 1", "in check"),
    ],
)
def test_positions_that_cannot_be_are_refused(fen, part):
    with pytest.raises(UserError) as caught:
        check_fen(fen)
    assert part in str(caught.value) and str(caught.value).startswith("FEN: ")


def test_positions_of_random_games_are_set_up():
    rng = np.random.default_rng(6)
    for _ in range(20):
        history = random_history(CHESS, int(rng.integers(200)), rng)
        board = chess.Board()
        for text in write_moves(start_state(), history):
            board.push_uci(text)
        for fen in (board.fen(), " ".join(board.fen().split()[:4])):
            state = start_state(fen)
            if not state.is_terminal():
                assert set(legal_moves(state)) == {move.uci() for move in board.legal_moves}


def test_attacks_are_those_of_python_chess():
    rng, pieces = np.random.default_rng(7), "PNBRQpnbrq"
    checked = 0
    for _ in range(400):
        squares = rng.choice(64, size=int(rng.integers(3, 14)), replace=False).tolist()
        board = chess.Board(None)
        board.set_piece_at(squares[0], chess.Piece.from_symbol("K"))
        board.set_piece_at(squares[1], chess.Piece.from_symbol("k"))
        for square in squares[2:]:
            if 0 < chess.square_rank(square) < 7:
                board.set_piece_at(square, chess.Piece.from_symbol(pieces[rng.integers(10)]))
        board.turn = bool(rng.integers(2))
        try:
            check_fen(board.fen())
            is_refused = False
        except UserError:
            is_refused = True
        assert is_refused == board.was_into_check()
        checked += is_refused
    assert checked > 20


def test_play_goes_on_after_a_draw_by_rule():
    position = set_up().after(REPEATED)
    assert position.state.is_terminal() and position.side == "w"
    goes_on = position.after(["e2e4", "e7e5"])
    assert not goes_on.is_usual and not goes_on.state.is_terminal()
    assert board_of(goes_on).board_fen() == "rnbqkbnr/pppp1ppp/8/4p3/4P3/8/PPPP1PPP/RNBQKBNR"
    fifty = set_up("4k3/8/8/8/8/8/R7/4K3 w - - 99 80").after(["a2a3", "e8e7", "a3a4"])
    assert str(fifty.state).startswith("8/4k3/8/8/R7/8/8/4K3 b")
    bare = set_up("4k3/8/8/8/8/8/8/4K3 w - - 0 1")
    assert bare.state.is_terminal() and bare.playable() == bare
    with pytest.raises(UserError, match="move 1"):
        bare.after(["e1e2"])


# The player.


def test_what_an_engine_is_sent(tmp_path):
    log = tmp_path / "log"
    command = fake_engine("uci", "moves", log, "e2e4,d2d4,b8c6")
    player = parse_player(f"uci:{command}:skill=0,hash=1,nodes=50,depth=3", CHESS)
    first, second = (), tuple(set_up().after(["e2e4"]).state.history())
    pool, slots = after(CHESS, first, first, second)
    actions = player.choose(pool, slots, [first, first, second])
    player.close()
    assert [write_moves(start_state(), [action])[0] for action in actions[:2]] == ["e2e4", "d2d4"]
    new = ["ucinewgame", "isready"]
    go = "go nodes 50 depth 3"
    assert log.read_text().splitlines() == [
        *("start", "uci", "setoption name Hash value 1", "setoption name Skill Level value 0"),
        *(*new, "position startpos", go),
        *(*new, "position startpos", go),
        *("position startpos moves e2e4", go),
    ]


@pytest.mark.parametrize(
    ("behaviour", "moves", "options", "part"),
    [
        ("ends", "", "", "ended when asked 'go movetime 100': out of cheese"),
        ("silent", "", ":timeout=2", "no answer to 'go movetime 100' in the time allowed"),
        ("chatter", "", ":timeout=2", "no answer to 'go movetime 100' in the time allowed"),
        ("flood", "", "", "a line without end"),
        ("moves", "e2e5", "", "played 'e2e5', which is illegal"),
        ("moves", "(none)", "", "found no move"),
        ("moves", "e2e4", ":elo=1500", "has no option 'UCI_LimitStrength'"),
        ("moves", "e2e4", ":skill=21", "Skill Level goes from 0 to 20, not to 21"),
        ("garbage", "", ":timeout=1", "no answer to 'uci' in the time allowed"),
    ],
)
def test_an_engine_that_fails_is_one_line_and_starts_again(tmp_path, behaviour, moves, options, part):
    log = tmp_path / "log"
    player = parse_player(f"uci:{fake_engine('uci', behaviour, log, moves)}{options}", CHESS)
    pool, slots = after(CHESS, ())
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            player.choose(pool, slots, [()])
        assert part in str(caught.value) and "\n" not in str(caught.value)
    assert log.read_text().split().count("start") == 2
    player.close()


# Variants of chess.


def drops(monkeypatch, tmp_path, variants: str, moves: str):
    """A player of `Drops` whose engine knows some variants and plays some moves, and the engine's log."""
    monkeypatch.setenv("FAKE_VARIANTS", variants)
    log = tmp_path / "log"
    return parse_player(f"uci:{fake_engine('uci', 'moves', log, moves)}:skill=0,nodes=5", DROPS), log


def test_an_engine_is_told_of_the_variant_and_of_drops(monkeypatch, tmp_path):
    player, log = drops(monkeypatch, tmp_path, "chess drops gardner", "a2a3Q,n@b3")
    pool, slots = after(DROPS, (), (0, 2, 1))
    actions = player.choose(pool, slots, [(), (0, 2, 1)])
    player.close()
    assert actions.tolist() == [3, 4]  # whatever case the engine writes
    go = "go nodes 5"
    assert log.read_text().splitlines() == [
        *("start", "uci", "setoption name UCI_Variant value drops", "setoption name Skill Level value 0"),
        *("ucinewgame", "isready", "position startpos", go),
        *("position startpos moves P@a1 a1a2+ a1a2", go),
    ]


def test_a_move_that_the_variant_does_not_have_is_illegal(monkeypatch, tmp_path):
    player, _ = drops(monkeypatch, tmp_path, "drops", "p@b3")
    with pytest.raises(EngineError, match="played 'p@b3', which is illegal"):
        player.choose(*after(DROPS, ()), [()])
    player.close()


@pytest.mark.parametrize("variants", ["", "chess gardner"])
def test_an_engine_without_the_variant_is_one_line(monkeypatch, tmp_path, variants):
    player, log = drops(monkeypatch, tmp_path, variants, "P@a1")
    with pytest.raises(EngineError) as caught:
        player.choose(*after(DROPS, ()), [()])
    assert "does not play drops; an engine of variants is Fairy-Stockfish" in str(caught.value)
    assert "go" not in log.read_text()
    player.close()


def test_chess_is_a_variant_too(monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_VARIANTS", "gardner chess")
    log = tmp_path / "log"
    player = parse_player(f"uci:{fake_engine('uci', 'moves', log, 'e2e4')}", CHESS)
    player.choose(*after(CHESS, ()), [()])
    assert "setoption name UCI_Variant value chess" in log.read_text().splitlines()
    player.close()


def test_games_that_no_engine_knows_are_refused():
    for name in ("connect_four", "chess(chess960=true)"):
        with pytest.raises(UserError, match="UCI: chess and its variants are played through it, not c"):
            parse_player("uci:stockfish", games.load(name))


# The server.


def test_python_chess_serves_tests_only():
    engines = ", ".join(f"selfplay.engines.{name}" for name in ("chess_moves", "uci", "uci_player"))
    servers = ", ".join(f"selfplay.servers.{name}" for name in ("chess_position", "uci_server", "openspiel_bot"))
    code = f"import sys, {engines}, {servers}; sys.exit('chess' in sys.modules)"  # its licence is the GPL
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_session():
    text = """
        uci
        isready
        setoption name Simulations value 20
        position startpos moves e2e4 e7e5
        go movetime 100
        position fen 8/P6k/8/8/8/8/8/K7 w - - 0 1
        go nodes 5
        quit
        go nodes 5
    """
    assert session(text) == [
        "id name selfplay 0.1.0",
        "id author The selfplay authors",
        "option name Simulations type spin default 0 min 0 max 1000000000",
        "uciok",
        "readyok",
        "info depth 1 score cp 89 nodes 7 nps 700 time 10 pv a2a3",
        "bestmove a2a3",
        "info depth 1 score cp 89 nodes 7 nps 700 time 10 pv a1a2",
        "bestmove a1a2",
    ]


def test_limits_of_go():
    thinker = FirstMove()
    on, _ = server(thinker=thinker)
    on.answer("isready")
    on.answer("setoption name Simulations value 50")
    asked = []
    for words in (
        "nodes 20",
        "nodes 100 movetime 2500",
        "wtime 60000 btime 30000 winc 1000",
        "wtime 6000 movestogo 3",
        "wtime -5",
        "depth 7",
    ):
        on.answer(f"go {words}")
        asked.append(thinker.limits[-1])
    on.answer("position startpos moves e2e4")
    on.answer("go wtime 60000 btime 30000")
    asked.append(thinker.limits[-1])
    assert [limits.num_simulations for limits in asked] == [20, 50, 50, 50, 50, 50, 50]
    assert [limits.seconds for limits in asked] == pytest.approx([None, 2.5, 2.7, 1.8, 0.0, None, 0.9])


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("position", "startpos or fen is needed"),
        ("position startpos e2e4", "startpos or fen is needed"),
        ("position startpos moves e2e5", "move 1, 'e2e5', is illegal"),
        ("position startpos moves e2e4 e7e5 e1e3", "move 3, 'e1e3', is illegal"),
        ("position fen", "FEN: six fields"),
        ("position fen 8/8 w - - 0 1", "FEN: a board has eight ranks"),
        ("position fen 4k3/8/8/8/8/8/8/4K2R w - - 0 1 moves e1g1", "move 1, 'e1g1', is illegal"),
        ("setoption name Hash value 16", "there is no option Hash"),
        ("setoption name Simulations value many", "many is no number"),
        ("setoption Simulations", "write it as"),
        ("cheese \u2603", "unknown command cheese"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(line, part):
    on, out = server()
    on.answer("position startpos moves d2d4 d7d5")
    before = on.state()
    on.answer(line)
    assert out.getvalue().startswith("info string ") and part in out.getvalue()
    assert on.state() == before


def test_positions_that_follow_from_the_last_one_are_the_same_as_at_once():
    moves = "e2e4 e7e5 g1f3 b8c6 f1b5 a7a6 b5a4 g8f6 e1g1".split()
    on, _ = server()
    for first, last in [(0, 3), (3, 9), (9, 9), (9, 5), (5, 7)]:
        on.answer(f"position startpos moves {' '.join(moves[:first])}")
        on.answer(f"position startpos moves {' '.join(moves[:last])}")
        other, _ = server()
        other.answer(f"position startpos moves {' '.join(moves[:last])}")
        assert on.state() == other.state() and len(on.state()[1]) == last


def test_go_is_answered_whatever_it_says():
    for words in ("go nodes", "go nodes x movetime 5", "go cheese nodes 3", "go searchmoves e2e4 nodes 3"):
        lines = session(f"{words}\nstop\n" if words == "go nodes" else f"{words}\n")
        assert lines[0].startswith("info string go: passed over") and lines[-1] == "bestmove a2a3"


def test_a_game_that_is_over_has_no_move():
    mate = "position startpos moves f2f3 e7e5 g2g4 d8h4\ngo nodes 1\n"
    assert session(mate) == ["info string go: there is no move, the game is over", "bestmove (none)"]


def test_a_move_is_found_after_a_draw_by_rule():
    text = f"position startpos moves {' '.join(REPEATED)}\ngo nodes 1\n"
    assert session(text)[-1] == "bestmove a2a3"
    lines = session(text, FirstMove(needs_history=True))
    assert "plays only what follows from the usual start" in lines[0] and lines[-1] == "bestmove (none)"


def test_a_move_of_an_infinite_search_waits_for_stop():
    text = "go infinite\nisready\nposition startpos moves e2e4\nstop\ngo nodes 1\n"
    lines = session(text)
    assert [line for line in lines if not line.startswith("info")] == ["readyok", "bestmove a2a3", "bestmove a7a5"]
    for end in ("", "quit\nisready\n"):
        assert session(f"go infinite\nposition startpos moves e2e4\n{end}")[-1] == "bestmove a2a3"


def test_a_player_that_fails_is_said_and_go_is_answered():
    class Failing(FirstMove):
        def think(self, pool, history, limits, should_stop=never):
            if history:
                raise RuntimeError("out of\ncheese")
            return super().think(pool, history, limits, should_stop)

    lines = session("position startpos moves e2e4\ngo nodes 1\nisready\n", Failing())
    assert lines == ["info string RuntimeError: out of\\ncheese", "bestmove (none)", "readyok"]


def test_a_player_that_cannot_be_made_ends_the_server():
    def make():
        raise UserError("no such run")

    out = io.StringIO()
    on = UciServer(CHESS, make, LineQueue(io.BytesIO(b"uci\nisready\nuci\n")), out)
    on.serve()
    assert str(on.failure) == "no such run" and out.getvalue().splitlines()[-1] == "info string no such run"


def test_centipawns_are_odd_and_finite():
    assert centipawns(0) == 0 and centipawns(0.5) == -centipawns(-0.5) == 89
    assert 10_000 < centipawns(1.0) < 15_000


def test_other_games_are_refused():
    for name in ("tic_tac_toe", "chess(chess960=true)", "go(board_size=9)"):
        with pytest.raises(UserError, match="UCI: chess and its variants are played through it"):
            UciServer(games.load(name), FirstMove, LineQueue(io.BytesIO()), io.StringIO())


def test_positions_from_fen_are_searched_by_our_players():
    thinker = make_thinker(parse_player("uniform:simulations=400,solve=true", CHESS, 1))
    text = "position fen 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1\ngo nodes 400\n"  # mate in one
    on, out = server(text, thinker)
    on.serve()
    lines = out.getvalue().splitlines()
    assert lines[-1] == "bestmove a1a8" and " pv a1a8" in lines[-2] and " score cp 1" in lines[-2]
    thinker.close()


def test_python_chess_drives_the_command():
    command = [sys.executable, "-m", "selfplay", "uci", "uniform:simulations=30", "--seed", "3"]
    with chess.engine.SimpleEngine.popen_uci(command, timeout=300) as engine:
        assert engine.id["name"].startswith("selfplay ")
        engine.configure({"Simulations": 20})
        board = chess.Board()
        for _ in range(20):
            played = engine.play(board, chess.engine.Limit(time=5.0), info=chess.engine.INFO_ALL)
            assert played.move in board.legal_moves
            assert played.info["nodes"] <= 21 and played.info["pv"][0] == played.move
            board.push(played.move)
        board = chess.Board("r1bqkbnr/pppp1ppp/2n5/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - 4 4")
        assert engine.play(board, chess.engine.Limit(nodes=20)).move in board.legal_moves
        with engine.analysis(board) as analysis:  # go infinite, then stop
            info = analysis.get()
        assert info["score"].pov(chess.WHITE).score() is not None
        engine.quit()
