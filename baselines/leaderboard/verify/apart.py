"""Examining a run in a process of its own, because its scheme or environment is not ours.

Whatever that code does to its process, other runs are examined elsewhere. What comes back is JSON: faults of this run,
and how its agents act.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import astuple
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from adaps_envs.registry import PLUGINS_VARIABLE
from baselines.leaderboard.execution.local_engine import WorkerProcess, quiet_start
from baselines.leaderboard.execution.worker import begin_worker
from baselines.leaderboard.records.reader import FinishedRun, read_run
from baselines.leaderboard.verify.verdict import Examined, Fault

__all__ = ["examined_apart"]


def examined_apart(record: FinishedRun, env_plugin: str) -> Examined:
    """Return what :func:`~baselines.leaderboard.verify.deep.examine` finds, of a run that needs a plug-in.

    Args:
        record: the run.
        env_plugin: the plug-in of its environment; empty for a built-in one.
    """
    with quiet_start():
        worker = WorkerProcess(_main)
    try:
        worker.ask(str(record.directory.absolute()), env_plugin)
        messages, ending = worker.answer()
    finally:
        worker.terminate()
        worker.kill()
    try:
        if messages:
            return _decoded(messages[0])
    except (TypeError, ValueError):
        ending = "it answered what cannot be read"
    return Examined((Fault("config.json", "config.scheme", f"cannot be examined: {ending}"),))


def _main(connection: Connection) -> None:
    """Examine the one run that is asked for."""
    begin_worker(connection)
    directory, env_plugin = connection.recv()
    os.environ[PLUGINS_VARIABLE] = env_plugin
    from baselines.leaderboard.verify.deep import examine

    record = read_run(Path(directory))
    assert isinstance(record, FinishedRun)
    connection.send_bytes(json.dumps(_encoded(examine(record))).encode("ascii"))


def _encoded(found: Examined) -> list[Any]:
    answers = found.answers
    data = None if answers is None else [list(answers.shape), base64.b64encode(answers.tobytes()).decode("ascii")]
    faults, notes = ([astuple(fault) for fault in each] for each in (found.faults, found.notes))
    return [faults, found.as_elsewhere, notes, data]


def _decoded(message: Any) -> Examined:
    faults, as_elsewhere, notes, data = message
    answers = None
    if data is not None:
        rows, columns = data[0]
        answers = np.frombuffer(base64.b64decode(data[1]), np.float32).reshape(rows, columns)
    told = [tuple(Fault(*map(str, fault)) for fault in each) for each in (faults, notes)]
    return Examined(told[0], bool(as_elsewhere), told[1], answers)
