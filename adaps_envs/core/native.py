"""Values in the form in which compiled code holds them, words of memory that threads share, and calls by address.

What a kernel gets in every call is put into native form once and handed over as one address: turning some twenty
arrays from Python's form costs more than a step of one lane. A helper thread gets the other arguments of a call in
the same form, so that it needs no interpreter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, extending, typeof, types
from numba.core import cgutils
from numba.extending import NativeValue, models, register_model, unbox
from numpy.typing import NDArray

from adaps_envs.core.compile import njit

__all__ = [
    "COMPILED",
    "AddressOf",
    "Fixed",
    "add_word",
    "call_kernel",
    "code_address",
    "entry_of",
    "native_memory",
    "read_word",
    "store",
    "swap_word",
    "values_of",
]

# Calls of an intrinsic leave out its first argument, which type checkers cannot know.
intrinsic: Any = extending.intrinsic

COMPILED = not config.DISABLE_JIT  # type: ignore[attr-defined]


class AddressOf(types.Type):
    """Where a tuple of type ``content`` lies in native form; in Python an integer."""

    def __init__(self, content: Any) -> None:
        self.content = content
        super().__init__(name=f"AddressOf({content})")


@register_model(AddressOf)
class _AddressModel(models.PrimitiveModel):
    def __init__(self, manager: Any, declared: Any) -> None:
        super().__init__(manager, declared, ir.IntType(64))


@unbox(AddressOf)
def _unbox_address(typ: Any, number: Any, context: Any) -> NativeValue:
    return NativeValue(context.pyapi.long_as_longlong(number), is_error=context.pyapi.c_api_error())


def _ownerless(context: Any, builder: Any, typ: Any, value: Any) -> Any:
    """Return native ``value`` without its arrays' owners: they are counted, and the count would outlive the call."""
    if isinstance(typ, types.BaseTuple):
        kinds: Any = typ
        parts = zip(kinds, cgutils.unpack_tuple(builder, value), strict=True)
        inner = [_ownerless(context, builder, kind, part) for kind, part in parts]
        return context.make_tuple(builder, typ, inner)
    if isinstance(typ, types.Array):
        array = context.make_array(typ)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    assert isinstance(typ, (types.Number, types.Boolean)), f"{typ} has no native form that may be kept"
    return value


def _data_pointer(context: Any, typ: Any) -> Any:
    return context.get_data_type(typ).as_pointer()


@intrinsic
def _size_of(typing_context, values):  # type: ignore[no-untyped-def]
    """Return how many bytes the tuple ``values`` takes in native form."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return context.get_constant(types.int64, context.get_abi_sizeof(context.get_data_type(values)))

    return types.int64(values), generate


@intrinsic
def store(typing_context, values, address):  # type: ignore[no-untyped-def]
    """Write the tuple ``values`` in native form to ``address``."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        native = context.data_model_manager[values].as_data(builder, _ownerless(context, builder, values, arguments[0]))
        builder.store(native, builder.inttoptr(arguments[1], _data_pointer(context, values)))
        return context.get_dummy_value()

    return types.void(values, types.int64), generate


if not COMPILED:

    def values_of(values: Any) -> Any:
        return values

else:

    @intrinsic
    def values_of(typing_context, values):  # type: ignore[no-untyped-def]
        """Return the tuple of values that ``values`` is, or whose address it is."""
        is_address = isinstance(values, AddressOf)
        content = values.content if is_address else values

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            if not is_address:
                context.nrt.incref(builder, content, arguments[0])
                return arguments[0]
            place = builder.inttoptr(arguments[0], _data_pointer(context, content))
            return context.data_model_manager[content].load_from_data_pointer(builder, place)

        return content(values), generate


@intrinsic
def call_kernel(typing_context, function, start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Call the kernel whose code is at ``function`` on lanes ``[start, stop)``; all five are int64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(64)
        kind = ir.FunctionType(context.get_value_type(types.none), [word] * 4)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def read_word(typing_context, words, index):  # type: ignore[no-untyped-def]
    """Return ``words[index]``, read from memory at each call, before everything that the thread reads after it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_place(context, builder, signature, arguments), "acquire", 8)

    return types.int64(words, types.intp), generate


@intrinsic
def add_word(typing_context, words, index, value):  # type: ignore[no-untyped-def]
    """Add ``value`` to ``words[index]`` in one go, after everything that the thread has written before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.atomic_rmw("add", _place(context, builder, signature, arguments), arguments[2], "acq_rel")
        return context.get_dummy_value()

    return types.void(words, types.intp, types.int64), generate


@intrinsic
def swap_word(typing_context, words, index, old, new):  # type: ignore[no-untyped-def]
    """Write ``new`` to ``words[index]`` if ``old`` stands there, in one go; return whether it did."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        found = builder.cmpxchg(place, arguments[2], arguments[3], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(words, types.intp, types.int64, types.int64), generate


@njit(cache=True)
def _native_size(values):  # type: ignore[no-untyped-def]
    return _size_of(values)


@njit(cache=True)
def _write(values, address):  # type: ignore[no-untyped-def]
    store(values, address)


def entry_of(function: Any, kinds: tuple[Any, ...]) -> Any:
    """Return ``function`` compiled for arguments of these types only: a call of it does not look at their types.

    Where nothing is compiled it is ``function`` itself.
    """
    return function.compile(kinds) if COMPILED else function


def code_address(function: Any, kinds: tuple[Any, ...]) -> int:
    """Return the address of the code that ``function`` is compiled to for arguments of these types."""
    function.compile(kinds)
    compiled = function.overloads[kinds]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


def native_memory(values: tuple[Any, ...]) -> NDArray[np.int64]:
    """Return memory that takes the tuple ``values`` in native form."""
    return np.zeros(-(-_native_size(values) // 8), np.int64)


class Fixed:
    """What a kernel gets in every call, in native form.

    Args:
        values: a tuple of arrays, numbers, truth values and such tuples. Arrays may be written to, never replaced.

    Attributes:
        handle: what to hand to a kernel, which gets the values back by :func:`values_of`.
        kind: the compiler's type of ``handle``; only where there is a compiler.
    """

    def __init__(self, values: tuple[Any, ...]) -> None:
        # Native form points into the arrays; this keeps them where they are.
        self._values = values
        self.handle: Any = values
        if COMPILED:
            self.kind = AddressOf(typeof(values))
            self._memory = native_memory(values)
            self.handle = self._memory.ctypes.data
            _write(values, self.handle)
