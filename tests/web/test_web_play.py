"""Games on the page: whose turn it is, what is taken back, what players think, positions that are pasted."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from web_helpers import (
    HUMAN,
    RANDOM,
    VERSIONS,
    act,
    begin,
    change_settings,
    make_run,
    mcts,
    page,
    refused,
    search_without_end,
    settled,
)

import games
from selfplay.players.kinds import parse_player
from selfplay.players.search import SearchPlayer
from selfplay.players.thinking import Limits, line_texts, make_thinker
from selfplay.web.differences import MOST_DIFFERENCES
from selfplay.web.library import Library
from selfplay.web.pasted import read_position
from selfplay.web.refusals import Refused
from selfplay.web.table import Table


@pytest.fixture
def client():
    with page() as found:
        yield found


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "four")


def test_a_game_against_a_player_goes_to_its_end(client):
    state = begin(client, "tic_tac_toe", HUMAN, mcts())
    assert state["position"]["to_play"] == 0 and not state["busy"] and state["ply"] == 0
    while not state["result"]:
        state = settled(
            client, act(client, state, "move", ply=state["ply"], action=state["position"]["moves"][0]["action"])
        )
    assert state["result"] in ("x won.", "o won.", "The game is a draw.")
    assert (
        refused(client, f"/api/games/{state['id']}/move", {"ply": state["ply"], "action": 0}, 409) == "the game is over"
    )
    assert {entry["player"] for entry in state["values"]} == {1}


def test_a_move_of_a_player_comes_with_its_thoughts(client):
    state = settled(client, act(client, begin(client, "tic_tac_toe", HUMAN, mcts(50)), "move", ply=0, action=4))
    thinking = state["thinking"]
    assert state["ply"] == 2 and thinking["done"] and thinking["ply"] == 1 and thinking["for"] == "move"
    thought = thinking["thought"]
    assert thought["simulations"] == thought["budget"] == 50
    assert sum(move["visits"] for move in thought["moves"]) == 50
    assert thought["line"][0] == state["moves"][1][1] and len(thought["moves"]) == 8
    assert state["values"] == [{"ply": 1, "player": 1, "value": thought["value"], "by": "plain MCTS, 50 simulations"}]


def test_the_network_that_comes_with_the_program_plays_its_game(client):
    shipped = {"kind": "pretrained", "simulations": 8}
    state = begin(client, "tic_tac_toe", HUMAN, shipped)
    state = settled(client, act(client, state, "move", ply=0, action=4))
    assert state["ply"] == 2 and state["values"][0]["by"] == "the trained network of selfplay, 8 simulations"
    assert client.get("/api/game?name=tic_tac_toe").json()["pretrained"]
    assert not client.get("/api/game?name=nim").json()["pretrained"]
    assert (
        refused(client, "/api/games", {"game": "nim", "seats": [HUMAN, shipped]})
        == "pretrained: no trained network for nim comes with selfplay"
    )


def test_illegal_and_late_moves_change_nothing(client):
    state = act(client, begin(client, "tic_tac_toe", HUMAN, HUMAN), "move", ply=0, action=4)
    path = f"/api/games/{state['id']}/move"
    assert "not a legal move" in refused(client, path, {"ply": 1, "action": 4})
    assert "moved on" in refused(client, path, {"ply": 0, "action": 3}, 409)
    assert "whole number" in refused(client, path, {"ply": 1, "action": "zero"})
    assert client.get(f"/api/games/{state['id']}").json() == state


def test_nobody_moves_for_a_player(client, monkeypatch):
    search_without_end(monkeypatch)
    state = begin(client, "connect_four", mcts(100_000), HUMAN)
    assert refused(client, f"/api/games/{state['id']}/move", {"ply": 0, "action": 3}, 409) == "it is not your turn"
    state = settled(client, act(client, state, "stop"))
    assert state["ply"] == 1 and 0 < state["thinking"]["thought"]["simulations"] < 100_000


def test_taking_back_goes_to_the_last_move_of_a_person(client):
    state = begin(client, "tic_tac_toe", HUMAN, mcts())
    assert "no move of yours" in refused(client, f"/api/games/{state['id']}/undo", {"ply": 0}, 409)
    state = settled(client, act(client, state, "move", ply=0, action=4))
    second = settled(client, act(client, state, "move", ply=2, action=state["position"]["moves"][0]["action"]))
    back = act(client, second, "undo", ply=second["ply"])
    assert back["ply"] == 2 and back["moves"] == state["moves"] and back["position"] == state["position"]
    assert act(client, back, "undo", ply=2)["ply"] == 0


def test_taking_back_while_a_player_thinks_ends_that(client, monkeypatch):
    search_without_end(monkeypatch)
    state = act(client, begin(client, "connect_four", HUMAN, mcts(100_000)), "move", ply=0, action=3)
    assert state["busy"] and state["ply"] == 1
    back = act(client, state, "undo", ply=1)
    assert back["ply"] == 0 and not back["busy"]
    assert settled(client, back)["ply"] == 0


def test_swapping_sides_lets_the_other_side_move(client):
    state = begin(client, "tic_tac_toe", HUMAN, RANDOM)
    state = settled(client, act(client, state, "seats", seats=[RANDOM, HUMAN]))
    assert state["ply"] == 1 and state["position"]["to_play"] == 1 and state["seats"][1]["label"] == "you"


def test_players_alone_go_on_while_somebody_looks(client):
    state = begin(client, "tic_tac_toe", RANDOM, RANDOM)
    for _ in range(1000):
        if state["result"]:
            break
        state = settled(client, state)
    assert state["result"] and state["position"]["to_play"] == games.TERMINAL


def test_chance_is_drawn_by_the_server(client):
    state = begin(client, "pig", HUMAN, RANDOM)
    rolled = act(client, state, "move", ply=0, action=0)
    assert [player for player, _ in rolled["moves"]] == [0, games.CHANCE] and rolled["moves"][1][1].startswith("Roll")
    assert begin(client, "backgammon", HUMAN, HUMAN)["moves"][0][0] == games.CHANCE


def test_games_of_one_player_and_of_three(client):
    state = begin(client, "2048", HUMAN)
    assert state["sides"] == ["player 1"] and [player for player, _ in state["moves"]] == [games.CHANCE] * 2
    state = begin(client, "chinese_checkers(players=3)", HUMAN, RANDOM, RANDOM)
    state = settled(client, act(client, state, "move", ply=0, action=state["position"]["moves"][0]["action"]))
    assert state["ply"] == 3 and state["position"]["to_play"] == 0
    assert "has 3 players" in refused(client, f"/api/games/{state['id']}/seats", {"seats": [HUMAN]})


def test_hints_do_not_move(client):
    state = act(client, begin(client, "tic_tac_toe", HUMAN, HUMAN), "hint", ply=0, player={"kind": "solver"})
    state = settled(client, state)
    thought = state["thinking"]["thought"]
    assert state["ply"] == 0 and state["thinking"]["for"] == "hint" and thought["value"] == 0.0
    assert len(thought["line"]) == 9, "perfect play fills the board"
    state = settled(client, act(client, state, "hint", ply=0, player=RANDOM))
    assert state["thinking"]["thought"]["moves"] == [] and state["thinking"]["thought"]["value"] is None


def test_a_thought_belongs_to_its_position(client):
    state = act(client, begin(client, "tic_tac_toe", HUMAN, HUMAN), "move", ply=0, action=4)
    state = settled(client, act(client, state, "hint", ply=1, player=mcts()))
    assert state["thinking"]["ply"] == 1
    thought = state["thinking"]["thought"]
    searched = {move["text"]: move["visits"] for move in thought["moves"] if move["visits"]}
    assert {branch["text"]: branch["visits"] for branch in thought["branches"]} == searched
    assert any(branch["replies"] for branch in thought["branches"])
    state = act(client, state, "undo", ply=1)
    assert act(client, state, "move", ply=0, action=0)["thinking"] is None


def test_a_network_plays_and_two_versions_are_compared(run_dir):
    with page(run_dir) as client:
        run = {"kind": "run", "run": 0, "simulations": 8}
        state = settled(client, act(client, begin(client, "connect_four", HUMAN, run), "move", ply=0, action=3))
        assert state["ply"] == 2 and state["seats"][1]["version"] == VERSIONS[1]
        players = [run | {"version": VERSIONS[0]}, {"kind": "net", "run": 0}]
        state = settled(client, act(client, state, "compare", ply=2, players=players))
        first, second = state["comparison"]["results"]
        assert state["comparison"]["done"] and first["player"].startswith("four @3") and first["budget"] == 8
        assert second["budget"] == 0 and second["moves"][0]["visits"] == 0 and second["moves"][0]["q"] is None
        assert abs(sum(move["prior"] for move in second["moves"]) - 1) < 1e-6 and len(second["line"]) > 1
        path = "/api/games"
        seats = [HUMAN, run | {"version": 4}]
        assert "no version 4" in refused(client, path, {"game": "connect_four", "seats": seats})
        seats = [HUMAN, run]
        assert "cannot play othello" in refused(client, path, {"game": "othello", "seats": seats})


def test_positions_are_found_in_which_two_players_move_differently(run_dir):
    with page(run_dir) as client:
        networks = [{"kind": "net", "run": 0, "version": version} for version in VERSIONS]
        state = begin(client, "connect_four", HUMAN, HUMAN)
        found = settled(client, act(client, state, "differences", players=networks))["differences"]
        assert found["done"] and found["looked_at"] > 20 and 0 < len(found["found"]) <= MOST_DIFFERENCES
        for entry in found["found"][:5]:
            there = act(client, state, "position", text=json.dumps({"moves": entry["history"]}))
            texts = []
            for network in networks:
                thought = settled(client, act(client, there, "hint", ply=there["ply"], player=network))
                texts.append(thought["thinking"]["thought"]["moves"][0]["text"])
            assert texts == entry["moves"] and texts[0] != texts[1] and entry["title"].startswith("shard 0, game ")
        same = settled(client, act(client, state, "differences", players=[networks[0], networks[0]]))["differences"]
        assert (
            same["found"] == [] and same["looked_at"] == found["looked_at"] or len(found["found"]) == MOST_DIFFERENCES
        )
        path = f"/api/games/{state['id']}/differences"
        assert "two players or more" in refused(client, path, {"players": [networks[0]]})
        assert "no person" in refused(client, path, {"players": [networks[0], HUMAN]})
        other = begin(client, "tic_tac_toe", HUMAN, HUMAN)
        path = f"/api/games/{other['id']}/differences"
        assert "no run of this game" in refused(client, path, {"players": [mcts(), RANDOM]}, 409)


def strengths(client, name):
    return [entry["seat"] for entry in client.get("/api/game", params={"name": name}).json()["strengths"]]


def test_the_page_opens_with_the_newest_run_that_plays_a_game(tmp_path):
    games_of = {"old": "connect_four", "new": "connect_four", "other": "tic_tac_toe", "pole": "connect_four"}
    runs = [make_run(tmp_path / name, game, with_games=False) for name, game in games_of.items()]
    change_settings(runs[3], algorithm="dqn", environment="CartPole-v1")
    for age, run in zip((40, 20, 30, 10), runs):
        os.utime(run / "checkpoints", (10_000 - age, 10_000 - age))
    with page(*runs) as client:
        found = client.get("/api/setup").json()
        assert found["newest_run"] == 1 and found["first_game"] == "connect_four"
        kinds = [(seat["kind"], seat["run"], seat["version"]) for seat in strengths(client, "connect_four")]
        assert kinds == [("net", 1, VERSIONS[-1]), ("run", 1, VERSIONS[-1]), ("run", 1, VERSIONS[-1])]
        medium, strong = (seat["simulations"] for seat in strengths(client, "connect_four")[1:])
        assert 0 < medium < strong
        state = begin(client, "connect_four", HUMAN, strengths(client, "connect_four")[2])
        assert state["position"]["to_play"] == 0


def test_strengths_of_a_run_that_does_not_search_are_its_versions(tmp_path):
    run = make_run(tmp_path / "learned", with_games=False)
    change_settings(run, algorithm="dqn")
    with page(run) as client:
        found = [(seat["kind"], seat["version"]) for seat in strengths(client, "connect_four")]
    assert found == [("net", VERSIONS[0]), ("net", VERSIONS[1]), ("net", VERSIONS[1])]


def test_without_a_run_the_network_that_comes_with_the_program_is_the_opponent(client):
    found = strengths(client, "tic_tac_toe")
    assert [seat["kind"] for seat in found] == ["pretrained"] * 3
    assert found[0]["simulations"] < found[1]["simulations"] < found[2]["simulations"]
    first = client.get("/api/setup").json()["first_game"]
    assert client.get("/api/game", params={"name": first}).json()["pretrained"]
    assert {seat["kind"] for seat in strengths(client, first)} == {"pretrained"}


def test_a_game_is_offered_in_the_form_that_a_network_has_learned(monkeypatch):
    rules = "connect_four(egocentric_obs_tensor=True)"
    monkeypatch.setattr("selfplay.web.library.pretrained_names", lambda: {"tic_tac_toe": "noughts", rules: "four"})
    library = Library([])
    assert library.first_game() == rules and rules in library.game_names()
    assert "connect_four" not in library.game_names() and "tic_tac_toe" in library.game_names()


def test_a_game_of_a_run_is_offered_once(tmp_path):
    run = make_run(tmp_path / "run", with_games=False)
    change_settings(run, game="connect_four(egocentric_obs_tensor=True)")
    names = [name for name in Library([run]).game_names() if name.startswith("connect_four")]
    assert names == ["connect_four(egocentric_obs_tensor=True)"]


def test_without_a_network_opponents_search(client):
    assert client.get("/api/setup").json()["newest_run"] is None
    assert {seat["kind"] for seat in strengths(client, "chess")} == {"mcts"}
    assert len({seat["simulations"] for seat in strengths(client, "chess")}) == 3


def test_a_player_that_cannot_think_says_why_and_the_game_goes_on(tmp_path):
    run = make_run(tmp_path / "run", with_games=False)
    (run / "checkpoints" / "00000012" / "weights.safetensors").write_bytes(b"broken")
    with page(run) as client:
        state = act(client, begin(client, "connect_four", HUMAN, {"kind": "run", "run": 0}), "move", ply=0, action=3)
        state = settled(client, state)
        assert "weights.safetensors" in state["problem"] and state["ply"] == 1
        state = settled(client, act(client, state, "seats", seats=[HUMAN, RANDOM]))
        assert state["problem"] == "" and state["ply"] == 2


def test_only_so_many_games_are_kept(client):
    first = begin(client, "tic_tac_toe", HUMAN, HUMAN)
    for _ in range(32):
        begin(client, "tic_tac_toe", HUMAN, HUMAN)
    assert client.get(f"/api/games/{first['id']}").status_code == 404


# Thinking.


def test_a_search_ends_when_asked_to_and_says_what_it_has():
    table = Table(games.load("connect_four"), [3])
    player = parse_player("mcts:simulations=1000", table.game)
    assert isinstance(player, SearchPlayer)
    asked = []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) > 20

    thought = make_thinker(player).think(table.pool, table.history, Limits(), stopped)
    assert 1 <= thought.num_simulations <= 20
    assert sum(move.visits for move in thought.moves) == thought.num_simulations
    line = line_texts(table.pool, thought.line)
    assert line and line[0] in {move.text for move in thought.moves}


def test_thinking_in_steps_is_the_same_as_at_once():
    table = Table(games.load("connect_four"), [3, 2])
    thinker = make_thinker(parse_player("uniform:simulations=200", table.game, 7))
    thought = thinker.think(table.pool, [3, 2], Limits())
    analysis = parse_player("uniform:simulations=200", table.game, 7).analyse(table.pool, 0)
    assert thought.action == analysis.action and thought.value == analysis.value
    for ours, theirs in zip(thought.moves, analysis.moves, strict=True):
        np.testing.assert_equal(vars(ours), vars(theirs))


# Pasted positions.


@pytest.mark.parametrize(
    ("game", "text", "moves"),
    [
        ("connect_four", "3 3 2", [3, 3, 2]),
        ("connect_four", "x3 o3 x2", [3, 3, 2]),
        ("connect_four", '{"game": "connect_four", "moves": [3, 3, 2]}', [3, 3, 2]),
        ("connect_four", "[3, 3]", [3, 3]),
        ("connect_four", "3,3,2", [3, 3, 2]),
        ("tic_tac_toe", "x(1,1) o(0,0)", [4, 0]),
        ("gomoku", "0,3 1,1", [3, 16]),
        ("go(board_size=9)", "(;FF[4]SZ[9];B[aa];W[]\n;B[ba])", [72, 81, 73]),
        ("go(board_size=9)", "(;SZ[9];B[aa];W[tt];B[ba])", [72, 81, 73]),
        ("go(board_size=9)", "B a1\nW b1", [0, 1]),
        ("go(board_size=9)", "a1 b1", [0, 1]),
    ],
)
def test_moves_are_read_as_people_write_them(game, text, moves):
    assert read_position(games.load(game), text).history == moves


def test_a_game_of_chess_is_read_from_pgn():
    text = '[Event "?"]\n[White "a"]\n\n1. e4 e5 2. Nf3! {good} Nc6 3.Bb5 $1 a6 1-0\n'
    events = read_position(games.load("chess"), text).events
    assert [event.text for event in events] == ["e4", "e5", "Nf3", "Nc6", "Bb5", "a6"]


@pytest.mark.parametrize(
    "game",
    [
        "tic_tac_toe",
        "connect_four",
        "hex(board_size=5)",
        "go(board_size=5)",
        "go(board_size=19,handicap=3)",
        "y(board_size=5)",
    ],
)
def test_a_board_is_reached_by_some_order_of_moves(game):
    rules, rng = games.load(game), np.random.default_rng(3)
    for plies in (2, 4, 6):
        table = Table(rules)
        while table.ply < plies and table.to_play >= 0:
            moves = sorted(table.view.drawing.places)
            table.play(int(rng.choice(moves)))
        found = read_position(rules, table.view.text)
        assert found.view.drawing.cells == table.view.drawing.cells and found.to_play == table.to_play


@pytest.mark.parametrize(
    ("game", "text", "part"),
    [
        ("connect_four", " \n ", "nothing was pasted"),
        ("connect_four", "3 9", "move 2: '9' is not a legal move"),
        ("connect_four", "3 3 3 3 3 3 3", "move 7"),
        ("tic_tac_toe", "0 3 1 4 2 5", "the game is over"),
        ("tic_tac_toe", "xx.\nx..\n...", "no game leads to this board"),
        ("connect_four", ".......\n" * 4 + "...x...\n.......\n", "no game that leads"),
        ("connect_four", "\x00\x00", "not a legal move"),
        ("connect_four", "3 " * 5000, "move 7"),
    ],
)
def test_what_is_no_position_is_turned_down(game, text, part):
    with pytest.raises(Refused, match=part) as caught:
        read_position(games.load(game), text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_board_with_the_other_side_to_move_is_turned_down():
    rules = games.load("go(board_size=5)")
    board = Table(rules, [3, 25]).view.text  # a stone and a pass: Black is to move
    with pytest.raises(Refused, match="no game that leads"):
        read_position(rules, board)
    assert read_position(rules, board.replace("to_play=B", "to_play=W")).history == [3]


def test_a_board_of_a_game_that_draws_its_komi_has_that_of_the_text():
    game = games.load("go(board_size=3,komi_spread=1)")  # komis 4.5 to 10.5, by outcomes 0 to 6
    board = Table(game, [1, 4, 0]).view.text
    assert "komi=5.5" in board and read_position(game, board).history == [1, 4, 0]
    assert read_position(game, board.replace("komi=5.5, ", "")).history == [3, 4, 0]


CHESS, NINE = "chess", "go(board_size=9)"


@pytest.mark.parametrize(
    ("game", "text", "moves"),
    [
        (CHESS, "1. e4 e5 2. Nf3 Nc6 3. Bc4 Bc5 4. 0-0 Nf6", "e4 e5 Nf3 Nc6 Bc4 Bc5 O-O Nf6"),
        (CHESS, "1. e4 e5 (1... c5 2. Nf3 {the open Sicilian}) 2. Nf3 Nc6 *", "e4 e5 Nf3 Nc6"),
        (CHESS, "1. e4 e5 ; the open game\n2. Nf3 Nc6", "e4 e5 Nf3 Nc6"),
        (CHESS, "89\n90,", "a3 a5"),
        (NINE, "(;GM[1]FF[4]SZ[9];B[ee](;W[dd];B[fe])(;W[cc];B[gg]))", "B e5 W d6 B f5"),
        (NINE, "(;GM[1]SZ[9];BL[30]B[ee];WL[29.5]W[dd])", "B e5 W d6"),
        ("go(board_size=19,handicap=2)", "(;HA[2]AB[pd][dp];W[dd])", "W d16"),
    ],
)
def test_a_file_that_is_pasted_gives_its_main_line(game, text, moves):
    assert " ".join(event.text for event in read_position(games.load(game), text).events) == moves


@pytest.mark.parametrize(
    ("game", "text", "part"),
    [
        (NINE, "(;GM[1]SZ[19];B[ee])", "a board of 19 by 19"),
        (NINE, "(;SZ[9]AB[gc][cg];W[ee])", "black stones on C3, G7"),
        (NINE, "(;SZ[9];B[ee])(;SZ[9];B[aa])", "2 games in the text"),
        (NINE, '[Event "x"]\n1. e4', "this is PGN, which is read for chess"),
        (NINE, "(;)", "no SZ means 19"),
        (CHESS, "(;GM[3];B[ee])", "this is SGF, which is read for go"),
        ("connect_four", "(;GM[1];B[ee])", "this is SGF, which is read for go"),
        (CHESS, '[FEN "8/8/8/4k3/8/8/4P3/4K3 w - - 0 1"]\n1. e4', "a FEN"),
        (CHESS, "1. e4 1-0 1. d4 *", "2 games in the text"),
        (CHESS, "{nothing} *", "no moves in the text"),
        (CHESS, "1. " + "Nf3 Nf6 Ng1 Ng8 " * 600, "the game is over"),
    ],
)
def test_a_file_that_cannot_be_honoured_is_turned_down(game, text, part):
    with pytest.raises(Refused, match=part) as caught:
        read_position(games.load(game), text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_pasted_game_with_another_komi_says_so_as_long_as_it_is_played(client):
    state = begin(client, NINE, HUMAN, HUMAN)
    assert state["remark"] == ""
    state = act(client, state, "position", text="(;SZ[9]KM[0.5]RU[Japanese];B[ee])")
    said = "The pasted game says: komi '0.5' where this game has 7.5; rules 'Japanese' where this game counts area."
    assert state["remark"] == said
    state = act(client, state, "move", ply=1, action=0)
    state = act(client, state, "undo", ply=2)
    assert state["ply"] == 1 and state["remark"] == said
    assert act(client, state, "position", text="(;SZ[9]KM[7.5]RU[Chinese];B[ee])")["remark"] == ""


def test_the_last_move_of_a_pasted_position_is_marked(client):
    state = begin(client, "othello", HUMAN, HUMAN)
    assert act(client, state, "position", text="d3 c3")["last"] == [18]


def test_a_pasted_position_is_played_from(client):
    state = begin(client, "connect_four", HUMAN, RANDOM)
    assert "not a legal move" in refused(client, f"/api/games/{state['id']}/position", {"text": "3 8"})
    assert client.get(f"/api/games/{state['id']}").json() == state
    state = settled(client, act(client, state, "position", text="3 3"))
    assert state["ply"] == 2 and state["moves"] == [[0, "x3"], [1, "o3"]]
    assert settled(client, act(client, state, "position", text="3"))["ply"] == 2, "then the player moves"
