"""Exact values: known results, equal to plain minimax, and players and files made from them."""

from __future__ import annotations

import copy
import functools
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from exact_player import move_values
from games_helpers import random_actions, slots

import games
from games.solvers.connect_four import ConnectFourSolver
from games.solvers.hex import HexSolver
from games.solvers.retrograde import RetrogradeSolver
from games.solvers.solving import make_solver
from selfplay import cli
from selfplay.evaluation.labelled import read_positions
from selfplay.evaluation.labelling import Wanted, label_positions
from selfplay.evaluation.match import play_match
from selfplay.players.kinds import parse_player

POSITIONS = Path(__file__).parents[2] / "benchmarks" / "data" / "connect_four_positions.jsonl"


def values_after(state: games.State) -> dict[int, float]:
    """The value of each legal move for the player to move, by plain minimax over the rest of the game."""
    values = {}
    for action in state.legal_actions():
        child = state.clone()
        child.apply(action)
        if child.to_play() == games.TERMINAL:
            values[action] = child.rewards()[state.to_play()]
        else:
            values[action] = -max(values_after(child).values())
    return values


def position_after(game: games.Game, moves: list[int]) -> games.StatePool:
    """A pool with the position after `moves` in slot 0."""
    pool = game.new_pool(1)
    pool.reset(slots(0))
    for move in moves:
        pool.step(slots(0), np.array([move]), slots(0))
    return pool


def late_positions(game: games.Game, count: int, plies: int, seed: int = 0):
    """Positions of random games after `plies` moves and outcomes, as pools with one slot."""
    rng = np.random.default_rng(seed)
    while count:
        pool = position_after(game, [])
        for _ in range(plies):
            if pool.to_play(slots(0))[0] != games.TERMINAL:
                pool.step(slots(0), random_actions(pool, slots(0), rng), slots(0))
        if pool.to_play(slots(0))[0] >= 0:
            count -= 1
            yield pool


def state_of(pool: games.StatePool) -> games.State:
    state = games.new_state(pool.game)
    for action in pool.history(0):
        state.apply(action)
    return state


@pytest.mark.parametrize(
    ("text", "plies"),
    [
        ("connect_four", 34),
        ("openspiel:connect_four", 35),
        ("connect_four(rows=5,columns=5)", 17),
        ("connect_four(rows=4,columns=9)", 29),
        ("hex(board_size=5)", 19),
        ("openspiel:hex(num_cols=4,num_rows=3)", 6),
        ("hex(num_cols=3,num_rows=5)", 9),
    ],
)
def test_values_equal_plain_minimax(text, plies):
    game = games.load(text)
    solver = make_solver(game)
    assert not isinstance(solver, RetrogradeSolver)
    seen = set()
    for pool in late_positions(game, 30, plies):
        values = solver.move_values(pool, 0)
        assert values == values_after(state_of(pool))
        assert solver.best_moves(pool, 0) == [move for move, value in values.items() if value == max(values.values())]
        seen |= set(values.values())
    assert {-1.0, 1.0} <= seen


# Results of boards with the empty board to start from, by rows and columns: Tromp, quoted in many places.
EMPTY_BOARDS = {(4, 4): 0, (4, 5): 0, (4, 6): -1, (4, 7): 0, (5, 4): 0, (5, 5): 0, (5, 6): 0, (6, 4): 0, (6, 5): 0}


@pytest.mark.parametrize("size", EMPTY_BOARDS, ids=str)
def test_empty_boards_of_connect_four(size):
    rows, columns = size
    game = games.load(f"connect_four(rows={rows},columns={columns})")
    assert max(ConnectFourSolver(game, 16).move_values(position_after(game, []), 0).values()) == EMPTY_BOARDS[size]


def test_connect_four_equals_labels_made_elsewhere():
    game = games.load("connect_four")
    solver, checked = ConnectFourSolver(game, 32), 0
    for line in POSITIONS.read_text().splitlines():
        label = json.loads(line)
        if len(label["moves"]) < 18:  # the others take a minute
            continue
        expected = {int(move): value for move, value in label["values"].items()}
        assert solver.move_values(position_after(game, label["moves"]), 0) == expected
        checked += 1
    assert checked > 200


def test_scores_say_how_soon():
    @functools.cache
    def score(moves: tuple[int, ...]) -> int:
        """Of the player to move, with best play: stones the winner has left, and the one that wins."""
        state = state_of(position_after(game, list(moves)))
        found = []
        for action in state.legal_actions():
            child = state.clone()
            child.apply(action)
            if child.to_play() == games.TERMINAL:
                found.append((43 - len(moves)) // 2 if any(child.rewards()) else 0)
            else:
                found.append(-score((*moves, action)))
        return max(found)

    game = games.load("connect_four")
    solver = ConnectFourSolver(game, 1)
    for pool in late_positions(game, 20, 33, seed=3):
        moves, values, scores = pool.history(0), solver.move_values(pool, 0), solver.move_scores(pool, 0)
        assert {move: np.sign(score) for move, score in scores.items()} == values
        assert max(scores.values()) == score(tuple(moves))


def test_a_full_table_changes_no_value():
    game = games.load("connect_four(rows=5,columns=6)")
    small, large = ConnectFourSolver(game, 1), ConnectFourSolver(game, 64)
    for pool in late_positions(game, 10, 6, seed=5):
        assert small.move_scores(pool, 0) == large.move_scores(pool, 0)


def test_the_first_player_wins_hex_with_some_openings():
    """Known from solvers: all openings of 2x2 win but the acute corners' neighbours, and the centre of 3x3 wins."""
    small = games.load("hex(board_size=2)")
    assert HexSolver(small).move_values(position_after(small, []), 0) == {0: -1.0, 1: 1.0, 2: 1.0, 3: -1.0}
    for size in (3, 4):
        game = games.load(f"hex(board_size={size})")
        values = HexSolver(game).move_values(position_after(game, []), 0)
        turned = {size * size - 1 - cell: value for cell, value in values.items()}
        assert values == turned and 1.0 in values.values() and -1.0 in values.values()


def test_hex_equals_retrograde_on_a_whole_board():
    game = games.load("hex(num_cols=4,num_rows=3)")
    fast, slow = HexSolver(game), RetrogradeSolver(game)
    for pool in late_positions(game, 60, 2, seed=1):
        assert fast.move_values(pool, 0) == slow.move_values(pool, 0)


def test_all_positions_of_tic_tac_toe():
    game = games.load("tic_tac_toe")
    solver = RetrogradeSolver(game)
    assert solver.num_positions == 5478 - 958 + 1  # the 958 finished ones are kept as one
    for pool in late_positions(game, 200, 4):
        assert solver.move_values(pool, 0) == move_values(pool.history(0))


def test_nim_by_the_sum_of_its_piles():
    """Normal play: who moves wins unless the piles' exclusive or is 0 (Bouton 1901)."""
    game = games.load("nim(is_misere=False,pile_sizes=3;4;5)")
    solver = RetrogradeSolver(game)
    for pool in late_positions(game, 50, 2):
        for action, value in solver.move_values(pool, 0).items():
            child = state_of(pool)
            child.apply(action)
            piles = [int(word) for word in str(child).split(":")[-1].split()]
            assert value == (1.0 if np.bitwise_xor.reduce(piles) == 0 else -1.0)


class Ring(games.State):
    """A token on a ring of eight cells, moved in turn: onto 3 the mover wins, onto 6 it loses; else it goes round."""

    def __init__(self, cell: int = 0, mover: int = 0, won: float = 0.0) -> None:
        self.cell, self.mover, self.won = cell, mover, won

    def clone(self):
        return Ring(self.cell, self.mover, self.won)

    def to_play(self):
        return games.TERMINAL if self.won else self.mover

    def legal_actions(self):
        return [0, 1]  # one or two cells on

    def apply(self, action):
        self.cell = (self.cell + 1 + action) % 8
        sign = 1.0 if self.mover == 0 else -1.0
        self.won = sign * {3: 1.0, 6: -1.0}.get(self.cell, 0.0)
        self.mover = 1 - self.mover

    def rewards(self):
        return [self.won, -self.won]

    def observation(self):
        return np.eye(8, dtype=np.float32)[self.cell]

    def __str__(self):
        return str(self.cell)


class RingGame(games.PythonGame):
    name = rules = "ring"
    num_players, num_actions, max_game_length = 2, 2, 1000
    observation_shape = (10,)

    def new_state(self):
        return Ring()


def test_positions_that_come_back():
    """From 1 and 2 the mover wins by stepping onto 3; so whoever has to leave 0 for them has lost."""
    game = RingGame()
    solver = RetrogradeSolver(game)
    pool = position_after(game, [])
    assert solver.num_positions <= 2 * 8 + 1
    assert solver.move_values(pool, 0) == {0: -1.0, 1: -1.0}
    pool = position_after(game, [0])
    assert solver.move_values(pool, 0)[1] == 1.0 and solver.best_moves(pool, 0) == [1]


def test_chance_is_a_mean():
    """Pig to 6 points, by the equations of Neller and Presser (2004), solved here by plain iteration."""
    goal = 6
    won = np.full((goal, goal, goal), 0.5)  # [mover's points, other's, this turn's]: probability that the mover wins

    def hold(i, j, k):
        return 1.0 if i + k >= goal else 1.0 - won[j, i + k, 0]

    def roll(i, j, k):
        faces = [1.0 if i + k + face >= goal else won[i, j, k + face] for face in range(2, 7)]
        return (1.0 - won[j, i, 0] + sum(faces)) / 6

    for _ in range(200):
        for i, j, k in np.ndindex(won.shape):
            won[i, j, k] = max(hold(i, j, k), roll(i, j, k)) if i + k < goal else 1.0
    game = games.load(f"pig(winscore={goal})")
    pool = position_after(game, [])
    values = RetrogradeSolver(game).move_values(pool, 0)
    texts = {pool.action_text(0, action): value for action, value in values.items()}
    assert texts == pytest.approx({"roll": 2 * roll(0, 0, 0) - 1, "stop": 2 * hold(0, 0, 0) - 1}, abs=1e-6)


class Mystery(games.State):
    """One call of a coin that is biased by what was called, which neither text nor observation says."""

    def __init__(self) -> None:
        self.called, self.fallen = -1, -1

    def clone(self) -> Mystery:
        return copy.copy(self)

    def to_play(self) -> int:
        return games.TERMINAL if self.fallen >= 0 else games.CHANCE if self.called >= 0 else 0

    def legal_actions(self) -> list[int]:
        return [0, 1]

    def chance_outcomes(self) -> list[tuple[int, float]]:
        return [(0, 0.25 + self.called / 2), (1, 0.75 - self.called / 2)]

    def apply(self, action: int) -> None:
        if self.called < 0:
            self.called = action
        else:
            self.fallen = action

    def rewards(self) -> tuple[float, float]:
        paid = 0.0 if self.fallen < 0 else 1.0 - 2 * self.fallen
        return paid, -paid

    def observation(self) -> np.ndarray:
        return np.zeros(1, np.float32)


class Said(Mystery):
    def __str__(self) -> str:
        return "a coin"


class MysteryGame(games.PythonGame):
    num_players, num_actions, observation_shape, max_game_length, max_chance_outcomes = 2, 2, (2,), 1, 2

    def __init__(self, state: type[Mystery]) -> None:
        self.name = self.rules = "mystery"
        self._state = state

    def new_state(self) -> Mystery:
        return self._state()


def test_chance_is_told_apart_by_its_probabilities_and_a_game_without_texts_is_refused():
    game = MysteryGame(Said)
    assert RetrogradeSolver(game).move_values(position_after(game, []), 0) == {0: -0.5, 1: 0.5}
    with pytest.raises(games.GameError, match="mystery: .*needs `__str__`"):
        RetrogradeSolver(MysteryGame(Mystery))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("breakthrough", "too large"),
        ("chinese_checkers(players=3)", "exact play is defined for one player"),
        ("connect_four(x_in_row=3,rows=6)", "too large"),
        ("hex(board_size=6)", "too large"),
    ],
)
def test_what_cannot_be_solved_is_said_in_one_line(text, part, capsys, monkeypatch):
    monkeypatch.setattr("games.solvers.retrograde.MAX_POSITIONS", 2000)
    assert cli.main(["match", "solver", "random", "--game", text, "--games", "6"]) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1


def test_solver_never_loses_tic_tac_toe_and_beats_random():
    game = games.load("tic_tac_toe")
    solver = parse_player("solver:seed=1", game)
    result = play_match(game, solver, parse_player("random", game, 1), 100, opening_plies=0)
    assert result.losses == 0 and result.wins > 80
    again = play_match(game, solver, parse_player("solver", game), 20, opening_plies=0)
    assert again.draws == 20 and again.distinct_games > 5


def labels(capsys, *words: str) -> str:
    assert cli.main(["label", *words]) == 0
    return capsys.readouterr().out


def test_label_makes_files_that_evaluate_reads(tmp_path, capsys):
    path = tmp_path / "positions.jsonl"
    words = ["--game", "connect_four(rows=4,columns=5)", "--positions", "40", "--min-plies", "4", "--max-plies", "12"]
    words += ["--scores", "--hard", "--seed", "3"]
    alone = labels(capsys, *words, "--processes", "1")
    assert cli.main(["label", *words, "--processes", "2", "--out", str(path)]) == 0
    assert path.read_text() == alone
    positions = read_positions(path)
    assert {len(moves) for moves in positions.moves} <= set(range(4, 13)) and len(set(positions.moves)) == 40
    for best, line in zip(positions.best_actions, alone.splitlines(), strict=True):
        assert 2 * len(best) <= len(json.loads(line)["values"])
    assert cli.main(["evaluate", "solver", "--positions", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] == 1.0 and result["perfect"]["positions"] == 40
    assert sum(phase["positions"] for phase in result["phases"].values()) == 40
    assert cli.main(["evaluate", "mcts:simulations=50", "--positions", str(path)]) == 0
    assert "nearest to the true result" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--game", "tic_tac_toe", "--scores"], "--scores: only Connect Four has them"),
        (["--game", "tic_tac_toe", "--plies", "3", "--max-plies", "4"], "--plies: give either"),
        (["--game", "tic_tac_toe", "--min-plies", "5", "--max-plies", "4"], "--max-plies: 4 is less than"),
        (["--game", "tic_tac_toe", "--plies", "1"], "gave only 9 such positions"),
        (["--game", "tic_tac_toe", "--plies", "9"], "gave only 0 such positions"),
    ],
)
def test_label_complains_in_one_line(words, part, capsys):
    assert cli.main(["label", "--positions", "20", "--processes", "1", *words]) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1


def test_what_was_labelled_before_the_end_is_kept(tmp_path, capsys):
    path = tmp_path / "labels.jsonl"
    words = ["--game", "tic_tac_toe", "--plies", "1", "--positions", "20", "--processes", "1", "--out", str(path)]
    assert cli.main(["label", *words]) == 2
    assert f"{path} has the 9 that were found" in capsys.readouterr().err
    assert len(read_positions(path).moves) == 9


def test_labels_that_are_given_up_end_their_processes():
    before = set(multiprocessing.active_children())
    labelled = label_positions(Wanted("tic_tac_toe", 10, 0, 6), 2)
    assert next(labelled)["game"] == "tic_tac_toe"
    assert len(set(multiprocessing.active_children()) - before) > 0
    labelled.close()
    assert set(multiprocessing.active_children()) <= before


def test_a_game_that_forbids_repetition_is_not_solved_by_its_boards() -> None:
    """`selfplay label --game "go(board_size=2)"` was a KeyError: superko depends on all boards before."""
    with pytest.raises(games.GameError, match=r"go\(board_size=2\): what may be played depends on moves that text and"):
        RetrogradeSolver(games.load("go(board_size=2)"))
