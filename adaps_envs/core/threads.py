"""Splits the lanes of a kernel's call over threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from numba import typeof

__all__ = ["LaneThreads"]


class LaneThreads:
    """The calling thread and ``num_threads - 1`` workers; with one thread a call is just a call.

    Kernels are functions of ``(start, stop, *arguments)`` compiled with ``nogil=True``. Lanes do not touch each other,
    so the result does not depend on how they are split.

    A kernel is compiled for the types (dtypes, layouts, records) of its first call, and later calls must bring the same
    ones: looking at a record's fields in every call takes longer than a step of one lane.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._compiled: dict[Any, Any] = {}

    def run(self, kernel: Any, start: int, stop: int, *arguments: Any) -> None:
        """Call ``kernel`` on lanes ``[start, stop)``, an equal share for each thread.

        Whatever a share raises reaches the caller, after all shares have ended.
        """
        call = self._compiled.get(kernel)
        if call is None:
            call = self._compiled[kernel] = _compiled_for(kernel, (start, stop, *arguments))
        parts = min(self._num_threads, stop - start)
        if parts <= 1:
            call(start, stop, *arguments)
            return
        edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
        pool = self._workers()
        shares = [pool.submit(call, low, high, *arguments) for low, high in pairwise(edges[1:])]
        try:
            call(edges[0], edges[1], *arguments)
        finally:
            # The arrays must not be touched by workers once this returns.
            failures = [share.exception() for share in shares]
        for failure in failures:
            if failure is not None:
                raise failure

    def close(self) -> None:
        """End the workers; from then on the caller does everything itself."""
        self._num_threads = 1
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _workers(self) -> ThreadPoolExecutor:
        # A forked process inherits the pool but not its threads.
        if self._pool is None or self._process != os.getpid():
            self._pool = ThreadPoolExecutor(self._num_threads - 1, thread_name_prefix="adaps-lanes")
            self._process = os.getpid()
        return self._pool


def _compiled_for(kernel: Any, arguments: tuple[Any, ...]) -> Any:
    """Return ``kernel`` compiled for the types of ``arguments``; itself where nothing is compiled."""
    return kernel.compile(tuple(map(typeof, arguments))) if hasattr(kernel, "compile") else kernel
