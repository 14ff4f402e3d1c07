"""`selfplay.storage.files` and `selfplay.storage.failpoints`: whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import killed_at, largest_file
from hypothesis import given
from hypothesis import strategies as st

from selfplay.storage import failpoints, files
from selfplay.storage.files import (
    StorageError,
    append_line,
    digest,
    publish,
    quarantine,
    seal,
    sweep_temporaries,
    unseal,
)

GAPS = ["after_open", "mid_write", "before_fsync", "before_rename"]


@pytest.fixture
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_publish_replaces_the_file_and_returns_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    publish(path, b"old")
    assert publish(path, b"new") == digest(b"new") == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("gap", GAPS)
def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path, gap: str) -> None:
    path = tmp_path / "file"
    publish(path, b"old")
    killed_at(f"publish.{gap}", lambda: publish(path, b"new" * 1000))
    assert path.read_bytes() == b"old"
    assert sweep_temporaries(tmp_path) == 1
    assert os.listdir(tmp_path) == ["file"]


def test_the_order_is_write_fsync_rename_fsync_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def recording_fsync(descriptor: int) -> None:
        calls.append("fsync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")).partition(".tmp")[0][:6])
        fsync(descriptor)

    def recording_replace(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", recording_fsync)
    monkeypatch.setattr(files.os, "replace", recording_replace)
    (tmp_path / "folder").mkdir()
    publish(tmp_path / "folder" / "file", b"data")
    assert calls == ["fsync .file.", "rename", "fsync folder"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file"
    publish(path, b"old")
    with largest_file(4096), pytest.raises(StorageError, match=r"file: File too large$"):
        publish(path, bytes(10_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_disk_full_says_what_is_needed_and_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=r"^disk full: .*file needs 1,234 bytes, [\d,]+ are free; .*$"):
        publish(tmp_path / "file", bytes(1234))
    assert os.listdir(tmp_path) == []


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, b"a" * 4000)
    with largest_file(4096), pytest.raises(StorageError):
        append_line(path, b"b" * 4000)
    append_line(path, b"c")
    assert path.read_bytes() == b"a" * 4000 + b"\nc\n"


def test_a_torn_last_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\ntor")
    append_line(path, b"next")
    assert path.read_bytes() == b"whole\ntor\nnext\n"


def test_sweep_takes_temporaries_only(tmp_path: Path) -> None:
    for name in (".weights.123.tmp", "weights", ".hidden", "notes.tmp", ".editor.tmp"):
        (tmp_path / name).touch()
    folder = tmp_path / ".00000001.123.tmp"
    folder.mkdir()
    (folder / "half").touch()
    assert sweep_temporaries(tmp_path) == 2
    assert sorted(os.listdir(tmp_path)) == [".editor.tmp", ".hidden", "notes.tmp", "weights"]
    assert sweep_temporaries(tmp_path / "missing") == 0


def test_quarantine_never_overwrites(tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "file").write_text(content)
        quarantine(tmp_path / "file")
    assert (tmp_path / "quarantine" / "file").read_text() == "first"
    assert (tmp_path / "quarantine" / "file.2").read_text() == "second"
    assert not (tmp_path / "file").exists()


RECORD = {"id": 3, "file": "00000003.npz", "games": 12, "nested": {"list": [1, 2.5, None, True]}}


def test_a_sealed_record_comes_back() -> None:
    assert unseal(seal(RECORD)) == RECORD


def test_every_flipped_bit_and_every_cut_of_a_sealed_line_is_noticed() -> None:
    line = seal(RECORD)
    for bit in range(8 * len(line)):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unseal(bytes(flipped)) is None
    for length in range(len(line)):
        assert unseal(line[:length]) is None


@given(st.binary(max_size=200))
def test_foreign_lines_are_no_records(line: bytes) -> None:
    assert unseal(line) is None


@pytest.mark.parametrize("line", [b"[" * 100_000, b"null", b"{}", b'{"seal": 1}', b"\xff", b'{"a": NaN, "seal": ""}'])
def test_odd_json_is_no_record(line: bytes) -> None:
    assert unseal(line) is None


@pytest.mark.usefixtures("disarmed")
def test_a_failpoint_fires_at_its_name_and_count() -> None:
    failpoints.failpoint("a.b")
    failpoints.arm("a.b:raise:2")
    failpoints.failpoint("a.c")
    failpoints.failpoint("a.b")
    with pytest.raises(failpoints.FailpointReached, match=r"^a\.b$"):
        failpoints.failpoint("a.b")
    failpoints.failpoint("a.b")


@pytest.mark.usefixtures("disarmed")
@pytest.mark.parametrize("text", ["a.b", "a.b:", "a.b:stop", "a.b:kill:x"])
def test_a_misspelt_failpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SELFPLAY_FAILPOINT"):
        failpoints.arm(text)


def test_the_environment_variable_arms_a_failpoint(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from selfplay.storage.files import publish; publish(pathlib.Path(sys.argv[1]), b'data')"
    )
    environment = os.environ | {failpoints.VARIABLE: "publish.before_rename:kill"}
    result = subprocess.run([sys.executable, "-c", program, tmp_path / "file"], env=environment, timeout=60)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "file").exists()
