"""Whatever a game or an environment does, play ends: episodes, rounds, budgets, evaluations; and errors are told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from run_helpers import Watcher, tiny_config

import games
import selfplay
from games.base import EPISODE_STEPS, chance_rounds
from games.environments.environment import Environment
from games.soundness import UnsoundError
from selfplay import cli
from selfplay.actors.sources import InlineSource
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.alphazero import AlphaZero
from selfplay.algorithms.registry import load_algorithm
from selfplay.errors import UserError
from selfplay.evaluation import match
from selfplay.evaluation.episodes import play_episodes
from selfplay.evaluation.openings import play_random
from selfplay.experience.figures import SelfPlayCounts
from selfplay.players.agents import RandomAgent
from selfplay.players.kinds import read_player
from selfplay.storage.metrics import read_metrics
from selfplay.storage.run_folder import RunFolder
from selfplay.system import deadline, failures
from selfplay.training import train
from selfplay.training.trainer import Trainer

MODULE = "test_bounds"


class Endless(gym.Env):
    """A continuing task: 1 for every step."""

    metadata = {"render_modes": []}
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(3, np.float32), {}

    def step(self, action):
        return np.ones(3, np.float32), 1.0, False, False, {}


class Failing(Endless):
    """Fails at its 40th step, in whatever copy."""

    made = 0

    def step(self, action):
        Failing.made += 1
        if Failing.made % 40 == 0:
            raise RuntimeError(f"lost contact\nat step {Failing.made}")
        return super().step(action)


class Stuck(Endless):
    """Its tenth step never returns, and catches what it can."""

    made = 0

    def step(self, action):
        Stuck.made += 1
        while Stuck.made % 10 == 0:
            try:
                time.sleep(1000)
            except Exception:
                pass
        return super().step(action)


class Armed(Endless):
    """Fails once it is armed."""

    armed = False

    def step(self, action):
        if Armed.armed:
            raise RuntimeError("went off")
        return super().step(action)


for kind in (Endless, Failing, Stuck, Armed):
    gym.register(f"{kind.__name__}-v0", kind)
    gym.register(f"{kind.__name__}Short-v0", kind, max_episode_steps=20)


class Walk(games.State):
    """Two players walk on for ever."""

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps

    def clone(self):
        return type(self)(self.steps)

    def to_play(self):
        return self.steps % 2

    def legal_actions(self):
        return [0, 1]

    def apply(self, action):
        self.steps += 1

    def rewards(self):
        return [0.0, 0.0]

    def observation(self):
        return np.array([self.steps % 7], np.float32)


class Dice(Walk):
    """After two moves chance rolls for ever."""

    def to_play(self):
        return games.CHANCE if self.steps > 1 else self.steps

    def chance_outcomes(self):
        return [(0, 0.5), (1, 0.5)]


class WalkGame(games.PythonGame):
    num_players, num_actions, state = 2, 2, Walk

    def __init__(self, length: int = 10**9) -> None:
        self.length = self.max_game_length = length
        self.observation_shape = games.with_seats((1,), 2)

    def new_state(self):
        return self.state()


class DiceGame(WalkGame):
    state, max_chance_outcomes = Dice, 2


games.register("endless_walk", WalkGame)
games.register("endless_dice", DiceGame)


def environment_config(folder: Path, environment: str, algorithm: str, *overrides: str) -> selfplay.Config:
    """A small run in one process on an environment."""
    return tiny_config(
        folder,
        *("--environment", environment, "--algorithm", algorithm, "--learner.ema_decay", "0"),
        *("--replay.sample_reuse", "2", "--replay.min_positions", "16", "--actors.games_per_actor", "2"),
        *("--actors.rollout_steps", "8", "--evaluation.games", "2", "--evaluation.final_games", "2", *overrides),
    )


def watched(config: selfplay.Config, run_dir: Path) -> tuple[train.Result, Watcher]:
    watcher = Watcher()
    return train.train(config, run_dir, watcher), watcher


# Episodes and games.


def test_an_episode_without_an_end_is_cut_off_and_said() -> None:
    environment = games.load_environment("Endless-v0")
    batch = environment.new_batch(1, seed=0)
    for _ in range(EPISODE_STEPS):
        step = batch.step(np.zeros(1, np.int64))
    assert step.ended[0] and step.discount[0] == 1.0 and step.final_observation is not None
    assert "27,000" in environment.limit_note and "max_episode_steps=N" in environment.limit_note


@pytest.mark.parametrize("text", ["Endless-v0(max_episode_steps=30)", "EndlessShort-v0"])
def test_a_limit_of_its_own_is_kept_and_not_said(text: str) -> None:
    environment = games.load_environment(text)
    found = play_episodes(RandomAgent(environment, 0), environment, 3, seed=0)
    assert set(found.lengths) <= {20, 30} and found.cut_off == 0
    assert environment.default_limit == 0 and environment.name == text


@pytest.mark.parametrize("text", ["Endless-v0", "Endless-v0(max_episode_steps=-1)"])
def test_an_evaluation_of_play_without_an_end_is_bounded(text: str) -> None:
    environment = games.load_environment(text)
    found = play_episodes(RandomAgent(environment, 0), environment, 1, seed=0)
    assert (
        found.lengths.tolist() == [EPISODE_STEPS] and found.returns.tolist() == [EPISODE_STEPS] and found.cut_off == 1
    )


def test_an_evaluation_ends_with_its_time() -> None:
    environment = games.load_environment("Endless-v0")
    assert len(play_episodes(RandomAgent(environment, 0), environment, 4, seed=0, seconds=0.0).returns) == 0


def test_games_without_an_end_are_bounded_wherever_they_are_played() -> None:
    game = games.load(f"{MODULE}:endless_walk")
    assert game.most_plies == EPISODE_STEPS
    short = games.load(f"{MODULE}:endless_walk(length=50)")  # says so, and goes on all the same
    pool = short.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    assert pool.rollout(np.zeros(1, np.int64), np.random.default_rng(0)).tolist() == [[0.0, 0.0]]
    players = [read_player(text).make_player(short, 1) for text in ("random", "mcts:simulations=2")]
    result = match.play_match(short, *players, 2, opening_plies=0)
    assert result.unfinished == 2 and result.mean_length == 50
    environment = games.load_environment(f"game:{MODULE}:endless_walk(length=50)")
    found = play_episodes(RandomAgent(environment, 0), environment, 2, seed=0)
    assert found.lengths.tolist() == [50, 50] and found.cut_off == 2 and "max_plies=N" in environment.limit_note


def test_a_game_that_ends_with_its_last_move_was_not_cut_off() -> None:
    environment = games.load_environment("game:tic_tac_toe")
    found = play_episodes(RandomAgent(environment, 0), environment, 64, seed=0)
    assert 9 in found.lengths and found.cut_off == 0


def test_chance_without_an_end_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    game = games.load(f"{MODULE}:endless_dice")
    with pytest.raises(games.GameError, match="chance events in a row"):
        list(chance_rounds(game))
    with pytest.raises(games.GameError, match="endless_dice"):
        play_random(game.new_pool(1), np.array([5]), np.random.default_rng(0))
    players = [read_player("random").make_player(game, seed) for seed in (1, 2)]
    with pytest.raises(games.GameError, match="endless_dice"):
        match.play_match(game, *players, 2, opening_plies=0)


# Budgets.


@pytest.mark.parametrize("algorithm", ["reinforce", "dqn", "actor_critic"])
def test_a_budget_of_positions_ends_a_run_on_an_endless_environment(tmp_path: Path, algorithm: str) -> None:
    config = environment_config(
        tmp_path, "Endless-v0(max_episode_steps=-1)", algorithm, "--budget.positions", "100",
        "--evaluation.final_minutes", "0.01",
    )  # fmt: skip
    result, watcher = watched(config, tmp_path / "run")
    row = list(read_metrics(tmp_path / "run" / "metrics.jsonl"))[-1]
    assert row["positions"] == 100, "those of the episode that was broken off count"
    assert result.learned == (algorithm != "reinforce")
    assert (result.learned) == (not [line for line in watcher.lines if "nothing was learned" in line])


def test_a_budget_of_positions_ends_a_round_of_games_that_do_not(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "--game", f"{MODULE}:endless_walk", "--budget.positions", "60")
    result, watcher = watched(config, tmp_path / "run")
    assert not result.learned and any(line == "positions: 64" for line in watcher.lines)
    assert sum("4 positions more than budget.positions" in line for line in watcher.lines) == 1


def test_games_cut_off_by_a_limit_that_nobody_set_are_said_once(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "--game", f"{MODULE}:endless_walk(length=9)", "--budget.steps", "12")
    result, watcher = watched(config, tmp_path / "run")
    assert sum("actors.max_plies sets another limit" in line for line in watcher.lines) == 1


def test_time_ends_a_round_in_the_middle_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE_SECONDS", 0.0)
    Stuck.made = 0

    class HalfASecond:
        def seconds_left(self) -> float:
            return 0.5

        def is_spent(self, counts: SelfPlayCounts) -> bool:
            return False

    algorithm = load_algorithm(environment_config(tmp_path, "Stuck-v0", "actor_critic"))
    source = InlineSource(algorithm, 1, lambda: 0, lambda: False, HalfASecond(), tmp_path / "failed.txt")
    source.start()
    source.publish({PLAYER: (0, algorithm.make_net().state_dict())})
    (finished,) = source.play(may_learn=False)
    records, counts = finished.records, finished.counts
    assert records == [] and counts.positions <= 8, "what was played before the step counts"
    assert source.state_dict() == {"rounds": 1}


def test_time_ends_a_warm_up_that_plays_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plays_for_ever(algorithm: object) -> None:
        while True:
            pass

    monkeypatch.setattr(deadline, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(AlphaZero, "warm_up", plays_for_ever)
    config = environment_config(tmp_path, "", "alphazero", "--budget.positions", "0", "--budget.minutes", "0.002")
    assert not train.train(config, tmp_path / "run", Watcher()).learned


def test_actors_are_allowed_to_play_before_the_learner_waits_for_them(tmp_path: Path) -> None:
    class Asked:
        restarts = 0

        def __init__(self) -> None:
            self.calls: list[str] = []

        def __getattr__(self, name: str) -> Callable[..., tuple[()]]:
            return lambda *content: self.calls.append(name) or ()

    config = environment_config(tmp_path, "EndlessShort-v0", "reinforce", "--actors.num_actors", "2")
    source = Asked()
    with RunFolder.create(tmp_path / "run", "test") as folder:
        trainer = Trainer(config, folder, Watcher())
        trainer.source = source
        trainer._play()
        trainer.close()
    assert [call for call in source.calls if call != "progress_changed"][:2] == ["allow", "play"]


def test_actors_play_no_more_positions_than_the_games_of_the_budget_have(tmp_path: Path) -> None:
    budget = ("--budget.positions", "0", "--budget.games", "100")
    config = environment_config(tmp_path, "EndlessShort-v0", "reinforce", "--actors.num_actors", "2", *budget)
    with RunFolder.create(tmp_path / "run", "test") as folder:
        trainer = Trainer(config, folder, Watcher())
        assert trainer.progress.positions_left() == 100, "of games of one position"
        trainer.progress.positions = 300
        assert trainer.progress.positions_left() == 30_000, "none has ended"
        trainer.progress.positions, trainer.progress.games = 600, 30
        assert trainer.progress.positions_left() == 70 * 20
        trainer.close()


def test_the_learner_has_its_share_of_the_last_rollout(tmp_path: Path) -> None:
    config = environment_config(tmp_path, "EndlessShort-v0", "actor_critic", "--budget.positions", "48")
    _, watcher = watched(config, tmp_path / "run")
    assert "positions: 48" in watcher.lines and "steps: 6" in watcher.lines  # 2 passes over 48 in batches of 16


@pytest.mark.parametrize(
    ("algorithm", "overrides", "said"),
    [
        ("dqn", ("--budget.positions", "100", "--replay.min_positions", "101"), "replay.min_positions"),
        ("dqn", ("--budget.positions", "100", "--learner.batch_size", "202"), "learner.batch_size"),
        ("actor_critic", ("--budget.positions", "15"), "actors.rollout_steps"),
        ("actor_critic", ("--budget.positions", "31", "--actors.num_actors", "2"), "actors.rollout_steps"),
        ("reinforce", ("--budget.games", "1"), "actors.games_per_actor"),
        ("alphazero", ("--budget.positions", "15", "--environment", ""), "replay.min_positions"),
    ],
)
def test_a_budget_that_cannot_give_a_step_is_refused(tmp_path: Path, algorithm, overrides, said) -> None:
    config = environment_config(tmp_path, "EndlessShort-v0", algorithm, *overrides)
    with pytest.raises(UserError, match=f"^budget.*{said}"):
        selfplay.train(config, tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()


def test_a_run_that_learns_nothing_has_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.yaml").write_text("")
    path = tmp_path / "tiny.yaml"
    tiny_config(tmp_path)
    arguments = ["train", str(path), "--run-dir", str(tmp_path / "run"), "--budget.minutes", "0.00001"]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().out.count("nothing was learned") == 1
    assert cli.main(["resume", str(tmp_path / "run"), "--budget.minutes", "0.00001"]) == 0, "not a new run"


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["dqn", "actor_critic"])
def test_fast_actors_wait_for_the_learner(tmp_path: Path, algorithm: str) -> None:
    config = environment_config(
        tmp_path, f"{MODULE}:EndlessShort-v0", algorithm, "--actors.num_actors", "2", "--budget.positions", "4000"
    )
    _, watcher = watched(config, tmp_path / "run")
    row = list(read_metrics(tmp_path / "run" / "metrics.jsonl"))[-1]
    assert 4000 <= row["positions"] <= 4000 + 32
    assert row["step"] >= 0.98 * 2 * 4000 / 16 - 4
    ahead = [status.positions - status.step * 16 / 2 for status in watcher.statuses]
    assert max(ahead) <= 16 + 0.1 * 4000 + 4 * 8 + 3 * 32, "min_positions, a tenth of the replay, batches and rollouts"


# Errors from outside.


def test_an_environment_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    Failing.made = 0
    config = environment_config(tmp_path, "Failing-v0", "actor_critic", "--budget.positions", "4000")
    with pytest.raises(UserError) as raised:
        selfplay.train(config, tmp_path / "run", Watcher())
    (line,) = str(raised.value).splitlines()
    kept = tmp_path / "run" / "failed_play.txt"
    assert "RuntimeError: lost contact" in line and "test_bounds.py, line" in line and str(kept) in line
    assert "at step 40" in kept.read_text()


def test_an_environment_that_fails_in_the_last_evaluation_costs_no_training(tmp_path: Path) -> None:
    class Arming(Watcher):
        def phase(self, text: str) -> None:
            Armed.armed = text.startswith("evaluating")

    watcher = Arming()
    config = environment_config(tmp_path, "ArmedShort-v0", "actor_critic", "--budget.positions", "48")
    result = train.train(config, tmp_path / "run", watcher)
    assert result.learned and result.evaluation is None
    (said,) = [line for line in watcher.lines if "went off" in line]
    assert "RuntimeError" in said and str(tmp_path / "run" / "failed_evaluation.txt") in said
    assert "went off" in (tmp_path / "run" / "failed_evaluation.txt").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
        ("def step(:\n", "SyntaxError: invalid syntax"),
        ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("class PanicException(BaseException): pass\nraise PanicException('in Rust')\n", "PanicException: in Rust"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_one_line(tmp_path, monkeypatch, capsys, content, said) -> None:
    name = f"unimportable_{len(content)}"
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    for command in (
        ["evaluate", "random", "--episodes", "2", "--env"],
        ["match", "random", "random", "--games", "2", "--game"],
    ):
        assert cli.main([*command, f"{name}:X-v0"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line and f"{name}.py, line" in line


def test_a_game_that_says_something_wrong_in_the_last_evaluation_costs_no_training(tmp_path, monkeypatch) -> None:
    def unsound(*content: object, **settings: object) -> None:
        raise UnsoundError("pile: rewards()[0] is nan")

    monkeypatch.setattr(train, "evaluate_checkpoint", unsound)
    config = environment_config(tmp_path, "EndlessShort-v0", "actor_critic", "--budget.positions", "48")
    result, watcher = watched(config, tmp_path / "run")
    assert result.learned and result.evaluation is None
    assert any("pile: rewards()[0] is nan" in line for line in watcher.lines)


def test_an_error_that_is_no_exception_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries in Rust raise one that `except Exception` lets through: it was a traceback."""

    class PanicException(BaseException):
        pass

    def panic(self: gym.Env, action: int) -> None:
        raise PanicException("unwrap")

    monkeypatch.setattr(Failing, "step", panic)
    Failing.made = 1
    with pytest.raises(UserError, match=r"playing failed: PanicException: unwrap \(.*test_bounds\.py, line"):
        train.train(environment_config(tmp_path, "Failing-v0", "actor_critic"), tmp_path / "run", Watcher())
    for own in (KeyboardInterrupt(), deadline.TimeIsUp()):

        def stop(self: gym.Env, action: int, own: BaseException = own) -> None:
            raise own

        monkeypatch.setattr(Failing, "step", stop)
        with pytest.raises(type(own)), failures.told("playing", None):
            gym.make("Failing-v0").unwrapped.step(0)


def test_code_that_catches_everything_ends_with_its_time() -> None:
    """The alarm was caught by the environment again and again, and the run went on for ever."""
    program = (
        "import time\nfrom selfplay.system import deadline\n"
        "deadline.GRACE_SECONDS = deadline.AGAIN_SECONDS = 0.01\n"
        "with deadline.deadline(0.0):\n    while True:\n        try:\n            time.sleep(1)\n"
        "        except BaseException:\n            pass\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr == (
        "selfplay: error: time is up, and <string>, line 7 catches what should end it; what was saved last stays\n"
    )


def test_an_error_of_this_program_is_none_from_outside() -> None:
    with pytest.raises(AttributeError) as raised:
        failures.keep(None, Path("unused"))  # type: ignore[arg-type]
    assert not failures.is_from_outside(raised.value.with_traceback(raised.value.__traceback__.tb_next))


def test_an_environment_that_fails_in_a_command_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Failing.made = 0
    assert cli.main(["evaluate", "random", "--env", "Failing-v0", "--episodes", "2"]) == 2
    said = capsys.readouterr().err
    assert said.count("RuntimeError: lost contact") == 1 and "Traceback" not in said and "traceback is in" in said


def test_environments_of_one_s_own_have_no_limit_unless_they_say_so() -> None:
    assert Environment.default_limit == 0
