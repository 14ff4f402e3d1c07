"""A batch of records that arrives twice counts once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from run_helpers import tiny_config

from selfplay.actors import fleet
from selfplay.actors.finished import Deliveries, Finished
from selfplay.experience.figures import SelfPlayCounts


def batch(actor: int, incarnation: int, number: int, positions: int = 0) -> Finished:
    return Finished(actor, incarnation, number, [], SelfPlayCounts(positions=positions))


def test_what_was_delivered_before_is_not_new() -> None:
    deliveries = Deliveries()
    assert [deliveries.is_new(batch(0, 0, number)) for number in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    assert deliveries.is_new(batch(1, 0, 0)), "actors are counted apart"
    assert deliveries.is_new(batch(0, 1, 0)), "one that was replaced begins again"
    assert not deliveries.is_new(batch(0, 0, 3)), "and the one before it has nothing more to say"


def test_a_fleet_hands_out_and_counts_a_batch_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.Fleet, "_start", lambda self, index: fleet._Member(index, None, None, None, np.inf))
    monkeypatch.setattr(fleet.Fleet, "_receive", lambda self: None)
    monkeypatch.setattr(fleet, "_send_waiting", lambda member: None)
    config = tiny_config(tmp_path, "--actors.num_actors", "1")
    actors = fleet.Fleet(config, tmp_path / "weights", np.random.SeedSequence(0), lambda: 0, pytest.fail)
    (member,) = actors._members
    for number in (0, 1, 1):
        actors._messages.put((member, ("games", batch(0, 0, number, positions=5))))
    handed_out = actors.poll(0.0)
    assert [message[1].number for message in handed_out] == [0, 1]
    assert member.played == 10


def test_an_actor_hears_how_far_the_run_is_before_it_may_play(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(
        fleet.Fleet, "_start", lambda self, index, incarnation=0: fleet._Member(index, None, closed, closed, np.inf)
    )
    monkeypatch.setattr(fleet.Fleet, "_receive", lambda self: None)
    monkeypatch.setattr(fleet, "_send_waiting", lambda member: None)
    config = tiny_config(tmp_path, "--actors.num_actors", "1")
    actors = fleet.Fleet(config, tmp_path / "weights", np.random.SeedSequence(0), lambda: 0, pytest.fail)
    for progress in (0.0, 0.25, 0.2504):
        actors.progress_changed(progress)
    (first,) = actors._members
    assert first.unsent == [("progress", 0.25)], "small changes are not worth a message"
    actors._restart(first)
    actors.allow(100, None)
    assert actors._members[0].unsent == [("progress", 0.25), ("play", 100, np.inf)]
