"""The commands that a run proposes: they parse, mean the run, and go on with it."""

from __future__ import annotations

import argparse
import importlib
import shlex
from pathlib import Path

import pytest

import games
from selfplay.config import reader
from selfplay.config.run import BudgetConfig, Config
from selfplay.evaluation.match import whole_groups
from selfplay.players.kinds import read_player
from selfplay.players.text import compose_player
from selfplay.players.trained import split_target
from selfplay.training.budget import budget_fraction, longer_budget
from selfplay.training.next_commands import commands_after

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
AWKWARD = Path("rüns/it's a run: ü, 100 % new=1")


def parsed(command: str) -> tuple[str, argparse.Namespace, list[str]]:
    """The name, arguments and settings of a command as a shell hands them over."""
    program, name, *arguments = shlex.split(command)
    assert program == "selfplay"
    module = importlib.import_module(f"selfplay.commands.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    overrides: list[str] = []
    if name == "resume":
        arguments, overrides = reader.split_overrides(Config, arguments)
    return name, parser.parse_args(arguments), overrides


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_proposed_command_is_about_the_run(path):
    settings = reader.load(Config, path, [])
    limits = settings.budget
    spent = BudgetConfig(limits.minutes + 0.02, limits.steps, limits.games + 3, limits.positions + 100)
    named = set()
    for name, args, overrides in map(parsed, commands_after(settings, AWKWARD, spent)):
        named.add(name)
        if name in ("evaluate", "play"):
            assert read_player(args.player).target == str(AWKWARD)
        elif name == "match":
            assert read_player(args.first).target == str(AWKWARD) and read_player(args.second)
            assert args.games == whole_groups(games.load(settings.game), args.games)
        elif name == "resume":
            assert args.run_dir == AWKWARD
            longer = reader.load(Config, path, overrides).budget
            fraction = budget_fraction(longer, 60 * spent.minutes, spent.steps, spent.games, spent.positions)
            assert 0.4 < fraction < 0.6
    assert "resume" in named and named & {"evaluate", "match"}


@pytest.mark.parametrize(
    ("budget", "spent", "words"),
    [
        (BudgetConfig(minutes=60), BudgetConfig(60.1, 9, 9, 528_448), "--budget.minutes 120"),
        (BudgetConfig(minutes=0.5), BudgetConfig(0.51, 9, 9, 9), "--budget.minutes 1"),
        (BudgetConfig(positions=500_000), BudgetConfig(66, 9, 9, 528_448), "--budget.positions 1000000"),
        (BudgetConfig(positions=1_000), BudgetConfig(66, 9, 9, 7_000), "--budget.positions 16000"),
        (BudgetConfig(minutes=100, games=50), BudgetConfig(60, 9, 50, 9), "--budget.minutes 200 --budget.games 100"),
        (BudgetConfig(minutes=600, games=50), BudgetConfig(60, 9, 50, 9), "--budget.games 100"),
        (BudgetConfig(minutes=60), BudgetConfig(20, 9, 9, 9), ""),  # a signal came
        (BudgetConfig(), BudgetConfig(20, 9, 9, 9), ""),
    ],
)
def test_a_proposed_budget_lies_beyond_what_was_spent(budget, spent, words):
    assert " ".join(longer_budget(budget, spent)) == words


def test_a_folder_that_looks_like_an_option_is_none():
    settings = reader.load(Config, CONFIGS[0], [])
    for command in commands_after(settings, Path("-rf"), BudgetConfig()):
        parsed(command)


@pytest.mark.parametrize("folder", ["plain", "a:b", "a\\b", "a:", ":", 'it\'s "quoted"', "a b,c=d@x", "runs/ü"])
@pytest.mark.parametrize("options", ["", "simulations=7"])
def test_a_path_of_any_letters_is_a_player(folder, options):
    spec = read_player(compose_player("run", folder, options))
    assert (spec.target, spec.options.simulations) == (folder, 7 if options else None)
    assert read_player(spec.name) == spec


def test_a_folder_whose_name_ends_like_a_version_is_a_folder(tmp_path):
    (tmp_path / "run@3").mkdir()
    assert split_target(f"{tmp_path}/run@3") == (tmp_path / "run@3", None)
    assert split_target(f"{tmp_path}/run@3@12") == (tmp_path / "run@3", 12)
    assert split_target(f"{tmp_path}/other@3") == (tmp_path / "other", 3)
