"""Rows of the board, and how they follow from runs. All numbers are made here or in ``stats``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.records.artifacts import Evaluation
from baselines.leaderboard.records.held_out import MOST_LUCK
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.records.revealed import RevealedSet
from baselines.leaderboard.report.data.collect import Group
from baselines.leaderboard.report.data.values import finite, mean, minimum, spread, whole
from baselines.leaderboard.spec.config import TaskConfig, Tuning
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import named_generator

__all__ = [
    "GAP_ERRORS",
    "BoardRow",
    "Row",
    "TotalRow",
    "board_row",
    "evaluations",
    "final_returns",
    "final_scores",
    "total_row",
    "typical_run",
]

Array = NDArray[np.float64]

GAP_ERRORS = 3
"""Standard errors by which the scores in public and in revealed episodes may differ."""

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """The runs of one scheme on one task; None stands for what was not measured.

    ``board.json`` and ``board.csv`` hold every field under its name, the latter in this order. A score is a normalised
    return at the budget, of greedy or sampled play as ``scored`` says unless the name does; ``ci_low`` and ``ci_high``
    are the ends of the 95 % interval of ``iqm``. ``held_out_episodes`` is how many held-out episodes a run's score
    rests on; None where it rests on the recorded ones. docs/explanation/protocol.md explains the fields.

    Attributes:
        lucky: whether the groups agree with the hidden types by more than :data:`MOST_LUCK` better than those that the
            identity phase finds with other seeds.
    """

    task: str
    scheme: str
    rank: int | None = None
    runs: int
    failed: int
    open: int
    light: int
    retrained: int | None = None
    iqm: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    mean: float | None = None
    median: float | None = None
    optimality_gap: float | None = None
    scored: str | None = None
    held_out_episodes: int | None = None
    greedy_iqm: float | None = None
    sampled_iqm: float | None = None
    absolute_iqm: float | None = None
    revealed_iqm: float | None = None
    revealed_difference: float | None = None
    revealed_error: float | None = None
    revealed_gap: bool | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    improvement_over: str | None = None
    improvement: float | None = None
    improvement_low: float | None = None
    improvement_high: float | None = None
    return_mean: float | None
    return_std: float | None
    trainable_parameters: int | None
    trainable_actor: int | None
    trainable_critic: int | None
    fixed_parameters: int | None
    fixed_bits: int | None
    pretraining_parameters: int | None
    flops_per_decision: int | None
    ari: float | None
    ari_min: float | None
    held_out_ari: float | None = None
    told_types: bool | None
    given_groups: bool
    snd: float | None
    groups: float | None
    env_steps: int | None
    identity_steps: int | None
    cpu_seconds: float | None
    wall_seconds: float | None
    evaluation_seconds: float | None
    peak_memory_bytes: int | None
    tuning_configurations: int | None
    tuning_env_steps: int | None
    protocol: str | None
    context_digest: str | None

    @property
    def lucky(self) -> bool:
        return self.ari is not None and self.held_out_ari is not None and self.ari - self.held_out_ari > MOST_LUCK


@dataclass(frozen=True, kw_only=True)
class TotalRow:
    """The runs of one scheme on all tasks; ``aggregate.json`` holds every field. Costs are means over the tasks."""

    scheme: str
    rank: int | None = None
    tasks: int
    runs: int
    light: int
    fewest_runs: int
    iqm: float
    ci_low: float | None
    ci_high: float | None
    mean: float
    median: float
    optimality_gap: float
    auc: float | None
    improvement_over: str | None = None
    improvement: float | None = None
    improvement_low: float | None = None
    improvement_high: float | None = None
    told_types: bool | None
    given_groups: bool
    trainable_parameters: int | None
    flops_per_decision: int | None
    cpu_seconds: float | None
    wall_seconds: float | None
    peak_memory_bytes: int | None


Row: TypeAlias = BoardRow | TotalRow


def board_row(group: Group, task: TaskConfig | None, revealed: RevealedSet | None = None) -> BoardRow:
    """Return the row of a group, without rank and improvement, which need other rows.

    Args:
        group: runs of one scheme on one task.
        task: the task, if it has reference scores.
        revealed: what the runs played after the seeds were revealed, if they were.
    """
    config = group.done[0].config if group.done else None
    tuning = None if config is None else config.scheme.tuning or Tuning()
    returns = final_returns(group)
    costs = [record.costs for record in group.done]
    sharing = [record.sharing for record in group.done if record.sharing is not None]
    partitions = [entry.assignment for entry in sharing if entry.assignment is not None]
    told = [entry.summary.get("told_types") for entry in sharing]

    def count(name: str) -> int | None:
        return whole(mean([entry.parameters.get(name) for entry in sharing]))

    row = BoardRow(
        task=group.task,
        scheme=group.scheme,
        runs=len(group.done),
        failed=group.failed,
        open=group.open,
        light=sum(record.light for record in group.done),
        retrained=sum(played.retrained for played in group.held_out.values()) if group.held_out else None,
        held_out_episodes=_held_out_episodes(group),
        return_mean=mean(returns),
        return_std=spread(returns),
        trainable_parameters=count("trainable"),
        trainable_actor=count("trainable_actor"),
        trainable_critic=count("trainable_critic"),
        fixed_parameters=count("fixed_parameters"),
        fixed_bits=count("fixed_bits"),
        pretraining_parameters=count("pretraining_parameters"),
        flops_per_decision=count("flops_per_decision"),
        ari=mean([entry.ari for entry in sharing]),
        ari_min=minimum([entry.ari for entry in sharing]),
        held_out_ari=mean([played.ari for played in group.held_out.values()]),
        told_types=_any_true(told),
        given_groups=any(isinstance(record.config.scheme.settings.get("labels"), list) for record in group.done),
        snd=mean([entry.diagnostics.snd for entry in sharing if entry.diagnostics is not None]),
        groups=mean([len(set(partition)) for partition in partitions]),
        env_steps=whole(mean([entry.env_steps for entry in sharing])),
        identity_steps=whole(mean([entry.identity_steps for entry in sharing])),
        cpu_seconds=mean([cost.cpu_seconds for cost in costs]),
        wall_seconds=mean([cost.wall_seconds for cost in costs]),
        evaluation_seconds=mean([cost.evaluation_seconds for cost in costs]),
        peak_memory_bytes=whole(mean([cost.peak_memory_bytes for cost in costs])),
        tuning_configurations=None if tuning is None else tuning.configurations,
        tuning_env_steps=None if tuning is None else tuning.env_steps,
        protocol=None if config is None else config.protocol,
        context_digest=None if config is None else config.context_digest,
    )
    if not group.done or task is None:
        return row
    row = _with_scores(row, group, task)
    return row if revealed is None else _with_revealed(row, group, task, revealed)


def _with_revealed(row: BoardRow, group: Group, task: TaskConfig, revealed: RevealedSet) -> BoardRow:
    """Add the score in the revealed episodes, and whether it differs from the other one by more than chance.

    The policies are the same and all runs of a task meet the same episodes, so that episodes alone are drawn: each
    counts by its mean over the runs that count for the score, the middle half. A run that is bad on purpose, in public
    episodes alone, would otherwise hide the gap of all others. How much episodes differ is asked of revealed ones: a
    policy that knows some of the public ones makes these differ more.
    """
    public = task.normalise(np.stack([run.scored(task)[-1] for run in evaluations(group)]))
    secret = task.normalise(np.stack([revealed.plays[record.config.run_id].returns for record in group.done]))
    middle = stats.middle_half(public.mean(axis=1))
    episodes = [returns[middle].mean(axis=0) for returns in (public, secret)]
    difference = float(episodes[0].mean() - episodes[1].mean())
    error = _standard_error(episodes[1])
    return replace(
        row,
        revealed_iqm=float(stats.iqm([secret.mean(axis=1)])),
        revealed_difference=difference,
        revealed_error=error,
        revealed_gap=None if error is None else abs(difference) > GAP_ERRORS * error + _ROUNDING,
    )


def _standard_error(values: Array) -> float | None:
    """Return the standard error of the difference of two means of so many values; None of a single one."""
    return None if len(values) < 2 else float(np.sqrt(2 * values.var(ddof=1) / len(values)))


def _with_scores(row: BoardRow, group: Group, task: TaskConfig) -> BoardRow:
    runs, final = evaluations(group), [final_scores(group, task)]
    greedy = task.normalise(np.array([run.greedy[-1].mean() for run in runs]))
    sampled = task.normalise(np.array([run.sampled[-1].mean() for run in runs]))
    absolute = task.normalise(np.array([run.absolute.mean() for run in runs]))
    areas = np.array([_area(run, task) for run in runs])
    low, high = stats.iqm_interval(final, named_generator("iqm", group.task, group.scheme))
    area_low, area_high = stats.mean_interval(areas, named_generator("area", group.task, group.scheme))
    return replace(
        row,
        iqm=float(stats.iqm(final)),
        ci_low=finite(low),
        ci_high=finite(high),
        mean=float(stats.mean(final)),
        median=float(np.median(final[0])),
        optimality_gap=float(stats.optimality_gap(final)),
        scored=task.scored,
        greedy_iqm=float(stats.iqm([greedy])),
        sampled_iqm=float(stats.iqm([sampled])),
        absolute_iqm=float(stats.iqm([absolute])),
        auc=float(stats.mean([areas])),
        auc_low=finite(area_low),
        auc_high=finite(area_high),
    )


def total_row(scheme: str, scores: stats.Scores, rows: Sequence[BoardRow]) -> TotalRow:
    """Return the row over all tasks, without rank and improvement.

    Args:
        scheme: name.
        scores: one ``[R] float64`` array per task.
        rows: of the scheme on these tasks.
    """
    low, high = stats.iqm_interval(scores, named_generator("total", scheme))
    return TotalRow(
        scheme=scheme,
        tasks=len(scores),
        runs=sum(len(task) for task in scores),
        light=sum(row.light for row in rows),
        fewest_runs=min(len(task) for task in scores),
        iqm=float(stats.iqm(scores)),
        ci_low=finite(low),
        ci_high=finite(high),
        mean=float(stats.mean(scores)),
        median=float(stats.median(scores)),
        optimality_gap=float(stats.optimality_gap(scores)),
        auc=mean([row.auc for row in rows]),
        told_types=_any_true([row.told_types for row in rows]),
        given_groups=any(row.given_groups for row in rows),
        trainable_parameters=whole(mean([row.trainable_parameters for row in rows])),
        flops_per_decision=whole(mean([row.flops_per_decision for row in rows])),
        cpu_seconds=mean([row.cpu_seconds for row in rows]),
        wall_seconds=mean([row.wall_seconds for row in rows]),
        peak_memory_bytes=whole(mean([row.peak_memory_bytes for row in rows])),
    )


def evaluations(group: Group) -> list[Evaluation]:
    """Return what the finished runs of a group measured."""
    return [record.evaluation for record in group.done if record.evaluation is not None]


def final_scores(group: Group, task: TaskConfig) -> Array:
    """Return the normalised returns of the finished runs, ``[R] float64``: the primary score."""
    return np.asarray(task.normalise(np.array(final_returns(group))))


def final_returns(group: Group) -> list[float]:
    """Return the mean return of each finished run at the budget.

    In held-out episodes where all runs have them, else in the recorded ones: a row has one kind.
    """
    if _held_out_episodes(group) is not None:
        return [group.held_out[record.config.run_id].mean for record in group.done]
    return [record.evaluation.scored(record.config.task)[-1].mean() for record in group.done]


def _held_out_episodes(group: Group) -> int | None:
    known = [played.episodes for played in group.held_out.values()]
    return min(known) if known and len(known) == len(group.done) else None


def typical_run(group: Group) -> RunRecord:
    """Return the finished run whose final return is the median one (the lower of two), to stand for its row."""
    finals = [record.evaluation.scored(record.config.task)[-1].mean() for record in group.done]
    return group.done[int(np.argsort(finals, kind="stable")[(len(finals) - 1) // 2])]


def _area(run: Evaluation, task: TaskConfig) -> float:
    heights = np.asarray(task.normalise(run.scored(task).mean(axis=1)))
    return stats.area_under_curve(run.steps.astype(float), heights, task.budget)


def _any_true(values: list[Any]) -> bool | None:
    """Return whether any value is true; None where none is a truth value."""
    known = [value for value in values if isinstance(value, bool)]
    return any(known) if known else None
