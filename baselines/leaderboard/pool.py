"""A small pool of worker processes that survives the death of any of them.

``concurrent.futures`` gives up the whole pool when one worker is killed, and cannot end a running job; here every
worker has a pipe of its own, a killed one is replaced and its job tried once more, and all can be ended at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from adaps_envs.errors import AdapsError
from baselines.leaderboard.config import RunConfig, SuiteConfig
from baselines.leaderboard.engine import ATTEMPTS, THREAD_VARIABLES, Died, Event, Finished, Progress, Started, Throttle
from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.plan import Job, JobOptions
from baselines.leaderboard.signals import signals_deferred

__all__ = ["WorkerPool", "available_cores"]

_SECONDS_TO_END = 0.5


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class _Worker:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_worker_main, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


class WorkerPool:
    """The local engine: ``count`` processes at most, by default one a core. Leaving its context ends them all."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or available_cores()
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> list[int]:
        """End every worker now, whatever it is doing, and return their process ids; takes about a second at most."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_END)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(_SECONDS_TO_END)
        pids = [worker.pid for worker in self._workers]
        self._workers.clear()
        return pids

    def check(self, suite: SuiteConfig) -> None:
        """Look the suite over in a worker: it has to load what learners are made of anyhow, and this process need not.

        The other workers get ready meanwhile.

        Raises:
            UnknownNameError, ConfigError: see :func:`~baselines.leaderboard.check.check_suite`.
        """
        while len(self._workers) < min(self._count, len(suite.runs())):
            self._start_worker()
        worker = self._workers[0]
        with suppress(OSError):
            worker.connection.send(suite)
        wait([worker.connection, worker.process.sentinel])
        messages, _ = _drain(worker)
        if not messages:
            worker.process.join(_SECONDS_TO_END)
            ending = _how_it_ended(worker.process.exitcode)
            raise ConfigError(
                f"suite {suite.name!r} could not be looked over: {ending}. Run the same command again; if it happens "
                "again, what the worker prints says why."
            )
        ((error,),) = messages
        if error is not None:
            raise error

    def run(self, jobs: list[Job]) -> Iterator[Event]:
        """Run the jobs in order and yield events until all have ended.

        Raises:
            OutputDirectoryError: a worker could not write its record; the other jobs are not waited for.
        """
        queue = deque((job, 1) for job in jobs)
        attempts: dict[str, int] = {}
        while queue or any(worker.job is not None for worker in self._workers):
            yield from self._hand_out(queue, attempts)
            for worker in self._ready():
                for event in self._receive(worker, attempts):
                    yield event
                    if isinstance(event, Died) and not event.final:
                        queue.appendleft((event.job, attempts[event.job.run_id] + 1))

    def _hand_out(self, queue: deque[tuple[Job, int]], attempts: dict[str, int]) -> Iterator[Event]:
        while queue and (worker := self._free_worker()) is not None:
            job, attempt = queue.popleft()
            attempts[job.run_id] = attempt
            worker.job = job
            # If the worker is already gone, its sentinel says so and the job is dealt with there.
            with suppress(OSError):
                worker.connection.send((job.config.model_dump(mode="json"), job.directory, job.options))
            yield Started(job)

    def _free_worker(self) -> _Worker | None:
        for worker in self._workers:
            if worker.job is None:
                return worker
        return None if len(self._workers) >= self._count else self._start_worker()

    def _start_worker(self) -> _Worker:
        with _quiet_start():
            self._workers.append(_Worker())
        return self._workers[-1]

    def _ready(self) -> list[_Worker]:
        handles = {worker.connection: worker for worker in self._workers}
        sentinels = {worker.process.sentinel: worker for worker in self._workers}
        found = wait([*handles, *sentinels])
        ready = [handles.get(item) or sentinels[item] for item in found]  # type: ignore[call-overload,index]
        return list(dict.fromkeys(ready))

    def _receive(self, worker: _Worker, attempts: dict[str, int]) -> Iterator[Event]:
        messages, gone = _drain(worker)
        for message in messages:
            yield self._event(worker, message)
        if gone:
            yield from self._bury(worker, attempts)

    def _event(self, worker: _Worker, message: tuple[Any, ...]) -> Event:
        kind, *values = message
        job = worker.job
        assert job is not None
        if kind == "progress":
            return Progress(job, values[0])
        worker.job = None
        if kind == "unwritable":
            raise OutputDirectoryError(values[0])
        return Finished(job, *values)

    def _bury(self, worker: _Worker, attempts: dict[str, int]) -> Iterator[Event]:
        worker.process.join(_SECONDS_TO_END)
        if worker in self._workers:
            self._workers.remove(worker)
        if worker.job is not None:
            job, worker.job = worker.job, None
            reason = _how_it_ended(worker.process.exitcode)
            yield Died(job, reason, worker.pid, final=attempts[job.run_id] >= ATTEMPTS)


def _drain(worker: _Worker) -> tuple[list[tuple[Any, ...]], bool]:
    """Take every message that has arrived; True if the process is gone and none can follow."""
    messages: list[tuple[Any, ...]] = []
    # Asked first: what a process sent before it ended is then surely in the pipe.
    gone = not worker.process.is_alive()
    try:
        while worker.connection.poll():
            messages.append(worker.connection.recv())
    except (EOFError, OSError):
        gone = True
    return messages, gone


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            hint = " (often the system running out of memory; try fewer --jobs)" if name == "SIGKILL" else ""
            return f"the worker process was ended by {name}{hint}"
    return f"the worker process ended with exit code {code}"


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Start children with one thread each and deaf to Ctrl-C, which is for the parent to answer."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    if os.name == "posix":
        resource_tracker.ensure_running()  # the first worker would start it, and it lets signals through again
    try:
        with signals_deferred():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _worker_main(connection: Connection) -> None:
    """Look suites over and run jobs from the pipe until it closes. Runs in the child."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            if isinstance(task, SuiteConfig):
                connection.send(_look_over(task))
            else:
                config, directory, options = task
                connection.send(_run_one(connection, RunConfig.model_validate(config), directory, options))


def _look_over(suite: SuiteConfig) -> tuple[AdapsError | None]:
    from baselines.leaderboard.check import check_suite

    try:
        check_suite(suite)
    except AdapsError as error:
        return (error,)
    return (None,)


def _run_one(connection: Connection, config: RunConfig, directory: Path, options: JobOptions) -> tuple[Any, ...]:
    from baselines.leaderboard.job import execute_job

    try:
        progress = Throttle(lambda steps: connection.send(("progress", steps)))
        outcome = execute_job(config, directory, progress, options)
    except OutputDirectoryError as error:
        return ("unwritable", str(error))
    return ("finished", outcome.status, outcome.score, outcome.error)


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone, so that a killed run leaves no worker behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
