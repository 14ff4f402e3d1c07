"""Shogi through USI in both directions: engines as players, and our player in other programs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from engine_helpers import after, fake_engine, needs, random_history

import games
from benchmarks.engine_games import match
from selfplay.engines.lines import LineQueue
from selfplay.engines.process import EngineError
from selfplay.engines.uci import UCI, USI
from selfplay.engines.uci_game import uci_game, usi_text
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player
from selfplay.players.thinking import make_thinker
from selfplay.servers.uci_server import UciServer

MINI = games.load("mini_shogi")
VARIANTS = "default minishogi var minishogi"


@pytest.mark.parametrize(
    ("text", "files", "ranks", "usi"),
    [("e1e2", 5, 5, "1e1d"), ("a5b4+", 5, 5, "5a4b+"), ("P@c3", 5, 5, "P*3c"), ("b2b3", 3, 4, "2c2b")],
)
def test_moves_are_written_as_usi_has_them(text, files, ranks, usi):
    assert usi_text(text, files, ranks) == usi


def test_openspiel_writes_moves_of_shogi_as_usi():
    moves, legal = uci_game(games.load("shogi"), USI).write([])
    assert moves == [] and {"7g7f", "2g2f", "2h7h"} <= legal.keys() and len(legal) == 30


@pytest.mark.parametrize("name", ["connect_four", "gardner_chess", "chess"])
def test_games_that_are_no_shogi_are_refused(name):
    with pytest.raises(UserError, match="USI: shogi, mini shogi and animal shogi are played through it, not"):
        uci_game(games.load(name), USI)


def test_shogi_is_not_played_through_uci():
    with pytest.raises(UserError, match="not shogi; shogi is played through USI"):
        uci_game(games.load("shogi"))


def test_what_an_engine_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_VARIANTS", "shogi minishogi")
    log = tmp_path / "log"
    player = parse_player(f"usi:{fake_engine('usi', 'moves', log, '1e1d,5a5b')}:skill=0,movetime=70", MINI)
    first = player.choose(*after(MINI, ()), [()])
    player.choose(*after(MINI, first.tolist()), [first.tolist()])
    player.close()
    go = "go btime 0 wtime 0 byoyomi 70"
    assert log.read_text().splitlines() == [
        *("start", "usi", "setoption name UCI_Variant value minishogi", "setoption name Skill Level value 0"),
        *("usinewgame", "isready", "position startpos", go),
        *("position startpos moves 1e1d", go),
    ]


def test_an_engine_that_resigns_found_no_move(tmp_path):
    player = parse_player(f"usi:{fake_engine('usi', 'moves', tmp_path / 'log', 'resign')}", games.load("shogi"))
    with pytest.raises(EngineError, match="found no move"):
        player.choose(*after(games.load("shogi"), ()), [()])
    player.close()


def server(game: games.Game, dialect=USI, text: str = "uniform:simulations=4") -> tuple[UciServer, io.StringIO]:
    out = io.StringIO()
    return UciServer(
        game, lambda: make_thinker(parse_player(text, game, 1)), LineQueue(io.BytesIO()), out, dialect
    ), out


def answers(on: UciServer, out: io.StringIO, *lines: str) -> list[str]:
    before = len(out.getvalue())
    for line in lines:
        on.answer(line)
    return out.getvalue()[before:].splitlines()


def test_a_session():
    on, out = server(MINI)
    assert answers(on, out, "usi")[-2:] == [
        "option name UCI_Variant type combo default minishogi var minishogi",
        "usiok",
    ]
    assert answers(on, out, "isready", "setoption name USI_Ponder value true", "usinewgame") == ["readyok"]
    start = on.state()
    played = answers(on, out, "position startpos moves 1e1d 5a5b", "go btime 0 wtime 0 byoyomi 50")
    assert played[0].startswith("info depth ") and played[-1].startswith("bestmove ")
    _, legal = uci_game(MINI, USI).write(on._position.history)
    assert played[-1].split()[1].lower() in legal
    assert answers(on, out, "go mate 100") == ["checkmate notimplemented"]
    assert answers(on, out, "position sfen rbsgk/4p/5/P4/KGSBR b - 1", "gameover win") == [] and on.state() == start
    on.close()


def test_a_move_has_its_overtime_whether_or_not_clocks_are_told():
    on, _ = server(MINI)
    with_clocks, alone = (on._read_go(f"{clocks}byoyomi 700".split()) for clocks in ("btime 0 wtime 0 ", ""))
    assert alone == with_clocks and 0 < alone.limits.seconds <= 0.7
    assert on._read_go([]).limits.seconds is None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("position startpos moves 1e1d 1e1d", "move 2, '1e1d', is illegal"),
        ("position sfen 4k/5/5/5/K4 b - 1", "mini_shogi is played from its usual start alone"),
        ("position fish", "startpos or sfen is needed"),
        ("position fen rbsgk/4p/5/P4/KGSBR b - 1", "startpos or sfen is needed"),
        ("setoption name UCI_Variant value shogi", "the player plays minishogi, not shogi"),
        ("setoption name MultiPV value 2", "there is no option MultiPV"),
        ("uci", "unknown command uci"),
    ],
)
def test_what_cannot_be_done_changes_nothing(line, part):
    on, out = server(MINI)
    answers(on, out, "position startpos moves 1e1d")
    before = on.state()
    (said,) = answers(on, out, line)
    assert said.startswith("info string ") and part in said and on.state() == before


def test_where_the_game_is_over_the_player_resigns():
    game = games.load("animal_shogi")
    rng = np.random.default_rng(0)
    history = random_history(game, 300, rng)
    moves, legal = uci_game(game, USI).write(history)
    assert not legal
    on, out = server(game)
    said = answers(on, out, f"position startpos moves {' '.join(moves)}", "go nodes 1")
    assert said == ["info string go: there is no move, the game is over", "bestmove resign"]


def test_variants_of_chess_are_served_through_uci():
    on, out = server(games.load("gardner_chess"), UCI)
    said = answers(on, out, "uci", "position startpos moves b2b3", "go nodes 4")
    assert "option name UCI_Variant type combo default gardner var gardner" in said
    assert said[-1].split()[1] in uci_game(games.load("gardner_chess")).write(on._position.history)[1]
    on.close()


@needs("fairy-stockfish")
@pytest.mark.parametrize("name", ["shogi", "mini_shogi"])
def test_fairy_stockfish_plays_by_our_rules(name):
    game = games.load(name)
    result = match(game, "usi:fairy-stockfish:skill=10,nodes=200", "random", 2)
    assert result.wins == 2  # ended by our rules, each move of either was legal for the other
