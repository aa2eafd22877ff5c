"""Training finished runs again: the same configuration gives the same bytes on the machine that a run names.

This settles what no other check can: whether the weights of a record were trained by the learner, in the budget and
from the seed that its configuration names. Nothing of a record but its configuration reaches the training.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from adaps_envs.registry import plugin_of
from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.execution.apart import needs_plugin
from baselines.leaderboard.execution.estimate import estimate_rest
from baselines.leaderboard.execution.local_engine import WorkerPool, available_cores
from baselines.leaderboard.execution.plan import Job, JobOptions, JobState
from baselines.leaderboard.execution.progress import ProgressDisplay, duration
from baselines.leaderboard.execution.signals import end_on_signal
from baselines.leaderboard.execution.suite_runner import run_jobs
from baselines.leaderboard.files import make_directory, sha256_hex, writing
from baselines.leaderboard.records.npz import decode_npz, encode_npz
from baselines.leaderboard.records.provenance import provenance_of, same_kind_of_machine, same_software
from baselines.leaderboard.records.reader import (
    REPRODUCIBLE_FILES,
    FinishedRun,
    RunRecord,
    find_runs,
    listed_digests,
    read_run,
)
from baselines.leaderboard.spec.config import PROTOCOL
from baselines.leaderboard.spec.loading import BUILTIN_SCHEMES
from baselines.leaderboard.verify.compare import different_leaves
from baselines.leaderboard.verify.verdict import Fault
from baselines.text import counted, printable

__all__ = ["Retrained", "Trainer", "draw_runs", "retrain"]

MAX_MEMORY = 8 << 30
"""What the process of a run may hold that deep verification trains again; `retrain` is asked for, and has no limit."""

LEAST_SECONDS = 30
"""As how many seconds of training a run counts at least: its process takes some to begin."""

SECONDS_MORE, TIMES_AS_LONG, BUSY = 120, 4, 20
"""A run may take so much more processor time than its record says, and so many times that by the clock."""

MEASURED = {"sharing.json"}
"""Files whose last digits follow from the C library, too; `--deep` measures them again by itself."""

_FAILS = "trained again, it fails: "

# Failures that say more about this machine, and what is installed on it, than about the run.
_NOT_THE_RUNS = frozenset(
    {"MemoryError", "RunTimedOut", "OutOfTimeError", "UnknownNameError", "WorkerDied", "_ArrayMemoryError"}
)


@dataclass(frozen=True)
class Retrained:
    """What training one run again gave.

    Attributes:
        run: ``<task>/<scheme>/seed-<s>``.
        verdict: ``same`` if all files that repeat have the same bytes; ``fault`` if they differ although machine and
            versions are those of the record; ``elsewhere`` if they differ and these do too, or training did not end.
        same, different: names of the files that repeat.
        provenance: what differs in it, ``part: there, here``.
        scores: recorded and again; returns where the task has no reference scores. None if training did not end.
        difference: mean and standard error, over the evaluation episodes, of the second less the first.
        remarks: why there is no second result, and what the provenance does not tell.
    """

    run: str
    verdict: Literal["same", "fault", "elsewhere"]
    same: tuple[str, ...]
    different: tuple[str, ...]
    provenance: tuple[str, ...]
    scores: tuple[float, float] | None = None
    difference: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield it as lines for a terminal; text from records cannot control it."""
        word = "FAULT" if self.verdict == "fault" else self.verdict
        yield printable(f"{word:<9} {self.run}: {len(self.same)} of {len(REPRODUCIBLE_FILES)} files are the same")
        for fault in self.faults():
            yield printable(f"fault: {self.run}/{fault}")
        if self.verdict == "elsewhere":
            yield printable(f"note: {self.run} cannot be compared by bytes; different: {', '.join(self.different)}")
        for part in self.provenance if self.different else ():
            yield printable(f"note: {self.run}: {part}")
        for note in self.notes():
            yield printable(f"note: {note}")

    def faults(self) -> Iterator[Fault]:
        """Yield the files that are not what training gives, or why there is none, where that is a fault."""
        if self.verdict == "fault":
            for name in self.different:
                yield Fault(name, "", "not the bytes that its configuration gives here")
            if not self.different:
                yield Fault("", "", "; ".join(self.remarks))

    def notes(self) -> Iterator[str]:
        """Yield why it ended as it did and how it scores, unless all files are the same."""
        if self.verdict == "same":
            return
        for remark in self.remarks:
            yield f"{self.run}: {remark}"
        if self.scores is not None and self.difference is not None:
            (recorded, again), (mean, error) = self.scores, self.difference
            yield (
                f"{self.run}: {recorded:.3f} recorded, {again:.3f} trained again; paired difference {mean:+.3f} with a "
                f"standard error of {error:.3f} over the episodes"
            )


@dataclass(frozen=True)
class Trainer:
    """Trains some runs of each row again.

    A run that names this machine and what is installed here must come out the same: if it cannot be trained again, that
    is a fault, too, as its author chooses what training takes.

    Attributes:
        count: how many of each row; None takes all.
        console: where the estimate and the progress are shown.
        seconds: that training may take in all, by the records.
    """

    count: int | None
    console: Console
    seconds: float

    def draw(self, records: Sequence[FinishedRun]) -> list[FinishedRun]:
        """Return the runs to train, drawn now.

        Raises:
            ConfigError: they take too long.
        """
        rng = np.random.default_rng()
        rows: dict[tuple[str, str], list[FinishedRun]] = {}
        for record in records:
            rows.setdefault((record.config.task.name, record.config.scheme.label), []).append(record)
        return self._within_time(
            [row[place] for row in rows.values() for place in rng.permutation(len(row))[: self.count]]
        )

    def with_suspects(self, drawn: list[FinishedRun], suspects: Sequence[FinishedRun]) -> list[FinishedRun]:
        """Return the drawn runs, and of those that may be copies as many as the time allows."""
        chosen = {record.config.run_id: record for record in drawn}
        for record in suspects if drawn else ():
            with suppress(ConfigError):  # what is suspected stays a fault, which says what to do
                self._within_time([*chosen.values(), record])
                chosen[record.config.run_id] = record
        return list(chosen.values())

    def _within_time(self, drawn: list[FinishedRun]) -> list[FinishedRun]:
        needed = sum(max(LEAST_SECONDS, record.costs.cpu_seconds or 0.0) for record in drawn)
        if needed > self.seconds:
            raise ConfigError(
                f"training {counted(len(drawn), 'drawn run')} again takes {needed:,.0f} s by their records, and "
                f"{self.seconds:,.0f} s are allowed: --retrain-seconds allows more, --retrain 0 trains none"
            )
        return drawn

    def train(self, drawn: Sequence[FinishedRun]) -> list[Retrained]:
        """Train them, as many at once as there are cores, and memory for what each may take."""
        at_once = max(1, min(available_cores(), _memory() // MAX_MEMORY))
        drawn = sorted(drawn, key=lambda record: needs_plugin(record.config))  # what theirs can change comes before
        if drawn:
            _tell_cost(drawn, self.console, at_once, "runs that take much longer than recorded are given up")
        found: list[Retrained] = []
        with end_on_signal():
            for some in (drawn[start : start + at_once] for start in range(0, len(drawn), at_once)):
                longest = max(record.costs.cpu_seconds or 0.0 for record in some)
                again = _trained(some, self.console, _limits(SECONDS_MORE + TIMES_AS_LONG * longest))
                found += map(_must_repeat, some, again)
        return found


def _memory() -> int:
    """Return the bytes of memory of this machine, or of this container; where neither is told, enough for one run."""
    if not hasattr(os, "sysconf"):
        return MAX_MEMORY
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # another system; "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def _limits(cpu_seconds: float) -> JobOptions:
    """Return the limits of a run that is trained again; the clock's is for a machine on which nothing goes on."""
    return JobOptions(timeout=BUSY * cpu_seconds, memory=MAX_MEMORY, cpu_seconds=cpu_seconds)


def _must_repeat(record: FinishedRun, found: Retrained) -> Retrained:
    """Make it a fault that training failed, where it must come out the same; the clock tells of this machine alone."""
    late = any(remark.startswith(f"{_FAILS}RunTimedOut:") for remark in found.remarks)
    if late or found.scores is not None or not _repeats_here(record):
        return found
    return replace(found, verdict="fault", different=(), remarks=(*found.remarks, "--retrain 0 trains none"))


def _repeats_here(record: FinishedRun) -> bool:
    known = record.config, record.provenance
    return same_kind_of_machine(*known) and same_software(*known)


def draw_runs(directory: Path, count: int, seed: int, named: Sequence[str] = ()) -> tuple[list[Path], int]:
    """Return the run directories to train again, and of how many they were drawn.

    Args:
        directory: of runs.
        count: how many to draw at random, if none are named.
        seed: of the draw.
        named: runs by name, ``<task>/<scheme>/seed-<s>``.

    Raises:
        ConfigError: no run of this protocol has finished, or not the one that is named; or a run has another's name.
        DamagedRecordError: a run cannot be read.
    """
    runs = {}
    for path in find_runs(directory):
        config, name = (record := read_run(path, metrics=False)).config, path.relative_to(directory).as_posix()
        if config.run_id != name:
            raise ConfigError(f"{path} holds the run {config.run_id}; `verify` names all such faults.")
        if record.status == "done" and config.protocol == PROTOCOL:
            runs[name] = path
    if not runs:
        raise ConfigError(f"{directory} holds no finished run of protocol {PROTOCOL}; give the --out of a run.")
    for name in named:
        if name not in runs:
            raise ConfigError(f"{directory} has no finished run {name!r}; give <task>/<scheme>/seed-<s>.")
    names = list(dict.fromkeys(named)) or sorted(random.Random(seed).sample(sorted(runs), min(count, len(runs))))
    return [runs[name] for name in names], len(runs)


def retrain(
    paths: Sequence[Path], *, console: Console, out: Path | None = None, jobs: int | None = None,
    seconds: float,
) -> list[Retrained]:  # fmt: skip
    """Train runs again, each as a job of its own, and compare what must repeat. The records are not changed.

    Args:
        paths: of the runs, which should have been verified.
        console: where the estimate and the progress are shown.
        out: new directory for the new runs; None takes a temporary one.
        jobs: runs at once; None takes one a core.
        seconds: after which a run is given up; what a record says of its own costs is its author's word.

    Raises:
        OutputDirectoryError: ``out`` holds something, or cannot be written.
        DamagedRecordError: a record cannot be read.
    """
    records = [record for record in map(read_run, paths) if isinstance(record, FinishedRun)]
    at_once = min(jobs or available_cores(), len(records))
    _tell_cost(records, console, at_once, f"a run that takes more than {duration(seconds)} is given up (--timeout)")
    return _trained(records, console, JobOptions(timeout=seconds), out=out, jobs=jobs)


def _tell_cost(records: Sequence[FinishedRun], console: Console, at_once: int, limit: str) -> None:
    todo = [Job(record.config, record.directory, JobState.OPEN) for record in records]
    for line in [*estimate_rest(todo, records).lines(min(at_once, len(todo))), limit]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _trained(
    records: Sequence[FinishedRun], console: Console, options: JobOptions, *, out: Path | None = None,
    jobs: int | None = None,
) -> list[Retrained]:  # fmt: skip
    recorded = {record.config.run_id: listed_digests(record.directory) for record in records}
    found: dict[str, Retrained] = {}
    with _place(out) as place:
        todo = [Job(each.config, place / each.config.run_id, JobState.OPEN, options) for each in records]
        at_once = min(jobs or available_cores(), len(todo))
        # Code of a plug-in could write into the files of other runs: those are trained and compared before.
        for foreign in (False, True):
            pairs = [pair for pair in zip(records, todo, strict=True) if needs_plugin(pair[0].config) is foreign]
            some = [job for _, job in pairs]
            run_jobs(some, lambda: WorkerPool(at_once), place, ProgressDisplay(console, "retrain", some), Counter())
            for record, job in pairs:
                run = record.config.run_id
                found[run] = _compared(record, recorded[run], read_run(job.directory))
    return [found[record.config.run_id] for record in records]


@contextmanager
def _place(out: Path | None) -> Iterator[Path]:
    """A directory that holds nothing yet; a temporary one goes at the end."""
    if out is None:
        with writing(Path(tempfile.gettempdir())):
            temporary = tempfile.TemporaryDirectory(prefix="adaps-retrain-")
        with temporary as name:
            yield Path(name)
        return
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputDirectoryError(f"{out} exists and is never overwritten; choose another --out.")
    make_directory(out)
    yield out.absolute()


def _compared(old: FinishedRun, there: Mapping[str, str], new: RunRecord) -> Retrained:
    here = listed_digests(new.directory)
    same = tuple(
        name
        for name in REPRODUCIBLE_FILES
        if here.get(name) in (there.get(name), _packed_here(old.directory / name, there.get(name)))
    )
    different = tuple(name for name in REPRODUCIBLE_FILES if name not in same)
    provenance, config = tuple(_apart(old)), old.config
    outside = [] if config.scheme.name in BUILTIN_SCHEMES else [config.scheme.name]
    outside += [config.task.env] if plugin_of(config.task.env) else []
    remarks = tuple(f"{name} comes from another package, whose version no record names" for name in outside)
    if isinstance(new, FinishedRun):
        task = config.task
        returns = [each.evaluation.scored(task)[-1] for each in (old, new)]
        first, second = returns if task.random_score is None else [task.normalise(values) for values in returns]
        gaps = second - first
        error = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else 0.0
        scores, difference = (float(first.mean()), float(second.mean())), (float(gaps.mean()), error)
        verdict: Any = (
            "same" if not different else "fault" if _repeats_here(old) and {*different} - MEASURED else "elsewhere"
        )
        return Retrained(config.run_id, verdict, same, different, provenance, scores, difference, remarks)
    remarks = (f"{_FAILS}{new.failure.type}: {new.failure.message}", *remarks)
    verdict = "fault" if _repeats_here(old) and new.failure.type not in _NOT_THE_RUNS else "elsewhere"
    return Retrained(config.run_id, verdict, same, different, provenance, remarks=remarks)


def _packed_here(file: Path, recorded: str | None) -> str | None:
    """Return the hash of recorded arrays as they are written here: another zlib packs the same arrays otherwise."""
    if file.suffix != ".npz" or not file.is_file() or sha256_hex(data := file.read_bytes()) != recorded:
        return None
    return sha256_hex(encode_npz(decode_npz(data)))


def _apart(old: FinishedRun) -> Iterator[str]:
    """What differs from machine and versions here, which no scheme's process is asked for.

    The number of cores decides nothing, and verification has compared the environment's digest.
    """
    known = (old.provenance, provenance_of(old.config, digest=False))
    there, here = (each.model_dump(mode="json", exclude={"cores", "trace_digest"}) for each in known)
    for where, found, rule in different_leaves(there, here):
        yield f"{where}: {found!r} there, {rule!r} here"
