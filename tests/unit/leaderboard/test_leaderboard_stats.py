from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from baselines.leaderboard.report.data.comparisons import compare_all
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.bootstrap import resampled_runs


def scores(seed: int = 0, runs: int = 10, tasks: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.6, 0.3, (runs, tasks))


def columns(matrix: np.ndarray) -> list[np.ndarray]:
    return list(matrix.T)


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    assert float(stats.iqm([np.array([100.0, 1.0, 2.0, -50.0])])) == 1.5
    assert float(stats.iqm([np.array([0.0, 10.0]), np.array([2.0, 4.0])])) == 3.0


def test_point_estimates_agree_with_rliable() -> None:
    metrics = pytest.importorskip("rliable.metrics")
    x, y = scores(1), scores(2, runs=7)
    better = stats.improvement_matrix([columns(x), columns(y)], np.random.default_rng(0).spawn(2), resamples=1)[0]
    assert float(stats.iqm(columns(x))) == pytest.approx(metrics.aggregate_iqm(x), abs=1e-12)
    assert float(stats.mean(columns(x))) == pytest.approx(metrics.aggregate_mean(x), abs=1e-12)
    assert float(stats.median(columns(x))) == pytest.approx(metrics.aggregate_median(x), abs=1e-12)
    assert float(stats.optimality_gap(columns(x))) == pytest.approx(metrics.aggregate_optimality_gap(x), abs=1e-12)
    assert better[0, 1] == pytest.approx(metrics.probability_of_improvement(x, y), abs=1e-12)


@pytest.mark.parametrize("chunk", [100, 4_000_000])
def test_the_interval_of_the_interquartile_mean_is_that_of_its_resamples(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "_CHUNK_VALUES", chunk)
    for tasks in (columns(scores()), [np.array([0.3, 0.1, 0.1, 0.7, 0.2])]):
        generator = np.random.default_rng(3)
        draws = []
        for start in range(0, 500, max(1, chunk // sum(map(len, tasks)))):
            count = min(max(1, chunk // sum(map(len, tasks))), 500 - start)
            draws.append(stats.iqm([task[resampled_runs(len(task), count, generator)] for task in tasks]))
        quick = stats.iqm_interval(tasks, np.random.default_rng(3), resamples=500)
        assert quick == pytest.approx(np.quantile(np.concatenate(draws), [0.025, 0.975]), rel=1e-12)


def test_interval_is_reproducible_and_touches_no_global_generator() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, two, other = (stats.iqm_interval(columns(scores()), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == two != other
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_interval_of_the_mean_agrees_with_theory() -> None:
    sample = np.random.default_rng(0).normal(0, 1, 400)
    low, high = stats.mean_interval(sample, np.random.default_rng(1), resamples=10_000)
    half = 1.96 * sample.std() / math.sqrt(len(sample))
    assert low == pytest.approx(sample.mean() - half, abs=0.006)
    assert high == pytest.approx(sample.mean() + half, abs=0.006)


def test_resampling_stays_within_tasks() -> None:
    """Tasks without spread have none in the aggregate, however far they lie apart."""
    apart = [np.full(4, 0.0), np.full(4, 100.0)]
    assert stats.iqm_interval(apart, np.random.default_rng(0)) == (50.0, 50.0)


def test_chunks_do_not_change_the_interval_much_and_cover_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stats.iqm_interval([scores(runs=8)[:, 0]], np.random.default_rng(0))
    monkeypatch.setattr(stats, "_CHUNK_VALUES", 80)
    parts = stats.iqm_interval([scores(runs=8)[:, 0]], np.random.default_rng(0))
    assert parts == whole


def test_one_run_has_no_interval() -> None:
    for found in (
        stats.iqm_interval([np.ones(1), np.ones(3)], np.random.default_rng(0)),
        stats.mean_interval(np.ones(1), np.random.default_rng(0)),
        stats.paired_interval(np.ones((1, 4)), np.random.default_rng(0)),
    ):
        assert np.isnan(found).all()
    centre, low, high = stats.curve_interval(np.ones((1, 3)), np.random.default_rng(0))
    assert centre.tolist() == [1, 1, 1]
    assert np.isnan(low).all()
    assert np.isnan(high).all()


@pytest.mark.parametrize(("mine", "theirs", "shown"), [(4, 5, False), (5, 4, False), (2, 2, False), (5, 5, True)])
def test_a_few_runs_that_all_win_show_no_certainty(mine: int, theirs: int, shown: bool) -> None:
    schemes = [[np.arange(mine) + 10.0], [np.arange(theirs) * 1.0]]
    centre, low, high = stats.improvement_matrix(schemes, np.random.default_rng(0).spawn(2))
    assert centre[0, 1] == 1.0
    assert np.isfinite([low[0, 1], high[0, 1], low[1, 0], high[1, 0]]).all() == shown


def test_improvement_interval_of_separated_rows_is_a_point() -> None:
    matrix = stats.improvement_matrix([[np.arange(5) + 10.0], [np.arange(5) * 1.0]], np.random.default_rng(0).spawn(2))
    assert [each[0, 1] for each in matrix] == [1.0, 1.0, 1.0]


def test_curve_interval_encloses_its_centre() -> None:
    curves = np.random.default_rng(0).normal(0, 1, (6, 11)).cumsum(axis=1)
    centre, low, high = stats.curve_interval(curves, np.random.default_rng(1))
    assert (low <= centre).all()
    assert (centre <= high).all()


def test_performance_profile() -> None:
    profile = stats.performance_profile([np.array([0.1, 0.5]), np.array([0.9])], np.array([0.0, 0.5, 1.0]))
    assert profile.tolist() == [1.0, 1 / 2, 0.0]


def test_improvement_matrix_holds_every_pair() -> None:
    schemes = [columns(scores(1)), columns(scores(2, runs=7)), columns(scores(3, runs=5) - 0.3)]
    centre, low, high = stats.improvement_matrix(schemes, np.random.default_rng(0).spawn(3))
    for row, mine in enumerate(schemes):
        for column, theirs in enumerate(schemes):
            ahead = [(x[:, None] > y).mean() + (x[:, None] == y).mean() / 2 for x, y in zip(mine, theirs, strict=True)]
            assert centre[row, column] == pytest.approx(np.mean(ahead), abs=1e-12)
    np.testing.assert_allclose(centre + centre.T, 1.0)
    np.testing.assert_allclose(low + high.T, 1.0)
    assert (low <= centre).all()
    assert (centre <= high).all()
    tied = stats.improvement_matrix(
        [[np.array([1.0, 2.0])], [np.array([1.0, 0.0])]], np.random.default_rng(0).spawn(2)
    )[0]
    assert (tied[0, 1], tied[1, 0]) == (0.875, 0.125)


def test_other_schemes_change_nothing_of_a_pair() -> None:
    """A row that somebody adds to a board changes no number of those that stand there."""
    three = {"a": columns(scores(1)), "b": columns(scores(2)), "c": columns(scores(3) + 9.0)}
    two = {name: three[name] for name in "ab"}
    assert compare_all(two, "task").over("a", "b") == compare_all(three, "task").over("a", "b")


def test_improvement_of_a_scheme_with_one_run_has_no_interval() -> None:
    centre, low, high = stats.improvement_matrix(
        [[np.array([1.0])], [np.array([0.0, 2.0])]], np.random.default_rng(0).spawn(2)
    )
    assert centre[0, 1] == 0.5
    assert np.isnan([low[0, 1], high[0, 1], low[1, 0], high[1, 0]]).all()


def test_improvement_interval_agrees_with_resampling_rliables_estimate() -> None:
    """Within the Monte-Carlo error of both sides' resamples."""
    metrics = pytest.importorskip("rliable.metrics")
    x, y, generator = scores(1), scores(2, runs=7), np.random.default_rng(5)
    _, low, high = stats.improvement_matrix(
        [columns(x), columns(y)], np.random.default_rng(0).spawn(2), resamples=10_000
    )
    tasks = np.arange(x.shape[1])
    draws = [
        metrics.probability_of_improvement(
            x[generator.integers(10, size=x.shape), tasks], y[generator.integers(7, size=y.shape), tasks]
        )
        for _ in range(2_000)
    ]
    np.testing.assert_allclose([low[0, 1], high[0, 1]], np.quantile(draws, [0.025, 0.975]), atol=0.02)


def test_profile_interval_is_that_of_resampled_profiles() -> None:
    x, generator, thresholds = scores(1), np.random.default_rng(5), np.linspace(0.0, 1.2, 7)
    centre, low, high = stats.profile_interval(columns(x), thresholds, np.random.default_rng(0), resamples=10_000)
    np.testing.assert_array_equal(centre, stats.performance_profile(columns(x), thresholds))
    drawn = np.take_along_axis(x[None], generator.integers(10, size=(5_000, *x.shape)), axis=1)
    profiles = (drawn[..., None] > thresholds).mean(axis=(1, 2))
    np.testing.assert_allclose([low, high], np.quantile(profiles, [0.025, 0.975], axis=0), atol=0.026)
    assert np.isnan(stats.profile_interval([np.ones(1)], thresholds, generator)[1]).all()


def test_tasks_count_alike_whatever_their_runs() -> None:
    """25 runs of an easy task and five of a hard one: the middle half would be the easy task's alone."""
    generator, easy, hard = np.random.default_rng(0), np.linspace(0.8, 1.0, 5), np.linspace(0.0, 0.2, 5)
    even, uneven, third = [easy, hard], [np.repeat(easy, 5), hard], [np.tile(hard, 3), np.tile(easy, 7)]
    for scores in (uneven, third):
        assert float(stats.iqm(scores)) == pytest.approx(float(stats.iqm(even)))
        assert float(stats.optimality_gap(scores)) == pytest.approx(float(stats.optimality_gap(even)))
        low, high = stats.iqm_interval(scores, generator)
        assert low < 0.5 < high, "not those of the easy task"
        ends = stats.profile_interval(scores, np.array([0.5]), generator)
        np.testing.assert_allclose([float(end[0]) for end in ends], 0.5, rtol=1e-12)


def test_curve_interval_is_that_of_whole_resampled_curves() -> None:
    curves = np.random.default_rng(0).normal(0, 1, (9, 5)).cumsum(axis=1)
    _, low, high = stats.curve_interval(curves, np.random.default_rng(1), resamples=20_000)
    drawn = curves[np.random.default_rng(2).integers(9, size=(20_000, 9))]
    expected = np.quantile(trim_mean(drawn, 0.25, axis=1), [0.025, 0.975], axis=0)
    np.testing.assert_allclose([low, high], expected, atol=0.06)


def test_area_charges_the_identity_phase() -> None:
    learnt_at_once = stats.area_under_curve(np.array([0.0, 50.0, 100.0]), np.array([1.0, 1.0, 1.0]), 100)
    late = stats.area_under_curve(np.array([50.0, 50.0, 100.0]), np.array([0.0, 0.0, 1.0]), 100)
    assert learnt_at_once == 1.0
    assert late == 0.25


def test_area_stops_at_the_budget() -> None:
    assert stats.area_under_curve(np.array([0.0, 110.0]), np.array([0.0, 1.1]), 100) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("low", "high", "ranks"),
    [
        ([0.501, 0.5], [0.502, 0.5005], [1, 1]),  # apart, but by less than the margin
        ([0.52, 0.5], [0.521, 0.501], [1, 2]),
        ([0.9, 0.5, 0.1], [1.0, 0.6, 0.2], [1, 2, 3]),
        ([0.9, 0.5, 0.1], [1.0, 0.95, 0.2], [1, 1, 3]),
        ([0.1, 0.9, 0.5], [0.2, 1.0, 0.95], [3, 1, 1]),
        # A row whose runs lie far apart: it is not told from the best ones, and tells nothing of the others.
        ([0.9, 0.5, 0.1, 0.15], [1.0, 0.6, 0.2, 0.95], [1, 2, 3, 1]),
        ([0.5, 0.5], [0.5, 0.5], [1, 1]),
        ([math.nan, 0.5], [math.nan, 0.6], [1, 1]),
        ([], [], []),
    ],
)
def test_ranks(low: list[float], high: list[float], ranks: list[int]) -> None:
    centre = [(bottom + top) / 2 for bottom, top in zip(low, high, strict=True)]
    assert stats.tie_ranks(centre, low, high) == ranks


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), min_size=1, max_size=8))
def test_a_row_ranks_below_exactly_those_rows_that_lie_above_it(ends: list[tuple[int, int]]) -> None:
    low = [float(start) for start, _ in ends]
    high = [float(start + width) for start, width in ends]
    ranks = stats.tie_ranks(low, low, high)
    assert min(ranks) == 1
    for i in range(len(ends)):
        for j in range(len(ends)):
            if low[i] > high[j]:
                assert ranks[i] < ranks[j]
        assert ranks[i] - 1 == sum(start > high[i] for start in low)
