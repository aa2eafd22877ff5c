"""The Ray engine: every job is a Ray task, placed and retried by Ray, on this machine or on a cluster.

Machines need not share a disk. A job writes its run directory and its stopping points to a temporary directory where it
runs; the files come back through Ray's object store, and this process alone writes to the output directory.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from adaps_envs.registry import PLUGINS_VARIABLE, plugin_of
from baselines.leaderboard.errors import ConfigError, EngineLostError, OutputDirectoryError
from baselines.leaderboard.execution.engine import (
    ATTEMPTS,
    THREAD_VARIABLES,
    Died,
    Event,
    Finished,
    Progress,
    Started,
    Throttle,
)
from baselines.leaderboard.execution.local_engine import WorkerPool, available_cores
from baselines.leaderboard.execution.plan import Job, JobOptions
from baselines.leaderboard.execution.signals import signals_deferred
from baselines.leaderboard.records.writer import install_files, remove_stale_partials
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig

__all__ = ["RayEngine", "require_ray"]

_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_TO_ANSWER = 5.0
_LOCAL = "local"


def require_ray() -> None:
    """Do nothing where Ray can be imported.

    Raises:
        ConfigError: it cannot; the message says how to install it.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray, which is not installed: pip install 'adaps[ray]'.")


class RayEngine:
    """Runs jobs as Ray tasks of one CPU and one thread each.

    Use as a context manager, or call :meth:`end`. A Ray that the caller has initialised is used and left running.
    """

    def __init__(self, count: int | None = None, *, address: str | None = None) -> None:
        """Nothing is started before :meth:`run`.

        Args:
            count: jobs at once; None takes as many as the cluster, or this machine, has CPUs for.
            address: of a running cluster, as ``ray.init`` takes it; None takes that of the variable ``RAY_ADDRESS``,
                and without it starts Ray on this machine for the time of the run.

        Raises:
            ConfigError: Ray is not installed.
        """
        require_ray()
        self._count = count
        self._address = address or os.environ.get("RAY_ADDRESS") or _LOCAL
        self._scratch = f"adaps-ray-{uuid.uuid4().hex}"
        self._ours = False
        self._pending: dict[Any, Job] = {}
        self._open: dict[str, Job] = {}
        self._started: dict[str, float] = {}
        self._overdue: set[str] = set()
        self._reports: Any = None

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def check(self, suite: SuiteConfig, *, timeout: float | None = None) -> None:
        """Check the suite in processes of this machine; see :class:`~baselines.leaderboard.execution.engine.Engine`."""
        with WorkerPool(self._count) as workers:
            workers.check(suite, timeout=timeout)

    def run(self, jobs: list[Job]) -> Iterator[Event]:
        """Run the jobs in order and yield events until all have ended.

        Raises:
            ConfigError: no cluster answers at the address, or its machines cannot load what the jobs need.
            OutputDirectoryError: a record cannot be written, there or here; the other jobs are not waited for.
            EngineLostError: Ray has failed; the jobs that have not ended stay open.
        """
        import ray

        self._connect()
        queue = deque(jobs)
        self._open = {job.run_id: job for job in jobs}
        while queue or self._pending:
            while queue and (self._count is None or len(self._pending) < self._count):
                job = queue.popleft()
                self._pending[self._submit(job)] = job
            ready, _ = ray.wait(list(self._pending), timeout=_SECONDS_BETWEEN_LOOKS)
            yield from self._news()
            for task in ready:
                yield from self._classify(task)
            if not ready:
                self._cancel_overdue()
                self._check_alive()

    def end(self) -> list[int]:
        """Cancel every task, whatever it is doing, and stop the Ray that :meth:`run` started or leave the cluster."""
        if self._ours or self._reports is not None:
            import ray

            # Ray may be gone already; there is nothing left to stop then.
            with suppress(Exception):
                for task in self._pending:
                    ray.cancel(task, force=True)
                if self._reports is not None:
                    ray.kill(self._reports.actor)
            if self._ours:
                ray.shutdown()
        self._reports, self._ours = None, False
        self._pending.clear()
        self._started.clear()
        shutil.rmtree(_scratch_directory(self._scratch), ignore_errors=True)
        return []

    def _connect(self) -> None:
        import ray
        from ray.util.queue import Queue

        if not ray.is_initialized():
            _check_reachable(self._address)
            # Ray starts reporting its use to its makers otherwise.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            here = {"num_cpus": self._count or available_cores(), "include_dashboard": False}
            settings: dict[str, Any] = here if self._address == _LOCAL else {}
            self._ours = True
            try:
                # Ray loses a Ctrl-C that arrives meanwhile, and takes SIGTERM for itself.
                with signals_deferred():
                    ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR, **settings)
            except (OSError, ValueError, RuntimeError) as error:
                raise _no_cluster(self._address, error) from None
        self._reports = Queue(actor_options={"num_cpus": 0})

    def _submit(self, job: Job) -> Any:
        import ray

        variables = {**dict.fromkeys(THREAD_VARIABLES, "1"), PLUGINS_VARIABLE: plugin_of(job.config.task.env)}
        # One call a process: nothing that a plug-in does to its process reaches another run.
        task = ray.remote(max_calls=1)(_run_one).options(
            name=job.run_id,
            num_cpus=1,
            max_retries=ATTEMPTS - 1,
            runtime_env={"env_vars": variables},
        )
        return task.remote(job.config.model_dump(mode="json"), job.options, self._scratch, self._reports)

    def _news(self) -> Iterator[Event]:
        """What running tasks have reported. A task that starts twice has lost its first worker."""
        for run_id, steps in self._drain():
            job = self._open.get(run_id)
            if job is not None and steps is None:
                if run_id in self._started:
                    yield Died(job, "Ray lost its worker", None, final=False)
                self._started[run_id] = time.monotonic()
                yield Started(job)
            elif job is not None and run_id in self._started:
                yield Progress(job, steps)

    def _drain(self) -> list[tuple[str, Any]]:
        import ray

        # Reports are for the eyes; if the machine that collects them is lost, jobs go on without.
        with suppress(ray.exceptions.RayError):
            return list(self._reports.get_nowait_batch(self._reports.qsize()))
        return []

    def _cancel_overdue(self) -> None:
        import ray

        for task, job in self._pending.items():
            started, timeout = self._started.get(job.run_id), job.options.timeout
            if started is not None and timeout is not None and time.monotonic() - started >= timeout:
                self._overdue.add(job.run_id)
                ray.cancel(task, force=True)

    def _classify(self, task: Any) -> Iterator[Event]:
        """Say what has become of a task that has ended."""
        import ray

        job = self._pending[task]
        try:
            kind, *values = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            raise ConfigError(
                f"a Ray worker cannot run {job.run_id} ({error.cause!r}); every machine of the cluster needs the same "
                "versions of adaps and of the packages that its schemes come from."
            ) from None
        except ray.exceptions.RayError as error:
            yield self._died(task, job, error)
            return
        yield from self._forget(task, job)
        if kind == "unwritable":
            raise OutputDirectoryError(values[0])
        status, score, message, files = values
        install_files(files, job.directory)
        yield Finished(job, status, score, message)

    def _died(self, task: Any, job: Job, error: Exception) -> Died:
        """Say that a run has failed; if it is Ray that has, raise EngineLostError."""
        import ray

        started, overdue = job.run_id in self._started, job.run_id in self._overdue
        blamed = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)
        if not overdue and not (started and isinstance(error, blamed)):
            raise self._lost(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        list(self._forget(task, job))
        if overdue:
            reason = f"the run had not ended after {job.options.timeout:g} s (--timeout)"
            return Died(job, reason, None, final=True, kind="RunTimedOut")
        reason = f"Ray gave the run up: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return Died(job, reason, None, final=True)

    def _forget(self, task: Any, job: Job) -> Iterator[Event]:
        """Take a task that has ended off the lists; it has started, even if its report has not come through."""
        del self._pending[task], self._open[job.run_id]
        if job.run_id not in self._started:
            yield Started(job)

    def _check_alive(self) -> None:
        import ray

        if not any(node["Alive"] for node in ray.nodes()):
            raise self._lost("no node of the cluster is alive")

    def _lost(self, reason: str) -> EngineLostError:
        return EngineLostError(
            f"Ray has failed ({reason}). Finished runs are kept and the other {len(self._open)} stay open: start the "
            "cluster again if it is yours, then run the same command again."
        )


def _scratch_directory(name: str) -> Path:
    return Path(tempfile.gettempdir()) / name


def _run_one(config: dict[str, Any], options: JobOptions, scratch: str, reports: Any) -> tuple[Any, ...]:
    """Run one job in a Ray worker and return how it ended, with the files of its run directory."""
    import torch

    from baselines.leaderboard.execution.job import execute_job

    torch.set_num_threads(1)
    run = RunConfig.model_validate(config)
    out = _scratch_directory(scratch)
    directory = out / run.run_id
    remove_stale_partials(out)  # those of a worker that was killed here in the middle of a job
    try:
        _report(reports, run.run_id, None)
        progress = Throttle(lambda steps: _report(reports, run.run_id, steps))
        outcome = execute_job(run, directory, progress, options)
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
    except OutputDirectoryError as error:
        return ("unwritable", str(error))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ("finished", outcome.status, outcome.score, outcome.error, files)


def _report(reports: Any, run_id: str, steps: int | str | None) -> None:
    """Tell the driver that a run starts (None) or how far it is. A run never fails because nobody listens."""
    with suppress(Exception):
        reports.put_nowait((run_id, steps))


def _check_reachable(address: str) -> None:
    """Knock at a cluster's door, because Ray itself waits for minutes before it gives up."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # "local", "auto", or something that ray.init refuses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"no Ray cluster answers at {address!r} ({error}); "
        "start one with `ray start --head`, or leave --address out to use this machine."
    )
