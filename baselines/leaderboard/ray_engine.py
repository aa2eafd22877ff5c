"""The Ray engine: every job is a Ray task, placed and retried by Ray, on this machine or on a cluster.

Machines need not share a disk. A job writes its run directory and its stopping points to a temporary directory where it
runs; the files come back through Ray's object store, and this process alone writes to the output directory.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from baselines.leaderboard.config import RunConfig, SuiteConfig
from baselines.leaderboard.engine import (
    ATTEMPTS,
    THREAD_VARIABLES,
    Died,
    Event,
    Finished,
    Progress,
    Started,
    Throttle,
)
from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.plan import Job, JobOptions
from baselines.leaderboard.pool import available_cores
from baselines.leaderboard.ray_node import StartingRay, offspring, stop_ray
from baselines.leaderboard.writer import install_files, remove_stale_partials

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
        self._earlier: list[Any] = []
        self._starting: StartingRay | None = None
        self._pending: dict[Any, Job] = {}
        self._open: dict[str, Job] = {}
        self._running: set[str] = set()
        self._reports: Any = None

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def check(self, suite: SuiteConfig) -> None:
        """Look the suite over in this process; see :class:`~baselines.leaderboard.engine.Engine`."""
        from baselines.leaderboard.check import check_suite

        check_suite(suite)

    def run(self, jobs: list[Job]) -> Iterator[Event]:
        """Run the jobs in order and yield events until all have ended.

        Raises:
            ConfigError: no cluster answers at the address, or its machines cannot load what the jobs need.
            OutputDirectoryError: a record cannot be written, there or here; the other jobs are not waited for.
        """
        import ray

        self._connect()
        waiting = deque(jobs)
        self._open = {job.run_id: job for job in jobs}
        while waiting or self._pending:
            while waiting and (self._count is None or len(self._pending) < self._count):
                job = waiting.popleft()
                self._pending[self._submit(job)] = job
            ready, _ = ray.wait(list(self._pending), timeout=_SECONDS_BETWEEN_LOOKS)
            yield from self._news()
            for task in ready:
                yield from self._ended(task)

    def end(self) -> list[int]:
        """Cancel every task, whatever it is doing, and stop the Ray that :meth:`run` started or left the cluster."""
        if self._reports is not None:
            import ray

            # Ray may be gone already; there is nothing left to stop then.
            with suppress(Exception):
                for task in self._pending:
                    ray.cancel(task, force=True)
                ray.kill(self._reports.actor)
            self._reports = None
        self._pending.clear()
        self._running.clear()
        if self._starting is not None:
            stop_ray(self._earlier, self._starting)
            self._starting = None
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
            self._earlier = offspring()
            self._starting = StartingRay(address=self._address, **settings)
            try:
                self._starting.wait()
            except (OSError, ValueError, RuntimeError) as error:
                raise _no_cluster(self._address, error) from None
        self._reports = Queue(actor_options={"num_cpus": 0})

    def _submit(self, job: Job) -> Any:
        import ray

        task = ray.remote(_run_one).options(
            name=job.run_id,
            num_cpus=1,
            max_retries=ATTEMPTS - 1,
        )
        return task.remote(job.config.model_dump(mode="json"), job.options, self._scratch, self._reports)

    def _news(self) -> Iterator[Event]:
        """What running tasks have reported. A task that starts twice has lost its first worker."""
        for run_id, steps in self._drain():
            job = self._open.get(run_id)
            if job is not None and steps is None:
                if run_id in self._running:
                    yield Died(job, "Ray lost its worker", None, final=False)
                self._running.add(run_id)
                yield Started(job)
            elif job is not None and run_id in self._running:
                yield Progress(job, steps)

    def _drain(self) -> list[tuple[str, Any]]:
        import ray

        # Reports are for the eyes; if the machine that collects them is lost, jobs go on without.
        with suppress(ray.exceptions.RayError):
            return list(self._reports.get_nowait_batch(self._reports.qsize()))
        return []

    def _ended(self, task: Any) -> Iterator[Event]:
        import ray

        job = self._pending.pop(task)
        del self._open[job.run_id]
        if job.run_id not in self._running:
            yield Started(job)
        try:
            kind, *values = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            raise ConfigError(
                f"a Ray worker cannot run {job.run_id} ({error.cause!r}); every machine of the cluster needs the same "
                "versions of adaps and of the packages that its schemes come from."
            ) from None
        except ray.exceptions.RayError as error:
            reason = f"Ray gave the run up: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            yield Died(job, reason, None, final=True)
            return
        if kind == "unwritable":
            raise OutputDirectoryError(values[0])
        status, score, message, files = values
        install_files(files, job.directory)
        yield Finished(job, status, score, message)


def _scratch_directory(name: str) -> Path:
    return Path(tempfile.gettempdir()) / name


def _run_one(config: dict[str, Any], options: JobOptions, scratch: str, reports: Any) -> tuple[Any, ...]:
    """Run one job in a Ray worker and return how it ended, with the files of its run directory."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    import torch
    from threadpoolctl import threadpool_limits

    from baselines.leaderboard.job import execute_job

    # What is loaded by now has read its variables before they were set.
    threadpool_limits(1)
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


def _report(reports: Any, run_id: str, steps: int | None) -> None:
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
