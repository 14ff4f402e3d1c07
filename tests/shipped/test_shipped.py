"""Files by name: a file that is there wins, near names are proposed, each has a line in the list."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.labelled import read_positions
from selfplay.shipped import POSITIONS, SETTINGS, first_comment
from selfplay.version import LIBRARIES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_folders_of_the_checkout_are_found() -> None:
    assert set(SETTINGS.files().values()) == set((ROOT / "configs").glob("*.yaml"))
    assert set(POSITIONS.files().values()) == set((ROOT / "benchmarks" / "data").iterdir())


def test_a_name_means_the_shipped_file_wherever_one_is(elsewhere: Path) -> None:
    assert reader.load(Config, "othello") == reader.load(Config, ROOT / "configs" / "othello.yaml")
    assert len(read_positions(Path("connect_four_positions")).moves) == 700


def test_a_file_that_is_there_wins_over_a_name(elsewhere: Path) -> None:
    Path("othello").write_text("name: mine\n")
    assert reader.load(Config, "othello").name == "mine"


def test_a_folder_is_no_file_of_settings(elsewhere: Path) -> None:
    Path("othello").mkdir()
    assert reader.load(Config, "othello").game == "othello"
    Path("folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be read: Is a directory"):
        reader.load(Config, "folder")


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ("conect_four", "did you mean 'connect_four'?"),
        ("connect_four.yaml", "did you mean 'connect_four'?"),
        ("configs/connect_four.yaml", "did you mean 'connect_four'?"),
        ("nothing_like_it", "(`selfplay configs` lists them)"),
    ],
)
def test_near_names_are_proposed(given: str, end: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", given]) == cli.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith(f"selfplay: error: {given}: ") and printed.err.endswith(f"{end}\n")
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_cannot_be_looked_at_is_no_name(elsewhere: Path) -> None:
    Path("file").touch()
    with pytest.raises(UserError, match="file/othello: cannot be read: Not a directory"):
        reader.load(Config, "file/othello")
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        reader.load(Config, "x" * 5000)


@pytest.mark.parametrize("path", SETTINGS.files().values(), ids=lambda path: path.stem)
def test_the_first_line_of_shipped_settings_can_be_read_alone(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert first_comment(path).endswith(".") and len(first_comment(path)) > 10


def test_the_list_has_a_line_for_each(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert "Tic-tac-toe to perfect play" in next(line for line in lines if line.startswith("smoke "))


def test_the_versions_of_libraries_are_said_without_loading_them() -> None:
    asking = f"""
import sys
from selfplay import cli
status = cli.main(["--version"])
print(status, [name for name in (*{LIBRARIES}, "pyspiel") if name in sys.modules])
"""
    lines = subprocess.check_output([sys.executable, "-c", asking], cwd=ROOT, text=True).splitlines()
    assert [line.split()[0] for line in lines] == ["selfplay", "Python", *LIBRARIES, "0"]
    assert lines[-1] == "0 []" and all(line.split()[1][0].isdigit() for line in lines[:-1])
