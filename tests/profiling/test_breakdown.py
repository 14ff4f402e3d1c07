"""The training loop taken apart: shares add up, rates are the right ratios, each measurement really runs."""

from __future__ import annotations

import dataclasses

import pytest

import games
from selfplay.algorithms import networks
from selfplay.config.reader import load
from selfplay.config.run import Config
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.targets import TargetSettings
from selfplay.profiling.breakdown import (
    ActorProfile,
    LearnerSpeed,
    measure_learner,
    position_bytes,
    profile_actor,
    random_records,
    tree_bytes,
)
from selfplay.profiling.loop import LoopParts, loop_rows
from selfplay.profiling.speed import SelfPlaySpeed
from selfplay.replay.positions import columns_of
from selfplay.system import machine

SPEED = SelfPlaySpeed(
    SelfPlayCounts(positions=40, seconds=10.0), 1, {"dtype": "float32"}, start_seconds=3.0, actor_bytes=300_000_000
)
PARTS = LoopParts(
    profile=ActorProfile(
        seconds=10.0,
        network=7.0,
        games=1.0,
        cache=0.5,
        counts=SelfPlayCounts(positions=10, simulations=90),
        unfinished=-10,
    ),
    learner=LearnerSpeed(samples=1024, seconds=64.0, sampling_seconds=16.0, resident_bytes=500_000_000),
    position_bytes=100,
    learned_share=1.0,
)


def test_who_waits_follows_from_the_positions_that_are_kept():
    parts = dataclasses.replace(PARTS, learned_share=0.25)
    rows = {row.name: row.value for row in loop_rows(Config(), games.load("tic_tac_toe"), parts, SPEED)}
    assert rows["learner samples needed by sample_reuse"] == 4.0 and rows["learner would wait for positions"] == 75.0


def test_rows_of_the_loop_are_the_right_ratios():
    game, config = games.load("tic_tac_toe"), Config()
    rows = {row.name: row.value for row in loop_rows(config, game, PARTS, SPEED)}
    assert rows == pytest.approx(
        {
            "one actor: network": 70.0,
            "one actor: games (rules and observation)": 10.0,
            "one actor: cache of evaluations": 5.0,
            "one actor: tree and records": 15.0,
            "learner alone samples": 16.0,
            "learner alone steps": 16.0 / 256,
            "learner time in the replay": 25.0,
            "learner samples needed by sample_reuse": 16.0,  # 4 positions/s, 4 samples each
            "learner would wait for positions": 0.0,
            "actors would wait for the learner": 0.0,
            "memory of an actor": 300.0,
            "memory of the learner, replay empty": 500.0,
            "memory of a position in the replay": 100,
            "memory of a full replay": 50.0,
        }
    )
    assert PARTS.profile.simulations_per_move == 10.0, "ten simulations were those of moves that had begun before"


def test_an_actor_taken_apart_adds_up_and_plays_as_any_other():
    game = games.load("tic_tac_toe")
    overrides = ["--game", "tic_tac_toe", "--net.kind", "mlp", "--net.hidden", "8", "--actors.dtype", "float32"]
    overrides += ["--actors.games_per_actor", "4", "--search.num_simulations", "3", "--actors.device", "cpu"]
    config = load(Config, None, overrides)
    inference = networks.make_inference(config, game, config.actors, 4)
    inference.load(networks.make_net(config, game).state_dict(), version=0)
    profile_actor(config, game, inference, 0.1, 0.0)  # loads kernels, which may take all of the time
    profile = profile_actor(config, game, inference, 0.1, 0.0)
    assert min(profile.network, profile.games, profile.cache, profile.tree) > 0
    assert profile.simulations_per_move == pytest.approx(3)
    assert profile.network == profile.counts.network_seconds < profile.seconds
    assert tree_bytes(config, game) >= 64


def test_random_games_give_batches_to_learn_from():
    config = load(Config, None, ["--net.channels", "2", "--net.blocks", "1", "--learner.device", "cpu"])
    game = games.load("pig")  # chance nodes; may be cut off
    records = random_records(config, game, 4)
    assert len(records) == 4 and all(len(record) > 0 for record in records)
    columns = [columns_of(record, TargetSettings.of(config, game))[0] for record in records]
    sizes = [sum(array.nbytes for array in found.values()) / len(found["action"]) for found in columns]
    assert position_bytes(config, game, records) == pytest.approx(max(sizes), rel=0.1)
    speed = measure_learner(config, game, records, 0.0)
    assert speed.samples >= 16 and 0 < speed.sampling_seconds < speed.seconds


def test_containers_limit_cores_and_memory(tmp_path):
    assert machine.usable_cores(tmp_path) >= 1 and machine.free_memory(tmp_path) > 0 and machine.resident_bytes() > 0
    for name, text in {"cpu.max": "150000 100000", "memory.max": "5000000", "memory.current": "1000000"}.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert machine.usable_cores(tmp_path) == 1 and machine.free_memory(tmp_path) == 4_000_000
