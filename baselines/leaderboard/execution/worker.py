"""The process that runs jobs for :class:`~baselines.leaderboard.execution.local_engine.WorkerPool`, one by one.

What is built in may share a process. A job or check that needs a plug-in has a process of its own: the worker announces
it before it loads the plug-in, and the pool ends the worker afterwards. Answers are JSON, so the pool unpickles nothing
that a plug-in has made.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from adaps_envs.errors import AdapsError
from adaps_envs.registry import PLUGINS_VARIABLE
from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.execution.engine import Throttle
from baselines.leaderboard.execution.plan import Job, JobOptions
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.spec.loading import select

__all__ = ["begin_worker", "worker_main"]


def begin_worker(connection: Connection) -> None:
    """Keep this process apart from the one that started it: its signals, its output, its end, its threads."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own, so that the pool can end whatever a scheme starts, too
        os.register_at_fork(after_in_child=connection.close)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What a scheme prints must not get into the board, which goes to the standard output.
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)


def worker_main(connection: Connection) -> None:
    """Do what the pool asks, until it closes the connection or ends the process."""
    begin_worker(connection)
    worker = _Worker(connection)
    with suppress(EOFError, OSError):
        while True:
            kind, *values = connection.recv()
            getattr(worker, kind)(*values)


class _Worker:
    """Each public method answers one request of the pool."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def check(self, suite: SuiteConfig, tasks: list[str]) -> None:
        """Look over what is built in; of the tasks, ``tasks`` are. Answer which schemes are not."""
        from adaps_agents.schemes.registry import is_builtin, list_schemes, scheme_class
        from baselines.leaderboard.execution.suite_check import check_suite

        known = list_schemes()
        builtin: list[str] = []
        outside: list[str] = []
        try:
            for scheme in suite.schemes:
                if scheme.name not in known:
                    scheme_class(scheme.name)  # raises what is to be said of an unknown name
                (builtin if is_builtin(scheme.name) else outside).append(scheme.label)
            if builtin and tasks:
                check_suite(select(suite, tasks=tasks, schemes=builtin))
        except AdapsError as error:
            self._answer("refused", _public_name(error), str(error))
        else:
            self._answer("checked", builtin, outside)

    def check_plugin(self, suite: SuiteConfig, env_plugin: str) -> None:
        """Look over a part of a suite that needs a plug-in."""
        from baselines.leaderboard.execution.suite_check import check_suite

        os.environ[PLUGINS_VARIABLE] = env_plugin
        try:
            check_suite(suite)
        except AdapsError as error:
            self._answer("refused", _public_name(error), str(error))
        else:
            self._answer("checked", [], [])

    def run(self, job: Job, env_plugin: str) -> None:
        """Run one job."""
        from adaps_agents.schemes.registry import is_builtin
        from baselines.leaderboard.execution.job import execute_job

        if env_plugin or not is_builtin(job.config.scheme.name):
            self._answer("single use")
        os.environ[PLUGINS_VARIABLE] = env_plugin
        if sys.platform == "linux":
            _limit(job.options)
        progress = Throttle(lambda steps: self._answer("progress", steps if isinstance(steps, str) else int(steps)))
        config = RunConfig.model_validate(job.config.model_dump(mode="json"))
        try:
            outcome = execute_job(config, job.directory, progress, job.options)
        except OutputDirectoryError as error:
            self._answer("unwritable", str(error))
        except KeyboardInterrupt:
            sys.exit(1)  # Ctrl-C does not reach workers; a scheme has raised it
        else:
            self._answer("finished", outcome.status, outcome.score, outcome.error)

    def _answer(self, *values: Any) -> None:
        self._connection.send_bytes(json.dumps(values).encode("ascii"))


def _limit(options: JobOptions) -> None:
    """Let this process fail where it takes more memory or processor time than a job may."""
    import resource

    limits: list[tuple[int, float]] = []
    if options.memory is not None:
        limits.append((resource.RLIMIT_DATA, options.memory))
    if options.cpu_seconds is not None:
        signal.signal(signal.SIGXCPU, _out_of_time)
        limits.append((resource.RLIMIT_CPU, time.process_time() + options.cpu_seconds))
    for kind, wanted in limits:
        _, most = resource.getrlimit(kind)
        resource.setrlimit(kind, (int(wanted) if most == resource.RLIM_INFINITY else min(int(wanted), most), most))


class OutOfTimeError(RuntimeError):
    """A job has taken the processor time that it may. Not an OSError, which means a full disk."""


def _out_of_time(*_: Any) -> None:
    raise OutOfTimeError("it takes more processor time than it may")


def _public_name(error: AdapsError) -> str:
    """The name of the error's class, or of the nearest one that is ours."""
    ours = ("adaps_envs.", "baselines.")
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith(ours))


def _end_with_parent() -> None:
    """End this process and all that it started when its parent is gone, so that a killed run leaves nothing behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
