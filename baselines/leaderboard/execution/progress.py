"""What a person sees while a suite runs: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from baselines.leaderboard.execution.engine import Died, Event, Finished, Started
from baselines.leaderboard.execution.engine import Progress as StepsSpent
from baselines.leaderboard.execution.plan import Job
from baselines.text import counted, printable

__all__ = ["ProgressDisplay", "duration", "time_left"]

_SECONDS_BETWEEN_LINES = 30.0
# Before a rate is shown, this share of the steps has been spent, or it has been watched for so long.
_MEANINGFUL_SHARE, _MEANINGFUL_SECONDS = 0.01, 120.0


def duration(seconds: float) -> str:
    """Return ``"42 s"``, ``"7 min"`` or ``"2 h 05 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def time_left(elapsed: float, spent: int, total: int) -> str:
    """Return how long the rest will take at the rate so far, in words, once the rate means something.

    A run begins with what takes time and no steps: a process, its imports, the first evaluation, compiling.
    """
    if spent <= 0 or (spent < _MEANINGFUL_SHARE * total and elapsed < _MEANINGFUL_SECONDS):
        return "estimating the time left"
    return f"about {duration(elapsed * (total - spent) / spent)} left"


@dataclass
class _Run:
    """A run under way: when it was taken up, how many steps it told first, and has by now.

    ``phase`` is what it does before there are steps to count; its rate is measured from ``since`` and ``at``, the time
    and the steps when the last phase ended.
    """

    job: Job
    bar: TaskID
    started: float
    since: float = 0.0
    at: int = 0
    first: int | None = None
    steps: int = 0
    phase: str = "compiling, once"


class ProgressDisplay:
    """Follows the events of an engine. Use as a context manager."""

    def __init__(
        self, console: Console, title: str, jobs: list[Job], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``jobs`` are those to be run now; ``clock`` gives seconds."""
        self._console = console
        self._clock = clock
        self._started = clock()
        self._next_line = self._started + _SECONDS_BETWEEN_LINES
        self._total = sum(job.config.task.budget for job in jobs)
        self._count = len(jobs)
        self._ended = 0
        self._ended_steps = 0
        # Steps that runs had spent before they were taken up: they say nothing about the rate.
        self._earlier = 0
        # Since when there are steps to measure a rate by.
        self._stepping: float | None = None
        self._running: dict[str, _Run] = {}
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"),
            console=console, disable=not console.is_terminal, transient=True, refresh_per_second=2,
        )  # fmt: skip
        self._overall = self._bar.add_task(escape(title), total=max(self._total, 1), note="")

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Take in one event."""
        job = event.job
        if isinstance(event, Started):
            self._begin(job)
        elif isinstance(event, StepsSpent):
            if isinstance(event.steps, str):
                self._enter(job, event.steps)
            else:
                self._advance(job, event.steps)
        elif isinstance(event, Finished):
            verdict = f"{event.score:.3f}" if event.score is not None else event.error
            self._end(job, event.status, verdict)
        elif isinstance(event, Died):
            self._end(job, "failed", event.reason) if event.final else self._again(job, event.reason)
        self._refresh()

    def _begin(self, job: Job) -> None:
        bar = self._bar.add_task(escape(f"  {job.run_id}"), total=job.config.task.budget, note=_Run.phase)
        self._running[job.run_id] = _Run(job, bar, self._clock())

    def _enter(self, job: Job, phase: str) -> None:
        run = self._running[job.run_id]
        run.phase = phase
        self._bar.update(run.bar, note=escape(phase))

    def _advance(self, job: Job, steps: int) -> None:
        run = self._running[job.run_id]
        steps = max(0, min(steps, job.config.task.budget))
        if run.phase and (run.steps < steps or run.first is None):
            run.phase, run.since, run.at = "", self._clock(), steps
        if run.first is None:
            run.first = steps
            self._stepping = run.since if self._stepping is None else self._stepping
            if steps:
                self._line(f"goes on {job.run_id}  from {steps:,} of {job.config.task.budget:,} environment steps")
        run.steps = steps
        self._bar.update(run.bar, completed=steps, note=self._left_of(run))

    def _again(self, job: Job, reason: str) -> None:
        self._forget(job)
        self._line(f"again   {job.run_id}  {reason}; the run is taken up once more")

    def _end(self, job: Job, status: str, verdict: str) -> None:
        run = self._forget(job)
        self._ended += 1
        self._ended_steps += job.config.task.budget
        self._earlier += run.first or 0
        seconds = duration(self._clock() - run.started)
        self._line(f"{status:<7} {job.run_id}  {verdict}  {seconds}  [{self._ended}/{self._count}, {self._left()}]")

    def _forget(self, job: Job) -> _Run:
        run = self._running.pop(job.run_id)
        self._bar.remove_task(run.bar)
        return run

    def _spent(self) -> int:
        return self._ended_steps + sum(run.steps for run in self._running.values())

    def _left(self) -> str:
        earlier = self._earlier + sum(run.first or 0 for run in self._running.values())
        since = self._started if self._ended or self._stepping is None else self._stepping
        return time_left(self._clock() - since, self._spent() - earlier, self._total - earlier)

    def _left_of(self, run: _Run) -> str:
        if run.phase:
            return run.phase
        return time_left(self._clock() - run.since, run.steps - run.at, run.job.config.task.budget - run.at)

    def _refresh(self) -> None:
        note = f"{self._ended} of {counted(self._count, 'run')}, {self._left()}"
        self._bar.update(self._overall, completed=self._spent(), note=note)
        if not self._console.is_terminal and self._clock() >= self._next_line:
            self._line(f"running {self._spent():,} of {self._total:,} environment steps, {note}")
            for run in self._running.values():
                share = run.steps / run.job.config.task.budget
                self._line(f"        {run.job.run_id}  {share:.0%}, {self._left_of(run)}")

    def _line(self, text: str) -> None:
        self._next_line = self._clock() + _SECONDS_BETWEEN_LINES
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
