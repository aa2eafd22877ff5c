"""What the rest of a suite will cost, by what its finished runs cost, or by a probe of tasks that have none."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from baselines.leaderboard.execution.plan import Job
from baselines.leaderboard.execution.probe import FEWEST_STEPS, PROBED_SCHEME
from baselines.leaderboard.execution.progress import duration
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.spec.config import RunConfig
from baselines.text import counted

__all__ = ["Estimate", "estimate_rest", "time_at_once"]


@dataclass(frozen=True)
class Estimate:
    """Cost of the jobs that are to be run.

    Attributes:
        env_steps: environment steps of all of them.
        seconds: wall-clock seconds of each job whose rate is known, in order.
        unknown: how many have no rate: no run of their task has finished.
        measured: how many finished runs the rates come from.
        probed: how many tasks have their rate from a probe.
    """

    env_steps: int
    seconds: tuple[float, ...]
    unknown: int
    measured: int
    probed: int = 0

    def lines(self, at_once: int) -> list[str]:
        """Return it in words, for so many jobs at once."""
        jobs = len(self.seconds) + self.unknown
        lines = [f"to run: {counted(jobs, 'run')}, {self.env_steps:,} environment steps"]
        if self.seconds:
            wall = duration(time_at_once(self.seconds, at_once))
            sources = [f"{self.measured} finished run{'s' * (self.measured > 1)}"] if self.measured else []
            if self.probed:
                sources.append(f"a short probe of {PROBED_SCHEME} on {self.probed} task{'s' * (self.probed > 1)}")
            by = " and ".join(sources)
            lines.append(f"about {wall} with {at_once} at once ({duration(sum(self.seconds))} in all), by {by}")
        if self.unknown:
            lines.append(f"no time is known for {self.unknown} of them: no run of their task has finished here")
        return lines


Probe = Callable[[Sequence[RunConfig]], Mapping[str, float]]
"""From configurations to the seconds of a run, by context digest; see :mod:`~.probe`."""


def estimate_rest(jobs: Sequence[Job], finished: Iterable[RunRecord], probe: Probe | None = None) -> Estimate:
    """Estimate the jobs at the rates of finished runs of the same task and learner: of the same scheme if there are.

    Args:
        jobs: those to be run.
        finished: records; those that failed or do not tell their wall time do not count.
        probe: measures tasks without a finished run, if they have steps enough to be worth it.
    """
    spent: dict[tuple[str, str], tuple[float, int]] = {}
    measured = 0
    for record in finished:
        seconds = record.costs.wall_seconds
        if record.status != "done" or not seconds:
            continue
        measured += 1
        for key in _keys(record.config):
            total, steps = spent.get(key, (0.0, 0))
            spent[key] = total + seconds, steps + record.config.task.budget
    estimates = [_seconds(job.config, spent) for job in jobs]
    probed: Mapping[str, float] = {}
    missing = [job.config for job, seconds in zip(jobs, estimates, strict=True) if seconds is None]
    if probe is not None and sum(config.task.budget for config in missing) >= FEWEST_STEPS:
        probed = probe(list({config.context_digest: config for config in missing}.values()))
        estimates = [
            probed.get(job.config.context_digest) if seconds is None else seconds
            for job, seconds in zip(jobs, estimates, strict=True)
        ]
    known = tuple(seconds for seconds in estimates if seconds is not None)
    steps = sum(job.config.task.budget for job in jobs)
    return Estimate(steps, known, len(jobs) - len(known), measured, len(probed))


def time_at_once(seconds: Sequence[float], at_once: int) -> float:
    """Return when the last of the jobs ends if each begins, in order, as soon as one of ``at_once`` places is free."""
    places = [0.0] * max(1, at_once)
    for job in seconds:
        heapq.heappushpop(places, places[0] + job)
    return max(places)


def _keys(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """From the closest to the loosest likeness that still gives a rate."""
    return (config.context_digest, config.scheme.label), (config.context_digest, "")


def _seconds(config: RunConfig, spent: dict[tuple[str, str], tuple[float, int]]) -> float | None:
    for key in _keys(config):
        if key in spent:
            seconds, steps = spent[key]
            return seconds * config.task.budget / steps
    return None
