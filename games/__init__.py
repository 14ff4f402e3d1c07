"""Games: rules behind one interface, for search and training.

`load` makes a `Game` from a string, a `Game` makes `StatePool`s, and everything else works on slots of a pool.
"""

import games.kernel_cache  # noqa: F401  (first: it finds a place for the kernels of the modules that follow)
import games.older_games  # noqa: F401  (before anybody derives from `Game`)

# isort: split
from games.auditing.ambiguity import AuditReport, Skipped, audit, audit_all, format_report, format_table
from games.auditing.promises import Broken, broken_promises, load_or_broken
from games.base import CHANCE, TERMINAL, ActionPlanes, Game, GameError, StatePool, Symmetry, check_action
from games.environments.environment import Environment, EnvironmentBatch, Step
from games.environments.registry import load_environment
from games.python_pool import PythonGame, State, new_state
from games.registry import GameInfo, load, names, register
from games.seats import with_seats

__all__ = [
    "CHANCE",
    "TERMINAL",
    "ActionPlanes",
    "AuditReport",
    "Broken",
    "Environment",
    "EnvironmentBatch",
    "Game",
    "GameError",
    "GameInfo",
    "PythonGame",
    "Skipped",
    "State",
    "StatePool",
    "Step",
    "Symmetry",
    "audit",
    "audit_all",
    "broken_promises",
    "check_action",
    "format_report",
    "format_table",
    "load",
    "load_environment",
    "load_or_broken",
    "names",
    "new_state",
    "register",
    "with_seats",
]
