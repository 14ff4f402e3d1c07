"""Batched tree search over any model: PUCT, Gumbel and plain UCT. Knows games, never a rule or a network.

Names are loaded on first use, so that reading settings (`search.config`) imports neither the games nor Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.cache import EvaluationCache
    from search.config import SearchConfig
    from search.evaluators import (
        ConstantEvaluator,
        Evaluation,
        EvaluationCounts,
        Evaluator,
        NetworkEvaluator,
        RolloutEvaluator,
    )
    from search.model import Model, ModelFactory, ModelTraits, SimulatorFactory, SimulatorModel
    from search.search import RootStatistics, Search, SearchError

_MODULES = {
    "search.cache": ("EvaluationCache",),
    "search.config": ("SearchConfig",),
    "search.evaluators": (
        "ConstantEvaluator",
        "Evaluation",
        "EvaluationCounts",
        "Evaluator",
        "NetworkEvaluator",
        "RolloutEvaluator",
    ),
    "search.model": ("Model", "ModelFactory", "ModelTraits", "SimulatorFactory", "SimulatorModel"),
    "search.search": ("RootStatistics", "Search", "SearchError"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ConstantEvaluator",
    "Evaluation",
    "EvaluationCache",
    "EvaluationCounts",
    "Evaluator",
    "Model",
    "ModelFactory",
    "ModelTraits",
    "NetworkEvaluator",
    "RolloutEvaluator",
    "RootStatistics",
    "Search",
    "SearchConfig",
    "SearchError",
    "SimulatorFactory",
    "SimulatorModel",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
