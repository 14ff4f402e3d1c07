"""What the tests of engines share: fake engines, real ones where they are installed, positions of games."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import games
from selfplay.engines.process import split_command
from selfplay.errors import UserError

PYTHON = shlex.quote(sys.executable)

SOURCES = {
    "gnugo": "Debian's package gnugo",
    "gtp-rhino": "Debian's package grhino",
    "stockfish": "Debian's package stockfish",
    "fairy-stockfish": "Debian's package fairy-stockfish",
    "gogui-twogtp": "GoGui",
}
"""Programs, and where they come from."""


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where an engine is not installed."""
    try:
        split_command(program)
        is_missing = False
    except UserError:
        is_missing = True
    reason = f"{program} is not installed; it comes with {SOURCES[program]}"
    return pytest.mark.skipif(is_missing, reason=reason)


def fake_engine(protocol: str, behaviour: str, log: Path | str = "", moves: str = "") -> str:
    """The command of a fake engine (tests/support/fake_engine.py)."""
    script = Path(__file__).with_name("fake_engine.py")
    return shlex.join([sys.executable, "-S", str(script), protocol, behaviour, str(log), moves])


def after(game: games.Game, *histories: Sequence[int]) -> tuple[games.StatePool, np.ndarray]:
    """A pool with the position after each history, and its slots."""
    pool, slots = game.new_pool(len(histories)), np.arange(len(histories))
    pool.reset(slots)
    for slot, history in zip(slots, histories):
        for action in history:
            pool.step(slots[slot : slot + 1], np.array([action]), slots[slot : slot + 1])
    return pool, slots


def random_history(game: games.Game, plies: int, rng: np.random.Generator) -> list[int]:
    """A random game, of so many moves at most."""
    pool, place, history = game.new_pool(1), np.zeros(1, np.int64), []
    pool.reset(place)
    while len(history) < plies and pool.to_play(place)[0] >= 0:
        history.append(int(rng.choice(pool.legal(place)[1])))
        pool.step(place, np.array([history[-1]]), place)
    return history
