"""MuZero with chance codes: its loss number by number, codes that mean something, runs that play and go on."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chance_games import FLIPS, HEADS, CoinGame, coin_record
from run_helpers import Watcher, tiny_config

import games
import selfplay
from nets import NetConfig
from nets.world_model import WorldModel, build_world_model
from selfplay import cli
from selfplay.algorithms.muzero import world_sizes
from selfplay.algorithms.registry import load_algorithm
from selfplay.algorithms.world_learner import WorldLearner, chance_errors_of
from selfplay.config.reader import load
from selfplay.config.run import Config, ReplayConfig
from selfplay.errors import UserError
from selfplay.experience.records import Ending
from selfplay.experience.targets import TargetSettings
from selfplay.players.thinking import Limits, line_texts, make_thinker
from selfplay.replay.positions import PositionReplay
from selfplay.replay.unroll import UnrolledBatch, unrolled
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.storage.run_folder import RunFolder

CODES, STEPS, TD_STEPS = 4, 3, 1
NET = NetConfig(kind="mlp", hidden=24, layers=1, batch_norm=False, value_hidden=0)


def config_of(*options: str) -> Config:
    given = ["--algorithm", "muzero", "--game", "pig(winscore=15)", "--learner.device", "cpu"]
    given += ["--learner.dtype", "float32", "--muzero.unroll_steps", str(STEPS), "--muzero.support", "3"]
    given += ["--muzero.chance_codes", str(CODES), "--learner.td_steps", str(TD_STEPS)]
    return replace(load(Config, None, [*given, *options]), net=NET)


def learner_of(config: Config) -> WorldLearner:
    game = CoinGame()
    return WorldLearner(build_world_model(config.net, world_sizes(config, game), config.seed), config, game)


def replay_of(config: Config, count: int, ending: Ending = Ending.OVER) -> PositionReplay:
    game, rng = CoinGame(), np.random.default_rng(0)
    replay = PositionReplay(ReplayConfig(), 2, [], TargetSettings.of(config, game), STEPS + TD_STEPS)
    for _ in range(count):
        replay.add(replace(coin_record(rng), ending=ending))
    return replay


def made_batch(config: Config, size: int = 9) -> UnrolledBatch:
    """Samples of games that are over, and of one that was cut off."""
    replay = replay_of(config, 2)
    replay.add(replace(coin_record(np.random.default_rng(5)), ending=Ending.CUT_OFF))
    batch = replay.sample(size, np.random.default_rng(1))
    found = unrolled(batch, STEPS, 1, True, TD_STEPS, 0.9, np.random.default_rng(2))
    assert not found.turns_mask.all() and not found.value_mask[:, :-1].all() and not found.exists.all()
    return replace(found, bootstrap=None)


def shaken(learner: WorldLearner) -> WorldModel:
    """The network away from its initial weights, with which codes have equal shares and change nothing."""
    net = learner.net
    assert isinstance(net, WorldModel)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return net


def terms_of(learner: WorldLearner, batch: UnrolledBatch) -> dict[str, float]:
    loss = learner.loss(learner.net, batch, torch.device("cpu"))
    return {name: float(term) for name, term in loss.terms.items()}


def test_the_terms_of_chance_are_those_of_the_paper() -> None:
    options = ("--muzero.chance_weight", "3", "--muzero.commitment_weight", "5", "--learner.value_weight", "0.25")
    config = config_of(*options)
    learner, batch = learner_of(config), made_batch(config)
    net = shaken(learner)
    with torch.no_grad():
        given = torch.from_numpy(batch.observation), torch.from_numpy(batch.action), torch.from_numpy(batch.following)
        chance = net.unroll(*given).chance
    assert chance is not None
    expected, codes = dict.fromkeys(("chance_loss", "commitment_loss", "move_value_loss"), 0.0), []
    for i in range(len(batch)):
        for k in range(STEPS):
            scale, code = 1.0 / STEPS / len(batch), int(chance.codes[i, k])
            if batch.turns_mask[i, k]:
                codes.append(code)
                expected["chance_loss"] -= scale * float(torch.log_softmax(chance.logits[i, k], -1)[code])
                distances = [float(chance.shares[i, k, c]) - (c == code) for c in range(CODES)]
                expected["commitment_loss"] += scale * sum(d * d for d in distances)
            if batch.value_mask[i, k]:
                value = float(batch.value_target[i, k, 0])
                scaled = math.copysign(math.sqrt(abs(value) + 1) - 1, value) + 0.001 * value
                low = math.floor(scaled)
                log_shares = torch.log_softmax(chance.value_output[i, k], -1)
                cross = (low + 1 - scaled) * log_shares[low + 3] + (scaled - low) * log_shares[low + 4]
                expected["move_value_loss"] -= scale * float(cross)
    found = terms_of(learner, batch)
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, rel=1e-3), name
    total = found["policy_loss"] + 0.25 * found["value_loss"] + found["reward_loss"]
    total += 3 * expected["chance_loss"] + 5 * expected["commitment_loss"] + 0.25 * expected["move_value_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-4)
    share = np.bincount(codes) / len(codes)
    share = share[share > 0]
    assert found["codes_used"] == len(share) > 1
    assert found["code_perplexity"] == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-4)


def test_the_encoder_learns_from_what_comes_behind_and_not_to_be_foreseen() -> None:
    """A code that is easy to foresee says nothing: the cross-entropy to a code may not reach the encoder by this code.

    It may by an earlier one, which is a part of the latent that the afterstate is made of.
    """
    config = config_of("--muzero.chance_weight", "0", "--learner.value_weight", "0")
    learner, batch = learner_of(config), made_batch(config)
    net = shaken(learner)
    given = torch.from_numpy(batch.observation), torch.from_numpy(batch.action), torch.from_numpy(batch.following)

    def reaches(number: torch.Tensor) -> bool:
        grads = torch.autograd.grad(number, list(net.encoder.parameters()), retain_graph=True, allow_unused=True)
        return any(grad is not None and bool(grad.abs().sum() > 0) for grad in grads)

    chance = net.unroll(*given).chance
    assert chance is not None
    errors, commitment = chance_errors_of(chance)
    assert [reaches(errors[:, k].sum()) for k in range(STEPS)] == [False, True, True]
    assert reaches(commitment[:, 0].sum())
    assert reaches(learner.loss(net, batch, torch.device("cpu")).total), "policies and rewards teach it"


def test_without_codes_loss_and_batch_are_those_of_muzero() -> None:
    """The weights of chance do not matter then, and what follows is not looked at."""
    plain = config_of("--muzero.chance_codes", "0")
    heavy = config_of("--muzero.chance_codes", "0", "--muzero.chance_weight", "9", "--muzero.commitment_weight", "9")
    batch = made_batch(plain)
    other = replace(batch, following=np.full_like(batch.following, np.nan))
    one, two = terms_of(learner_of(plain), batch), terms_of(learner_of(heavy), other)
    assert one == two and not {name for name in one if "chance" in name or "code" in name or "move_value" in name}
    for name, array in vars(batch).items():
        if isinstance(array, np.ndarray):
            np.testing.assert_array_equal(array, getattr(made_batch(config_of()), name), err_msg=name)


# Codes that mean something.


def test_two_outcomes_get_two_codes_with_their_probabilities() -> None:
    """A coin that falls on heads seven times of ten, and whose side is all that the next move depends on.

    An outcome may have several codes; what is expected behind all of them together has to be right.
    """
    options = ("--learner.learning_rate", "1e-2", "--learner.schedule", "linear", "--learner.warmup_steps", "10")
    config = config_of(*options, "--learner.weight_decay", "0", "--learner.ema_decay", "0.9")
    learner, replay, rng = learner_of(config), replay_of(config, 200), np.random.default_rng(3)
    for i in range(400):
        assert not learner.step(replay.sample(64, rng), i / 400).is_left_out
    net = learner.net.eval()
    assert isinstance(net, WorldModel)

    def seen(coin: int, moves: int) -> list[float]:
        return [coin, 1 - coin, moves / FLIPS, 1.0]

    starts = torch.tensor([seen(coin, moves) for coin in (0, 1) for moves in range(1, FLIPS - 1)])
    for action in (0, 1):
        with torch.no_grad():
            afterstate, logits = net.departure(net.represent(starts), torch.full((len(starts),), action))
            behind = [net.recurrent(afterstate, torch.full((len(starts),), code)) for code in range(CODES)]
            shares = torch.softmax(logits, dim=-1)
            heads = torch.stack([torch.softmax(said.policy_logits, dim=-1)[:, 0] for said in behind], dim=-1)
        is_used = shares > 0.05
        assert ((heads < 0.1) | (heads > 0.9))[is_used].float().mean() > 0.9, "a code is one side of the coin"
        assert ((heads > 0.9) & is_used).any(dim=-1).all() and ((heads < 0.1) & is_used).any(dim=-1).all()
        expected = (shares * heads).sum(dim=-1)
        np.testing.assert_allclose(expected, HEADS, atol=0.25)
        assert float((expected - HEADS).abs().mean()) < 0.1, "an even coin is off by 0.2"


# Runs.

RUN = (
    *("--algorithm", "muzero", "--game", "pig(winscore=15)", "--muzero.unroll_steps", "3"),
    *("--muzero.chance_codes", str(CODES), "--muzero.consistency_weight", "1", "--search.num_simulations", "8"),
    *("--budget.steps", "9", "--checkpoint.every_steps", "4", "--replay.sample_reuse", "1"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stochastic")
    selfplay.train(tiny_config(folder, *RUN), folder / "run", Watcher())
    return folder / "run"


def test_a_run_in_parts_equals_an_uninterrupted_one(tmp_path: Path, run: Path) -> None:
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == 6 else None)
    assert selfplay.train(tiny_config(tmp_path, *RUN), tmp_path / "run", stop).version == 6
    assert selfplay.resume(tmp_path / "run", display=Watcher()).version == 9
    one, other = (checkpoint.load(RunFolder.open(path).checkpoints) for path in (tmp_path / "run", run))
    for tensors, others in ((one.weights, other.weights), (one.learner, other.learner)):
        assert tensors.keys() == others.keys()
        assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    with pytest.raises(UserError, match="muzero.chance_codes cannot change"):
        selfplay.resume(run, lambda old: replace(old, muzero=replace(old.muzero, chance_codes=0)), Watcher())


def test_a_run_says_how_it_learns_chance(run: Path) -> None:
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert not unknown_names({name for row in rows for name in row})
    last = rows[-1]
    for name in ("chance_loss", "move_value_loss", "commitment_loss"):
        assert math.isfinite(last[f"train/{name}"]), name
    assert 1 <= last["train/code_perplexity"] <= last["train/codes_used"] <= CODES
    assert all(row.get("selfplay/cache_hit_rate", 0.0) == 0.0 for row in rows), "an afterstate is asked once"


def test_players_of_a_run_play_and_tell_what_they_expect(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is behind a code has no position: lines and trees that are shown end there."""
    game = games.load("pig(winscore=15)")
    player = selfplay.parse_player(f"run:{run}:simulations=40", game, 1)
    result = selfplay.play_match(game, player, selfplay.parse_player("random", game, 2), 4)
    assert len(result.records) == 4
    pool, at = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(at)
    thought = make_thinker(player, num_lines=2, num_branches=300).think(pool, (), Limits())
    assert thought.line == (thought.action,) and len(line_texts(pool, thought.line)) == 1
    assert thought.branches and sum(branch.visits for branch in thought.branches) == 40
    assert not any(branch.replies for branch in thought.branches), "codes are no outcomes of the game"
    player.close()
    assert cli.main(["match", f"net:{run}", "random", "--games", "2", "--game", "pig(winscore=15)"]) == 0
    assert "random" in capsys.readouterr().out


def test_codes_are_refused_in_a_game_without_chance(tmp_path: Path) -> None:
    options = ("--algorithm", "muzero", "--muzero.chance_codes", "4", "--budget.steps", "1", "--game", "tic_tac_toe")
    with pytest.raises(UserError, match=r"^muzero\.chance_codes: tic_tac_toe has no chance; use 0$"):
        selfplay.train(tiny_config(tmp_path, *options), tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()


def test_memory_is_asked_for_afterstates_too() -> None:
    needs = load_algorithm(
        config_of("--actors.num_actors", "1", "--actors.games_per_actor", "4", "--search.num_simulations", "10")
    ).needs
    found = {need.what: need.bytes for need in needs.memory}
    assert found["latents of 4 searches"] == 4 * 2 * 10 * NET.hidden * 4
