"""AlphaZero-style self-play: train a player for a game from nothing, on an ordinary machine.

What a program of one's own needs of it is here: `selfplay.train(selfplay.load_config(selfplay.Config, path))`. Names
are loaded on first use, so that `selfplay --help` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from selfplay.version import __version__ as __version__

if TYPE_CHECKING:
    from selfplay.config.reader import load as load_config
    from selfplay.config.run import Config
    from selfplay.evaluation.match import play_match
    from selfplay.players.kinds import parse_player, register_player
    from selfplay.training.train import Result, resume, train

_PLACES = {
    "Config": ("selfplay.config.run", "Config"),
    "Result": ("selfplay.training.train", "Result"),
    "load_config": ("selfplay.config.reader", "load"),
    "parse_player": ("selfplay.players.kinds", "parse_player"),
    "play_match": ("selfplay.evaluation.match", "play_match"),
    "register_player": ("selfplay.players.kinds", "register_player"),
    "resume": ("selfplay.training.train", "resume"),
    "train": ("selfplay.training.train", "train"),
}
"""Public names, each with its module and its name there."""

__all__ = [
    "Config",
    "Result",
    "load_config",
    "parse_player",
    "play_match",
    "register_player",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module 'selfplay' has no attribute {name!r}")
    module, name_there = _PLACES[name]
    return getattr(importlib.import_module(module), name_there)
