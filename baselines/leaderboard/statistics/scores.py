"""Statistics over runs: pure functions of arrays; every random draw comes from the generator passed in.

``scores`` is a list with one array a task, each ``[..., R]`` float64: the normalised scores of its R runs (tasks may
have different R). Leading axes are resamples. Definitions: Agarwal et al., "Deep Reinforcement Learning at the Edge of
the Statistical Precipice", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.statistics.bootstrap import resampled_counts, resampled_iqm, resampled_shares

__all__ = [
    "Scores",
    "area_under_curve",
    "bootstrap_interval",
    "curve_interval",
    "improvement_interval",
    "improvement_matrix",
    "iqm",
    "iqm_interval",
    "mean",
    "median",
    "optimality_gap",
    "paired_interval",
    "performance_profile",
    "probability_of_improvement",
    "profile_interval",
    "tie_ranks",
]

Array = NDArray[np.float64]
Scores = Sequence[Array]
Statistic = Callable[[Scores], Array]

CONFIDENCE = 0.95
RESAMPLES = 10_000
_CHUNK_VALUES = 4_000_000


def iqm(scores: Scores) -> Array:
    """Return the interquartile mean ``[...]`` over all run-task scores pooled: the mean of the middle half."""
    return _middle_mean(np.concatenate(scores, axis=-1))


def mean(scores: Scores) -> Array:
    """Return the mean over tasks ``[...]`` of each task's mean over runs."""
    return _task_means(scores).mean(axis=-1)


def median(scores: Scores) -> Array:
    """Return the median over tasks ``[...]`` of each task's mean over runs."""
    return np.median(_task_means(scores), axis=-1)


def optimality_gap(scores: Scores, target: float = 1.0) -> Array:
    """Return ``target`` minus the mean score ``[...]``, scores above the target counting as the target."""
    capped = np.minimum(np.concatenate(scores, axis=-1), target)
    return np.asarray(target - capped.mean(axis=-1))


def probability_of_improvement(x: Scores, y: Scores) -> Array:
    """Return the probability ``[...]`` that a random run of X beats one of Y on a random task; ties count half.

    Args:
        x: one ``[..., R]`` array a task.
        y: one ``[..., Q]`` array a task, the same tasks in the same order.
    """
    per_task = []
    for mine, theirs in zip(x, y, strict=True):
        difference = mine[..., :, None] - theirs[..., None, :]
        per_task.append(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))
    return np.mean(per_task, axis=0)


def performance_profile(scores: Scores, thresholds: Array) -> Array:
    """Return, for each threshold, the fraction ``[..., thresholds]`` of run-task scores above it."""
    pooled = np.concatenate(scores, axis=-1)
    return (pooled[..., None, :] > np.asarray(thresholds)[:, None]).mean(axis=-1)


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


def bootstrap_interval(
    scores: Scores,
    statistic: Statistic,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Return the percentile interval of ``statistic``: runs are resampled with replacement within each task.

    With fewer than two runs in a task nothing is known about the spread, and both ends are NaN.
    """
    return _interval(
        scores,
        lambda count: statistic([_resample(task, count, generator) for task in scores]),
        resamples=resamples,
        confidence=confidence,
    )


def iqm_interval(
    scores: Scores,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Return what :func:`bootstrap_interval` of :func:`iqm` gives, from the same draws, without sorting every resample.

    ``scores`` are ``[R]`` a task.
    """
    pooled = np.concatenate(scores)

    def draw(count: int) -> Array:
        counts = [resampled_counts(len(task), count, generator) for task in scores]
        return resampled_iqm(pooled, np.concatenate(counts, axis=1))

    return _interval(scores, draw, resamples=resamples, confidence=confidence)


def improvement_interval(
    x: Scores,
    y: Scores,
    generator: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Return the percentile interval of :func:`probability_of_improvement`; both sides are resampled."""
    _, low, high = improvement_matrix([x, y], generator, resamples=resamples, confidence=confidence)
    return float(low[0, 1]), float(high[0, 1])


def improvement_matrix(
    schemes: Sequence[Scores],
    generator: np.random.Generator,
    *,
    resamples: int = 2_000,
    confidence: float = CONFIDENCE,
) -> tuple[Array, Array, Array]:
    """Return the probability of improvement of every scheme over every other, with its percentile interval.

    Args:
        schemes: S schemes, each with one ``[R]`` array a task, the same tasks in the same order.
        generator: source of the resamples; every scheme is resampled once, for all its pairs.
        resamples: how many.
        confidence: of the intervals; NaN where a scheme has fewer than two runs in a task.

    Returns:
        ``[S, S]`` probabilities that a run of the row beats one of the column (0.5 on the diagonal), lower and upper
        ends.
    """
    count = len(schemes)
    centre, low, high = (np.full((count, count), 0.5) for _ in range(3))
    shares = [[resampled_shares(len(task), resamples, generator) for task in scores] for scores in schemes]
    tail = (1 - confidence) / 2
    for row, column in combinations(range(count), 2):
        mine, theirs = schemes[row], schemes[column]
        # A resample is a share for each run: one product then compares all runs of all resamples.
        beaten = [_beaten(x, y) for x, y in zip(mine, theirs, strict=True)]
        centre[row, column] = float(np.mean([task.mean() for task in beaten]))
        if min(len(task) for task in (*mine, *theirs)) < 2:
            low[row, column] = high[row, column] = np.nan
        else:
            draws = [
                ((x @ task) * y).sum(axis=1) for x, y, task in zip(shares[row], shares[column], beaten, strict=True)
            ]
            low[row, column], high[row, column] = np.quantile(np.mean(draws, axis=0), [tail, 1 - tail])
        centre[column, row] = 1 - centre[row, column]
        low[column, row], high[column, row] = 1 - high[row, column], 1 - low[row, column]
    return centre, low, high


def profile_interval(
    scores: Scores,
    thresholds: Array,
    generator: np.random.Generator,
    *,
    resamples: int = 2_000,
    confidence: float = CONFIDENCE,
) -> tuple[Array, Array, Array]:
    """Return :func:`performance_profile` and the ends of its pointwise percentile interval: three ``[thresholds]``.

    Runs are resampled within each task; with fewer than two runs in a task the ends are NaN.
    """
    centre = performance_profile(scores, thresholds)
    if any(len(task) < 2 for task in scores):
        return centre, np.full(len(thresholds), np.nan), np.full(len(thresholds), np.nan)
    total = sum(len(task) for task in scores)
    draws = np.zeros((resamples, len(thresholds)))
    for task in scores:
        shares = resampled_shares(len(task), resamples, generator)
        draws += shares @ (task[:, None] > thresholds) * (len(task) / total)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return centre, low, high


def paired_interval(
    differences: Array, generator: np.random.Generator, *, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the percentile interval of the mean of paired differences.

    Args:
        differences: ``[R, E]``, one row a pair of runs, one column an episode that all of them meet. Rows and columns
            are resampled independently, so that luck with runs and luck with episodes both count.
        generator: source of the resamples.
        resamples: how many.
        confidence: of the interval; with one row both ends are NaN.
    """
    runs, episodes = differences.shape
    if runs < 2:
        return math.nan, math.nan
    rows = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
    columns = generator.multinomial(episodes, np.full(episodes, 1 / episodes), size=resamples) / episodes
    tail = (1 - confidence) / 2
    low, high = np.quantile(((rows @ differences) * columns).sum(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def curve_interval(
    values: Array, generator: np.random.Generator, *, resamples: int = 2_000, confidence: float = CONFIDENCE
) -> tuple[Array, Array, Array]:
    """Return the interquartile mean over runs at every point, and the ends of its interval: three ``[P]`` arrays.

    Args:
        values: ``[R, P]``, one learning curve a run; whole curves are resampled.
        generator: source of the resamples.
        resamples: how many.
        confidence: of the interval; with one run both ends are NaN.
    """
    centre = _middle_mean(values.T)
    runs, points = values.shape
    if runs < 2:
        return centre, np.full(points, np.nan), np.full(points, np.nan)
    counts = resampled_counts(runs, resamples, generator)
    tail = (1 - confidence) / 2
    low, high = np.quantile(
        [resampled_iqm(values[:, point], counts) for point in range(points)], [tail, 1 - tail], axis=1
    )
    return centre, low, high


def tie_ranks(low: Sequence[float], high: Sequence[float]) -> list[int]:
    """Return ranks from 1 (best): rows whose intervals overlap, directly or through others, share a rank.

    Args:
        low: lower ends; NaN counts as unbounded, because such a row cannot be told from any other.
        high: upper ends, in the same order.
    """
    lows = [-math.inf if math.isnan(value) else value for value in low]
    highs = [math.inf if math.isnan(value) else value for value in high]
    ranks = [0] * len(lows)
    rank, floor = 1, math.inf
    for place, row in enumerate(sorted(range(len(lows)), key=lambda index: -highs[index])):
        if highs[row] < floor and place:
            rank, floor = place + 1, lows[row]
        floor = min(floor, lows[row])
        ranks[row] = rank
    return ranks


def _task_means(scores: Scores) -> Array:
    return np.stack([task.mean(axis=-1) for task in scores], axis=-1)


def _beaten(x: Array, y: Array) -> Array:
    """Return ``[R, Q]``: 1 where a run of X beats one of Y, a half where they tie."""
    return np.heaviside(x[:, None] - y[None, :], 0.5)


def _interval(
    scores: Scores, draw: Callable[[int], Array], *, resamples: int, confidence: float
) -> tuple[float, float]:
    """Return the percentile interval of what ``draw`` gives for that many resamples of all tasks."""
    if any(task.shape[-1] < 2 for task in scores):
        return math.nan, math.nan
    chunk = max(1, _CHUNK_VALUES // sum(task.shape[-1] for task in scores))
    values = [draw(min(chunk, resamples - start)) for start in range(0, resamples, chunk)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)


def _resample(task: Array, count: int, generator: np.random.Generator) -> Array:
    runs = len(task)
    return task[generator.integers(runs, size=(count, runs))]


def _middle_mean(values: Array) -> Array:
    """Return the mean ``[...]`` of the middle half of ``values [..., n]``: n // 4 are cut off at both ends.

    It is scipy's ``trim_mean``; loading scipy.stats took half a second of a small report's two and a half.
    """
    count = values.shape[-1]
    ordered = np.sort(values, axis=-1)
    return np.asarray(ordered[..., count // 4 : count - count // 4].mean(axis=-1), dtype=np.float64)
