"""Threads that share the lanes of a step.

Lanes are dealt out in one block a thread to whoever is free, the calling thread first: waking a thread can take as long
as a small step, so nobody waits for one that comes late, and every further block would cost a turn at the interpreter.
Blocks do not touch each other, so the result does not depend on who does which.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from numba import njit

__all__ = ["LaneThreads"]

Work: TypeAlias = Callable[..., None]
Block: TypeAlias = tuple[int, int]
Task: TypeAlias = tuple[Work, Iterator[Block], tuple[Any, ...]]
Tasks: TypeAlias = "SimpleQueue[Task | None]"
Outcomes: TypeAlias = "SimpleQueue[BaseException | None]"

# A wait of 0.3 ms in all, in pieces of about 30 microseconds that leave the interpreter to the other threads.
PAUSES = 10
PAUSE_ROUNDS = 12000


Item = TypeVar("Item")


@njit(nogil=True, cache=True)
def pause(rounds):  # type: ignore[no-untyped-def]
    """Keep the processor busy for so many rounds of a recurrence, and return its value."""
    value = 1.0
    for _ in range(rounds):
        value = value * 0.999 + 0.5
    return value


class LaneThreads:
    """The calling thread and ``num_threads - 1`` helpers.

    Args:
        num_threads: at least 2.
    """

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._tasks: list[Tasks] = [SimpleQueue() for _ in range(num_threads - 1)]
        self._outcomes: Outcomes = SimpleQueue()
        for tasks in self._tasks:
            threading.Thread(target=_serve, args=(tasks, self._outcomes), daemon=True, name="adaps-lanes").start()
        # The helpers know the queues alone, so that an environment that is dropped without close() ends them as well.
        self._finalizer = weakref.finalize(self, _dismiss, self._tasks)

    def run(self, work: Work, num_lanes: int, *args: Any) -> None:
        """Call ``work(start, stop, *args)`` on blocks that make up ``[0, num_lanes)``.

        Raises:
            Exception: the first one that ``work`` raised, after all blocks have ended.
        """
        size = -(-num_lanes // self._num_threads)
        blocks = [(start, min(start + size, num_lanes)) for start in range(0, num_lanes, size)]
        waiting = iter(blocks)
        for tasks in self._tasks:
            tasks.put((work, waiting, args))
        own = [_outcome(work, block, args) for block in waiting]
        others = [_soon(self._outcomes) for _ in range(len(blocks) - len(own))]
        for error in (*own, *others):
            if error is not None:
                raise error

    def close(self) -> None:
        """End the helpers."""
        self._finalizer()


def _outcome(work: Work, block: Block, args: tuple[Any, ...]) -> BaseException | None:
    try:
        work(*block, *args)
    except BaseException as error:
        return error
    return None


def _serve(tasks: Tasks, outcomes: Outcomes) -> None:
    while (task := _soon(tasks)) is not None:
        work, waiting, args = task
        for block in waiting:
            outcomes.put(_outcome(work, block, args))
        # Kept until the next task, they would hold an environment's arrays, and the environment itself.
        del task, work, waiting, args


def _soon(queue: SimpleQueue[Item]) -> Item:
    """Return the queue's next item; a thread that slept at once would be woken too late for the next small step."""
    for _ in range(PAUSES):
        if not queue.empty():
            break
        pause(PAUSE_ROUNDS)
    return queue.get()


def _dismiss(tasks: list[Tasks]) -> None:
    for queue in tasks:
        queue.put(None)
