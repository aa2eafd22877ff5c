"""Run records in the JSON format of marl-eval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.records.artifacts import Evaluation
from baselines.leaderboard.records.reader import FinishedRun
from baselines.leaderboard.spec.config import SuiteConfig, TaskConfig

__all__ = ["marl_eval_of"]

ENVIRONMENT = "adaps"
"""The name under which marl-eval groups all tasks."""


def marl_eval_of(records: list[FinishedRun], suite: SuiteConfig | None, *, episodes: bool = True) -> dict[str, Any]:
    """Return ``{environment: {task: {scheme: {seed_<s>: {step_<k>: ..., absolute_metrics: ...}}}}}``.

    Every step has ``step_count`` (environment steps, identity steps included), the ``return``, played as the task is
    scored, and, where the task has reference scores, the normalised ``score``. marl-eval wants the same schemes and
    runs on every task: there are only tasks of the suite, seeds that its schemes have finished on all of these, and
    schemes that have all such runs, so that a row that somebody adds takes no others away.

    Args:
        records: finished runs that can be compared.
        suite: that they were made for; None: all count as its own.
        episodes: whether every metric lists its episodes; if not, it lists their mean alone, which is what marl-eval
            makes of them.
    """
    tasks: dict[str, dict[str, dict[int, FinishedRun]]] = {}
    for record in records:
        config = record.config
        tasks.setdefault(config.task.name, {}).setdefault(config.scheme.label, {})[config.seed] = record
    if suite is not None:
        tasks = {task.name: tasks[task.name] for task in suite.tasks if task.name in tasks} or tasks
    finished = {
        label: set.intersection(*(set(of_task[label]) for of_task in tasks.values()))
        for label in next(iter(tasks.values()), {})
        if all(label in of_task for of_task in tasks.values())
    }
    own = {scheme.label for scheme in suite.schemes} if suite is not None else set()
    counted = [seeds for label, seeds in finished.items() if label in own] or list(finished.values())
    seeds = sorted(set.intersection(*counted)) if counted else []
    schemes = [label for label, its in finished.items() if its.issuperset(seeds)]
    return {
        ENVIRONMENT: {
            task: {label: {f"seed_{seed}": _run(of_task[label][seed], episodes) for seed in seeds} for label in schemes}
            for task, of_task in tasks.items()
        }
    }


def _run(record: FinishedRun, episodes: bool) -> dict[str, Any]:
    evaluation, task = record.evaluation, record.config.task
    return {
        **_steps(evaluation, task, episodes),
        "absolute_metrics": _metrics(evaluation.absolute, task, episodes),
    }


def _steps(evaluation: Evaluation, task: TaskConfig, episodes: bool) -> dict[str, Any]:
    metrics = _metrics(evaluation.scored(task), task, episodes)
    return {
        f"step_{point}": {"step_count": step, **{name: values[point] for name, values in metrics.items()}}
        for point, step in enumerate(evaluation.steps.tolist())
    }


def _metrics(returns: NDArray[np.float64], task: TaskConfig, episodes: bool) -> dict[str, list[Any]]:
    """Lists of ``[..., E]`` returns, or of their means, and of the scores of them."""
    if not episodes:
        returns = returns.mean(axis=-1, keepdims=True)
    metrics = {"return": returns.tolist()}
    if task.random_score is not None:
        metrics["score"] = task.normalise(returns).tolist()
    return metrics
