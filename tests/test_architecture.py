"""The rules of the architecture that a compiler cannot check: who imports whom, and what nobody may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "games": {"games"},
    "nets": {"nets"},
    "search": {"search", "games"},
    "selfplay": {"selfplay", "search", "nets", "games"},
}
WITHOUT_TORCH = {"games", "search"}
UNPICKLING_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"torch.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all"}
LAYERS = (
    "errors version",
    "stats engines notation drawings console shipped",
    "config",
    "storage experience",
    "system replay reports league",
    "algorithms",
    "players",
    "actors",
    "evaluation servers web profiling",
    "tournament planning",
    "training",
    "cli commands __init__",
    "__main__",
)
"""The packages and files of `selfplay/`, lowest first. A module imports its own package and lower layers."""

LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names.split()}

GROUND = {"games.native", "games.open_spiel", "games.solvers"}
"""Packages of `games` that know neither which games there are nor the environments."""

BREACHES: set[tuple[str, str]] = set()
"""Imports that go upwards today, as (importer, imported). This set only shrinks."""

MODULES = sorted(path.relative_to(ROOT) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the imported modules, in whatever function they are imported; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def dotted_names(tree: ast.AST) -> Iterator[str]:
    """Every attribute access and name, as written, e.g. `torch.load`, and `from torch import load` likewise."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parse(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def test_the_checker_sees_every_kind_of_import():
    tree = ast.parse("import torch.nn as n\ndef f():\n  from . import x\n  from yaml import load\n  torch.load(1)")
    assert set(imported(tree)) == {"torch.nn", ".", "yaml"}
    assert {"torch.load", "yaml.load"} <= set(dotted_names(tree))


def test_there_are_modules_to_check():
    assert {module.parts[0] for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_one_way(module):
    names = list(imported(parse(module)))
    tops = {name.partition(".")[0] for name in names}
    assert not [name for name in names if name.startswith(".")], "imports are absolute"
    assert tops & set(MAY_IMPORT) <= MAY_IMPORT[module.parts[0]]
    assert not tops & {"tests", "benchmarks"}
    assert module.parts[0] not in WITHOUT_TORCH or "torch" not in tops
    assert "pydantic" not in tops or module == Path("selfplay/config/schema.py")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_is_unpickled_and_no_yaml_tag_builds_an_object(module):
    tree = parse(module)
    assert not {name.partition(".")[0] for name in imported(tree)} & UNPICKLING_MODULES
    assert not set(dotted_names(tree)) & FORBIDDEN_CALLS
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "allow_pickle"]
    assert all(isinstance(node.value, ast.Constant) and node.value.value is False for node in keywords)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(parse(module))


def dotted(module: Path) -> str:
    """The name by which a module is imported."""
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Every module of the project with the modules of the project that it imports, wherever in it it does so."""
    names = {dotted(module) for module in MODULES}
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        found = set()
        for node in ast.walk(parse(module)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    found.add(full if full in names else node.module)
        edges[dotted(module)] = (found & names) - {dotted(module)}
    return edges


def room(name: str) -> str:
    """Package or file of `selfplay/` in which a module stands."""
    return name.split(".")[1] if "." in name else "__init__"


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """The groups of modules of which each leads to every other."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in edges.get(todo.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen

    reached = {name: reach(name) for name in edges}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in edges}
    return [set(group) for group in groups if group]


def test_the_checker_finds_circles():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]


def test_every_module_of_selfplay_has_a_layer():
    assert not [name for name in graph() if name.partition(".")[0] == "selfplay" and room(name) not in LAYER_OF]


def test_imports_within_selfplay_go_down():
    up = {
        (name, other)
        for name, others in graph().items()
        for other in others
        if name.startswith("selfplay") and other.startswith("selfplay") and room(name) != room(other)
        if LAYER_OF[room(other)] >= LAYER_OF[room(name)]
    }
    assert up == BREACHES


def test_no_module_is_in_a_circle_of_imports():
    assert not [sorted(group) for group in circles(graph())]


def test_games_on_the_ground_know_neither_the_registry_nor_environments():
    wrong = [
        (name, other)
        for name, others in graph().items()
        for other in others
        if name.rpartition(".")[0] in GROUND
        and (other in ("games", "games.registry") or other.startswith("games.environments"))
    ]
    assert not wrong


def test_test_modules_have_unique_names_and_are_no_packages():
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert "__init__.py" not in names, "tests/games/__init__.py would shadow the package games"
    assert max(names.values()) == 1


def test_help_settings_and_games_do_not_wait_for_torch():
    code = "import sys, nets, games, search, selfplay.cli, selfplay.config.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_settings_wait_for_neither_the_games_nor_numba_nor_the_checks_of_their_values():
    heavy = {"games", "numba", "pyspiel", "torch", "numpy", "pydantic", "yaml"}
    code = f"import sys, search, nets, selfplay.config.run; sys.exit(str({heavy} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert process.stderr == "set()\n"


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[:2] == ("selfplay", "notation")], ids=str)
def test_formats_of_files_know_nothing_of_the_program(module):
    own = {name for name in imported(parse(module)) if name.partition(".")[0] == "selfplay"}
    assert all(name == "selfplay.errors" or name.startswith("selfplay.notation.") for name in own)
    assert not {name.partition(".")[0] for name in imported(parse(module))} & {"chess", "sgfmill"}
