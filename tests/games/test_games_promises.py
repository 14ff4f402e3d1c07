"""Usual mistakes in the rules of a game of one's own: the audit names the rule that is broken, and the moves."""

from __future__ import annotations

import random

import numpy as np
import pytest

import games
from games.auditing.promises import broken_promises
from games.observation_layout import layout_notes
from selfplay import cli


class Pile(games.State):
    """Take one to three counters; who takes the last one wins."""

    size = 9

    def __init__(self) -> None:
        self.left, self.mover = self.size, 0

    def clone(self) -> Pile:
        other = type(self)()
        other.__dict__.update(self.__dict__)
        return other

    def to_play(self):
        return self.mover if self.left else games.TERMINAL

    def legal_actions(self):
        return range(min(3, self.left))

    def apply(self, action):
        self.left -= action + 1
        self.mover = 1 - self.mover

    def rewards(self):
        if self.left:
            return [0.0, 0.0]
        return [1.0, -1.0] if self.mover == 1 else [-1.0, 1.0]

    def observation(self):
        return (np.arange(self.size) < self.left).astype(np.float32)

    def action_text(self, action):
        return f"take {action + 1}"


class PileGame(games.PythonGame):
    name = rules = "pile"
    num_players, num_actions, max_game_length = 2, 3, 9
    observation_shape = games.with_seats((9,), 2)
    state: type[games.State] = Pile

    def new_state(self):
        return self.state()


def broken(state: type[games.State] = Pile, **sizes: object) -> dict[str, str]:
    """What is broken in the game of such positions, by rule."""
    game = type("Mistaken", (PileGame,), {"state": state, **sizes})()
    return {found.rule: str(found) for found in broken_promises(game, positions=200)}


@pytest.mark.parametrize(
    "name",
    [
        *("tic_tac_toe", "hex(board_size=3)", "openspiel:connect_four", "pig(winscore=10)", "cart_pole", "quoridor"),
        *("animal_shogi", "mini_shogi", "gardner_chess"),
    ],
)
def test_shipped_games_keep_their_promises(name: str) -> None:
    assert broken_promises(games.load(name), positions=60) == []


def test_a_game_without_a_mistake_keeps_its_promises() -> None:
    assert broken() == {}


def test_a_loser_who_gets_nothing() -> None:
    class Mistake(Pile):
        def rewards(self):
            return [max(0.0, reward) for reward in super().rewards()]

    found = broken(Mistake)
    assert list(found) == ["zero_sum"] and "which sums to 1, not to 0" in found["zero_sum"]
    assert "after 5 moves: 0 (take 1), 1 (take 2), 0 (take 1), 2 (take 3), 1 (take 2)" in found["zero_sum"]


def test_a_game_that_never_says_that_it_is_over() -> None:
    class Mistake(Pile):
        def to_play(self):
            return self.mover

    assert "is empty while a player is to move" in broken(Mistake)["legal_actions"]


def test_a_clone_that_shares_a_list() -> None:
    class Mistake(Pile):
        def __init__(self):
            super().__init__()
            self.taken = []

        def apply(self, action):
            super().apply(action)
            self.taken.append(action)

        def observation(self):
            return np.float32(np.arange(9) < len(self.taken))

    assert "moves on a clone changed observation" in broken(Mistake)["clone"]


def test_a_clone_that_forgets_whose_turn_it_is() -> None:
    class Mistake(Pile):
        def clone(self):
            other = type(self)()
            other.left = self.left
            return other

    found = broken(Mistake)
    assert "clone() has another to_play than" in found["clone"] and "after 1 moves: " in found["clone"]


def test_a_clone_that_is_the_position_itself() -> None:
    class Mistake(Pile):
        def clone(self):
            return self

    assert "the position itself, not a copy" in broken(Mistake)["clone"]


def test_dice_inside_apply() -> None:
    class Mistake(Pile):
        def apply(self, action):
            super().apply(random.choice([0, action]))

    assert "the same move" in broken(Mistake)["apply"]  # made twice, or in a new start


def test_a_position_that_is_kept_in_the_class() -> None:
    class Mistake(Pile):
        games_played = 0

        def __init__(self):
            super().__init__()
            Mistake.games_played += 1
            self.bonus = Mistake.games_played // 40 % 2

        def observation(self):
            return super().observation() + np.float32(self.bonus)

    assert {"apply", "clone"} & set(broken(Mistake))


def test_a_reward_that_is_paid_one_move_early_too() -> None:
    class Mistake(Pile):
        def rewards(self):
            return [1.0, -1.0] if self.left == 1 else super().rewards()

    assert "while the game goes on; set has_rewards = True" in broken(Mistake)["has_rewards"]


def test_a_reward_that_is_paid_twice() -> None:
    class Mistake(Pile):
        def rewards(self):
            return [2 * reward for reward in super().rewards()]

    assert "larger than 1; set utility_scale" in broken(Mistake)["utility_scale"]
    assert broken(Mistake, utility_scale=2.0) == {}


def test_a_reward_before_the_first_move() -> None:
    class Mistake(Pile):
        def rewards(self):
            return [1.0, -1.0]

    assert "at the start, before any move" in broken(Mistake)["rewards"]


@pytest.mark.parametrize(
    "given", [[0.0], [0.0, 0.0, 0.0], 0.0, None, np.zeros((1, 2)), [float("nan"), 0.0], ["0", "0"]], ids=repr
)
def test_rewards_that_are_not_a_number_for_each_player(given: object) -> None:
    class Mistake(Pile):
        def rewards(self):
            return given

    assert list(broken(Mistake)) == ["rewards"]


def test_a_legal_action_that_raises() -> None:
    class Mistake(Pile):
        def apply(self, action):
            if self.left == 4 and action == 2:
                raise KeyError("no such square")
            super().apply(action)

    found = broken(Mistake)["apply"]
    assert "apply(2), which is legal here, raises KeyError: 'no such square' (" in found
    assert "test_games_promises.py, line " in found and "(take " in found


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([-1, 0], "has -1"),
        ([0, 3], "has 3"),
        ([1, 0], "not ascending"),
        ([0, 0], "or with one twice"),
        ([0.0], "has 0.0"),
        ([True], "has True"),
        ([None], "has None"),
        ({0, 1}, "is a set"),
        ((a for a in (0, 1)), "is a generator"),
        (None, "is a NoneType"),
    ],
    ids=lambda value: repr(value).split(" at ")[0],
)
def test_legal_actions_that_are_none(given: object, complaint: str) -> None:
    class Mistake(Pile):
        def legal_actions(self):
            return given

    found = broken(Mistake)
    assert list(found) == ["legal_actions"] and complaint in found["legal_actions"]


def test_legal_actions_that_change_when_they_are_asked_for() -> None:
    class Mistake(Pile):
        asked = 0

        def legal_actions(self):
            self.asked += 1
            return range(1 + self.asked % 2)

    assert "another one when it is asked for twice" in broken(Mistake)["legal_actions"]


def test_a_game_that_is_longer_than_it_says() -> None:
    found = broken(max_game_length=4)
    assert "the game goes on after 5 moves; max_game_length is 4" in found["max_game_length"]
    assert "after 5 moves: " in found["max_game_length"]


@pytest.mark.parametrize("player", [2, -2, None, "0", 0.0])
def test_a_player_that_there_is_not(player: object) -> None:
    class Mistake(Pile):
        def to_play(self):
            return player

    assert "it is a player from 0 to 1, games.CHANCE or games.TERMINAL" in broken(Mistake)["to_play"]


@pytest.mark.parametrize(
    ("seen", "complaint"),
    [
        (np.full(9, np.nan, np.float32), "has nan in it"),
        (np.full(9, np.inf, np.float32), "has inf in it"),
        (np.zeros(9), "dtype float64, not float32"),
        (np.zeros(11, np.float32), "has shape [11]; observation_shape [11] without the seats is [9]"),
        (np.zeros((1, 9), np.float32), "has shape [1, 9]"),
        ([0.0] * 9, "is a list, not an array"),
    ],
    ids=repr,
)
def test_observations_that_are_none(seen: object, complaint: str) -> None:
    class Mistake(Pile):
        def observation(self):
            return seen

    found = broken(Mistake)
    assert list(found) == ["observation"] and complaint in found["observation"]


class Hands(Pile):
    """Each player takes from a pile of its own."""

    def __init__(self) -> None:
        self.piles, self.mover = (4, 4), 0

    def to_play(self):
        return games.TERMINAL if 0 in self.piles else self.mover

    def legal_actions(self):
        return range(min(3, self.piles[self.mover]))

    def apply(self, action):
        left = list(self.piles)
        left[self.mover] -= action + 1
        self.piles, self.mover = tuple(left), 1 - self.mover

    def rewards(self):
        return [0.0, 0.0] if 0 not in self.piles else [1.0, -1.0] if self.piles[0] == 0 else [-1.0, 1.0]

    def observation(self):
        return np.float32(np.arange(9) < self.piles[self.mover])


def test_an_observation_of_the_other_player() -> None:
    class Mistake(Hands):
        def observation(self):
            return np.float32(np.arange(9) < self.piles[1 - self.mover])

    found = broken(Mistake)["observation"]
    assert "it is the same with other legal actions after" in found or "it is the same after" in found


def test_an_observation_that_hides_what_decides_the_game() -> None:
    class Mistake(Pile):
        is_odd = False

        def apply(self, action):
            self.is_odd ^= action == 0
            super().apply(action)

        def rewards(self):
            return [-reward for reward in super().rewards()] if self.is_odd else super().rewards()

    assert "it is the same after" in broken(Mistake)["observation"]


class Dice(Pile):
    """The number of counters that are taken is thrown after each move."""

    weights = (0.5, 0.5)
    is_thrown = True

    def to_play(self):
        return games.CHANCE if self.left and not self.is_thrown else super().to_play()

    def legal_actions(self):
        return [0]

    def chance_outcomes(self):
        return list(enumerate(self.weights))

    def apply(self, action):
        if self.is_thrown:
            self.mover = 1 - self.mover
        else:
            self.left -= min(self.left, action + 1)
        self.is_thrown = not self.is_thrown


def test_chance_without_a_mistake() -> None:
    assert broken(Dice, max_chance_outcomes=2) == {}


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [((0.5, 0.4), "sum to 0.9"), ((1.5, -0.5), "not all above 0"), ((), "has 0; there are 1 to 2"),
     ((0.3, 0.3, 0.4), "has 3; there are 1 to 2"), ((1.0, float("nan")), "not all above 0")],
)  # fmt: skip
def test_chances_that_are_none(weights: tuple, complaint: str) -> None:
    found = broken(type("Mistake", (Dice,), {"weights": weights}), max_chance_outcomes=2)
    assert complaint in found["chance_outcomes"]


def test_chance_that_was_not_declared() -> None:
    assert "whose max_chance_outcomes is 0" in broken(Dice)["chance_outcomes"]


def test_two_moves_of_one_name() -> None:
    class Mistake(Pile):
        def action_text(self, action):
            return "take"

    assert "actions 0 and 1 are both 'take'" in broken(Mistake)["action_text"]


def symmetry(observation: list[int], action: list[int]) -> list[games.Symmetry]:
    return [games.Symmetry(np.array(observation), np.array(action))]


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        (symmetry(list(range(8, -1, -1)) + [9, 10], [0, 1, 2]), "is not the mirror image"),
        (symmetry(list(range(11)), [2, 1, 0]), "is not the mirror image"),
        (symmetry([0] * 11, [0, 1, 2]), "does not name every number"),
        (symmetry(list(range(11)), [0, 1]), "does not name every number"),
        (symmetry([*range(9), 10, 9], [0, 1, 2]), "moves the seats"),
    ],
)
def test_symmetries_that_are_none(declared: list, complaint: str) -> None:
    assert complaint in broken(symmetries=lambda game: declared)["symmetries"]


def test_a_symmetry_that_few_games_disprove(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells of a board change places: only some games end otherwise."""
    game = games.load("tic_tac_toe")
    cells, own = [1, 0, *range(2, 9)], 9 * (game.observation_shape[0] - 2)
    numbers = [first + cell for first in range(0, own, 9) for cell in cells]
    monkeypatch.setattr(game, "symmetries", lambda: symmetry([*numbers, *range(own, own + 18)], cells))
    (found,) = broken_promises(game, positions=20)
    assert found.rule == "symmetries" and "is not the mirror image" in found.what


def test_an_observation_that_hides_what_decides_the_last_move() -> None:
    """A game of a fixed length says only at its end what it has kept from the player."""

    class Mistake(games.State):
        def __init__(self):
            self.moves = ()

        def clone(self):
            other = Mistake()
            other.moves = self.moves
            return other

        def to_play(self):
            return len(self.moves) % 2 if len(self.moves) < 4 else games.TERMINAL

        def legal_actions(self):
            return [0, 1]

        def apply(self, action):
            self.moves = (*self.moves, action)

        def rewards(self):
            result = 0.0 if self.to_play() >= 0 else 1.0 if self.moves[0] == self.moves[3] else -1.0
            return [result, -result]

        def observation(self):
            return np.array([len(self.moves)], np.float32)

        def action_text(self, action):
            return str(action)

    found = broken(Mistake, num_actions=2, max_game_length=4, observation_shape=games.with_seats((1,), 2))
    assert list(found) == ["observation"] and "not to -4 and" in found["observation"]


@pytest.mark.parametrize("said", [np.array([[1.0, 1]]), np.array([[3.0, -3]]), np.zeros(2), np.full((1, 2), np.nan)])
def test_judges_that_are_unfair(said: np.ndarray) -> None:
    assert list(broken(judge=lambda game, pool, slots: said)) == ["judge"]


@pytest.mark.parametrize(
    ("name", "size", "rule"),
    [
        ("num_actions", 0, "sizes"),
        ("num_players", None, "sizes"),
        ("max_game_length", 2.5, "sizes"),
        ("observation_shape", (2,), "sizes"),
        ("observation_shape", [11], "sizes"),
        ("utility_scale", 0.0, "utility_scale"),
    ],
)
def test_sizes_that_are_none(name: str, size: object, rule: str) -> None:
    found = broken(**{name: size})
    assert list(found) == [rule] and name in found[rule]


def test_one_player_whose_loss_is_nobodys_gain() -> None:
    assert "set zero_sum = False" in broken(num_players=1, observation_shape=games.with_seats((9,), 1))["zero_sum"]


def test_whatever_a_game_raises_is_a_broken_promise() -> None:
    for method, rule in (
        ("to_play", "to_play"),
        ("legal_actions", "legal_actions"),
        ("clone", "clone"),
        ("observation", "observation"),
        ("rewards", "rewards"),
        ("action_text", "action_text"),
        ("__str__", "__str__"),
    ):

        def fails(self, *args):
            raise RuntimeError("two\nlines")

        found = broken(type("Mistake", (Pile,), {method: fails}))
        assert "raises RuntimeError: two (" in found[rule], method


def test_the_command_names_rule_and_moves_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    class Mistake(Pile):
        def rewards(self):
            return [max(0.0, reward) for reward in super().rewards()]

    games.register("mistaken", type("Mistaken", (PileGame,), {"state": Mistake}))
    games.register("kept", type("Kept", (PileGame,), {}))

    def raising() -> games.Game:
        raise TypeError("no board")

    games.register("raising", raising)
    assert cli.main(["audit", "mistaken"]) == 1
    assert "  zero_sum: rewards() is [1.0, 0.0]" in (out := capsys.readouterr().out) and "(take 1)" in out
    assert cli.main(["audit", "kept"]) == 0
    assert "promises" in capsys.readouterr().out
    assert cli.main(["audit", "raising"]) == 1
    assert "new game: making it raises TypeError: no board" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shape", "is_said"), [((8, 8, 3), True), ((6, 7, 2), True), ((3, 8, 8), False), ((3, 6, 7), False)]
)
def test_a_board_whose_planes_come_last_is_said(shape: tuple[int, ...], is_said: bool) -> None:
    game = type("Board", (PileGame,), {"observation_shape": games.with_seats(shape, 2)})()
    assert bool(layout_notes(game)) == is_said
    if is_said:
        planes, rows, columns = shape
        assert f"read as {planes} planes, {rows} rows, {columns} columns" in layout_notes(game)[0]


def test_a_mistake_in_one_of_many_positions_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    class Mistake(Pile):
        applied = 0

        def apply(self, action):
            Mistake.applied += 1
            if Mistake.applied > 20_000:
                raise OSError("the disk is full")
            super().apply(action)

    games.register("rarely", type("Rarely", (PileGame,), {"state": Mistake}))
    Mistake.applied = 20_000 - 1_500
    assert cli.main(["audit", "rarely", "--positions", "800"]) == 1
    assert "raises OSError: the disk is full (" in capsys.readouterr().out


def test_symmetries_of_another_type_are_no_traceback() -> None:
    assert "it raises" in broken(symmetries=lambda game: [None])["game"]


def test_a_game_without_an_end_ends_the_audit() -> None:
    class Endless(Pile):
        def apply(self, action):
            self.mover = 1 - self.mover

    identity = symmetry(list(range(11)), [0, 1, 2])
    assert broken(Endless, max_game_length=10**9, symmetries=lambda game: identity) == {}
