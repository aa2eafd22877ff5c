"""The board: all rows with their ranks, totals, curves and comparisons, computed from a directory of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.plan import read_suite_file
from baselines.leaderboard.records.held_out import HeldOut, read_held_out
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.records.revealed import RevealedSet, read_revealed
from baselines.leaderboard.report.data.archive import ArchivedRun
from baselines.leaderboard.report.data.collect import (
    Found,
    Group,
    Problem,
    check_comparable,
    group_runs,
    read_all,
    tasks_of,
)
from baselines.leaderboard.report.data.comparisons import (
    Improvement,
    Pair,
    Profile,
    compare_all,
    compare_with_baseline,
    profiles_of,
)
from baselines.leaderboard.report.data.rows import (
    BoardRow,
    Row,
    TotalRow,
    board_row,
    evaluations,
    final_scores,
    total_row,
)
from baselines.leaderboard.report.data.values import mean, or_nan
from baselines.leaderboard.spec.config import PROTOCOL, SuiteConfig, TaskConfig
from baselines.leaderboard.spec.loading import builtin_tasks
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import named_generator

__all__ = ["Board", "Comparisons", "Curve", "board_of", "collect_board"]

Array = NDArray[np.float64]

# Rows of one kind.
_Row = TypeVar("_Row", BoardRow, TotalRow)


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
class Comparisons:
    """The leading schemes of one task, or of all tasks together, beside each other; the best first."""

    improvement: Improvement
    profiles: list[Profile]
    curves: list[Curve] = field(default_factory=list)


@dataclass(frozen=True)
class Board:
    """Everything the report shows.

    Attributes:
        suite: that was last run, if any.
        tasks: of the suite and of the runs.
        groups: runs by task and scheme.
        rows: one a group, by task, the best first.
        totals: one a scheme with finished runs on every task of the suite; empty with one task.
        comparisons: by task name, for tasks with scores.
        overall: the same over all tasks, as far as there are totals.
        problems: runs without a result.
        archived: runs of other protocols.
        records: all runs that can be read.
    """

    suite: SuiteConfig | None
    tasks: list[TaskConfig]
    groups: list[Group]
    rows: list[BoardRow]
    totals: list[TotalRow]
    comparisons: dict[str, Comparisons]
    overall: Comparisons | None
    problems: list[Problem]
    archived: list[ArchivedRun]
    records: list[RunRecord]

    def task(self, name: str) -> TaskConfig | None:
        """Return a task's configuration; None if only damaged runs name it."""
        return next((task for task in self.tasks if task.name == name), None)

    def task_names(self) -> list[str]:
        """Return the tasks that have rows, in the order of the suite."""
        return list(dict.fromkeys(row.task for row in self.rows))

    def rows_of(self, task: str) -> list[BoardRow]:
        """Return the rows of one task, the best first."""
        return [row for row in self.rows if row.task == task]


def collect_board(out: Path) -> Board:
    """Read every run below ``out`` and compute the board. Failed and damaged runs are counted, never dropped.

    Raises:
        ConfigError: there are no runs.
        ConfigMismatchError: runs of one task differ in more than scheme and seed.
        DamagedRecordError: what was revealed is not what the suite commits to, or that or ``held_out.json`` cannot be
            read.
    """
    found = read_all(out)
    if not any(found):
        raise ConfigError(f"{out} holds no runs; make some with `adaps leaderboard run --suite quick --out {out}`.")
    suite = read_suite_file(out)
    revealed = read_revealed(out, suite, found.records)
    held_out = read_held_out(out, found.records)
    return board_of(found, suite if suite is not None and suite.protocol == PROTOCOL else None, revealed, held_out)


def board_of(
    found: Found, suite: SuiteConfig | None, revealed: RevealedSet | None, held_out: Mapping[str, HeldOut]
) -> Board:
    """Compute the board of some runs.

    Args:
        found: the runs.
        suite: that they were made for, if any; its tasks are those that totals are over.
        revealed: what they played after the seeds were revealed, if they were.
        held_out: how they do in held-out episodes, by run, as far as that is known.

    Raises:
        ConfigMismatchError: runs of one task differ in more than scheme and seed.
    """
    check_comparable(found.records)
    groups = group_runs(found.records, found.problems, suite, held_out)
    tasks = tasks_of(found.records, suite)
    scored = {task.name: task for task in tasks if task.random_score is not None}
    rows: list[BoardRow] = []
    comparisons = {}
    for name in dict.fromkeys(group.task for group in groups):
        own = [group for group in groups if group.task == name]
        of_task = [board_row(group, scored.get(name), revealed) for group in own]
        done = {group.scheme: group for group in own if group.done}
        if name in scored and done:
            comparisons[name], scores = _compare(name, done, scored[name])
            of_task = _placed(of_task, scores, name, comparisons[name], _out_of_place(of_task))
        rows += sorted(of_task, key=_best_first)
    totals, overall = _totals(groups, scored, suite, rows)
    problems, archived = found.problems, found.archived
    return Board(suite, tasks, groups, rows, totals, comparisons, overall, problems, archived, found.records)


# No task has this name: it holds a blank.
_ALL = "all tasks"


def _placed(
    rows: list[_Row], scores: Mapping[str, stats.Scores], name: str, compared: Comparisons, out_of_place: set[str]
) -> list[_Row]:
    """Return the rows with their ranks and their improvements over the baseline, as far as they have scores.

    Schemes that are out of place have neither.
    """
    ranked = [row for row in rows if row.iqm is not None and _enough(row) and row.scheme not in out_of_place]
    scores = {scheme: own for scheme, own in scores.items() if scheme not in out_of_place}
    ranks = stats.tie_ranks(
        [or_nan(row.iqm) for row in ranked],
        [or_nan(row.ci_low) for row in ranked],
        [or_nan(row.ci_high) for row in ranked],
    )
    rank_of = {row.scheme: rank for row, rank in zip(ranked, ranks, strict=True)}
    pairs = {row.scheme: compare_with_baseline(scores, row.scheme, name, compared.improvement) for row in rows}
    return [replace(row, rank=rank_of.get(row.scheme), **_fields(pairs[row.scheme])) for row in rows]


def _out_of_place(rows: Iterable[BoardRow]) -> set[str]:
    """Return schemes whose runs, or whose groups, may be better ones than most that their settings lead to."""
    return {row.scheme for row in rows if row.failed or row.lucky}


def _enough(row: Row) -> bool:
    """Whether a row has runs enough for a rank, on each of its tasks."""
    fewest = row.fewest_runs if isinstance(row, TotalRow) else row.runs
    return fewest >= stats.RANKED_RUNS


def _fields(pair: Pair | None) -> dict[str, Any]:
    return {} if pair is None else pair._asdict()


def _compare(name: str, groups: dict[str, Group], task: TaskConfig) -> tuple[Comparisons, dict[str, stats.Scores]]:
    """Return what the page of a task shows next to its rows, and the scores of each scheme."""
    scores: dict[str, stats.Scores] = {scheme: [final_scores(group, task)] for scheme, group in groups.items()}
    improvement = compare_all(scores, name)
    curves = [_curve(groups[scheme], task) for scheme in improvement.schemes]
    return Comparisons(improvement, profiles_of(scores, name), curves), scores


def _totals(
    groups: list[Group], scored: dict[str, TaskConfig], suite: SuiteConfig | None, rows: list[BoardRow]
) -> tuple[list[TotalRow], Comparisons | None]:
    """Return the rows over all tasks, the best first, and what stands next to them."""
    names = _total_tasks(list(scored), suite)
    scores = _complete(groups, {name: scored[name] for name in names})
    if not scores:
        return [], None
    overall = Comparisons(compare_all(scores, _ALL), profiles_of(scores, _ALL))
    totals = [
        total_row(scheme, own, [row for row in rows if row.scheme == scheme and row.task in names])
        for scheme, own in scores.items()
    ]
    out_of_place = _out_of_place(row for row in rows if row.task in names)
    return sorted(_placed(totals, scores, _ALL, overall, out_of_place), key=_best_first), overall


def _total_tasks(names: list[str], suite: SuiteConfig | None) -> list[str]:
    """Return the tasks that totals are over: a task that somebody adds to a board must not empty them.

    They are those of the suite if there is one, else the built-in ones, else all.
    """
    known = set(builtin_tasks() if suite is None else [task.name for task in suite.tasks])
    return [name for name in names if name in known] or names


def _complete(groups: list[Group], tasks: dict[str, TaskConfig]) -> dict[str, stats.Scores]:
    """Return the scores, one array a task, of the schemes that have finished runs on each of several tasks."""
    if len(tasks) < 2:
        return {}
    by_scheme: dict[str, dict[str, Group]] = {}
    for group in groups:
        if group.done and group.task in tasks:
            by_scheme.setdefault(group.scheme, {})[group.task] = group
    return {
        scheme: [final_scores(per_task[name], task) for name, task in tasks.items()]
        for scheme, per_task in by_scheme.items()
        if len(per_task) == len(tasks)
    }


def _curve(group: Group, task: TaskConfig) -> Curve:
    values = np.stack([task.normalise(run.scored(task).mean(axis=1)) for run in evaluations(group)])
    steps = np.median([run.steps for run in evaluations(group)], axis=0)
    centre, low, high = stats.curve_interval(values, named_generator("curve", group.task, group.scheme))
    identity = mean([record.sharing.identity_steps for record in group.done if record.sharing is not None])
    return Curve(group.task, group.scheme, steps, centre, low, high, identity or 0.0)


def _best_first(row: Row) -> tuple[bool, bool, float, str]:
    """Sort rows by score, the best first; rows without a rank come after those, and rows without a score last."""
    return row.iqm is None, row.rank is None, -(row.iqm or 0.0), row.scheme
