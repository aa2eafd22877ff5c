"""Threads that share the lanes of a kernel's call.

Every thread has blocks of lanes of its own, the same in each call, so that their state stays in its core's cache; who
is through with them takes over those of others, so that nobody waits for a thread that comes late or is interrupted.
Blocks do not touch each other, so the result does not depend on who does which.

Helpers look out for blocks and do them in one compiled loop, without the interpreter: winning it back, or being woken,
takes as long as a small step. A helper goes to sleep when nothing has come for a while. The caller never depends on
helpers: what they do not take it does itself.
"""

from __future__ import annotations

import threading
import time
import weakref
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import typeof, types

from adaps_envs.core.compile import njit
from adaps_envs.core.native import (
    AddressOf,
    Fixed,
    add_word,
    call_kernel,
    code_address,
    entry_of,
    native_memory,
    read_word,
    store,
    swap_word,
)

__all__ = ["LaneThreads"]

# Looks at a word of memory, about 0.3 ms of them.
ROUNDS = 1_200_000
NAP = 1e-4
# Blocks for each thread: more of them even out interruptions, fewer are less to do.
BLOCKS = 2

# Words on the desk; those that change while others are read lie on cache lines of their own.
FUNCTION, FIXED, CALL, FIRST, END, SIZE = 0, 1, 2, 3, 4, 5
UNDONE = 8
# From here on, one for each thread: how many of its blocks wait.
WAITING = 16
LINE = 8


@njit(nogil=True, cache=True)
def do_block(desk, thread):  # type: ignore[no-untyped-def]
    """Do a waiting block, the thread's own ones first; False if there is none."""
    threads = (desk.shape[0] - WAITING) // LINE
    for distance in range(threads):
        owner = (thread + distance) % threads
        left = read_word(desk, WAITING + owner * LINE)
        # Who takes a block may rely on the other words until it has counted the block as done.
        if left > 0 and swap_word(desk, WAITING + owner * LINE, left, left - 1):
            start = desk[FIRST] + (owner * BLOCKS + left - 1) * desk[SIZE]
            stop = min(start + desk[SIZE], desk[END])
            call_kernel(desk[FUNCTION], start, stop, desk[FIXED], desk[CALL])
            add_word(desk, UNDONE, -1)
            return True
        if left > 0:
            return True
    return False


@njit(nogil=True, cache=True)
def serve(desk, thread, rounds):  # type: ignore[no-untyped-def]
    """Do blocks as they come, until none has come for ``rounds`` looks."""
    idle = 0
    while idle < rounds:
        idle = 0 if do_block(desk, thread) else idle + 1


@njit(nogil=True, cache=True)
def await_blocks(desk, rounds):  # type: ignore[no-untyped-def]
    """Wait until none of the blocks that were taken is being done; False after ``rounds`` looks."""
    for _ in range(rounds):  # noqa: SIM110
        if read_word(desk, UNDONE) == 0:
            return True
    return False


@njit(nogil=True, cache=True)
def lead(desk, function, fixed, call, call_at, start, stop, rounds):  # type: ignore[no-untyped-def]
    """Lay out a kernel's call in blocks of lanes, do those that nobody else does, and wait for the others."""
    threads = (desk.shape[0] - WAITING) // LINE
    size = max(1, (stop - start + threads * BLOCKS - 1) // (threads * BLOCKS))
    blocks = (stop - start + size - 1) // size
    store(call, call_at)
    desk[FUNCTION], desk[FIXED], desk[CALL] = function, fixed, call_at
    desk[FIRST], desk[END], desk[SIZE], desk[UNDONE] = start, stop, size, blocks
    # The helpers' first, the caller is busy with this itself.
    for thread in range(threads - 1, -1, -1):
        add_word(desk, WAITING + thread * LINE, max(0, min(BLOCKS, blocks - thread * BLOCKS)))
    while do_block(desk, 0):
        pass
    return await_blocks(desk, rounds)


class _Office:
    """What the caller and its helpers both know; it does not know the caller, who can so be dropped and end them."""

    def __init__(self, num_helpers: int) -> None:
        self.desk = np.zeros(WAITING + (num_helpers + 1) * LINE, np.int64)
        self.asleep = [False] * num_helpers
        self.bells: list[SimpleQueue[None]] = [SimpleQueue() for _ in range(num_helpers)]
        self.closed = False

    def wake(self) -> None:
        for helper, asleep in enumerate(self.asleep):
            if asleep:
                self.asleep[helper] = False
                self.bells[helper].put(None)

    def close(self) -> None:
        self.closed = True
        for bell in self.bells:
            bell.put(None)


class SharedKernel:
    """A kernel in a form that threads can share.

    Args:
        kernel: a compiled function of (start, stop, fixed, call).
        fixed: what it gets in every call.
        call: an example of what it gets in a call.
    """

    def __init__(self, kernel: Any, fixed: Fixed, call: tuple[Any, ...]) -> None:
        self._kept = (fixed, native_memory(call))
        self.fixed, self.call_at = fixed.handle, self._kept[1].ctypes.data
        self.function = code_address(kernel, (types.int64, types.int64, fixed.kind, AddressOf(typeof(call))))
        words = (types.int64,) * 4
        self.lead = entry_of(lead, (types.int64[::1], types.int64, types.int64, typeof(call), *words))


class LaneThreads:
    """The calling thread and ``num_threads - 1`` helpers.

    Args:
        num_threads: at least 2.
    """

    def __init__(self, num_threads: int) -> None:
        self._office = _Office(num_threads - 1)
        for helper in range(num_threads - 1):
            threading.Thread(target=_serve, args=(self._office, helper), daemon=True, name="adaps-lanes").start()
        self._finalizer = weakref.finalize(self, self._office.close)

    def run(self, kernel: SharedKernel, start: int, stop: int, call: tuple[Any, ...]) -> None:
        """Call ``kernel`` on lanes ``[start, stop)``."""
        office = self._office
        if True in office.asleep:
            office.wake()
        if not kernel.lead(office.desk, kernel.function, kernel.fixed, call, kernel.call_at, start, stop, ROUNDS):
            while not await_blocks(office.desk, ROUNDS):
                time.sleep(NAP)

    def close(self) -> None:
        """End the helpers."""
        self._finalizer()


def _serve(office: _Office, helper: int) -> None:
    while not office.closed:
        serve(office.desk, helper + 1, ROUNDS)
        office.asleep[helper] = True
        office.bells[helper].get()
