"""Asking a process of its own: whatever code of a plug-in does there, nothing else of ours runs in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adaps_agents.schemes.registry import is_builtin
from adaps_envs.registry import plugin_of
from baselines.leaderboard.execution.local_engine import WorkerProcess, quiet_start
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["answer_apart", "needs_plugin"]


def needs_plugin(config: RunConfig) -> bool:
    """Whether the scheme or the environment of a run is code from another package."""
    return bool(plugin_of(config.task.env)) or not is_builtin(config.scheme.name)


def answer_apart(target: Callable[[Any], None], *request: Any) -> tuple[Any, str]:
    """Return the JSON value that a process of its own answers, or None and how it ended.

    Args:
        target: what the process does with its end of the connection: receive the request, send bytes.
        request: what it is asked; plain values.
    """
    with quiet_start():
        worker = WorkerProcess(target)
    try:
        worker.ask(*request)
        messages, ending = worker.answer()
    finally:
        worker.terminate()
        worker.kill()
    return (messages[0], "") if messages else (None, ending)
