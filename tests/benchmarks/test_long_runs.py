"""What `make soak` and the random kills judge by, and a few of the kills themselves."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def soak() -> dict[str, Any]:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return runpy.run_path(str(SCRIPTS / "soak.py"))
    finally:
        sys.path.remove(str(SCRIPTS))


def samples(soak: dict[str, Any], slope: float, shape: str = "steady", files: int = 7) -> list[Any]:
    """Twenty minutes of a process that grows by `slope` MB an hour, has up to 4 MB less in one measurement of a minute
    (`dips`) or 60 MB more in half of them (`peaks`)."""
    rng, found, minute = np.random.default_rng(1), [], soak["MINUTE"]
    for i in range(20 * minute):
        seconds = soak["EVERY"] * i
        megabytes = 300 + slope * seconds / 3600 + 0.1 * rng.random()
        if shape == "peaks" and i % minute > minute / 2:
            megabytes += 60
        elif shape == "dips" and i % minute == 20:
            megabytes -= 4 * rng.random()
        found.append(soak["Sample"](seconds, megabytes, files + (i > 16 * minute), 4))
    return found


@pytest.mark.parametrize("process, shape", [("driver", "dips"), ("sp-actor", "steady"), ("sp-evaluator", "peaks")])
@pytest.mark.parametrize("slope", [0.0, 3.0])
def test_growth_is_told_from_what_comes_and_goes(slope, process, shape, soak):
    level = soak["LEVEL"][process]
    found, upper = soak["growth"](samples(soak, slope, shape), level, np.random.default_rng(0))
    assert abs(found - slope) < 0.3
    assert found < upper < found + 0.5


def test_what_grows_is_named(soak, capsys):
    grown = soak["judge"]("driver", samples(soak, 3.0), np.random.default_rng(0))
    assert [text.split(" by ")[0].split(" from ")[0] for text in grown] == ["driver: memory", "driver: descriptors"]
    assert capsys.readouterr().out.startswith("driver ")


def test_random_kills_lose_nothing(tmp_path, monkeypatch, capsys):
    """One while it starts and two in training, with these seeds; `--kills 100` is for a quiet hour."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", ["random_kills.py", "--out", str(tmp_path / "out"), "--kills", "3", "--seed", "1"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / "random_kills.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert ended.value.code == 0, printed
    lines = [line for line in printed.splitlines() if "killed" in line]
    assert sum("after its start" in line for line in lines) == 1 and all(line.endswith("sound") for line in lines)
    last = lines[-1].partition("step ")[2]
    assert int(last.split(",")[0]) > 0, printed
