"""Statistics over runs: pure functions of arrays; every random draw comes from the generator passed in.

``scores`` is a list with one array a task, each ``[..., R]`` float64: the normalised scores of its R runs. Tasks may
have different R and count alike all the same: whoever runs an easy task more often must not raise a total by it.
Leading axes are resamples. Definitions: Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.statistics.bootstrap import (
    percentile_interval,
    resampled_counts,
    resampled_runs,
    weighted_iqm,
)

__all__ = [
    "DRAWN_FLIPS",
    "MOST_FLIPPED",
    "RANKED_RUNS",
    "RANK_MARGIN",
    "Scores",
    "area_under_curve",
    "curve_interval",
    "improvement_matrix",
    "iqm",
    "iqm_interval",
    "mean",
    "mean_interval",
    "median",
    "middle_half",
    "optimality_gap",
    "paired_interval",
    "performance_profile",
    "profile_interval",
    "sign_flip_test",
    "standardised_difference",
    "superiority",
    "tie_ranks",
]

Array = NDArray[np.float64]
Scores = Sequence[Array]

# Of the score and of paired differences; and of intervals without a ranking.
RESAMPLES, FEW_RESAMPLES = 10_000, 2_000
_CHUNK_VALUES = 4_000_000

RANK_MARGIN = 0.01
"""Scores that differ by less are not told apart, however narrow their intervals."""

MOST_FLIPPED = 20
"""Pairs up to which :func:`sign_flip_test` tries all signs."""

DRAWN_FLIPS = 100_000
"""Signs that it draws beyond."""

RANKED_RUNS = 5
"""A row of fewer runs has no rank: with three runs, the interval holds the true value in 3 of 4 cases only."""


def iqm(scores: Scores) -> Array:
    """Return the interquartile mean ``[...]`` over all run-task scores pooled: the mean of the middle half."""
    pooled = np.concatenate(scores, axis=-1)
    return weighted_iqm(pooled, np.broadcast_to(_weights(scores), pooled.shape))


def middle_half(values: Array) -> NDArray[np.int64]:
    """Return which of the values ``[R]`` the interquartile mean is the mean of."""
    quarter = len(values) // 4
    return np.argsort(values, kind="stable")[quarter : len(values) - quarter]


def mean(scores: Scores) -> Array:
    """Return the mean over tasks ``[...]`` of each task's mean over runs."""
    return _task_means(scores).mean(axis=-1)


def median(scores: Scores) -> Array:
    """Return the median over tasks ``[...]`` of each task's mean over runs."""
    return np.median(_task_means(scores), axis=-1)


def optimality_gap(scores: Scores, target: float = 1.0) -> Array:
    """Return ``target`` minus the mean score ``[...]``, scores above the target counting as the target."""
    return np.asarray(target - mean([np.minimum(task, target) for task in scores]))


def performance_profile(scores: Scores, thresholds: Array) -> Array:
    """Return, for each threshold, the fraction ``[..., thresholds]`` of run-task scores above it."""
    return mean([np.asarray(task[..., None, :] > np.asarray(thresholds)[:, None], np.float64) for task in scores])


def area_under_curve(steps: Array, values: Array, budget: float) -> float:
    """Return the mean height of a learning curve over ``[0, budget]`` environment steps, by the trapezium rule.

    Before the first point the curve is flat: nothing has been learnt during the identity phase, and its steps count.

    Args:
        steps: ``[P]`` environment steps of the points, not decreasing.
        values: ``[P]`` heights.
        budget: right end of the axis, > 0; the curve is cut or continued flat there.
    """
    inner = (steps > 0) & (steps < budget)
    x = np.concatenate([[0.0], steps[inner], [budget]])
    y = np.interp(x, steps, values)
    return float(np.diff(x) @ (y[1:] + y[:-1]) / 2 / budget)


def iqm_interval(scores: Scores, generator: np.random.Generator, *, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the 95 % percentile interval of :func:`iqm`: runs are resampled with replacement within each task.

    With fewer than two runs in a task nothing is known about the spread, and both ends are NaN.

    Args:
        scores: one ``[R] float64`` array per task.
        generator: source of the resamples.
        resamples: how many.
    """
    pooled, weights = np.concatenate(scores), _weights(scores)
    chunk = max(1, _CHUNK_VALUES // len(pooled))
    draws = []
    for start in range(0, resamples, chunk):
        counts = [resampled_counts(len(task), min(chunk, resamples - start), generator) for task in scores]
        draws.append(weighted_iqm(pooled, np.concatenate(counts, axis=1) * weights))
    low, high = percentile_interval(np.concatenate(draws), _fewest(scores))
    return float(low), float(high)


def mean_interval(
    values: Array, generator: np.random.Generator, *, resamples: int = FEW_RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``values [R] float64``; NaN with one run."""
    drawn = values[resampled_runs(len(values), resamples, generator)]
    low, high = percentile_interval(drawn.mean(axis=-1), len(values))
    return float(low), float(high)


def improvement_matrix(
    schemes: Sequence[Scores], generators: Sequence[np.random.Generator], *, resamples: int = FEW_RESAMPLES
) -> tuple[Array, Array, Array]:
    """Return the probability of improvement of every scheme over every other, with its percentile interval.

    It is the probability that a random run of one scheme beats one of the other on a random task; ties count half.

    Args:
        schemes: S schemes, each with one ``[R] float64`` array per task, the same tasks in the same order.
        generators: source of the resamples of each scheme, which is resampled once, for all its pairs. With one for
            each, the numbers of two schemes do not depend on which others there are.
        resamples: how many.

    Returns:
        ``[S, S] float64`` each: probabilities that a run of the row beats one of the column (0.5 on the diagonal),
        lower and upper ends; ends are NaN where a scheme has fewer than :data:`RANKED_RUNS` runs in a task: a few runs
        that all win would give the interval [1, 1].
    """
    count = len(schemes)
    centre, low, high = (np.full((count, count), 0.5) for _ in range(3))
    shares = [
        [resampled_counts(len(task), resamples, generator) / len(task) for task in scores]
        for scores, generator in zip(schemes, generators, strict=True)
    ]
    for row, column in combinations(range(count), 2):
        # A resample is a share for each run: one product then compares all runs of all resamples.
        beaten = [_beaten(x, y) for x, y in zip(schemes[row], schemes[column], strict=True)]
        centre[row, column] = float(np.mean([task.mean() for task in beaten]))
        draws = [((x @ task) * y).sum(axis=1) for x, y, task in zip(shares[row], shares[column], beaten, strict=True)]
        runs = _fewest([*schemes[row], *schemes[column]])
        low[row, column], high[row, column] = percentile_interval(
            np.mean(draws, axis=0), runs if runs >= RANKED_RUNS else 0
        )
        centre[column, row] = 1 - centre[row, column]
        low[column, row], high[column, row] = 1 - high[row, column], 1 - low[row, column]
    return centre, low, high


def profile_interval(
    scores: Scores, thresholds: Array, generator: np.random.Generator, *, resamples: int = FEW_RESAMPLES
) -> tuple[Array, Array, Array]:
    """Return :func:`performance_profile` and the ends of its pointwise interval: three ``[thresholds] float64``.

    Runs are resampled within each task; with fewer than two runs in a task the ends are NaN.
    """
    draws = np.zeros((resamples, len(thresholds)))
    for task in scores:
        shares = resampled_counts(len(task), resamples, generator) / len(task)
        draws += shares @ (task[:, None] > thresholds) / len(scores)
    return performance_profile(scores, thresholds), *percentile_interval(draws, _fewest(scores))


def paired_interval(
    differences: Array, generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of paired differences.

    Args:
        differences: ``[R, E] float64``, one row per pair of runs, one column per episode that all of them meet. Rows
            and columns are resampled independently, so that luck with runs and luck with episodes both count.
        generator: source of the resamples.
        resamples: how many; with one row both ends are NaN.
    """
    runs, episodes = differences.shape
    rows = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
    columns = generator.multinomial(episodes, np.full(episodes, 1 / episodes), size=resamples) / episodes
    low, high = percentile_interval(((rows @ differences) * columns).sum(axis=1), runs)
    return float(low), float(high)


def sign_flip_test(differences: Array, generator: np.random.Generator) -> tuple[float, float]:
    """Test paired differences against a mean of 0: where two schemes are equal, each may as well have the other sign.

    Args:
        differences: ``[R] float64``, one a pair.
        generator: draws the signs where there are more than :data:`MOST_FLIPPED` pairs; else all are tried.

    Returns:
        Two-sided p: the share of all choices of signs whose mean is at least as far from 0; and the smallest p that so
        many pairs can give.
    """
    runs = len(differences)
    exact = runs <= MOST_FLIPPED
    # Turning all signs leaves the distance from 0 as it is: the first pair keeps its sign.
    count = 2 ** (runs - 1) if exact else DRAWN_FLIPS
    observed = abs(float(differences.sum()))
    margin = 1e-12 * float(np.abs(differences).sum())
    reached = 0
    chunk = max(1, _CHUNK_VALUES // runs)
    for start in range(0, count, chunk):
        size = min(chunk, count - start)
        if exact:
            flips = (np.arange(start, start + size)[:, None] >> np.arange(runs - 1)) & 1
            flips = np.concatenate([np.zeros((size, 1), flips.dtype), flips], axis=1)
        else:
            flips = generator.integers(0, 2, (size, runs))
        reached += int((np.abs((1 - 2 * flips) @ differences) >= observed - margin).sum())
    if exact:
        return reached / count, 1 / count
    return (reached + 1) / (count + 1), 1 / (count + 1)


def standardised_difference(differences: Array) -> float:
    """Return Cohen's d_z: the mean of paired differences ``[R] float64`` over their standard deviation.

    NaN with fewer than two pairs, or where all differences are equal.
    """
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / spread if spread > 1e-12 * float(np.abs(differences).max()) else math.nan


def superiority(x: Array, y: Array) -> float:
    """Return the probability that a random one of ``x`` is above a random one of ``y``; ties count half."""
    return float(_beaten(x, y).mean())


def curve_interval(
    values: Array, generator: np.random.Generator, *, resamples: int = FEW_RESAMPLES
) -> tuple[Array, Array, Array]:
    """Return the interquartile mean over runs at every point, and the ends of its interval: three ``[P] float64``.

    Args:
        values: ``[R, P] float64``, one learning curve per run; whole curves are resampled.
        generator: source of the resamples.
        resamples: how many; with one run both ends are NaN.
    """
    counts = resampled_counts(len(values), resamples, generator)
    draws = np.stack([weighted_iqm(heights, counts) for heights in values.T], axis=1)
    return iqm([values.T]), *percentile_interval(draws, len(values))


def tie_ranks(centre: Sequence[float], low: Sequence[float], high: Sequence[float]) -> list[int]:
    """Return ranks from 1 (best): one more than the number of rows whose intervals lie wholly above a row's.

    Rows that overlap through a third one alone may have different ranks, so that one wide interval, of a scheme that
    fails in some runs, does not give its rank to all others. An interval counts as at least :data:`RANK_MARGIN` wide,
    so that scores which differ by less are never told apart.

    Args:
        centre: scores.
        low: lower ends; NaN counts as unbounded, because such a row cannot be told from any other.
        high: upper ends, in the same order.
    """
    half = RANK_MARGIN / 2
    lows = [-math.inf if math.isnan(end) else min(end, score - half) for score, end in zip(centre, low, strict=True)]
    highs = [math.inf if math.isnan(end) else max(end, score + half) for score, end in zip(centre, high, strict=True)]
    return [1 + sum(end > top for end in lows) for top in highs]


def _weights(scores: Scores) -> Array:
    """Return how often each run counts, ``[R of all tasks]``, once in the largest tasks, so that tasks count alike."""
    sizes = np.array([task.shape[-1] for task in scores])
    return np.repeat(sizes.max() / sizes, sizes)


def _fewest(scores: Scores) -> int:
    """Return the number of runs of the task that has the fewest."""
    return min(task.shape[-1] for task in scores)


def _task_means(scores: Scores) -> Array:
    return np.stack([task.mean(axis=-1) for task in scores], axis=-1)


def _beaten(x: Array, y: Array) -> Array:
    """Return ``[R, Q]``: 1 where a run of X beats one of Y, a half where they tie."""
    return np.heaviside(x[:, None] - y[None, :], 0.5)
