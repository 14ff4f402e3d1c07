"""Matches: sums, pairs, seats, openings, chance, one player and three, and what the command prints."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from exact_player import ExactPlayer

import games
from selfplay import cli
from selfplay.errors import UserError
from selfplay.evaluation.match import FIRST, SECOND, MatchGame, play_match, summarise, whole_groups
from selfplay.evaluation.openings import draw_openings
from selfplay.players.kinds import parse_player
from selfplay.stats.intervals import elo_difference, score_interval

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")


class FixedPlayer:
    """Plays the legal move at a fixed place among the legal ones, and keeps what it was asked."""

    def __init__(self, name: str, place: int = 0) -> None:
        self.name, self.place = name, place
        self.asked: list[tuple[int, ...]] = []

    def choose(self, pool, slots, histories):
        self.asked += [tuple(history) for history in histories]
        offsets, actions = pool.legal(slots)
        return np.array([actions[a:b][self.place] for a, b in zip(offsets[:-1], offsets[1:])])

    def close(self):
        pass


def random_match(game, num_games, seed=0, **settings):
    return play_match(
        game, parse_player("random", game, 1), parse_player("random", game, 2), num_games, seed, **settings
    )


def test_random_against_random_adds_up():
    result = random_match(TIC_TAC_TOE, 400)
    assert result.wins + result.draws + result.losses == result.games == len(result.records) == 400
    assert result.score == (result.wins + result.draws / 2) / 400
    assert result.elo_low < 0 < result.elo_high
    assert result.elo_low < result.elo < result.elo_high
    assert result.unfinished == 0
    assert 5 <= result.mean_length <= 9


def test_pairs_share_the_opening_and_swap_seats():
    result = random_match(CONNECT_FOUR, 200, opening_plies=3)
    openings = []
    for one, other in zip(result.records[0::2], result.records[1::2]):
        assert one.moves[:3] == other.moves[:3]
        assert one.seats == (FIRST, SECOND) and other.seats == (SECOND, FIRST)
        openings.append(one.moves[:3])
    assert len(set(openings)) == 100


def test_records_replay_to_their_results():
    result = random_match(CONNECT_FOUR, 40)
    for record in result.records:
        state = games.new_state(CONNECT_FOUR)
        for action in record.moves:
            assert action in state.legal_actions()
            state.apply(action)
        assert state.to_play() == games.TERMINAL
        assert tuple(state.rewards()) == record.returns
        assert record.score == (1 + record.returns[record.seats.index(FIRST)]) / 2
        assert record.plies == len(record.moves)


def test_seed_repeats_and_another_differs():
    first, again, other = (random_match(TIC_TAC_TOE, 50, seed) for seed in (3, 3, 4))
    assert first == again
    assert first.records != other.records


def test_games_in_parts_are_the_same_games_where_players_are_fixed():
    def play(**settings):
        return play_match(CONNECT_FOUR, FixedPlayer("a"), FixedPlayer("b", -1), 20, 1, **settings)

    assert play() == play(games_at_once=3) == play(games_at_once=1)


def test_each_player_is_asked_only_in_its_own_seat():
    first, second = FixedPlayer("a"), FixedPlayer("b", -1)
    result = play_match(CONNECT_FOUR, first, second, 12, opening_plies=2)
    expected = Counter(
        (record.seats[ply % 2], record.moves[:ply]) for record in result.records for ply in range(2, record.plies)
    )
    asked = Counter(
        (which, history) for which, player in ((FIRST, first), (SECOND, second)) for history in player.asked
    )
    assert asked == expected


def test_distinct_games_are_counted_by_their_moves():
    result = play_match(TIC_TAC_TOE, FixedPlayer("a"), FixedPlayer("b"), 10, opening_plies=0)
    assert result.distinct_games == 1  # the same player twice: swapping seats changes nothing
    assert result.score == 0.5
    result = play_match(TIC_TAC_TOE, FixedPlayer("a"), FixedPlayer("b", -1), 10, opening_plies=0)
    assert result.distinct_games == 2


def test_perfect_player_never_loses_and_search_beats_random():
    for opponent in (parse_player("random", TIC_TAC_TOE, 1), parse_player("mcts:simulations=200", TIC_TAC_TOE, 1)):
        # Openings of no move: a random one may be lost already.
        result = play_match(TIC_TAC_TOE, ExactPlayer(), opponent, 100, opening_plies=0)
        assert result.losses == 0
        assert opponent.name == "random" or result.wins < 50
    result = play_match(TIC_TAC_TOE, parse_player("mcts:simulations=200", TIC_TAC_TOE, 1), ExactPlayer(worst=True), 20)
    assert result.score > 0.9


def test_more_simulations_win():
    many, few = (parse_player(f"mcts:simulations={n}", CONNECT_FOUR, n) for n in (400, 20))
    assert play_match(CONNECT_FOUR, many, few, 30, seed=1).score > 0.8


def test_openings_differ_in_their_positions_and_leave_the_game_open():
    rng = np.random.default_rng(0)
    openings = draw_openings(CONNECT_FOUR, 49, rng)
    assert {len(opening) for opening in openings} <= {2, 3}
    openings = draw_openings(CONNECT_FOUR, 200, rng)
    assert {len(opening) for opening in openings} == {3}
    boards = set()
    for opening in openings:
        state = games.new_state(CONNECT_FOUR)
        for action in opening:
            state.apply(action)
        boards.add(str(state))
    assert len(boards) == 200


def test_openings_never_end_the_game():
    # Random games of seven plies are often over; the openings are those that are not.
    openings = draw_openings(TIC_TAC_TOE, 50, np.random.default_rng(0), 7)
    for opening in openings:
        state = games.new_state(TIC_TAC_TOE)
        for action in opening:
            state.apply(action)
        assert state.to_play() == 1
    with pytest.raises(UserError, match="10 random moves end every game"):
        draw_openings(TIC_TAC_TOE, 4, np.random.default_rng(0), 10)


def test_more_openings_than_the_game_has_are_repeated_evenly():
    game = games.load("connect_four(rows=2,columns=2,x_in_row=2)")
    openings = draw_openings(game, 8, np.random.default_rng(0), 1)
    assert sorted(openings) == [(0,)] * 4 + [(1,)] * 4


def test_long_games_are_cut_off_as_draws():
    result = random_match(CONNECT_FOUR, 10, max_plies=5)
    assert result.unfinished == result.draws == 10 and result.score == 0.5
    assert result.mean_length == 5


def test_chance_is_the_same_for_both_whole_groups():
    game = games.load("pig")
    result = play_match(game, FixedPlayer("a"), FixedPlayer("b"), 20, seed=1, max_plies=60)
    for one, other in zip(result.records[0::2], result.records[1::2]):
        assert one.moves == other.moves  # equal players and equal dice
    assert result.distinct_games == 10


def test_three_players_rotate_and_share_ties(monkeypatch):
    game = games.load("chinese_checkers(players=3)")
    with pytest.raises(UserError, match="games: 4 is not a multiple of 3"):
        random_match(game, 4)
    assert whole_groups(game, 4) == 6
    monkeypatch.setattr(game, "judge", lambda pool, slots: None)
    result = random_match(game, 3, max_plies=30)
    assert [record.seats for record in result.records] == [(0, 1, 1), (1, 0, 1), (1, 1, 0)]
    assert result.score == pytest.approx(1 / 3) and result.elo == pytest.approx(0)


def test_games_that_are_cut_off_go_to_whom_the_judge_sees_ahead():
    game = games.load("chinese_checkers(players=3)")
    result = random_match(game, 6, max_plies=30)
    assert result.unfinished == 6
    for record in result.records:
        pool, at = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(at)
        for action in record.moves:
            pool.step(at, np.array([action]), at)
        judged = game.judge(pool, at)[0]
        np.testing.assert_allclose(record.returns, judged)
        assert record.score == (judged.argmax() == record.seats.index(FIRST))


def test_scores_of_three_players():
    def record(returns, seat):
        seats = tuple(FIRST if i == seat else SECOND for i in range(3))
        best = max(returns)
        score = 1 / returns.count(best) if returns[seat] == best else 0.0
        return MatchGame((seat, *map(int, returns)), seats, returns, 9, True, score)

    game = games.load("chinese_checkers(players=3)")
    records = [record((1.0, -1.0, -1.0), 0), record((1.0, 1.0, -1.0), 1), record((1.0, 0.0, 0.0), 2)]
    result = summarise(game, "a", "b", records)
    assert (result.wins, result.draws, result.losses) == (1, 1, 1)
    assert result.score == 0.5 and result.elo == elo_difference(0.5, 3) > 0


def test_one_player_compares_games_with_the_same_luck():
    game = games.load("2048")
    result = play_match(game, FixedPlayer("a"), FixedPlayer("a"), 4, seed=1, max_plies=50)
    assert result.games == result.draws == 4 and len(result.records) == 8
    for one, other in zip(result.records[0::2], result.records[1::2]):
        assert one.moves == other.moves and (one.seats, other.seats) == ((FIRST,), (SECOND,))
    greedy = play_match(game, FixedPlayer("a"), FixedPlayer("b", -1), 5, seed=1, max_plies=50)
    for one, other in zip(greedy.records[0::2], greedy.records[1::2]):
        assert one.score == (1 + np.sign(one.returns[0] - other.returns[0])) / 2


def test_intervals_use_pairs():
    result = play_match(TIC_TAC_TOE, FixedPlayer("a"), FixedPlayer("b", -1), 40, opening_plies=2)
    pairs = [(one.score, other.score) for one, other in zip(result.records[0::2], result.records[1::2])]
    assert (result.score_low, result.score_high) == score_interval(pairs)
    assert result.elo_low == elo_difference(result.score_low)


@pytest.mark.parametrize("colour", ["first", "second"])
def test_a_fixed_colour_is_the_same_seat_in_every_game(colour):
    result = random_match(CONNECT_FOUR, 31, opening_plies=3, colour=colour)
    seats = (FIRST, SECOND) if colour == "first" else (SECOND, FIRST)
    assert {record.seats for record in result.records} == {seats}
    assert result.games == len(result.records) == 31 and result.colour == colour
    assert len({record.moves[:3] for record in result.records}) == 31  # an opening a game
    won = [record.returns[seats.index(FIRST)] for record in result.records]
    assert (result.wins, result.losses) == (won.count(1.0), won.count(-1.0))


def test_games_of_a_fixed_colour_are_independent_of_each_other():
    result = random_match(TIC_TAC_TOE, 40, colour="first")
    assert (result.score_low, result.score_high) == score_interval([(record.score,) for record in result.records])
    assert result.score > 0.5  # who begins has the better of random games


def test_a_game_that_repeats_is_counted_once():
    # Two players without luck and no opening: one game a seating, however many are played.
    match = [
        play_match(TIC_TAC_TOE, FixedPlayer("a"), FixedPlayer("b", -1), 6, opening_plies=0, colour=colour)
        for colour in ("first", "second", "both")
    ]
    assert [result.distinct_games for result in match] == [1, 1, 2]
    assert match[0].score + match[1].score == 2 * match[2].score


@pytest.mark.parametrize(
    ("game", "colour", "part"),
    [
        ("2048", "first", "no game for two"),
        ("chinese_checkers(players=3)", "second", "no game for two"),
        ("tic_tac_toe", "white", "'white' is not one of both, first, second"),
    ],
)
def test_colours_that_cannot_be_are_refused(game, colour, part):
    with pytest.raises(UserError, match=f"colour: .*{part}"):
        play_match(games.load(game), FixedPlayer("a"), FixedPlayer("b"), 6, max_plies=10, colour=colour)


@pytest.mark.parametrize("num_games", [0, -2, 3])
def test_odd_number_of_games_is_refused(num_games):
    with pytest.raises(UserError, match=f"games: {num_games} is not a multiple of 2"):
        random_match(TIC_TAC_TOE, num_games)


def test_illegal_move_of_a_player_is_its_fault():
    class Cheat(FixedPlayer):
        def choose(self, pool, slots, histories):
            return np.full(len(slots), 99)

    with pytest.raises(UserError, match="player cheat: tic_tac_toe: illegal move 99"):
        play_match(TIC_TAC_TOE, Cheat("cheat"), FixedPlayer("b"), 2)


def test_progress_counts_up_to_all_games():
    seen = []
    random_match(TIC_TAC_TOE, 10, on_progress=lambda done, total: seen.append((done, total)), games_at_once=4)
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {10}


def test_command_prints_one_json_object_that_any_reader_takes(capsys, tmp_path):
    arguments = ["match", "mcts:simulations=200", "random", "--game", "tic_tac_toe", "--games", "20", "--seed", "1"]
    saved = tmp_path / "games.jsonl"
    assert cli.main([*arguments, "--json", "--save", str(saved)]) == 0
    captured = capsys.readouterr()

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    result = json.loads(captured.out, parse_constant=refuse)
    assert captured.err == ""
    assert {"score", "wins", "draws", "losses", "distinct_games", "elo", "elo_low", "elo_high"} <= set(result)
    assert result["wins"] + result["draws"] + result["losses"] == 20 and result["score"] > 0.8
    lines = [json.loads(line) for line in saved.read_text().splitlines()]
    assert len(lines) == 20
    assert lines[0]["seats"] == ["mcts:simulations=200", "random"] == lines[1]["seats"][::-1]
    assert cli.main(arguments) == 0
    assert f"score           {result['score']:.1%}" in capsys.readouterr().out  # the seed repeats
    assert cli.main([*arguments, "--save", str(saved)]) == cli.BAD_INPUT
    assert "exists already" in capsys.readouterr().err


def test_command_takes_a_colour(capsys):
    arguments = [
        "match",
        "mcts:simulations=50",
        "random",
        "--game",
        "tic_tac_toe",
        "--games",
        "5",
        "--colour",
        "second",
    ]
    assert cli.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["colour"] == "second" and result["games"] == 5 and 1 <= result["distinct_games"] <= 5
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "5 games, mcts:simulations=50 always moves second" in text
    assert f"distinct games  {result['distinct_games']}\n" in text


def test_infinite_elo_is_null_and_a_bound_in_the_text(capsys):
    arguments = ["match", "mcts:simulations=200", "random", "--game", "connect_four", "--games", "10"]
    assert cli.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == 1.0 and result["elo"] is None and result["elo_high"] is None and result["elo_low"] > 0
    assert cli.main(arguments) == 0
    assert f"Elo difference  > {result['elo_low']:+.0f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["random", "random", "--games", "2"], "--game is missing"),
        (["random", "random", "--game", "tic_tac_toe", "--games", "3"], "games: 3 is not a multiple of 2"),
        (["random", "random", "--game", "tic_tac_toe"], "--games"),
        (["random", "random", "--game", "tic_tac_toe", "--games", "2", "--colour", "black"], "--colour"),
        (["random", "random", "--game", "2048", "--games", "2", "--colour", "first"], "no game for two players"),
        (["random", "run:none", "--games", "2"], "none"),
        (["random", "random", "--game", "tic_tac_toe", "--games", "2", "--opening-plies", "9"], "opening plies: 9"),
        (["random", "random", "--game", "tic_tac_toe", "--games", "2", "--seed", "-1"], "--seed"),
    ],
)
def test_bad_arguments_are_one_line(capsys, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["match", *arguments]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and part in captured.err


@pytest.mark.parametrize(
    ("name", "asked", "played"),
    [("tic_tac_toe", 5, 6), ("tic_tac_toe", 6, 6), ("chinese_checkers(players=3)", 2, 3), ("2048", 1, 2)],
)
def test_a_pair_plays_every_opening_with_every_seating(name, asked, played):
    assert whole_groups(games.load(name), asked) == played
