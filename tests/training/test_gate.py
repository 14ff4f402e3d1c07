"""Which weights the actors play with: what each gate chooses, keeps and saves."""

from __future__ import annotations

from selfplay.algorithms.algorithm import PLAYER
from selfplay.config.run import EvaluationConfig
from selfplay.training.evaluator import CheckpointResult
from selfplay.training.gate import NEWEST, ChampionGate, NewestGate, make_gate


def verdict(version: int, beats_champion: bool | None) -> CheckpointResult:
    return CheckpointResult(version, {}, {}, 0.0, beats_champion=beats_champion)


def test_without_a_gate_the_newest_weights_play_and_no_checkpoint_is_kept_for_them() -> None:
    gate = make_gate(EvaluationConfig())
    assert isinstance(gate, NewestGate)
    gate.load_state_dict({"champion": 7})  # of a run that had a gate before
    gate.published({PLAYER: 8})
    gate.judge(verdict(9, True))
    assert gate.choice() == {PLAYER: NEWEST} and gate.pinned_versions() == set() and gate.rival(9) is None
    assert gate.state_dict() == {"champion": None}


def test_the_champion_is_the_first_that_was_published_until_another_beats_it() -> None:
    gate = make_gate(EvaluationConfig(gate=True))
    assert isinstance(gate, ChampionGate)
    assert gate.choice() == {PLAYER: NEWEST} and gate.pinned_versions() == set()
    gate.published({PLAYER: 3})
    assert gate.choice() == {PLAYER: 3} and gate.pinned_versions() == {3}
    assert gate.rival(3) is None and gate.rival(5) == 3
    for beats in (False, None):
        gate.judge(verdict(5, beats))
        assert gate.choice() == {PLAYER: 3}
    gate.judge(verdict(5, True))
    assert gate.choice() == {PLAYER: 5} and gate.pinned_versions() == {5}


def test_a_champion_comes_back_and_may_be_lost() -> None:
    first, again, older = ChampionGate(), ChampionGate(), ChampionGate()
    first.published({PLAYER: 0})  # version 0 is a version
    again.load_state_dict(first.state_dict())
    older.load_state_dict({})
    assert again.choice() == {PLAYER: 0} and older.choice() == {PLAYER: NEWEST}
    again.lose()
    assert again.choice() == {PLAYER: NEWEST} and again.pinned_versions() == set()
