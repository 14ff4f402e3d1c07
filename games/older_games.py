"""Games that were written by an earlier docs/adding_a_game.md: importing this lets them load, with one warning.

A game in plain Python was then a subclass of `games.Game` that has `new_state`. It is one of `games.PythonGame` now.
"""

from __future__ import annotations

import multiprocessing
import warnings

from games.base import Game
from games.python_pool import PythonGame


def _give_pool(cls: type[Game]) -> None:
    """The pool of `PythonGame` for a subclass of `Game` that has `new_state` and no pool."""
    has_pool = not getattr(cls.new_pool, "__isabstractmethod__", False)
    if has_pool or not hasattr(cls, "new_state"):
        return
    cls.new_pool = PythonGame.new_pool  # type: ignore[assignment, method-assign]
    if multiprocessing.parent_process() is None:  # a warning is enough, whatever the number of processes
        warnings.warn(
            f"{cls.__name__} has new_state: derive it from games.PythonGame instead of games.Game", FutureWarning, 4
        )


Game.subclass_hooks.append(_give_pool)
