"""Actors that die, fail or hang are replaced, with longer and longer breaks, and in the end the run stops."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from run_helpers import BOUND_SECONDS, tiny_config, wait_until

from selfplay.actors import fleet
from selfplay.actors.fleet import ACTOR_NAME, Fleet
from selfplay.algorithms.registry import load_algorithm
from selfplay.errors import UserError
from selfplay.storage.tensors import publish_weights

pytestmark = pytest.mark.slow


@contextmanager
def running(folder: Path, with_weights: bool = True) -> Iterator[tuple[Fleet, list[str], Callable[[], list[str]]]]:
    """One actor, the warnings so far, and a poll that gives the kinds of the messages that came in."""
    config, weights, warnings = tiny_config(folder, "--actors.num_actors", "1"), folder / "weights.safetensors", []
    if with_weights:
        publish_weights(weights, load_algorithm(config).make_net().state_dict(), 0)
    actors = Fleet(config, weights, np.random.SeedSequence(0), lambda: 0, warnings.append)

    def poll() -> list[str]:
        actors.allow(math.inf, None)
        return [message[0] for message in actors.poll(0.05)]

    try:
        yield actors, warnings, poll
    finally:
        actors.stop()


def living() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.name == ACTOR_NAME and child.pid]


def test_actors_that_keep_dying_stop_the_run_after_longer_and_longer_breaks(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "MOST_FAILURES", 2)
    monkeypatch.setattr(fleet, "BACKOFF_SECONDS", 0.25)
    with running(tmp_path) as (actors, warnings, poll):

        def kill_and_poll() -> bool:
            for pid in living():
                os.kill(pid, signal.SIGKILL)
            return poll() == ["never"]

        with pytest.raises(UserError, match="2 times in a row"):
            wait_until(kill_and_poll, "the actors are given up")
        assert actors.restarts == 2
    assert len(warnings) == 3 and all("ended (exit status -9)" in line for line in warnings)
    again = [line.partition("starting another")[2] for line in warnings if "starting another" in line]
    assert again == ["", " in 0.25 s"]
    assert living() == []


def test_the_second_failure_of_the_same_kind_stops_the_run(tmp_path):
    with running(tmp_path, with_weights=False) as (actors, warnings, poll):
        with pytest.raises(UserError, match="second failure like this") as raised:
            wait_until(lambda: poll() == ["never"], "the actors are given up")
    assert len(warnings) == 1 and len(str(raised.value).splitlines()) == 1
    for line in (warnings[0], str(raised.value)):
        assert "weights.safetensors" in line and "failed_actor_0.txt" in line and "exit status" not in line
    assert "Traceback" in (tmp_path / "failed_actor_0.txt").read_text()


def test_an_actor_that_hangs_is_replaced_once(tmp_path, monkeypatch):
    with running(tmp_path) as (actors, warnings, poll):
        wait_until(lambda: "games" in poll(), "the actor plays")
        (hung,) = living()
        os.kill(hung, signal.SIGSTOP)
        monkeypatch.setattr(fleet, "SILENT_SECONDS", 0.0)
        wait_until(lambda: bool(poll() is None or warnings), "its silence is found")
        monkeypatch.undo()
        wait_until(lambda: "hello" in poll(), "another starts")
        wait_until(lambda: "games" in poll(), "and plays")
        assert actors.restarts == 1
        assert [line for line in warnings if "said nothing" in line] == warnings
        stacks = tmp_path / "hung_actor_0.txt"
        assert str(stacks) in warnings[0]
        assert 'actor.py", line' in stacks.read_text()
        assert living() != [hung] and len(living()) == 1


def test_a_driver_that_stood_still_takes_no_silence_for_a_failure(tmp_path, monkeypatch):
    with running(tmp_path) as (actors, warnings, poll):
        wait_until(lambda: "games" in poll(), "the actor plays")
        monkeypatch.setattr(fleet, "SILENT_SECONDS", 0.0)
        monkeypatch.setattr(fleet, "STALL_SECONDS", 0.0)
        poll()  # a stop of any length between two polls is now one, and any time without a word a silence
        assert actors.restarts == 0 and warnings == []


def test_a_break_is_short_again_after_games(tmp_path):
    with running(tmp_path) as (actors, warnings, poll):
        for _ in range(2):
            wait_until(lambda: "games" in poll(), "the actor plays")
            os.kill(living()[0], signal.SIGKILL)
            wait_until(lambda: "hello" in poll(), "another starts")
        assert actors.restarts == 2
        assert [line.endswith("starting another") for line in warnings] == [True] * 2


def test_messages_for_an_actor_that_reads_nothing_do_not_block_the_driver(tmp_path):
    with running(tmp_path) as (actors, warnings, poll):
        wait_until(lambda: "games" in poll(), "the actor plays")
        os.kill(living()[0], signal.SIGSTOP)

        def send_many() -> None:  # more than a pipe holds
            for _ in range(5000):
                actors.send(("weights",))
            for ahead in range(1000):
                actors.allow(ahead, 0)

        sender = threading.Thread(target=send_many, daemon=True)
        sender.start()
        sender.join(BOUND_SECONDS)
        assert not sender.is_alive()
        os.kill(living()[0], signal.SIGCONT)
        wait_until(lambda: poll() is not None and not actors._members[0].unsent, "what waited is sent")
        poll()
        wait_until(lambda: "games" in poll(), "the actor plays again")
        assert actors.restarts == 0 and warnings == []


def test_what_waits_in_the_pipe_of_an_actor_was_said():
    ours, theirs = multiprocessing.Pipe()
    member = fleet._Member(0, None, ours, None, heard=time.monotonic() - 2 * fleet.SILENT_SECONDS)
    assert fleet._is_silent(member, time.monotonic())
    theirs.send(("hello", {}))
    assert not fleet._is_silent(member, time.monotonic())
