"""A run remembers which run in W&B it is: an agent names it once, and no later environment renames it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from no_wandb import forget_wandb
from run_helpers import CART_POLE
from wandb_file import offline_runs

import selfplay
from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import Config, WandbConfig
from selfplay.config.schema import settings_of
from selfplay.errors import UserError
from selfplay.storage.metrics import read_metrics
from selfplay.storage.run_folder import RunFolder
from selfplay.training.display import PlainDisplay
from selfplay.training.evaluator import CheckpointResult
from selfplay.training.reporting import Reporter
from selfplay.training.tracking import NullTracker
from selfplay.training.wandb_run import WandbRun, find_run, new_run, remember, remembered, with_environment

ROOT = Path(__file__).parents[2]

OPPONENTS = ("mcts:simulations=50", "random")

OF_AN_AGENT = {
    "WANDB_RUN_ID": "run1",
    "WANDB_SWEEP_ID": "sweep1",
    "WANDB_PROJECT": "project1",
    "WANDB_ENTITY": "team1",
    "WANDB_RUN_GROUP": "group1",
    "WANDB_TAGS": "fast, small,,",
    "WANDB_NOTES": "two\nlines",
    "WANDB_JOB_TYPE": "search",
}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_wandb(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CART_POLE)


def names_in_wandb(run_dir: Path) -> list[tuple[object, ...]]:
    """Who the offline runs in the folder say that they are, oldest first."""
    return [
        (one.run_id, one.sweep_id, one.project, one.entity, one.run_group, list(one.tags), one.notes, one.job_type)
        for one in (offline.run for offline in offline_runs(run_dir))
    ]


def test_what_an_agent_says_is_remembered_whatever_the_environment_says_later(
    clean: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in OF_AN_AGENT.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["train", "tiny.yaml", "--learner.learning_rate=0.002", "--dqn.double=False"]) == 0
    (run,) = tmp_path.glob("runs/*")
    for name in OF_AN_AGENT:
        monkeypatch.setenv(name, "other")
    assert cli.main(["resume", str(run), "--budget.positions", "80"]) == 0
    expected = ("run1", "sweep1", "project1", "team1", "group1", ["fast", "small"], "two lines", "search")
    assert names_in_wandb(run) == [expected, expected]
    assert offline_runs(run)[0].config["learner"]["learning_rate"] == 0.002


def test_train_with_the_id_of_a_run_that_exists_here_resumes_it(
    clean: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "run1")
    assert cli.main(["train", "tiny.yaml"]) == 0
    assert cli.main(["train", "tiny.yaml", "--budget.positions", "80"]) == 0
    (run,) = tmp_path.glob("runs/*")
    assert f"WANDB_RUN_ID names runs/{run.name}, which goes on" in capsys.readouterr().out
    assert [names[0] for names in names_in_wandb(run)] == ["run1", "run1"]
    assert reader.load(Config, run / "config.yaml").budget.positions == 80
    monkeypatch.setenv("WANDB_RUN_ID", "run2")
    assert cli.main(["train", "tiny.yaml"]) == 0
    assert len(list(tmp_path.glob("runs/*"))) == 2


def test_an_id_means_nothing_where_wandb_is_off(clean: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "run1")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for _ in range(2):
        assert cli.main(["train", "tiny.yaml"]) == 0
    assert len(list(tmp_path.glob("runs/*"))) == 2
    assert not list(tmp_path.glob("runs/*/wandb.json"))


def test_the_goal_is_in_the_summary_after_an_evaluation(
    clean: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    games = """
name: games
game: tic_tac_toe
algorithm: reinforce
net: {kind: mlp, hidden: 8, layers: 1}
actors: {num_actors: 0, games_per_actor: 2, dtype: float32, device: cpu}
learner: {device: cpu}
evaluation: {opponents: ["mcts:simulations=50", random], games: 2, final_games: 4, every_minutes: 0}
budget: {games: 40}
"""
    (tmp_path / "games.yaml").write_text(games)
    for name in ("tiny", "games"):
        assert cli.main(["train", f"{name}.yaml", "--run-dir", name]) == 0
        (offline,) = offline_runs(tmp_path / name)
        (last,) = [row for row in read_metrics(tmp_path / name / "metrics.jsonl") if "eval/goal" in row]
        expected = [last["eval/return"]] if name == "tiny" else [last[f"eval/score/{one}"] for one in OPPONENTS]
        assert offline.summary["eval/goal"] == last["eval/goal"] == min(expected)


def test_the_goal_is_told_at_once_and_not_by_the_next_row(tmp_path: Path) -> None:
    told = []

    class Recorder(NullTracker):
        def summary(self, values: Mapping[str, Any]) -> None:
            told.append(values["eval/goal"])

    reporter = Reporter(Config(), RunFolder(tmp_path), PlainDisplay(io.StringIO()), None, None)  # type: ignore[arg-type]
    reporter.tracker = Recorder()
    reporter.take_evaluation(CheckpointResult(3, {"random": 0.75}, {}, 1.0, goal=0.75))
    assert told == [0.75]


def test_settings_name_the_run_where_the_environment_says_nothing() -> None:
    settings = WandbConfig(project="p", entity="e", group="g", tags=("t",), notes="n", job_type="j")
    assert with_environment(settings, {"WANDB_PROJECT": "", "WANDB_TAGS": " , "}) == settings
    assert with_environment(settings, {"WANDB_RUN_GROUP": "other"}).group == "other"


def test_a_new_run_has_an_id_of_its_own_unless_it_is_given_one() -> None:
    assert new_run({}).run_id != new_run({}).run_id
    assert new_run({"WANDB_SWEEP_ID": "s"}).sweep_id == "s"
    assert new_run({"WANDB_RUN_ID": "r", "WANDB_SWEEP_ID": ""}) == WandbRun("r", None)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"run_id": ""}', b'{"run_id": 1}', b"\xff", b"[" * 9999]
)
def test_a_damaged_file_names_no_run(tmp_path: Path, content: bytes) -> None:
    remember(tmp_path, WandbRun("r", "s"))
    assert remembered(tmp_path) == WandbRun("r", "s")
    (tmp_path / "wandb.json").write_bytes(content)
    assert remembered(tmp_path) is None


def test_only_the_folder_of_a_run_is_found_by_its_id(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        remember(tmp_path / name, WandbRun("r"))
    (tmp_path / "b" / "config.yaml").touch()
    assert find_run("r", None, tmp_path) == tmp_path / "b"
    assert find_run("r", tmp_path / "b", tmp_path) == tmp_path / "b"
    assert find_run("r", tmp_path / "new", tmp_path) is None
    assert (
        find_run("other", None, tmp_path)
        is find_run(None, None, tmp_path)
        is find_run("r", None, tmp_path / "no")
        is None
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tags": ("a" * 65,)}, "wandb.tags: W&B takes 1 to 64 characters, got .*aa"),
        ({"group": "a" * 129}, "wandb.group: W&B takes 1 to 128 characters, got .*aa"),
        ({"job_type": ""}, "wandb.job_type: W&B takes 1 to 64 characters, got nothing"),
        ({"project": "a/b"}, "wandb.project: W&B takes no / in it, got .a/b."),
    ],
)
def test_texts_that_wandb_refuses_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WandbConfig(**values)  # type: ignore[arg-type]


def test_no_shipped_settings_turn_wandb_off() -> None:
    files = sorted((ROOT / "configs").rglob("*.yaml"))
    assert len(files) > 30
    assert [file.name for file in files if "disabled" in file.read_text()] == []


def test_the_sample_sweep_names_settings_that_exist_with_values_in_their_range() -> None:
    sweep = yaml.safe_load((ROOT / "configs" / "sweeps" / "cartpole_dqn.yaml").read_text())
    (base,) = [word for word in sweep["command"] if word.endswith(".yaml")]
    fixed = [word for word in sweep["command"] if word.startswith("--")]
    settings = settings_of(Config)
    for name, spec in sweep["parameters"].items():
        assert name in settings
        for value in spec.get("values") or (spec["min"], spec["max"]):
            selfplay.load_config(Config, ROOT / base, [*fixed, f"--{name}={value}"])
    assert sweep["metric"] == {"name": "eval/goal", "goal": "maximize"}
