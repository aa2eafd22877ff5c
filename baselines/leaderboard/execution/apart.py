"""Asking a process of its own: whatever code of a plug-in does there, nothing else of ours runs in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from adaps_agents.schemes.registry import is_builtin
from adaps_envs.registry import PLUGINS_VARIABLE, plugin_of
from baselines.leaderboard.execution.local_engine import WorkerProcess, quiet_start
from baselines.leaderboard.execution.worker import begin_worker
from baselines.leaderboard.records.reader import FinishedRun, read_run
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["answer_apart", "begin_apart", "needs_plugin"]


def needs_plugin(config: RunConfig) -> bool:
    """Whether the scheme or the environment of a run is code from another package."""
    return bool(plugin_of(config.task.env)) or not is_builtin(config.scheme.name)


def answer_apart(target: Callable[[Any], None], record: FinishedRun, asked: Any) -> tuple[Any, str]:
    """Return the JSON value that a process of its own answers, or None and how it ended.

    Args:
        target: what the process does with its end of the connection: :func:`begin_apart`, then send bytes.
        record: the run that it is asked about, which it reads by itself.
        asked: what else it needs to know; plain values.
    """
    with quiet_start():
        worker = WorkerProcess(target)
    try:
        worker.ask(str(record.directory.absolute()), plugin_of(record.config.task.env), asked)
        messages, ending = worker.answer()
    finally:
        worker.terminate()
        worker.kill()
    return (messages[0], "") if messages else (None, ending)


def begin_apart(connection: Connection) -> tuple[FinishedRun, Any]:
    """Keep this process apart, with the plug-in that its run needs; return the run, and what else was asked."""
    begin_worker(connection)
    directory, plugin, asked = connection.recv()
    os.environ[PLUGINS_VARIABLE] = plugin
    record = read_run(Path(directory))
    assert isinstance(record, FinishedRun)
    return record, asked
