"""Policy/value networks: settings, models, losses, and the inference object of the actors. Knows nothing of games.

Names are loaded on first use, so that reading settings (`nets.config`) does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nets.config import NetConfig
    from nets.folding import fold_batch_norm
    from nets.inference import NO_WEIGHTS, Inference, batch_buckets, default_device, one_thread
    from nets.losses import (
        action_values,
        bellman_error,
        clipped_policy_gradient,
        masked_log_softmax,
        moves_left_error,
        policy_cross_entropy,
        policy_entropy,
        policy_gradient,
        policy_kl,
        reply_cross_entropy,
        value_mse,
    )
    from nets.models import PolicyValueNet, build, resolve_kind
    from nets.policies import Categorical, Gaussian
    from nets.transforms import inverse_signed_sqrt, inverse_transform_value, signed_sqrt, symlog, transform_value

_MODULES = {
    "nets.config": ("NetConfig",),
    "nets.folding": ("fold_batch_norm",),
    "nets.inference": ("NO_WEIGHTS", "Inference", "batch_buckets", "default_device", "one_thread"),
    "nets.losses": (
        "action_values",
        "bellman_error",
        "clipped_policy_gradient",
        "masked_log_softmax",
        "moves_left_error",
        "policy_cross_entropy",
        "policy_entropy",
        "policy_gradient",
        "policy_kl",
        "reply_cross_entropy",
        "value_mse",
    ),
    "nets.models": ("PolicyValueNet", "build", "resolve_kind"),
    "nets.policies": ("Categorical", "Gaussian"),
    "nets.transforms": (
        "inverse_signed_sqrt",
        "inverse_transform_value",
        "signed_sqrt",
        "symlog",
        "transform_value",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "NO_WEIGHTS",
    "Categorical",
    "Gaussian",
    "Inference",
    "NetConfig",
    "PolicyValueNet",
    "action_values",
    "batch_buckets",
    "bellman_error",
    "build",
    "clipped_policy_gradient",
    "default_device",
    "fold_batch_norm",
    "inverse_signed_sqrt",
    "inverse_transform_value",
    "masked_log_softmax",
    "moves_left_error",
    "one_thread",
    "policy_cross_entropy",
    "policy_entropy",
    "policy_gradient",
    "policy_kl",
    "reply_cross_entropy",
    "resolve_kind",
    "signed_sqrt",
    "symlog",
    "transform_value",
    "value_mse",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when the name is first asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nets' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
