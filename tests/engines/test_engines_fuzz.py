"""Nothing that other programs write takes a server down or changes what it should not (tests/fuzz/engine_fuzz.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest
from engine_fuzz import fuzz_gtp, fuzz_uci, fuzz_usi, gtp_input, uci_input, usi_input

LINES = 3000
"""`python tests/fuzz/engine_fuzz.py gtp 100000` runs more."""


@pytest.mark.parametrize("seed", [1, 2])
def test_fuzzed_gtp(seed):
    assert fuzz_gtp(gtp_input(LINES, seed)) > 100


@pytest.mark.parametrize("seed", [1, 2])
def test_fuzzed_uci(seed):
    assert fuzz_uci(uci_input(LINES, seed)) > 100


def test_fuzzed_usi():
    assert fuzz_usi(usi_input(LINES, 1)) > 100


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (("gtp", "random", "--game", "go(board_size=9)"), gtp_input(LINES, 3)),
        (("uci", "random"), uci_input(LINES, 3)),
    ],
    ids=["gtp", "uci"],
)
def test_the_commands_live_to_the_end_of_fuzzed_input(arguments, data):
    command = [sys.executable, "-m", "selfplay", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout
