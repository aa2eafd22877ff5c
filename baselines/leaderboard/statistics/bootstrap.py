"""The parts of every bootstrap interval: its generator, its resamples, its interquartile mean and its percentiles.

A resample is a row of counts: how often each run occurs in it. Statistics that are linear in these counts, or in the
counts of sorted values, need no copy of the values for each resample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.files import sha256_hex

__all__ = ["named_generator", "percentile_interval", "resampled_counts", "resampled_iqm", "resampled_runs"]

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


def resampled_iqm(values: Array, counts: NDArray[np.int64]) -> Array:
    """Return the interquartile mean of every resample, ``[resamples] float64``, without sorting each of them.

    Args:
        values: ``[R] float64``.
        counts: ``[resamples, R] int64``, how often each value occurs; rows sum to R.
    """
    runs = len(values)
    cut = runs // 4
    order = np.argsort(values)
    kept = np.clip(np.cumsum(counts[:, order], axis=1), cut, runs - cut)
    return np.asarray(np.diff(kept, axis=1, prepend=cut) @ values[order] / (runs - 2 * cut))


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
