"""The settings of a search, and what it knows of its model, in the form that the kernels take."""

from __future__ import annotations

import math
from typing import NamedTuple

from search.config import SearchConfig
from search.model import ModelTraits


class SearchParameters(NamedTuple):
    """`SearchConfig` and `ModelTraits` as scalars; the fields of `SearchConfig` have the same names and meanings."""

    pb_c_init: float
    pb_c_base: float
    fpu_reduction: float
    c_uct: float
    c_visit: float
    c_scale: float
    discount: float
    proven_values: bool
    normalize_q: bool
    """True where no bound of the values is known: the least and greatest value in the tree rescale them to [0, 1]
    (MuZero, equation 5)."""
    max_return: float
    """No return is greater, none is smaller than its negative; infinite where no bound is known."""

    @staticmethod
    def of(config: SearchConfig, traits: ModelTraits) -> SearchParameters:
        """The parameters of a search with these settings over a model with these traits."""
        return SearchParameters(
            pb_c_init=float(config.pb_c_init),
            pb_c_base=float(config.pb_c_base),
            fpu_reduction=float(config.fpu_reduction),
            c_uct=float(config.c_uct),
            c_visit=float(config.c_visit),
            c_scale=float(config.c_scale),
            discount=float(config.discount),
            proven_values=bool(config.proven_values),
            normalize_q=math.isinf(traits.max_return),
            # With a discount, no return is known to be the best possible one, so none may end a proof early.
            max_return=float(traits.max_return) if config.discount == 1.0 else math.inf,
        )
