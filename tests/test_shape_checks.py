"""The tests check array shapes in annotations in every package, as `conftest.py` sets it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from games import Step
from nets.losses import value_mse
from search.perspective import from_players
from selfplay.experience.targets import discounted_returns

ROOT = Path(__file__).parent.parent


def test_a_wrong_shape_is_an_error_in_every_package():
    wrong = [
        lambda: Step(np.zeros((2, 3), np.float32), np.zeros(3, np.float32), np.ones(2, np.float32), np.ones(2, bool)),
        lambda: value_mse(torch.zeros(2, 1), torch.zeros(3, 1)),
        lambda: from_players(np.zeros((2, 2)), np.zeros(3, np.int64), 1),
        lambda: discounted_returns(np.zeros((4, 2)), 1.0, np.zeros(3)),
    ]
    for call in wrong:
        with pytest.raises(jaxtyping.TypeCheckError):
            call()


def test_a_function_that_checks_by_itself_can_be_asked(unchecked_shapes):
    with pytest.raises(ValueError, match="zip"):
        discounted_returns(np.zeros((4, 2)), 1.0, np.zeros(3))


def test_nothing_is_checked_outside_of_the_tests():
    program = "from selfplay.experience.targets import discounted_returns as f; print(hasattr(f, '__wrapped__'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
