"""Intervals beside those of rliable, the reference implementation, on the same arrays: equal to Monte-Carlo error."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from baselines.leaderboard.statistics import scores as stats

RLIABLE_RESAMPLES = 4_000
RESAMPLES = 40_000
# The 2.5 % point of a bell-shaped distribution, estimated from n draws, is off by 2.67 / sqrt(n) of its standard
# deviation; five times that is not met by chance.
TOLERANCE = 5 * 2.67 / RLIABLE_RESAMPLES**0.5


@pytest.fixture
def rliable(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """rliable's functions; its global generator is seeded, and put back afterwards."""
    pytest.importorskip("rliable.metrics")
    if version("arch").startswith("7.") and not version("pandas").startswith("2."):
        pytest.skip("arch 7 does not import with pandas 3: pip install -c constraints.txt pandas")
    from arch import bootstrap
    from rliable import library, metrics

    for name in ("IIDBootstrap", "IndependentSamplesBootstrap"):
        monkeypatch.setattr(getattr(bootstrap, name), "__init__", _without_state(getattr(bootstrap, name).__init__))
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    yield SimpleNamespace(intervals=library, metrics=metrics)
    np.random.set_state(before)  # noqa: NPY002


def _without_state(init: Callable[..., None]) -> Callable[..., None]:
    """rliable hands over a keyword that arch, since version 6, takes for data."""

    def made(self: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> None:
        init(self, *args, **kwargs)

    return made


def scores(seed: int, runs: int = 8, tasks: int = 4) -> np.ndarray:
    """``[R, tasks]``, tasks far apart: resampling across them would widen every interval."""
    generator = np.random.default_rng(seed)
    return generator.normal(0.6, 0.15, (runs, tasks)) + np.linspace(-0.5, 0.5, tasks)


def columns(matrix: np.ndarray) -> list[np.ndarray]:
    return list(matrix.T)


def assert_agree(ours: tuple[Any, Any], theirs: Any, factor: float = 1.0) -> None:
    low, high = (np.atleast_1d(end) for end in ours)
    width = np.maximum(theirs[1] - theirs[0], 1e-9)
    allowed = factor * TOLERANCE * width / (2 * 1.96)
    assert (np.abs(low - theirs[0]) <= allowed).all(), (low, theirs[0], allowed)
    assert (np.abs(high - theirs[1]) <= allowed).all(), (high, theirs[1], allowed)


def test_aggregates(rliable: SimpleNamespace) -> None:
    matrix, metrics = scores(1), rliable.metrics
    pairs = [
        (stats.iqm, metrics.aggregate_iqm),
        (stats.mean, metrics.aggregate_mean),
        (stats.median, metrics.aggregate_median),
        (stats.optimality_gap, metrics.aggregate_optimality_gap),
    ]
    points, ends = rliable.intervals.get_interval_estimates(
        {"x": matrix}, lambda x: np.array([theirs(x) for _, theirs in pairs]), reps=RLIABLE_RESAMPLES
    )
    for place, (ours, _) in enumerate(pairs):
        assert float(ours(columns(matrix))) == pytest.approx(points["x"][place], abs=1e-12)
    found = stats.iqm_interval(columns(matrix), np.random.default_rng(0), resamples=RESAMPLES)
    assert_agree(found, ends["x"][:, 0])


def test_probability_of_improvement(rliable: SimpleNamespace) -> None:
    x, y = scores(2), scores(3, runs=6) - 0.05
    points, ends = rliable.intervals.get_interval_estimates(
        {"xy": (x, y)},
        lambda a, b: np.array([rliable.metrics.probability_of_improvement(a, b)]),
        reps=RLIABLE_RESAMPLES // 2,  # it is a slow one
    )
    found = stats.improvement_matrix([columns(x), columns(y)], np.random.default_rng(0).spawn(2), resamples=RESAMPLES)
    centre, low, high = (each[0, 1] for each in found)
    assert centre == pytest.approx(points["xy"][0], abs=1e-12)
    assert_agree((low, high), ends["xy"][:, 0], factor=2**0.5)


def test_performance_profile(rliable: SimpleNamespace) -> None:
    matrix, thresholds = scores(4), np.linspace(-0.2, 1.4, 17)
    points, ends = rliable.intervals.create_performance_profile({"x": matrix}, thresholds, reps=RLIABLE_RESAMPLES)
    found = stats.profile_interval(columns(matrix), thresholds, np.random.default_rng(0), resamples=RESAMPLES)
    assert np.abs(found[0] - points["x"]).max() <= 1e-12
    # Shares of 32 runs: an end can only fall on a multiple of 1/32, or between two.
    assert np.abs(np.stack(found[1:]) - ends["x"]).max() <= 1 / matrix.size + 1e-12


def test_sample_efficiency_curve(rliable: SimpleNamespace) -> None:
    curves = np.random.default_rng(5).normal(0.05, 0.1, (8, 6)).cumsum(axis=1)  # [R, P], one task
    points, ends = rliable.intervals.get_interval_estimates(
        {"x": curves[:, None, :]},
        lambda x: np.array([rliable.metrics.aggregate_iqm(x[..., point]) for point in range(x.shape[-1])]),
        reps=RLIABLE_RESAMPLES,
    )
    centre, low, high = stats.curve_interval(curves, np.random.default_rng(0), resamples=RESAMPLES)
    assert np.abs(centre - points["x"]).max() <= 1e-12
    assert_agree((low, high), ends["x"])
