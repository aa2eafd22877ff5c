"""What an engine is: it takes jobs, reports what becomes of them, and can be ended at any moment.

Two engines exist: the processes of this machine (``pool``) and a Ray cluster (``ray_engine``). Records do not depend on
which one ran them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from baselines.leaderboard.execution.plan import Job
from baselines.leaderboard.spec.config import SuiteConfig

__all__ = [
    "ATTEMPTS",
    "THREAD_VARIABLES",
    "Died",
    "Engine",
    "EngineFactory",
    "Event",
    "Finished",
    "Progress",
    "Started",
    "Throttle",
]

ATTEMPTS = 2
"""How often a job is begun whose worker dies; a job that raises is never repeated."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Set to 1 in workers: one thread adds in one order, so results do not depend on cores; jobs are the parallelism."""


@dataclass(frozen=True)
class Started:
    """A worker has taken up a job."""

    job: Job


@dataclass(frozen=True)
class Progress:
    """A job has spent ``steps`` environment steps, or is in a phase that counts none, by its name."""

    job: Job
    steps: int | str


@dataclass(frozen=True)
class Finished:
    """A job has written its record; ``status`` is ``"done"`` or ``"failed"``."""

    job: Job
    status: str
    score: float | None
    error: str


@dataclass(frozen=True)
class Died:
    """A worker ended in the middle of a job; ``final`` means that it will not be tried again.

    ``pid`` is the worker's process id if it may have left an unfinished run directory in the output directory; ``kind``
    names the failure in the record.
    """

    job: Job
    reason: str
    pid: int | None
    final: bool
    kind: str = "WorkerDied"


Event = Started | Progress | Finished | Died


class Engine(Protocol):
    """Runs jobs. Every job gives ``Started``, any number of ``Progress``, then ``Finished`` or ``Died``.

    After a ``Died`` that is not final the job gives ``Started`` again. When ``Finished`` arrives, the record lies in
    the job's directory.
    """

    def check(self, suite: SuiteConfig, *, timeout: float | None = None) -> None:
        """Check a suite before its jobs run, see :func:`~baselines.leaderboard.execution.suite_check.check_suite`.

        No plug-in is loaded into this process, or into one that is used for anything else. ``timeout``, in seconds, is
        for each part that needs a plug-in.

        Raises:
            UnknownNameError, ConfigError: see there.
        """

    def run(self, jobs: list[Job]) -> Iterator[Event]:
        """Run the jobs, yield events, and return when all have ended.

        Raises:
            OutputDirectoryError: a record cannot be written; the other jobs are not waited for.
            EngineLostError: the engine itself has failed; the jobs that have not ended stay open.
        """

    def end(self) -> list[int]:
        """End all workers now, whatever they are doing.

        Returns:
            Process ids of workers of this machine that may have left an unfinished run directory behind.
        """


EngineFactory = Callable[[int | None], Engine]
"""Makes an engine from the number of jobs that may run at once; None takes all there is room for."""


class Throttle:
    """Passes progress on from a worker, at most a few times a second."""

    def __init__(self, send: Callable[[int | str], None], seconds: float = 0.25) -> None:
        self._send = send
        self._seconds = seconds
        self._next = 0.0

    def __call__(self, steps: int | str) -> None:
        """Take the environment steps spent so far, or the name of a phase, which is passed on at once."""
        now = time.monotonic()
        if isinstance(steps, str) or now >= self._next:
            self._next = now + self._seconds
            self._send(steps)
