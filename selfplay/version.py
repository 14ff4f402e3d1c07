"""The version of the program, apart from the package so that nobody imports that for it, and those of its libraries."""

from __future__ import annotations

import importlib.metadata

__version__ = "0.1.0"

LIBRARIES = ("torch", "numpy", "numba", "open_spiel", "gymnasium", "wandb")
"""The installed packages whose versions decide most about a run."""


def version_of(package: str) -> str:
    """The version of an installed package, from its metadata: nothing is imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
