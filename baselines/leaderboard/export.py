"""Runs in the format of marl-eval, for those who plot or aggregate with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baselines.leaderboard.artifacts import Evaluation
from baselines.leaderboard.config import TaskConfig
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.record import RunRecord
from baselines.leaderboard.report.collect import check_comparable, read_all

__all__ = ["marl_eval"]

ENVIRONMENT = "adaps"
"""The name under which marl-eval groups all tasks."""


def marl_eval(out: Path) -> dict[str, Any]:
    """Return ``{environment: {task: {scheme: {seed_<s>: {step_<k>: ..., absolute_metrics: ...}}}}}``.

    Every step has ``step_count`` (environment steps, identity steps included) and, episode by episode, the greedy
    ``return`` and, where the task has reference scores, the normalised ``score``. marl-eval wants the same runs of all
    schemes of a task, so only seeds that all of them have finished are there.

    Raises:
        ConfigError: there is no finished run.
        ConfigMismatchError: runs of a task differ in more than scheme and seed.
    """
    records = [record for record in read_all(out)[0] if record.status == "done"]
    if not records:
        raise ConfigError(f"{out} holds no finished runs.")
    check_comparable(records)
    tasks: dict[str, dict[str, dict[int, RunRecord]]] = {}
    for record in records:
        config = record.config
        tasks.setdefault(config.task.name, {}).setdefault(config.scheme.label, {})[config.seed] = record
    return {ENVIRONMENT: {task: _schemes(schemes) for task, schemes in tasks.items()}}


def _schemes(schemes: dict[str, dict[int, RunRecord]]) -> dict[str, Any]:
    common = sorted(set.intersection(*(set(runs) for runs in schemes.values())))
    return {scheme: {f"seed_{seed}": _run(runs[seed]) for seed in common} for scheme, runs in schemes.items()}


def _run(record: RunRecord) -> dict[str, Any]:
    evaluation, task = record.evaluation, record.config.task
    assert evaluation is not None
    return {**_steps(evaluation, task), "absolute_metrics": _metrics(evaluation.absolute, task)}


def _steps(evaluation: Evaluation, task: TaskConfig) -> dict[str, Any]:
    return {
        f"step_{point}": {"step_count": int(step), **_metrics(evaluation.greedy[point], task)}
        for point, step in enumerate(evaluation.steps)
    }


def _metrics(returns: Any, task: TaskConfig) -> dict[str, list[float]]:
    metrics = {"return": returns.tolist()}
    if task.random_score is not None:
        metrics["score"] = task.normalise(returns).tolist()
    return metrics
