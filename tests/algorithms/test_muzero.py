"""MuZero as an algorithm: its loss number by number, a game learned by heart, runs that play and go on."""

from __future__ import annotations

import io
import math
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from race_game import RaceGame
from record_helpers import played_game
from run_helpers import Watcher, tiny_config

import games
import selfplay
from games import Game
from nets import NetConfig
from nets.supports import two_hot
from nets.world_model import WorldModel, build_world_model
from selfplay import cli
from selfplay.algorithms.muzero import takes_turns, world_sizes
from selfplay.algorithms.registry import load_algorithm
from selfplay.algorithms.world_learner import WorldLearner
from selfplay.config.reader import load
from selfplay.config.run import Config, ReplayConfig
from selfplay.engines.lines import LineQueue
from selfplay.errors import UserError
from selfplay.experience.records import Ending, GameRecord
from selfplay.experience.targets import TargetSettings
from selfplay.players.thinking import Limits, line_texts, make_thinker
from selfplay.players.trained import discount_of
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.replay.unroll import UnrolledBatch, unrolled
from selfplay.servers.gtp_server import GtpServer
from selfplay.storage import checkpoint, shards
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.storage.run_folder import RunFolder
from selfplay.training.checks import check

NET = NetConfig(kind="mlp", hidden=32, layers=1, batch_norm=False)


def config_of(*options: str, net: NetConfig = NET) -> Config:
    given = ["--algorithm", "muzero", "--game", "tic_tac_toe", "--learner.device", "cpu", "--learner.dtype", "float32"]
    return replace(load(Config, None, [*given, *options]), net=net)


def learner_of(config: Config, game: Game) -> WorldLearner:
    return WorldLearner(build_world_model(config.net, world_sizes(config, game)), config, game)


def replay_of(config: Config, game: Game, *records: GameRecord) -> PositionReplay:
    settings = TargetSettings.of(config, game)
    steps = config.muzero.unroll_steps + (config.learner.td_steps if game.has_rewards else 0)
    replay = PositionReplay(ReplayConfig(), game.num_actions, [], settings, steps)
    for record in records:
        replay.add(record)
    return replay


def some_game(game: Game, moves: list[int], seed: int = 0, **given: Any) -> GameRecord:
    rng = np.random.default_rng(seed)
    return played_game(game, moves, [rng.random(game.num_actions) ** 3 for _ in moves], **given)


LONG = [1, 0, 2, 0, 1]
"""Moves of a `RaceGame`: totals 2, 3, 6, 7, 9; with extra turns, the second player makes the three in the middle."""


# Players who take turns.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tic_tac_toe", True),
        ("connect_four", True),
        ("othello", True),  # a pass is a move
        ("pig(winscore=15)", False),
        ("dots_and_boxes(num_rows=2,num_cols=2)", False),
        ("2048", True),
    ],
)
def test_games_in_which_players_take_turns_are_found_by_playing(name: str, expected: bool) -> None:
    game = games.load(name)
    assert takes_turns(game) == expected
    assert world_sizes(config_of(), game).num_seats == (0 if expected else game.num_players)


@pytest.mark.parametrize("extra_turns", [False, True])
@pytest.mark.parametrize("players", [2, 3])
def test_one_turn_out_of_order_is_seen(players: int, extra_turns: bool) -> None:
    assert takes_turns(RaceGame(players, False, extra_turns)) != extra_turns


# The loss, number by number.


def slow_loss(net: WorldModel, config: Config, batch: UnrolledBatch) -> dict[str, float]:
    """Equation 1 of the paper for each sample and depth, from the outputs of the network."""
    steps, support = config.muzero.unroll_steps, net.sizes.support
    with torch.no_grad():
        outputs = net.unroll(torch.from_numpy(batch.observation), torch.from_numpy(batch.action))

    def error(output: torch.Tensor, target: np.ndarray) -> float:
        numbers, players = torch.from_numpy(target), len(target)
        if not support:
            return float(sum((math.tanh(float(output[j])) - float(numbers[j])) ** 2 for j in range(players)) / players)
        per_player = output.view(players, 2 * support + 1)
        cross = [-(two_hot(numbers[j], support) * torch.log_softmax(per_player[j], -1)).sum() for j in range(players)]
        return float(sum(cross) / players)

    sums = dict.fromkeys(("policy_loss", "value_loss", "reward_loss", "seat_loss"), 0.0)
    for i in range(len(batch)):
        for k in range(steps + 1):
            scale = (1.0 if k == 0 else 1.0 / steps) / len(batch)
            if batch.policy_mask[i, k]:
                log_policy = torch.log_softmax(outputs.policy_logits[i, k], -1).numpy()
                sums["policy_loss"] -= scale * float((batch.policy_target[i, k] * log_policy).sum())
            if batch.value_mask[i, k]:
                sums["value_loss"] += scale * error(outputs.value_output[i, k], batch.value_target[i, k])
            if k and outputs.reward_output is not None and batch.reward_mask[i, k - 1]:
                sums["reward_loss"] += scale * error(outputs.reward_output[i, k - 1], batch.reward_target[i, k - 1])
            if k and outputs.seat_logits is not None and batch.turns_mask[i, k - 1]:
                log_seats = torch.log_softmax(outputs.seat_logits[i, k - 1], -1)
                sums["seat_loss"] -= scale * float(log_seats[int(batch.turns[i, k - 1])])
    return sums


LOSS_GAMES = [
    pytest.param(RaceGame(2, False), id="result"),
    pytest.param(RaceGame(2, False, extra_turns=True), id="extra turns"),
    pytest.param(RaceGame(3, False, extra_turns=True), id="three players"),
    pytest.param(RaceGame(1, True), id="rewards"),
    pytest.param(RaceGame(3, True, extra_turns=True), id="rewards of three players"),
]


def made_batch(config: Config, game: Game, size: int = 12) -> UnrolledBatch:
    """Samples of a game that is over, of one that was cut off, and of one with fast searches."""
    endings = [some_game(game, LONG), some_game(game, LONG, 1, ending=Ending.CUT_OFF)]
    fast = some_game(game, LONG, 2, is_chosen=np.array([True, False, True, False, True]))
    batch = replay_of(config, game, *endings, fast).sample(size, np.random.default_rng(1))
    settings, given = config.muzero.unroll_steps, config.learner.td_steps if game.has_rewards else 0
    found = unrolled(batch, settings, game.num_players, game.has_rewards, given, 0.9, np.random.default_rng(2))
    assert not found.policy_mask.all() and not found.value_mask.all() and not found.turns_mask.all()
    return replace(found, bootstrap=None)


@pytest.mark.parametrize("game", LOSS_GAMES)
def test_the_loss_is_that_of_the_paper(game: Game) -> None:
    config = config_of("--muzero.unroll_steps", "4", "--learner.td_steps", "2", "--learner.value_weight", "0.25")
    learner, batch = learner_of(config, game), made_batch(config, game)
    net = learner.net
    assert isinstance(net, WorldModel)
    loss, expected = learner.loss(net, batch, torch.device("cpu")), slow_loss(net, config, batch)
    for name, number in expected.items():
        if number == 0.0:
            assert name not in loss.terms
        else:
            assert float(loss.terms[name]) == pytest.approx(number, rel=1e-4), name
    total = expected["policy_loss"] + 0.25 * expected["value_loss"] + expected["reward_loss"] + expected["seat_loss"]
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-4)
    assert (expected["reward_loss"] > 0) == game.has_rewards and (expected["seat_loss"] > 0) == game.extra_turns


def gradient(learner: WorldLearner, batch: UnrolledBatch) -> torch.Tensor:
    learner.net.zero_grad(set_to_none=True)
    learner.loss(learner.net, batch, torch.device("cpu")).total.backward()
    return torch.cat([p.grad.flatten() for p in learner.net.parameters() if p.grad is not None])


@pytest.mark.parametrize("game", LOSS_GAMES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_what_is_masked_teaches_nothing(game: Game, batch_norm: bool) -> None:
    """Whatever stands where nothing is known: neither gradient nor statistics of batch normalisation see it."""
    options = ("--muzero.unroll_steps", "4", "--learner.td_steps", "2", "--muzero.consistency_weight", "2")
    config = config_of(*options, net=replace(NET, batch_norm=batch_norm))
    batch = made_batch(config, game)
    rng, other = np.random.default_rng(5), {}
    for name, mask in (
        ("policy_target", batch.policy_mask),
        ("value_target", batch.value_mask),
        ("reward_target", batch.reward_mask),
        ("following", batch.exists),
    ):
        array = getattr(batch, name)
        noise = rng.uniform(0, 1, size=array.shape).astype(np.float32)
        other[name] = np.where(mask.reshape(*mask.shape, *(1,) * (array.ndim - 2)), array, noise)
    first, second = (learner_of(config, game) for _ in range(2))
    one, two = gradient(first, batch), gradient(second, replace(batch, **other))
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)
    for name, tensor in first.net.state_dict().items():
        torch.testing.assert_close(second.net.state_dict()[name], tensor, msg=name)


def test_a_step_updates_the_statistics_of_batch_normalisation_once() -> None:
    """By the sampled observations: those that the consistency loss looks at leave them alone, with all its effect."""
    found = []
    for weight in ("0", "2"):
        config = config_of("--muzero.unroll_steps", "4", "--muzero.consistency_weight", weight)
        config = replace(config, net=replace(NET, batch_norm=True))
        game = RaceGame(2, False)
        learner = learner_of(config, game)
        terms = learner.step(replay_of(config, game, some_game(game, LONG)).sample(8, np.random.default_rng(0)), 0.0)
        assert ("consistency_loss" in terms.terms) == (weight == "2")
        found.append({name: buffer.clone() for name, buffer in learner.net.named_buffers() if "norm" in name})
    counts = [int(buffer) for name, buffer in found[1].items() if name.endswith("num_batches_tracked")]
    assert counts and set(counts) == {1}
    for name, buffer in found[0].items():
        assert torch.equal(found[1][name], buffer), name


def test_illegal_moves_are_unlearned() -> None:
    """The policy loss is over all actions: nothing else says below the root that one of them is illegal."""
    config, game = config_of("--muzero.unroll_steps", "2"), RaceGame(2, False)
    learner, batch = learner_of(config, game), made_batch(config, game)
    net = learner.net
    assert isinstance(net, WorldModel)
    with torch.no_grad():
        logits = net.unroll(torch.from_numpy(batch.observation), torch.from_numpy(batch.action)).policy_logits
    shares, legal = torch.softmax(logits, dim=-1).numpy(), batch.legal_mask
    terms = learner.loss(net, batch, torch.device("cpu")).terms
    for name, k in (("first", 0), ("last", 2)):
        known = [i for i in range(len(batch)) if legal[i, k].any()]
        expected = np.mean([shares[i, k][~legal[i, k]].sum() for i in known])
        assert 0.1 < expected < 0.4 and float(terms[f"illegal_share_{name}"]) == pytest.approx(expected, rel=1e-4)


def test_what_does_not_fit_the_support_is_counted() -> None:
    config, game = config_of("--muzero.unroll_steps", "4", "--muzero.support", "1"), RaceGame(1, True)
    learner, batch = learner_of(config, game), made_batch(config, game)
    most = 3.0  # h(3) = 1.003
    value = np.where(np.arange(5) < 2, most, 0.5)[None, :, None] * np.ones((12, 1, 1))
    batch = replace(batch, value_target=value.astype(np.float32))
    terms = learner.loss(learner.net, batch, torch.device("cpu")).terms
    counted = batch.value_mask[:, :2].sum() / batch.value_mask.sum()
    assert counted != 2 / 5, "targets behind a cut do not count"
    assert float(terms["support_clipped"]) == pytest.approx(counted)


@pytest.mark.parametrize("most", [400.0, 440.0, -440.0])
def test_returns_beyond_the_support_are_said(most: float) -> None:
    """2048 pays thousands; a support of 20 holds 422, and nobody said so."""
    config, game = config_of("--muzero.support", "20", "--learner.td_steps", "2"), RaceGame(1, True)
    learner, replay = learner_of(config, game), replay_of(config, game, some_game(game, LONG))
    record = some_game(game, LONG, reward=np.full((len(LONG), 1), most / len(LONG)))
    learner.observe(record)
    remarks = learner.step(replay.sample(8, np.random.default_rng(0)), 0.0).remarks
    if abs(most) < 422:
        assert remarks == ()
    else:
        assert remarks[0].startswith("muzero.support: 20 holds returns up to 422, ") and len(remarks) == 1


def test_a_target_that_is_no_number_is_a_step_that_is_left_out() -> None:
    config, game = config_of("--muzero.unroll_steps", "2"), RaceGame(1, True)
    learner, replay = learner_of(config, game), replay_of(config, game, some_game(game, LONG))
    batch = replay.sample(8, np.random.default_rng(0))
    before = learner.raw_weights()
    bad = replace(batch, value_target=np.full_like(batch.value_target, np.nan))
    assert learner.step(bad, 0.0).is_left_out and learner.bad_steps == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.raw_weights().items())
    assert not learner.step(batch, 0.0).is_left_out


# Values behind n-step returns.


def learned_values(learner: WorldLearner, batch: Batch) -> np.ndarray:
    """The value targets of a step [B, K+1, V]."""
    seen: list[UnrolledBatch] = []
    original: Callable[..., Any] = learner.loss

    def spy(net: Any, sample: UnrolledBatch, device: torch.device) -> Any:
        seen.append(sample)
        return original(net, sample, device)

    learner.loss = spy
    learner.step(batch, 0.0)
    learner.loss = original
    return seen[0].value_target


def averages_apart(learner: WorldLearner) -> WorldModel:
    """Give the averaged weights numbers of their own; returns a network with them, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for tensor in learner.average.values():
        if tensor.is_floating_point():
            tensor += 0.1 * torch.rand(tensor.shape, generator=generator)
    net = learner.net
    assert isinstance(net, WorldModel)
    twin = build_world_model(net.config, net.sizes).eval()
    twin.load_state_dict(learner.average)
    return twin


@pytest.mark.parametrize("batch_norm", [False, True])
def test_at_a_limit_the_value_goes_on_and_at_a_fall_it_is_0(batch_norm: bool) -> None:
    """Of five moves; n = 2. The averaged network says what the last position of a game that was cut off is worth."""
    options = ("--muzero.unroll_steps", "4", "--learner.td_steps", "2", "--search.discount", "0.5")
    config, game = config_of(*options, net=replace(NET, batch_norm=batch_norm)), RaceGame(1, True)
    for ending in (Ending.OVER, Ending.CUT_OFF):
        record = some_game(game, LONG, ending=ending)
        learner = learner_of(config, game)
        twin = averages_apart(learner)
        with torch.no_grad():
            v = twin.initial(torch.from_numpy(record.observation)).value[:, 0].numpy()
        r = record.reward[:, 0]
        batch = replay_of(config, game, record).sample(64, np.random.default_rng(0))
        found = learned_values(learner, batch)[batch.version.tolist().index(0), :, 0]
        steps = [r[k] + r[k + 1] / 2 + v[k + 2] / 4 for k in range(3)]
        if ending == Ending.OVER:
            expected = [*steps, r[3] + r[4] / 2, r[4]]
        else:
            expected = [*steps, r[3] + v[4] / 2]
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)
        assert learner.net.training, "the learner goes on in training mode"


@pytest.mark.parametrize("game", [RaceGame(2, True, extra_turns=True), RaceGame(3, True, extra_turns=True)])
def test_values_behind_are_turned_to_the_player_who_moves_first(game: Game) -> None:
    options = ("--muzero.unroll_steps", "3", "--learner.td_steps", "2", "--search.discount", "0.5")
    config, record = config_of(*options), some_game(game, LONG)
    learner, players = learner_of(config, game), game.num_players
    twin = averages_apart(learner)
    with torch.no_grad():
        said = twin.initial(torch.from_numpy(record.observation)).value.numpy()
    batch = replay_of(config, game, record).sample(64, np.random.default_rng(0))
    found = learned_values(learner, batch)
    for i, start in enumerate(batch.version.tolist()):
        for k in range(min(4, 5 - start)):
            at = start + k
            if at + 2 >= 5:
                continue
            mover, later = int(record.to_play[at]), int(record.to_play[at + 2])
            for j in range(found.shape[2]):
                player = (mover + j) % players
                paid = record.reward[at, player] + record.reward[at + 1, player] / 2
                if players == 2:
                    value = said[at + 2, 0] * (1 if later == player else -1)
                else:
                    value = said[at + 2, (player - later) % players]
                assert found[i, k, j] == pytest.approx(paid + value / 4, rel=1e-4, abs=1e-4)


# Learned by heart.


def by_heart(game: Game, config: Config, steps: int = 500) -> tuple[WorldLearner, UnrolledBatch, dict[str, float]]:
    """A learner after some steps on one game, a batch of it, and what the losses of that batch are at least."""
    learner, replay = learner_of(config, game), replay_of(config, game, some_game(game, LONG))
    rng = np.random.default_rng(3)
    for _ in range(steps):
        assert not learner.step(replay.sample(32, rng), 0.0).is_left_out
    given = config.learner.td_steps if game.has_rewards else 0
    settings = config.muzero.unroll_steps
    discount = config.search.discount
    batch = unrolled(replay.sample(64, rng), settings, game.num_players, game.has_rewards, given, discount, rng)
    scale = np.array([1.0] + [1.0 / settings] * settings)
    target = np.where(batch.policy_mask[..., None], batch.policy_target, 0.0)
    entropies = -(target * np.log(np.where(target > 0, target, 1.0))).sum(axis=-1)
    return learner, batch, {"policy_loss": float((entropies * scale).sum(axis=1).mean())}


def said_of(learner: WorldLearner, batch: UnrolledBatch) -> tuple[np.ndarray, Any]:
    net = learner.net.eval()
    assert isinstance(net, WorldModel)
    with torch.no_grad():
        outputs = net.unroll(torch.from_numpy(batch.observation), torch.from_numpy(batch.action))
        values = net.number(outputs.value_output.flatten(0, 1)).unflatten(0, outputs.value_output.shape[:2])
    return values.numpy(), outputs


FAST = ("--learner.learning_rate", "5e-3", "--learner.schedule", "linear", "--learner.warmup_steps", "10")


def test_a_game_with_a_result_is_learned_by_heart() -> None:
    """All of it: policies, who moves, and the result five moves on, most of the time behind the end."""
    game = RaceGame(2, False, extra_turns=True)
    learner, batch, least = by_heart(game, config_of(*FAST, "--learner.weight_decay", "0"))
    values, outputs = said_of(learner, batch)
    loss = learner.loss(learner.net, replace(batch, bootstrap=None), torch.device("cpu"))
    assert least["policy_loss"] > 0.5
    assert least["policy_loss"] <= float(loss.terms["policy_loss"]) + 1e-5 < least["policy_loss"] + 0.02
    assert np.abs(values - batch.value_target).max() < 0.05 and batch.value_mask.all()
    assert float(loss.terms["illegal_share_last"]) < 0.02 and float(loss.terms["illegal_share_first"]) < 0.02
    assert (outputs.seat_logits.argmax(dim=-1).numpy() == batch.turns).all(), "behind the end too"


def test_an_episode_with_rewards_is_learned_by_heart() -> None:
    """Values of two-step returns come to be those of the whole: the network is asked for what is behind."""
    game = RaceGame(1, True)
    options = ("--learner.td_steps", "2", "--search.discount", "0.9", "--muzero.support", "4")
    config = config_of(*FAST, *options, "--learner.ema_decay", "0.9", "--learner.weight_decay", "0")
    learner, batch, least = by_heart(game, config)
    values, outputs = said_of(learner, batch)
    record = some_game(game, LONG)
    returns = [sum(0.9 ** (i - t) * record.reward[i, 0] for i in range(t, 5)) for t in range(5)] + [0.0] * 5
    for i, start in enumerate(batch.version.tolist()):
        np.testing.assert_allclose(values[i, :, 0], returns[start : start + 6], atol=0.1)
        assert abs(values[i, 5, 0] - returns[start + 5]) < 0.05
    net = learner.net
    assert isinstance(net, WorldModel)
    rewards = net.number(outputs.reward_output.flatten(0, 1)).detach().view(*batch.reward_target.shape)
    np.testing.assert_allclose(rewards.numpy(), batch.reward_target, atol=0.1)
    loss = learner.loss(net, replace(batch, bootstrap=None), torch.device("cpu"))
    assert float(loss.terms["policy_loss"]) < least["policy_loss"] + 0.02


# Settings.

MUZERO = ("--algorithm", "muzero", "--muzero.unroll_steps", "3", "--muzero.inner_actions", "5")

REFUSED = [
    (("--search.proven_values",), r"search\.proven_values: the model of .* does not know where a game ends; use false"),
    (
        ("--search.rule", "puct", "--search.subtree_reuse"),
        r"search\.subtree_reuse: the model of .* keeps no real positions; use false",
    ),
    (("--search.discount", "0.9"), r"search\.discount: tic_tac_toe .*; use 1"),
    (("--search.rule", "uct"), r"search\.rule: uct .*; use puct or gumbel"),
    (("--actors.symmetries", "random"), r"actors\.symmetries: .*; use none"),
    (("--actors.symmetries", "mean"), r"actors\.symmetries: .*; use none"),
    (("--evaluation.symmetries",), r"evaluation\.symmetries: .*; use false"),
    (("--net.kind", "mlp", "--actors.dtype", "int8"), r"actors\.dtype: .*int8 .*; use auto"),
    (("--net.kind", "table"), r"net: .*"),
    (("--net.layers", "0"), r"net: .* layers 1 or more"),
    (("--net.input_transform", "pixels"), r"net\.input_transform: pixels .*; use none"),
    (("--net.reply_head",), r"net\.reply_head: .*; use false"),
    (("--net.moves_left_head",), r"net\.moves_left_head: .*; use false"),
    (("--net.separate_value",), r"net\.separate_value: .*; use false"),
    (("--net.policy", "gaussian"), r"net.*"),
    (("--net.kind", "nature"), r"net\.kind: nature needs a screen .*; use auto or mlp"),
    (("--net.value_transform", "signed_sqrt"), r"net\.value_transform: .*; use none"),
    (
        ("--game", "2048", "--learner.td_steps", "5", "--learner.root_value_share", "0.5"),
        r"learner\.root_value_share: .*",
    ),
    (("--learner.policy_gradient_weight", "1"), r"learner\.policy_gradient_weight: .*; use 0"),
    (("--learner.batch_size", "0"), r"learner\.batch_size: 0 .*"),
    (("--learner.dtype", "float64"), r"learner\.dtype: .*; use float32"),
    (("--muzero.unroll_steps", "0"), r"--muzero\.unroll_steps: 0 is out of range; .*"),
    (("--muzero.support", "0"), r"--muzero\.support: 0 is out of range; .*"),
    (("--muzero.inner_actions", "0"), r"--muzero\.inner_actions: 0 is out of range; .*"),
]


@pytest.mark.parametrize(("options", "line"), REFUSED)
def test_settings_that_a_learned_model_has_no_use_for_are_one_line(
    tmp_path: Path, options: tuple[str, ...], line: str
) -> None:
    with pytest.raises(UserError) as refused:
        selfplay.train(tiny_config(tmp_path, *MUZERO, "--budget.steps", "3", *options), tmp_path / "run", Watcher())
    text = str(refused.value)
    assert "\n" not in text and len(text) < 300
    assert re.match(line, text), text
    assert not (tmp_path / "run").exists()


def test_memory_is_asked_for_latents_and_for_what_follows_a_sample() -> None:
    few = ("--actors.num_actors", "2", "--actors.games_per_actor", "4", "--search.num_simulations", "10")
    options = (*few, "--learner.batch_size", "32", "--muzero.unroll_steps", "3", "--learner.td_steps", "7")
    board = NetConfig(kind="resnet", channels=8, blocks=1)
    observation = 5 * 3 * 3
    for dtype, number_bytes in (("float32", 4), ("auto", 1)):
        needs = load_algorithm(config_of(*options, "--actors.dtype", dtype, net=board)).needs
        found = {need.what: need.bytes for need in needs.memory}
        assert found["latents of 8 searches"] == 8 * 10 * 8 * 3 * 3 * number_bytes
        assert found["32 samples with 3 moves each"] == 32 * (3 + 4 * (1 + 3)) * observation  # no rewards: no returns


def test_positions_that_follow_stay_in_bytes_until_they_are_learned_from() -> None:
    game, config = RaceGame(2, True), config_of("--learner.td_steps", "2", "--muzero.unroll_steps", "3")
    record = some_game(game, LONG)
    seen = np.random.default_rng(0).integers(0, 256, record.observation.shape, dtype=np.uint8)
    found = []
    for observation in (seen, seen.astype(np.float32)):
        replay = replay_of(config, game, replace(record, observation=observation))
        batch = replay.sample(8, np.random.default_rng(1))
        assert batch.following is not None and batch.following.observation.dtype == observation.dtype
        found.append(unrolled(batch, 3, 2, True, 2, 1.0, np.random.default_rng(2)))
    in_bytes, in_floats = found
    assert in_bytes.bootstrap is not None and in_floats.bootstrap is not None
    assert in_bytes.following.dtype == in_bytes.bootstrap.observation.dtype == np.float32
    np.testing.assert_array_equal(in_bytes.following, in_floats.following)
    np.testing.assert_array_equal(in_bytes.bootstrap.observation, in_floats.bootstrap.observation)


def test_the_discount_of_a_run_is_that_of_its_search() -> None:
    given = ("--search.discount", "0.95", "--rewards.discount", "0.9")
    assert discount_of(config_of(*given)) == 0.95
    assert discount_of(replace(config_of(*given), algorithm="dqn")) == 0.9


def test_the_settings_of_these_tests_are_not_refused(tmp_path: Path) -> None:
    check(tiny_config(tmp_path, *MUZERO, "--budget.steps", "3"))
    check(
        tiny_config(tmp_path, *MUZERO, "--budget.steps", "3", "--game", "pig(winscore=15)", "--learner.td_steps", "3")
    )


# Runs.

STEPS = 17
EXACT = (*MUZERO, "--budget.steps", str(STEPS), "--checkpoint.every_steps", "5", "--replay.sample_reuse", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("muzero")
    selfplay.train(tiny_config(folder, *EXACT), folder / "run", Watcher())
    return folder / "run"


def assert_equal_runs(first: Path, second: Path) -> None:
    """Weights, what the learner has gathered, counters, and every game that was played."""
    one, other = (checkpoint.load(RunFolder.open(path).checkpoints) for path in (first, second))
    for tensors, others in ((one.weights, other.weights), (one.learner, other.learner)):
        assert tensors.keys() == others.keys()
        assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    for name in one.state.keys() - {"seconds", "last_shard"}:
        assert one.state[name] == other.state[name], name
    rows = []
    for path in (first, second):
        found = shards.read_shards(RunFolder.open(path).games, None, pytest.fail)
        rows.append([row for _, games_there in sorted(found, key=lambda shard: shard[0]) for row in games_there])
    assert len(rows[0]) == len(rows[1]) > 0
    for row, same in zip(*rows, strict=True):
        np.testing.assert_array_equal(row["action"], same["action"])


def test_a_run_in_parts_equals_an_uninterrupted_one(tmp_path: Path, run: Path) -> None:
    """Stopped at a step where nothing would have been saved or published; moves behind ends are drawn again."""
    config = tiny_config(tmp_path, *EXACT)
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == 8 else None)
    assert selfplay.train(config, tmp_path / "run", stop).version == 8
    assert selfplay.resume(tmp_path / "run", display=Watcher()).version == STEPS
    assert_equal_runs(tmp_path / "run", run)
    other = tmp_path / "other"
    selfplay.train(tiny_config(tmp_path, *EXACT, "--seed", "2"), other, Watcher())
    with pytest.raises(AssertionError):
        assert_equal_runs(other, run)


def test_observations_are_normalised_by_the_moments_of_all_that_were_played(tmp_path: Path) -> None:
    """The averaged weights, which play, and the raw ones, which learn, have the same; a resumed run counts on."""
    config = tiny_config(tmp_path, *EXACT, "--net.input_transform", "running", "--net.kind", "mlp")
    selfplay.train(config, tmp_path / "run", Watcher())
    saved = checkpoint.load(RunFolder.open(tmp_path / "run").checkpoints)
    found = shards.read_shards(RunFolder.open(tmp_path / "run").games, None, pytest.fail)
    games_there = [
        row["observation"].astype(np.float64) for _, rows in sorted(found, key=itemgetter(0)) for row in rows
    ]
    seen = np.concatenate(games_there)
    assert saved.learner["algorithm.observations.count"] == len(seen) > STEPS
    np.testing.assert_allclose(saved.learner["algorithm.observations.mean"], seen.mean(axis=0))
    np.testing.assert_allclose(saved.learner["algorithm.observations.squares"] / len(seen), seen.var(axis=0))
    published = saved.weights["normaliser.mean"].numpy()  # of those that had been played by then
    earlier = [np.concatenate(games_there[:count]).mean(axis=0) for count in range(1, len(games_there) + 1)]
    assert any(np.allclose(published, mean, rtol=1e-5, atol=1e-6) for mean in earlier)
    assert torch.equal(saved.learner["raw.normaliser.mean"], saved.weights["normaliser.mean"])
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == 8 else None)
    assert selfplay.train(config, tmp_path / "parts", stop).version == 8
    assert selfplay.resume(tmp_path / "parts", display=Watcher()).version == STEPS
    assert_equal_runs(tmp_path / "parts", tmp_path / "run")


def test_a_run_learns_from_its_games_and_says_how(run: Path) -> None:
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert not unknown_names({name for row in rows for name in row})
    last = rows[-1]
    assert last["step"] == STEPS and math.isfinite(last["train/loss"])
    for name in ("policy_loss", "value_loss", "policy_loss_first", "policy_loss_last", "illegal_share_last"):
        assert math.isfinite(last[f"train/{name}"]), name
    config = selfplay.load_config(Config, RunFolder.open(run).config)
    algorithm = load_algorithm(config)
    replay = algorithm.make_replay()
    assert isinstance(replay, PositionReplay) and replay.steps == 3


def test_players_of_a_run_play_matches_with_a_search_and_without(run: Path) -> None:
    game = games.load("tic_tac_toe")
    for text in (f"run:{run}:simulations=8", f"net:{run}", f"run:{run}@{STEPS}:simulations=4,temperature=1"):
        first, second = selfplay.parse_player(text, game, 1), selfplay.parse_player("random", game, 2)
        result = selfplay.play_match(game, first, second, 8)
        assert len(result.records) == 8
        first.close()


def test_a_player_that_would_average_over_symmetries_is_refused(run: Path) -> None:
    with pytest.raises(UserError, match="symmetries: a learned model does not average over them") as refused:
        selfplay.parse_player(f"run:{run}:simulations=8,symmetries=true", games.load("tic_tac_toe"), 1)
    assert "\n" not in str(refused.value)


def test_what_a_player_expects_is_shown_as_legal_moves(run: Path) -> None:
    """A line goes through latents; what is shown is replayed by the rules."""
    game = games.load("tic_tac_toe")
    player = selfplay.parse_player(f"run:{run}:simulations=60", game, 1)
    pool, at = game.new_pool(1), np.zeros(1, np.int64)
    thinker = make_thinker(player)
    for history in ([], [4], [4, 0, 8], [0, 4, 1, 2, 6, 3, 5], [0, 4, 1, 2, 6, 3, 5, 7]):
        pool.reset(at)
        for action in history:
            pool.step(at, np.array([action]), at)
        thought = thinker.think(pool, history, Limits())
        texts = line_texts(pool, thought.line)
        legal = set(pool.legal(at)[1].tolist())
        assert {move.action for move in thought.moves} == legal and thought.action in legal
        assert thought.line[0] == thought.action and len(texts) == len(thought.line) <= 9 - len(history)
        assert len(set(thought.line)) == len(thought.line) and legal.issuperset(thought.line[:1])
        assert abs(thought.value) <= 1 and thought.num_simulations == 60
    player.close()


def test_the_command_line_evaluates_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["match", f"run:{run}:simulations=4", "random", "--games", "4", "--game", "tic_tac_toe"]) == 0
    assert "random" in capsys.readouterr().out


def test_a_run_of_go_speaks_gtp(tmp_path: Path) -> None:
    """A few moves of a game of go, the last ones on a board that the model knows little about."""
    options = (*MUZERO, "--game", "go(board_size=5)", "--budget.steps", "1", "--actors.max_plies", "12")
    selfplay.train(tiny_config(tmp_path, *options), tmp_path / "run", Watcher())
    game = games.load("go(board_size=5)")
    player = selfplay.parse_player(f"run:{tmp_path / 'run'}:simulations=8", game, 1)
    server, output = GtpServer(game, make_thinker(player)), io.StringIO()
    lines = ["boardsize 5", "genmove b", "play w C3", "genmove b", "genmove w", "quit"]
    server.serve(LineQueue(io.BytesIO("\n".join(lines).encode())), output)
    answers = [answer for answer in output.getvalue().split("\n\n") if answer]
    assert len(answers) == 6 and all(answer.startswith("=") or "illegal" in answer for answer in answers), answers
    assert re.match(r"= ([A-E][1-5]|PASS)", answers[1])
    player.close()
