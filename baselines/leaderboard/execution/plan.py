"""The job matrix of a suite against what already lies in the output directory."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from baselines.leaderboard.bounds import MAX_SUITE_BYTES
from baselines.leaderboard.errors import ConfigError, ConfigMismatchError, DamagedRecordError
from baselines.leaderboard.files import canonical_json, pretty_json, read_plain_file, replace_file, sha256_hex
from baselines.leaderboard.records.metadata_files import SCHEMA, versioned_object
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig, faults_of

__all__ = [
    "DEFAULT_OPTIONS",
    "Job",
    "JobOptions",
    "JobState",
    "Plan",
    "SUITE_FILE",
    "differences",
    "encode_suite",
    "final_score",
    "ledger",
    "make_plan",
    "outcome_on_disk",
    "parse_shard",
    "read_suite_file",
    "write_suite_file",
]

SUITE_FILE = "suite.json"


class JobState(Enum):
    """Where a job stands on disk."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class JobOptions:
    """How a job is run. Nothing of it changes a byte of the reproducible files of its record.

    Attributes:
        checkpoint_seconds: time between two stopping points of a run; 0 makes one at every rollout.
        loggers: names of :mod:`baselines.leaderboard.execution.loggers`.
        logs: directory for the files of the loggers; None takes ``logs`` in the output directory.
        timeout: seconds after which a run that has not ended is recorded as failed; None lets it take its time.
        memory: bytes of data that its process may hold, by the local engine on Linux; None lets it take what there is.
        cpu_seconds: processor time after which it fails, where ``memory`` counts, too; None lets it take its time.
    """

    checkpoint_seconds: float = 30.0
    loggers: tuple[str, ...] = ()
    logs: Path | None = None
    timeout: float | None = None
    memory: int | None = None
    cpu_seconds: float | None = None


DEFAULT_OPTIONS = JobOptions()


@dataclass(frozen=True)
class Job:
    """One run to make: its configuration, where it goes, how it stood when the plan was made, and how it is run."""

    config: RunConfig
    directory: Path
    state: JobState
    options: JobOptions = DEFAULT_OPTIONS

    @property
    def run_id(self) -> str:
        """``<task>/<scheme>/seed-<s>``."""
        return self.config.run_id


@dataclass(frozen=True)
class Plan:
    """All jobs of a suite, in the order in which they run."""

    suite: SuiteConfig
    out: Path
    jobs: tuple[Job, ...]

    def to_do(self, *, retry_failed: bool = False, options: JobOptions = DEFAULT_OPTIONS) -> list[Job]:
        """Return the jobs that are open, and the failed ones where they shall be tried again."""
        wanted = {JobState.OPEN, JobState.FAILED} if retry_failed else {JobState.OPEN}
        return [replace(job, options=options) for job in self.jobs if job.state in wanted]

    def shard(self, number: int, count: int) -> Plan:
        """Return every ``count``-th job from the ``number``-th on (1 is the first), so that machines share a suite."""
        return replace(self, jobs=self.jobs[number - 1 :: count])

    def count(self, state: JobState) -> int:
        """Return how many jobs are in one state."""
        return sum(job.state is state for job in self.jobs)


def ledger(suite: SuiteConfig) -> list[str]:
    """Return the tuning ledger of a suite as text, one line a scheme."""
    return [f"tuning  {scheme.label}: {scheme.tuning or 'none'}" for scheme in suite.schemes]


def parse_shard(text: str) -> tuple[int, int]:
    """Return ``(i, n)`` of a shard ``"i/n"`` with 1 <= i <= n.

    Raises:
        ConfigError: the text is none.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text, re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(f"{text!r} is no shard; give i/n with 1 <= i <= n, for example 2/8.")
    return int(match[1]), int(match[2])


def make_plan(suite: SuiteConfig, out: Path) -> Plan:
    """Compare the suite with the run directories in ``out``; nothing is written.

    Raises:
        ConfigMismatchError: a run directory holds another configuration than the suite asks for.
        DamagedRecordError: a run directory cannot be trusted.
    """
    jobs = []
    for config in suite.runs():
        directory = out / config.run_id
        jobs.append(Job(config, directory, _state_on_disk(config, directory)))
    return Plan(suite, out, tuple(jobs))


def write_suite_file(suite: SuiteConfig, out: Path) -> None:
    """Record the suite in ``out/suite.json``, so that a report knows runs that are still to come."""
    replace_file(out / SUITE_FILE, encode_suite(suite))


def encode_suite(suite: SuiteConfig) -> bytes:
    """Return ``suite.json``: the suite and its SHA-256."""
    content = suite.model_dump(mode="json")
    return pretty_json({"schema": SCHEMA, "digest": sha256_hex(canonical_json(content)), "suite": content})


def read_suite_file(out: Path) -> SuiteConfig | None:
    """Return the suite that was last run in ``out``, or None where no suite was.

    Raises:
        DamagedRecordError: the file is there and cannot be read.
    """
    path = out / SUITE_FILE
    try:
        data = read_plain_file(path, MAX_SUITE_BYTES)
        payload = versioned_object(data)
        suite = SuiteConfig.model_validate(payload["suite"])
        if payload.keys() != {"suite"} and data != encode_suite(suite):
            raise ValueError("its digest does not belong to its content")
        return suite
    except FileNotFoundError:
        return None
    except ValidationError as error:
        fault = faults_of(error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = str(error)
    raise DamagedRecordError(
        f"damaged {path}: {fault}. Delete it; `run` writes it again.", file=SUITE_FILE, fault=fault
    )


def _state_on_disk(config: RunConfig, directory: Path) -> JobState:
    if not directory.exists():
        return JobState.OPEN
    record = read_run(directory)
    if record.config.digest != config.digest:
        raise ConfigMismatchError(
            f"{directory} was run with another configuration ({differences(record.config, config)}). "
            "It is never overwritten: choose another --out, or move that directory away."
        )
    return JobState.DONE if record.status == "done" else JobState.FAILED


def outcome_on_disk(job: Job) -> tuple[str, float | None, str] | None:
    """Return status, score and error of the record that a job has left, if it has left one.

    A worker may die after its record is in place and before it can say so.
    """
    try:
        record = read_run(job.directory) if job.directory.exists() else None
    except DamagedRecordError as error:
        return "failed", None, str(error)
    if record is None or (record.failure is not None and job.state is JobState.FAILED):
        return None  # that is the record of an earlier attempt
    if record.failure is not None:
        return "failed", None, f"{record.failure.type}: {record.failure.message}"
    return "done", final_score(record.config, float(record.evaluation.scored(record.config.task)[-1].mean())), ""


def final_score(config: RunConfig, final_mean: float) -> float | None:
    """Return the score of the mean return at the last point; None for a task without reference scores."""
    return config.task.normalise(final_mean) if config.task.random_score is not None else None


def differences(found: RunConfig, wanted: RunConfig) -> str:
    """Return the first four keys in which two configurations differ, with both values."""
    old, new = _flat(found.model_dump(mode="json")), _flat(wanted.model_dump(mode="json"))
    apart = [
        f"{key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} asked for"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    return ", ".join(apart[:4])


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, entry in value.items():
        flat.update(_flat(entry, f"{prefix}.{key}" if prefix else str(key)))
    return flat
