"""Go programs at our GTP server: sessions as Sabaki, Lizzie and GoGui hold them, set-up games, sizes and clocks."""

from __future__ import annotations

import io
import itertools
import math
import re

import numpy as np
import pytest
from engine_helpers import needs

import games
from games.native.go import handicap_points
from selfplay.engines.gtp import GtpEngine, write_vertex
from selfplay.engines.lines import LineQueue
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player
from selfplay.players.player import Forecast, MoveAnalysis
from selfplay.players.thinking import SAFETY, Limits, Thought, make_thinker, move_seconds, never, no_report
from selfplay.servers.go_clock import Clock, TimeControl, after_move, first_clock, seconds_for_move
from selfplay.servers.gtp_analysis import AnalysisRequest, read_request, write_info
from selfplay.servers.gtp_server import GtpServer
from selfplay.servers.own_game import in_turn

SMALL = games.load("go(board_size=5,komi=0.5)")
BLACK, WHITE = 0, 1
PASS = 25


def searcher(game: games.Game):
    """A thinker that searches; every game of Go has one."""
    return make_thinker(parse_player("uniform:simulations=40", game, 1), num_lines=30)


class Scripted:
    """Says what it is told to; counts how often it is asked."""

    name, needs_history = "scripted", False

    def __init__(self, *, endless: bool = False, fails: bool = False) -> None:
        self.endless, self.fails = endless, fails
        self.limits: list[Limits] = []
        self.histories: list[tuple[int, ...]] = []

    def think(self, pool, history, limits, should_stop=never, report=no_report):
        self.limits.append(limits)
        self.histories.append(tuple(history))
        legal = pool.legal(np.zeros(1, np.int64))[1].tolist()
        moves = (MoveAnalysis(legal[0], "", 7, 0.5, 0.75), MoveAnalysis(legal[1], "", 3, -0.5, 0.25))
        thought = Thought(legal[0], 0.25, moves, (legal[0], legal[1]), num_simulations=10)
        report(thought)
        if self.fails:
            raise RuntimeError("out of cheese")
        while self.endless and not should_stop():
            pass
        return thought

    def close(self):
        pass


def session(server: GtpServer, *lines: str) -> str:
    """All that is written for lines that a controller sends without waiting."""
    out = io.StringIO()
    server.serve(LineQueue(io.BytesIO("".join(f"{line}\n" for line in lines).encode())), out)
    return out.getvalue()


def infos(line: str) -> list[dict[str, str]]:
    """The moves of a line of analysis, as Sabaki documents it: pairs of words, and `pv` with all that follows."""
    line, _, ownership = line.partition(" ownership ")
    found = []
    for part in filter(None, map(str.strip, line.split("info "))):
        pairs, pv = part.split(" pv ")
        words = pairs.split()
        assert len(words) % 2 == 0
        found.append(dict(zip(words[::2], words[1::2])) | {"pv": pv})
    assert not ownership or len(ownership.split()) == 25
    return found


# Sessions.


def test_a_session_as_sabaki_holds_it():
    server = GtpServer(SMALL, searcher(SMALL), searcher)
    text = session(
        server,
        *("name", "version", "protocol_version", "list_commands"),
        *("komi 6.5", "boardsize 5", "clear_board", "play B C3", "kata-analyze W 100 ownership true"),
        *("protocol_version", "undo", "kata-analyze B 100 ownership true", "genmove_analyze B 100", "showboard"),
    )
    answers = text.split("\n\n")
    assert all(answer.startswith("=") for answer in answers[:-1]) and answers[-1] == ""
    assert {"analyze", "lz-analyze", "kata-analyze", "kata-genmove_analyze", "undo"} <= set(answers[3][2:].split("\n"))
    for analysis, number in ((answers[8], 24), (answers[11], 25)):  # of free points, and the pass
        beginning, *lines = analysis.split("\n")
        moves = infos(lines[-1])
        assert beginning.strip() == "=" and 1 <= len(moves) <= number + 1
        assert all("." in move["winrate"] and 0 <= float(move["winrate"]) <= 1 for move in moves)
        assert [move["order"] for move in moves] == [str(i) for i in range(len(moves))]
        visits = [int(move["visits"]) for move in moves]
        assert visits == sorted(visits, reverse=True) and sum(visits) <= 40
        assert all(move["pv"].split()[0] == move["move"] for move in moves)
        assert not any({"scoreLead", "ownership"} & set(move) for move in moves)  # a player that knows neither
    assert re.fullmatch(r"play ([A-E][1-5]|pass)", answers[12].split("\n")[-1])
    assert answers[13].count("X") == 1 and server.session.state.komi == server.session.own.rules.komi == 6.5


def test_a_session_as_lizzie_holds_it():
    server = GtpServer(SMALL, searcher(SMALL), searcher, name="KataGo by another name")
    text = session(
        server,
        *("1 name", "2 version", "3 boardsize 5", "4 komi 0", "5 lz-analyze 10", "6 play B C3", "7 lz-analyze 10"),
        *("8 play W C2", "9 undo", "10 lz-analyze 10", "11 name", "12 time_settings 0 5 1"),
        *("13 lz-genmove_analyze w 10", "14 fixed_handicap 2", "15 clear_board"),
    )
    answers = text.split("\n\n")[:-1]
    assert [answer.split("\n")[0].split()[0] for answer in answers] == [
        "?14" if number == 14 else f"={number}" for number in range(1, 16)
    ]
    assert answers[0] == "=1 KataGo by another name"
    for number in (5, 7, 10, 13):
        moves = infos(answers[number - 1].split("\n")[1])
        assert all(move["winrate"].isdigit() and move["prior"].isdigit() for move in moves)
        assert all(0 <= int(move["winrate"]) <= 10_000 for move in moves)
    assert answers[12].split("\n")[-1].startswith("play ")


@pytest.mark.parametrize("next_line", ["", "name", "play b C3", "# nothing", "quit", None])
def test_every_line_ends_an_analysis_and_so_does_the_end(next_line):
    server = GtpServer(SMALL, Scripted(endless=True))
    lines = ["4 kata-analyze 1"] if next_line is None else ["4 kata-analyze 1", next_line]
    text = session(server, *lines)
    assert text.startswith("=4 \ninfo move A1 visits 7 winrate 0.750000 prior 0.750000 order 0 pv A1 B1 info move B1 ")
    assert text.count("?") == 0 and "\n\n" in text
    assert len(server.session.state.moves) == (next_line == "play b C3")


def test_a_move_that_is_asked_for_is_not_hurried_by_lines():
    class Patient(Scripted):
        def think(self, pool, history, limits, should_stop=never, report=no_report):
            assert not should_stop()
            return super().think(pool, history, limits, should_stop, report)

    text = session(GtpServer(SMALL, Patient()), "kata-genmove_analyze b 100", "name")
    assert text.split("\n\n")[0].endswith("\nplay A1") and text.split("\n\n")[1] == "= selfplay scripted"


def test_an_analysis_changes_nothing():
    server = GtpServer(SMALL, searcher(SMALL))
    for line in ("play b C3", "play w C4", "komi 3"):
        server.answer(line)
    before = server.state()
    for line in ("analyze", "lz-analyze w 5", "kata-analyze b interval 5 maxmoves 3 minmoves 2 rootInfo true"):
        assert server.answer(line).startswith("= \ninfo ") and server.state() == before
    assert len(infos(server.answer("kata-analyze maxmoves 3 minmoves 9").split("\n")[1])) == 3


def test_the_side_that_is_asked_for_is_thought_about():
    thinker = Scripted()
    server = GtpServer(SMALL, thinker)
    for line in ("kata-analyze", "kata-analyze w", "play b C3", "kata-analyze", "kata-analyze b", "genmove b"):
        assert server.answer(line).startswith("=")
    assert thinker.histories == [(), (PASS,), (12,), (12, PASS), (12, PASS)]
    assert server.session.state.moves == ((BLACK, 12), (BLACK, 0))


def test_an_analysis_that_fails_is_an_error_before_its_first_line_and_an_end_after_it():
    failing = Scripted(fails=True)
    text = session(GtpServer(SMALL, failing), "kata-analyze", "3 kata-genmove_analyze b 1", "name")
    first, second, name = text.split("\n\n")[:3]
    assert first.startswith("= \ninfo") and second.startswith("=3 \ninfo") and "play" not in second
    assert name == "= selfplay scripted"
    failing.think = lambda *arguments, **options: 1 / 0  # type: ignore[method-assign]
    assert session(GtpServer(SMALL, failing), "kata-analyze").startswith("? ZeroDivisionError")


def test_nothing_is_said_of_a_game_that_is_over_or_by_a_player_without_an_opinion():
    server = GtpServer(SMALL, searcher(SMALL))
    assert session(server, "play b pass", "play w pass", "kata-analyze", "kata-genmove_analyze b 1") == (
        "= \n\n= \n\n= \n\n= \nplay pass\n\n"
    )
    silent = GtpServer(SMALL, make_thinker(parse_player("random", SMALL, 1)))
    text = session(silent, "kata-analyze", "lz-genmove_analyze b 1")
    assert re.fullmatch(r"= \n\n= \nplay \w+\n\n", text)


def test_reports_that_cost_much_come_seldom(monkeypatch):
    clock = {"now": 0.0, "cost": 0.0}
    reports = []

    def tick() -> float:
        clock["now"] += 0.01
        return clock["now"]

    def report(thought):
        clock["now"] += clock["cost"]
        reports.append(thought)

    monkeypatch.setattr("selfplay.players.thinking.time.monotonic", tick)
    pool = SMALL.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    thinker = make_thinker(parse_player("uniform:simulations=200", SMALL, 1))
    thinker.think(pool, (), Limits(), report=report)
    assert len(reports) > 5  # every tenth of a second
    clock["cost"], reports[:] = 5.0, []
    thinker.think(pool, (), Limits(), report=report)
    assert len(reports) == 1  # the next would come after ten times what this one took


# What a line says.


def test_a_line_by_hand():
    moves = (
        MoveAnalysis(12, "", 6, 0.5, 0.7),
        MoveAnalysis(PASS, "", 1, -1.0, 0.2),
        MoveAnalysis(0, "", 0, math.nan, 0.1),
    )
    ownership = np.arange(25).reshape(5, 5) / 100
    thought = Thought(12, 0.3, moves, (12, 7), ((12, 7), (PASS,)), Forecast(2.5, ownership))
    rules = GtpServer(SMALL, Scripted()).session.own.rules
    request = AnalysisRequest(ownership=True)
    assert write_info(thought, request, rules, in_ten_thousands=True) == (
        "info move C3 visits 6 winrate 7500 prior 7000 order 0 pv C3 C2 "
        "info move pass visits 1 winrate 0 prior 2000 order 1 pv pass"
    )
    line = write_info(thought, request, rules, in_ten_thousands=False)
    assert line.startswith(
        "info move C3 visits 6 winrate 0.750000 scoreMean 2.500 scoreLead 2.500 prior 0.700000 order 0 pv C3 C2 info"
    )
    numbers = [float(word) for word in line.partition(" ownership ")[2].split()]
    assert numbers == ownership[::-1].ravel().tolist()  # A5 to E5 first
    assert "ownership" not in write_info(thought, AnalysisRequest(), rules, in_ten_thousands=False)
    asked = write_info(thought, AnalysisRequest(min_moves=3), rules, in_ten_thousands=True)
    assert asked.endswith("info move A1 visits 0 winrate 6500 prior 1000 order 2 pv A1")  # worth what the position is


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", AnalysisRequest()),
        ("50", AnalysisRequest(interval=0.5)),
        ("W 50", AnalysisRequest(WHITE, 0.5)),
        ("black interval 5 ownership true", AnalysisRequest(BLACK, 0.05, ownership=True)),
        ("b 5 minmoves 2 maxmoves 9 ownership false", AnalysisRequest(BLACK, 0.05, 2, 9)),
        ("maxmoves 0 pvVisits true", AnalysisRequest(max_moves=1)),
    ],
)
def test_arguments_of_an_analysis(words, expected):
    assert read_request(tuple(words.split())) == expected


@pytest.mark.parametrize(
    "words", ["x", "b w", "b 5 5", "ownership", "ownership 1", "interval -1", "maxmoves x", "allow"]
)
def test_arguments_that_make_no_sense(words):
    with pytest.raises(ValueError, match="."):
        read_request(tuple(words.split()))


# Turns, stones, files, sizes.


def test_turns_alternate_in_the_players_game():
    rules = GtpServer(SMALL, Scripted()).session.own.rules
    assert in_turn(rules, [(BLACK, 1), (WHITE, 2), (BLACK, 3)]) == [1, 2, 3]
    assert in_turn(rules, [(BLACK, 1), (BLACK, 2)]) == [1, PASS, 2]
    assert in_turn(rules, [(WHITE, 1)], WHITE) == [PASS, 1, PASS]
    assert in_turn(rules, [(BLACK, PASS), (BLACK, 2)]) == [2]  # rather than two passes, which would end the game
    assert in_turn(rules, [(BLACK, PASS), (WHITE, PASS)]) == [PASS, PASS]  # these do end it
    rng = np.random.default_rng(0)
    for _ in range(200):
        plays = [(int(player), int(action)) for player, action in rng.integers((2, PASS), size=(8, 2))]
        actions = in_turn(rules, plays, BLACK)
        board: dict[int, int] = {action: ply % 2 for ply, action in enumerate(actions) if action != PASS}
        assert board == {action: player for player, action in plays} or len({a for _, a in plays}) < len(plays)
        assert len(actions) % 2 == 0 and (PASS, PASS) not in itertools.pairwise(actions)


def test_stones_of_a_handicap():
    thinker = Scripted()
    server = GtpServer(games.load("go(board_size=9,komi=0.5)"), thinker)
    assert server.answer("fixed_handicap 3") == "= C3 G7 C7\n\n"
    assert server.answer("genmove w").startswith("= A1")
    assert thinker.histories == [(20, 81, 60, 81, 56)]
    assert server.answer("final_score") == "= W+1.5\n\n"  # three stones against one, 0.5, and three for the handicap
    assert server.answer("undo").startswith("=") and server.answer("undo") == "? cannot undo\n\n"
    assert server.answer("clear_board").startswith("=") and server.session.state.stones == ()
    assert server.answer("set_free_handicap A1 B2") == "= \n\n" and server.session.state.to_play == WHITE
    for line in ("set_free_handicap A1 A1", "set_free_handicap A1 pass", "fixed_handicap 10", "fixed_handicap 1"):
        server.answer("clear_board")
        assert server.answer(line).startswith("?")


def test_no_player_is_made_for_a_file_with_a_komi_that_is_refused(tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text("(;GM[1]SZ[5]KM[1000.5];B[aa])")
    server = GtpServer(games.load("go(board_size=9)"), Scripted(), lambda game: pytest.fail("it would never be closed"))
    assert server.answer(f"loadsgf {path}") == "? cannot load file: unacceptable size or komi\n\n"


@needs("gnugo")
def test_fixed_handicaps_are_those_of_gnu_go():
    engine = GtpEngine("gnugo --mode gtp", 60)
    for size in (7, 8, 9, 11, 13, 19):
        for stones in range(2, 10):
            engine.ask(f"boardsize {size}")
            engine.ask("clear_board")
            try:
                theirs = set(engine.ask(f"fixed_handicap {stones}").split())
            except UserError:
                theirs = set()
            try:
                ours = {write_vertex(*divmod(point, size)) for point in handicap_points(size, stones).tolist()}
            except games.GameError:
                ours = set()
            assert ours == theirs, (size, stones)
    engine.close()


SGF = "(;GM[1]FF[4]SZ[5]KM[2.5]HA[2]AB[bd][db];W[cc];B[dd](;W[cb];B[];W[tt])(;W[aa]))"


def test_a_file_is_loaded(tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text(SGF)
    thinker = Scripted()
    server = GtpServer(games.load("go(board_size=9)"), Scripted(), lambda game: thinker)
    assert server.answer(f"loadsgf {path}") == "= black\n\n"
    state = server.session.state
    assert state.komi == 2.5 and state.handicap == 2 and server.session.own.rules.size == 5
    assert state.stones == ((BLACK, 6), (BLACK, 18)) and len(state.moves) == 5
    assert server.session.own.rules.komi == 4.5  # with the points for the handicap
    assert server.answer(f"loadsgf {path} 3") == "= white\n\n"  # the position before move 3
    assert [action for _, action in server.session.state.moves] == [12, 8]
    server.answer("genmove w")
    assert thinker.histories[-1] == (6, PASS, 18, 12, 8)
    before = server.state()
    for bad, reason in [
        ("(;GM[1]SZ[5:7];B[aa])", "no square"),
        ("(;GM[1]SZ[5];B[aa];W[aa])", "illegal move"),
        ("(;GM[1]SZ[5];B[aa];AW[bb])", "in the middle of the game"),
        ("(;GM[1]SZ[5];B[zz])", "no point"),
        ("(;GM[1]SZ[99];B[zz])", "size"),
        ("hello", "there is no game"),
    ]:
        path.write_text(bad)
        answer = server.answer(f"loadsgf {path}")
        assert answer.startswith("? cannot load file: ") and reason in answer, answer
        assert server.state() == before


@needs("gnugo")
def test_a_file_is_loaded_as_gnu_go_loads_it(tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text(SGF)
    engine = GtpEngine("gnugo --mode gtp", 60)
    server = GtpServer(games.load("go(board_size=5)"), Scripted(), lambda game: Scripted())
    for until in ("", " 1", " 2", " 4"):
        theirs = engine.ask(f"loadsgf {path}{until}")
        assert server.answer(f"loadsgf {path}{until}") == f"= {theirs}\n\n"
        points = server.session.state.board.points
        for player, color in enumerate(("black", "white")):
            ours = {server.session.own.rules.write_move(p) for p, mark in enumerate(points) if mark == player}
            assert ours == set(engine.ask(f"list_stones {color}").split())
    engine.close()


def test_a_game_that_draws_its_komi_takes_the_nearest():
    game = games.load("go(board_size=5,komi=7,komi_spread=1)")
    thinker = Scripted()
    server = GtpServer(game, thinker, lambda game: thinker)
    for komi in (6.5, 7.5, 100):
        assert server.answer(f"komi {komi}") == "= \n\n" and server.answer("reg_genmove b").startswith("=")
        assert game.komis[thinker.histories[-1][0]] == min(komi, game.komis.max())
    server.answer("play b C3")
    server.answer("genmove w")
    assert server.session.state.moves == ((BLACK, 12), (WHITE, 0)) and thinker.histories[-1][1:] == (12,)
    assert server.session.own.game is game and server.session.margin() == 1 - 1 - 100


def test_dead_stones_do_not_count_by_the_rules_of_the_player():
    lines = [f"play b {point}" for point in "A2 B2 C2 D2 E2 C1".split()] + ["play w A1"]
    for name, score, dead in [("go", "B+24.5", "A1"), ("openspiel:go", "B+21.5", "")]:
        server = GtpServer(games.load(f"{name}(board_size=5,komi=0.5)"), Scripted())
        assert [server.answer(line) for line in lines] == ["= \n\n"] * len(lines)
        assert server.answer("final_score") == f"= {score}\n\n"
        assert server.answer("final_status_list dead") == f"= {dead}\n\n"
        assert ("A1" in server.answer("final_status_list alive")) != bool(dead)


def test_size_and_komi_change_the_player_where_it_can():
    closed = []

    class Player(Scripted):
        def __init__(self, game):
            if game.num_actions > 50 or "komi=3.5" in game.name:
                raise UserError("cannot play it")
            super().__init__()
            self.game = game

        def close(self):
            closed.append(self.game.name)

    first = Player(SMALL)
    server = GtpServer(SMALL, first, Player)
    server.answer("play b C3")
    assert server.answer("boardsize 7") == "= \n\n"
    assert server.session.own.rules.size == 7 and server.session.state.moves == () and len(closed) == 1
    assert server.session.state.komi == server.session.own.rules.komi == 0.5  # stays as it was
    for size in ("1", "9", "20", "7 8"):
        before = server.state()
        assert server.answer(f"boardsize {size}") == "? unacceptable size\n\n" and server.state() == before
    server.answer("play b C3")
    assert server.answer("komi 6.5") == "= \n\n" and server.session.own.rules.komi == 6.5
    assert len(server.session.state.moves) == 1  # the game goes on
    assert server.answer("komi 3.5") == "= \n\n" and server.session.own.rules.komi == 6.5
    assert server.session.margin() == 49 - 3.5  # the score counts the komi of the controller
    assert server.answer("genmove w") == "= A1\n\n"
    assert server.answer("boardsize 5") == "= \n\n" and server.session.own.rules.komi == 6.5
    fixed = GtpServer(SMALL, Scripted())
    assert fixed.answer("boardsize 7").startswith("?") and fixed.answer("komi 9") == "= \n\n"


# Clocks.


def test_seconds_for_a_move_by_hand():
    absolute = TimeControl(300)
    assert seconds_for_move(None, None, 81) is None
    assert seconds_for_move(absolute, Clock(300), 81) == move_seconds(300, moves_to_go=32)
    assert seconds_for_move(absolute, Clock(300), 361) == move_seconds(300, moves_to_go=144)
    assert seconds_for_move(absolute, Clock(10), 0) == move_seconds(10, moves_to_go=8)
    canadian = TimeControl(60, 100, 5)
    assert seconds_for_move(canadian, Clock(60), 81) == SAFETY * 20  # an overtime's share is more than the main time's
    assert seconds_for_move(canadian, Clock(50, 4), 81) == move_seconds(50, moves_to_go=4)
    byo_yomi = TimeControl(600, 10, 3, is_byo_yomi=True)
    assert seconds_for_move(byo_yomi, Clock(600), 81) == move_seconds(600, moves_to_go=32)
    assert seconds_for_move(byo_yomi, Clock(5), 81) == SAFETY * 10
    assert seconds_for_move(byo_yomi, Clock(8, 2), 81) == SAFETY * 8


def test_clocks_that_nobody_else_keeps():
    canadian = TimeControl(60, 100, 2)
    clocks = [first_clock(canadian)]
    for seconds in (50, 30, 40, 70, 5):
        clocks.append(after_move(canadian, clocks[-1], seconds))
    assert clocks == [Clock(60), Clock(10), Clock(100, 2), Clock(60, 1), Clock(100, 2), Clock(95, 1)]
    byo_yomi = TimeControl(0, 10, 3, is_byo_yomi=True)
    assert first_clock(byo_yomi) == after_move(byo_yomi, Clock(10, 3), 9) == Clock(10, 3)
    assert after_move(TimeControl(60), Clock(10), 50) == Clock(0)


def test_clocks_become_limits(monkeypatch):
    thinker = Scripted()
    server = GtpServer(games.load("go(board_size=9)"), thinker)
    ticks = itertools.count(step=40.0)
    monkeypatch.setattr("selfplay.servers.go_session.time.monotonic", lambda: next(ticks))  # 40 s a move
    for line in ("genmove b", "time_settings 60 30 5", "genmove w", "genmove b", "genmove w", "genmove b"):
        server.answer(line)
    seconds = [limits.seconds for limits in thinker.limits]
    assert seconds == [None, *[max(move_seconds(60, moves_to_go=32), SAFETY * 6)] * 2, SAFETY * 6, SAFETY * 6]
    assert server.session.state.clocks == (Clock(30, 5), Clock(30, 5))
    server.answer("time_left b 12.5 2")
    assert server.session.state.clocks[BLACK] == Clock(12.5, 2)
    server.answer("clear_board")
    assert server.session.state.clocks == (Clock(60), Clock(60))  # a new game
    server.answer("kata-analyze")
    assert thinker.limits[-1].seconds is None  # takes as long as it is let
    for line, control in [
        ("kgs-time_settings none", None),
        ("kgs-time_settings absolute 90.5", TimeControl(90.5)),
        ("kgs-time_settings canadian 60 300 25", TimeControl(60, 300, 25)),
        ("kgs-time_settings byoyomi 0 30 3", TimeControl(0, 30, 3, is_byo_yomi=True)),
        ("time_settings 0 10 0", None),
        ("time_settings 0 0 0", None),
        ("time_settings 0 10 1", TimeControl(0, 10, 1)),
    ]:
        assert server.answer(line) == "= \n\n" and server.session.state.control == control
