"""Games as files: what is written is replayed by other programs; the main line is read, or the text refused by name."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import chess
import chess.pgn
import chess.variant
import numpy as np
import pytest
from sgfmill import sgf, sgf_grammar, sgf_moves

import games
from games import CHANCE
from games.go_text import read_board
from selfplay import cli
from selfplay.errors import UserError
from selfplay.evaluation.match import SECOND, MatchGame, forfeit, play_tables, seat
from selfplay.evaluation.openings import read_openings
from selfplay.notation.encoding import decode
from selfplay.notation.forms import form_of
from selfplay.notation.pgn import read_pgn, write_pgn
from selfplay.notation.played import Line, walk
from selfplay.notation.san import find_move
from selfplay.notation.sgf import plain, read_sgf, write_sgf
from selfplay.players.kinds import RandomPlayer
from selfplay.tournament.notation import to_pgn, to_sgf

NAMES = ['a "quoted" \\ player]', "µ: [b\\"]


def play(name: str, seed: int, opening: tuple[int, ...] = (), max_plies: int | None = None) -> MatchGame:
    """A game of random moves."""
    game = games.load(name)
    table = seat(game, opening, np.random.SeedSequence(seed))[0]
    players = RandomPlayer("a", seed), RandomPlayer("b", seed + 1)
    return play_tables(game, players, [table], max_plies)[0]


def end_of(name: str, moves) -> Line:
    """The position in which a game ended here."""
    line = Line(games.load(name))
    for move in moves:
        line.play(move)
    return line


def replay_sgf(game: sgf.Sgf_game) -> tuple[list[list[str]], list[str]]:
    """The last board by sgfmill, marked as OpenSpiel does, and who moved."""
    board, plays = sgf_moves.get_setup_and_moves(game)
    for color, point in plays:
        if point is not None:
            board.play(*point, color)
    marks = {"b": "X", "w": "O", None: "+"}
    rows = [[marks[board.get(row, column)] for column in range(board.side)] for row in range(board.side)]
    return rows, [color for color, _ in plays]


# What is written: Go.


@pytest.mark.parametrize(
    ("name", "opening", "max_plies"),
    [
        ("go(board_size=5)", (), None),
        ("go(board_size=9,komi=0.5)", (4, 81, 40), None),
        ("go(board_size=2,komi=0)", (), None),
        ("go(board_size=19)", (0, 360, 361, 18), 80),
        ("go(board_size=19,handicap=2)", (), 60),
        ("go(board_size=19,handicap=3,komi=0.5)", (5, 7), 60),
        ("go(handicap=9)", (), 60),
        ("openspiel:go", (0, 360, 361, 18), 80),
        ("openspiel:go(handicap=3,komi=0.5)", (5, 7), 60),
        ("openspiel:go(handicap=10)", (), 20),
        ("openspiel:go(handicap=1)", (), 20),
    ],
)
def test_another_program_ends_a_game_of_go_where_it_ended_here(name, opening, max_plies):
    game, komi = games.load(name), float(name.partition("komi=")[2].rstrip(")") or 7.5)
    for seed in range(4):
        record = play(name, seed, opening, max_plies)
        text = to_sgf(game, record, NAMES)
        found = sgf.Sgf_game.from_string(text)
        board, colors = replay_sgf(found)
        assert board == read_board(end_of(name, record.moves).pool.text(0))
        order = "bw" if Line(game).to_play == 0 else "wb"
        assert colors == list(itertools.islice(itertools.cycle(order), len(record.moves)))
        assert [found.get_player_name(color) for color in "bw"] == NAMES
        assert found.get_komi() == komi and found.get_size() == len(board)
        assert found.get_winner() == (None if not record.finished else {1.0: "b", -1.0: "w"}.get(record.returns[0]))
        assert form_of(game).read(game, text)[0].moves == record.moves


def test_a_komi_that_was_drawn_is_written_and_read():
    game = games.load("go(board_size=5,komi=4,komi_spread=1)")
    record = play("go(board_size=5,komi=4,komi_spread=1)", 3, max_plies=12)
    text = to_sgf(game, record, NAMES)
    assert sgf.Sgf_game.from_string(text).get_komi() == game.komis[record.moves[0]]
    (reading,) = form_of(game).read(game, text)
    assert reading.moves == record.moves and reading.remarks == ()
    (reading,) = form_of(game).read(game, "(;SZ[5]KM[99];B[cc])")
    assert reading.moves == (5, 12) and reading.remarks == ("komi '99' where this game has 6.5",)
    with pytest.raises(UserError, match="move 2, 'B"):
        form_of(game).read(game, "(;SZ[5];B[cc];B[dd])")


def test_a_handicap_game_of_a_tournament_has_its_stones(tmp_path, capsys):
    words = [
        "tournament",
        "random",
        "random:seed=7",
        "--game",
        "go(board_size=19,handicap=3)",
        "--games",
        "2",
        "--opening-plies",
        "0",
    ]
    assert cli.main([*words, "--max-plies", "60", "--processes", "1", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "games.sgf").read_bytes()
    assert text.count(b"HA[3]AB[dp][dd][pd]PL[W]") == 2
    rows = [json.loads(line) for line in (tmp_path / "games.jsonl").read_text().splitlines()]
    trees = sgf_grammar.parse_sgf_collection(text)
    assert len(trees) == len(rows) == 2
    for tree, row in zip(trees, rows):
        found = sgf.Sgf_game.from_coarse_game_tree(tree)
        assert replay_sgf(found)[0] == read_board(end_of("go(board_size=19,handicap=3)", row["moves"]).pool.text(0))
        assert [found.get_player_name(color) for color in "bw"] == row["players"]


@pytest.mark.parametrize("name", ["go(board_size=9)", "chess"])
def test_games_without_an_end_have_no_winner_but_by_forfeit(name):
    game, record = games.load(name), play(name, 1, max_plies=4)
    write = to_sgf if name.startswith("go") else to_pgn
    table = seat(game, (), np.random.SeedSequence(1))[0]
    lost = forfeit(table, record.moves, SECOND, "b ] \\ } %: took\nits process down")
    if write is to_sgf:  # seat 0 is Black
        assert "RE[Void]" in write(game, record, NAMES)
        found = sgf.Sgf_game.from_string(write(game, lost, NAMES))
        assert found.get_root().get("RE") == "B+F"
        assert found.get_root().get("C") == "b ] \\ } %: took its process down"
    else:  # seat 0 is Black here, too
        assert write(game, record, NAMES).endswith("*\n")
        found = chess.pgn.read_game(io.StringIO(write(game, lost, NAMES)))
        assert found.headers["Result"] == "0-1" and found.headers["Termination"] == "rules infraction"
        assert found.headers["TerminationDetails"] == "b ] \\\\ } %: took its process down"
        assert len(list(found.mainline())) == 4


def test_a_name_that_is_no_text_does_not_end_a_tournament(tmp_path, capsys, monkeypatch):
    from selfplay.evaluation.match import MatchGame
    from selfplay.tournament import notation
    from selfplay.tournament.schedule import Block
    from selfplay.tournament.tournament import Outcome, Played, TournamentPlan

    block = Block("run:\udcff", "b", 0, 1)
    record = MatchGame((0, 1), (0, 1), (1.0, -1.0), 2, False, 0.5)
    outcome = Outcome(
        "go(board_size=5)", TournamentPlan(("run:\udcff", "b"), "round-robin", 2), (Played(block, (record,)),), None
    )
    path = notation.write_notation(outcome, tmp_path)
    assert path is not None and b"PB[run:?]" in path.read_bytes()


# What is written: chess.


@pytest.mark.parametrize("name", ["chess", "chess(chess960=true)", "antichess"])
def test_another_program_ends_a_game_of_chess_where_it_ended_here(name):
    game = games.load(name)
    for seed in range(8):
        record = play(name, seed, max_plies=None if seed < 2 and name == "chess" else 90)
        text = to_pgn(game, record, NAMES)
        found = chess.pgn.read_game(io.StringIO(text))
        assert found is not None and not found.errors
        board = found.end().board()
        assert (type(board).uci_variant, board.chess960) == (name.partition("(")[0], "960" in name)
        ours, theirs = end_of(name, record.moves).pool.text(0).split(), board.fen(shredder="960" in name).split()
        assert ours[:3] == theirs[:3]
        assert len(list(found.mainline())) == record.plies
        (tags,) = (game.tags for game in read_pgn(text))  # python-chess leaves the backslashes as they are
        assert (tags["white"], tags["black"]) == (NAMES[1], NAMES[0]) and found.headers["White"][:4] == NAMES[1][:4]
        assert found.headers["Result"] == (
            "*" if not record.finished else {1.0: "1-0", -1.0: "0-1", 0.0: "1/2-1/2"}[record.returns[1]]
        )
        assert form_of(game).read(game, text)[0].moves == record.moves
        assert max(map(len, text.splitlines())) <= 79


def test_castling_is_not_broken_at_the_end_of_a_line():
    for length in range(2, 60):
        text = write_pgn({"Result": "1/2-1/2"}, ["e4"] * length + ["O-O", "O-O-O"] * 40)
        assert set("".join(text.partition("\n\n")[2]).split()) >= {"O-O", "O-O-O", "1/2-1/2"}
        assert not any(line.endswith("-") for line in text.splitlines())


# What is read.

OPEN_GAME = ["e4", "e5", "Nf3", "Nc6"]
USUAL = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"


def texts(name: str, moves) -> list[str]:
    """The moves of players as OpenSpiel writes them."""
    line, found = Line(games.load(name)), []
    for move in moves:
        if line.to_play != CHANCE:
            found.append(line.pool.action_text(0, move))
        line.play(move)
    return found


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("1. e4 e5 2. Nf3 Nc6", OPEN_GAME),
        ("1.e4 e5 2.Nf3 Nc6 1/2-1/2", OPEN_GAME),
        ("e4, e5, Nf3, Nc6", OPEN_GAME),
        ("1 e4 e5 2 Nf3 Nc6", OPEN_GAME),
        ("1. e4! e5?? 2. Nf3+- $1 Nc6 $14 +/= N", OPEN_GAME),
        ("1. e4 {a ) and ; [%clk 0:10:00]} 1... e5 { } 2. Nf3 2… Nc6", OPEN_GAME),
        ("1. e4 e5 ; the open game ( {\n2. Nf3 Nc6", OPEN_GAME),
        ("1. e4 e5 ; lines that end\r2. Nf3 ; as on old computers\r2... Nc6", OPEN_GAME),
        ("% a line for programs\n1. e4 e5\n% (\n2. Nf3 Nc6", OPEN_GAME),
        (
            "1. e4 (1. d4 d5 (1... Nf6 2. c4 {) (} (2. Nf3)) 2. c4) 1... e5 2. Nf3 (2. f4) (2. Nc3 *) 2... Nc6",
            OPEN_GAME,
        ),
        ('\ufeff[Event "?"]\r\n[White "a \\"b\\" \\\\"] [Black "]"]\r\n\r\n1. e4 e5\r\n2. Nf3 Nc6 *\r\n', OPEN_GAME),
        ('[Event "not "escaped" at all"]\r\n1. e4 e5 2. Nf3 Nc6', OPEN_GAME),
        (f'[SetUp "1"]\n[FEN "{USUAL}"]\n1. e4 e5 2. Nf3 Nc6', OPEN_GAME),
        ('[Variant "Standard"]\n1. e4 e5 2. Nf3 Nc6', OPEN_GAME),
        ("e2e4 e7e5 g1f3 b8c6", OPEN_GAME),
        ("1. e2-e4 e7-e5 2. Ng1-f3 Nb8-c6", OPEN_GAME),
        ("1. Pe4 Pe5 2. Ngf3 N8c6", OPEN_GAME),
        ("1. e4 1. ... e5 2.Nf3 (2. <>) 2....Nc6", OPEN_GAME),
        ("1.e4 e5 2.♘f3 1....♞c6", OPEN_GAME),
        ("1. e4 e5 2. nf3 nc6", OPEN_GAME),
        ("1. e4 d5 2. exd5 Qxd5 3. Ng1f3 Qd5:e4+", ["e4", "d5", "exd5", "Qxd5", "Nf3", "Qe4+"]),
        ("1. e4 d5 2. e×d5† Q×d5 3. Nc3 Q–e5‡ ½–½", ["e4", "d5", "exd5", "Qxd5", "Nc3", "Qe5+"]),
        ("1. e4\u200b e5 2. Nf3\u2060 Nc6 1–0", OPEN_GAME),
        ("1. e4 d5 2. e5 f5 3. exf6e.p. Nxf6", ["e4", "d5", "e5", "f5", "exf6", "Nxf6"]),
        ("1. e4 d5 2. e5 f5 3. ef6 e.p. Nxf6", ["e4", "d5", "e5", "f5", "exf6", "Nxf6"]),
        (USUAL, []),
    ],
)
def test_the_main_line_of_a_pgn_is_read(text, moves):
    chess_game = games.load("chess")
    (reading,) = form_of(chess_game).read(chess_game, text)
    assert texts("chess", reading.moves) == moves


@pytest.mark.parametrize("castling", ["O-O", "0-0", "o-o", "OO", "O–O", "0\u20110", "O-O!", "0-0+", "e1g1", "Ke1g1"])
def test_castling_is_read_however_it_is_written(castling):
    chess_game = games.load("chess")
    (reading,) = form_of(chess_game).read(chess_game, f"1. e4 e5 2. Nf3 Nc6 3. Bc4 Bc5 4. {castling} Nf6")
    assert texts("chess", reading.moves)[-2:] == ["O-O", "Nf6"]


@pytest.mark.parametrize(
    "promotion", ["hxg8=Q", "hxg8Q", "hxg8(Q)", "hxg8/Q", "hg8=Q", "h7g8q", "h7xg8=Q!", "hxg8=Q+?"]
)
def test_a_promotion_is_read_however_it_is_written(promotion):
    chess_game = games.load("chess")
    text = f"1. h4 g5 2. hxg5 h6 3. gxh6 Nf6 4. h7 Ng8 5. {promotion} e6"
    (reading,) = form_of(chess_game).read(chess_game, text)
    assert texts("chess", reading.moves)[-2:] == ["hxg8=Q", "e6"]


def test_every_way_to_write_a_move_finds_that_move():
    chess_game = games.load("chess")
    for seed in (0, 1, 2):
        board = chess.Board()
        for ply, (line, action) in enumerate(walk(chess_game, play("chess", seed, max_plies=120).moves)):
            if ply % 7 == 0:
                actions = {line.pool.action_text(0, legal): legal for legal in line.legal()}
                for move in board.legal_moves:
                    wanted = actions[board.san(move)]
                    piece = chess.piece_symbol(board.piece_type_at(move.from_square)).upper()
                    for text in (board.san(move), move.uci(), f"{piece}{move.uci()}", board.lan(move)):
                        assert find_move(line, text) == wanted, (board.fen(), text)
            board.push_san(line.pool.action_text(0, action))


def test_games_that_another_program_annotates_are_read_as_their_main_line():
    rng, chess_game = np.random.default_rng(5), games.load("chess")
    for _ in range(10):
        root = chess.pgn.Game()
        node: chess.pgn.GameNode = root
        for _ in range(30):
            moves = list(node.board().legal_moves)
            if not moves:
                break
            chosen = rng.choice(len(moves), size=min(len(moves), int(rng.integers(1, 4))), replace=False)
            children = [node.add_variation(moves[i]) for i in chosen]
            children[-1].comment, children[0].nags = "a (line) ; 1. e4 [x] $1", {1, 18}
            if len(children) > 1 and (replies := list(children[1].board().legal_moves)):
                children[1].add_line(replies[:1], starting_comment="else")
            node = children[0]
        (reading,) = form_of(chess_game).read(chess_game, str(root))
        board = root.end().board()
        assert end_of("chess", reading.moves).pool.text(0).split()[:3] == board.fen().split()[:3]


def test_a_game_of_chess960_begins_where_its_fen_says():
    name = "chess(chess960=true)"
    game = games.load(name)
    fen = chess.Board.from_chess960_pos(123).fen()
    (reading,) = form_of(game).read(game, f'[Variant "Chess960"]\n[SetUp "1"]\n[FEN "{fen}"]\n\n*')
    assert end_of(name, reading.moves).pool.text(0).split()[0] == fen.split()[0]
    with pytest.raises(UserError, match=r"FEN.*cannot"):
        form_of(game).read(game, '[FEN "8/8/8/4k3/8/8/4P3/4K3 w - - 0 1"]\n1. e4')


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('[SetUp "1"]\n[FEN "8/8/8/4k3/8/8/4P3/4K3 w - - 0 1"]\n1. e4', "PGN: it begins from a FEN, '8/8/8/4k3"),
        ("8/8/8/4k3/8/8/4P3/4K3 w - - 0 1", "it begins from a FEN"),
        (f"{USUAL} 1. e4", "'1.' follows it"),
        ('[SetUp "1"]\n1. e4', "there is no FEN"),
        ('[Variant "Chess960"]\n1. e4', "variant 'Chess960'"),
        ("1. e4 e5 2. -- Nc6", "move 3, '2. --': a null move"),
        ("1. e4 (1. -- e5) 1... <>", "move 2, '1... <>': a null move"),
        ("1. e4 e5 2. Qh6", "move 3, '2. Qh6': not a legal move"),
        ("1. Nf3 d5 2. d4 e6 3. Nd2", "move 5, '3. Nd2': may be Nbd2 or Nfd2"),
        ("1. Nf3 d5 2. d4 e6 3. Ng1d2", "not a legal move"),
        ("1. Nf3 d5 2. g3 e6 3. Bg2 c5 4. Kg1", "not a legal move"),
        ("1. h4 g5 2. hxg5 h6 3. gxh6 Nf6 4. h7 Ng8 5. hxg8", "not a legal move"),
        ("1. e4 e5 2. Qh5 Ke7 3. Qxe5# Kd6", "move 6: the game is over"),
        ("12. Nf3 d5", "begins with '12. Nf3'"),
        ("1... e5 2. Nf3", "begins with '1... e5'"),
        ("1. e4 e5\n2. Nf3 {no end", "line 2: a comment without its }"),
        ("1. e4 (1. d4 (1. c4)", "a ) is missing"),
        ("1. e4 ) e5", "a ) without its ("),
        ("1. e4 < e5", "no part of a game"),
        ('[Event "x\n1. e4', "no tag"),
    ],
)
def test_a_pgn_that_cannot_be_honoured_is_refused_by_name(text, part):
    chess_game = games.load("chess")
    with pytest.raises(UserError) as caught:
        form_of(chess_game).read(chess_game, text)
    assert part in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


NINE = "go(board_size=9)"


@pytest.mark.parametrize(
    ("name", "text", "moves"),
    [
        (NINE, "(;GM[1]FF[4]SZ[9];B[ee](;W[dd];B[fe])(;W[cc];B[gg]))", "e5 d6 f5"),
        (NINE, "(;GM[1]SZ[9];BL[30]B[ee];WL[29.5]W[dd])", "e5 d6"),
        (NINE, "\ufeffa letter\n( ;GM [1] SZ [9:9]\n ; B [ee] ; W\n[cc]\n)\n", "e5 c7"),
        (NINE, r"(;SZ[9]C[a \] b (;B[cc\]) \\];B[ee]C[;W[cc\]];W[cc])", "e5 c7"),
        (NINE, "(;SZ[9];B[ee];W[];B[tt])", "e5 PASS PASS"),
        (NINE, "(;GaMe[1]SiZe[9];Black[ee];White[cc])", "e5 c7"),
        (NINE, "(;SZ[9]B[ee];W[cc])", "e5 c7"),
        (NINE, "(;SZ[9]XX[1][2]PL[B]HA[0]AE[aa][bb:cc]MULTIGOGM[1];B[ee]PL[W];W[cc])", "e5 c7"),
        (NINE, "(;SZ[9](;B[ee];W[cc](;B[dd])(;B[ff]))(;B[aa](;W[bb])(;W[cc])))", "e5 c7 d6"),
        ("go(board_size=19)", "(;B[pd];W[dp];B[jj])", "q16 d4 k10"),
        ("go(board_size=19,handicap=3)", "(;GM[1]HA[3]AB[pd][dp][dd]PL[W];W[qq];B[cc])", "r3 c17"),
        ("go(board_size=19,handicap=3)", "(;GM[1]HA[3];AB[dd:dd][pd][dp][aa]AW[bb];AE[aa:bb];W[qq])", "r3"),
        ("go(board_size=19,handicap=2)", "(;AB[pd][dp])", ""),
    ],
)
def test_the_main_line_of_an_sgf_is_read(name, text, moves):
    game = games.load(name)
    (reading,) = form_of(game).read(game, text)
    assert [move.split()[1] for move in texts(name, reading.moves)] == moves.split()


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        (
            NINE,
            "(;GM[1]SZ[13];B[ee])",
            "a board of 13 by 13 (SZ[13]), and go has 9 by 9; go(board_size=13) fits",
        ),
        (
            "go(board_size=19)",
            "(;HA[2]AB[pd][dp];W[dd])",
            "on D4, Q16, and go(board_size=19) with an empty board; go(board_size=19,handicap=2) fits",
        ),
        (
            NINE,
            "(;SZ[9]HA[2]AB[gc][cg];W[dd])",
            "on C3, G7, and go with an empty board; go(board_size=9,handicap=2) fits",
        ),
        (NINE, "(;SZ[9]AB[gd][cg];W[dd])", "on C3, G6, and go with an empty board"),
        (NINE, "(;GM[1]SZ[9:13];B[ee])", "a board of 9 by 13"),
        (NINE, "(;GM[1];B[ee])", "19 by 19 (no SZ means 19)"),
        (NINE, "(;GM[1]SZ[nine];B[ee])", "'nine' is no size"),
        (NINE, "(;GM[2]SZ[9];B[ee])", "a game of Othello (GM[2])"),
        (NINE, "(;GM[11]SZ[9];B[ee])", "a game of Hex (GM[11])"),
        (NINE, "(;SZ[9]AB[gc][cg]HA[2];W[ee])", "black stones on C3, G7"),
        (NINE, "(;SZ[9]AB[aa:cc]AW[ii];B[ee])", "and 5 more and white stones on J1"),
        (NINE, "(;SZ[9]HA[2];W[ee])", "a handicap of '2' (HA)"),
        (NINE, "(;SZ[9]PL[W];W[ee])", "White is to make move 1 (PL)"),
        (NINE, "(;SZ[9];W[ee])", "it is Black's turn"),
        (NINE, "(;SZ[9];B[ee];B[cc])", "move 2, 'B[cc]': it is White's turn"),
        (NINE, "(;SZ[9];B[ee];W[ee])", "move 2, 'W[ee]': White E5 is not a legal move (a stone lies there)"),
        (NINE, "(;SZ[9];B[ba];W[];B[ab];W[aa])", "not a legal move (ko, or a stone without a liberty)"),
        (NINE, "(;SZ[9];B[ee];W[jj])", "'jj' is no point"),
        (NINE, "(;SZ[9];B[ee];W[e])", "'e' is no point"),
        (NINE, "(;SZ[9];B[ee];AW[aa];W[cc])", "set up after move 1 (AW[aa])"),
        (NINE, "(;SZ[9];B[ee];PL[B])", "Black is to make move 2 (PL)"),
        (NINE, "(;SZ[9];B[ee];W[tt];B[];W[aa])", "move 4: the game is over"),
        (NINE, "(;SZ[9];B[ee][cc])", "more than one move"),
        (NINE, "(;SZ[9];B[ee]W[cc])", "more than one move"),
        (NINE, "(;SZ[9];B[ee];W[cc]", "a ) is missing"),
        (NINE, "(;SZ[9];B[ee]\n;W[cc", "line 2: a value that has no end"),
        (NINE, "(;SZ[9];B[ee]);W[cc]", "a node outside of a game"),
        (NINE, "(;SZ[9];B[ee]) W[cc]", "stands in no node"),
        (NINE, "(;SZ[9];B;W[cc])", "a property without a value"),
        (NINE, "(;SZ[9](;B[ee]);W[cc])", "a node after side lines"),
        (NINE, ";B[ee];W[cc]", "there is no game"),
        (
            "go(board_size=19,handicap=3)",
            "(;HA[3]AB[pd][dp][pp];W[qq])",
            "D4, Q4, Q16, and go(board_size=19,handicap=3) with black stones on D4, D16",
        ),
        ("go(board_size=19,handicap=3)", "(;HA[4]AB[pd][dp][dd];W[qq])", "a handicap of '4'"),
        ("go(board_size=19,handicap=3)", "(;HA[3];W[qq])", "it begins with an empty board"),
        ("go(board_size=19,handicap=3)", "(;AB[pd][dp][dd];B[qq])", "it is White's turn"),
    ],
)
def test_an_sgf_that_cannot_be_honoured_is_refused_by_name(name, text, part):
    game = games.load(name)
    with pytest.raises(UserError) as caught:
        form_of(game).read(game, text)
    assert part in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def random_sgf(rng: np.random.Generator, depth: int = 0) -> str:
    """A tree of nodes with odd values, spaces and side lines."""
    nodes = ""
    for _ in range(rng.integers(1, 4)):
        names = rng.permutation(["B", "C", "LB", "XYZ", "KM"])[: rng.integers(0, 4)]
        values = ["aa", "", r"a\]b", r"\\", "x\ny;(", r"\:"]
        nodes += ";" + "".join(
            name + "".join(f"[{values[rng.integers(6)]}] " for _ in range(rng.integers(1, 3))) for name in names
        )
    lines = "" if depth > 3 else "".join(random_sgf(rng, depth + 1) for _ in range(rng.integers(0, 3)))
    return f"({nodes}\n{lines})"


def test_trees_are_read_as_another_program_reads_them():
    rng = np.random.default_rng(1)
    for _ in range(200):
        text = random_sgf(rng)
        (ours,) = read_sgf(text)
        tree = sgf_grammar.parse_sgf_game(text.encode())
        theirs = sgf_grammar.main_sequence_iter(tree)
        assert [dict(node) for node in ours] == [
            {name: [value.decode() for value in values] for name, values in node.items()} for node in theirs
        ]
        (again,) = read_sgf(write_sgf([{n: [plain(v) for v in values] for n, values in node.items()} for node in ours]))
        assert [{n: [plain(v) for v in values] for n, values in node.items()} for node in again] == [
            {n: [plain(v) for v in values] for n, values in node.items()} for node in ours
        ]


@pytest.mark.parametrize("text", ["(;" * 10**4, "(;SZ[9]" + "(;B[ee]" * 10**4 + ")" * (10**4 + 1), "(" * 10**4])
def test_nesting_without_end_is_no_error_of_the_reader(text):
    game = games.load(NINE)
    try:
        form_of(game).read(game, text)
    except UserError as error:
        assert "SGF" in str(error)
    with pytest.raises(UserError):
        read_pgn(f"1. e4 {text}")
    assert [game.moves for game in read_pgn("1. e4 " + "(1. d4 " * 10**4 + ")" * 10**4 + " e5")] == [["e4", "e5"]]


# Files.


def test_files_of_games_are_openings_in_any_encoding(tmp_path: Path):
    go, chess_game = games.load(NINE), games.load("chess")
    path = tmp_path / "book.PGN"
    path.write_bytes('[White "Kr\xe4mer"]\n1. e4 e5 *\n\n[White "x"]\n1. d4 *\n'.encode("latin-1"))
    assert [texts("chess", moves) for moves in read_openings(path, chess_game)] == [["e4", "e5"], ["d4"]]
    path = tmp_path / "book.sgf"
    text = "(;SZ[9]CA[Shift_JIS]PB[表ソ];B[ee];W[cc])(;SZ[9];B[aa])"  # both end in the byte of a backslash
    for data in (text.encode("shift_jis"), text.encode("utf-16"), text.replace("Shift_JIS", "x").encode("utf-8-sig")):
        path.write_bytes(data)
        assert [len(moves) for moves in read_openings(path, go)] == [2, 1]
    assert decode(b"(;CA[hex]C[\xff])") == "(;CA[hex]C[ÿ])"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(;SZ[9];B[ee])(;SZ[9];W[ee])", "SGF, game 2: move 1"),
        ("(;SZ[9];B[];W[])", "game 1: the game is over"),
        ("", "there is no game"),
    ],
)
def test_a_file_of_games_that_are_no_openings_is_refused(tmp_path, text, part):
    path = tmp_path / "book.sgf"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_openings(path, games.load(NINE))
    assert str(path) in str(caught.value) and part in str(caught.value)
