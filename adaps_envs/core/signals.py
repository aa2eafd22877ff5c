"""Words of memory through which threads tell each other, inside compiled code, that something has happened.

A thread that waits in Python must win the interpreter each time it looks, and is put to sleep by the system when it
does not get it at once; waking it takes longer than a small step. Here it looks without the interpreter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["COMPILED", "WORDS", "await_change", "await_total", "new_words", "publish_and_await"]

WORDS = 8
"""Distance of two words, so that no two threads write to one cache line."""

COMPILED = not config.DISABLE_JIT  # type: ignore[attr-defined]
"""Whether waiting is compiled; otherwise it takes the interpreter from the thread that is waited for."""

if not COMPILED:

    def read_word(words: NDArray[np.int64], index: int) -> int:
        return int(words[index])

    def write_word(words: NDArray[np.int64], index: int, value: int) -> None:
        words[index] = value

else:
    # A plain read would be lifted out of a waiting loop, and a plain write could overtake the work that it announces.

    @intrinsic
    def read_word(typing_context, words, index):  # type: ignore[no-untyped-def]
        """Return ``words[index]``, read from memory at each call."""

        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            return builder.load_atomic(_place(context, builder, signature, values), "acquire", 8)

        return types.int64(words, types.intp), generate

    @intrinsic
    def write_word(typing_context, words, index, value):  # type: ignore[no-untyped-def]
        """Write ``words[index]`` after everything that the thread has written before."""

        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            builder.store_atomic(values[2], _place(context, builder, signature, values), "release", 8)
            return context.get_dummy_value()

        return types.void(words, types.intp, types.int64), generate

    def _place(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        return builder.gep(array.data, [values[1]])


def new_words(count: int) -> NDArray[np.int64]:
    """Return ``count`` zeros, the k-th at index ``k * WORDS``."""
    return np.zeros(count * WORDS, np.int64)


@njit(nogil=True, cache=True)
def await_change(words, index, seen, rounds, pause):  # type: ignore[no-untyped-def]
    """Wait until ``words[index]`` is not ``seen``; False after ``rounds`` looks. Then look ``pause`` times more."""
    for _ in range(rounds):
        if read_word(words, index) != seen:
            for _ in range(pause):
                read_word(words, index)
            return True
    return False


@njit(nogil=True, cache=True)
def publish_and_await(done, own, value, words, index, seen, rounds, pause):  # type: ignore[no-untyped-def]
    """Set ``done[own]`` to ``value``, with the interpreter free already, then wait as :func:`await_change` does."""
    write_word(done, own, value)
    return await_change(words, index, seen, rounds, pause)


@njit(nogil=True, cache=True)
def await_total(words, total, rounds):  # type: ignore[no-untyped-def]
    """Wait until the words add up to ``total``; False after ``rounds`` looks."""
    for _ in range(rounds):
        found = 0
        for index in range(0, words.shape[0], WORDS):
            found += read_word(words, index)
        if found == total:
            return True
    return False
