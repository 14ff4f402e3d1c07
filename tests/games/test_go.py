"""The native game of Go: its rules against a slow reference, OpenSpiel's, and cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
from games_helpers import count_paths, live, random_actions, rows, slots
from go_boards import HERE, at, diagram, labels, legal, planes, play, points_of, shown
from go_reference import GoReference, owners

import games
from games import CHANCE, TERMINAL
from games.go_text import read_board
from games.native.go import Go, dead_stones, komi_choices
from games.native.go_rules import row_sizes


def load(name: str) -> Go:
    game = games.load(name)
    assert isinstance(game, Go)
    return game


# Against slow rules.


def follow(game: Go, num_games: int, seed: int, keeps: float = 0.5) -> int:
    """Play random games with both; returns the number of forbidden repetitions that came up.

    A share `keeps` of the games leaves alone what is somebody's for good, so that territory comes about.
    """
    rng, pool, forbidden = np.random.default_rng(seed), game.new_pool(1), 0
    for _ in range(num_games):
        reference = GoReference(game.size, game.komi, tuple(game.handicap), game.ends_when_alive)
        pool.reset(HERE)
        is_kept = rng.random() < keeps
        out = np.empty((1, *game.observation_shape), np.uint8)
        while True:
            board = [mark for row in read_board(pool.text(0)) for mark in row]
            assert tuple("XO+".index(mark) if mark != "+" else -1 for mark in board) == reference.board
            assert pool.final_scores(HERE)[0] == reference.score()
            assert pool.history(0) == reference.moves
            assert (pool.to_play(HERE)[0] == TERMINAL) == reference.is_over
            if reference.is_over:
                break
            assert pool.legal(HERE)[1].tolist() == reference.legal()
            pool.observe(HERE, out)
            np.testing.assert_array_equal(out[0], reference.planes())
            forbidden += len(reference.repeating())
            action = int(rng.choice((pool.candidates if is_kept else pool.legal)(HERE)[1]))
            reference.apply(action)
            rewards = pool.step(HERE, np.array([action]), HERE)[1][0].tolist()
            result = float(np.sign(reference.score())) if reference.is_over else 0.0
            assert rewards == [result, -result]
        out_labels = np.empty((1, game.size, game.size), np.int8)
        pool.final_labels(HERE, out_labels)
        assert out_labels.ravel().tolist() == owners(reference.board, game.size)
    return forbidden


SIZES = {2: 60, 3: 40, 4: 15, 5: 8, 6: 4, 7: 2, 9: 1}


@pytest.mark.parametrize(("size", "num_games"), SIZES.items())
def test_random_games_are_those_of_the_slow_rules(size: int, num_games: int) -> None:
    forbidden = follow(load(f"go(board_size={size},komi=0.5)"), num_games, seed=size)
    assert forbidden > 0 or size > 3


@pytest.mark.parametrize("name", ["go(board_size=5,komi=2,ends_when_alive=False)", "go(handicap=3,board_size=7)"])
def test_variants_are_those_of_the_slow_rules(name: str) -> None:
    follow(load(name), 2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "num_games"), {2: 1000, 3: 600, 4: 250, 5: 100, 6: 30, 7: 12, 8: 5, 9: 3}.items())
def test_two_thousand_random_games_are_those_of_the_slow_rules(size: int, num_games: int) -> None:
    follow(load(f"go(board_size={size},komi=0.5)"), num_games, seed=100 + size)


def test_every_game_on_two_by_two_is_that_of_the_slow_rules() -> None:
    """All of them to the end, with the number of paths by ply that both give."""
    game = load("go(board_size=2,komi=0.5,ends_when_alive=False)")
    pool, paths, repeating = game.new_pool(1), [0] * (game.max_game_length + 1), 0

    def walk(moves: list[int]) -> None:
        nonlocal repeating
        reference = GoReference(2, 0.5, ends_when_alive=False)
        pool.reset(HERE)
        for move in moves:
            reference.apply(move)
            pool.step(HERE, np.array([move]), HERE)
        paths[len(moves)] += 1
        assert (pool.to_play(HERE)[0] == TERMINAL) == reference.is_over
        assert pool.final_scores(HERE)[0] == reference.score()
        if not reference.is_over:
            allowed = pool.legal(HERE)[1].tolist()
            assert allowed == reference.legal()
            repeating += len(reference.repeating())
            for move in allowed:
                walk([*moves, move])

    walk([])
    assert repeating > 0
    assert paths == [1, 5, 21, 68, 156, 316, 604, 1088, 2184]


@pytest.mark.parametrize(
    ("size", "counts"),
    [(3, [10, 91, 738, 5281, 33384]), (5, [26, 651, 15650, 361041]), (9, [82, 6643, 531522])],
)
def test_paths_are_as_many_as_openspiels_while_no_board_comes_again(size: int, counts: list[int]) -> None:
    assert count_paths(games.load(f"go(board_size={size},ends_when_alive=False)"), len(counts)) == counts


@pytest.mark.parametrize(("size", "num_games"), [(2, 200), (3, 200), (5, 60), (7, 30), (9, 20), (13, 3), (19, 1)])
def test_random_games_are_openspiels_up_to_superko(size: int, num_games: int) -> None:
    """Legal moves that ours lacks make a board that was there, which OpenSpiel ends as a draw."""
    rng, every = np.random.default_rng(size), np.arange(num_games)
    native, twin = load(f"go(board_size={size},ends_when_alive=False)"), games.load(f"openspiel:go(board_size={size})")
    ours, theirs, spare = native.new_pool(num_games), twin.new_pool(num_games), twin.new_pool(1)
    ours.reset(every)
    theirs.reset(every)
    going, finished = every, 0
    while len(going):
        mine, other = rows(*ours.legal(going)), rows(*theirs.legal(going))
        for slot, here, there in zip(going, mine, other):
            for action in set(there) - set(here):
                spare.load(HERE, theirs, slots(slot))
                to_play, rewards = spare.step(HERE, np.array([action]), HERE)
                assert to_play[0] == TERMINAL and not rewards.any()
            assert set(here) <= set(there)
        assert ours.text(going[0]) == theirs.text(going[0])
        chosen = np.array([rng.choice(here) for here in mine])
        assert ours.action_text(going[0], chosen[0]) == theirs.action_text(going[0], chosen[0])
        before = [read_board(ours.text(slot)) for slot in going]
        (to_play, rewards), (to_play_there, rewards_there) = (
            ours.step(going, chosen, going),
            theirs.step(going, chosen, going),
        )
        assert np.array_equal(to_play, to_play_there)
        dead = [dead_stones(size, points_on(board)) for board in before]
        for i in np.flatnonzero(to_play == TERMINAL):
            assert dead[i] or rewards[i].tolist() == rewards_there[i].tolist()
            finished += 1
        going = going[to_play != TERMINAL]
    assert finished == num_games


def points_on(board: list[list[str]]) -> list[int]:
    return [{"X": 0, "O": 1, "+": -1}[mark] for row in board for mark in row]


@pytest.mark.parametrize("size", [2, 5, 9, 12])
def test_the_hash_of_a_board_is_the_same_from_nothing(size: int) -> None:
    pool, rng = load(f"go(board_size={size})").new_pool(1), np.random.default_rng(size)
    pool.reset(HERE)
    hashes = row_sizes(size)[0]
    while len(live(pool, HERE)):
        pool.step(HERE, random_actions(pool, HERE, rng), HERE)
        again = diagram(" ".join(shown(pool)))
        assert again._boards[0, hashes] == pool._boards[0, hashes + int(pool._boards[0, 1]) - 1]


def test_symmetries_keep_labels_and_scores() -> None:
    game, rng = load("go(board_size=5,komi=0.5)"), np.random.default_rng(0)
    pool, mirrored = game.new_pool(20), game.new_pool(20)
    every = np.arange(20)
    for symmetry in game.symmetries():
        new_action = np.argsort(symmetry.action)
        pool.reset(every)
        mirrored.reset(every)
        for _ in range(30):
            going = live(pool, every)
            actions = random_actions(pool, going, rng)
            pool.step(going, actions, going)
            mirrored.step(going, new_action[actions], going)
        one, other = np.empty((2, 20, 5, 5), np.int8)
        pool.final_labels(every, one)
        mirrored.final_labels(every, other)
        assert np.array_equal(one.reshape(20, -1)[:, symmetry.action[:-1]], other.reshape(20, -1))
        assert np.array_equal(pool.final_scores(every), mirrored.final_scores(every))


# Captures and repetition.


def test_a_stone_without_liberties_is_no_move() -> None:
    one = ".O... OO... XX... ..... ....."
    assert not legal(diagram(one, "X"), "A5") and legal(diagram(one, "O"), "A5")
    several = ".XO.. XXO.. OOO.. ..... ....."
    assert not legal(diagram(several, "X"), "A5")
    pool = diagram(several, "O")
    play(pool, "A5")
    assert shown(pool)[:3] == ["O.O..", "..O..", "OOO.."]


def test_a_stone_that_captures_needs_no_liberty() -> None:
    pool = diagram(".OX.. OOX.. XXX.. ..... .....")
    play(pool, "A5")
    assert shown(pool)[:3] == ["X.X..", "..X..", "XXX.."]


def test_one_stone_captures_several_chains() -> None:
    pool = diagram("O.OX. XOX.. .X... ..... .....")
    assert {"A5", "C5", "B4"} <= points_of(planes(pool)[2])
    play(pool, "B5")
    assert shown(pool)[:3] == [".X.X.", "X.X..", ".X..."]


def test_snapback() -> None:
    pool = diagram(".OX.. .OX.. OOX.. XX... .....")
    play(pool, "A5 A4 A5")
    assert shown(pool)[:4] == ["X.X..", "..X..", "..X..", "XX..."]


KO = "..... ..XO. .XO.O ..XO. ....."


def test_a_ko_is_taken_back_after_a_move_elsewhere() -> None:
    pool = diagram(KO)
    play(pool, "D3")
    assert not legal(pool, "C3") and points_of(planes(pool)[5]) == {"C3"}
    play(pool, "A1 E1")
    assert legal(pool, "C3") and points_of(planes(pool)[5]) == set()
    play(pool, "C3")
    assert not legal(pool, "D3")


def test_a_ko_is_taken_back_after_a_pass_and_a_move_elsewhere() -> None:
    pool = diagram(KO)
    play(pool, "D3 pass A1")
    assert legal(pool, "C3")


def test_a_triple_ko_may_not_come_round() -> None:
    three = "...XO.... ..XO.O... ...XO.... ...XO.... ..X.XO... ...XO.... ...XO.... ..XO.O... ...XO...."
    pool = diagram(three)
    play(pool, "E8 D5 E2 D8 E5")
    assert points_of(planes(pool)[5]) == {"D2", "D5"}  # D5 was taken just now, D2 would make the first board
    assert not legal(pool, "D2") and not legal(pool, "D5")
    play(pool, "A9 J9")
    assert legal(pool, "D2") and legal(pool, "D5")


@pytest.mark.parametrize(("to_play", "before"), [("X", ""), ("O", "pass ")])
def test_two_stones_for_one_may_not_be_sent(to_play: str, before: str) -> None:
    """With a pass before, the board would come again with the same player to move: positional superko does not ask."""
    pool = diagram(".XXX XOO. .OX. O.O.", to_play)
    play(pool, f"{before}A2 A4")
    assert shown(pool) == ["OXXX", ".OO.", ".OX.", "O.O."]
    assert not legal(pool, "A3") and points_of(planes(pool)[5]) == {"A3"}


def test_a_pass_is_always_legal() -> None:
    pool, rng = load("go(board_size=3)").new_pool(30), np.random.default_rng(0)
    every = np.arange(30)
    pool.reset(every)
    while len(going := live(pool, every)):
        assert all(row[-1] == 9 for row in rows(*pool.legal(going)))
        pool.step(going, random_actions(pool, going, rng), going)


# Life, ends and scores.

ONE_EYE = "XX.XX XX.XX XO..X XXXXX XXXXX"
ALL_ALIVE = "XX.XX XXXXX XO..X XXXXX XXXXX"


def test_benson_needs_two_eyes_of_the_same_chain() -> None:
    without = diagram(".X.OO X.XOO OXXOO OOOO. .....")
    assert not planes(without)[12].any()
    play(without, "C5")
    alive = {"A5", "B5", "C5", "A4", "B4", "C4", "B3", "C3"}
    assert points_of(planes(without)[13]) == alive and not planes(without)[12].any()


def test_territory_may_have_one_point_away_from_its_border() -> None:
    """An eye of the opponent is such a point, so it gets no two."""
    eyes = "XXXXXXX .X.X.XX XXXXXXX"
    one_away = diagram(f"{eyes} ..XXXXX ..XXXXX ..XXXXX XXXXXXX")
    two_away = diagram(f"{eyes} ...XXXX ...XXXX ...XXXX XXXXXXX")
    assert len(points_of(planes(one_away)[12])) == 49
    assert len(points_of(planes(two_away)[12])) == 49 - 9


def test_stones_in_territory_for_good_are_dead() -> None:
    pool = diagram(ONE_EYE)
    assert pool.final_scores(HERE)[0] == 20 - 1 - 0.5 and labels(pool)[2] == "XO..X"
    play(pool, "C4")
    assert shown(pool) == ALL_ALIVE.split()
    assert pool.to_play(HERE)[0] == TERMINAL and labels(pool) == ["XXXXX"] * 5
    assert pool.final_scores(HERE)[0] == 24.5
    stones = [{"X": 0, "O": 1, ".": -1}[mark] for row in reversed(shown(pool)) for mark in row]
    assert dead_stones(5, stones) == [at("B3", 5)]


def test_stones_that_only_further_moves_would_kill_count() -> None:
    pool = diagram("..... XXXX. OOOX. O.OX. OOOX.", to_play="X")
    assert labels(pool) == ["XXXXX", "XXXXX", "OOOXX", "OOOXX", "OOOXX"]
    corner = diagram("..... OOOO. XXXOO O.XXO .OOXO", to_play="X")  # a bent four after White's next move
    assert labels(corner)[2:] == ["XXXOO", "O.XXO", "OOOXO"]


def test_shared_liberties_are_nobodys() -> None:
    pool = diagram("XXXOO XX.OO XXXOO XX.OO XXXOO")
    assert labels(pool) == ["XXXOO", "XX.OO", "XXXOO", "XX.OO", "XXXOO"]
    assert pool.final_scores(HERE)[0] == 13 - 10 - 0.5
    assert not planes(pool)[12:14].any()


@pytest.mark.parametrize(
    ("moves", "score", "owner"),
    [("pass pass", -7.5, "....."), ("C3 pass pass", 17.5, "XXXXX"), ("pass C3 pass pass", -32.5, "OOOOO")],
)
def test_games_of_few_stones(moves: str, score: float, owner: str) -> None:
    pool = load("go(board_size=5)").new_pool(1)
    pool.reset(HERE)
    play(pool, moves)
    assert pool.to_play(HERE)[0] == TERMINAL and len(pool.legal(HERE)[1]) == 0
    assert pool.final_scores(HERE)[0] == score and labels(pool) == [owner] * 5


def test_a_game_ends_when_all_is_decided_unless_told() -> None:
    for is_ended in (True, False):
        pool = diagram(ONE_EYE, ends_when_alive=is_ended)
        rewards = pool.step(HERE, slots(at("C4", 5)), HERE)[1][0].tolist()
        assert (pool.to_play(HERE)[0] == TERMINAL) == is_ended
        assert rewards == ([1.0, -1.0] if is_ended else [0.0, 0.0])


def test_a_game_ends_after_two_moves_a_point() -> None:
    game = load("go(board_size=3,komi=0.5,ends_when_alive=False)")
    pool, rng = game.new_pool(400), np.random.default_rng(0)
    every = going = np.arange(400)
    pool.reset(every)
    longest = 0
    while len(going):
        actions = np.array([rng.choice(row[:-1] or row) for row in rows(*pool.legal(going))])  # no pass by choice
        to_play, _ = pool.step(going, actions, going)
        over = going[to_play == TERMINAL]
        longest += sum(len(history) == 18 for history in map(pool.history, over) if history[-2:] != [9, 9])
        going = going[to_play != TERMINAL]
    assert longest > 10


def test_a_whole_komi_may_be_a_draw() -> None:
    pool = load("go(board_size=2,komi=4)").new_pool(1)
    pool.reset(HERE)
    play(pool, "A1 pass")
    assert pool.step(HERE, slots(4), HERE)[1].tolist() == [[0.0, 0.0]] and pool.final_scores(HERE)[0] == 0
    pool = load("go(board_size=2,komi=4)").new_pool(1)
    pool.reset(HERE)
    play(pool, "A1 pass")
    assert planes(pool)[10, 0, 0] == 128


# The observation, and what a search looks at.


def test_a_pass_that_ends_the_game_shows_who_wins_by_it() -> None:
    for komi, shown_then in ((7.5, 168), (20.0, 88), (9.0, 128)):  # Black has nine points
        pool = load(f"go(board_size=3,komi={komi})").new_pool(1)
        pool.reset(HERE)
        play(pool, "B2")
        assert (planes(pool)[10] == 128).all()
        play(pool, "pass")
        assert (planes(pool)[10] == shown_then).all()


def test_komi_is_shown_to_both_sides() -> None:
    for komi, black, white in ((7.5, 113, 143), (-3.0, 134, 122), (70.0, 0, 255), (0.0, 128, 128)):
        pool = load(f"go(board_size=3,komi={komi})").new_pool(1)
        pool.reset(HERE)
        assert (planes(pool)[11] == black).all()
        play(pool, "B2")
        assert (planes(pool)[11] == white).all()


def test_the_scaling_makes_whole_numbers_of_wins_and_points() -> None:
    game = load("go(board_size=3,komi=10)")
    pool = game.new_pool(1)
    pool.reset(HERE)
    offset, factor = game.plane_scaling
    scaled = (planes(pool) - offset[:, None, None]) * factor[:, None, None]
    assert scaled[11, 0, 0] == pytest.approx(-0.5) and scaled[10, 0, 0] == 0 and scaled[14].all()
    assert offset.dtype == factor.dtype == np.float32 and len(offset) == len(factor) == 17


def test_bytes_and_floats_are_the_same_numbers() -> None:
    pool = diagram(KO)
    play(pool, "D3")
    as_floats = np.full((1, *pool.game.observation_shape), np.nan, np.float32)
    pool.observe(HERE, as_floats)
    assert np.array_equal(as_floats[0], planes(pool))


def test_candidates_leave_out_what_is_decided_and_early_passes() -> None:
    pool = load("go").new_pool(1)  # no pass before ply 13, and none while more than 67 points are legal
    pool.reset(HERE)
    for ply in range(30):
        legal_points = len(pool.legal(HERE)[1]) - 1
        candidates = pool.candidates(HERE)[1].tolist()
        assert (81 in candidates) == (ply >= 13 and legal_points <= 67)
        assert set(range(81)) & set(candidates) == set(pool.legal(HERE)[1].tolist()) - {81}
        pool.step(HERE, pool.legal(HERE)[1][:1], HERE)
    decided = diagram(".X.X. XXXXX ..... OOOOO .O.O.", pass_after=0)
    assert len(points_of(planes(decided)[12])) == len(points_of(planes(decided)[13])) == 10
    assert decided.candidates(HERE)[1].tolist() == [10, 11, 12, 13, 14, 25]
    assert decided.legal(HERE)[1].tolist() == [10, 11, 12, 13, 14, 20, 22, 24, 25]


def test_where_only_decided_points_are_left_a_pass_is_looked_at() -> None:
    pool = diagram(ALL_ALIVE, pass_after=50)
    assert pool.candidates(HERE)[1].tolist() == [25] and len(pool.legal(HERE)[1]) > 1


@pytest.mark.parametrize("name", ["go(board_size=3)", "go(board_size=6,komi_spread=2)"])
def test_candidates_are_some_of_the_legal_moves(name: str) -> None:
    pool, rng, every = load(name).new_pool(40), np.random.default_rng(0), np.arange(40)
    pool.reset(every)
    while len(going := live(pool, every)):
        for allowed, looked_at, to_play in zip(
            rows(*pool.legal(going)), rows(*pool.candidates(going)), pool.to_play(going)
        ):
            assert set(looked_at) <= set(allowed) and looked_at == sorted(looked_at)
            assert (to_play == CHANCE) == (not looked_at)
        pool.step(going, random_actions(pool, going, rng), going)
    assert pool.candidates(every)[0].tolist() == [0] * 41


def test_actions_have_their_points() -> None:
    game = load("go(board_size=4)")
    planes_of = game.action_planes
    assert planes_of.num_planes == 1 and planes_of.size == (4, 4) and game.pass_action == 16
    assert planes_of.cell.tolist() == [*range(16), -1] and planes_of.plane.tolist() == [0] * 16 + [-1]


# The komi, and the handicap.


def test_komis_have_the_shape_of_the_normal_distribution() -> None:
    komis, probabilities = komi_choices(7.0, 1.0)
    assert komis.tolist() == [4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[2] / probabilities[1] == pytest.approx(np.exp((1.5**2 - 0.5**2) / 2))
    assert komi_choices(7.0, 0.1)[0].tolist() == [6.5, 7.5] and komi_choices(7.5, 0.1)[0].tolist() == [7.5]
    assert komi_choices(-0.5, 1.0)[0].tolist() == [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    assert komi_choices(7.0, 0.0)[0].tolist() == [7.0]


def test_a_drawn_komi_is_shown_and_counts() -> None:
    game = load("go(board_size=3,komi=4,komi_spread=1)")
    pool = game.new_pool(1)
    pool.reset(HERE)
    assert pool.to_play(HERE)[0] == CHANCE and len(pool.legal(HERE)[1]) == 0
    offsets, outcomes, probabilities = pool.chance(HERE)
    assert outcomes.tolist() == [*range(6)] == [
        *range(game.max_chance_outcomes)
    ] and probabilities.sum() == pytest.approx(1)
    for outcome, komi in enumerate(game.komis):
        pool.reset(HERE)
        assert pool.action_text(0, outcome) == f"komi {komi:g}" and "komi=?" in pool.text(0)
        assert pool.step(HERE, slots(outcome), HERE)[0][0] == 0
        assert planes(pool)[11, 0, 0] == 128 - 2 * komi and f"komi={komi:g}," in pool.text(0)
        play(pool, "B2 pass pass")
        assert pool.final_scores(HERE)[0] == 9 - komi and pool.history(0) == [outcome, 4, 9, 9]
    assert game.largest_score >= 9 + game.komis.max()


def test_rollouts_draw_the_komi_as_often_as_it_comes() -> None:
    pool = load("go(board_size=2,komi=3,komi_spread=5)").new_pool(2)
    pool.reset(slots(0))
    drawn = pool.rollout(np.zeros(20_000, np.int64), np.random.default_rng(0))[:, 0].mean()
    expected = 0.0
    for outcome, probability in zip(*pool.chance(slots(0))[1:]):
        pool.step(slots(0), slots(outcome), slots(1))
        expected += probability * pool.rollout(np.ones(4000, np.int64), np.random.default_rng(1))[:, 0].mean()
    assert drawn == pytest.approx(expected, abs=4 * np.sqrt(1 / 20_000 + 1 / 4000))


@pytest.mark.parametrize("stones", range(2, 10))
def test_a_handicap_of_19x19_is_openspiels(stones: int) -> None:
    ours, theirs = load(f"go(board_size=19,handicap={stones})"), games.load(f"openspiel:go(handicap={stones})")
    pools = ours.new_pool(1), theirs.new_pool(1)
    for pool in pools:
        pool.reset(HERE)
    assert pools[0].text(0) == pools[1].text(0) and pools[0].to_play(HERE)[0] == 1
    assert pools[0].final_scores(HERE)[0] == 361 - 7.5 - stones


def test_a_handicap_lies_on_smaller_boards() -> None:
    pool = load("go(handicap=5)").new_pool(1)
    pool.reset(HERE)
    assert points_of(planes(pool)[1]) == {"C3", "G3", "C7", "G7", "E5"}
    for name in ("go(board_size=8,handicap=5)", "go(board_size=6,handicap=2)", "go(handicap=10)"):
        with pytest.raises(games.GameError, match="handicap must be"):
            games.load(name)


# Pools.


def test_positions_are_copied_with_their_past() -> None:
    """A board that was there before is still forbidden in a copy, and not in another game."""
    pool = load("go(board_size=5)").new_pool(3)
    pool.reset(slots(0, 1, 2))
    moves = [at(move, 5) for move in "C4 D4 B3 C3 C2 D2 A1 E3".split()]
    for move in moves:
        pool.step(slots(0), slots(move), slots(0))
    pool.step(slots(0), slots(at("D3", 5)), slots(1))
    pool.copy(slots(1), slots(2))
    other = load("go(board_size=5,pass_after=7)").new_pool(1)
    other.load(slots(0), pool, slots(2))
    for where, slot in ((pool, 1), (pool, 2), (other, 0)):
        assert at("C3", 5) not in where.legal(slots(slot))[1]
        assert where.history(slot) == [*moves, at("D3", 5)]
    assert pool.history(0) == moves


def test_positions_pass_to_a_pool_that_replays_them_only_by_the_same_rules() -> None:
    native, twin = load("go").new_pool(1), games.load("openspiel:go(board_size=9)").new_pool(1)
    native.reset(HERE)
    with pytest.raises(games.GameError, match="cannot load positions"):
        twin.load(HERE, native, HERE)


def test_a_batch_larger_than_any_before_is_served() -> None:
    pool = load("go(board_size=4)").new_pool(700)
    for batch in (1, 300, 700):
        where = np.arange(batch)
        pool.reset(where)
        offsets, actions = pool.legal(where)
        pool.step(where, actions[offsets[:-1] + where % 16], where)
        assert len(pool.legal(where)[1]) == 16 * batch == len(pool.candidates(where)[1]) + batch
        assert len(pool.final_scores(where)) == batch
