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
from selfplay.algorithms.world_learner import WorldLearner
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


def terms_of(learner: WorldLearner, batch: UnrolledBatch) -> dict[str, float]:
    loss = learner.loss(learner.net, batch, torch.device("cpu"))
    return {name: float(term) for name, term in loss.terms.items()}


def test_the_terms_of_chance_are_those_of_the_paper() -> None:
    options = ("--muzero.chance_weight", "3", "--muzero.commitment_weight", "5", "--learner.value_weight", "0.25")
    config = config_of(*options)
    learner, batch = learner_of(config), made_batch(config)
    net = learner.net
    assert isinstance(net, WorldModel)
    with torch.no_grad():
        for parameter in net.parameters():  # away from initial weights, which give every code the same share
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
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


def encoder_gradient(learner: WorldLearner, batch: UnrolledBatch) -> torch.Tensor:
    learner.net.zero_grad(set_to_none=True)
    learner.loss(learner.net, batch, torch.device("cpu")).total.backward()
    net = learner.net
    assert isinstance(net, WorldModel)
    return torch.cat([p.grad.flatten() for p in net.encoder.parameters() if p.grad is not None])


def test_the_encoder_learns_from_what_comes_behind_and_not_to_be_foreseen() -> None:
    """A code that is easy to foresee says nothing: the loss of the codes' logits may not reach the encoder."""
    found = []
    for weight in ("0", "50"):
        config = config_of("--muzero.chance_weight", weight, "--muzero.commitment_weight", "0")
        found.append(encoder_gradient(learner_of(config), made_batch(config)))
    assert found[0].abs().sum() > 0
    torch.testing.assert_close(found[0], found[1])
    with_commitment = config_of("--muzero.chance_weight", "0", "--muzero.commitment_weight", "1")
    assert not torch.allclose(encoder_gradient(learner_of(with_commitment), made_batch(with_commitment)), found[0])


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
    """A coin that falls on heads seven times of ten, and whose side is all that the next move depends on."""
    options = ("--learner.learning_rate", "1e-2", "--learner.schedule", "constant", "--learner.warmup_steps", "10")
    config = config_of(*options, "--learner.weight_decay", "0", "--learner.ema_decay", "0.9")
    learner, replay, rng = learner_of(config), replay_of(config, 200), np.random.default_rng(3)
    for _ in range(400):
        assert not learner.step(replay.sample(64, rng), 0.0).is_left_out
    net = learner.net.eval()
    assert isinstance(net, WorldModel)

    def seen(coin: int, moves: int) -> list[float]:
        return [coin, 1 - coin, moves / FLIPS, 1.0]

    pairs = torch.tensor([[seen(a, 2), seen(b, 3)] for a in (0, 1) for b in (0, 1)], dtype=torch.float32)
    with torch.no_grad():
        codes = net.encode(pairs)[:, 0].argmax(dim=-1)
        afterstate, logits = net.departure(net.represent(pairs[:, 0]), torch.tensor([0, 1, 1, 0]))
        behind = net.recurrent(afterstate, codes)
    assert codes[0] != codes[1] and codes[2] != codes[3], "heads and tails are told apart"
    found = torch.softmax(logits, dim=-1).gather(1, codes[:, None])[:, 0]
    np.testing.assert_allclose(found, [HEADS, 1 - HEADS] * 2, atol=0.06)
    named = torch.softmax(behind.policy_logits, dim=-1).gather(1, torch.tensor([[0], [1], [0], [1]]))
    assert (named > 0.95).all(), "the policy behind a code names the coin that it stands for"


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
    assert last["selfplay/cache_hit_rate"] >= 0


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


def test_codes_without_chance_and_bytes_are_refused(tmp_path: Path) -> None:
    common = ("--algorithm", "muzero", "--muzero.chance_codes", "4", "--budget.steps", "1")
    with pytest.raises(UserError, match=r"^muzero\.chance_codes: tic_tac_toe has no chance; use 0$"):
        load_algorithm(tiny_config(tmp_path, *common, "--game", "tic_tac_toe"))
    with pytest.raises(UserError, match=r"actors\.dtype: .*no chance codes.*; use auto"):
        options = (*common, "--game", "pig(winscore=15)", "--actors.dtype", "int8")
        selfplay.train(tiny_config(tmp_path, *options), tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()


def test_memory_is_asked_for_afterstates_too() -> None:
    needs = load_algorithm(
        config_of("--actors.num_actors", "1", "--actors.games_per_actor", "4", "--search.num_simulations", "10")
    ).needs
    found = {need.what: need.bytes for need in needs.memory}
    assert found["latents of 4 searches"] == 4 * 2 * 10 * NET.hidden * 4
