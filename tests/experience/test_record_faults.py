"""What no game of some rules could have given is found in a stored game, and nothing is found in games as played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import old_records
import pytest
from test_records import recorded

import games
from search.perspective import num_values
from selfplay.experience.record_faults import fault_of, record_of_game
from selfplay.experience.records import NO_ACTION, GameRecord
from selfplay.experience.targets import TargetSettings

PLAYED: dict[str, dict[str, Any]] = {
    "connect_four": {"full_search_share": 0.5, "resign_value": 0.1, "resign_plies": 1, "opening_plies": 3},
    "pig(winscore=15)": {"max_plies": 12, "opening_plies": 2},
    "2048": {"max_plies": 9, "games_per_actor": 2},
    "chinese_checkers(players=3)": {"max_plies": 7, "games_per_actor": 2},
}
"""Games with two players and one, chance, rewards, verdicts, openings; some are cut off or judged."""

Row = dict[str, Any]


def with_targets(record: GameRecord, name: str) -> Row:
    """The game as shards of format 1 have it."""
    settings = TargetSettings(num_values(games.load(name)), policy_surprise=0.7, resign_weight=0.1)
    return old_records.with_targets(record, settings).arrays()


@pytest.mark.parametrize("name", PLAYED)
def test_games_as_they_were_played_have_no_fault(name: str) -> None:
    game = games.load(name)
    for record in recorded(name, **PLAYED[name]):
        assert fault_of(record, game) == ""
        record_of_game(with_targets(record, name), game)


def put(field: str, value: float, *place: int) -> Callable[[Row], None]:
    """Write a number into a field."""

    def change(row: Row) -> None:
        row[field] = row[field].astype(np.float32) if field == "observation" else row[field].copy()
        row[field][place] = value

    return change


def another_shape(*shape: int) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        row.update({name: np.zeros((len(row[name]), *shape), np.float32) for name in row if "observation" in name})

    return change


def fewer_players(row: Row) -> None:
    for name in ("reward", "root_value"):
        row[name] = row[name][:, :1]
    row["judge_reward"] = row["judge_reward"][:1]


def no_final_position(row: Row) -> None:
    for name in ("final_observation", "final_to_play", "final_legal_actions"):
        row[name] = row[name][:0]


IN_BOTH: dict[str, tuple[Callable[[Row], object], str]] = {
    "an action beyond all": (put("action", 10**6, 2), "action[2] is 1000000"),
    "an action that is not legal": (put("action", NO_ACTION, 1), "action[1] is -1"),
    "a legal action beyond all": (put("legal_actions", 7, 0, 1), "legal_actions[0, 1] is 7, not -1 to 6"),
    "an action that is legal twice": (put("legal_actions", 0, 0, 1), "legal_actions[0] is no list"),
    "a gap in the legal actions": (put("legal_actions", NO_ACTION, 0, 1), "legal_actions[0] is no list"),
    "a policy that is NaN": (put("policy_target", np.nan, 3, 0), "policy_target[3, 0] is nan"),
    "a policy below 0": (put("policy_target", -0.5, 3, 0), "policy_target[3] is -0.5"),
    "a policy that sums to more": (put("policy_target", 9.0, 3, 0), "policy_target[3] sums to "),
    "another player": (put("to_play", 2, 1), "to_play[1] is 2, not 0 to 1"),
    "a network from before the first": (put("version", -1, 0), "version[0] is -1, not 0 or more"),
    "another number of planes": (another_shape(3, 6, 7), "observation has the shape [8, 3, 6, 7], not [8, 5, 6, 7]"),
    "an infinite observation": (put("observation", np.inf, 1, 0, 0, 0), "observation[1, 0, 0, 0] is inf"),
}

IN_FACTS: dict[str, tuple[Callable[[Row], object], str]] = {
    "a reward that is NaN": (put("reward", np.nan, 4, 1), "reward[4, 1] is nan"),
    "a huge root value": (put("root_value", 1e300, 0, 0), "root_value[0, 0] is 1e+300"),
    "a judge that says anything": (put("judge_reward", np.inf, 0), "judge_reward[0] is inf"),
    "an infinite surprise": (put("surprise", np.inf, 0), "surprise[0] is inf"),
    "rewards that add up to too much": (put("reward", 3e38), "reward adds up"),
    "one player less": (fewer_players, "reward has the shape [8, 1], not [8, 2]"),
    "a verdict after the end": (lambda row: row.update(decided_at=np.array(99)), "decided_at is 99, not 0 to 8"),
    "an opening below 0": (lambda row: row.update(opening=np.array([3, -2], np.int32)), "opening[1] is -2"),
    "a position after the last move that is missing": (no_final_position, "final_to_play has 0 rows"),
    "a last mover beyond all": (put("final_to_play", 5, 0), "final_to_play[0] is 5"),
    "labels of a game that has none": (
        lambda row: row.update(final_labels=np.zeros((6, 7), np.int8)),
        "final_labels are [6, 7], not []",
    ),
    "a score of a game that has none": (
        lambda row: row.update(final_score=np.ones(1)),
        "final_score is 1, the largest possible is 0",
    ),
    "a last legal action beyond all": (put("final_legal_actions", 70, 1), "final_legal_actions[1] is 70"),
}

IN_TARGETS: dict[str, tuple[Callable[[Row], object], str]] = {
    "a negative weight": (put("weight", -1.0, 2), "weight[2] is -1"),
    "a weight that is NaN": (put("weight", np.nan, 2), "weight[2] is nan"),
    "a huge weight": (put("weight", 1e9, 2), "weight is 1.25e+08 on average"),
    "a target that is NaN": (put("value_target", np.nan, 0, 0), "value_target[0, 0] is nan"),
    "values of another game": (
        lambda row: row.update({n: np.repeat(row[n], 2, axis=1) for n in ("value_target", "outcome", "root_value")}),
        "value_target has the shape [8, 2], not [8, 1]",
    ),
}


@pytest.fixture(scope="module")
def cut_off() -> GameRecord:
    """A game of Connect Four that is not over after eight moves."""
    return next(record for record in recorded("connect_four", max_plies=8) if len(record.final_to_play))


@pytest.mark.parametrize("name", [*IN_BOTH, *IN_FACTS])
def test_a_wrong_number_among_the_facts_is_named(cut_off: GameRecord, name: str) -> None:
    change, fault = (IN_BOTH | IN_FACTS)[name]
    assert_fault(cut_off.arrays(), change, fault)


@pytest.mark.parametrize("name", [*IN_BOTH, *IN_TARGETS])
def test_a_wrong_number_among_the_targets_is_named(cut_off: GameRecord, name: str) -> None:
    change, fault = (IN_BOTH | IN_TARGETS)[name]
    assert_fault(with_targets(cut_off, "connect_four"), change, fault)


def assert_fault(row: Row, change: Callable[[Row], object], fault: str) -> None:
    game = games.load("connect_four")
    record_of_game(row, game)
    change(row)
    with pytest.raises(ValueError) as caught:
        record_of_game(row, game)
    assert fault in str(caught.value) and "\n" not in str(caught.value)
