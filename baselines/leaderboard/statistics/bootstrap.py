"""Bootstrap resamples as counts: how often each run occurs in each of them.

Statistics that are linear in these counts, or in the counts of sorted values, need no copy of the values a resample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["resampled_counts", "resampled_iqm", "resampled_shares"]

Array = NDArray[np.float64]


def resampled_counts(runs: int, resamples: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each run occurs in each resample, ``[resamples, runs]``."""
    drawn = generator.integers(runs, size=(resamples, runs)) + runs * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * runs).reshape(resamples, runs)


def resampled_shares(runs: int, resamples: int, generator: np.random.Generator) -> Array:
    """Return which share of each resample each run has, ``[resamples, runs]``; rows sum to 1."""
    return resampled_counts(runs, resamples, generator) / runs


def resampled_iqm(values: Array, counts: NDArray[np.int64]) -> Array:
    """Return the interquartile mean of every resample, ``[resamples]``, without sorting each of them.

    Args:
        values: ``[R]``.
        counts: ``[resamples, R]`` how often each value occurs; rows sum to R.
    """
    runs = len(values)
    cut = int(0.25 * runs)
    order = np.argsort(values)
    kept = np.clip(np.cumsum(counts[:, order], axis=1), cut, runs - cut)
    return np.asarray(np.diff(kept, axis=1, prepend=cut) @ values[order] / (runs - 2 * cut))
