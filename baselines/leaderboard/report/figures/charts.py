"""Charts of the report: one description of each, from which follow a static picture and the data of a live chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from baselines.leaderboard.report.data.board import Curve
from baselines.leaderboard.report.data.comparisons import Profile
from baselines.leaderboard.report.data.rows import Row
from baselines.leaderboard.report.data.values import or_nan
from baselines.leaderboard.report.figures.plane import Plane
from baselines.leaderboard.report.figures.styles import style_of
from baselines.leaderboard.report.figures.ticks import NEAR_ONE, decade_ticks, near_one, short
from baselines.text import printable

__all__ = [
    "COSTS",
    "Chart",
    "Cost",
    "Series",
    "cost_chart",
    "crowded",
    "curve_chart",
    "profile_chart",
    "run_chart",
    "score_chart",
]

_CHARACTER_PIXELS = 8.5
_LONGEST_NAME = 16
_DIGITS = 5
# Where the names of profiles stand, one after the other.
_LEVELS = (0.5, 0.8, 0.2, 0.65, 0.35, 0.93, 0.07)


@dataclass(frozen=True)
class Cost:
    """A cost that scores are drawn over: field of a row, what it is, and how many of the field's units make one."""

    field: str
    label: str
    unit: float = 1.0

    def of(self, row: Row) -> float:
        """Return what the row paid; 0 where it was not measured."""
        return getattr(row, self.field) or 0.0


COSTS = (
    Cost("trainable_parameters", "trainable parameters"),
    Cost("flops_per_decision", "floating-point operations a decision"),
    Cost("cpu_seconds", "processor seconds a run"),
    Cost("peak_memory_bytes", "peak memory, MiB", 2.0**20),
)


@dataclass(frozen=True)
class Series:
    """Points of one scheme, ``[P]`` each, with the ends of the intervals of ``y``; ``start`` ends an identity phase."""

    scheme: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike
    high: ArrayLike
    start: float = 0.0


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: for those who don't see it.
        kind: ``lines``; ``points``, one a scheme; or ``rows``: points with ``x`` downwards and ``y`` to the right.
        labels: names of the axes of ``x`` and ``y``.
        series: what is drawn, the best scheme first.
        scores: which of x and y are scores, whose axis may be widened near 1.
        limits: ends of the axes of ``x`` and ``y``; None: those of what is drawn.
        log: whether ``x`` is on a logarithmic axis.
        wide: whether the axis of scores is widened near 1 to begin with.
    """

    title: str
    kind: Literal["lines", "points", "rows"]
    labels: tuple[str, str]
    series: list[Series]
    scores: Literal["x", "y", ""] = "y"
    limits: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None)
    log: bool = False
    wide: bool = field(default=False)

    def svg(self) -> str:
        """Return the static picture."""
        names = [_shortened(series.scheme) for series in self.series]
        room = 30 + _CHARACTER_PIXELS * max(map(len, names), default=0)
        rows, lines = self.kind == "rows", self.kind == "lines" and self.scores == "y"
        plane = Plane(
            height=80 + 30 * max(len(names), 1) if rows else 360, left=room if rows else 64, right=room if lines else 24
        )
        axes = (1, 0) if rows else (0, 1)
        if self.scores:
            across = axes["xy".index(self.scores)]
            for level in (0.0, 1.0) if self.kind != "points" and self.scores == "y" else ():
                plane.across(across, near_one(level) if self.wide else level, "#888888", dashes="5 3")
        for place, (name, series) in enumerate(zip(names, self.series, strict=True)):
            self._draw(plane, name, series, _LEVELS[place % len(_LEVELS)])
        for axis, label, limits in zip(axes, self.labels, self.limits, strict=True):
            plane.label(axis, label)
            if limits is not None:
                plane.limit(axis, *limits)
        if rows:
            plane.ticks(1, [(-float(place), name) for place, name in enumerate(names)])
            plane.limit(1, 0.4 - max(len(names), 1), 0.6)
        if self.log:
            plane.ticks(0, [(math.log10(tick), short(tick)) for tick in decade_ticks(*plane.range_of(0))])
        if self.scores and self.wide:
            plane.ticks(across, [(near_one(tick), short(tick)) for tick in self._near_ticks(plane.range_of(across))])
        return plane.svg(self.title)

    def data(self) -> dict[str, Any]:
        """Return what a live chart needs, as JSON has it."""
        x = [value for series in self.series for value in np.asarray(series.x, np.float64) if math.isfinite(value)]
        ends = (math.log10(min(x)), math.log10(max(x))) if self.log and x else (0.0, 0.0)
        return {
            "title": printable(self.title),
            "kind": self.kind,
            "labels": self.labels,
            "scores": self.scores,
            "limits": self.limits,
            "log": self.log,
            "wide": self.wide,
            "ticks": decade_ticks(*_widened(*ends)) if self.log else None,
            "near": NEAR_ONE if self.scores else None,
            "series": [_series_data(series) for series in self.series],
        }

    def _draw(self, plane: Plane, name: str, series: Series, level: float) -> None:
        style = style_of(series.scheme)
        x, y, low, high = (np.asarray(values, np.float64) for values in (series.x, series.y, series.low, series.high))
        if self.log:
            x = np.log10(x)
        if self.wide and self.scores == "y":
            y, low, high = near_one(y), near_one(low), near_one(high)
        elif self.wide:
            x = near_one(x)
        if self.kind == "lines":
            plane.band(x, low, high, style.colour)
            plane.line(x, y, style.colour, dashes=style.dashes)
            if series.start > 0:
                plane.across(0, series.start, style.colour, dashes="1.5 2")
            if self.scores == "x":
                # A profile ends at 0 like all others; its name stands on its way down.
                above = np.flatnonzero(y >= level)
                plane.name_point(float(x[above[-1] if len(above) else 0]), level, name)
            elif len(self.series) > 1:
                plane.name_line(float(y[-1]), name, style.colour)
        elif self.kind == "points":
            plane.whisker([x[0]] * 2, [low[0], high[0]], style.colour)
            plane.marker(x[0], y[0], style.colour, style.marker)
            plane.name_point(x[0], y[0], name)
        else:
            plane.whisker([low[0], high[0]], [-x[0]] * 2, style.colour)
            plane.marker(y[0], -x[0], style.colour, "circle")

    @staticmethod
    def _near_ticks(ends: tuple[float, float]) -> list[float]:
        return [tick for tick in NEAR_ONE if ends[0] <= near_one(tick) <= ends[1]]


def curve_chart(curves: Sequence[Curve], budget: int, title: str) -> Chart:
    """Return learning curves with 95 % intervals over environment steps; a dotted line ends an identity phase."""
    return Chart(
        title,
        "lines",
        ("environment steps, identity steps included", "normalised return"),
        [Series(c.scheme, c.steps, c.centre, c.low, c.high, c.identity_steps) for c in curves],
        limits=((0.0, float(budget)), None),
    )


def profile_chart(profiles: Sequence[Profile], title: str) -> Chart:
    """Return performance profiles: the fraction of runs above each score, with pointwise 95 % intervals."""
    return Chart(
        title,
        "lines",
        ("normalised return at the budget", "fraction of runs above it"),
        [Series(p.scheme, p.thresholds, p.fraction, p.low, p.high) for p in profiles],
        scores="x",
        limits=(
            (float(profiles[0].thresholds[0]), float(profiles[0].thresholds[-1])) if profiles else None,
            (-0.02, 1.02),
        ),
    )


def score_chart(rows: Sequence[Row], title: str) -> Chart:
    """Return final scores with 95 % intervals, one line a scheme, the best on top."""
    return Chart(
        title,
        "rows",
        ("", "normalised return (interquartile mean)"),
        [_point(row, float(place)) for place, row in enumerate(rows)],
        wide=crowded(row.iqm for row in rows),
    )


def cost_chart(rows: Sequence[Row], cost: Cost, title: str) -> Chart:
    """Return scores with 95 % intervals over what they cost, which is on a logarithmic axis.

    Args:
        rows: with a score and a cost above 0.
        cost: the horizontal axis.
        title: for those who don't see the chart.
    """
    return Chart(
        title,
        "points",
        (f"{cost.label} (logarithmic)", "normalised return at the budget"),
        [_point(row, cost.of(row) / cost.unit) for row in rows],
        log=True,
        wide=crowded(row.iqm for row in rows),
    )


def run_chart(scheme: str, steps: ArrayLike, returns: ArrayLike, title: str) -> Chart:
    """Return the learning curve of one run, not normalised: numbers ``[P]`` of steps and returns at P points."""
    missing = np.full(np.shape(returns), np.nan)
    series = Series(scheme, steps, returns, missing, missing)
    return Chart(title, "lines", ("environment steps, identity steps included", "team return"), [series], scores="")


def crowded(scores: Iterable[float | None]) -> bool:
    """Whether several scores lie so close to 1 that an even axis does not tell them apart."""
    return sum(score is not None and abs(score - 1) < 0.1 for score in scores) > 1


def _point(row: Row, x: float) -> Series:
    return Series(row.scheme, [x], [or_nan(row.iqm)], [or_nan(row.ci_low)], [or_nan(row.ci_high)])


def _series_data(series: Series) -> dict[str, Any]:
    style = style_of(series.scheme)
    columns = {name: _numbers(getattr(series, name)) for name in ("x", "y", "low", "high")}
    return {
        "name": printable(series.scheme),
        "colour": style.colour,
        "dashes": [float(dash) for dash in style.dashes.split()],
        "start": _numbers([series.start])[0],
        **columns,
    }


def _numbers(values: ArrayLike) -> list[float | None]:
    """Return numbers with five digits; None for what JSON does not have."""
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in np.asarray(values, np.float64)]


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * ((high - low) or 1.0)
    return low - margin, high + margin


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
