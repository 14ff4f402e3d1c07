"""What a network's heads for learning alone say of the end of a game, when somebody asks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from engine_helpers import after
from run_helpers import Watcher, tiny_config

import games
import selfplay
from selfplay.algorithms.networks import make_net
from selfplay.players.kinds import parse_player
from selfplay.players.player import Forecast, Forecasts
from selfplay.players.thinking import Limits, make_thinker
from selfplay.players.trained import read_weights, run_config

OTHELLO = games.load("othello")

NET = ("--net.kind", "resnet", "--net.channels", "4", "--net.blocks", "1")


def make_run(folder, *options: str) -> str:
    settings = tiny_config(folder, *NET, "--game", OTHELLO.name, "--budget.steps", "1", *options)
    selfplay.train(settings, folder / "run", Watcher())
    return str(folder / "run")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """A run of Othello whose network has both heads."""
    options = ("--net.ownership_head", "true", "--net.score_head", "true")
    return make_run(tmp_path_factory.mktemp("forecast"), *options)


def test_a_forecast_is_what_the_heads_say_of_the_position(run):
    pool, slots = after(OTHELLO, (19,))
    net = make_net(run_config(run), OTHELLO).eval()
    net.load_state_dict(read_weights(run).tensors)
    observation = np.empty((1, *OTHELLO.observation_shape), OTHELLO.observation_dtype)
    pool.observe(slots, observation)
    with torch.inference_mode():
        heads = net.forward_training(torch.from_numpy(observation))[2]
    for kind in ("net", "run"):
        player = parse_player(f"{kind}:{run}", OTHELLO)
        assert isinstance(player, Forecasts)
        forecast = player.forecast(pool, 0)
        assert forecast.ownership is not None
        np.testing.assert_array_equal(forecast.ownership, heads["ownership"][0].numpy())
        assert forecast.ownership.shape == (8, 8) and np.abs(forecast.ownership).max() > 0
        assert forecast.score == pytest.approx(float(heads["score"]) * 64) and forecast.score != 0
        thought = make_thinker(player, forecasts=True).think(pool, (19,), Limits())
        assert thought.forecast.score == forecast.score
        assert make_thinker(player).think(pool, (19,), Limits()).forecast == Forecast()
        player.close()


def test_a_network_without_the_heads_knows_nothing(tmp_path):
    player = parse_player(f"run:{make_run(tmp_path)}:simulations=4", OTHELLO)
    forecast = player.forecast(after(OTHELLO, ())[0], 0)
    assert math.isnan(forecast.score) and forecast.ownership is None
    player.close()


def test_points_are_those_that_the_head_was_taught_also_with_another_komi(tmp_path):
    """A share of the largest score, which a komi is part of: 9 and 20.5 points in training, whatever is played."""
    taught, other = (games.load(f"go(board_size=3,komi={komi})") for komi in (20.5, 0.5))
    options = ("--game", taught.name, "--net.score_head", "true")
    settings = tiny_config(tmp_path, *NET, *options, "--budget.steps", "1")
    selfplay.train(settings, tmp_path / "run", Watcher())
    player = parse_player(f"net:{tmp_path / 'run'}", other)
    net = make_net(settings, taught).eval()
    net.load_state_dict(read_weights(str(tmp_path / "run")).tensors)
    pool, slots = after(other, (4,))
    observation = np.empty((1, *other.observation_shape), other.observation_dtype)
    pool.observe(slots, observation)
    with torch.inference_mode():
        score = float(net.forward_training(torch.from_numpy(observation))[2]["score"])
    assert (taught.largest_score, other.largest_score) == (29.5, 9.5)
    assert player.forecast(pool, 0).score == pytest.approx(29.5 * score) and score != 0
    player.close()
