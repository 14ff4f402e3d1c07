"""Batched tree search over any model: PUCT, Gumbel and plain UCT. Knows games, never a rule or a network."""

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
