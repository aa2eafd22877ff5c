"""A pool of worker processes that survives the death of any of them.

``concurrent.futures`` gives up the whole pool when one worker is killed, and cannot end a running job. Here every
worker has a pipe of its own, a dead one is replaced and its job tried again, and all can be ended at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

import adaps_envs
from adaps_envs.errors import AdapsError, UnknownNameError
from adaps_envs.registry import PLUGINS_VARIABLE, plugin_of
from baselines.leaderboard import errors
from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.execution.engine import ATTEMPTS, THREAD_VARIABLES, Died, Event, Finished, Progress, Started
from baselines.leaderboard.execution.plan import Job, outcome_on_disk
from baselines.leaderboard.execution.signals import signals_deferred
from baselines.leaderboard.execution.worker import worker_main
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.spec.loading import select

__all__ = ["WorkerPool", "WorkerProcess", "available_cores", "quiet_start"]

_SECONDS_TO_END = 0.5
_SECONDS_BETWEEN_LOOKS = 1.0


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class WorkerProcess:
    """A worker process as its parent sees it.

    Args:
        target: what it does with its end of the connection.

    Attributes:
        job: what it runs; None while it is idle.
        single_use: whether it has been asked to load a plug-in, so that nothing else may run there.
    """

    def __init__(self, target: Callable[[Any], None] = worker_main) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=target, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None
        self.single_use = False
        self._deadline: float | None = None

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def handles(self) -> tuple[Any, int]:
        """What to wait for: a message, or the end of the process."""
        return self._connection, self.process.sentinel

    @property
    def overdue(self) -> bool:
        """Whether the time for its task is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def ask(self, kind: str, *values: Any, timeout: float | None = None) -> None:
        """Send a request; ``timeout`` in seconds. If the process is gone, :meth:`receive` will tell."""
        self._deadline = None if timeout is None else time.monotonic() + timeout
        with suppress(OSError):
            self._connection.send((kind, *values))

    def receive(self) -> tuple[list[list[Any]], bool]:
        """Return every message that has arrived, and whether the process is gone, so that none can follow."""
        messages: list[list[Any]] = []
        # Asked first: what a process sent before it ended is then surely in the pipe.
        gone = not self.process.is_alive()
        try:
            while self._connection.poll():
                messages.append(json.loads(self._connection.recv_bytes()))
        except (EOFError, OSError, ValueError, RecursionError):
            gone = True
        return messages, gone

    def ending(self) -> str:
        """Say in words how the process ended."""
        self.process.join(_SECONDS_TO_END)
        code = self.process.exitcode
        if code is None:
            return "the worker process closed its connection"
        if code < 0:
            with suppress(ValueError):
                name = signal.Signals(-code).name
                hint = " (often the system running out of memory; try fewer --jobs)" if name == "SIGKILL" else ""
                return f"the worker process was ended by {name}{hint}"
        return f"the worker process ended with exit code {code}"

    def answer(self, timeout: float | None = None) -> tuple[list[list[Any]], str]:
        """Wait for messages, and return them; if there are none, also why."""
        messages, gone = self.receive()
        while not messages and not gone and not self.overdue:
            wait(self.handles, _SECONDS_BETWEEN_LOOKS)
            messages, gone = self.receive()
        return messages, self.ending() if gone else f"it takes more than {timeout} s (--timeout)"

    def terminate(self) -> None:
        """Ask the process, and all that it started, to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process, and all that it started."""
        self.process.join(_SECONDS_TO_END)
        self._signal(signal.Signals(getattr(signal, "SIGKILL", signal.SIGTERM)))
        self.process.join(_SECONDS_TO_END)
        self._connection.close()

    def _signal(self, number: signal.Signals) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
                return
        self.process.terminate()  # it has no group of its own, here or yet


class WorkerPool:
    """The local engine: ``count`` processes at most, by default one a core. Leaving its context ends them all."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or available_cores()
        self._workers: list[WorkerProcess] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> list[int]:
        """End every worker now, whatever it is doing, and return their process ids; takes about a second at most."""
        return self._end(list(self._workers))

    def check(self, suite: SuiteConfig, *, timeout: float | None = None) -> None:
        """Look the suite over in workers: they have to load what learners are made of anyhow.

        What is built in is looked over in one of them; everything that needs a plug-in in processes of its own.

        Raises:
            UnknownNameError, ConfigError: see :func:`~baselines.leaderboard.execution.suite_check.check_suite`.
        """
        tasks: dict[str, list[str]] = {"": []}
        for task in suite.tasks:
            try:
                adaps_envs.spec(task.env)
            except UnknownNameError as error:
                raise UnknownNameError(f"task {task.name!r}: {error}") from None
            tasks.setdefault(plugin_of(task.env), []).append(task.name)
        while len(self._workers) < min(self._count, len(suite.runs())):
            self._start_worker()
        builtin, outside = self._checked(f"suite {suite.name!r}", timeout, "check", suite, tasks[""])
        for env_plugin, names in tasks.items():
            groups = [[label] for label in outside] + ([builtin] if env_plugin and builtin else [])
            for labels in groups if names else []:
                part = select(suite, tasks=names, schemes=labels)
                where = f"scheme {labels[0]!r}" if labels[0] in outside else f"task {names[0]!r}"
                self._checked(where, timeout, "check_plugin", part, env_plugin)

    def _checked(self, what: str, timeout: float | None, kind: str, *values: Any) -> tuple[list[str], list[str]]:
        """Let one worker look over a part; return the labels of its built-in schemes and of the others."""
        worker = self._idle_worker()
        assert worker is not None
        worker.ask(kind, *values, timeout=timeout)
        messages, ending = worker.answer(timeout)
        if kind == "check_plugin" or not messages:
            self._end([worker])
        if not messages:
            raise ConfigError(
                f"{what} could not be looked over: {ending}. Run the same command again; if it happens again, what the "
                "worker prints says why, and --scheme and --task leave it out."
            )
        answer, first, second = messages[0]
        if answer == "refused":
            raise _error(first, second)
        return first, second

    def run(self, jobs: list[Job]) -> Iterator[Event]:
        """Run the jobs in order and yield events until all have ended.

        Raises:
            OutputDirectoryError: a worker could not write its record; the other jobs are not waited for.
        """
        queue, attempts = deque(jobs), Counter[str]()
        while queue or any(worker.job is not None for worker in self._workers):
            yield from self._dispatch(queue, attempts)
            for worker in self._wake():
                for event in self._receive(worker, attempts):
                    yield event
                    if isinstance(event, Died) and not event.final:
                        queue.appendleft(event.job)

    def _dispatch(self, queue: deque[Job], attempts: Counter[str]) -> Iterator[Event]:
        while queue and (worker := self._idle_worker()) is not None:
            job = worker.job = queue.popleft()
            attempts[job.run_id] += 1
            worker.ask("run", job, plugin_of(job.config.task.env), timeout=job.options.timeout)
            yield Started(job)

    def _idle_worker(self) -> WorkerProcess | None:
        for worker in self._workers:
            if worker.job is None:
                return worker
        return None if len(self._workers) >= self._count else self._start_worker()

    def _start_worker(self) -> WorkerProcess:
        with quiet_start():
            self._workers.append(WorkerProcess())
        return self._workers[-1]

    def _wake(self) -> list[WorkerProcess]:
        """Wait until a worker has something to say or has ended, but not for long: time runs out without a sound."""
        wait([handle for worker in self._workers for handle in worker.handles], _SECONDS_BETWEEN_LOOKS)
        return list(self._workers)

    def _receive(self, worker: WorkerProcess, attempts: Counter[str]) -> Iterator[Event]:
        messages, gone = worker.receive()
        for message in messages:
            if (event := self._event(worker, message)) is not None:
                yield event
        if worker.job is None:
            if gone or worker.single_use:
                self._end([worker])
        elif gone or worker.overdue:
            yield self._reap(worker, worker.job, attempts, gone)

    def _event(self, worker: WorkerProcess, message: list[Any]) -> Event | None:
        kind, *values = message
        job = worker.job
        if job is None:
            return None  # from a copy that a scheme has forked: its job has ended
        if kind == "single use":
            worker.single_use = True
            return None
        if kind == "progress":
            return Progress(job, values[0])
        worker.job = None
        if kind == "unwritable":
            raise OutputDirectoryError(values[0])
        return Finished(job, *values)

    def _reap(self, worker: WorkerProcess, job: Job, attempts: Counter[str], gone: bool) -> Event:
        """End a worker that has died or hangs in the middle of a job, and say what becomes of the job."""
        ending = worker.ending() if gone else ""
        self._end([worker])
        if (outcome := outcome_on_disk(job)) is not None:
            return Finished(job, *outcome)
        if gone:
            return Died(job, ending, worker.pid, final=attempts[job.run_id] >= ATTEMPTS)
        reason = f"the run had not ended after {job.options.timeout:g} s (--timeout)"
        return Died(job, reason, worker.pid, final=True, kind="RunTimedOut")

    def _end(self, workers: list[WorkerProcess]) -> list[int]:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.kill()
            self._workers.remove(worker)
        return [worker.pid for worker in workers]


def _error(name: str, text: str) -> AdapsError:
    """An error of ours by the name of its class; of a class that is not, ConfigError."""
    kind = UnknownNameError if name == "UnknownNameError" else getattr(errors, name, ConfigError)
    return kind(text) if issubclass(kind, AdapsError) else ConfigError(text)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start children with one thread each, without plug-ins, and deaf to Ctrl-C, which the parent answers."""
    variables = {**dict.fromkeys(THREAD_VARIABLES, "1"), PLUGINS_VARIABLE: ""}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
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
