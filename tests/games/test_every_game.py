"""Every supported game from end to end: self-play with search, replay, one step of the learner."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from games_helpers import shipped_names

import games
from games import Game
from nets import NetConfig, PolicyValueNet
from search import SearchConfig
from selfplay.algorithms import alphazero, networks
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.models import network_models
from selfplay.config.run import ActorsConfig, Config, LearnerConfig, ReplayConfig
from selfplay.experience.records import GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.replay.positions import Replay

NAMES = shipped_names()

LONGEST = 6
"""Moves after which a game is cut off; most are over much later."""

SMALL = NetConfig(channels=4, blocks=1, hidden=16, layers=1, policy_channels=2, value_channels=2, value_hidden=8)


def config_for(name: str, rule: str) -> Config:
    return Config(
        game=name,
        search=SearchConfig(rule=rule, num_simulations=4, cache_megabytes=1),
        net=SMALL,
        actors=ActorsConfig(games_per_actor=2, max_plies=LONGEST),
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
    generator = SelfPlay(game, models, config.search, config.actors, config.learner, rng, endless=False)
    records = []
    while not generator.done:
        records += generator.advance()
    return records


@pytest.mark.parametrize("name", NAMES)
def test_every_game_is_played_and_learned(name: str) -> None:
    config = config_for(name, rule="gumbel" if NAMES.index(name) % 2 else "puct")
    game = games.load(name)
    net = networks.make_net(config, game).eval()
    records = play(config, game, net)
    assert len(records) == 2
    assert all(1 <= len(record) <= LONGEST for record in records)
    assert all(np.isfinite(record.value_target).all() for record in records)

    replay = Replay(config.replay, game.num_actions, game.symmetries())
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
