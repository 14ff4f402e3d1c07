"""Every setting that `selfplay resume` lets through takes effect: nothing is kept from the old run in silence.

A run that plays and learns in turn repeats exactly. So it is resumed twice from one checkpoint, as it was and with one
setting changed, and what comes of it has to differ.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from line_game import NAME as LINE_GAME
from real_bandit import NAME as REAL_BANDIT
from run_helpers import Watcher, tiny_config

import selfplay
from selfplay.actors.finished import Finished
from selfplay.actors.sources import InlineSource, Publication
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.registry import load_algorithm
from selfplay.cli import main
from selfplay.config import reader
from selfplay.config.run import Config, WandbConfig
from selfplay.config.schema import flatten, settings_of
from selfplay.errors import UserError
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.rollouts import Rollout
from selfplay.players.trained import player_of_checkpoint
from selfplay.replay.rewards import Rewards
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics
from selfplay.training import reporting, train
from selfplay.training import trainer as trainer_module
from selfplay.training.evaluator import RATINGS, rating_conditions
from selfplay.training.resuming import FIXED, WITH_GAMES, WITH_TARGETS
from selfplay.training.tracking import MirroredRun, NullTracker

COMMON = (
    *("--budget.steps", "6", "--checkpoint.keep_last", "20", "--learner.dtype", "float32"),
    *("--replay.sample_reuse", "2", "--learner.warmup_steps", "9", "--learner.gradient_clip", "0.5"),
    *("--learner.schedule", "linear", "--learner.learning_rate", "0.01"),
)
GAMES = (
    *("--net.reply_head", "--net.moves_left_head", "--replay.min_positions", "60", "--replay.window_start", "40"),
    *("--actors.full_search_share", "0.7", "--actors.fast_simulations", "2", "--actors.resign_value", "0.05"),
    *("--actors.temperature_plies", "3", "--actors.resign_plies", "2", "--search.num_simulations", "6"),
)
PUCT = (*GAMES, "--search.rule", "puct")
EPISODES = (
    *("--environment", "CartPole-v1", "--actors.rollout_steps", "8", "--replay.min_positions", "64"),
    *("--replay.capacity", "200"),
)
ON_POLICY = (*EPISODES, "--algorithm", "actor_critic", "--actor_critic.clip", "0.2", "--rewards.normalise")
BASES: dict[str, tuple[str, ...]] = {
    "gumbel": GAMES,
    "puct": PUCT,
    "labelled": (
        *("--game", "othello", "--net.ownership_head", "--net.score_head", "--net.kind", "resnet"),
        *("--net.channels", "4", "--net.blocks", "1", "--search.num_simulations", "2"),
        *("--replay.min_positions", "60", "--replay.window_start", "40"),
    ),
    "curriculum": (
        *("--game", f"{LINE_GAME}(size=4)", "--curriculum", f"{LINE_GAME}(size=3) until=0.5", "--net.kind", "resnet"),
        *("--net.channels", "4", "--net.blocks", "1", "--search.num_simulations", "2"),
        *("--replay.min_positions", "60", "--replay.window_start", "40"),
    ),
    "sgd": (*PUCT, "--learner.optimizer", "sgd"),
    "muzero": (
        *("--algorithm", "muzero", "--muzero.unroll_steps", "2", "--muzero.consistency_weight", "1"),
        *("--replay.min_positions", "60", "--replay.window_start", "40", "--search.num_simulations", "6"),
    ),
    "stochastic": (
        *("--algorithm", "muzero", "--game", "pig(winscore=15)", "--muzero.unroll_steps", "2"),
        *("--muzero.chance_codes", "4", "--replay.min_positions", "60", "--replay.window_start", "40"),
        *("--search.num_simulations", "4"),
    ),
    "sampled": (
        *("--environment", REAL_BANDIT, "--algorithm", "muzero", "--net.batch_norm", "false"),
        *("--replay.min_positions", "20", "--replay.window_start", "20", "--search.num_simulations", "6"),
    ),
    "dqn": (*EPISODES, "--algorithm", "dqn", "--dqn.priority_exponent", "0.5", "--dqn.target_steps", "4"),
    "ppo": (*ON_POLICY, "--replay.sample_reuse", "2"),
    "reinforce": (*EPISODES, "--algorithm", "reinforce", "--replay.sample_reuse", "1"),
}
LONGER = ("--budget.steps", "20")


class Observed:
    """What a resumed run was seen to do, beside what it leaves on disk."""

    def __init__(self) -> None:
        self.asked: Any = None  # the matches after the last step
        self.evaluations: list[Any] = []  # those on the way, and with which settings
        self.periods: list[float] = []  # of timers
        self.mirror: tuple[Any, ...] = ()
        self.threads: list[int] = []
        self.fleets: list[int] = []  # numbers of actors
        self.published: list[int] = []  # versions


def learned(run: Path, observed: Observed) -> Any:
    """The network, its average, the optimiser, and the counters."""
    saved = checkpoint.load(run / "checkpoints")
    counters = {name: saved.state[name] for name in ("samples", "games", "positions", "kept", "rounds", "steps")}
    return counters, {
        name: tensor.double().numpy().tobytes() for name, tensor in (saved.weights | saved.learner).items()
    }


def files(run: Path, observed: Observed) -> Any:
    """The names of what is kept on disk."""
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.suffix in (".npz", ".safetensors"))


def stale(run: Path, observed: Observed) -> Any:
    """Positions that were left out for their age."""
    return list(read_metrics(run / "metrics.jsonl"))[-1]["train/stale_positions"]


def seen(name: str) -> Callable[[Path, Observed], Any]:
    """One of the things observed."""
    return lambda run, observed: getattr(observed, name)


@dataclass(frozen=True)
class Change:
    """A setting that differs, in which run, and where that shows."""

    base: str
    value: str | tuple[str, ...]
    shows: Callable[[Path, Observed], Any] = learned
    beside: tuple[str, ...] = ()
    """Settings of both resumed runs."""


ACTOR = ("--actors.num_actors", "1")
MATCHES = ("--evaluation.opponents", "random")
OFTEN = (*MATCHES, "--evaluation.every_minutes", "1")
GATE = (*OFTEN, "--evaluation.gate")
SAVES = ("--checkpoint.every_steps", "2", "--checkpoint.keep_every", "0")

CHANGES: dict[str, Change] = {
    "curriculum": Change("curriculum", f"{LINE_GAME}(size=3) until=0.9"),
    "search.rule": Change("puct", "gumbel"),
    "search.num_simulations": Change("puct", "12"),
    "search.pb_c_init": Change("puct", "9"),
    "search.pb_c_base": Change("puct", "1"),
    "search.fpu_reduction": Change("puct", "2"),
    "search.dirichlet_alpha": Change("puct", "0.1"),
    "search.dirichlet_fraction": Change("puct", "0.9"),
    "search.max_considered_actions": Change("gumbel", "2"),
    "search.c_visit": Change("gumbel", "1"),
    "search.c_scale": Change("gumbel", "5"),
    "search.discount": Change("puct", "0.5"),
    "search.forced_playouts": Change("puct", "9"),
    "search.subtree_reuse": Change("puct", "true"),
    "search.proven_values": Change("puct", "true"),
    "actors.num_actors": Change("puct", "3", seen("fleets"), ACTOR),
    "actors.games_per_actor": Change("puct", "5"),
    "actors.rollout_steps": Change("ppo", "5"),
    "actors.temperature": Change("puct", "9"),
    "actors.temperature_plies": Change("puct", "1"),
    "actors.final_temperature": Change("puct", "9"),
    "actors.opening_plies": Change("puct", "2"),
    "actors.opening_moves": Change("puct", "policy", beside=("--actors.opening_plies", "3")),
    "actors.full_search_share": Change("puct", "0.3"),
    "actors.fast_simulations": Change("puct", "5"),
    "actors.resign_value": Change("puct", "0.9"),
    "actors.resign_plies": Change("puct", "4"),
    "actors.resign_wrong_share": Change("puct", "0"),
    "actors.resign_weight": Change("puct", "0.9"),
    "actors.symmetries": Change("puct", "random"),
    "actors.max_plies": Change("puct", "4"),
    "actors.dtype": Change("puct", "bfloat16"),
    "replay.capacity": Change("dqn", "120"),
    "replay.min_positions": Change("puct", "199"),
    "replay.window_start": Change("puct", "20"),
    "replay.window_exponent": Change("puct", "0"),
    "replay.sample_reuse": Change("puct", "3"),
    "replay.least_reuse": Change(
        "puct", "0.1", learned, (*ACTOR, "--replay.min_positions", "1", "--learner.batch_size", "4")
    ),
    "replay.max_policy_lag": Change("puct", "1", stale, (*ACTOR, "--budget.positions", "900")),
    "learner.batch_size": Change("puct", "8"),
    "learner.learning_rate": Change("puct", "0.02"),
    "learner.final_learning_rate": Change("puct", "1"),
    "learner.schedule": Change("puct", "constant"),
    "learner.warmup_steps": Change("puct", "99"),
    "learner.adam_epsilon": Change("puct", "0.1"),
    "learner.momentum": Change("sgd", "0.5"),
    "learner.weight_decay": Change("puct", "0.1"),
    "learner.gradient_clip": Change("puct", "0.1"),
    "learner.value_weight": Change("puct", "2"),
    "learner.root_value_share": Change("puct", "0.5"),
    "learner.policy_surprise": Change("puct", "0.5"),
    "learner.policy_gradient_weight": Change("puct", "1"),
    "learner.reply_weight": Change("puct", "1"),
    "learner.moves_left_weight": Change("puct", "1"),
    "learner.ownership_weight": Change("labelled", "9"),
    "learner.score_weight": Change("labelled", "9"),
    "learner.td_steps": Change("puct", "1"),
    "learner.ema_decay": Change("puct", "0.1"),
    "learner.symmetries": Change("puct", "false"),
    "learner.publish_steps": Change("puct", "2", seen("published"), ACTOR),
    "learner.dtype": Change("dqn", "float64"),
    "learner.threads": Change("puct", "2", seen("threads")),
    "rewards.discount": Change("ppo", "0.5"),
    "rewards.clip": Change("ppo", "0.5"),
    "rewards.normalise": Change("ppo", "false"),
    "dqn.epsilon": Change("dqn", "0"),
    "dqn.final_epsilon": Change("dqn", "0", beside=("--dqn.epsilon_positions", "1")),
    "dqn.epsilon_positions": Change("dqn", "1"),
    "dqn.target_steps": Change("dqn", "3"),
    "dqn.double": Change("dqn", "true"),
    "dqn.duelling": Change("dqn", "true"),
    "dqn.n_step": Change("dqn", "3"),
    "dqn.priority_exponent": Change("dqn", "1"),
    "dqn.importance_exponent": Change("dqn", "1"),
    "dqn.huber_delta": Change("dqn", "0.01"),
    "actor_critic.gae_lambda": Change("ppo", "0.5"),
    "actor_critic.clip": Change("ppo", "0.0001"),
    "actor_critic.entropy_weight": Change("ppo", "1"),
    "actor_critic.normalise_advantages": Change("ppo", "true"),
    "actor_critic.baseline": Change("reinforce", "false"),
    "actor_critic.reward_to_go": Change("reinforce", "false"),
    "evaluation.opponents": Change("puct", ("random", "mcts:simulations=2"), seen("asked"), MATCHES),
    "evaluation.games": Change("puct", "6", seen("evaluations"), OFTEN),
    "evaluation.final_games": Change("puct", "6", seen("asked"), MATCHES),
    "muzero.unroll_steps": Change("muzero", "3"),
    "muzero.inner_actions": Change("muzero", "1"),
    "muzero.consistency_weight": Change("muzero", "2"),
    "muzero.reanalyse_share": Change("muzero", "0.5"),
    "muzero.priority_exponent": Change("muzero", "1"),
    "muzero.importance_exponent": Change("muzero", "0", beside=("--muzero.priority_exponent", "1")),
    "muzero.chance_weight": Change("stochastic", "9"),
    "muzero.commitment_weight": Change("stochastic", "9"),
    "muzero.uniform_share": Change("sampled", "0.5"),
    "evaluation.final_minutes": Change("puct", "7", seen("asked"), MATCHES),
    "evaluation.every_minutes": Change("puct", "2", seen("periods"), OFTEN),
    "evaluation.num_simulations": Change("puct", "7", seen("asked"), MATCHES),
    "evaluation.symmetries": Change("puct", "true", seen("evaluations"), OFTEN),
    "evaluation.max_plies": Change("puct", "6", seen("asked"), MATCHES),
    "evaluation.gate": Change("puct", "true", seen("evaluations"), OFTEN),
    "evaluation.gate_elo": Change("puct", "50", seen("evaluations"), GATE),
    "evaluation.gate_games": Change("puct", "50", seen("evaluations"), GATE),
    "wandb.mode": Change("puct", "offline", seen("mirror")),
    "wandb.project": Change("puct", "other", seen("mirror")),
    "wandb.entity": Change("puct", "other", seen("mirror")),
    "wandb.group": Change("puct", "other", seen("mirror")),
    "wandb.tags": Change("puct", ("a", "b"), seen("mirror")),
    "wandb.notes": Change("puct", "other", seen("mirror")),
    "wandb.job_type": Change("puct", "other", seen("mirror")),
    "wandb.weights_megabytes": Change("puct", "7", seen("mirror")),
    "wandb.finish_seconds": Change("puct", "7", seen("mirror")),
    "budget.minutes": Change("puct", "1e-6"),
    "budget.steps": Change("puct", "22"),
    "budget.games": Change("puct", "1"),
    "budget.positions": Change("puct", "1"),
    "checkpoint.every_minutes": Change("puct", "7", seen("periods")),
    "checkpoint.every_steps": Change("puct", "3", files),
    "checkpoint.keep_last": Change("puct", "3", files, SAVES),
    "checkpoint.keep_every": Change("puct", "5", files, (*SAVES, "--checkpoint.keep_last", "2")),
    "checkpoint.games_gigabytes": Change("puct", "1e-9", files, SAVES),
    "checkpoint.replay": Change("dqn", "true", files),
}

WITHOUT_EFFECT = {
    "search.c_uct": "no training searches by uct: checks refuse search.rule uct",
    "search.cache_megabytes": "what is looked up equals what would be computed; only speed and memory change",
    "actors.device": "needs a GPU; test_a_device_that_is_not_there_is_refused",
    "learner.device": "needs a GPU; test_a_device_that_is_not_there_is_refused",
}
"""Settings that change nothing that this test could see, and why."""


def is_fixed(key: str) -> bool:
    return key in FIXED or key.split(".")[0] in FIXED


def test_every_setting_that_resume_lets_through_is_tried() -> None:
    free = {key for key in settings_of(Config) if not is_fixed(key)}
    assert free == CHANGES.keys() | WITHOUT_EFFECT.keys(), "a new setting needs a row in CHANGES, or a reason"
    assert not CHANGES.keys() & WITHOUT_EFFECT.keys()
    assert set(WITH_GAMES) | set(WITH_TARGETS) <= CHANGES.keys()


def flags(key: str, value: str | tuple[str, ...]) -> list[str]:
    return [f"--{key}", *([value] if isinstance(value, str) else value)]


def config_of(run: Path) -> Config:
    return reader.load(Config, run / "config.yaml")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs by name, made when they are asked for; not to be written to."""
    made: dict[str, Path] = {}

    def base(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(train, "_final_evaluation", lambda trainer: None)
                selfplay.train(tiny_config(folder, *COMMON, *BASES[name]), folder / "run", Watcher())
            made[name] = folder / "run"
        return made[name]

    return base


class OneProcessFleet(InlineSource):
    """Stands for actor processes: plays in this one while it is not held back, with the first weights only."""

    def __init__(self, observed: Observed, config: Config, positions: Callable[[], int]) -> None:
        super().__init__(load_algorithm(config), config.seed, positions, lambda: False, self, Path("never_written"))
        self._observed, self._is_held_back = observed, False
        observed.fleets.append(config.actors.num_actors)

    def play(self, may_learn: bool) -> Iterable[Finished]:
        return () if self._is_held_back else super().play(False)

    def allow(self, ahead: float, left: int | None) -> None:
        self._is_held_back = ahead < 0 or left is not None and left <= 0

    def seconds_left(self) -> float | None:
        return None

    def is_spent(self, counts: SelfPlayCounts) -> bool:
        return False

    def publish(self, publication: Publication) -> None:
        if not self._observed.published:
            super().publish(publication)
        self._observed.published.append(publication[PLAYER][0])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rounds = 99


def watch(patch: pytest.MonkeyPatch) -> Observed:
    """Put observers in the place of what is slow, or needs a network or other processes."""
    observed = Observed()

    class EvaluationProcess:
        busy = False

        def __init__(self, config: Config, run_dir: Path) -> None:
            self.settings = config.evaluation

        def request(self, version: int, games_each: int, champion: int | None = None) -> None:
            observed.evaluations.append((version, games_each, champion, self.settings))

        def result(self) -> None:
            return None

        def stop(self) -> None: ...

    class Timer:
        def __init__(self, period: float) -> None:
            observed.periods.append(period)
            self.is_evaluation = period in (60.0, 120.0) and len(observed.periods) == 4

        def due(self) -> bool:
            return self.is_evaluation

    def open_tracker(settings: WandbConfig, run: MirroredRun, warn: Callable[[str], None]) -> NullTracker:
        observed.mirror = astuple(settings)
        return NullTracker()

    def ask(config: Config, run_dir: Path, version: int, games_each: int, seconds: float) -> None:
        conditions = rating_conditions(config, load_algorithm(config).game) if not config.environment else None
        player = player_of_checkpoint(config, f"RUN@{version}")
        observed.asked = player, config.evaluation.opponents, games_each, conditions, seconds
        raise UserError("not played here")

    def fleet(config: Config, folder: Any, seed: Any, positions: Callable[[], int], *more: Any) -> OneProcessFleet:
        return OneProcessFleet(observed, config, positions)

    patch.setattr(trainer_module, "EvaluationProcess", EvaluationProcess)
    patch.setattr(trainer_module, "Timer", Timer)
    patch.setattr(reporting, "open_tracker", open_tracker)
    patch.setattr(trainer_module, "FleetSource", fleet)
    patch.setattr(train, "evaluate_checkpoint", ask)
    patch.setattr(torch, "set_num_threads", observed.threads.append)
    return observed


def resumed(base: Path, run: Path, overrides: list[str], shows: Callable[[Path, Observed], Any]) -> Any:
    """Go on in a copy; returns what it shows."""
    shutil.copytree(base, run)
    with pytest.MonkeyPatch.context() as patch:
        observed = watch(patch)
        selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", overrides), Watcher())
    return shows(run, observed)


@pytest.fixture(scope="module")
def unchanged(bases, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Change], Any]:
    """What a resumed run shows as it was, by what is asked of it."""
    known: dict[tuple[Any, ...], Any] = {}

    def found(change: Change) -> Any:
        key = change.base, change.beside, change.shows
        if key not in known:
            run = tmp_path_factory.mktemp("unchanged") / "run"
            known[key] = resumed(bases(change.base), run, [*LONGER, *change.beside], change.shows)
        return known[key]

    return found


@pytest.mark.parametrize("base", BASES)
def test_without_a_change_a_resumed_run_repeats(tmp_path: Path, bases, unchanged, base: str) -> None:
    """Else no difference would say anything."""
    change = Change(base, "")
    again = resumed(bases(base), tmp_path / "run", [*LONGER], learned)
    assert again == unchanged(change)
    assert again[0]["steps"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_setting_takes_effect(tmp_path: Path, bases, unchanged, key: str) -> None:
    change, run = CHANGES[key], tmp_path / "run"
    before = flatten(config_of(bases(change.base)))[key]
    overrides = [*LONGER, *change.beside, *flags(key, change.value)]
    assert flatten(reader.load(Config, bases(change.base) / "config.yaml", overrides))[key] != before
    found = resumed(bases(change.base), run, overrides, change.shows)
    assert found != unchanged(change)
    assert flatten(config_of(run))[key] == flatten(reader.load(Config, run / "config.yaml", overrides))[key]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and it would be used")
@pytest.mark.parametrize("key", ["actors.device", "learner.device"])
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, bases, key: str) -> None:
    run = shutil.copytree(bases("puct"), tmp_path / "run")
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(UserError, match="device cuda: torch sees no GPU here"):
        selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", [f"--{key}", "cuda"]), Watcher())
    if key == "learner.device":
        assert (run / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("key", ["actors.temperature", "actors.opening_plies", "search.num_simulations"])
def test_what_stored_games_keep_was_changed_in_silence(tmp_path: Path, bases, key: str) -> None:
    run, watcher = shutil.copytree(bases("puct"), tmp_path / "run"), Watcher()
    games = checkpoint.load(run / "checkpoints").state["games"]
    overrides = [*LONGER, *flags(key, CHANGES[key].value), "--learner.learning_rate", "0.003"]
    with pytest.MonkeyPatch.context() as patch:
        watch(patch)
        selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", overrides), watcher)
        line = f"{key}: for new games only; the {games} games on disk stay as they were played"
        assert watcher.lines.count(line) == 1
        again = Watcher()
        selfplay.resume(run, display=again)
    assert not any("new games only" in text for text in again.lines)


def test_another_optimiser_in_the_file_of_the_settings_is_refused_too(
    tmp_path: Path, bases, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody wrote it into config.yaml: the checkpoint knows better."""
    run = shutil.copytree(bases("puct"), tmp_path / "run")
    text = (run / "config.yaml").read_text()
    assert "optimizer: adamw" in text
    edited = text.replace("optimizer: adamw", "optimizer: sgd")
    (run / "config.yaml").write_text(edited)
    assert main(["resume", str(run), "--budget.steps", "9"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "learner.optimizer: the checkpoint has the state of adamw" in error
    assert (run / "config.yaml").read_text() == edited


def test_another_spelling_is_the_same_game(tmp_path: Path, bases) -> None:
    """The text of a game was compared, so that `hex(board_size=3)` could not be `hex( board_size=3, swap=False )`."""
    run = shutil.copytree(bases("puct"), tmp_path / "run")
    game = config_of(run).game
    for spelled in (f" {game}()", f"{game} "):
        selfplay.resume(run, lambda _, s=spelled: reader.load(Config, run / "config.yaml", ["--game", s]), Watcher())
        assert config_of(run).game == game, "the run keeps its own text"
    with pytest.raises(UserError, match="game cannot change in a run that has started"):
        selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", ["--game", "nim"]), Watcher())


def test_matches_of_one_rating_share_a_longest_game(tmp_path: Path, bases) -> None:
    """Every evaluation failed, one warning each, for the games of the rating had been played with another."""
    run = shutil.copytree(bases("puct"), tmp_path / "run")
    (run / RATINGS).mkdir()
    overrides = [*LONGER, "--evaluation.max_plies", "5"]
    with pytest.raises(UserError, match=r"evaluation\.max_plies: the matches in .*ratings were played with 0"):
        selfplay.resume(run, lambda _: reader.load(Config, run / "config.yaml", overrides), Watcher())
    assert config_of(run).evaluation.max_plies == 0


@pytest.mark.parametrize("setting", ["--rewards.discount", "--rewards.clip"])
def test_the_size_of_returns_was_that_of_another_discount(tmp_path: Path, bases, setting: str) -> None:
    """Moments over all of the old run: rewards would be divided by its deviation for as long again."""
    config = config_of(bases("ppo"))
    rewards = Rewards(config.rewards)
    rng, ones = np.random.default_rng(1), np.ones((5, 2), np.float32)
    rollout = Rollout(
        observation=rng.random((5, 2, 4), np.float32),
        action=np.zeros((5, 2), np.int64),
        reward=ones,
        discount=ones,
        ended=np.zeros((5, 2), np.bool_),
        final_observation=np.zeros((0, 4), np.float32),
        legal_mask=None,
        final_legal_mask=None,
        value=ones,
        next_value=ones,
        log_probability=ones,
        counted=ones > 0,
        begins=True,
        version=0,
    )
    rewards.count(rollout)
    state = rewards.state_dict()
    changed = tiny_config(tmp_path, *COMMON, *BASES["ppo"], setting, "0.5")
    same, first, other = Rewards(config.rewards), Rewards(config.rewards), Rewards(changed.rewards)
    for restored, saved in ((same, state), (other, state), (first, {n: t for n, t in state.items() if "set" not in n})):
        restored.load_state_dict(saved)
    counts = [each.state_dict()["returns.count"].item() for each in (rewards, same, first, other)]
    assert counts == [10, 10, 10, 0]


def test_the_mirror_finds_its_run_again_after_a_start_without_it(tmp_path: Path, bases) -> None:
    run = shutil.copytree(bases("puct"), tmp_path / "run")
    given = []

    def open_tracker(settings: WandbConfig, run: MirroredRun, warn: Callable[[str], None]) -> NullTracker:
        given.append(run.known.run_id if run.known is not None else None)
        tracker = NullTracker()
        tracker.run_id = "mirrored" if len(given) == 1 else None
        return tracker

    with pytest.MonkeyPatch.context() as patch:
        watch(patch)
        patch.setattr(reporting, "open_tracker", open_tracker)
        for steps in ("8", "10", "12"):
            longer = reader.load(Config, run / "config.yaml", ["--budget.steps", steps])
            selfplay.resume(run, lambda _, longer=longer: longer, Watcher())
    assert given == [None, "mirrored", "mirrored"]
