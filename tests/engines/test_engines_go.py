"""Go and Othello through GTP without a real engine: the notation, the board, the player, the server."""

from __future__ import annotations

import io

import numpy as np
import pytest
from engine_helpers import after, fake_engine, random_history

import games
from selfplay.engines import gtp
from selfplay.engines.go_moves import gtp_game, read_board
from selfplay.engines.lines import MAX_LINE, BadLine, LineQueue, read_lines
from selfplay.engines.process import EngineError
from selfplay.errors import UserError
from selfplay.evaluation.match import SECOND, play_tables, seat
from selfplay.players.kinds import parse_player, read_player
from selfplay.players.thinking import Limits, Thought, make_thinker, never
from selfplay.servers.go_board import EMPTY, GoBoard, draw_board, empty_board, margin, result_text
from selfplay.servers.gtp_server import GtpServer
from selfplay.servers.own_game import OwnGame

GO = games.load("go(board_size=9)")
SMALL = games.load("go(board_size=5,komi=0.5)")
OTHELLO = games.load("othello")
BLACK, WHITE = 0, 1


class FirstMove:
    """Thinks of the first legal move."""

    name, needs_history = "first", False

    def __init__(self) -> None:
        self.limits: list[Limits] = []

    def think(self, pool, history, limits, should_stop=never):
        self.limits.append(limits)
        action = int(pool.legal(np.zeros(1, np.int64))[1][0])
        return Thought(action, 0.0, num_simulations=1)

    def close(self):
        pass


def server(game=GO) -> GtpServer:
    return GtpServer(game, FirstMove())


def answers(on: GtpServer, *lines: str) -> list[str]:
    return [on.answer(line) for line in lines]


# Notation.


def test_points_as_text_and_back():
    for size in (2, 5, 9, 19):
        texts = [gtp.write_vertex(row, column) for row in range(size) for column in range(size)]
        assert len(set(texts)) == size * size and not any("I" in text for text in texts)
        assert [gtp.read_vertex(text.lower(), size) for text in texts] == [divmod(i, size) for i in range(size * size)]
    assert gtp.write_vertex(0, 0) == "A1" and gtp.write_vertex(8, 8) == "J9" and gtp.write_vertex(18, 18) == "T19"


@pytest.mark.parametrize("text", ["", "A", "9", "A0", "I5", "K1", "A10", "AA1", "A1B", "a-1", "A٣", "Ä1", "A1 "])
def test_what_is_no_point_of_the_board(text):
    with pytest.raises(ValueError, match="no point"):
        gtp.read_vertex(text, 9)


@pytest.mark.parametrize("name", ["go(board_size=9)", "go(board_size=19)", "openspiel:go(board_size=9)", "othello"])
def test_moves_are_those_that_the_games_write(name):
    game = games.load(name)
    rules, rng = gtp_game(game), np.random.default_rng(1)
    for _ in range(5):
        history = random_history(game, 80, rng)
        for ply in range(0, len(history), 7):
            pool, slots = after(game, history[:ply])
            assert pool.to_play(slots)[0] == rules.to_play(ply)
            for action in pool.legal(slots)[1].tolist():
                text = pool.action_text(0, action).split()[-1]  # go writes the colour as well
                assert rules.write_move(action).lower() == text.lower()
                assert rules.read_move(text) == action


def test_setup_knows_size_komi_and_handicap():
    assert gtp_game(GO).setup() == ["boardsize 9", "clear_board", "komi 7.5"]
    assert gtp_game(SMALL).setup() == ["boardsize 5", "clear_board", "komi 0.5"]
    assert gtp_game(OTHELLO).setup() == ["boardsize 8", "clear_board"]
    handicap = gtp_game(games.load("go(board_size=19,handicap=3)"))
    assert handicap.setup()[-1] == "set_free_handicap D4 D16 Q16"
    assert handicap.to_play(0) == WHITE
    with pytest.raises(UserError, match="not tic_tac_toe"):
        gtp_game(games.load("tic_tac_toe"))


def test_commands_are_read_as_gtp_says():
    read = gtp.read_command
    assert read("  # only a comment") is read("") is read(" \t ") is read("\x07") is None
    assert read("12 play b D4 # here") == gtp.GtpCommand("12", "play", ("b", "D4"))
    assert read("play\tb\x01 D4\r") == gtp.GtpCommand("", "play", ("b", "D4"))
    assert read("7") == gtp.GtpCommand("7", "", ())
    assert read("12345678901 name").name == "12345678901"  # no number of a command
    assert read("4name") == gtp.GtpCommand("", "4name", ())
    assert read("٣ name") == gtp.GtpCommand("", "٣", ("name",))  # a digit, but none of GTP's


def test_answers_hold_no_empty_line():
    assert gtp.write_answer("3", "a\n\nb\n") == "=3 a\nb\n\n"
    assert gtp.write_answer("", "no", is_error=True) == "? no\n\n"
    assert gtp.write_answer("", "\n  A B\n") == "= \n  A B\n\n" and gtp.write_answer("", "\n\n") == "= \n\n"


# The board.


def test_the_board_is_openspiels_move_by_move():
    rng = np.random.default_rng(3)
    for size in (2, 3, 5, 9):
        game = games.load(f"openspiel:go(board_size={size})")
        pass_action = gtp_game(game).pass_action
        for _ in range(6):
            board, (pool, place) = empty_board(size), after(game, ())
            for action in random_history(game, 400, rng):
                player = int(pool.to_play(place)[0])
                shown = [mark for row in read_board(pool.text(0)) for mark in row]
                assert [{"+": EMPTY, "X": BLACK, "O": WHITE}[mark] for mark in shown] == list(board.points)
                legal = [point for point in range(size * size) if board.play(player, point)]
                assert [*legal, pass_action] == pool.legal(place)[1].tolist()
                board = board.passed() if action == pass_action else board.play(player, action)
                pool.step(place, np.array([action]), place)


def test_scores_are_openspiels():
    rng = np.random.default_rng(4)
    results = set()
    game = games.load("openspiel:go(board_size=5,komi=0.5)")
    for _ in range(60):
        history = random_history(game, 400, rng)
        pool, place = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(place)
        board, rules = empty_board(5), gtp_game(game)
        for ply, action in enumerate(history):
            _, rewards = pool.step(place, np.array([action]), place)
            board = board.passed() if action == rules.pass_action else board.play(rules.to_play(ply), action)
        repeated = (rewards[0] == 0).all()
        ahead = np.sign(margin(board, 0.5))
        assert repeated or rewards[0].tolist() == [ahead, -ahead]
        results.add((float(ahead), bool(repeated)))
    assert len(results) >= 2


def test_area_by_hand():
    board = empty_board(4)  # four rows of . X O .
    for row in range(4):
        board = board.play(BLACK, row * 4 + 1).play(WHITE, row * 4 + 2)
    assert (board.area(BLACK), board.area(WHITE)) == (8, 8)
    assert result_text(margin(board, 7.5)) == "W+7.5" and result_text(margin(board, 0)) == "0"
    assert result_text(margin(board, -3)) == "B+3" and margin(board, 0, 2) == -2
    assert len(list(board.chains())) == 2
    assert draw_board(board).splitlines()[1] == " 4 . X O . 4"
    assert (empty_board(3).area(BLACK), empty_board(3).area(WHITE)) == (0, 0)


def test_ko_may_not_be_retaken_at_once():
    stones = [(BLACK, 1), (BLACK, 5), (BLACK, 11), (WHITE, 2), (WHITE, 8), (WHITE, 12), (WHITE, 6)]
    points = [EMPTY] * 25
    for player, point in stones:
        points[point] = player
    board = GoBoard(5, tuple(points))
    taken = board.play(BLACK, 7)  # takes the stone on 6
    assert taken.points[6] == EMPTY and taken.play(WHITE, 6) is None
    assert taken.passed().play(WHITE, 6) is not None
    assert board.play(WHITE, 7).points[6] == WHITE
    assert GoBoard(2, (EMPTY, WHITE, WHITE, EMPTY)).play(BLACK, 0) is None  # no suicide


# The player.


def moves_sent(log) -> list[list[str]]:
    """What a fake engine was sent, after each start."""
    lives = log.read_text().split("start\n")[1:]
    return [life.splitlines() for life in lives]


def test_only_new_moves_are_sent_where_a_position_follows(tmp_path):
    log = tmp_path / "log"
    player = parse_player(f"gtp:{fake_engine('gtp', 'moves', log, 'C3,D4,E5')}:level=3,seconds=2", GO)
    histories = [(), (20, 0), (20, 0, 31, 1)]  # the last does not follow: the engine played D4, which is 30
    pool, slots = after(GO, *histories)
    for i, history in enumerate(histories):
        player.choose(pool, slots[i : i + 1], [history])
    player.close()
    assert moves_sent(log) == [
        [
            *("list_commands", "level 3", "time_settings 0 2 1"),
            *("boardsize 9", "clear_board", "komi 7.5", "genmove black"),
            "play white A1",
            "genmove black",
            *("boardsize 9", "clear_board", "komi 7.5", "play black C3", "play white A1", "play black E4"),
            *("play white B1", "genmove black"),
        ]
    ]


def test_othello_is_set_as_the_game_and_forced_passes_are_not_asked_for(tmp_path):
    log = tmp_path / "log"
    player = parse_player(f"gtp:{fake_engine('gtp', 'moves', log, 'D3')}", OTHELLO)
    pool, slots = after(OTHELLO, ())
    assert player.choose(pool, slots, [()]).tolist() == [19]
    assert moves_sent(log) == [["list_commands", "set_game Othello", "boardsize 8", "clear_board", "genmove black"]]
    rng = np.random.default_rng(0)
    histories = (random_history(OTHELLO, 200, rng) for _ in range(100))
    history = next(h[: h.index(64)] for h in histories if 64 in h)
    pool, slots = after(OTHELLO, history)
    assert player.choose(pool, slots, [history]).tolist() == [64]
    assert len(moves_sent(log)[0]) == 5
    history.append(64)
    pool, slots = after(OTHELLO, history)
    with pytest.raises(EngineError, match="D3"):  # taken long ago; the pass itself may be refused
        player.choose(pool, slots, [history])
    assert moves_sent(log)[0][-2].endswith("pass")


def test_a_refused_move_is_one_line():
    player = parse_player(f"gtp:{fake_engine('gtp', 'moves')}", GO)
    pool, slots = after(GO, (81,))
    with pytest.raises(EngineError, match="refused 'play black pass': syntax error"):
        player.choose(pool, slots, [(81,)])


@pytest.mark.parametrize(
    ("behaviour", "moves", "part"),
    [
        ("ends", "", "ended when asked 'genmove black': out of cheese"),
        ("silent", "", "no answer to 'genmove black' in the time allowed"),
        ("flood", "", "a line without end"),
        ("garbage", "", "which is not GTP"),
        ("moves", "resign", "resigned"),
        ("moves", "K5", "played what is no move: 'K5' is no point of a board of 9 by 9"),
        ("moves", "cheese please", "played what is no move"),
        ("moves", "C3", "played 'C3', which is illegal"),
    ],
)
def test_an_engine_that_fails_is_one_line_and_starts_again(tmp_path, behaviour, moves, part):
    log = tmp_path / "log"
    seconds = 2 if behaviour == "silent" else 60
    player = parse_player(f"gtp:{fake_engine('gtp', behaviour, log, moves)}:timeout={seconds}", GO)
    history = (20, 0)  # C3 is taken
    pool, slots = after(GO, history)
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            player.choose(pool, slots, [history])
        assert part in str(caught.value) and "\n" not in str(caught.value)
    assert log.read_text().split().count("start") == 2
    player.close()


def test_an_engine_that_ended_once_plays_on(tmp_path):
    player = parse_player(f"gtp:{fake_engine('gtp', 'ends-once', tmp_path / 'log', 'E5')}", GO)
    pool, slots = after(GO, (20, 0))
    with pytest.raises(EngineError, match="ended"):
        player.choose(pool, slots, [(20, 0)])
    assert player.choose(pool, slots, [(20, 0)]).tolist() == [40]
    player.close()


def test_a_size_that_the_engine_refuses():
    player = parse_player(f"gtp:{fake_engine('gtp', 'moves')}", games.load("go(board_size=7)"))
    pool, slots = after(games.load("go(board_size=7)"), ())
    with pytest.raises(EngineError, match="refused 'boardsize 7': unacceptable size"):
        player.choose(pool, slots, [()])


def test_failing_loses_the_game_where_there_are_forfeits(tmp_path):
    engine = parse_player(f"gtp:{fake_engine('gtp', 'moves', moves='resign')}", SMALL)
    tables = seat(SMALL, (), np.random.SeedSequence(0))
    records = play_tables(SMALL, (parse_player("random", SMALL), engine), tables, forfeits=True)
    assert [record.score for record in records] == [1.0, 1.0]
    assert all("resigned" in record.forfeit for record in records)
    assert all(record.returns[record.seats.index(SECOND)] == -1 for record in records)
    with pytest.raises(UserError, match="resigned"):
        play_tables(SMALL, (parse_player("random", SMALL), engine), tables)
    engine.close()


def test_texts_of_players_with_commands():
    command = fake_engine("gtp", "moves")
    for text, target, options in [
        ("gtp:gnugo --mode gtp:level=1", "gnugo --mode gtp", "level=1"),
        ('gtp:connect "host:80":level=1', 'connect "host:80"', "level=1"),
        ("gtp:connect 'host:80'", "connect 'host:80'", ""),
        (r"gtp:connect host\:80:timeout=5", r"connect host\:80", "timeout=5.0"),
        ("uci:stockfish:skill=0,nodes=100", "stockfish", "skill=0,nodes=100"),
    ]:
        spec = read_player(text)
        assert spec.target == target
        assert spec.name == ":".join(filter(None, (text[:3], target, options)))
        assert read_player(spec.name) == spec
    assert parse_player(f"gtp:{command}", GO).name == f"gtp:{command}"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gtp", "COMMAND is missing; write it as gtp:COMMAND"),
        ("gtp::level=1", "COMMAND is missing"),
        ('gtp:gnugo "open:level=1', "a quote is not closed"),
        ("gtp:gnugo:levl=1", "did you mean 'level'"),
        ("gtp:gnugo:level=-1", "out of range"),
        ("gtp:no-such-engine", "there is no such program"),
        ("uci:no-such-engine", "UCI: chess and its variants are played"),
    ],
)
def test_mistyped_players_are_one_line(text, part):
    with pytest.raises(UserError) as caught:
        parse_player(text, GO)
    assert part in str(caught.value) and "\n" not in str(caught.value)


# The server.


def test_a_session():
    on = server()
    assert answers(on, "1 protocol_version", "2 name", "3 boardsize 9", "4 komi 6.5", "clear_board") == [
        "=1 2\n\n",
        "=2 selfplay first\n\n",
        "=3 \n\n",
        "=4 \n\n",
        "= \n\n",
    ]
    assert answers(on, "play b A2", "genmove w", "genmove BLACK", "play White pass") == [
        "= \n\n",
        "= A1\n\n",
        "= B1\n\n",  # takes A1
        "= \n\n",
    ]
    assert "9 . . . . . . . . . 9" in on.answer("showboard")
    assert on.answer("final_score") == "= B+74.5\n\n"
    assert on.answer("undo") == "= \n\n" and on.answer("genmove white") == "= C1\n\n"
    assert on.answer("final_status_list alive") == "= B1\nC1\nA2\n\n"
    assert on.answer("final_status_list dead") == "= \n\n"
    assert answers(on, "known_command lz-analyze", "known_command cheese") == ["= true\n\n", "= false\n\n"]
    assert on.answer("9 quit") == "=9 \n\n" and not on.is_running


def test_every_listed_command_is_known():
    on = server()
    listed = on.answer("list_commands")[2:].split()
    assert {"genmove", "play", "undo", "final_score", "time_left", "showboard", "reg_genmove"} <= set(listed)
    assert all(on.answer(f"known_command {name}") == "= true\n\n" for name in listed)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("play w A1", "illegal move"),
        ("gg-undo 9", "cannot undo"),
        ("gg-undo 0", "cannot undo"),
        ("fixed_handicap 2", "board not empty"),
        ("set_free_handicap C3", "syntax error: two points or more"),
        ("loadsgf", "syntax error"),
        ("loadsgf no-such-file.sgf", "cannot load file: No such file"),
        ("kata-analyze b avoid b C3 1", "a search here cannot leave moves out"),
        ("kata-analyze cheese", "syntax error: 'cheese' is no colour"),
        ("lz-genmove_analyze b maxmoves", "'maxmoves' with '' is not understood"),
        ("kgs-time_settings fischer 1 2", "none, absolute, canadian or byoyomi"),
        ("time_left b -1 0", "not negative"),
        ("play b A1", "illegal move"),
        ("play b J10", "invalid vertex"),
        ("play b resign", "invalid vertex"),
        ("play b", "syntax error"),
        ("play b D4 D5", "syntax error"),
        ("play D4 b", "syntax error: 'D4' is no colour"),
        ("genmove", "syntax error"),
        ("boardsize 19", "unacceptable size"),
        ("boardsize nine", "syntax error"),
        ("komi", "syntax error"),
        ("komi nan", "syntax error"),
        ("komi 1e9", "unacceptable komi"),
        ("time_left b 1", "syntax error"),
        ("time_settings 1 2", "syntax error"),
        ("time_settings 99999999999 0 0", "syntax error"),
        ("final_status_list", "syntax error"),
        ("cheese", "unknown command"),
        ("5", "unknown command"),
        (BadLine("the line is not UTF-8 text"), "not UTF-8"),
    ],
)
def test_what_is_wrong_changes_nothing(line, part):
    on = server()
    answers(on, "play b D4", "genmove w", "play b pass", "genmove w")
    before = on.state()
    answer = on.answer(line)
    assert answer.startswith("?") and part in answer and answer.endswith("\n\n")
    assert on.state() == before


def test_undo_goes_back_to_the_start_and_no_further():
    on = server()
    states = [on.state()]
    for _ in range(6):
        on.answer(f"genmove {gtp.COLORS[len(states) % 2 - 1]}")
        states.append(on.state())
    while len(states) > 1:
        states.pop()
        assert on.answer("undo").startswith("=") and on.state() == states[-1]
    assert "cannot undo" in on.answer("undo")


def test_after_its_own_game_has_ended_the_player_passes_and_others_play_on():
    on = server(SMALL)
    assert answers(on, "play b pass", "play w pass") == ["= \n\n"] * 2
    assert answers(on, "genmove b", "play w C3", "genmove b", "play w C3") == [
        "= pass\n\n",
        "= \n\n",
        "= pass\n\n",
        "? illegal move\n\n",
    ]
    assert on.answer("final_score") == "= W+25.5\n\n"
    answers(on, *["undo"] * 4)
    assert on.answer("genmove w") == "= A1\n\n"  # one pass only: its game goes on


def test_a_handicap_without_stones_is_refused():
    with pytest.raises(UserError, match="take a handicap from 2 to 9"):  # OpenSpiel knows no ten stones; White begins
        gtp_game(games.load("openspiel:go(handicap=10)"))


def test_handicap_lies_on_the_board_and_is_paid_back():
    on = GtpServer(games.load("go(board_size=19,handicap=2)"), FirstMove())
    assert on.answer("play w D4").startswith("? illegal move")
    assert on.answer("fixed_handicap 2").startswith("? board not empty")
    assert on.answer("final_score") == f"= B+{361 - 7.5 - 2:g}\n\n"
    assert on.answer("genmove w") == "= A1\n\n"


def test_dead_stones_are_not_counted():
    """White's stone lies in territory that Black cannot lose; by OpenSpiel's rules it counts."""
    rows = "XX.XX XXXXX XO..X XXXXX XXXXX".split()
    black = [f"{'ABCDE'[column]}{5 - row}" for row in range(5) for column in range(5) if rows[row][column] == "X"]
    lines = [line for n, point in enumerate(black) for line in (f"play b {point}", f"play w {'pass' if n else 'B3'}")]
    ours, theirs = server(SMALL), server(games.load("openspiel:go(board_size=5,komi=0.5)"))
    for on in (ours, theirs):
        assert set(answers(on, *lines)) == {"= \n\n"}
    assert answers(ours, "final_score", "final_status_list dead") == ["= B+24.5\n\n", "= B3\n\n"]
    assert answers(theirs, "final_score", "final_status_list dead") == ["= B+20.5\n\n", "= \n\n"]
    assert "B3" in theirs.answer("final_status_list alive") and "B3" not in ours.answer("final_status_list alive")


def test_a_game_that_draws_its_komi_has_the_nearest_one():
    game = games.load("go(board_size=5,komi=4,komi_spread=1)")
    rules = gtp_game(game)
    assert rules.drawn == (1.5, 2.5, 3.5, 4.5, 5.5, 6.5) and rules.split([2, 7, 25]) == (3.5, [7, 25])
    own = OwnGame(game, FirstMove())
    for komi, outcome in ((5.5, 4), (3.1, 2), (-100, 0)):
        own.follow([(BLACK, 12)], None, komi)
        assert own.pool.history(0) == [outcome, 12]


def test_an_engine_is_told_the_komi_that_was_drawn(tmp_path):
    game, log = games.load("go(board_size=5,komi=4,komi_spread=1)"), tmp_path / "log"
    player = parse_player(f"gtp:{fake_engine('gtp', 'moves', log)}", game)
    pool, slots = after(game, [4, 12])
    player.choose(pool, slots, [[4, 12]])
    pool, slots = after(game, [1, 12])
    player.choose(pool, slots, [[1, 12]])
    player.close()
    said = log.read_text()
    assert "komi 5.5" in said and "komi 2.5" in said and said.count("C3") == 2


def test_a_player_that_fails_is_an_error_and_no_move():
    on = server()
    before = on.state()

    def fail(*arguments, **options):
        raise RuntimeError("out of\ncheese")

    on.session.own.thinker.think = fail
    assert on.answer("4 genmove b") == "?4 RuntimeError: out of\\ncheese\n\n"
    assert on.state() == before


def test_a_run_of_lines_with_all_that_goes_wrong():
    out = io.StringIO()
    text = b"\n# hi\nname\n\xff\xfe\nplay b \0 D4\n" + b"x" * 3 * MAX_LINE + b"\nplay b D4\r\nquit\nplay w E5\n"
    on = server()
    on.serve(LineQueue(io.BytesIO(text)), out)
    assert out.getvalue().split("\n\n") == [
        "= selfplay first",
        "? the line is not UTF-8 text",
        "? the line has a NUL in it",
        f"? the line is longer than {MAX_LINE} bytes",
        "= ",
        "= ",
        "",
    ]
    assert len(on.session.state.moves) == 1


def test_lines_come_whole_however_they_are_cut():
    class Pieces(io.RawIOBase):
        def __init__(self, data, size):
            self.data, self.size = data, size

        def read(self, _):
            piece, self.data = self.data[: self.size], self.data[self.size :]
            return piece

    data = b"a\n\nb" + b"c" * (2 * MAX_LINE) + b"\n\xff\nd\0\ne\r\nlast"
    expected = list(read_lines(io.BytesIO(data)))
    assert expected[:2] == ["a", ""] and expected[-2:] == ["e", "last"]
    assert [type(line) for line in expected] == [str, str, BadLine, BadLine, BadLine, str, str]
    for size in (1, 7, 65536):
        assert list(read_lines(Pieces(data, size))) == expected
    assert list(read_lines(io.BytesIO(b""))) == []


def test_other_games_are_refused():
    with pytest.raises(UserError, match="it plays go, not othello"):
        GtpServer(OTHELLO, FirstMove())


def test_a_player_that_searches_is_stopped_in_time():
    thinker = make_thinker(parse_player("uniform:simulations=200", SMALL, 1))
    pool, _ = after(SMALL, (12,))
    full = thinker.think(pool, (12,), Limits())
    assert full.num_simulations >= 200 and full.line[0] == full.action and -1 <= full.value <= 1
    games.check_action(pool, 0, full.action)
    speed = thinker._speed
    assert speed > 0 and thinker._num_simulations(Limits(seconds=40.5 / speed)) == 40  # 0b101000
    assert (
        thinker._num_simulations(Limits(seconds=47.5 / speed)) == 40
        and thinker._num_simulations(Limits(seconds=1e9)) == 200
    )
    assert thinker.think(pool, (12,), Limits(num_simulations=10)).num_simulations < 20
    assert thinker._speed == speed
    assert thinker.think(pool, (12,), Limits(seconds=0.0)).num_simulations <= 3
    asked = iter([False] * 5 + [True] * 100)
    assert thinker.think(pool, (12,), Limits(), lambda: next(asked)).num_simulations < 10
    thinker.close()
