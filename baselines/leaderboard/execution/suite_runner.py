"""Running a suite: open jobs through an engine, into one directory that may be interrupted at any moment."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from baselines.leaderboard.errors import ConfigMismatchError, OutputDirectoryError
from baselines.leaderboard.execution.engine import Died, Engine, EngineFactory, Event, Finished
from baselines.leaderboard.execution.local_engine import WorkerPool
from baselines.leaderboard.execution.loggers import LOG_DIRECTORY
from baselines.leaderboard.execution.plan import (
    DEFAULT_OPTIONS,
    SUITE_FILE,
    Job,
    JobOptions,
    JobState,
    Plan,
    make_plan,
    write_suite_file,
)
from baselines.leaderboard.execution.progress import ProgressDisplay
from baselines.leaderboard.execution.signals import signals_deferred
from baselines.leaderboard.files import make_directory
from baselines.leaderboard.records.checkpoints import remove_checkpoint
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.records.metadata_files import Costs
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.records.reader import Failure, find_runs
from baselines.leaderboard.records.writer import RunWriter, partials_of, remove_stale_partials
from baselines.leaderboard.spec.config import REVEALED, SuiteConfig
from baselines.text import counted

__all__ = ["RunInterrupted", "RunSummary", "look_over", "refuse_foreign", "run_jobs", "run_suite"]


@dataclass(frozen=True)
class RunSummary:
    """Runs of the suite by state after ``run``."""

    done: int
    failed: int


class RunInterrupted(KeyboardInterrupt):
    """The run was interrupted; what was finished is on disk. ``done`` of ``total`` runs stand."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"interrupted: {done} of {total} runs are done")
        self.done = done
        self.total = total


def run_suite(
    suite: SuiteConfig,
    out: Path,
    *,
    console: Console,
    part: SuiteConfig | None = None,
    jobs: int | None = None,
    retry_failed: bool = False,
    shard: tuple[int, int] = (1, 1),
    engine: EngineFactory | None = None,
    options: JobOptions = DEFAULT_OPTIONS,
    check: bool = False,
) -> RunSummary:
    """Run every job of ``suite`` that has no record in ``out`` yet.

    Args:
        suite: what belongs into ``out``; the report counts what is missing of it as open.
        out: output directory, created where it is missing.
        console: where progress is shown.
        part: the part of ``suite`` to run now; None runs all of it.
        jobs: runs at once; None takes as many as the engine has cores.
        retry_failed: run failed jobs again, too.
        shard: ``(i, n)``, to run the i-th of n shares of the jobs; the n shares may run at once in one ``out``.
        engine: what runs them; None takes processes of this machine.
        options: how each of them is run.
        check: look the part over first, if any of its runs is open; a fault leaves ``out`` as it was.

    Returns:
        How many runs of the part are done and how many have failed, those of earlier calls included.

    Raises:
        RunInterrupted: Ctrl-C; all workers have been ended, finished runs are kept.
        ConfigMismatchError, DamagedRecordError: ``out`` holds something that would have to be overwritten.
        DirectoryLockedError: another process runs jobs there.
        OutputDirectoryError: ``out`` cannot be written, or holds files but neither a suite nor runs.
        EngineLostError: the engine has failed; the jobs that have not ended stay open.
        UnknownNameError, ConfigError: the part does not pass the check.
    """
    part, start = part or suite, engine or WorkerPool
    refuse_foreign(out)
    check = check and _has_open_runs(part, out, retry_failed)
    if check:
        console.print("checking schemes and environments", markup=False, highlight=False)
    out = out.absolute()  # whatever a plug-in makes the working directory of its worker
    with _checked(start, jobs, part, options.timeout) if check else nullcontext(start) as start:
        make_directory(out)
        with directory_lock(out, shard):
            remove_stale_partials(out)
            plan = make_plan(part, out).shard(*shard)
            options = replace(options, logs=(options.logs or out / LOG_DIRECTORY).absolute())
            todo = plan.to_do(retry_failed=retry_failed, options=options)
            if todo and (out / REVEALED).exists():
                raise ConfigMismatchError(
                    f"{out / REVEALED} holds seeds that {len(todo)} runs still to come could be trained on; choose "
                    "another --out, or keep to the runs that have ended."
                )
            write_suite_file(suite, out)
            _remove_idle_checkpoints(plan)
            counts = {state: plan.count(state) for state in JobState}
            if retry_failed:
                counts[JobState.FAILED] = 0
            _announce(console, suite, len(plan.jobs), counts, len(todo))
            try:
                display = ProgressDisplay(console, suite.name, todo)
                run_jobs(todo, lambda: start(jobs), out, display, counts)
            except KeyboardInterrupt:
                raise RunInterrupted(counts[JobState.DONE], len(plan.jobs)) from None
    return RunSummary(done=counts[JobState.DONE], failed=counts[JobState.FAILED])


def look_over(part: SuiteConfig, out: Path, *, retry_failed: bool = False, timeout: float | None = None) -> None:
    """Check what :func:`run_suite` checks before its first run, in one worker of this machine; nothing is written.

    Raises:
        UnknownNameError, ConfigError: the part does not pass the check.
    """
    if _has_open_runs(part, out, retry_failed):
        with _checked(WorkerPool, 1, part, timeout):
            pass


def refuse_foreign(out: Path) -> None:
    """Raise OutputDirectoryError if ``out`` holds files but neither a suite nor runs; locks of other starts may be."""
    if not out.is_dir() or (out / SUITE_FILE).exists() or find_runs(out):
        return
    if any(not path.name.startswith((".lock", f".{SUITE_FILE}")) for path in out.iterdir()):
        raise OutputDirectoryError(
            f"{out} is not empty and holds neither a {SUITE_FILE} nor runs; nothing was touched. Choose another --out."
        )


def _has_open_runs(part: SuiteConfig, out: Path, retry_failed: bool) -> bool:
    return retry_failed or not all((out / config.run_id).exists() for config in part.runs())


@contextmanager
def _checked(
    start: EngineFactory, jobs: int | None, suite: SuiteConfig, timeout: float | None
) -> Iterator[EngineFactory]:
    """Look a suite over, and give out the engine that did: it is ready for the jobs by then."""
    engine = start(jobs)
    try:
        engine.check(suite, timeout=timeout)
        yield lambda _: engine
    finally:
        with signals_deferred():
            engine.end()


def _remove_idle_checkpoints(plan: Plan) -> None:
    """A process that is killed just after it has put its record in place leaves the run's stopping point behind."""
    for job in plan.jobs:
        if job.state is JobState.DONE:
            remove_checkpoint(job.directory)


def _announce(console: Console, suite: SuiteConfig, total: int, counts: dict[JobState, int], todo: int) -> None:
    standing = f"{counts[JobState.DONE]} done, {counts[JobState.FAILED]} failed, {todo} to run"
    console.print(f"suite {suite.name}: {counted(total, 'run')} ({standing})", markup=False, highlight=False)


def run_jobs(
    todo: list[Job], start: Callable[[], Engine], out: Path, display: ProgressDisplay, counts: dict[JobState, int]
) -> None:
    """Run the jobs and count the state of each as it ends; whatever happens, no worker outlives the call."""
    if not todo:
        return
    with _tidy(start, out) as engine, display:
        for event in engine.run(todo):
            state = _classify(event, out)
            if state is not None:
                counts[state] += 1
            display.show(event)


def _classify(event: Event, out: Path) -> JobState | None:
    """Return the state of a job that has ended, None before; a job whose worker died gets a record here."""
    if isinstance(event, Finished):
        return JobState.DONE if event.status == "done" else JobState.FAILED
    if isinstance(event, Died):
        _remove_partials(out, [] if event.pid is None else [event.pid])
        if event.final:
            writer = RunWriter(event.job.directory, event.job.config)
            # The environment may be what ended the worker: it is not made here.
            writer.fail(Failure(event.kind, event.reason), Costs(), provenance_of(event.job.config, digest=False))
            return JobState.FAILED
    return None


@contextmanager
def _tidy(start: Callable[[], Engine], out: Path) -> Iterator[Engine]:
    """An engine whose workers, once ended, leave no partial directory behind."""
    engine = start()
    try:
        yield engine
    finally:
        with signals_deferred():
            _remove_partials(out, engine.end())


def _remove_partials(out: Path, pids: list[int]) -> None:
    for pid in pids:
        for path in partials_of(out, pid):
            shutil.rmtree(path, ignore_errors=True)
