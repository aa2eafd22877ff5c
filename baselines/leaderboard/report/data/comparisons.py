"""Schemes against each other: probability of improvement of every pair, performance profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.report.data.values import finite
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import named_generator

__all__ = [
    "BASELINE",
    "MAX_COMPARED",
    "Improvement",
    "Pair",
    "Profile",
    "compare_all",
    "compare_with_baseline",
    "profiles_of",
]

BASELINE = "fups_id"
"""The scheme that the board's column of improvement is measured against."""

MAX_COMPARED = 14
"""How many schemes a chart or a matrix holds: more cannot be told apart."""

_THRESHOLDS = 81
# A diverged run would squeeze all others into a corner.
_LOWEST, _HIGHEST = -0.5, 1.5

Array = NDArray[np.float64]


class Pair(NamedTuple):
    """One scheme against ``improvement_over``, as fields of a board row; None without an interval."""

    improvement_over: str
    improvement: float
    improvement_low: float | None
    improvement_high: float | None


@dataclass(frozen=True)
class Improvement:
    """Probability ``[S, S]`` that a run of the row's scheme beats one of the column's, and its interval."""

    schemes: list[str]
    probability: Array
    low: Array
    high: Array

    def over(self, scheme: str, other: str) -> Pair:
        """Return the entry of a pair."""
        place = self.schemes.index(scheme), self.schemes.index(other)
        return Pair(other, float(self.probability[place]), finite(self.low[place]), finite(self.high[place]))


@dataclass(frozen=True)
class Profile:
    """Fraction of a scheme's runs above each threshold, and its interval; ``[thresholds]`` each."""

    scheme: str
    thresholds: Array
    fraction: Array
    low: Array
    high: Array


def leading(scores: Mapping[str, stats.Scores]) -> list[str]:
    """Return the :data:`MAX_COMPARED` schemes of the highest interquartile mean, best first, and the baseline."""
    order = sorted(scores, key=lambda scheme: (-float(stats.iqm(scores[scheme])), scheme))
    shown = order[:MAX_COMPARED]
    if BASELINE in scores and BASELINE not in shown:
        shown[-1] = BASELINE
    return shown


def compare_all(scores: Mapping[str, stats.Scores], name: str) -> Improvement:
    """Compare every pair of the leading schemes; ``name`` says of what and, with a scheme's, gives its random stream.

    Args:
        scores: for each scheme one ``[R]`` array a task, the same tasks for all.
        name: of the task, or of the whole.
    """
    schemes = leading(scores)
    generators = [named_generator("improvement", name, scheme) for scheme in schemes]
    matrix = stats.improvement_matrix([scores[scheme] for scheme in schemes], generators)
    return Improvement(schemes, *matrix)


def compare_with_baseline(
    scores: Mapping[str, stats.Scores], scheme: str, name: str, known: Improvement
) -> Pair | None:
    """Return the improvement of one scheme over the baseline; None for the baseline itself, or where one has no runs.

    What the matrix holds is taken from there, so that a page never gives two intervals for one pair.
    """
    if scheme == BASELINE or scheme not in scores or BASELINE not in scores:
        return None
    if scheme not in known.schemes:
        pair = {label: scores[label] for label in (scheme, BASELINE)}
        known = compare_all(pair, name)
    return known.over(scheme, BASELINE)


def profiles_of(scores: Mapping[str, stats.Scores], name: str) -> list[Profile]:
    """Return the performance profiles of the leading schemes over one set of thresholds."""
    schemes = leading(scores)
    values = np.concatenate([task for scheme in schemes for task in scores[scheme]])
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    thresholds = np.linspace(max(low, _LOWEST), min(high, _HIGHEST), _THRESHOLDS)
    return [
        Profile(
            scheme,
            thresholds,
            *stats.profile_interval(scores[scheme], thresholds, named_generator("profile", name, scheme)),
        )
        for scheme in schemes
    ]
