"""The parts of every bootstrap interval: its generator, its resamples, its interquartile mean and its percentiles.

A resample is a row of counts: how often each run occurs in it. Statistics that are linear in these counts, or in the
counts of sorted values, need no copy of the values for each resample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.files import sha256_hex

__all__ = ["named_generator", "percentile_interval", "resampled_counts", "resampled_runs", "weighted_iqm"]

Array = NDArray[np.float64]

CONFIDENCE = 0.95


def named_generator(*names: str) -> np.random.Generator:
    """Return the generator that belongs to one number of the report: the same runs always give the same number."""
    return np.random.default_rng(int(sha256_hex("/".join(names).encode())[:16], 16))


def resampled_runs(runs: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw runs with replacement: their indices, ``[resamples, runs] int64``."""
    return generator.integers(runs, size=(resamples, runs))


def resampled_counts(runs: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw runs with replacement: how often each occurs, ``[resamples, runs] int64``."""
    drawn = resampled_runs(runs, resamples, generator) + runs * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * runs).reshape(resamples, runs)


def weighted_iqm(values: Array, weights: NDArray[Any]) -> Array:
    """Return the interquartile mean ``[...] float64`` of values that count so often, without repeating any.

    As scipy's ``trim_mean``, which takes half a second to load, it cuts a whole number of values from each end.

    Args:
        values: ``[..., R] float64``, or ``[R]`` for all.
        weights: ``[..., R]``, how often each value counts.
    """
    order = np.argsort(values, axis=-1)
    reached = np.cumsum(np.take_along_axis(weights, np.broadcast_to(order, weights.shape), axis=-1), axis=-1)
    total = reached[..., -1:]
    cut = np.floor(total / 4 + 1e-9)  # thirds may add up to a little less than a whole number
    kept = np.diff(np.clip(reached, cut, total - cut), axis=-1, prepend=cut)
    return np.asarray((kept * np.take_along_axis(values, order, axis=-1)).sum(axis=-1) / (total - 2 * cut)[..., 0])


def percentile_interval(draws: Array, runs: int) -> tuple[Array, Array]:
    """Return the ends ``[...] float64`` of the 95 % percentile interval of a statistic.

    Args:
        draws: ``[resamples, ...] float64``, its value in each resample.
        runs: how many were resampled, in the smallest task. One says nothing about the spread: both ends are NaN.
    """
    if runs < 2:
        return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high
