"""Reading the runs of a directory and sorting them into rows; damaged and missing ones are counted, never dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from baselines.leaderboard.errors import ConfigMismatchError, DamagedRecordError
from baselines.leaderboard.records.held_out import HeldOut
from baselines.leaderboard.records.reader import FinishedRun, RunRecord, find_runs, read_run
from baselines.leaderboard.report.data.archive import ArchivedRun, archived_run, find_archived, read_archived
from baselines.leaderboard.spec.config import PROTOCOL, SuiteConfig, TaskConfig, names_alike

__all__ = ["Found", "Group", "Problem", "check_comparable", "failures_of", "group_runs", "read_all", "tasks_of"]


@dataclass(frozen=True)
class Problem:
    """A run that has no result: it failed, or its directory is damaged."""

    task: str
    scheme: str
    run: str
    kind: str
    message: str


@dataclass
class Group:
    """The runs of one scheme on one task, and how they do in held-out episodes, by run, as far as that is known."""

    task: str
    scheme: str
    done: list[FinishedRun]
    failed: int = 0
    open: int = 0
    held_out: dict[str, HeldOut] = field(default_factory=dict)


class Found(NamedTuple):
    """What lies in a directory: runs that can be read, failed ones included; what is wrong; runs of other protocols."""

    records: list[RunRecord]
    problems: list[Problem]
    archived: list[ArchivedRun]


def read_all(out: Path) -> Found:
    """Read every run below ``out`` but for its ``metrics.jsonl``; nothing is dropped without a word."""
    found = Found([], [], [])
    for directory in find_runs(out):
        task, scheme = directory.parts[-3:-1]
        run = "/".join(directory.parts[-3:])
        try:
            record = read_run(directory, metrics=False)
            if record.config.run_id != run:
                raise DamagedRecordError(f"damaged run {directory}: config.json: it belongs to {record.config.run_id}.")
        except DamagedRecordError as error:
            archived = _other_protocol(directory, run)
            if archived is not None:
                found.archived.append(archived)
            else:
                found.problems.append(Problem(task, scheme, run, "damaged", str(error)))
            continue
        if record.config.protocol != PROTOCOL:
            found.archived.append(archived_run(directory, run))
            continue
        found.records.append(record)
        found.problems.extend(failures_of([record]))
    for directory, run in find_archived(out):
        found.archived.append(archived_run(directory, run))
    return found


def failures_of(records: Sequence[RunRecord]) -> list[Problem]:
    """Return the problems of those runs that failed."""
    return [
        Problem(
            record.config.task.name,
            record.config.scheme.label,
            record.config.run_id,
            "failed",
            f"{record.failure.type}: {record.failure.message}",
        )
        for record in records
        if record.failure is not None
    ]


def _other_protocol(directory: Path, run: str) -> ArchivedRun | None:
    """Return a run that this protocol cannot read because another one made it; None for mere damage."""
    try:
        return read_archived(directory, run)
    except DamagedRecordError:
        return None


def check_comparable(records: Sequence[RunRecord]) -> None:
    """Hold to "one comparison, one change": rows of a task differ in the scheme alone, runs of a row in the seed alone.

    Raises:
        ConfigMismatchError: two runs differ in more, or two tasks or schemes have names that differ in case alone.
    """
    for names in ([r.config.task.name for r in records], [r.config.scheme.label for r in records]):
        alike = names_alike(names)
        if alike is not None:
            raise ConfigMismatchError(
                f"{alike[0]} and {alike[1]} differ in case alone, which readers and some file systems do not tell "
                "apart; give one of them another name."
            )
    context: dict[str, RunRecord] = {}
    scheme: dict[tuple[str, str], RunRecord] = {}
    for record in records:
        config = record.config
        first = context.setdefault(config.task.name, record)
        same_scheme = scheme.setdefault((config.task.name, config.scheme.label), record)
        if first.config.context_digest != config.context_digest or same_scheme.config.scheme != config.scheme:
            other = first if first.config.context_digest != config.context_digest else same_scheme
            raise ConfigMismatchError(
                f"{record.directory} and {other.directory} were run with different settings and cannot be "
                "compared; keep them in different directories."
            )


def group_runs(
    records: list[RunRecord], problems: list[Problem], suite: SuiteConfig | None, held_out: Mapping[str, HeldOut]
) -> list[Group]:
    """Return the runs by task and scheme: those of the suite first, in its order, with the runs still to come."""
    groups: dict[tuple[str, str], Group] = {}
    planned = {run.run_id: (run.task.name, run.scheme.label) for run in suite.runs()} if suite else {}
    present = {record.config.run_id: record for record in records}
    keys = [*planned.values(), *((r.config.task.name, r.config.scheme.label) for r in records)]
    for key in [*keys, *((problem.task, problem.scheme) for problem in problems)]:
        groups.setdefault(key, Group(*key, done=[]))
    for record in records:
        if isinstance(record, FinishedRun):
            group, run = groups[record.config.task.name, record.config.scheme.label], record.config.run_id
            group.done.append(record)
            group.held_out.update({run: held_out[run]} if run in held_out else {})
    for problem in problems:
        groups[problem.task, problem.scheme].failed += 1
    damaged = {problem.run for problem in problems}
    for run_id, key in planned.items():
        groups[key].open += run_id not in present and run_id not in damaged
    return list(groups.values())


def tasks_of(records: list[RunRecord], suite: SuiteConfig | None) -> list[TaskConfig]:
    """Return the tasks of the suite and of the runs."""
    tasks = {task.name: task for task in suite.tasks} if suite else {}
    tasks.update({record.config.task.name: record.config.task for record in records})
    return list(tasks.values())
