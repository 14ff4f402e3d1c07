"""`selfplay.storage.run_folder`: one run a folder, one process a run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from selfplay.errors import UserError
from selfplay.storage.run_folder import RunFolder

HOLDER = """
import os, pathlib, subprocess, sys
from selfplay.storage.run_folder import RunFolder
run = RunFolder.resume(pathlib.Path(sys.argv[1]))
child = subprocess.Popen(["cat"], stdin=sys.stdin, stdout=subprocess.DEVNULL, close_fds=False)
print(child.pid, flush=True)
child.wait()
"""
"""Holds the lock, with a child that outlives it, until standard input ends."""


def make_run(path: Path) -> Path:
    with RunFolder.create(path, "unused") as run:
        run.config.write_text("game: tic_tac_toe\n")
    return path


def test_a_new_run_is_named_after_its_config_and_the_time(tmp_path: Path) -> None:
    with RunFolder.create(None, "hex(board_size=5)", tmp_path / "runs") as run:
        assert re.fullmatch(r"hex_board_size_5-\d{8}-\d{6}", run.path.name)
        assert os.listdir(run.path) == ["run.lock"]
        with RunFolder.create(None, "hex(board_size=5)", tmp_path / "runs") as second:
            assert second.path != run.path


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "checkpoints", "games", "weights.safetensors"])
def test_a_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"already holds a run .*selfplay resume"):
        RunFolder.create(tmp_path, "unused")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a:b", "a@5"])
def test_a_folder_that_the_text_of_a_player_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="in the text of a player"):
        RunFolder.create(tmp_path / name, "unused")
    assert os.listdir(tmp_path) == []


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no UTF-8"):
        RunFolder.create(tmp_path / os.fsdecode(b"\xff"), "unused")
    assert os.listdir(tmp_path) == []


def test_a_file_is_no_folder_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        RunFolder.create(tmp_path / "file", "unused")


def test_a_run_that_died_before_its_config_can_be_created_again(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", "unused").close()
    RunFolder.create(tmp_path / "run", "unused").close()


def test_resume_sweeps_what_a_kill_left(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    for folder in (path, path / "checkpoints", path / "games"):
        folder.mkdir(exist_ok=True)
        (folder / ".file.1.tmp").touch()
    RunFolder.resume(path).close()
    assert not list(path.rglob("*.tmp"))


def test_a_missing_run_names_near_ones(tmp_path: Path) -> None:
    for name in ("connect_four-20260102-030405", "smoke-20260102-030405", "othello"):
        make_run(tmp_path / name)
    with pytest.raises(UserError, match=r"conect_four: no such run$"):
        RunFolder.open(tmp_path / "missing" / "conect_four")
    with pytest.raises(UserError, match=r"no such run; did you mean .*/smoke-20260102-030405\?$"):
        RunFolder.open(tmp_path / "smoke")
    with pytest.raises(UserError, match=r"no such run; did you mean .*/connect_four-20260102-030405\?$"):
        RunFolder.resume(tmp_path / "conect_four-20260102-030405")
    assert sorted(os.listdir(tmp_path)) == ["connect_four-20260102-030405", "othello", "smoke-20260102-030405"]


def test_a_folder_without_config_is_no_run_and_gets_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.yaml"):
        RunFolder.resume(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_second_process_is_told_who_holds_the_lock_and_a_kill_frees_it(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        before = {file: file.read_bytes() for file in path.iterdir()}
        expected = rf"^{path} is in use by process {holder.pid} on \S+, started 20\S+; .*$"
        with pytest.raises(UserError, match=expected):
            RunFolder.resume(path)
        assert {file: file.read_bytes() for file in path.iterdir()} == before
        RunFolder.open(path)  # reading needs no lock
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)
        # its child is still alive: standard input is still open
        RunFolder.resume(path).close()


def test_two_handles_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    with RunFolder.resume(path), pytest.raises(UserError, match=rf"in use by process {os.getpid()} "):
        RunFolder.resume(path)
    RunFolder.resume(path).close()


def test_a_new_run_is_kept_out_of_a_folder_that_is_being_created(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "unused"), pytest.raises(UserError, match="in use by"):
        RunFolder.create(tmp_path / "run", "unused")
