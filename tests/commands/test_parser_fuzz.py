"""Every reader of outside text and files takes what it is given or says in a few lines what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from parser_fuzz import READERS, fuzz, takes

from games.base import GameError
from games.environments.registry import load_environment
from games.registry import load as load_game
from selfplay.errors import UserError
from selfplay.players.kinds import read_player

COUNT = 150
"""`python tests/fuzz/parser_fuzz.py all 100000` tries more."""


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_input_is_read_or_refused(name: str) -> None:
    taken, refused = fuzz(name, COUNT, seed=1)
    assert taken + refused == COUNT
    assert (refused > 0) == (name != "tournament"), "lines that are no games are passed over, all else is refused"


EXTREMES = [
    b"[" * 10**5, b'{"a":' * 10**4, b"a: " + b"[" * 10**4, b"- " * 10**4, b"(" * 10**5, b"9" * 10**6, b"-" * 10**5,
]  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_nesting_without_end_is_read_or_refused(name: str, tmp_path: Path) -> None:
    for data in EXTREMES:
        takes(name, data, tmp_path)


# What fuzzing has found.


@pytest.mark.parametrize("text", [":x-v0", "..a:x-v0", "a..:x"])
def test_a_module_that_cannot_be_a_name_is_refused(text: str) -> None:
    with pytest.raises(GameError, match="cannot import the module"):
        load_environment(text)


def test_a_long_text_of_a_player_is_cut_in_the_message() -> None:
    with pytest.raises(UserError) as caught:
        read_player("gtp:x:" + "\udcac" * 5000)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("load", [load_game, load_environment])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = (", r"SyntaxError: .* \(broken_module.py, line 1\)$"),
        ("\nx = y", r"NameError: name 'y' is not defined \(.*broken_module.py, line 2\)$"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'$"),
    ],
)
def test_a_module_with_a_mistake_is_no_traceback(load, source, said, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GameError, match=f"cannot import the module of [a-z]+ 'broken_module:x-v0': {said}"):
        load("broken_module:x-v0")


@pytest.mark.parametrize("load", [load_game, load_environment])
def test_a_long_name_of_a_module_is_cut_in_the_message(load) -> None:
    with pytest.raises(GameError) as caught:
        load("spiel" * 1000 + ":x-v0")
    assert len(str(caught.value)) < 400
