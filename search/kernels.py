"""How the kernels of the search are compiled: once per machine, and with numpy's rules for arithmetic.

The cached machine code makes every start but the first one fast. A division by zero gives inf or nan instead of a
check before each division; no kernel divides by a number that can be zero without saying why.
"""

from __future__ import annotations

from numba import njit

kernel = njit(cache=True, error_model="numpy")
"""Decorator of every kernel in `search`."""

inlined = njit(cache=True, error_model="numpy", inline="always")
"""The same for small functions that run for every edge: a call that hands over a whole tree costs more than they do."""
