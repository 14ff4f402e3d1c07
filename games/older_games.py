"""Games that were written by an earlier docs/adding_a_game.md: importing this lets them load, with one warning each.

A game in plain Python was then a subclass of `games.Game` that has `new_state`. It is one of `games.PythonGame` now. A
native game imported `games.native_pool`, `games.bordered`, and `State` from `games.base`.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import games.base
from games.base import Game
from games.python_pool import PythonGame, State

MOVED = {"games.native_pool": "games.native.pool", "games.bordered": "games.native.bordered"}
"""Modules that the page named, with their new names."""


class _MovedModule(ModuleType):
    """Takes the place of a module under its earlier name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what importers and debuggers look for in every module
            raise AttributeError(name)
        new_name = MOVED[self.__name__]
        value = getattr(import_module(new_name), name)
        _warn(f"{self.__name__} is {new_name} now", 3)
        return value


def _moved_from_base(name: str) -> Any:
    """`games.base.State`."""
    if name != "State":
        raise AttributeError(f"module 'games.base' has no attribute {name!r}")
    _warn("games.base.State is games.State now", 3)
    return State


def _give_pool(cls: type[Game]) -> None:
    """The pool of `PythonGame` for a subclass of `Game` that has `new_state` and no pool."""
    has_pool = not getattr(cls.new_pool, "__isabstractmethod__", False)
    if has_pool or not hasattr(cls, "new_state"):
        return
    cls.new_pool = PythonGame.new_pool  # type: ignore[assignment, method-assign]
    _warn(f"{cls.__name__} has new_state: derive it from games.PythonGame instead of games.Game", 5)


def _warn(text: str, stack_level: int) -> None:
    if multiprocessing.parent_process() is None:  # one warning is enough, whatever the number of processes
        warnings.warn(text, FutureWarning, stack_level)


sys.modules.update((name, _MovedModule(name)) for name in MOVED)
games.base.__getattr__ = _moved_from_base  # type: ignore[method-assign]
Game.subclass_hooks.append(_give_pool)
