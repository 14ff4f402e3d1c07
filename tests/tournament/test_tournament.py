"""Tournaments: schedules, the sequential test, what is kept and gone on with, who is at fault, and what is written."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re

import numpy as np
import pytest
import wandb
from no_wandb import forget_wandb
from run_helpers import Watcher, tiny_config
from wandb_file import offline_runs

import games
import selfplay
from benchmarks.planted_truth import decide
from selfplay import cli
from selfplay.commands.match import _text
from selfplay.errors import UserError
from selfplay.evaluation.match import FIRST, SECOND, MatchGame, play_tables, seat, summarise
from selfplay.players.kinds import RandomPlayer, register_player
from selfplay.stats.intervals import elo_difference
from selfplay.stats.ratings import PairResult, rate
from selfplay.stats.sprt import Sprt, expected_score, log_ratio, sprt_state
from selfplay.storage import checkpoint
from selfplay.storage.checkpoint import versions
from selfplay.tournament import tournament as tournament_module
from selfplay.tournament import workers
from selfplay.tournament.diagrams import MOST_DIAGRAMS
from selfplay.tournament.notation import to_pgn, to_sgf
from selfplay.tournament.players import Entrant
from selfplay.tournament.report import PICTURES
from selfplay.tournament.schedule import BLOCK_GROUPS, all_pairs, ladder, split, swiss_pairs, swiss_rounds
from selfplay.tournament.standings import make_standings, rate_pairs
from selfplay.tournament.store import Conditions, TournamentFolder
from selfplay.tournament.tournament import TournamentPlan, make_openings, play_tournament, points_of
from selfplay.training.evaluator import CheckpointResult, evaluate_checkpoint

# Schedules.


def test_round_robin_and_gauntlet():
    assert all_pairs("round-robin", 4) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert all_pairs("gauntlet", 4) == [(0, 1), (0, 2), (0, 3)]
    assert ladder(1, 4) == [(1, 0), (2, 0), (3, 0), (2, 1), (3, 2)]
    assert ladder(2, 4) == [(2, 0), (2, 1), (3, 0), (3, 1), (1, 0), (3, 2)]


@pytest.mark.parametrize("groups", [1, 2, 3, 50, 100])
def test_blocks_share_the_groups_evenly_and_overlap_nowhere(groups):
    pairs = all_pairs("round-robin", 3)
    blocks = split("abc", pairs, groups)
    played = {
        (a, b): [
            block.first_opening + n
            for block in blocks
            if (block.first, block.second) == ("abc"[a], "abc"[b])
            for n in range(block.num_groups)
        ]
        for a, b in pairs
    }
    assert sum(map(len, played.values())) == groups
    for openings in played.values():
        assert openings == list(range(len(openings))) and abs(len(openings) - groups / 3) < 1
    assert max(block.num_groups for block in blocks) <= BLOCK_GROUPS
    assert len({block.key for block in blocks}) == len(blocks)


@pytest.mark.parametrize("count", [2, 3, 6, 9])
def test_swiss_pairs_meet_once_and_everybody_sits_out_once(count):
    rng, met, byes = np.random.default_rng(0), set(), set()
    points = np.zeros(count)
    for _ in range((count - 1) if count % 2 == 0 else count):
        pairs, out = swiss_pairs(points.tolist(), met, byes)
        seen = sorted(itertools.chain(*pairs)) + ([out] if out is not None else [])
        assert sorted(seen) == list(range(count))
        if count > 3:
            assert len(met & set(pairs)) <= 1  # the last rounds may leave no other way
        met |= set(pairs)
        byes |= {out} - {None}
        for pair in pairs:
            points[rng.choice(pair)] += 1
    assert not byes or byes == set(range(count))


def test_swiss_pairs_are_of_equal_points():
    assert swiss_pairs([2.0, 0.0, 2.0, 0.0], set(), set())[0] == [(0, 2), (1, 3)]
    assert swiss_pairs([2.0, 0.0, 2.0, 0.0], {(0, 2)}, set())[0] == [(0, 1), (2, 3)]
    assert list(swiss_rounds(5, 4)) == [2, 2, 1]


# The sequential test.


@pytest.mark.parametrize("draws", [0.0, 0.5])
def test_sprt_is_wrong_as_rarely_as_promised(draws):
    """By simulation of 400 matches at each of the two hypotheses; a rate of 5 % has a deviation of 1.1 %."""
    sprt, rng = Sprt(elo0=0.0, elo1=60.0, alpha=0.05, beta=0.05), np.random.default_rng(1)
    wrong = {
        elo: sum(decide(sprt, elo, draws, 0.0, rng)[0] != right for _ in range(400)) / 400
        for elo, right in ((sprt.elo0, "H0"), (sprt.elo1, "H1"))
    }
    assert max(wrong.values()) < 0.05 + 2.5 * 0.011, wrong


def test_sprt_by_hand():
    """All groups won: the ratio of the likelihoods is that of the expected scores, as near as the prior lets it be."""
    sprt = Sprt(elo0=0.0, elo1=100.0)
    state = sprt_state(sprt, [1.0] * 10)
    assert state.log_ratio == pytest.approx(10 * np.log(expected_score(100.0) / expected_score(0.0)), rel=0.01)
    assert state.low == pytest.approx(-np.log(19)) and state.high == pytest.approx(np.log(19))
    assert sprt_state(sprt, [1.0] * 60).verdict == "H1" and sprt_state(sprt, [0.5] * 400).verdict == "H0"
    assert sprt_state(sprt, []).verdict == ""


@pytest.mark.parametrize("num_players", [2, 3, 6])
def test_sprt_takes_a_share_of_the_wins_as_equal_among_more_players(num_players):
    assert expected_score(0.0, num_players) == pytest.approx(1 / num_players)
    assert elo_difference(expected_score(70.0, num_players), num_players) == pytest.approx(70.0)
    sprt, equal, half = Sprt(elo1=100.0), [1.0, *[0.0] * (num_players - 1)] * 400, [0.5] * 400
    assert sprt_state(sprt, equal, num_players).verdict == "H0"
    assert sprt_state(sprt, half, num_players).verdict == ("H0" if num_players == 2 else "H1")


@pytest.mark.parametrize("num_players", [2, 3, 6])
def test_points_of_a_round_do_not_depend_on_who_is_named_first(num_players):
    assert points_of(1 / num_players, num_players) == pytest.approx(0.5)
    assert points_of(0.0, num_players) == 0.0 and points_of(1.0, num_players) == 1.0
    assert points_of(expected_score(90.0, num_players), num_players) == pytest.approx(expected_score(90.0))


def test_many_states_of_a_match_at_once_are_those_one_by_one():
    sprt, scores = Sprt(), np.random.default_rng(0).integers(5, size=60) / 4
    counts = np.cumsum(np.eye(5)[(4 * scores).astype(int)], axis=0)
    one_by_one = [sprt_state(sprt, scores[: number + 1]).log_ratio for number in range(60)]
    assert log_ratio(sprt, counts).tolist() == pytest.approx(one_by_one, abs=1e-12)


# Ratings of games with more seats.


def test_copies_of_an_opponent_are_allowed_for():
    """Two equal players at a table of four, one against three copies: the one wins a quarter."""
    elo = rate([PairResult("a", "b", 250, 0, 750, opponents=3)], "b").rating("a")
    assert abs(elo.elo) < 1.0
    both = rate([PairResult("a", "b", 250, 0, 750, 3), PairResult("b", "a", 250, 0, 750, 3)], "b").rating("a")
    assert abs(both.elo) < 1.0 and both.high - both.low < elo.high - elo.low


def test_a_shared_first_place_of_three_is_a_third():
    """It counted half in tournaments, so three players that all drew were +120 and +0."""
    game = games.load("chinese_checkers(players=3)")
    drawn = rate_pairs(game, {("a", "b"): [1 / 3] * 30}, "b").rating("a")
    assert abs(drawn.elo) < 1e-6 and drawn.low < -1 and drawn.high > 1
    match = summarise(game, "a", "b", [_record(score) for score in [1.0, 1 / 3, 1 / 2, 0.0, 1.0, 0.0] * 5])
    rated = rate_pairs(game, {("a", "b"): [1.0, 1 / 3, 1 / 2, 0.0, 1.0, 0.0] * 5}, "b").rating("a")
    assert (rated.elo, rated.low, rated.high) == pytest.approx((match.elo, match.elo_low, match.elo_high))


@pytest.mark.parametrize(("counts", "elo"), [((30, 60, 10), 70), ((25, 50, 25), 0), ((0, 90, 10), -35)])
def test_a_match_a_tournament_and_a_rating_print_one_difference(counts, elo):
    scores = [score for score, count in zip((1.0, 0.5, 0.0), counts) for _ in range(count)]
    game = games.load("tic_tac_toe")
    match = summarise(game, "a", "b", [_record(score) for score in scores])
    rating = rate_pairs(game, {("a", "b"): scores}, "b").rating("a")
    assert f"{match.elo:+.0f}" == f"{rating.elo:+.0f}" == f"{elo:+.0f}"
    assert (rating.low, rating.high) == pytest.approx((match.elo_low, match.elo_high))
    assert f"{_text(match)}".splitlines()[-1] == (
        f"  Elo difference  {elo:+.0f} (95 %: {rating.low:+.0f} to {rating.high:+.0f}), b = 0"
    )


def _record(score):
    return MatchGame((), (FIRST, SECOND), (0.0, 0.0), 9, True, score)


# Playing.


class Crash(RandomPlayer):
    """Raises an error in the middle of a game, or moves illegally."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(name, 0)
        self.how = how

    def choose(self, pool, slots, histories):
        if any(len(history) >= 6 for history in histories):
            if self.how == "error":
                raise RuntimeError("lost my way")
            return np.full(len(slots), 77)
        return super().choose(pool, slots, histories)


@pytest.mark.parametrize(("how", "reason"), [("error", "lost my way"), ("illegal", "illegal move 77")])
def test_a_failing_player_loses_the_game_and_the_others_go_on(how, reason):
    game = games.load("tic_tac_toe")
    openings = [(0, 1), (4, 2), (8, 0)]
    tables = [table for opening in openings for table in seat(game, opening, np.random.SeedSequence(0))]
    crash = Crash("crash", how)
    records = play_tables(game, (crash, RandomPlayer("random", 1)), tables, forfeits=True)
    lost = [record for record in records if record.forfeit]
    assert lost and all(record.score == 0.0 and reason in record.forfeit for record in lost)
    assert all(record.returns[record.seats.index(FIRST)] == -1.0 for record in lost)
    assert all(record.finished or record.forfeit for record in records)
    with pytest.raises((RuntimeError, UserError), match=reason):
        play_tables(game, (crash, RandomPlayer("random", 1)), tables)


TIC_TAC_TOE = Conditions("tic_tac_toe", seed=1)


def round_robin(names, num_games=24) -> TournamentPlan:
    return TournamentPlan(tuple(names), "round-robin", num_games)


def lines_of(path) -> list[str]:
    return sorted((path / "games.jsonl").read_text().splitlines())


@pytest.fixture
def one_process(monkeypatch):
    """Commands play in this process: fast, and players registered in tests exist there."""
    monkeypatch.setattr(tournament_module, "play_blocks", lambda *given: workers.play_blocks(*given[:3], processes=0))


PLAYERS = ["random", "random:seed=5", "mcts:simulations=20"]


def test_a_tournament_that_was_stopped_goes_on_to_the_same_games(tmp_path, one_process):
    plan = round_robin(PLAYERS, 120)
    whole = TournamentFolder(tmp_path / "whole", TIC_TAC_TOE)
    outcome = play_tournament(whole, plan, 2)
    assert sum(len(played.games) for played in outcome.played) == 120

    class Stop(Exception):
        pass

    def stop(done, total):
        if done >= 40:
            raise Stop

    parts = TournamentFolder(tmp_path / "parts", TIC_TAC_TOE)
    with pytest.raises(Stop):
        play_tournament(parts, plan, 2, on_progress=stop)
    parts.close()
    before = lines_of(parts.path)
    assert 40 <= len(before) < 120
    with open(parts.games, "ab") as file:  # a kill in the middle of a line, and of a block
        file.write(lines_of(whole.path)[-1].encode()[:30])
    again = TournamentFolder(tmp_path / "parts", TIC_TAC_TOE)
    assert play_tournament(again, plan, 1) == outcome
    kept = [line for line in lines_of(again.path) if line.endswith("}")]
    assert set(before) <= set(kept) and kept == lines_of(whole.path)


def test_a_player_may_join_later(tmp_path, one_process):
    folder = TournamentFolder(tmp_path, TIC_TAC_TOE)
    play_tournament(folder, round_robin(PLAYERS[:2], 32), 1)
    before = lines_of(folder.path)
    outcome = play_tournament(folder, round_robin(PLAYERS, 96), 1)
    assert set(before) < set(lines_of(folder.path)) and len(lines_of(folder.path)) == 96
    direct = play_tournament(TournamentFolder(tmp_path / "direct", TIC_TAC_TOE), round_robin(PLAYERS, 96), 1)
    assert direct == outcome


def test_more_games_of_a_pair_leave_those_that_were_played(tmp_path, one_process):
    folder = TournamentFolder(tmp_path, TIC_TAC_TOE)
    for num_games in (4, 40, 6, 48):
        outcome = play_tournament(folder, round_robin(PLAYERS[:2], num_games), 1)
        assert sum(len(played.games) for played in outcome.played) == num_games
    assert len(lines_of(folder.path)) == 48
    numbers = [played.block.first_opening + i for played in outcome.played for i in range(played.block.num_groups)]
    assert numbers == list(range(24))


def test_players_in_another_order_play_nothing_twice(tmp_path, one_process):
    folder = TournamentFolder(tmp_path, TIC_TAC_TOE)
    forward = play_tournament(folder, round_robin(PLAYERS, 48), 1)
    backward = play_tournament(folder, round_robin(PLAYERS[::-1], 48), 1)
    assert len(lines_of(folder.path)) == 48
    tables = [make_standings(outcome, "random").table for outcome in (forward, backward)]
    assert tables[0] == tables[1]


def test_another_tournament_in_the_folder_is_refused(tmp_path):
    folder = TournamentFolder(tmp_path, TIC_TAC_TOE)
    assert folder.as_joined("run:x", Entrant("run:x@3", "")).name == "run:x@3"
    folder.enter({"run:x": "run:x@3"})
    with pytest.raises(UserError, match="in use"):
        TournamentFolder(tmp_path, TIC_TAC_TOE)
    folder.close()
    with pytest.raises(UserError, match="its seed is 1, not 2"):
        TournamentFolder(tmp_path, Conditions("tic_tac_toe", seed=2))
    again = TournamentFolder(tmp_path, TIC_TAC_TOE)
    assert again.as_joined("run:x", Entrant("run:x@7", "")).name == "run:x@3"
    again.close()
    (tmp_path / "tournament.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        TournamentFolder(tmp_path, TIC_TAC_TOE)


def test_players_of_a_registered_kind_and_forfeits_in_the_table(tmp_path, one_process, capsys):
    register_player("crash", lambda spec, game, seed: Crash(spec.name, "error"))
    words = ["tournament", "crash", "random", "--game", "tic_tac_toe", "--games", "20", "--out", str(tmp_path / "t")]
    assert cli.main([*words, "--processes", "1"]) == 0
    printed = capsys.readouterr().out
    assert "forfeit: crash: lost my way" in printed and re.search(r"crash .* \d+ forfeited", printed)


def test_sprt_ends_a_match_early_and_by_the_order_of_the_openings(tmp_path, one_process):
    plan = round_robin(["mcts:simulations=50", "random"], 400)
    outcome = play_tournament(TournamentFolder(tmp_path / "a", TIC_TAC_TOE), plan, 2, Sprt(elo1=100.0))
    assert outcome.sprt.verdict == "H1" and sum(len(played.games) for played in outcome.played) < 400


def test_swiss_and_games_for_one_and_three(tmp_path, one_process, capsys):
    words = ["tournament", "random", "random:seed=1", "random:seed=2", "--processes", "2", "--json"]
    for name, count, options in [
        ("tic_tac_toe", 12, ["--format", "swiss"]),
        ("2048", 6, ["--max-plies", "20"]),
        ("chinese_checkers(players=3)", 9, ["--max-plies", "30", "--format", "gauntlet"]),
    ]:
        assert cli.main([*words, "--game", name, "--games", str(count), *options, "--out", str(tmp_path / name)]) == 0
        result = json.loads(capsys.readouterr().out)
        assert {row["player"] for row in result["table"]} == {"random", "random:seed=1", "random:seed=2"}
        assert result["games"] >= count


@pytest.mark.slow
def test_processes_that_die_cost_the_game(tmp_path):
    """A real worker process is killed by its player: the game is lost, everything else is played."""
    code = tmp_path / "players_that_die.py"
    code.write_text(
        "import os\n"
        "from selfplay.players.kinds import RandomPlayer, register_player\n"
        "class Deadly(RandomPlayer):\n"
        "    def choose(self, pool, slots, histories):\n"
        "        if any(len(history) == 5 for history in histories):\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return super().choose(pool, slots, histories)\n"
        "register_player('deadly', lambda spec, game, seed: Deadly(spec.name, seed))\n"
    )
    script = tmp_path / "play.py"
    script.write_text(
        "import players_that_die, sys\n"
        "from selfplay import cli\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(cli.main(sys.argv[1:]))\n"
    )
    import subprocess
    import sys

    words = ["tournament", "deadly", "random", "--game", "tic_tac_toe", "--games", "8", "--out", str(tmp_path / "t")]
    done = subprocess.run(
        [sys.executable, str(script), *words, "--opening-plies", "2", "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.getcwd()}"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["games"] == 8 and "took its process down" in result["forfeits"][0]


def test_processes_and_this_one_play_the_same_games(tmp_path):
    outcomes = []
    for processes in (0, 2):
        folder = TournamentFolder(tmp_path / str(processes), TIC_TAC_TOE)
        outcomes.append(play_tournament(folder, round_robin(PLAYERS, 100), processes))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "pig"])
def test_openings_are_the_first_of_a_longer_list(name):
    game, conditions = games.load(name), Conditions(name, seed=4)
    many = make_openings(game, conditions, 300)
    assert len(many) == 300 and make_openings(game, conditions, 20) == many[:20]
    if name == "connect_four":
        assert len(set(many)) > 290
    assert make_openings(game, Conditions(name, seed=5), 20) != many[:20] or name == "pig"


# What is written.


def test_the_report_stands_alone(tmp_path, one_process, capsys):
    out = tmp_path / "t"
    words = ["tournament", *PLAYERS, "--game", "connect_four", "--games", "30", "--out", str(out), "--processes", "1"]
    assert cli.main(words) == 0
    page = (out / "report.html").read_text()
    boards = page.count("<figure>")
    assert 1 <= boards <= MOST_DIAGRAMS and page.count("data:image/png;base64,") == 4 + boards
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert (
        page.index("mcts:simulations=20 is ahead of")
        < page.index("Ratings")
        < page.index("<table")
        < page.index("<figure>")
    )
    assert re.search(r"mcts:simulations=20, [xo] \((red|yellow)\), beats random in \d+ moves", page)
    for name in ("ratings", "cross_table", "lengths", "seats"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"mcts:simulations=20 +\+\d+", capsys.readouterr().out)


def test_wandb_gets_table_plots_and_boards(tmp_path, one_process, monkeypatch, capsys):
    forget_wandb(monkeypatch, tmp_path)
    out = tmp_path / "t"
    words = ["tournament", *PLAYERS[1:], "--game", "tic_tac_toe", "--games", "8", "--out", str(out), "--processes", "1"]
    assert cli.main([*words, "--wandb", "cups"]) == 0
    wandb.teardown()  # its service writes the rest of the file when the process ends, after `finish` has returned
    (offline,) = offline_runs(out)
    (row,) = offline.rows
    assert (offline.run.project, offline.run.job_type, offline.exit_code) == ("cups", "tournament", 0)
    assert row["tournament/table/nrows"] == 2 and 1 <= row["tournament/games/nrows"] <= MOST_DIAGRAMS
    assert {f"tournament/{name}/sha256" for name in PICTURES} <= set(row)
    assert "W&B" not in capsys.readouterr().err


def test_openings_from_a_file_are_played(tmp_path, one_process, capsys):
    path = tmp_path / "openings.jsonl"
    path.write_text('{"moves": [3, 3]}\n\n{"moves": [0], "values": {}}\n')
    out = tmp_path / "t"
    words = ["tournament", "random", "random:seed=3", "--game", "connect_four", "--games", "8", "--out", str(out)]
    assert cli.main([*words, "--openings", str(path), "--processes", "1"]) == 0
    starts = [json.loads(line)["moves"][:2] for line in (out / "games.jsonl").read_text().splitlines()]
    assert sum(start == [3, 3] for start in starts) >= 4 and sum(start[0] == 0 for start in starts) >= 4


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["random"], "at least two players"),
        (["random", "random"], "random is given twice"),
        (["random", "human"], "people play with"),
        (["random", "random:seed=1", "mcts", "--sprt", "elo1=10"], "it compares two players, not 3"),
        (["random", "mcts", "--sprt", "elo1=-10"], "elo0=0 must be less than elo1=-10"),
        (["random", "mcts", "--sprt", "alpha=1"], "alpha=1 is out of range"),
        (["random", "mcts", "--sprt", "elo1=1e9"], "elo1=1e+09 is out of range"),
        (["random", "mcts", "--sprt", "elo1=10", "--format", "swiss"], "leave out --format swiss"),
        (["random", "mcts", "--sprt", "gamma=1"], "unknown option 'gamma'"),
        (["random", "mcts", "--anchor", "uniform"], "--anchor: uniform does not play"),
        (["random", "mcts", "--openings", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
    ],
)
def test_bad_words_are_said_in_one_line(words, part, tmp_path, capsys):
    out = tmp_path / "t"
    assert cli.main(["tournament", *words, "--game", "tic_tac_toe", "--games", "4", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("[]", "expected"),
        ('{"moves": [9]}', "illegal move 9"),
        ('{"moves": [true]}', "expected"),
        ('{"moves": [0, 3, 1, 4, 2]}', "the game is over"),
        ('{"moves": [3, 2], "game": "connect_four"}', "the moves are of connect_four, and tic_tac_toe is played"),
        ('{"moves": [3, 2], "game": "no_such_game"}', "unknown game 'no_such_game'"),
        ('{"moves": [3, 2], "game": 5}', "unknown game '5'"),
    ],
)
def test_bad_openings_are_named(line, part, tmp_path, capsys):
    path = tmp_path / "openings.jsonl"
    path.write_text(f'{{"moves": []}}\n{line}\n')
    words = ["tournament", "random", "mcts", "--game", "tic_tac_toe", "--games", "4", "--openings", str(path)]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert f"{path}, line 2: " in error and part in error and error.count("\n") == 1


def test_sgf_and_pgn():
    go = games.load("go(board_size=5,komi=0.5)")
    opening = (0, 4, 25, 25)  # a1, e1, and both pass
    record = play_tables(go, (RandomPlayer("a", 0), RandomPlayer("b]", 1)), _tables(go, opening[:2]), max_plies=3)[0]
    sgf = to_sgf(go, record, ["a", "b]"])
    assert "SZ[5]KM[0.5]" in sgf and "PW[b\\]]" in sgf and ";B[ae];W[ee]" in sgf
    chess = games.load("chess")
    players = (RandomPlayer("a", 0), RandomPlayer("b", 1))
    record = play_tables(chess, players, _tables(chess, ()), max_plies=5)[0]
    pgn = to_pgn(chess, record, ['seat "0"', "seat 1"])
    assert '[White "seat 1"]' in pgn and '[Black "seat \\"0\\""]' in pgn and pgn.rstrip().endswith("*")
    assert pgn.count("1.") == 1 and pgn.count("3.") == 1


def _tables(game, opening):
    return seat(game, opening, np.random.SeedSequence(0))[:1]


# The ratings of a run.


def test_every_pair_of_a_rating_plays_however_few_games_are_asked_for(tmp_path, one_process, capsys):
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, "--budget.steps", "2"), run, Watcher())
    assert cli.main(["rate", str(run), "--anchors", "random", "--games", "1", "--simulations", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["games"] == 2 * 3
    assert cli.main(["rate", str(run), "--anchors", "human"]) == 2
    assert "people play with" in capsys.readouterr().err


def test_an_anchor_goes_by_the_names_of_the_tournament(tmp_path, one_process, capsys):
    run, config = tmp_path / "run", tiny_config(tmp_path, "--budget.steps", "2")
    selfplay.train(config, run, Watcher())
    words = ["--game", "tic_tac_toe", "--games", "2", "--processes", "1", "--out", str(tmp_path / "t")]
    words += ["--anchor", f"net:{run}@2"]
    assert cli.main(["tournament", f"net:{run}", "random", *words]) == 0
    longer = dataclasses.replace(config, budget=dataclasses.replace(config.budget, steps=4))
    selfplay.resume(run, lambda old: longer, Watcher())
    assert cli.main(["tournament", f"net:{run}", "random", *words]) == 0
    before = [path.read_bytes() for path in sorted((tmp_path / "t").glob("*.json*"))]
    words[3], words[-1] = "8", f"net:{run}@4"
    assert cli.main(["tournament", f"net:{run}", "random", "random:seed=5", *words]) == 2
    assert "does not play" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted((tmp_path / "t").glob("*.json*"))] == before


def test_a_run_and_its_version_that_joined_before_are_one_player(tmp_path, one_process, capsys):
    run, config = tmp_path / "run", tiny_config(tmp_path, "--budget.steps", "2")
    selfplay.train(config, run, Watcher())
    words = ["--game", "tic_tac_toe", "--games", "2", "--processes", "1", "--out", str(tmp_path / "t")]
    assert cli.main(["tournament", f"net:{run}", "random", *words]) == 0
    longer = dataclasses.replace(config, budget=dataclasses.replace(config.budget, steps=4))
    selfplay.resume(run, lambda old: longer, Watcher())
    capsys.readouterr()
    assert cli.main(["tournament", f"net:{run}", f"net:{run}@2", "random", *words]) == 2
    assert f"net:{run} and net:{run}@2 are the same player" in capsys.readouterr().err


def test_rate_makes_a_curve_and_plays_nothing_twice(tmp_path, one_process, capsys):
    overrides = ["--budget.steps", "4", "--checkpoint.every_steps", "2", "--checkpoint.keep_last", "9"]
    run = tmp_path / "run"
    selfplay.train(tiny_config(tmp_path, *overrides), run, Watcher())
    words = ["rate", str(run), "--anchors", "random", "mcts:simulations=3", "--games", "4", "--simulations", "4"]
    assert cli.main([*words, "--checkpoints", "2", "--json"]) == 0
    curve = json.loads(capsys.readouterr().out)
    assert [point["version"] for point in curve["checkpoints"]] == [0, 4]
    assert curve["anchors"][0]["player"] == "random" and curve["anchors"][0]["elo"] == 0.0
    assert [point["games"] for point in curve["checkpoints"]] == [
        checkpoint.load(run / "checkpoints", version).state["games"] for version in (0, 4)
    ]
    assert [point["rating_games"] for point in curve["checkpoints"]] == [12, 12]
    before = lines_of(run / "ratings")
    assert len(before) == 4 * 6
    assert cli.main([*words, "--checkpoints", "3"]) == 0
    assert set(before) < set(lines_of(run / "ratings"))
    printed = capsys.readouterr().out
    assert re.search(r"^ +[\d.]+ +[\d,]+ +[\d,]+ +2 +[-+]?\d+", printed, re.MULTILINE)
    assert (run / "ratings" / "curve.png").read_bytes().startswith(b"\x89PNG")


# Evaluation during training, and the gate.


def test_evaluations_rate_all_checkpoints_together(tmp_path):
    overrides = ["--budget.steps", "4", "--checkpoint.every_steps", "2", "--checkpoint.keep_last", "9"]
    config = tiny_config(tmp_path, *overrides, "--evaluation.opponents", "random", "mcts:simulations=4")
    run = tmp_path / "run"
    result = selfplay.train(config, run, Watcher())
    assert result.evaluation.version == 4 and set(result.evaluation.scores) == {"random", "mcts:simulations=4"}
    first = evaluate_checkpoint(config, run, 0, 6)
    again = evaluate_checkpoint(config, run, 0, 6)
    assert (first.scores, first.elo) == (again.scores, again.elo) and first.elo[1] < first.elo[0] < first.elo[2]
    assert first.beats_champion is None
    kept = lines_of(run / "ratings")
    gated = evaluate_checkpoint(config, run, 4, 6, champion=0)
    assert gated.beats_champion in (True, False) and set(kept) < set(lines_of(run / "ratings"))


def test_a_rating_comes_from_the_newest_versions_and_the_one_that_is_rated(tmp_path, monkeypatch):
    overrides = ["--budget.steps", "8", "--checkpoint.every_steps", "2", "--checkpoint.keep_last", "9"]
    config = tiny_config(tmp_path, *overrides, "--evaluation.opponents", "random", "mcts:simulations=4")
    run = tmp_path / "run"
    selfplay.train(config, run, Watcher())
    monkeypatch.setattr("selfplay.training.evaluator.RATED_VERSIONS", 2)
    rated = []

    def rate_and_note(game, scores, anchor):
        rated.append({player.partition("@")[2] for pair in scores for player in pair} - {""})
        return rate_pairs(game, scores, anchor)

    monkeypatch.setattr("selfplay.tournament.standings.rate_pairs", rate_and_note)
    for version in (2, 4, 6, 2):
        evaluate_checkpoint(config, run, version, 2)
    assert [{text.partition(":")[0] for text in one} for one in rated] == [
        {"8", "2"}, {"2", "4"}, {"4", "6"}, {"2", "4", "6"},
    ]  # fmt: skip


def test_a_run_that_somebody_else_is_rating_ends_well(tmp_path):
    config = tiny_config(tmp_path, "--budget.steps", "2", "--evaluation.opponents", "random")
    held = TournamentFolder(tmp_path / "run" / "ratings", TIC_TAC_TOE)
    watcher = Watcher()
    result = selfplay.train(config, tmp_path / "run", watcher)
    held.close()
    assert result.evaluation is None and result.version == 2 and versions(tmp_path / "run" / "checkpoints")[-1] == 2
    assert any(line.startswith("warning: evaluation: ") and "in use" in line for line in watcher.lines)


class _Judge:
    """Stands for the evaluator: the verdicts are given."""

    def __init__(self, verdicts):
        self.verdicts, self.asked, self.busy = list(verdicts), [], False

    def request(self, version, games_each, champion=None):
        self.asked.append((version, champion))
        self.busy = True

    def result(self, timeout=0.0):
        if not self.busy:
            return None
        self.busy = False
        version, champion = self.asked[-1]
        verdict = None if champion is None else bool(self.verdicts) and self.verdicts.pop(0)
        return CheckpointResult(version, {}, {}, 0.0, None, verdict)

    def stop(self):
        pass


def test_actors_play_with_the_champion_only(tmp_path, monkeypatch):
    judge = _Judge([True, False])
    monkeypatch.setattr("selfplay.training.trainer.EvaluationProcess", lambda config, run_dir: judge)
    monkeypatch.setattr("selfplay.training.trainer.Timer.due", lambda self: self._period > 0)  # every turn of the loop
    gate = ["--evaluation.gate", "--evaluation.every_minutes", "1"]
    config = tiny_config(tmp_path, "--budget.steps", "6", "--checkpoint.keep_last", "1", *gate)
    run = tmp_path / "run"
    result = selfplay.train(config, run, Watcher())
    challengers = [version for version, champion in judge.asked if champion is not None]
    crowned = challengers[0]
    assert judge.asked[0][1] in (0, None) and {c for _, c in judge.asked[1:]} <= {0, None, crowned}
    assert result.version == crowned
    assert crowned in versions(run / "checkpoints") and max(versions(run / "checkpoints")) == 6
    longer = dataclasses.replace(config, budget=dataclasses.replace(config.budget, steps=8))
    assert selfplay.resume(run, lambda old: longer, Watcher()).version == crowned
