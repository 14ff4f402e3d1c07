"""The learner: it fits, averages, schedules and clips as its settings say, and survives losses that are not finite."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import games
from nets import NetConfig
from selfplay.algorithms import alphazero, networks, precision
from selfplay.algorithms.learner import MOST_BAD_STEPS, Learner, Loss, learning_rate, make_optimizer
from selfplay.algorithms.precision import choose_device
from selfplay.config.run import Config, LearnerConfig
from selfplay.errors import UserError
from selfplay.replay.positions import Batch
from selfplay.storage.tensors import flatten_optimizer, from_bytes, to_bytes, unflatten_optimizer

PLAIN = LearnerConfig(warmup_steps=0, schedule="constant", gradient_clip=0.0, weight_decay=0.0, device="cpu")


def made_up_batch(game: games.Game, size: int) -> Batch:
    """Positions that nobody played, with targets to be learned by heart."""
    rng = np.random.default_rng(0)
    legal_mask = rng.random((size, game.num_actions)) < 0.7
    legal_mask[:, 0] = True
    policy_target = np.where(legal_mask, rng.random((size, game.num_actions)) ** 4, 0).astype(np.float32)
    policy_target /= policy_target.sum(axis=1, keepdims=True)
    return Batch(
        observation=rng.integers(0, 2, size=(size, *game.observation_shape)).astype(np.float32),
        legal_mask=legal_mask,
        policy_target=policy_target,
        value_target=rng.uniform(-0.9, 0.9, size=(size, 1)).astype(np.float32),
        outcome=np.zeros((size, 1), np.float32),
        action=np.zeros(size, np.int64),
        version=np.zeros(size, np.int64),
        reply=rng.integers(-1, game.num_actions, size=size),
        moves_left=rng.integers(1, 9, size=size).astype(np.float32),
        to_play=np.zeros(size, np.int64),
        final_labels=rng.integers(-1, 2, size=(size, *(game.final_label_shape or (0, 0)))).astype(np.float32),
        final_score=rng.uniform(-game.largest_score, game.largest_score, size=size).astype(np.float32),
    )


class Numbers(nn.Module):
    """Parameters without a network: a matrix, and a bias."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.full((2, 2), start))
        self.bias = nn.Parameter(torch.full((2,), start))
        self.register_buffer("counter", torch.zeros((), dtype=torch.int64))


def number_learner(config: LearnerConfig, gradient: float = 1.0, start: float = 0.0) -> Learner:
    """A learner whose loss has the same derivative with respect to each of the six parameters."""

    def loss(net, batch, device):
        total = gradient * (net.matrix.sum() + net.bias.sum())
        return Loss(total, {"loss": total.detach()})

    return Learner(Numbers(start), config, loss)


BATCH = made_up_batch(games.load("tic_tac_toe"), 1)


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 1e-2), ("sgd", 0.1)])
@pytest.mark.parametrize("kind", ["mlp", "resnet"])
def test_a_small_batch_is_learned_by_heart(kind: str, optimizer: str, rate: float) -> None:
    game = games.load("tic_tac_toe")
    net = NetConfig(kind=kind, channels=16, blocks=1, hidden=64, layers=2, policy_channels=8, value_channels=8)
    learner_config = replace(PLAIN, optimizer=optimizer, learning_rate=rate, gradient_clip=5.0)
    config = replace(Config(), game=game.name, net=net, learner=learner_config)
    learner = Learner(networks.make_net(config, game), learner_config, alphazero.make_loss(config, game))
    batch = made_up_batch(game, 16)
    first = learner.step(batch, 0.0).terms
    for _ in range(300):
        last = learner.step(batch, 0.0).terms
    assert set(last) == {
        "loss", "policy_loss", "value_loss", "policy_entropy", "policy_kl", "grad_norm", "learning_rate"
    }  # fmt: skip
    # The cross-entropy cannot fall below the entropy of its target; the divergence can fall to zero.
    assert last["policy_kl"] < 0.05 * first["policy_kl"]
    assert last["value_loss"] < 0.05 * first["value_loss"]
    assert last["loss"] == pytest.approx(last["policy_loss"] + last["value_loss"], rel=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_auxiliary_heads_are_learned_with_their_weights(kind: str, dtype: str) -> None:
    game = games.load("tic_tac_toe")
    heads = {"reply_head": True, "moves_left_head": True, "pooling_every": 1}
    net = NetConfig(kind=kind, channels=16, blocks=1, hidden=64, layers=2, policy_channels=8, value_channels=8, **heads)
    learner_config = replace(PLAIN, learning_rate=1e-2, dtype=dtype, reply_weight=0.3, moves_left_weight=0.7)
    config = replace(Config(), game=game.name, net=net, learner=learner_config)
    learner = Learner(networks.make_net(config, game), learner_config, alphazero.make_loss(config, game))
    batch = made_up_batch(game, 16)
    first = learner.step(batch, 0.0).terms
    for _ in range(300):
        last = learner.step(batch, 0.0).terms
    assert last["reply_loss"] < 0.1 * first["reply_loss"] and last["moves_left_loss"] < 0.1 * first["moves_left_loss"]
    total = last["policy_loss"] + last["value_loss"] + 0.3 * last["reply_loss"] + 0.7 * last["moves_left_loss"]
    assert last["loss"] == pytest.approx(total, rel=1e-5)
    assert all(weight.dtype != torch.bfloat16 for weight in learner.weights().values())


def test_labels_of_the_end_are_learned_with_their_weights_and_none_counts_nothing() -> None:
    game = games.load("othello")
    net = NetConfig(channels=16, blocks=1, policy_channels=4, value_channels=16, ownership_head=True, score_head=True)
    learner_config = replace(PLAIN, learning_rate=1e-2, ownership_weight=0.3, score_weight=0.7)
    config = replace(Config(), game=game.name, net=net, learner=learner_config)
    learner = Learner(networks.make_net(config, game), learner_config, alphazero.make_loss(config, game))
    batch = made_up_batch(game, 8)
    first = learner.step(batch, 0.0).terms
    for _ in range(300):
        last = learner.step(batch, 0.0).terms
    for name, least in (("ownership_loss", 0.0), ("score_loss", 0.0)):
        assert least < last[name] < 0.2 * first[name]
    total = last["policy_loss"] + last["value_loss"] + 0.3 * last["ownership_loss"] + 0.7 * last["score_loss"]
    assert last["loss"] == pytest.approx(total, rel=1e-5)
    unlabelled = replace(
        batch, final_labels=np.full_like(batch.final_labels, np.nan), final_score=np.full(8, np.nan, np.float32)
    )
    terms = learner.step(unlabelled, 0.0).terms
    assert terms["ownership_loss"] == terms["score_loss"] == 0 and np.isfinite(terms["grad_norm"])


@pytest.mark.parametrize(("float32", "bfloat16", "pays"), [(2.0, 1.0, True), (1.1, 1.0, False), (1.0, 1.5, False)])
def test_bfloat16_pays_where_a_trial_says_so(float32, bfloat16, pays, monkeypatch) -> None:
    others = iter([9.0, 0.0] + 100 * [0.0])  # other work slows down one measurement, the first

    def seconds(dtype: torch.dtype) -> float:
        return next(others) + (float32 if dtype == torch.float32 else bfloat16)

    monkeypatch.setattr(precision, "_probe_seconds", seconds)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision.bfloat16_pays.__wrapped__() is pays


def test_bfloat16_is_not_tried_without_instructions_for_it(monkeypatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    monkeypatch.setattr(precision, "_probe_seconds", lambda dtype: pytest.fail("tried"))
    assert not precision.bfloat16_pays.__wrapped__()


def test_the_trial_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    assert precision._probe_seconds(torch.float32) > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_average_follows_its_formula() -> None:
    # One step of sgd at rate 0.1 with gradient 1 takes 0.1 from each parameter; the decay of step n is
    # min(ema_decay, (1 + n) / (10 + n)): 2/11, 3/12, then 0.3 instead of 4/13.
    config = replace(PLAIN, optimizer="sgd", momentum=0.0, learning_rate=0.1, ema_decay=0.3)
    learner = number_learner(config)
    average = 0.0
    for step, decay in enumerate([2 / 11, 3 / 12, 0.3, 0.3], start=1):
        learner.net.counter += 1
        learner.step(BATCH, 0.0)
        average = decay * average + (1 - decay) * -0.1 * step
        weights = learner.weights()
        assert weights["matrix"].flatten().tolist() == pytest.approx([average] * 4, rel=1e-5)
        assert learner.raw_weights()["bias"].tolist() == pytest.approx([-0.1 * step] * 2, rel=1e-5)
        assert weights["counter"].item() == step, "whole numbers are copied, not averaged"


def test_without_averaging_the_last_weights_play() -> None:
    learner = number_learner(replace(PLAIN, ema_decay=0.0))
    learner.step(BATCH, 0.0)
    assert all(torch.equal(learner.weights()[name], tensor) for name, tensor in learner.raw_weights().items())


def test_weights_are_copies() -> None:
    learner = number_learner(PLAIN)
    before = learner.weights(), learner.raw_weights()
    learner.step(BATCH, 0.0)
    for kept, now in zip(before, (learner.weights(), learner.raw_weights()), strict=True):
        assert kept["matrix"].abs().max() == 0 and now["matrix"].abs().max() > 0


@pytest.mark.parametrize(
    ("schedule", "progress", "share"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 1.0, 1.0),
        ("linear", 0.0, 1.0),
        ("linear", 0.5, 0.6),
        ("linear", 1.0, 0.2),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.6),  # half way between 1 and 0.2
        ("cosine", 1 / 3, 0.8),  # cos 60 degrees is a half: 0.2 + 0.8 * 0.75
        ("cosine", 1.0, 0.2),
    ],
)
def test_schedule(schedule: str, progress: float, share: float) -> None:
    config = replace(PLAIN, schedule=schedule, learning_rate=0.5, final_learning_rate=0.2)
    assert learning_rate(config, 10_000, progress) == pytest.approx(0.5 * share)


def test_the_learning_rate_rises_over_the_warm_up() -> None:
    config = replace(PLAIN, warmup_steps=4, learning_rate=1.0)
    assert [learning_rate(config, step, 0.0) for step in range(7)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])


def test_the_learning_rate_is_the_one_that_is_used() -> None:
    learner = number_learner(replace(PLAIN, optimizer="sgd", momentum=0.0, schedule="linear", learning_rate=0.5))
    terms = learner.step(BATCH, 0.5).terms
    assert terms["learning_rate"] == pytest.approx(0.5 * 0.525)  # half way to a twentieth
    assert learner.raw_weights()["bias"].tolist() == pytest.approx([-terms["learning_rate"]] * 2)


@pytest.mark.parametrize(("clip", "expected"), [(0.0, 3.0), (100.0, 3.0), (1.0, 1 / math.sqrt(6))])
def test_the_gradient_is_clipped_to_its_norm(clip: float, expected: float) -> None:
    # Six parameters with gradient 3: a norm of 3 sqrt(6), which is reported as it was before clipping.
    config = replace(PLAIN, optimizer="sgd", momentum=0.0, learning_rate=1.0, gradient_clip=clip)
    learner = number_learner(config, gradient=3.0)
    terms = learner.step(BATCH, 0.0).terms
    assert terms["grad_norm"] == pytest.approx(3 * math.sqrt(6))
    assert learner.raw_weights()["matrix"].flatten().tolist() == pytest.approx([-expected] * 4, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_spares_biases(optimizer: str) -> None:
    # Without a gradient only the decay moves anything: by rate * decay of the weight.
    config = replace(PLAIN, optimizer=optimizer, learning_rate=0.1, weight_decay=0.5)
    learner = number_learner(config, gradient=0.0, start=1.0)
    learner.step(BATCH, 0.0)
    assert learner.raw_weights()["matrix"].flatten().tolist() == pytest.approx([0.95] * 4)
    assert learner.raw_weights()["bias"].tolist() == [1.0, 1.0]


def test_normalisation_is_not_decayed() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 4))
    decayed, spared = make_optimizer(net, replace(PLAIN, weight_decay=0.1)).param_groups
    assert [p.ndim for p in decayed["params"]] == [4, 2] and decayed["weight_decay"] == 0.1
    assert [p.ndim for p in spared["params"]] == [1] * 4 and spared["weight_decay"] == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_nothing(bad: float) -> None:
    learner = number_learner(PLAIN)
    learner.step(BATCH, 0.0)
    before, average = learner.raw_weights(), learner.weights()
    state = learner.optimizer.state_dict()["state"][0]["exp_avg"].clone()
    fine = learner.loss
    learner.loss = lambda net, batch, device: Loss(bad * net.matrix.sum() + bad, {})
    assert learner.step(BATCH, 0.0).is_left_out
    assert learner.bad_steps == 1 and learner.steps == 2
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.raw_weights().items())
    assert all(torch.equal(average[name], tensor) for name, tensor in learner.weights().items())
    assert torch.equal(learner.optimizer.state_dict()["state"][0]["exp_avg"], state)
    learner.loss = fine
    assert learner.step(BATCH, 0.0).terms["loss"] < 0
    assert not torch.equal(before["matrix"], learner.raw_weights()["matrix"])


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    learner = number_learner(PLAIN)
    learner.loss = lambda net, batch, device: Loss(torch.sqrt(net.matrix.abs()).sum(), {})  # infinite slope at 0
    assert learner.step(BATCH, 0.0).is_left_out
    assert learner.raw_weights()["matrix"].abs().max() == 0


def test_bad_losses_in_a_row_stop_the_run_and_others_do_not() -> None:
    learner = number_learner(PLAIN)
    fine = learner.loss

    def broken(net, batch, device):
        return Loss(math.nan * net.matrix.sum(), {})

    learner.loss = broken
    for _ in range(MOST_BAD_STEPS - 1):
        learner.step(BATCH, 0.0)
    learner.loss = fine
    learner.step(BATCH, 0.0)
    learner.loss = broken
    for _ in range(MOST_BAD_STEPS - 1):
        learner.step(BATCH, 0.0)
    with pytest.raises(UserError, match=f"{MOST_BAD_STEPS} losses in a row were not finite") as caught:
        learner.step(BATCH, 0.0)
    assert "\n" not in str(caught.value)
    assert learner.bad_steps == 2 * MOST_BAD_STEPS - 1


def test_a_gpu_without_memory_is_one_clear_line() -> None:
    learner = number_learner(PLAIN)

    def full(net, batch, device):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory, and a page of figures")

    learner.loss = full
    with pytest.raises(UserError, match="^learner.batch_size: .* too many for the memory of the GPU") as caught:
        learner.step(BATCH, 0.0)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="device cuda: torch sees no GPU"):
        choose_device("cuda")


def went_on(saved: Learner, config: LearnerConfig, by_number: bool = False) -> Learner:
    """Another learner from what a checkpoint of `saved` holds, in the form of today or of the first versions."""
    state = saved.state_dict()
    tensors, description = flatten_optimizer(saved.optimizer.state_dict() if by_number else state["optimizer"])
    plain = json.loads(json.dumps(description))
    learner = number_learner(config)
    learner.load_state_dict({**state, "optimizer": unflatten_optimizer(from_bytes(to_bytes(tensors)), plain)})
    return learner


@pytest.mark.parametrize("by_number", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_a_resumed_optimiser_kept_its_old_settings(optimizer: str, by_number: bool) -> None:
    """Its groups came from the checkpoint: another weight decay, epsilon or momentum was ignored without a word."""
    learner = number_learner(replace(PLAIN, optimizer=optimizer))
    for _ in range(3):
        learner.step(BATCH, 0.0)
    config = replace(PLAIN, optimizer=optimizer, weight_decay=0.25, adam_epsilon=0.5, momentum=0.125)
    resumed = went_on(learner, config, by_number)
    fresh = number_learner(config)
    for group, wanted in zip(resumed.optimizer.param_groups, fresh.optimizer.param_groups, strict=True):
        assert {**group, "params": None, "lr": 0} == {**wanted, "params": None, "lr": 0}
    for name, parameter in learner.net.named_parameters():
        state, again = learner.optimizer.state[parameter], resumed.optimizer.state[resumed.net.get_parameter(name)]
        assert state.keys() == again.keys() and len(state) > 0
        assert all(torch.equal(torch.as_tensor(again[key]), torch.as_tensor(state[key])) for key in state), name
    resumed.step(BATCH, 0.0)
    learner.step(BATCH, 0.0)
    assert not torch.equal(resumed.net.matrix, learner.net.matrix)


@pytest.mark.parametrize("by_number", [False, True])
def test_another_optimiser_ended_in_a_key_error_at_its_first_step(by_number: bool) -> None:
    learner = number_learner(PLAIN)
    learner.step(BATCH, 0.0)
    with pytest.raises(UserError, match=r"learner\.optimizer: the checkpoint has the state of adamw, sgd cannot"):
        went_on(learner, replace(PLAIN, optimizer="sgd"), by_number)


def test_momentum_that_a_run_never_had_begins_with_the_next_step() -> None:
    learner = number_learner(replace(PLAIN, optimizer="sgd", momentum=0.0))
    learner.step(BATCH, 0.0)
    resumed = went_on(learner, replace(PLAIN, optimizer="sgd", momentum=0.5))
    rate = PLAIN.learning_rate
    for total in (2.0, 3.5):  # the gradient is 1: a momentum of 1, then of 1.5
        resumed.step(BATCH, 0.0)
        torch.testing.assert_close(resumed.net.bias.detach(), torch.full((2,), -rate * total))


def test_the_average_of_a_resumed_run_kept_the_old_number_type() -> None:
    """float64 in the checkpoint, float32 in the settings: the next step could not mix them."""
    learner = number_learner(replace(PLAIN, dtype="float64"))
    learner.step(BATCH, 0.0)
    resumed = went_on(learner, PLAIN)
    resumed.step(BATCH, 0.0)
    assert resumed.average["matrix"].dtype == torch.float32


def test_an_environment_that_turns_gradients_off_stops_no_learner() -> None:
    """A world that is a network in torch says `set_grad_enabled(False)`, in the same process."""
    game = games.load("tic_tac_toe")
    config = replace(Config(), net=NetConfig(kind="mlp", hidden=8, layers=1), learner=PLAIN)
    learner = Learner(networks.make_net(config, game), PLAIN, alphazero.make_loss(config, game))
    before = learner.raw_weights()
    with torch.no_grad():
        assert not learner.step(made_up_batch(game, 8), 0.0).is_left_out
    assert any(not torch.equal(tensor, before[name]) for name, tensor in learner.raw_weights().items())
