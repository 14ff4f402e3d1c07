"""How the kernels of the search are compiled: once per machine, and with numpy's rules for arithmetic.

The cached machine code makes every start but the first one fast. A division by zero gives inf or nan instead of a
check before each division; a kernel that divides by a number that can be zero has a comment.
"""

from __future__ import annotations

from typing import Any

import games.kernel_cache  # noqa: F401  (first: it finds a place for the kernels)

# isort: split
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

kernel = njit(cache=True, error_model="numpy")
"""Decorator of every kernel in `search`."""

inlined = njit(cache=True, error_model="numpy", inline="always")
"""Decorator of small functions that run for every edge: a call that hands over a whole tree costs more than they do."""


@intrinsic  # type: ignore[misc]
def prefetch(typingctx: Any, record: Any) -> Any:
    """Ask for the cache line where a record begins, to write to it soon, without waiting for it."""
    if not isinstance(record, types.Record):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, i32 = builder.bitcast(arguments[0], ir.IntType(8).as_pointer()), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        to_write, keep_in_all_caches, data = 1, 3, 1
        builder.call(function, [pointer, *(ir.Constant(i32, x) for x in (to_write, keep_in_all_caches, data))])
        return context.get_dummy_value()

    return types.void(record), generate
