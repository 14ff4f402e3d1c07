"""Every supported game from end to end: self-play with search, replay, one step of the learner."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from games_helpers import shipped_names

import games
from games import CHANCE, TERMINAL, Game
from games.base import NO_CELL
from games.random_play import begin_games, draw_outcomes, random_actions
from nets import NetConfig, PolicyValueNet
from search import SearchConfig
from selfplay.algorithms import alphazero, networks
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.models import network_models
from selfplay.config.run import ActorsConfig, Config, LearnerConfig, ReplayConfig
from selfplay.experience.record_faults import record_of_game
from selfplay.experience.records import NO_ACTION, Ending, GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import TargetSettings, targets_of
from selfplay.replay.positions import PositionReplay
from selfplay.storage import shards
from selfplay.storage.run_folder import RunFolder
from selfplay.training.run_state import save_games

NAMES = shipped_names()
HERE = np.zeros(1, np.int64)

LONGEST = 6
"""Moves after which a game is cut off; most are over much later."""

SMALL = NetConfig(channels=4, blocks=1, hidden=16, layers=1, policy_channels=2, value_channels=2, value_hidden=8)


def config_for(name: str, rule: str) -> Config:
    return Config(
        game=name,
        search=SearchConfig(rule=rule, num_simulations=4, cache_megabytes=1),
        net=SMALL,
        actors=ActorsConfig(games_per_actor=2, max_plies=LONGEST, opening_plies=2),
        learner=LearnerConfig(batch_size=8, device="cpu", td_steps=2),
        replay=ReplayConfig(capacity=100),
    )


def play(config: Config, game: Game, net: PolicyValueNet) -> list[GameRecord]:
    """Two games with the network itself at the leaves."""

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            logits, value = net(torch.from_numpy(observations))
        return logits.numpy(), value.numpy()

    models = network_models(game, predict, config.search.cache_megabytes)
    rng = np.random.default_rng(0)
    collector = SelfPlay(game, models, config.search, config.actors, rng, endless=False)
    records = []
    while not collector.done:
        records += collector.collect()
    return records


@cache
def played(name: str) -> tuple[Config, Game, PolicyValueNet, list[GameRecord]]:
    """Two recorded games, and what played them."""
    config = config_for(name, rule="gumbel" if NAMES.index(name) % 2 else "puct")
    game = games.load(name)
    net = networks.make_net(config, game).eval()
    return config, game, net, play(config, game, net)


@pytest.mark.parametrize("name", NAMES)
def test_every_game_is_played_and_learned(name: str) -> None:
    config, game, net, records = played(name)
    assert len(records) == 2
    assert all(1 <= len(record) <= LONGEST for record in records)
    settings = TargetSettings.of(config, game)
    assert all(np.isfinite(targets_of(record, settings).value).all() for record in records)

    replay = PositionReplay(config.replay, game.num_actions, game.symmetries(), settings)
    for record in records:
        replay.add(record)
    learner = Learner(net, config.learner, alphazero.make_loss(config, game))
    before = learner.raw_weights()
    terms = learner.step(replay.sample(config.learner.batch_size, np.random.default_rng(1)), 0.0).terms
    assert terms and all(np.isfinite(value) for value in terms.values())
    assert terms["policy_entropy"] >= 0 and terms["policy_kl"] >= -1e-6
    after = learner.raw_weights()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_game_on_disk_is_played_again_as_it_was(name: str, tmp_path: Path) -> None:
    """Opening, moves and chance give the recorded observations, movers, legal actions and rewards, and the same end."""
    _, game, _, records = played(name)
    with RunFolder.create(tmp_path / "run", "run") as folder:
        save_games(folder, records)
        rows = shards.read_shard(folder.games, 0)
    assert len(rows) == len(records)
    for row in rows:
        record = record_of_game(row, game)
        assert isinstance(record, GameRecord)
        pool, (opening, *turns) = game.new_pool(1), record.history()
        pool.reset(HERE)
        for action in opening:
            pool.step(HERE, np.array([action]), HERE)
        for t, turn in enumerate(turns):
            observed = np.empty((1, *game.observation_shape), np.float32)
            pool.observe(HERE, observed)
            np.testing.assert_array_equal(observed[0], record.observation[t])
            assert pool.to_play(HERE)[0] == record.to_play[t]
            legal = record.legal_actions[t]
            assert pool.legal(HERE)[1].tolist() == legal[legal != NO_ACTION].tolist()
            reward = np.zeros(game.num_players)
            for action in turn:
                reward += pool.step(HERE, np.array([action]), HERE)[1][0]
            np.testing.assert_array_equal(reward, record.reward[t])
        to_play = int(pool.to_play(HERE)[0])
        if record.ending == Ending.OVER:
            assert to_play == TERMINAL and len(record.final_to_play) == 0
        else:
            assert len(record) == LONGEST and record.final_to_play.tolist() == [to_play]
            pool.observe(HERE, observed)
            np.testing.assert_array_equal(observed, record.final_observation)
            assert pool.legal(HERE)[1].tolist() == record.final_legal_actions.tolist()
        judged = game.judge(pool, HERE) if record.ending == Ending.JUDGED else np.zeros((1, game.num_players))
        np.testing.assert_array_equal(record.judge_reward, judged[0])


def actions_on_a_board(game: Game) -> None:
    """Every action has a place of its own, on the board that the observation shows, or none."""
    planes = game.action_planes
    assert planes is not None and planes.size == tuple(game.observation_shape[1:])
    assert len(planes.plane) == len(planes.cell) == game.num_actions
    placed = planes.plane >= 0
    np.testing.assert_array_equal(placed, planes.cell >= 0)
    assert (planes.plane[~placed] == NO_CELL).all() and (planes.cell[~placed] == NO_CELL).all()
    assert planes.plane.max() < planes.num_planes and planes.cell.max() < np.prod(planes.size)
    assert len(set(zip(planes.plane[placed], planes.cell[placed], strict=True))) == placed.sum()


@pytest.mark.parametrize("name", NAMES)
def test_what_every_game_says_besides_its_rules_is_true(name: str) -> None:
    """Actions on the board, candidates, labels and scores in positions of random games, ends among them."""
    game, rng = games.load(name), np.random.default_rng(5)
    if game.action_planes is not None:
        actions_on_a_board(game)
    if game.plane_scaling is not None:
        assert [scale.shape for scale in game.plane_scaling] == [game.observation_shape[:1]] * 2
    pool, slots = game.new_pool(3), np.arange(3)
    begin_games(pool, slots, 0, rng)
    for _ in range(min(game.most_plies, 150)):
        to_play = pool.to_play(slots)
        if game.final_label_shape is not None:
            labels = np.full((len(slots), *game.final_label_shape), 9, np.int8)
            pool.final_labels(slots, labels)
            assert set(np.unique(labels)) <= {-1, 0, 1}
        if game.largest_score > 0:
            scores = pool.final_scores(slots)
            assert scores.shape == slots.shape and (np.abs(scores) <= game.largest_score).all()
        moving = slots[(to_play >= 0) & ~pool.cut_off(slots)]
        if not len(moving):
            break
        legal = compressed_rows(*pool.legal(moving))
        looked_at = compressed_rows(*pool.candidates(moving))
        assert all(
            set(some) <= set(every) and some == sorted(some) for some, every in zip(looked_at, legal, strict=True)
        )
        assert all(looked_at)
        if game.pass_action is not None:
            assert 0 <= game.pass_action < game.num_actions
        pool.step(moving, random_actions(pool, moving, rng), moving)
        while (chance := moving[pool.to_play(moving) == CHANCE]).size:
            pool.step(chance, draw_outcomes(pool, chance, [rng] * len(chance)), chance)


def compressed_rows(offsets: np.ndarray, flat: np.ndarray) -> list[list[int]]:
    return [flat[start:end].tolist() for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
