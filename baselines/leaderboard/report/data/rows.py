"""From the runs of one scheme on one task to its row of the board. All numbers are made here or in ``stats``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.records.artifacts import Evaluation
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.report.data.collect import Group
from baselines.leaderboard.report.data.values import finite, mean, minimum, named_generator, spread, whole
from baselines.leaderboard.spec.config import TaskConfig, Tuning
from baselines.leaderboard.statistics import scores as stats

__all__ = ["Row", "board_row", "evaluations", "final_scores", "typical_run"]

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

# Of intervals beside which no ranking stands.
_FEW_RESAMPLES = 2_000


def board_row(group: Group, task: TaskConfig | None) -> Row:
    """Return the row of a group; what was not measured is None, and so are ranks and improvements, which need others.

    Args:
        group: runs of one scheme on one task.
        task: the task, if it has reference scores.
    """
    row: Row = {
        "task": group.task,
        "scheme": group.scheme,
        "rank": None,
        "runs": len(group.done),
        "failed": group.failed,
        "open": group.open,
        **dict.fromkeys(("iqm", "ci_low", "ci_high", "mean", "median", "optimality_gap")),
        **dict.fromkeys(("sampled_iqm", "absolute_iqm", "auc", "auc_low", "auc_high")),
        **dict.fromkeys(("improvement_over", "improvement", "improvement_low", "improvement_high")),
    }
    row["return_mean"] = mean([run.greedy[-1].mean() for run in evaluations(group)])
    row["return_std"] = spread([run.greedy[-1].mean() for run in evaluations(group)])
    if group.done and task is not None:
        row.update(_scores(group, task))
    row.update(_sharing_columns(group))
    row.update(_cost_columns(group))
    row.update(_tuning_columns(group))
    row["protocol"] = group.done[0].config.protocol if group.done else None
    row["context_digest"] = group.done[0].config.context_digest if group.done else None
    return row


def _scores(group: Group, task: TaskConfig) -> Row:
    final = [final_scores(group, task)]
    low, high = stats.iqm_interval(final, named_generator("iqm", group.task, group.scheme))
    sampled = task.normalise(np.array([run.sampled[-1].mean() for run in evaluations(group)]))
    absolute = task.normalise(np.array([run.absolute.mean() for run in evaluations(group)]))
    areas = [
        np.array(
            [
                stats.area_under_curve(run.steps.astype(float), task.normalise(run.greedy.mean(axis=1)), task.budget)
                for run in evaluations(group)
            ]
        )
    ]
    area_low, area_high = stats.bootstrap_interval(
        areas, stats.mean, named_generator("area", group.task, group.scheme), resamples=_FEW_RESAMPLES
    )
    return {
        "iqm": float(stats.iqm(final)),
        "ci_low": finite(low),
        "ci_high": finite(high),
        "mean": float(stats.mean(final)),
        "median": float(np.median(final[0])),
        "optimality_gap": float(stats.optimality_gap(final)),
        "sampled_iqm": float(stats.iqm([sampled])),
        "absolute_iqm": float(stats.iqm([absolute])),
        "auc": float(stats.mean(areas)),
        "auc_low": finite(area_low),
        "auc_high": finite(area_high),
    }


def _sharing_columns(group: Group) -> Row:
    sharing = [record.sharing for record in group.done if record.sharing is not None]
    partitions = [entry.assignment for entry in sharing if entry.assignment is not None]
    return {
        "trainable_parameters": whole(mean([entry.parameters.get("trainable") for entry in sharing])),
        **{key: whole(mean([entry.parameters.get(key) for entry in sharing])) for key in PARAMETER_KEYS},
        "ari": mean([entry.ari for entry in sharing]),
        "ari_min": minimum([entry.ari for entry in sharing]),
        "told_types": _told([entry.summary.get("told_types") for entry in sharing]),
        "given_groups": any(isinstance(record.config.scheme.settings.get("labels"), list) for record in group.done),
        "snd": mean([entry.diagnostics.snd for entry in sharing if entry.diagnostics is not None]),
        "groups": mean([len(set(partition)) for partition in partitions]),
        "env_steps": whole(mean([entry.env_steps for entry in sharing])),
        "identity_steps": whole(mean([entry.identity_steps for entry in sharing])),
    }


def _told(values: list[Any]) -> bool | None:
    """Whether any run was handed the hidden types; None where no record says."""
    known = [value for value in values if isinstance(value, bool)]
    return any(known) if known else None


def _cost_columns(group: Group) -> Row:
    costs = [record.costs for record in group.done]
    return {
        "cpu_seconds": mean([cost.cpu_seconds for cost in costs]),
        "wall_seconds": mean([cost.wall_seconds for cost in costs]),
        "evaluation_seconds": mean([cost.evaluation_seconds for cost in costs]),
        "peak_memory_bytes": whole(mean([cost.peak_memory_bytes for cost in costs])),
    }


def _tuning_columns(group: Group) -> Row:
    """The scheme's entry in the tuning ledger; zeros where nobody searched."""
    if not group.done:
        return dict.fromkeys(("tuning_configurations", "tuning_env_steps"))
    spent = group.done[0].config.scheme.tuning or Tuning()
    return {"tuning_configurations": spent.configurations, "tuning_env_steps": spent.env_steps}


def evaluations(group: Group) -> list[Evaluation]:
    """Return what the finished runs of a group measured."""
    return [record.evaluation for record in group.done if record.evaluation is not None]


def final_scores(group: Group, task: TaskConfig) -> Array:
    """Return normalised greedy means of the last point, ``[R]``: the primary score."""
    return np.asarray(task.normalise(np.array([run.greedy[-1].mean() for run in evaluations(group)])))


def typical_run(group: Group) -> RunRecord:
    """Return the finished run whose final return is the median one (the lower of two), to stand for its row."""
    finals = [run.greedy[-1].mean() for run in evaluations(group)]
    return group.done[int(np.argsort(finals, kind="stable")[(len(finals) - 1) // 2])]
