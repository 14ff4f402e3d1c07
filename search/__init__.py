"""Batched tree search over any model: PUCT, Gumbel and plain UCT. Knows games, never a rule or a network."""

from search.cache import EvaluationCache
from search.config import SearchConfig
from search.evaluators import ConstantEvaluator, Evaluation, Evaluator, NetworkEvaluator, RolloutEvaluator
from search.model import Model, SimulatorModel
from search.search import RootStatistics, Search, slots_needed

__all__ = [
    "ConstantEvaluator",
    "Evaluation",
    "EvaluationCache",
    "Evaluator",
    "Model",
    "NetworkEvaluator",
    "RolloutEvaluator",
    "RootStatistics",
    "Search",
    "SearchConfig",
    "SimulatorModel",
    "slots_needed",
]
