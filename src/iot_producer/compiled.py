"""How hot functions are compiled: numba's decorators with the project's one set of options.

Promise: entry points release the GIL and are cached on disk, in a directory that is named by a hash
of all kernel sources (numba does not see a change in a helper of another file). It must not know
what the functions do. Where the cache is kept is decided at the edge, by NUMBA_CACHE_DIR, before
this module is imported (kernel_cache.py).

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python, and give the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

Int = Any
"""An integer of compiled code: int64 there, and a Python or numpy integer where the JIT is off."""

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: Any = numba.config
JIT: Final = not _OPTIONS.DISABLE_JIT
_CACHE: Final = bool(_OPTIONS.CACHE_DIR)


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile an entry point: takes whole blocks, releases the GIL, is cached on disk."""
    compiled: Callable[P, R] = numba.njit(
        nogil=True, cache=_CACHE, error_model="numpy", boundscheck=False
    )(function)
    return compiled


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a helper that becomes part of each entry point that calls it."""
    compiled: Callable[P, R] = numba.njit(
        nogil=True, forceinline=True, error_model="numpy", boundscheck=False
    )(function)
    return compiled


if TYPE_CHECKING:
    prefetch_row: Any
    store8: Any
    store16: Any
    load8: Any

elif JIT:

    @intrinsic
    def store8(_context: Any, array: Any, position: Any, word: Any) -> Any:
        """Store the 8 bytes of a uint64 at any position of a uint8 array; no bounds check."""
        signature = types.void(array, position, word)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = _byte_pointer(context, builder, array, position, arguments)
            builder.store(arguments[2], pointer, align=1)
            return context.get_dummy_value()

        return signature, build

    @intrinsic
    def store16(_context: Any, array: Any, position: Any, low: Any, high: Any) -> Any:
        """Store two uint64, the second behind the first, in one instruction."""
        signature = types.void(array, position, low, high)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pair = ir.VectorType(ir.IntType(64), 2)
            both = ir.Constant(pair, [0, 0])
            for place in (0, 1):
                at = ir.Constant(ir.IntType(32), place)
                both = builder.insert_element(both, arguments[2 + place], at)
            pointer = _byte_pointer(context, builder, array, position, arguments)
            builder.store(both, builder.bitcast(pointer, pair.as_pointer()), align=1)
            return context.get_dummy_value()

        return signature, build

    @intrinsic
    def load8(_context: Any, array: Any, position: Any) -> Any:
        """Load 8 bytes at any position of a uint8 array as a uint64; no bounds check."""
        signature = types.uint64(array, position)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = _byte_pointer(context, builder, array, position, arguments)
            return builder.load(pointer, align=1)

        return signature, build

    @intrinsic
    def prefetch_row(_context: Any, array: Any, row: Any) -> Any:
        """Ask for the first cache line of a row of a C-contiguous two-dimensional array."""
        signature = types.void(array, row)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            view = context.make_array(array)(context, builder, arguments[0])
            stride = cgutils.unpack_tuple(builder, view.strides)[0]
            offset = builder.mul(context.cast(builder, arguments[1], row, types.intp), stride)
            byte_pointer = ir.IntType(8).as_pointer()
            start = builder.bitcast(view.data, byte_pointer)
            i32 = ir.IntType(32)
            declared = ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32])
            prefetch = cgutils.get_or_insert_function(builder.module, declared, "llvm.prefetch.p0")
            options = [ir.Constant(i32, value) for value in (0, 3, 1)]  # read, keep, data
            builder.call(prefetch, [builder.gep(start, [offset]), *options])
            return context.get_dummy_value()

        return signature, build

    def _byte_pointer(context: Any, builder: Any, array: Any, position: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        offset = context.cast(builder, arguments[1], position, types.intp)
        return builder.bitcast(
            cgutils.gep_inbounds(builder, data, offset), ir.IntType(64).as_pointer()
        )

else:

    def prefetch_row(array: Any, row: Any) -> None:
        """Nothing to do in plain Python."""

    def store8(array: Any, position: Any, word: Any) -> None:
        """Store the 8 bytes of a uint64 at any position of a uint8 array."""
        array[position : position + 8] = np.frombuffer(
            int(word).to_bytes(8, "little"), dtype=np.uint8
        )

    def store16(array: Any, position: Any, low: Any, high: Any) -> None:
        """Store two uint64, the second behind the first."""
        store8(array, position, low)
        store8(array, position + 8, high)

    def load8(array: Any, position: Any) -> Any:
        """Load 8 bytes at any position of a uint8 array as a uint64."""
        return np.uint64(int.from_bytes(array[position : position + 8].tobytes(), "little"))
