"""Runs of other protocols: read as far as they can be, shown apart, never ranked with those of this one.

Such a run lies among the others, or below ``archive/<any name>/`` with the same path, where it makes room for a run of
the present protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from baselines.leaderboard.errors import ConfigError, DamagedRecordError
from baselines.leaderboard.files import parse_json
from baselines.leaderboard.records.artifacts import decode_evaluation
from baselines.leaderboard.records.metadata_files import SCHEMA, versioned_object
from baselines.leaderboard.records.reader import checked_files, find_runs
from baselines.leaderboard.report.data.values import finite, mean
from baselines.leaderboard.spec.config import PROTOCOL, RunConfig, faults_of
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import named_generator

__all__ = [
    "ARCHIVE",
    "ArchiveRow",
    "ArchivedRun",
    "archive_rows",
    "archived_run",
    "find_archived",
    "put_away",
    "read_archived",
]

ARCHIVE = "archive"


@dataclass(frozen=True)
class ArchivedRun:
    """What this version can read of a run.

    Attributes:
        run: path below the output directory.
        protocol: as the record names it.
        task, scheme: names; those of the path where the configuration cannot be read.
        context: hash of all but scheme and seed, as the record names it; runs of one row agree in it.
        score: normalised mean of the last point; None if it failed, or ``note`` says why.
        team_return: the same, not normalised.
        note: what could not be read; empty if all could.
    """

    run: str
    protocol: str
    task: str
    scheme: str
    context: str = ""
    score: float | None = None
    team_return: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ArchiveRow:
    """The runs of one protocol, task, context and scheme; ``without`` of them have no result. It has no rank."""

    protocol: str
    task: str
    scheme: str
    runs: int
    without: int
    iqm: float | None
    ci_low: float | None
    ci_high: float | None
    return_mean: float | None
    context_digest: str
    notes: list[str]


def find_archived(out: Path) -> Iterator[tuple[Path, str]]:
    """Yield directory and path of every run below ``out/archive/<any name>``."""
    for folder in sorted((out / ARCHIVE).glob("*")):
        for directory in find_runs(folder):
            yield directory, directory.relative_to(out).as_posix()


def put_away(run: ArchivedRun) -> bool:
    """Whether a run lies below ``archive/``, where ``verify`` does not look, and not among the others."""
    return run.run.startswith(f"{ARCHIVE}/")


def archived_run(directory: Path, run: str) -> ArchivedRun:
    """Return a run of another protocol for the archive; a damaged one, or one of this protocol, has a note instead."""
    try:
        found = _read(directory, run)
        if found.protocol != PROTOCOL:
            return found
        note = f"protocol {PROTOCOL} is that of this version: it belongs among the other runs, where it is verified"
        return replace(found, score=None, team_return=None, note=note)
    except DamagedRecordError as error:
        task, scheme = directory.parts[-3:-1]
        return ArchivedRun(run, "?", task, scheme, note=str(error))


def read_archived(directory: Path, run: str) -> ArchivedRun | None:
    """Return a run of another protocol, its bytes held to their hashes; None if it is of this one.

    Args:
        directory: of the run.
        run: its path below the output directory.

    Raises:
        DamagedRecordError: bytes are not those that were written, or the file does not say its protocol.
    """
    archived = _read(directory, run)
    return None if archived.protocol == PROTOCOL else archived


def _read(directory: Path, run: str) -> ArchivedRun:
    """Return a run of any protocol.

    Raises:
        DamagedRecordError: bytes are not those that were written, or the file does not say its protocol.
    """
    files = checked_files(directory)
    try:
        payload = parse_json(files["config.json"])
        config = payload["config"]
        protocol, context = str(config["protocol"]), str(payload["context_digest"])
        known = payload["schema"] == SCHEMA
    except (ValueError, KeyError, TypeError):
        raise DamagedRecordError(f"damaged run {directory}: config.json: it names no protocol.") from None
    task, scheme = directory.parts[-3:-1]
    if not known:
        note = f"its files have schema {payload['schema']!s:.20}, which this version does not read"
        return ArchivedRun(run, protocol, task, scheme, context, note=note)
    try:
        return _read_known(run, protocol, context, config, files)
    except ValidationError as error:
        note = faults_of(error)
    except (ConfigError, ValueError, KeyError) as error:
        note = str(error)
    return ArchivedRun(run, protocol, task, scheme, context, note=note)


def archive_rows(runs: list[ArchivedRun]) -> list[ArchiveRow]:
    """Return the rows of the archive, the best of each protocol, task and context first."""
    groups: dict[tuple[str, str, str, str], list[ArchivedRun]] = {}
    for run in runs:
        groups.setdefault((run.protocol, run.task, run.context, run.scheme), []).append(run)
    rows = [_row(key, group) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (row.protocol, row.task, row.context_digest, -(row.iqm or -np.inf)))


def _row(key: tuple[str, str, str, str], runs: list[ArchivedRun]) -> ArchiveRow:
    protocol, task, context, scheme = key
    scores = np.array([run.score for run in runs if run.score is not None])
    low, high = stats.iqm_interval([scores], named_generator("archive", *key)) if len(scores) else (math.nan, math.nan)
    return ArchiveRow(
        protocol=protocol,
        task=task,
        scheme=scheme,
        runs=len(scores),
        without=len(runs) - len(scores),
        iqm=float(stats.iqm([scores])) if len(scores) else None,
        ci_low=finite(low),
        ci_high=finite(high),
        return_mean=mean([run.team_return for run in runs]),
        context_digest=context,
        notes=sorted({run.note for run in runs if run.note}),
    )


def _read_known(run: str, protocol: str, context: str, config: dict[str, Any], files: dict[str, bytes]) -> ArchivedRun:
    """Read a record whose layout is today's; only the rules by which it was made are others."""
    parsed = RunConfig.model_validate({**config, "protocol": PROTOCOL})
    task = parsed.task
    names = (parsed.task.name, parsed.scheme.label)
    if versioned_object(files["status.json"]).get("status") != "done":
        return ArchivedRun(run, protocol, *names, context, note="the run failed")
    final = float(decode_evaluation(files["evaluation.npz"], task).scored(task)[-1].mean())
    score = None if task.random_score is None else float(task.normalise(final))
    return ArchivedRun(run, protocol, *names, context, score, final)
