"""What a person does from Python, as docs/python.md shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import games
import selfplay
from search import NetworkEvaluator, Search, SearchConfig, SimulatorModel

ROOT = Path(__file__).parent.parent

SETTINGS = """
game: tic_tac_toe
search: {rule: gumbel, num_simulations: 4}
net: {kind: mlp, hidden: 16, layers: 1}
actors: {num_actors: 0, games_per_actor: 8, dtype: float32, device: cpu}
replay: {min_positions: 50}
learner: {batch_size: 16, device: cpu}
evaluation: {opponents: [random], final_games: 4, every_minutes: 0, num_simulations: 4}
wandb: {mode: disabled}
budget: {steps: 5}
"""


def test_search_with_an_evaluator_of_ones_own() -> None:
    game = games.load("connect_four")

    def predict(observations):  # likes the middle, thinks every position even
        logits = np.tile(-np.abs(np.arange(7.0, dtype=np.float32) - 3), (len(observations), 1))
        return logits, np.zeros((len(observations), 1), np.float32)

    config = SearchConfig(num_simulations=200)
    search = Search(SimulatorModel(game, NetworkEvaluator(game, predict)), config, 2)
    pool, slots = game.new_pool(2), np.arange(2)
    pool.reset(slots)
    for action in (3, 2, 3, 2, 3, 2):  # in the second game, three in a column for the player to move
        pool.step(slots[1:], np.array([action]), slots[1:])
    search.begin(slots, pool, slots, seeds=np.array([1, 2], np.uint64))
    search.run(slots)
    found = search.statistics(slots)
    assert found.best_action.tolist() == [3, 3]
    assert found.visit_counts.sum(axis=1).tolist() == [200, 200]
    assert found.root_value[1, 0] > 0.8


def test_train_resume_and_play_from_python(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SETTINGS)
    config = selfplay.load_config(selfplay.Config, path, ["--seed", "3"])
    result = selfplay.train(config, run_dir=tmp_path / "run")
    assert isinstance(result, selfplay.Result)
    assert (result.version, result.stopped_by, result.run_dir) == (5, "budget", tmp_path / "run")
    assert set(result.evaluation.scores) == {"random"}

    longer = selfplay.load_config(selfplay.Config, path, ["--seed", "3", "--budget.steps", "8"])
    assert selfplay.resume(result.run_dir, lambda _: longer).version == 8

    game = games.load("tic_tac_toe")
    first = selfplay.parse_player(f"run:{result.run_dir}:simulations=4", game)
    second = selfplay.parse_player("random", game, seed=1)
    match = selfplay.play_match(game, first, second, 6, seed=0)
    assert match.wins + match.draws + match.losses == 6


def test_public_names_are_loaded_on_first_use() -> None:
    code = (
        "import sys, selfplay\n"
        "assert 'torch' not in sys.modules and 'games' not in sys.modules\n"
        "import selfplay.training.train\n"  # the module may be imported first
        "names = [getattr(selfplay, name) for name in selfplay.__all__]\n"
        "assert all(map(callable, names)) and selfplay.train is selfplay.training.train.train\n"
        "from selfplay import *\n"
        "assert train is selfplay.train\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'selfplay' has no attribute 'trian'"):
        selfplay.trian  # noqa: B018


def test_the_program_of_the_page_runs(monkeypatch, tmp_path, capsys):
    """Its last lines once failed: a path that was text was taken for a `Path`."""
    page = (ROOT / "docs" / "python.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    shorter = program.replace('"--budget.minutes", "0.5"', '"--budget.games", "1", "--wandb.mode", "disabled"')
    assert shorter != program
    monkeypatch.chdir(tmp_path)
    settings = {}
    monkeypatch.setattr(selfplay, "train", lambda config: settings.setdefault("trained", config) and Trained)
    exec(compile(shorter, "docs/python.md", "exec"), {"__name__": "__main__"})
    assert settings["trained"].game == "tic_tac_toe" and settings["trained"].budget.games == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "nowhere" and 0.0 <= float(lines[-2]) <= 1.0


class Trained:
    run_dir = "nowhere"
