"""How a step's kernels are called: on some lanes, by one thread or by several, at little cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from numba import config, typeof, types

from adaps_envs.core.lanes import any_outside, close_lanes, reopen_lanes
from adaps_envs.core.native import COMPILED, Fixed, entry_of
from adaps_envs.core.threads import LaneThreads, SharedKernel

__all__ = ["KernelCalls"]

# With bounds checked a kernel may raise, which reaches the caller of its own thread only.
THREADS_WORK = COMPILED and not config.BOUNDSCHECK  # type: ignore[attr-defined]


class KernelCalls:
    """Calls of one environment's kernels: compiled functions of ``(start, stop, fixed, call)``.

    ``fixed`` and ``call`` are tuples, which a kernel unpacks by :func:`~adaps_envs.core.native.values_of`: what is the
    same in all calls, and what is not, with the same types in each. Arrays must be C-contiguous.

    Args:
        num_threads: lanes are split over this many threads, where kernels are compiled without bounds checks.
    """

    def __init__(self, num_threads: int) -> None:
        self._threads = LaneThreads(num_threads) if num_threads > 1 and THREADS_WORK else None
        self._known: dict[Any, tuple[Any, Fixed, SharedKernel | None]] = {}

    def run(
        self, kernel: Any, start: int, stop: int, fixed: Callable[[], tuple[Any, ...]], call: tuple[Any, ...]
    ) -> None:
        """Call ``kernel`` on lanes ``[start, stop)``.

        Args:
            kernel: one of the environment's kernels.
            start, stop: lanes.
            fixed: gives what is the same in all calls of this kernel; it is asked once.
            call: what is not.
        """
        known = self._known.get(kernel)
        if known is None:
            known = self._known[kernel] = self._prepared(kernel, fixed(), call)
        entry, constants, shared = known
        if shared is None or self._threads is None:
            entry(start, stop, constants.handle, call)
        else:
            self._threads.run(shared, start, stop, call)

    def _prepared(self, kernel: Any, fixed: tuple[Any, ...], call: tuple[Any, ...]) -> Any:
        constants = Fixed(fixed)
        if not COMPILED:
            return kernel, constants, None
        if self._threads is not None:
            return None, constants, SharedKernel(kernel, constants, call)
        return entry_of(kernel, (types.int64, types.int64, constants.kind, typeof(call))), constants, None

    @cached_property
    def any_outside(self) -> Any:
        """:func:`~adaps_envs.core.lanes.any_outside`, ready to be called."""
        return entry_of(any_outside, (types.Array(types.int64, 2, "C", readonly=True), types.int64))

    @cached_property
    def close_lanes(self) -> Any:
        """:func:`~adaps_envs.core.lanes.close_lanes`, ready to be called."""
        return entry_of(close_lanes, (types.boolean[::1],) * 3)

    @cached_property
    def reopen_lanes(self) -> Any:
        """:func:`~adaps_envs.core.lanes.reopen_lanes`, ready to be called."""
        return entry_of(reopen_lanes, (types.Array(types.boolean, 1, "C", readonly=True), types.boolean[::1]))

    def close(self) -> None:
        """End the helpers; from then on the caller does everything itself."""
        if self._threads is not None:
            self._threads.close()
