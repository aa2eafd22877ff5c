"""Threads that share the lanes of a step.

Lanes are dealt out in one block a thread to whoever is free, the calling thread first, so that nobody waits for a
thread that comes late. Blocks do not touch each other, so the result does not depend on who does which.

A helper looks out for work inside compiled code, without the interpreter, and goes to sleep when none has come for a
while: waking a sleeping thread takes as long as a small step.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeAlias

from adaps_envs.core.signals import COMPILED, WORDS, await_total, new_words, publish_and_await

__all__ = ["LaneThreads"]

Work: TypeAlias = Callable[..., None]
Block: TypeAlias = tuple[int, int]
Task: TypeAlias = tuple[Work, Iterator[Block], tuple[Any, ...], list[BaseException]]

# Looks at a word of memory, about 0.3 ms of them; where nothing is compiled a look is dear, and sleep follows at once.
ROUNDS = 1_200_000 if COMPILED else 1
# About 20 microseconds: a helper that asked for the interpreter before the caller has left it would be put to sleep.
PAUSE = 120_000 if COMPILED else 0
NAP = 1e-4


class _Desk:
    """What the caller and its helpers both know; it does not know the caller, who can so be dropped and end them."""

    def __init__(self, num_helpers: int) -> None:
        self.turn = new_words(1)
        self.done = new_words(num_helpers)
        self.asleep = [False] * num_helpers
        self.bells: list[SimpleQueue[None]] = [SimpleQueue() for _ in range(num_helpers)]
        self.task: Task | None = None
        self.closed = False

    def call(self) -> None:
        """Begin a new turn, and wake who sleeps. The turn comes first: a helper looks at it before it falls asleep."""
        self.turn[0] += 1
        for asleep, bell in zip(self.asleep, self.bells, strict=True):
            if asleep:
                bell.put(None)

    def close(self) -> None:
        self.closed = True
        self.call()


class LaneThreads:
    """The calling thread and ``num_threads - 1`` helpers.

    Args:
        num_threads: at least 2.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._desk = _Desk(num_threads - 1)
        # Blocks that helpers have taken in all, which their counts in ``done`` must reach.
        self._taken = 0
        for helper in range(num_threads - 1):
            threading.Thread(target=_serve, args=(self._desk, helper), daemon=True, name="adaps-lanes").start()
        self._finalizer = weakref.finalize(self, self._desk.close)

    def run(self, work: Work, num_lanes: int, *args: Any) -> None:
        """Call ``work(start, stop, *args)`` on blocks that make up ``[0, num_lanes)``.

        Raises:
            Exception: the first one that ``work`` raised, after all blocks have ended.
        """
        size = -(-num_lanes // self._num_threads)
        blocks = [(start, min(start + size, num_lanes)) for start in range(0, num_lanes, size)]
        waiting = iter(blocks)
        errors: list[BaseException] = []
        self._desk.task = (work, waiting, args, errors)
        self._desk.call()
        own = _do_blocks(work, waiting, args, errors)
        self._desk.task = None
        self._taken += len(blocks) - own
        while not await_total(self._desk.done, self._taken, ROUNDS):
            time.sleep(NAP)
        if errors:
            raise errors[0]

    def close(self) -> None:
        """End the helpers."""
        self._finalizer()


def _do_blocks(work: Work, waiting: Iterator[Block], args: tuple[Any, ...], errors: list[BaseException]) -> int:
    """Do blocks until none waits any more, and return how many."""
    count = 0
    for block in waiting:
        try:
            work(*block, *args)
        except BaseException as error:
            errors.append(error)
        count += 1
    return count


def _serve(desk: _Desk, helper: int) -> None:
    finished = turn = 0
    while not desk.closed:
        if not publish_and_await(desk.done, helper * WORDS, finished, desk.turn, 0, turn, ROUNDS, PAUSE):
            desk.asleep[helper] = True
            while desk.turn[0] == turn:
                desk.bells[helper].get()
            desk.asleep[helper] = False
        turn = int(desk.turn[0])
        task = desk.task
        if task is not None:
            finished += _do_blocks(*task)
        # Kept until the next turn, it would hold an environment's arrays, and the environment itself.
        del task
