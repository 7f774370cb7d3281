"""How hot functions are compiled: numba's decorators with the project's one set of options.

Promise: entry points release the GIL and are cached on disk, in a directory that is named by a hash
of all kernel sources (numba does not see a change in a helper of another file). It must not know
what the functions do. Where the cache is kept is decided at the edge, by NUMBA_CACHE_DIR, before
this module is imported (kernel_cache.py); one that cannot be written is only read.

With NUMBA_DISABLE_JIT=1 the same functions run as plain Python, and give the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.caching import UserProvidedCacheLocator
from numba.extending import intrinsic

Int = Any
"""An integer of compiled code: int64 there, and a Python or numpy integer where the JIT is off."""

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: Any = numba.config
JIT: Final = not _OPTIONS.DISABLE_JIT
_CACHE: Final = bool(_OPTIONS.CACHE_DIR)
_IS_PREBUILT: Final = JIT and "PrebuiltKernels" in getattr(_OPTIONS, "CACHE_LOCATOR_CLASSES", "")


class PrebuiltKernels(UserProvidedCacheLocator):
    """Finds kernels that were compiled before, in a directory that cannot be written.

    numba's own locators refuse such a directory, even where nothing has to be written. numba makes
    them from the name in NUMBA_CACHE_LOCATOR_CLASSES.
    """

    def ensure_cache_path(self) -> None:
        """Nothing to be made, and nothing to be tried."""


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile an entry point: takes whole blocks, releases the GIL, is cached on disk."""
    compiled: Callable[P, R] = numba.njit(
        nogil=True, cache=_CACHE, error_model="numpy", boundscheck=False
    )(function)
    if _IS_PREBUILT:  # a kernel that is not there is compiled in each process, and not kept
        cache: Any = getattr(compiled, "_cache")  # noqa: B009
        cache.save_overload = _not_saved
    return compiled


def _not_saved(_signature: Any, _result: Any) -> None:
    """What numba calls with a function that it has compiled."""


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a helper that becomes part of each entry point that calls it."""
    compiled: Callable[P, R] = numba.njit(
        nogil=True, forceinline=True, error_model="numpy", boundscheck=False
    )(function)
    return compiled


def pasted(function: Callable[P, R]) -> Callable[P, R]:
    """Paste a large helper into each entry point before types are known.

    It is not compiled for itself first, as those of `inlined` are: a seventh less time for the
    kernel of JSON.
    """
    compiled: Callable[P, R] = numba.njit(
        nogil=True, inline="always", error_model="numpy", boundscheck=False
    )(function)
    return compiled


if TYPE_CHECKING:
    copy_row: Any
    transpose16: Any
    prefetch_row: Any
    store8: Any
    store16: Any
    store32: Any
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
    def store16(_context: Any, array: Any, position: Any, first: Any, second: Any) -> Any:
        """Store two uint64, one behind the other, in one instruction."""
        return types.void(array, position, first, second), partial(_store_words, array, position)

    @intrinsic
    def store32(
        _context: Any, array: Any, position: Any, first: Any, second: Any, third: Any, fourth: Any
    ) -> Any:
        """Store four uint64, one behind the other, in one instruction where there is one."""
        signature = types.void(array, position, first, second, third, fourth)
        return signature, partial(_store_words, array, position)

    def _store_words(
        array: Any, position: Any, context: Any, builder: Any, _signature: Any, arguments: Any
    ) -> Any:
        words = arguments[2:]
        vector = ir.VectorType(ir.IntType(64), len(words))
        together = ir.Constant(vector, [0] * len(words))
        for place, word in enumerate(words):
            together = builder.insert_element(together, word, _INT32(place))
        pointer = _byte_pointer(context, builder, array, position, arguments)
        builder.store(together, builder.bitcast(pointer, vector.as_pointer()), align=1)
        return context.get_dummy_value()

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

    @intrinsic
    def copy_row(_context: Any, out: Any, at: Any, table: Any, row: Any) -> Any:
        """Copy a row of 16 int32 into another table; both are C-contiguous; no bounds check."""
        signature = types.void(out, at, table, row)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            target = _row_pointer(context, builder, out, at, arguments[:2])
            source = _row_pointer(context, builder, table, row, arguments[2:])
            builder.store(builder.load(source, align=4), target, align=4)
            return context.get_dummy_value()

        return signature, build

    @intrinsic
    def transpose16(_context: Any, columns: Any, at: Any, rows: Any, row: Any) -> Any:
        """``columns[:, at : at + 16] = rows[row : row + 16].T``, int32 and 16 of each.

        Four steps exchange blocks of 8, 4, 2 and 1 between pairs of rows, in registers.
        """
        signature = types.void(columns, at, rows, row)

        def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            start = _row_pointer(context, builder, rows, row, arguments[2:])
            lines = [builder.load(builder.gep(start, [_INT32(r)]), align=4) for r in range(16)]
            for step in (8, 4, 2, 1):
                low = [j + 16 - step if j & step else j for j in range(16)]
                high = [j + 16 if j & step else j + step for j in range(16)]
                for r in (r for r in range(16) if not r & step):
                    pair = lines[r], lines[r + step]
                    lines[r] = builder.shuffle_vector(*pair, _LINE(low))
                    lines[r + step] = builder.shuffle_vector(*pair, _LINE(high))
            view = context.make_array(columns)(context, builder, arguments[0])
            width = cgutils.unpack_tuple(builder, view.shape)[1]
            place = context.cast(builder, arguments[1], at, types.intp)
            for line in lines:
                target = builder.bitcast(builder.gep(view.data, [place]), _LINE.as_pointer())
                builder.store(line, target, align=4)
                place = builder.add(place, width)
            return context.get_dummy_value()

        return signature, build

    _INT32 = ir.IntType(32)
    _LINE = ir.VectorType(_INT32, 16)

    def _row_pointer(context: Any, builder: Any, array: Any, row: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        place = context.cast(builder, arguments[1], row, types.intp)
        return builder.gep(builder.bitcast(data, _LINE.as_pointer()), [place])

    def _byte_pointer(context: Any, builder: Any, array: Any, position: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        offset = context.cast(builder, arguments[1], position, types.intp)
        return builder.bitcast(
            cgutils.gep_inbounds(builder, data, offset), ir.IntType(64).as_pointer()
        )

else:

    def prefetch_row(array: Any, row: Any) -> None:
        """Nothing to do in plain Python."""

    def copy_row(out: Any, at: Any, table: Any, row: Any) -> None:
        """Copy a row of 16 int32 into another table."""
        out[at] = table[row]

    def transpose16(columns: Any, at: Any, rows: Any, row: Any) -> None:
        """``columns[:, at : at + 16] = rows[row : row + 16].T``, int32 and 16 of each."""
        columns[:, at : at + 16] = rows[row : row + 16].T

    def store8(array: Any, position: Any, word: Any) -> None:
        """Store the 8 bytes of a uint64 at any position of a uint8 array."""
        array[position : position + 8] = np.frombuffer(
            int(word).to_bytes(8, "little"), dtype=np.uint8
        )

    def store16(array: Any, position: Any, first: Any, second: Any) -> None:
        """Store two uint64, one behind the other."""
        store8(array, position, first)
        store8(array, position + 8, second)

    def store32(
        array: Any, position: Any, first: Any, second: Any, third: Any, fourth: Any
    ) -> None:
        """Store four uint64, one behind the other."""
        store16(array, position, first, second)
        store16(array, position + 16, third, fourth)

    def load8(array: Any, position: Any) -> Any:
        """Load 8 bytes at any position of a uint8 array as a uint64."""
        return np.uint64(int.from_bytes(array[position : position + 8].tobytes(), "little"))
