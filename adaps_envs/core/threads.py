"""Splits the lanes of a kernel's call over threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["LaneThreads"]


class LaneThreads:
    """The calling thread and ``num_threads - 1`` workers; with one thread a call is just a call.

    Kernels are functions of ``(start, stop, *arguments)`` compiled with ``nogil=True``. Lanes do not touch each other,
    so the result does not depend on how they are split.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def run(self, kernel: Any, start: int, stop: int, *arguments: Any) -> None:
        """Call ``kernel`` on lanes ``[start, stop)``, an equal share for each thread.

        Whatever a share raises reaches the caller, after all shares have ended.
        """
        parts = min(self._num_threads, stop - start)
        if parts <= 1:
            kernel(start, stop, *arguments)
            return
        edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
        pool = self._workers()
        shares = [pool.submit(kernel, low, high, *arguments) for low, high in zip(edges[1:-1], edges[2:], strict=True)]
        try:
            kernel(edges[0], edges[1], *arguments)
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
