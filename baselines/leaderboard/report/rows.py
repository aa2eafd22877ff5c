"""From run records to the rows of the board. All numbers of the report are made here or in ``stats``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard import stats
from baselines.leaderboard.artifacts import Evaluation
from baselines.leaderboard.config import SuiteConfig, TaskConfig
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.plan import read_suite_file
from baselines.leaderboard.record import RunRecord
from baselines.leaderboard.report.collect import Group, Problem, check_comparable, group_runs, read_all, tasks_of

__all__ = ["BASELINE", "Board", "Curve", "collect_board"]

BASELINE = "fups_id"
"""The scheme that the probability of improvement is measured against."""

PARAMETER_KEYS = (
    "trainable_actor",
    "trainable_critic",
    "fixed_parameters",
    "fixed_bits",
    "pretraining_parameters",
    "flops_per_decision",
)

Row = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Learning curve of one scheme on one task: interquartile mean over runs with interval, normalised, ``[P]`` each.

    ``steps`` are environment steps, identity steps included (the median over runs); ``identity_steps`` of them are
    spent before anything is learnt.
    """

    task: str
    scheme: str
    steps: Array
    centre: Array
    low: Array
    high: Array
    identity_steps: float


@dataclass(frozen=True)
class Board:
    """Everything the report shows."""

    suite: SuiteConfig | None
    tasks: list[TaskConfig]
    rows: list[Row]
    totals: list[Row]
    curves: list[Curve]
    problems: list[Problem]
    records: list[RunRecord]


def collect_board(out: Path) -> Board:
    """Read every run below ``out`` and compute the board. Failed and damaged runs are counted, never dropped.

    Raises:
        ConfigError: there are no runs.
        ConfigMismatchError: runs of one task differ in more than scheme and seed.
    """
    records, problems = read_all(out)
    suite = read_suite_file(out)
    if not records and not problems:
        raise ConfigError(f"{out} holds no runs; make some with `adaps leaderboard run --suite quick --out {out}`.")
    check_comparable(records)
    groups = group_runs(records, problems, suite)
    tasks = tasks_of(records, suite)
    scored = {task.name: task for task in tasks if task.random_score is not None}
    rows = [_row(group, scored.get(group.task)) for group in groups]
    for task in dict.fromkeys(group.task for group in groups):
        _add_comparisons([row for row in rows if row["task"] == task], groups, scored.get(task))
    curves = [_curve(group, scored[group.task]) for group in groups if group.done and group.task in scored]
    return Board(suite, tasks, _sorted(rows), _totals(groups, scored), curves, problems, records)


def _row(group: Group, task: TaskConfig | None) -> Row:
    row: Row = {
        "task": group.task,
        "scheme": group.scheme,
        "rank": None,
        "runs": len(group.done),
        "failed": group.failed,
        "open": group.open,
        **dict.fromkeys(("iqm", "ci_low", "ci_high", "mean", "median", "sampled_iqm", "absolute_iqm", "auc")),
        **dict.fromkeys(("improvement_over", "improvement", "improvement_low", "improvement_high")),
    }
    row["return_mean"] = _mean([run.greedy[-1].mean() for run in _evaluations(group)])
    row["return_std"] = _spread([run.greedy[-1].mean() for run in _evaluations(group)])
    if group.done and task is not None:
        row.update(_scores(group, task))
    row.update(_sharing_columns(group))
    row.update(_cost_columns(group))
    row["protocol"] = group.done[0].config.protocol if group.done else None
    row["context_digest"] = group.done[0].config.context_digest if group.done else None
    return row


def _scores(group: Group, task: TaskConfig) -> Row:
    final = [_final(group, task)]
    low, high = stats.bootstrap_interval(final, stats.iqm, _generator(group, "iqm"))
    sampled = task.normalise(np.array([run.sampled[-1].mean() for run in _evaluations(group)]))
    absolute = task.normalise(np.array([run.absolute.mean() for run in _evaluations(group)]))
    areas = [
        stats.area_under_curve(run.steps.astype(float), task.normalise(run.greedy.mean(axis=1)), task.budget)
        for run in _evaluations(group)
    ]
    return {
        "iqm": float(stats.iqm(final)),
        "ci_low": _number(low),
        "ci_high": _number(high),
        "mean": float(stats.mean(final)),
        "median": float(np.median(final[0])),
        "sampled_iqm": float(stats.iqm([sampled])),
        "absolute_iqm": float(stats.iqm([absolute])),
        "auc": float(np.mean(areas)),
    }


def _sharing_columns(group: Group) -> Row:
    sharing = [record.sharing for record in group.done if record.sharing is not None]
    partitions = [entry.assignment for entry in sharing if entry.assignment is not None]
    return {
        "trainable_parameters": _whole(_mean([entry.parameters.get("trainable") for entry in sharing])),
        **{key: _whole(_mean([entry.parameters.get(key) for entry in sharing])) for key in PARAMETER_KEYS},
        "ari": _mean([entry.ari for entry in sharing]),
        "ari_min": _minimum([entry.ari for entry in sharing]),
        "groups": _mean([len(set(partition)) for partition in partitions]),
        "env_steps": _whole(_mean([entry.env_steps for entry in sharing])),
        "identity_steps": _whole(_mean([entry.identity_steps for entry in sharing])),
    }


def _cost_columns(group: Group) -> Row:
    costs = [record.costs for record in group.done]
    return {
        "cpu_seconds": _mean([cost.cpu_seconds for cost in costs]),
        "wall_seconds": _mean([cost.wall_seconds for cost in costs]),
        "evaluation_seconds": _mean([cost.evaluation_seconds for cost in costs]),
        "peak_memory_bytes": _whole(_mean([cost.peak_memory_bytes for cost in costs])),
    }


def _add_comparisons(rows: list[Row], groups: list[Group], task: TaskConfig | None) -> None:
    """Fill in ranks and the probability of improvement over the baseline, within one task."""
    scored = [row for row in rows if row["iqm"] is not None]
    ranks = stats.tie_ranks([_nan(row["ci_low"]) for row in scored], [_nan(row["ci_high"]) for row in scored])
    by_scheme = {group.scheme: group for group in groups if task is not None and group.task == task.name}
    baseline = by_scheme.get(BASELINE)
    for row, rank in zip(scored, ranks, strict=True):
        row["rank"] = rank
        if task is None or baseline is None or not baseline.done or row["scheme"] == BASELINE:
            continue
        group = by_scheme[row["scheme"]]
        row.update(_improvement([_final(group, task)], [_final(baseline, task)], _generator(group, "improvement")))


def _improvement(ours: stats.Scores, theirs: stats.Scores, generator: np.random.Generator) -> Row:
    low, high = stats.improvement_interval(ours, theirs, generator, resamples=2_000)
    return {
        "improvement_over": BASELINE,
        "improvement": float(stats.probability_of_improvement(ours, theirs)),
        "improvement_low": _number(low),
        "improvement_high": _number(high),
    }


def _totals(groups: list[Group], tasks: dict[str, TaskConfig]) -> list[Row]:
    """Return one row a scheme over all tasks, for the schemes that have finished runs on every task."""
    if len(tasks) < 2:
        return []
    by_scheme: dict[str, dict[str, Group]] = {}
    for group in groups:
        if group.done and group.task in tasks:
            by_scheme.setdefault(group.scheme, {})[group.task] = group
    complete = {name: per_task for name, per_task in by_scheme.items() if len(per_task) == len(tasks)}
    scores = {name: [_final(per_task[task], tasks[task]) for task in tasks] for name, per_task in complete.items()}
    rows = [_total(name, scores[name], scores.get(BASELINE)) for name in scores]
    for row, rank in zip(
        rows,
        stats.tie_ranks([_nan(row["ci_low"]) for row in rows], [_nan(row["ci_high"]) for row in rows]),
        strict=True,
    ):
        row["rank"] = rank
    return _sorted(rows)


def _total(scheme: str, scores: list[Array], baseline: list[Array] | None) -> Row:
    low, high = stats.bootstrap_interval(scores, stats.iqm, _named_generator("total", scheme))
    row: Row = {
        "scheme": scheme,
        "rank": None,
        "tasks": len(scores),
        "runs": sum(len(task) for task in scores),
        "iqm": float(stats.iqm(scores)),
        "ci_low": _number(low),
        "ci_high": _number(high),
        "mean": float(stats.mean(scores)),
        "median": float(stats.median(scores)),
        "optimality_gap": float(stats.optimality_gap(scores)),
        **dict.fromkeys(("improvement_over", "improvement", "improvement_low", "improvement_high")),
    }
    if baseline is not None and scheme != BASELINE:
        row.update(_improvement(scores, baseline, _named_generator("total improvement", scheme)))
    return row


def _curve(group: Group, task: TaskConfig) -> Curve:
    values = np.stack([task.normalise(run.greedy.mean(axis=1)) for run in _evaluations(group)])
    steps = np.median([run.steps for run in _evaluations(group)], axis=0)
    centre, low, high = stats.curve_interval(values, _generator(group, "curve"))
    identity = _mean([record.sharing.identity_steps for record in group.done if record.sharing is not None])
    return Curve(group.task, group.scheme, steps, centre, low, high, identity or 0.0)


def _evaluations(group: Group) -> list[Evaluation]:
    return [record.evaluation for record in group.done if record.evaluation is not None]


def _final(group: Group, task: TaskConfig) -> Array:
    """Normalised greedy means of the last point, one a run: the primary score."""
    return np.asarray(task.normalise(np.array([run.greedy[-1].mean() for run in _evaluations(group)])))


def _generator(group: Group, purpose: str) -> np.random.Generator:
    return _named_generator(purpose, group.task, group.scheme)


def _named_generator(*names: str) -> np.random.Generator:
    """A stream that belongs to one number of the report, so that the same runs always give the same page."""
    return np.random.default_rng(int(sha256_hex("/".join(names).encode())[:16], 16))


def _sorted(rows: list[Row]) -> list[Row]:
    """By task in order of appearance, then best first; rows without a score come last."""
    order = {task: place for place, task in enumerate(dict.fromkeys(row.get("task", "") for row in rows))}
    return sorted(
        rows, key=lambda row: (order[row.get("task", "")], row["iqm"] is None, -(row["iqm"] or 0.0), row["scheme"])
    )


def _reduced(values: Sequence[Any], reduce: Callable[[list[float]], Any]) -> float | None:
    present = [float(value) for value in values if isinstance(value, (int, float, np.number))]
    return _number(float(reduce(present))) if present else None


def _mean(values: Sequence[Any]) -> float | None:
    return _reduced(values, np.mean)


def _minimum(values: Sequence[Any]) -> float | None:
    return _reduced(values, min)


def _spread(values: Sequence[Any]) -> float | None:
    return _reduced(values, np.std)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
