"""How often the board's 95 % intervals hold the truth, measured on made-up scores whose truth is known.

``python -m baselines.leaderboard.statistics.coverage`` prints the table of docs/explanation/protocol.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.statistics import scores as stats

__all__ = ["CELLS", "POPULATIONS", "Cell", "main", "measure", "table"]

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

REPETITIONS = 4_000
RESAMPLES = 1_000
SEED = 20_26
# The tasks of a suite are not equally hard: their scores lie this far apart in all.
TASK_SPREAD = 0.4
_TRUTH_DRAWS = 1_000_000


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return generator.normal(0.6, 0.15, shape)


def _skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 1.0 - 0.2 * generator.standard_exponential(shape)


def _two_peaks(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    fails = generator.random(shape) < 0.25
    return np.where(fails, generator.normal(0.3, 0.1, shape), generator.normal(0.9, 0.05, shape))


POPULATIONS: dict[str, Draw] = {"normal": _normal, "skewed": _skewed, "two peaks": _two_peaks}
"""Scores of runs: bell-shaped; with a long tail of bad runs; one run in four fails."""

CELLS = tuple((runs, tasks) for tasks in (1, 4) for runs in (3, 5, 10))
"""Numbers of runs and tasks that are measured."""


@dataclass(frozen=True)
class Cell:
    """What was measured for one number of runs and tasks and one population.

    ``coverage`` is the share of repetitions whose interval holds the population's interquartile mean, ``apart`` the
    share in which two equal schemes get intervals that do not overlap, and so different ranks.
    """

    coverage: float
    apart: float
    repetitions: int

    @property
    def standard_error(self) -> float:
        """Standard error of ``coverage``."""
        return float(np.sqrt(self.coverage * (1 - self.coverage) / self.repetitions))


def measure(
    draw: Draw, runs: int, tasks: int, generator: np.random.Generator, *, repetitions: int = REPETITIONS
) -> Cell:
    """Measure the interval of the interquartile mean that the board prints, ``stats.iqm_interval``.

    Args:
        draw: population of scores, from a generator and a shape.
        runs: R, runs of each task.
        tasks: number of tasks, which lie ``TASK_SPREAD`` apart in all.
        generator: source of scores and resamples.
        repetitions: how many; half of them make the pairs of equal schemes.
    """
    offsets = np.linspace(-TASK_SPREAD / 2, TASK_SPREAD / 2, tasks) if tasks > 1 else np.zeros(1)
    truth = float(stats.iqm([draw(generator, (_TRUTH_DRAWS,)) + offset for offset in offsets]))
    ends = np.empty((repetitions, 2))
    for repetition in range(repetitions):
        scores = draw(generator, (tasks, runs)) + offsets[:, None]
        ends[repetition] = stats.iqm_interval(list(scores), generator, resamples=RESAMPLES)
    low, high = ends.T
    apart = (low[::2] > high[1::2]) | (low[1::2] > high[::2])
    return Cell(float(((low <= truth) & (truth <= high)).mean()), float(apart.mean()), repetitions)


def table(repetitions: int = REPETITIONS) -> Iterator[str]:
    """Yield the lines of the Markdown table, each as soon as it is measured."""
    names = list(POPULATIONS)
    yield f"| runs | tasks | {' | '.join(names)} | equal schemes ranked apart |"
    yield "|---:" * (3 + len(names)) + "|"
    for runs, tasks in CELLS:
        # Every cell has a stream of its own, so that it can be measured alone.
        found = [
            measure(draw, runs, tasks, np.random.default_rng([SEED, runs, tasks, place]), repetitions=repetitions)
            for place, draw in enumerate(POPULATIONS.values())
        ]
        apart = [f"{cell.apart:.1%}" for cell in found]
        shown = " | ".join(f"{cell.coverage:.1%}" for cell in found)
        yield f"| {runs} | {tasks} | {shown} | {' / '.join(apart)} |"


def main() -> None:
    """Print the table."""
    for line in table():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
