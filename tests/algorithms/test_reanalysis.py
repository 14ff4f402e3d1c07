"""Policies that are searched again: equal to those of a player, and nothing else in a batch changes."""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from record_helpers import played_game
from run_helpers import Watcher, tiny_config
from test_muzero import assert_equal_runs

import selfplay
from games.observed import ObservedPositions
from search import RootStatistics, Search
from search.perspective import from_players, num_values
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.muzero import MuZero
from selfplay.algorithms.reanalysis import Reanalysis
from selfplay.algorithms.registry import load_algorithm
from selfplay.algorithms.world_learner import REANALYSIS, WorldLearner, WorldLoss, td_steps
from selfplay.config.reader import load
from selfplay.config.run import Config
from selfplay.experience.records import Ending, GameRecord
from selfplay.players.search import SearchPlayer
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.replay.real_actions import with_real_actions
from selfplay.replay.unroll import UnrolledBatch, unrolled
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.storage.run_folder import RunFolder

STEPS = 3
SMALL = (
    *("--algorithm", "muzero", "--net.kind", "mlp", "--net.hidden", "16", "--net.layers", "1", "--net.batch_norm"),
    *("false", "--muzero.unroll_steps", str(STEPS), "--search.num_simulations", "7", "--learner.dtype", "float32"),
    *("--learner.device", "cpu", "--actors.device", "cpu", "--actors.dtype", "float32", "--actors.num_actors", "0"),
    *("--actors.games_per_actor", "3", "--actors.max_plies", "12", "--muzero.support", "3"),
)
GAMES = {
    "two players": ("--game", "tic_tac_toe", "--learner.root_value_share", "0.5"),
    "puct": ("--game", "tic_tac_toe", "--search.rule", "puct", "--learner.root_value_share", "1"),
    "extra turns": ("--game", "dots_and_boxes(num_rows=2,num_cols=2)", "--learner.root_value_share", "0.5"),
    "chance codes": ("--game", "pig(winscore=15)", "--muzero.chance_codes", "3", "--learner.root_value_share", "0.5"),
    "environment": ("--environment", "grid_world", "--learner.td_steps", "2", "--search.discount", "0.9"),
    "real actions": ("--environment", "Pendulum-v1", "--muzero.sampled_actions", "5", "--muzero.uniform_share", "0.4"),
}


def algorithm_of(*options: str) -> MuZero:
    made = load_algorithm(load(Config, None, [*SMALL, *options]))
    assert isinstance(made, MuZero)
    return made


def learner_of(algorithm: MuZero, seed: int = 0) -> WorldLearner:
    """A learner whose averaged weights are far from its own."""
    learner, generator = algorithm.make_learner(), torch.Generator().manual_seed(seed)
    assert isinstance(learner, WorldLearner)
    for tensor in learner.average.values():
        if tensor.is_floating_point():
            tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
    return learner


def games_of(algorithm: MuZero, count: int = 6) -> list[GameRecord]:
    """Games of self-play by a network that has not learned."""
    inference = algorithm.make_inference()
    inference.load(algorithm.make_net().state_dict(), 0)
    playing = algorithm.make_collector({PLAYER: inference}, np.random.default_rng(0), 0, 0)
    records: list[GameRecord] = []
    while len(records) < count:
        records += playing.collect()
    playing.close()
    return records


def replay_of(algorithm: MuZero, records: Sequence[GameRecord]) -> PositionReplay:
    replay = algorithm.make_replay()
    for record in records:
        replay.add(record)
    return replay


def learned_from(learner: WorldLearner, batch: Batch) -> UnrolledBatch:
    """What the loss is given in a step."""
    seen: list[UnrolledBatch] = []
    loss: Any = learner.loss

    def spy(net: Any, sample: UnrolledBatch, device: torch.device) -> Any:
        seen.append(sample)
        return loss(net, sample, device)

    learner.loss = spy
    assert not learner.step(batch, 0.0).is_left_out
    learner.loss = loss
    return seen[0]


def plain_sample(algorithm: MuZero, learner: WorldLearner, batch: Batch) -> UnrolledBatch:
    """The unroll of a batch as it is without reanalysis, but for values behind returns."""
    config, game = algorithm.config, algorithm.game
    rng = np.random.default_rng([config.seed, learner.steps])
    given = td_steps(config, game)
    sample = unrolled(batch, STEPS, game.num_players, game.has_rewards, given, config.search.discount, rng)
    if game.action_low is None or game.action_high is None:
        return sample
    return with_real_actions(sample, batch, game.action_low, game.action_high, rng)


def where(sample: UnrolledBatch) -> np.ndarray:
    """Where there are positions, bool [B, K + 1]."""
    return np.concatenate([np.ones((len(sample), 1), np.bool_), sample.exists], axis=1)


def observed(algorithm: MuZero, sample: UnrolledBatch, batch: Batch, chosen: np.ndarray) -> tuple[Any, Any]:
    """The positions of the chosen samples, sampled ones first, and their rows and depths."""
    assert batch.following is not None
    rows = [(i, 0) for i in np.flatnonzero(chosen)]
    rows += [(i, k + 1) for i in np.flatnonzero(chosen) for k in range(STEPS) if sample.exists[i, k]]
    seen = [sample.observation[i] if k == 0 else sample.following[i, k - 1] for i, k in rows]
    movers = [batch.to_play[i] if k == 0 else batch.following.to_play[i, k - 1] for i, k in rows]
    legal = np.stack([sample.legal_mask[i, k] for i, k in rows])
    return ObservedPositions(algorithm.game, np.stack(seen), legal, np.array(movers)), rows


def player_search(
    algorithm: MuZero, learner: WorldLearner, positions: ObservedPositions, rng: np.random.Generator
) -> RootStatistics:
    """A search by a player with the averaged weights, which draws its seeds from `rng`."""
    inference, count = algorithm.make_inference(256), positions.capacity
    inference.load(learner.weights(), 1)
    if algorithm.game.action_low is not None:  # a player has no uniform actions, which are learned from
        search = Search(algorithm.make_models(inference, rng).make_model(), algorithm.config.search, count)
        seeds = rng.integers(2**64, size=count, dtype=np.uint64)
        search.begin(np.arange(count), positions, np.arange(count), seeds)
        search.run(np.arange(count))
        return search.statistics(np.arange(count))
    player = SearchPlayer("player", algorithm.make_player_models(inference, False), algorithm.config.search, 0)
    player._rng = rng
    return player._run(positions, np.arange(count))


@pytest.mark.parametrize("name", GAMES)
def test_targets_are_those_of_a_search_by_the_player(name: str) -> None:
    """At all depths, for whoever moves, in mirrored samples too; behind an end nothing is searched."""
    algorithm = algorithm_of(*GAMES[name], "--muzero.reanalyse_share", "1", "--learner.batch_size", "16")
    learner, config, game = learner_of(algorithm), algorithm.config, algorithm.game
    batch = replay_of(algorithm, games_of(algorithm)).sample(16, np.random.default_rng(1))
    assert batch.following is not None and batch.root_value is not None
    plain = plain_sample(algorithm, learner, batch)
    rng = np.random.default_rng([config.seed, 0, REANALYSIS])
    chosen = rng.random(16) < 1
    positions, rows = observed(algorithm, plain, batch, chosen)
    found = player_search(algorithm, learner, positions, rng)
    expected = found.dense("policy_target", game.num_actions)
    values = from_players(found.root_value, found.to_play, num_values(game))
    sample = learned_from(learner, batch)
    share = config.learner.root_value_share
    assert len(rows) > 16 and not where(plain).all(), "some samples end"
    for i, (b, k) in enumerate(rows):
        np.testing.assert_array_equal(sample.policy_target[b, k], expected[i].astype(np.float32))
        assert sample.policy_mask[b, k] and not sample.policy_target[b, k][~sample.legal_mask[b, k]].any()
        assert sample.policy_target[b, k].sum() == pytest.approx(1, abs=1e-5)
        if share > 0:
            old = batch.root_value[b] if k == 0 else batch.following.root_value[b, k - 1]
            returns = (plain.value_target[b, k] - share * old) / (1 - share) if share < 1 else 0.0
            mixed = (1 - share) * returns + share * values[i]
            np.testing.assert_allclose(sample.value_target[b, k], mixed, rtol=1e-4, atol=1e-5)
        if sample.sampled_actions is not None:
            np.testing.assert_array_equal(sample.sampled_actions[b, k], positions.sampled_actions(np.array([i]))[0])
    differs = np.abs(sample.policy_target - plain.policy_target).max()
    assert differs > 0.01, "the network is another one"
    there = where(plain)
    np.testing.assert_array_equal(sample.policy_mask, there)
    if config.learner.root_value_share > 0:
        np.testing.assert_array_equal(sample.value_target[~there], plain.value_target[~there])
    changed = {"policy_target", "policy_mask", "value_target", "sampled_actions", "bootstrap"}
    for name_of_field in {field.name for field in fields(plain)} - changed:
        one, other = getattr(plain, name_of_field), getattr(sample, name_of_field)
        assert one is None and other is None or np.array_equal(one, other), name_of_field


def test_real_positions_and_what_the_replay_has_kept_of_them_are_searched_alike() -> None:
    algorithm = algorithm_of(*GAMES["two players"], "--muzero.reanalyse_share", "1", "--learner.symmetries", "false")
    learner, game, moves = learner_of(algorithm), algorithm.game, [4, 0, 8, 2, 1, 7, 6]
    record = played_game(game, moves, [np.ones(9) for _ in moves])
    inference, pool = algorithm.make_inference(16), game.new_pool(len(moves))
    inference.load(learner.weights(), 1)
    for t in range(len(moves)):
        at = np.array([t])
        pool.reset(at)
        for move in moves[:t]:
            pool.step(at, np.array([move]), at)
    player = SearchPlayer("player", algorithm.make_player_models(inference, False), algorithm.config.search, 0)
    expected = player._run(pool, np.arange(len(moves))).dense("policy_target", 9).astype(np.float32)
    batch = replay_of(algorithm, [record]).sample(32, np.random.default_rng(0))
    sample = learned_from(learner, batch)
    for i, t in enumerate(batch.version.tolist()):
        for k in range(STEPS + 1):
            if t + k < len(moves):
                np.testing.assert_allclose(sample.policy_target[i, k], expected[t + k], atol=1e-6)
            else:
                assert not sample.policy_mask[i, k]


def test_with_share_0_batches_are_bit_for_bit_as_they_were() -> None:
    algorithm = algorithm_of(*GAMES["two players"])
    learner = learner_of(algorithm)
    assert learner._reanalysis is None
    batch = replay_of(algorithm, games_of(algorithm)).sample(16, np.random.default_rng(1))
    plain, sample = plain_sample(algorithm, learner, batch), learned_from(learner, batch)
    for field in fields(plain):
        one, other = getattr(plain, field.name), getattr(sample, field.name)
        assert one is None and other is None or one.tobytes() == other.tobytes(), field.name


def test_a_share_of_the_samples_is_searched_and_the_others_stay_as_they_are() -> None:
    algorithm = algorithm_of(*GAMES["two players"], "--muzero.reanalyse_share", "0.25")
    learner, replay = learner_of(algorithm), replay_of(algorithm, games_of(algorithm))
    rng, count, total = np.random.default_rng(1), 0, 0
    for step in range(8):
        batch = replay.sample(64, rng)
        chosen = np.random.default_rng([algorithm.config.seed, step, REANALYSIS]).random(64) < 0.25
        plain, sample = plain_sample(algorithm, learner, batch), learned_from(learner, batch)
        for name in ("policy_target", "value_target", "policy_mask", "action"):
            np.testing.assert_array_equal(getattr(plain, name)[~chosen], getattr(sample, name)[~chosen])
        assert (plain.policy_target[chosen] != sample.policy_target[chosen]).any()
        count, total = count + int(chosen.sum()), total + 64
        assert learner._reanalysis is not None and learner._reanalysis._world is not None
        assert learner._reanalysis._world.version == step, "the newest weights"
    assert 0.15 < count / total < 0.35


def test_a_position_of_a_fast_search_gets_a_policy() -> None:
    algorithm = algorithm_of(*GAMES["two players"], "--muzero.reanalyse_share", "1")
    moves, is_chosen = [4, 0, 8, 2, 1, 7, 6], np.array([True, False, False, True, False, True, False])
    record = played_game(algorithm.game, moves, [np.ones(9) for _ in moves], is_chosen=is_chosen)
    learner = learner_of(algorithm)
    batch = replay_of(algorithm, [record]).sample(16, np.random.default_rng(0))
    plain, sample = plain_sample(algorithm, learner, batch), learned_from(learner, batch)
    assert (where(plain) & ~plain.policy_mask).any()
    np.testing.assert_array_equal(sample.policy_mask, where(plain))


def test_values_behind_returns_are_those_without_reanalysis() -> None:
    """With n-step returns a search again changes policies alone; the network's values are as new as they can be."""
    game = GAMES["environment"]
    found = []
    for share in ("0", "1"):
        algorithm = algorithm_of(*game, "--muzero.reanalyse_share", share)
        learner = learner_of(algorithm)
        batch = replay_of(algorithm, games_of(algorithm)).sample(16, np.random.default_rng(1))
        found.append(learned_from(learner, batch))
    np.testing.assert_array_equal(found[0].value_target, found[1].value_target)
    assert (found[0].policy_target != found[1].policy_target).any()


def test_a_position_is_searched_as_often_as_trees_allow() -> None:
    """In parts as at once: no tree knows of another."""
    algorithm = algorithm_of(*GAMES["extra turns"], "--muzero.reanalyse_share", "1")
    learner = learner_of(algorithm)
    batch = replay_of(algorithm, games_of(algorithm)).sample(16, np.random.default_rng(1))
    plain, found = plain_sample(algorithm, learner, batch), []
    for num_trees in (5, 200):
        positions, _ = observed(algorithm, plain, batch, np.ones(16, np.bool_))
        models = lambda world: algorithm.make_models(world, np.random.default_rng(0))  # noqa: E731
        reanalysis = Reanalysis(
            algorithm.game, algorithm.config.search, num_trees, lambda: algorithm.make_inference(200), models
        )
        reanalysis.load(learner.weights(), 1)
        found.append(reanalysis.search(positions, np.random.default_rng(0)))
    np.testing.assert_allclose(found[0].policy, found[1].policy, atol=1e-5)
    np.testing.assert_allclose(found[0].root_value, found[1].root_value, atol=1e-5)


# Errors, for the priorities.


def test_errors_are_the_distances_of_values_and_weights_scale_the_loss() -> None:
    algorithm = algorithm_of(
        *GAMES["environment"], "--muzero.priority_exponent", "1", "--muzero.consistency_weight", "1"
    )
    learner, records = learner_of(algorithm), games_of(algorithm)
    cut_off = [replace(record, ending=Ending.CUT_OFF) for record in records]
    batch = replay_of(algorithm, cut_off).sample(64, np.random.default_rng(1))
    plain = replace(plain_sample(algorithm, learner, batch), bootstrap=None)
    assert not plain.value_mask[:, 0].all() and plain.weight is not None
    loss, device = learner.loss, torch.device("cpu")
    assert isinstance(loss, WorldLoss)
    with torch.no_grad():
        value = learner.net.initial(torch.from_numpy(plain.observation)).value.numpy()
    expected = np.abs(value - plain.value_target[:, 0]).mean(axis=1)
    known = plain.value_mask[:, 0]
    expected[~known] = expected[known].mean()
    found = loss(learner.net, plain, device)
    assert found.errors is not None
    np.testing.assert_allclose(found.errors, expected, rtol=1e-4, atol=1e-5)
    weight = np.random.default_rng(0).random(64).astype(np.float32)
    single = [np.zeros(64, np.float32) for _ in range(64)]
    for i in range(64):
        single[i][i] = 64.0
    losses = [float(loss(learner.net, replace(plain, weight=one), device).total.detach()) for one in single]
    weighted = loss(learner.net, replace(plain, weight=weight), device)
    assert float(weighted.total.detach()) == pytest.approx(float(np.mean(weight * losses)), rel=1e-4)
    uniform = loss(learner.net, replace(plain, weight=None), device)
    assert uniform.errors is None and float(uniform.total.detach()) == pytest.approx(np.mean(losses), rel=1e-4)


# Memory, and work for a step.


def test_memory_is_flat_and_steps_stay_as_cheap_while_the_replay_turns_over_three_times() -> None:
    """The same objects and bytes, and the same number of calls for a step, whatever has gone through the replay."""
    options = ("--replay.capacity", "120", "--replay.window_start", "120", "--muzero.priority_exponent", "1")
    algorithm = algorithm_of(*GAMES["two players"], *options, "--muzero.reanalyse_share", "0.1")
    learner, records, rng = learner_of(algorithm), games_of(algorithm, 12), np.random.default_rng(0)
    replay, batch_size, calls = algorithm.make_replay(), 8, 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    def turn_over() -> None:
        end = replay.total + replay.capacity
        while replay.total < end:
            for record in records:
                replay.add(record)
            batch = replay.sample(batch_size, rng)
            result = learner.step(batch, 0.0)
            replay.learned(batch, result.errors, 0.0)

    def measured() -> tuple[int, int, int]:
        nonlocal calls
        calls = 0
        sys.setprofile(counted)
        try:
            for record in records:
                replay.add(record)
            replay.learned(replay.sample(batch_size, rng), np.ones(batch_size), 0.0)
        finally:
            sys.setprofile(None)
        gc.collect()
        return replay.nbytes, len(gc.get_objects()), calls

    turn_over()
    turn_over()
    measured()
    first = measured()
    found = []
    for _ in range(3):
        turn_over()
        found.append(measured())
    for nbytes, objects, made in found:
        assert nbytes == first[0]
        assert abs(objects - first[1]) < 200, "a game that stays is some objects; three turnovers are hundreds of games"
        assert made == first[2]
    assert replay.total > 5 * replay.capacity and len(replay) == replay.capacity


# Runs.

RUN = (
    *("--algorithm", "muzero", "--muzero.unroll_steps", "3", "--muzero.inner_actions", "5", "--budget.steps", "13"),
    *("--checkpoint.every_steps", "5", "--replay.sample_reuse", "1", "--learner.root_value_share", "0.5"),
    *("--muzero.reanalyse_share", "0.4", "--muzero.priority_exponent", "0.8", "--muzero.importance_exponent", "0.5"),
    *("--replay.capacity", "150", "--replay.window_start", "100", "--learner.dtype", "float32"),
)


def test_a_run_in_parts_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """With searches again and priorities, in a replay that is overwritten on the way."""
    config = tiny_config(tmp_path, *RUN)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    selfplay.train(config, whole, Watcher())
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == 8 else None)
    assert selfplay.train(config, parts, stop).version == 8
    assert selfplay.resume(parts, display=Watcher()).version == 13
    assert_equal_runs(parts, whole)
    saved = checkpoint.load(RunFolder.open(whole).checkpoints)
    assert saved.learner["algorithm.priorities"].shape == (150,), "rows that are kept"
    assert len(np.unique(saved.learner["algorithm.priorities"].numpy())) > 20
    rows = list(read_metrics(whole / "metrics.jsonl"))
    assert not unknown_names({name for row in rows for name in row})
    assert math.isfinite(rows[-1]["train/reanalysis_change"]) and rows[-1]["train/reanalysis_change"] > 0
