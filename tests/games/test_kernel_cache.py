"""Kernels are compiled and kept wherever the program runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PLAY = """
import numpy as np, games
pool = games.load("connect_four").new_pool(1)
pool.reset(np.array([0]))
print(pool.to_play(np.array([0])), pool.step(np.array([0]), np.array([3]), np.array([0]))[0])
"""


def play(temporary: Path) -> subprocess.CompletedProcess[str]:
    """A move where Numba finds no folder by itself: only that of NUMBA_CACHE_DIR is asked for, which is not set."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "TMPDIR": str(temporary)}
    return subprocess.run(
        [sys.executable, "-c", PLAY], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_without_a_folder_for_kernels_one_is_made_among_the_temporary_files(tmp_path):
    done = play(tmp_path)
    assert (done.returncode, done.stdout) == (0, "[0] [1]\n"), done.stderr
    (folder,) = tmp_path.glob("selfplay-kernels-*")
    assert done.stderr.count("\n") == 1 and f"compiled kernels are kept in {folder}" in done.stderr
    assert list(folder.rglob("*.nbc")) and folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_may_be_somebody_elses_is_not_used(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"selfplay-kernels-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    done = play(tmp_path)
    assert (done.returncode, done.stdout) == (0, "[0] [1]\n"), done.stderr
    assert done.stderr.count("\n") == 1 and "kept nowhere" in done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


LOOK = """
import numpy as np, games
pool = games.load("connect_four").new_pool(1)
pool.reset(np.array([0]))
out = np.zeros((1, 5, 6, 7), np.float32)
pool.observe(np.array([0]), out)
print(out[0, 3, 0, 0])
"""


def test_a_change_in_a_file_whose_kernels_others_call_is_seen(tmp_path):
    """The seat planes are written by a kernel of `games.seats`, within one of `games.native.connect_four`."""
    shutil.copytree(ROOT / "games", tmp_path / "games", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(tmp_path)}

    def look() -> str:
        command = [sys.executable, "-c", LOOK]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert look() == "1.0"
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.nbc")}
    assert look() == "1.0"
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.nbc")}, "compiled again"
    seats = tmp_path / "games" / "seats.py"
    source = seats.read_text()
    changed = source.replace("= seat == mover", "= 7 * (seat == mover)")
    assert changed != source
    seats.write_text(changed)
    assert look() == "7.0"
