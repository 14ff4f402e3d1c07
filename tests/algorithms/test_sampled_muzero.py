"""MuZero with real-valued actions: its policy loss by hand, what its records hold, a bandit that it learns."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from real_bandit import HIGH, LOW, NAME, RealBandit, best
from run_helpers import Watcher, tiny_config

import selfplay
from nets.real_policy import END
from nets.world_model import WorldModel
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.muzero import MuZero
from selfplay.algorithms.registry import load_algorithm
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.record_faults import fault_of, record_of_game
from selfplay.experience.records import GameRecord, from_arrays, rows_for_a_shard
from selfplay.players.kinds import read_player
from selfplay.replay.real_actions import with_real_actions
from selfplay.replay.unroll import UnrolledBatch, unrolled
from selfplay.storage import checkpoint, shards
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.storage.run_folder import RunFolder
from selfplay.training import train

TWO = f"{NAME}(size=2)"
SAMPLED = (
    *("--algorithm", "muzero", "--net.batch_norm", "false", "--replay.min_positions", "20"),
    *("--muzero.sampled_actions", "6", "--muzero.unroll_steps", "2", "--learner.dtype", "float32"),
)


def config_of(folder: Path, *options: str, environment: str = TWO) -> Config:
    return tiny_config(folder, "--environment", environment, *SAMPLED, *options)


def played(algorithm: MuZero, games: int) -> list[GameRecord]:
    """Games of self-play with the network's first weights."""
    inference = algorithm.make_inference()
    inference.load(algorithm.make_net().state_dict(), version=0)
    playing = algorithm.make_collector({PLAYER: inference}, np.random.default_rng(0), 0, 0)
    records: list[GameRecord] = []
    while len(records) < games:
        records += playing.collect()
    return records


def algorithm_of(config: Config) -> MuZero:
    made = load_algorithm(config)
    assert isinstance(made, MuZero)
    return made


# What is recorded.


def test_records_hold_the_actions_that_the_environment_got_bit_for_bit(tmp_path: Path) -> None:
    RealBandit.taken.clear()
    algorithm = algorithm_of(config_of(tmp_path, "--actors.games_per_actor", "1"))
    records = played(algorithm, 12)
    assert len(RealBandit.taken) == 12
    for record, taken in zip(records, RealBandit.taken, strict=True):
        assert record.sampled_actions.shape == (1, 6, 2) and record.sampled_actions.dtype == np.float32
        assert record.sampled_actions[0, record.action[0]].tobytes() == taken.astype(np.float32).tobytes()
        paid = -float(np.square(taken - best(float(record.observation[0, 0]))).sum())
        assert record.reward[0, 0] == pytest.approx(paid, rel=1e-6)
        assert record.legal_actions.tolist() == [list(range(6))]


def test_a_round_frees_the_environments_of_the_round_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy may hold memory and files, and each round makes new ones."""
    open_copies: set[int] = set()
    at_a_step: list[int] = []
    made, close, step = RealBandit.__init__, RealBandit.close, RealBandit.step

    def counted_init(self: RealBandit, size: int = 1) -> None:
        made(self, size)
        open_copies.add(id(self))

    def counted_close(self: RealBandit) -> None:
        open_copies.discard(id(self))
        close(self)

    def counted_step(self: RealBandit, action: np.ndarray) -> tuple:
        at_a_step.append(len(open_copies))
        return step(self, action)

    monkeypatch.setattr(RealBandit, "__init__", counted_init)
    monkeypatch.setattr(RealBandit, "close", counted_close)
    monkeypatch.setattr(RealBandit, "step", counted_step)
    monkeypatch.setattr(train, "_final_evaluation", lambda trainer: None)
    options = ("--budget.positions", "40", "--budget.steps", "0", "--actors.games_per_actor", "4")
    selfplay.train(config_of(tmp_path, *options), tmp_path / "run", Watcher())
    assert len(at_a_step) >= 40
    assert max(at_a_step) <= 6, "four under way, and those that were looked at before the start"


def test_an_episode_can_be_played_again_from_its_record(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        config_of(tmp_path, "--actors.games_per_actor", "1", environment="Pendulum-v1(max_episode_steps=12)")
    )
    (record,) = played(algorithm, 1)
    game = algorithm.game_of_collector(np.random.default_rng(0))
    pool, at = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(at)
    for t in range(12):
        seen = np.zeros((1, 3), np.float32)
        pool.observe(at, seen)
        np.testing.assert_array_equal(seen[0], record.observation[t])
        pool.set_sampled_actions(at, record.sampled_actions[t : t + 1])
        _, rewards = pool.step(at, record.action[t : t + 1].astype(np.int64), at)
        assert rewards[0, 0] == record.reward[t, 0]


def test_records_come_back_from_a_shard_as_they_were(tmp_path: Path) -> None:
    algorithm = algorithm_of(config_of(tmp_path))
    records = played(algorithm, 5)
    shards.write_shard(tmp_path, 0, rows_for_a_shard(records), len(records))
    ((_, rows),) = shards.read_shards(tmp_path, None, pytest.fail)
    for record, row in zip(records, rows, strict=True):
        again = record_of_game(row, algorithm.game)
        assert isinstance(again, GameRecord)
        for name, array in record.arrays().items():
            np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)


def test_games_from_before_there_were_real_actions_have_none(tmp_path: Path) -> None:
    row = played(algorithm_of(config_of(tmp_path, environment="CartPole-v1(max_episode_steps=5)")), 1)[0].arrays()
    del row["sampled_actions"]
    found = from_arrays(row)
    assert isinstance(found, GameRecord) and found.sampled_actions.shape == (len(found), 0, 0)


def test_sampled_actions_that_nobody_can_have_sampled_are_a_fault(tmp_path: Path) -> None:
    algorithm = algorithm_of(config_of(tmp_path))
    (record, *_) = played(algorithm, 1)
    assert fault_of(record, algorithm.game) == ""
    for wrong, line in (
        (np.full((1, 6, 2), HIGH + 1, np.float32), "sampled_actions[0] has 5 5"),
        (np.full((1, 6, 2), np.nan, np.float32), "sampled_actions"),
        (np.zeros((1, 5, 2), np.float32), "sampled_actions"),
        (np.zeros((1, 0, 0), np.float32), "sampled_actions"),
    ):
        assert fault_of(replace(record, sampled_actions=wrong), algorithm.game).startswith(line)


# What is learned.


def sample_of(algorithm: MuZero, records: list[GameRecord]) -> UnrolledBatch:
    replay, game = algorithm.make_replay(), algorithm.game
    for record in records:
        replay.add(record)
    batch, rng = replay.sample(20, np.random.default_rng(1)), np.random.default_rng(2)
    assert game.action_low is not None and game.action_high is not None
    sample = unrolled(batch, 2, 1, True, 0, 1.0, rng)
    return with_real_actions(sample, batch, game.action_low, game.action_high, rng)


def test_the_policy_loss_is_the_cross_entropy_of_the_density_where_actions_were_sampled(tmp_path: Path) -> None:
    algorithm = algorithm_of(config_of(tmp_path, environment="Pendulum-v1(max_episode_steps=4)"))
    sample, learner = sample_of(algorithm, played(algorithm, 4)), algorithm.make_learner()
    net = learner.net
    assert isinstance(net, WorldModel) and sample.sampled_actions is not None
    with torch.no_grad():
        output = net.unroll(torch.from_numpy(sample.observation), torch.from_numpy(sample.action)).policy_logits
    expected, entropy = 0.0, 0.0
    assert not sample.policy_mask.all()
    for i in range(20):
        for k in range(3):
            if not sample.policy_mask[i, k]:
                continue
            mean, log_std = output[i, k].tolist()
            entropy += (log_std + 0.5 * math.log(2 * math.pi * math.e)) / sample.policy_mask.sum()
            for share, action in zip(sample.policy_target[i, k], sample.sampled_actions[i, k, :, 0], strict=True):
                u = math.atanh(min(max(action / 2.0, END - 1), 1 - END))
                density = -0.5 * ((u - mean) / math.exp(log_std)) ** 2 - log_std - 0.5 * math.log(2 * math.pi)
                expected -= (1.0 if k == 0 else 0.5) * share * density / 20
    terms = learner.loss(net, sample, torch.device("cpu")).terms
    assert float(terms["policy_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(terms["policy_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert "illegal_share_first" not in terms, "no real number is illegal"


def test_the_sampled_actions_behind_an_end_teach_nothing(tmp_path: Path) -> None:
    algorithm = algorithm_of(config_of(tmp_path, environment="Pendulum-v1(max_episode_steps=4)"))
    sample, learner = sample_of(algorithm, played(algorithm, 4)), algorithm.make_learner()
    assert sample.sampled_actions is not None
    noise = np.random.default_rng(0).uniform(-2, 2, sample.sampled_actions.shape).astype(np.float32)
    other = np.where(sample.policy_mask[..., None, None], sample.sampled_actions, noise)
    gradients = []
    for batch in (sample, replace(sample, sampled_actions=other)):
        learner.net.zero_grad(set_to_none=True)
        learner.loss(learner.net, batch, torch.device("cpu")).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in learner.net.parameters() if p.grad is not None]))
    assert not np.array_equal(other, sample.sampled_actions)
    torch.testing.assert_close(*gradients)


LEARNS = (
    *("--algorithm", "muzero", "--muzero.unroll_steps", "1", "--muzero.support", "5", "--net.batch_norm", "false"),
    *("--net.hidden", "32", "--search.num_simulations", "16", "--search.c_scale", "1", "--learner.batch_size", "64"),
    *("--actors.games_per_actor", "32", "--replay.sample_reuse", "32", "--replay.min_positions", "64"),
    *("--learner.learning_rate", "0.01", "--learner.warmup_steps", "0", "--budget.steps", "1000"),
    *("--learner.dtype", "float32", "--checkpoint.every_minutes", "60", "--actors.temperature_plies", "5"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bandit")
    selfplay.train(tiny_config(folder, "--environment", NAME, *LEARNS), folder / "run", Watcher())
    return folder / "run"


def test_a_bandit_is_learned_by_the_whole_loop(run: Path) -> None:
    """The policy's mean, the value and the player: each knows the best action of both states."""
    algorithm = algorithm_of(selfplay.load_config(Config, run / "config.yaml"))
    net = algorithm.make_net().eval()
    net.load_state_dict(checkpoint.load(RunFolder.open(run).checkpoints).weights)
    with torch.no_grad():
        said = net.initial(torch.tensor([[-1.0], [1.0]]))
    middle = (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * torch.tanh(said.policy_logits[:, 0])
    for x, found, value in zip((-1.0, 1.0), middle.tolist(), said.value[:, 0].tolist(), strict=True):
        assert found == pytest.approx(best(x), abs=0.35)
        assert value > -1.0, "drawing uniformly pays -5 on average"


def test_its_player_acts_in_the_environment(run: Path) -> None:
    environment = load_environment_of(run)
    rewards = []
    for text, least in ((f"run:{run}:simulations=20", -0.2), (f"net:{run}", -0.4)):
        agent = read_player(text).make_agent(environment, 0)
        batch = environment.new_batch(16, seed=5)
        actions = agent.act(batch)
        assert actions.shape == (16, 1) and actions.dtype == np.float32
        rewards.append(float(batch.step(actions).reward.mean()))
        assert rewards[-1] > least, text
        agent.close()


def load_environment_of(run: Path):
    from games import load_environment

    return load_environment(selfplay.load_config(Config, run / "config.yaml").environment)


def test_metrics_of_the_run_are_known(run: Path) -> None:
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert not unknown_names(rows[-1]) and any("train/policy_entropy" in row for row in rows)


def test_another_environment_is_refused(run: Path) -> None:
    from games import load_environment

    for name, line in (
        (TWO, r"other actions \(2 real numbers\)"),
        ("Pendulum-v1", r"another observation \(\[3\]\)"),
        ("CartPole-v1", r"other actions \(2\)"),
    ):
        with pytest.raises(UserError, match=line):
            read_player(f"run:{run}").make_agent(load_environment(name), 0)


# Settings.

REFUSED = [
    (("--algorithm", "alphazero"), r"environment: alphazero searches a game and needs its rules; .*"),
    (("--algorithm", "dqn"), r"algorithm: dqn needs a finite number of actions, .* has real ones; use actor_critic"),
    (("--actors.opening_plies", "2"), r"actors\.opening_plies: openings of real-valued actions are not kept; use 0"),
    (("--net.policy", "categorical"), r"net\.policy: categorical does not fit the actions of .*; use auto"),
    (("--muzero.sampled_actions", "1"), r"--muzero\.sampled_actions: 1 is out of range; .*"),
    (("--muzero.uniform_share", "1"), r"--muzero\.uniform_share: 1\.0 is out of range; .*"),
]


@pytest.mark.parametrize(("options", "line"), REFUSED)
def test_what_does_not_go_with_real_actions_is_one_line(tmp_path: Path, options: tuple[str, ...], line: str) -> None:
    with pytest.raises(UserError) as refused:
        selfplay.train(config_of(tmp_path, "--budget.steps", "3", *options), tmp_path / "run", Watcher())
    text = str(refused.value)
    assert "\n" not in text and len(text) < 300 and re.match(line, text), text
    assert not (tmp_path / "run").exists()


def test_memory_is_asked_for_sampled_actions(tmp_path: Path) -> None:
    needs = algorithm_of(config_of(tmp_path, "--replay.capacity", "1000")).needs
    assert {need.what: need.bytes for need in needs.memory}["sampled actions of all positions"] == 1000 * 4 * 6 * 2
