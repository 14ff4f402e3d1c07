"""Runs without search, end to end: DQN, REINFORCE, A2C and PPO on environments and on games."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from run_helpers import Watcher

import games
import selfplay
from games.environments.registry import load_environment
from selfplay.algorithms import networks
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.registry import load_algorithm
from selfplay.cli import main
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.episodes import play_episodes
from selfplay.players import trained
from selfplay.players.agents import NetworkAgent, RandomAgent
from selfplay.players.kinds import read_player
from selfplay.replay.rewards import Rewards
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.training.checks import check

SMALL = """
environment: CartPole-v1
name: small
net: {kind: mlp, hidden: 16, layers: 1, value_hidden: 0, batch_norm: false}
actors: {num_actors: 0, games_per_actor: 2, rollout_steps: 8, dtype: float32, device: cpu}
replay: {capacity: 1000, min_positions: 50, sample_reuse: 4}
learner: {batch_size: 16, warmup_steps: 0, device: cpu}
evaluation: {games: 2, final_games: 4, every_minutes: 0}
wandb: {mode: disabled}
checkpoint: {every_minutes: 60}
"""
ALGORITHMS = {
    "dqn": ("--algorithm", "dqn"),
    "rainbow": ("--algorithm", "dqn", "--dqn.double", "--dqn.duelling", "--dqn.n-step", "3")
    + ("--dqn.priority-exponent", "0.6"),
    "reinforce": ("--algorithm", "reinforce", "--learner.batch-size", "0"),
    "a2c": ("--algorithm", "actor_critic", "--learner.batch-size", "0", "--replay.sample-reuse", "1"),
    "ppo": ("--algorithm", "actor_critic", "--actor-critic.clip", "0.2", "--net.separate-value")
    + ("--net.input-transform", "running", "--rewards.normalise"),
}


def small_config(folder: Path, *overrides: str) -> Config:
    path = folder / "small.yaml"
    path.write_text(SMALL)
    return selfplay.load_config(Config, path, overrides)


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "checkpoints").learner


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_trains_evaluates_and_repeats_exactly_from_its_seed(tmp_path, name):
    config = small_config(tmp_path, *ALGORITHMS[name], "--budget.positions", "300")
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        result = selfplay.train(config, folder, Watcher())
        assert result.stopped_by == "budget"
        mean, (low, high) = result.evaluation.mean_return, result.evaluation.return_interval
        assert low <= mean <= high and 8 <= mean <= 500
    first, second = map(saved_weights, folders)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    rows = list(read_metrics(folders[0] / "metrics.jsonl"))
    assert not [found for row in rows for found in unknown_names(row)]
    assert rows[-1]["positions"] >= 300
    start = load_algorithm(config).make_net().state_dict()
    assert any(not torch.equal(first[f"raw.{key}"], start[key]) for key in start)


@pytest.mark.parametrize("name", ["rainbow", "ppo"])
def test_a_run_goes_on_from_its_checkpoint(tmp_path, name):
    config = small_config(tmp_path, *ALGORITHMS[name], "--budget.positions", "192", "--dqn.target-steps", "7")
    selfplay.train(config, tmp_path / "run", Watcher())
    before = checkpoint.load(tmp_path / "run" / "checkpoints")
    longer = dataclasses.replace(config, budget=dataclasses.replace(config.budget, positions=384))
    watcher = Watcher()
    result = selfplay.resume(tmp_path / "run", lambda old: longer, watcher)
    after = checkpoint.load(tmp_path / "run" / "checkpoints")
    assert result.version > before.version
    assert after.state["positions"] >= 384 > before.state["positions"] >= 192
    if name == "ppo":  # so are the moments that observations are normalised by
        assert after.learner["algorithm.observations.count"] == after.state["positions"]
    if name == "rainbow":  # the target network is part of what is saved, and not the network itself
        assert any(key.startswith("loss.target.") for key in before.learner)
        assert any(
            not torch.equal(before.learner[f"raw.{key.removeprefix('loss.target.')}"], before.learner[key])
            for key in before.learner
            if key.startswith("loss.target.")
        )


@pytest.mark.parametrize(("game", "transform"), [("tic_tac_toe", "none"), ("2048", "signed_sqrt")])
def test_a_policy_on_a_game_has_the_network_that_players_make_of_it(tmp_path, game, transform):
    """Returns of 2048 are in the thousands, where a value through tanh would say 1."""
    config = small_config(tmp_path, *ALGORITHMS["ppo"], "--environment", "", "--game", game)
    ours, theirs = load_algorithm(config).make_net(), networks.make_net(config, games.load(game))
    assert ours.config.value_transform == theirs.config.value_transform == transform
    assert [tensor.shape for tensor in ours.state_dict().values()] == [t.shape for t in theirs.state_dict().values()]


def test_dqn_on_a_game_says_what_its_best_move_is_worth(tmp_path):
    config = small_config(tmp_path, *ALGORITHMS["dqn"], "--environment", "", "--game", "tic_tac_toe")
    selfplay.train(dataclasses.replace(config, budget=dataclasses.replace(config.budget, steps=20)), tmp_path / "run")
    game = games.load("tic_tac_toe")
    player = read_player(f"net:{tmp_path / 'run'}").make_player(game, 0)
    pool = game.new_pool(2)
    pool.reset(np.arange(2))
    pool.step(np.array([1]), np.array([4]), np.array([1]))
    actions, values = player.decide(pool, np.arange(2), [[], [4]])
    model = player.network.models.make_model()
    model.allocate(2)
    model.load(np.arange(2), pool, np.arange(2))
    evaluation = model.evaluate(np.arange(2))
    q = np.split(evaluation.logits, evaluation.offsets[1:-1])
    assert values.tolist() == [row.max() for row in q]
    assert player.analyse(pool, 1).value == values[1]
    player.close()
    with pytest.raises(UserError, match="no policy for a search; use net:"):
        read_player(f"run:{tmp_path / 'run'}:simulations=4").make_player(game, 0)


def test_returns_that_rewards_are_divided_by_run_on_within_each_actor(tmp_path):
    """Rollouts of several actors come in any order; each goes on with its own episodes."""
    config = small_config(tmp_path, *ALGORITHMS["ppo"], "--rewards.discount", "0.5")

    def deviation(order: list[int]) -> np.ndarray:
        algorithm, rewards = load_algorithm(config), Rewards(config.rewards)
        rng = np.random.default_rng(0)
        inference = algorithm.make_inference()
        inference.load(algorithm.make_net().state_dict(), 0)
        made = [
            algorithm.make_collector({PLAYER: inference}, np.random.default_rng(actor), 0, actor) for actor in (0, 1)
        ]
        rollouts = {actor: [r for _ in range(24) for r in collector.collect()] for actor, collector in enumerate(made)}
        for rollout in (r for actor in (0, 1) for r in rollouts[actor]):
            rollout.reward[:] = rng.uniform(size=rollout.reward.shape)
            rollout.ended[:] = False
        for actor in order:
            rewards.count(rollouts[actor].pop(0))
        return rewards.state_dict()["returns.squares"].numpy()

    assert deviation([0, 0, 0, 1, 1, 1]) == pytest.approx(deviation([0, 1, 0, 1, 1, 0]))


def test_what_the_loss_remembers_comes_back(tmp_path):
    config = small_config(tmp_path, *ALGORITHMS["dqn"])
    algorithm = load_algorithm(config)
    learners = [algorithm.make_learner() for _ in range(2)]
    with torch.no_grad():
        for tensor in learners[0].loss.target.parameters():
            tensor.add_(1.0)
    learners[1].load_state_dict(learners[0].state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(learners[0].loss.state_dict().values(), learners[1].loss.state_dict().values())
    )


def test_actor_processes_play_while_the_learner_learns(tmp_path):
    config = small_config(
        tmp_path,
        *ALGORITHMS["dqn"],
        "--actors.num-actors",
        "2",
        "--budget.steps",
        "60",
        "--learner.publish-steps",
        "10",
    )
    result = selfplay.train(config, tmp_path / "run", Watcher())
    assert result.version == 60
    state = checkpoint.load(tmp_path / "run" / "checkpoints").state
    assert state["samples"] == 60 * 16 <= 4 * state["positions"]


def test_observations_are_normalised_by_what_was_seen(tmp_path):
    config = small_config(tmp_path, *ALGORITHMS["ppo"], "--budget.positions", "300", "--learner.ema-decay", "0")
    selfplay.train(config, tmp_path / "run", Watcher())
    weights, _ = checkpoint.load_weights(tmp_path / "run" / "checkpoints")
    variance = weights["normaliser.variance"]
    assert (variance > 0).all() and (variance < 1).all()  # Cart-Pole moves little at first
    assert not torch.equal(weights["normaliser.mean"], torch.zeros(4))


@pytest.mark.parametrize(("least", "passes"), [("0", 4), ("1", 1), ("1.5", 2)])
def test_rollouts_give_way_as_soon_as_actors_would_not_wait(tmp_path, least, passes):
    config = small_config(tmp_path, *ALGORITHMS["ppo"], "--replay.least-reuse", least)
    assert load_algorithm(config).make_replay()._passes == passes


def test_when_it_is_saved_changes_nothing_that_is_learned(tmp_path):
    """The moments that the network normalises by are those of the start of a rollout for all passes over it."""
    found = []
    for every in ("1", "0"):
        run = tmp_path / every
        config = small_config(tmp_path, *ALGORITHMS["ppo"], "--budget.steps", "40", "--checkpoint.every-steps", every)
        selfplay.train(config, run, Watcher())
        found.append(checkpoint.load_weights(run / "checkpoints")[0])
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[1])


def test_a_policy_by_self_play_is_a_player_like_any_other(tmp_path, capsys):
    config = small_config(
        tmp_path, "--environment", "", "--game", "tic_tac_toe", *ALGORITHMS["reinforce"], "--budget.games", "300",
        "--actors.games-per-actor", "16", "--evaluation.opponents", "random",
    )  # fmt: skip
    result = selfplay.train(config, tmp_path / "run", Watcher())
    assert set(result.evaluation.scores) == {"random"}
    for kind in ("net", "run"):  # the network alone, and under a search
        assert main(["match", f"{kind}:{tmp_path / 'run'}", "random", "--games", "4", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["games"] == 4


def test_evaluate_plays_episodes_of_a_run_and_of_random_actions(tmp_path, capsys):
    config = small_config(tmp_path, *ALGORITHMS["a2c"], "--budget.positions", "100")
    selfplay.train(config, tmp_path / "run", Watcher())
    capsys.readouterr()
    for player in (f"run:{tmp_path / 'run'}", f"net:{tmp_path / 'run'}", f"run:{tmp_path / 'run'}:temperature=1"):
        assert main(["evaluate", player, "--episodes", "5", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found["returns"]) == 5 and found["low"] <= found["mean"] <= found["high"]
    assert main(["evaluate", "random", "--env", "CartPole-v1", "--episodes", "50"]) == 0
    assert "mean return" in capsys.readouterr().out


def test_one_episode_has_no_interval(capsys):
    words = ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "1"]
    assert main(words) == 0
    assert "95 %" not in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["low"] is None and found["high"] is None and found["returns"] == [found["mean"]]


def test_a_search_acts_in_the_environment_whose_states_its_game_knows():
    environment = load_environment("CartPole-v1")
    found = {}
    for text in ("mcts:simulations=50", "random"):
        agent = read_player(text).make_agent(environment, seed=0)
        found[text] = play_episodes(agent, environment, 10, seed=1).mean
    assert found["mcts:simulations=50"] > 4 * found["random"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["random", "--episodes", "5"], "--env"),
        (["solver", "--env", "CartPole-v1", "--episodes", "5"], "cannot act"),
        (["mcts", "--env", "Acrobot-v1", "--episodes", "5"], "cart_pole"),
        (["random", "--env", "NoSuch-v9", "--episodes", "5"], "NoSuch"),
        (["random"], "--episodes"),
        (["random", "--env", "CartPole-v1", "--episodes", "5", "--positions", "x"], "--positions"),
    ],
)
def test_evaluate_says_what_is_wrong(arguments, complaint, capsys):
    assert main(["evaluate", *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio_ffmpeg leaves the pipes of a reader open
def test_an_episode_is_filmed(tmp_path, capsys, monkeypatch):
    film = tmp_path / "film.mp4"
    world = "grid_world(map=russell_norvig,max_steps=20)"
    assert main(["evaluate", "random", "--env", world, "--episodes", "2", "--video", str(film)]) == 0
    frames = imageio_ffmpeg.read_frames(str(film))
    size = next(frames)["size"]
    assert min(size) >= 240 and sum(1 for _ in frames) >= 1
    monkeypatch.setattr(
        "selfplay.evaluation.episodes.play_episodes", lambda *_: pytest.fail("the result would be lost")
    )
    assert main(["evaluate", "random", "--env", world, "--episodes", "2", "--video", str(tmp_path / "film.gif")]) == 2
    assert ".mp4" in capsys.readouterr().err


def test_a_film_that_cannot_be_written_is_refused_before_the_episodes(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    monkeypatch.setattr(
        "selfplay.evaluation.episodes.play_episodes", lambda *_: pytest.fail("the result would be lost")
    )
    given = ["evaluate", "random", "--env", "grid_world(map=russell_norvig,max_steps=20)", "--episodes", "2", "--video"]
    assert main([*given, str(folder)]) == 2
    assert capsys.readouterr().err == f"selfplay: error: {folder}: cannot be written\n"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main([*given, str(tmp_path / "film.mp4")]) == 2
    assert capsys.readouterr().err == f"selfplay: error: {tmp_path / 'film.mp4'}: cannot be written\n"


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (("--algorithm", "alphazero"), "environment"),
        (("--algorithm", "dqn", "--learner.batch-size", "0"), "batch_size"),
        (("--algorithm", "dqn", "--environment", "Pendulum-v1"), "finite number of actions"),
        (("--algorithm", "dqn", "--replay.capacity", "50", "--actors.games-per-actor", "20"), "replay.capacity"),
        (("--algorithm", "dqn", "--replay.capacity", "1000000000000"), "transitions take at least"),
        (("--algorithm", "reinforce", "--actor-critic.clip", "0.2"), "clip"),
        (("--algorithm", "actor_critic", "--replay.sample-reuse", "1.5"), "passes"),
        (("--algorithm", "actor_critic", "--net.policy", "gaussian"), "net.policy"),
        (("--algorithm", "actor_critic", "--evaluation.gate"), "evaluation.gate"),
        (("--algorithm", "actor_critic", "--net.input-transform", "pixels"), "input_transform: pixels is not for"),
        (("--algorithm", "dqn", "--net.input-transform", "running"), "input_transform: dqn keeps no running"),
        (("--algorithm", "dqn", "--environment", "ALE/Pong-v5", "--net.input-transform", "symlog"), "input_transform"),
        (("--algorithm", "dqn", "--net.batch-norm", "--learner.batch-size", "1"), "batch_size: 1"),
        (
            ("--algorithm", "actor_critic", "--net.batch-norm", "--actors.rollout-steps", "1")
            + ("--actors.games-per-actor", "1"),
            "rollout_steps: 1",
        ),
        (("--algorithm", "actor_critic", "--net.kind", "nature"), "screen"),
        *(
            (
                ("--algorithm", algorithm, f"--net.{head}_head", "true"),
                f"net.{head}_head: {algorithm} does not teach it",
            )
            for algorithm, head in (
                ("dqn", "reply"),
                ("reinforce", "moves_left"),
                ("actor_critic", "score"),
            )
        ),
        (("--algorithm", "dqn", "--actors.opening-moves", "policy"), "opening_moves: dqn begins with uniform"),
        (("--algorithm", "actor_critic", "--environment", "", "--game", "chinese_checkers(players=3)"), "zero"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_made(tmp_path, overrides, complaint):
    with pytest.raises((UserError, ValueError), match=complaint):
        check(small_config(tmp_path, *overrides))


def test_a_run_on_another_environment_cannot_act_here(tmp_path):
    config = small_config(tmp_path, *ALGORITHMS["dqn"], "--budget.positions", "64")
    selfplay.train(config, tmp_path / "run", Watcher())
    with pytest.raises(UserError, match="was trained on CartPole-v1"):
        NetworkAgent(str(tmp_path / "run"), load_environment("Acrobot-v1"), True, 0)


def test_a_second_agent_of_a_run_traces_no_network_again(tmp_path, monkeypatch):
    """A traced network is never freed: an evaluation of each checkpoint would leave one behind."""
    config = small_config(tmp_path, *ALGORITHMS["dqn"], "--budget.positions", "64", "--checkpoint.every_steps", "1")
    selfplay.train(config, tmp_path / "run", Watcher())
    environment, made = load_environment("CartPole-v1"), []
    versions = sorted(checkpoint.versions(tmp_path / "run" / "checkpoints"))
    plain = networks.make_environment_inference

    def counted(*given):
        made.append(given)
        return plain(*given)

    monkeypatch.setattr(networks, "make_environment_inference", counted)
    monkeypatch.setattr(trained, "_idle", {})
    fresh = [NetworkAgent(f"{tmp_path / 'run'}@{version}", environment, False, 0) for version in versions[-2:]]
    assert len(made) == 2, "two at once need a network each"
    observation = environment.new_batch(4, 0).observation
    expected = [agent._inference.predict(observation)[0] for agent in fresh]
    for agent in fresh:
        agent.close()
        agent.close()
    for version, output in zip(versions[-2:], expected, strict=True):
        agent = NetworkAgent(f"{tmp_path / 'run'}@{version}", environment, False, 0)
        np.testing.assert_array_equal(agent._inference.predict(observation)[0], output)
        agent.close()
    assert len(made) == 2 and not np.array_equal(*expected)


def test_every_copy_of_an_environment_has_its_share_of_the_episodes():
    """Taking those that end first would count short episodes more often."""
    environment = load_environment("CartPole-v1")
    found = play_episodes(RandomAgent(environment, 0), environment, 100, seed=0)
    assert len(found.returns) == len(found.lengths) == 100
    np.testing.assert_array_equal(found.returns, found.lengths)
    assert 15 < found.mean < 30  # random actions keep the pole up for about 22 steps
