"""Installed from a wheel, outside the project, everything works; and nothing that the program needs is left out."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
VERSIONS: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "versions.py"))
PACKAGES = ("games", "nets", "search", "selfplay")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return VERSIONS["build_wheel"](tmp_path_factory.mktemp("wheel"))


def environment(folder: Path, *wanted: str | Path) -> Path:
    """A virtual environment that has the libraries of this one and installs `wanted`; its program `selfplay`.

    The line of a .pth file adds a folder, but not what the .pth files there add, such as an editable install.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", *wanted],
        env=VERSIONS["clean_environment"](),
        check=True,
    )
    return folder / "bin" / "selfplay"


def said(program: Path, *arguments: str, folder: Path) -> str:
    environment = VERSIONS["clean_environment"]()
    return subprocess.check_output([program, *arguments], cwd=folder, env=environment, text=True)


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    wanted |= {f"selfplay/shipped/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    wanted |= {f"selfplay/shipped/positions/{path.name}" for path in (ROOT / "benchmarks" / "data").iterdir()}
    wanted |= {
        f"selfplay/shipped/{path.relative_to(ROOT)}" for path in (ROOT / "pretrained").rglob("*") if path.is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == wanted


def test_an_editable_install_finds_the_files_of_the_checkout(tmp_path: Path) -> None:
    copy = VERSIONS["copy_sources"](tmp_path / "checkout")
    program = environment(tmp_path / "environment", "--editable", copy)
    assert said(program, "show-config", "othello", folder=tmp_path).splitlines()[1] == "game: othello"
    shutil.copyfile(copy / "configs" / "othello.yaml", copy / "configs" / "added.yaml")
    assert "added  " in said(program, "configs", folder=tmp_path)


@pytest.mark.slow
def test_an_installed_wheel_trains_plays_evaluates_serves_reports_and_measures(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")  # which the tests turn off otherwise
    program = environment(tmp_path / "environment", wheel)
    outside = tmp_path / "outside"
    outside.mkdir()
    for package in PACKAGES:
        place = said(program.with_name("python"), "-c", f"import {package}; print({package}.__file__)", folder=outside)
        assert Path(place).is_relative_to(tmp_path / "environment")
    assert {command: why for command, why in VERSIONS["failures"](program, outside) if why} == {}
    assert list((outside / "run").rglob("run-*.wandb"))  # the mirror in W&B's process wrote the offline run
    assert list((tmp_path / "environment").rglob("*.nbc"))  # compiled kernels are kept beside their sources
