"""Charts of the report as SVG text. Lines have no legend of their own: a page has one for all its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.leaderboard.report.data.board import Curve
from baselines.leaderboard.report.data.comparisons import Profile
from baselines.leaderboard.report.data.rows import Row
from baselines.leaderboard.report.data.values import or_nan
from baselines.leaderboard.report.figures.plane import MARKERS, Plane
from baselines.leaderboard.report.figures.ticks import decade_ticks, short

__all__ = ["COSTS", "Cost", "Style", "cost_chart", "curve_chart", "profile_chart", "score_chart", "style_of"]

# Okabe and Ito's colours, told apart by colour-blind readers; with more rows than colours dashes and markers change.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("", "6 3", "1.5 2", "6 2 1.5 2")
_CHARACTER_PIXELS = 8.5
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Style:
    """How a scheme is drawn, the same in every chart: colour, dashes as in SVG, name of the marker."""

    colour: str
    dashes: str
    marker: str


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


def style_of(place: int) -> Style:
    """Return the style of the scheme at ``place`` in the suite; it repeats after 28."""
    turn = place // len(_COLOURS)
    return Style(_COLOURS[place % len(_COLOURS)], _DASHES[turn % len(_DASHES)], MARKERS[(place + turn) % len(MARKERS)])


def curve_chart(curves: Sequence[Curve], styles: dict[str, Style], budget: int, title: str) -> str:
    """Return learning curves with 95 % intervals over environment steps; a dotted line ends an identity phase."""
    plane = Plane()
    for curve in curves:
        style = styles[curve.scheme]
        _banded(plane, curve.steps, (curve.centre, curve.low, curve.high), style)
        if curve.identity_steps > 0:
            plane.across(0, curve.identity_steps, style.colour, dashes="1.5 2")
    _reference_lines(plane, 1)
    plane.limit(0, 0, budget)
    plane.label(0, "environment steps, identity steps included")
    plane.label(1, "normalised return")
    return plane.svg(title)


def profile_chart(profiles: Sequence[Profile], styles: dict[str, Style], title: str) -> str:
    """Return performance profiles: the fraction of runs above each score, with pointwise 95 % intervals."""
    plane = Plane()
    for profile in profiles:
        _banded(plane, profile.thresholds, (profile.fraction, profile.low, profile.high), styles[profile.scheme])
    if profiles:
        plane.limit(0, profiles[0].thresholds[0], profiles[0].thresholds[-1])
    plane.limit(1, -0.02, 1.02)
    plane.label(0, "normalised return at the budget")
    plane.label(1, "fraction of runs above it")
    return plane.svg(title)


def score_chart(rows: Sequence[Row], styles: dict[str, Style], title: str) -> str:
    """Return final scores with 95 % intervals, one line a scheme, the best on top."""
    longest = max((len(row.scheme) for row in rows), default=0)
    left = 30 + _CHARACTER_PIXELS * min(longest, _LONGEST_NAME)
    plane = Plane(height=80 + 30 * max(len(rows), 1), left=left)
    _reference_lines(plane, 0)
    for height, row in enumerate(reversed(rows)):
        colour = styles[row.scheme].colour
        plane.bar(_ends(row), [height, height], colour, width=6)
        plane.marker(or_nan(row.iqm), height, colour, "circle")
    plane.ticks(1, [(height, _shortened(row.scheme)) for height, row in enumerate(reversed(rows))])
    plane.limit(1, -0.6, len(rows) - 0.4)
    plane.label(0, "normalised return at the budget (interquartile mean, 95 % interval)")
    return plane.svg(title)


def cost_chart(rows: Sequence[Row], styles: dict[str, Style], cost: Cost, title: str) -> str:
    """Return scores with 95 % intervals over what they cost, which is on a logarithmic axis.

    Args:
        rows: with a score and a cost above 0.
        styles: of the schemes.
        cost: the horizontal axis.
        title: for those who don't see the chart.
    """
    plane = Plane()
    for row in rows:
        style, place = styles[row.scheme], float(np.log10(cost.of(row) / cost.unit))
        plane.bar([place, place], _ends(row), style.colour, width=4)
        plane.marker(place, or_nan(row.iqm), style.colour, style.marker)
    ticks = decade_ticks(*plane.range_of(0))
    plane.ticks(0, [(float(np.log10(tick)), short(tick)) for tick in ticks])
    plane.label(0, f"{cost.label} (logarithmic)")
    plane.label(1, "normalised return at the budget")
    return plane.svg(title)


def _ends(row: Row) -> list[float]:
    """Return the ends of a score's interval; what is NaN is not drawn."""
    return [or_nan(row.ci_low), or_nan(row.ci_high)]


def _banded(plane: Plane, x: Any, values: tuple[Any, Any, Any], style: Style) -> None:
    centre, low, high = values
    plane.band(x, low, high, style.colour)
    plane.line(x, centre, style.colour, dashes=style.dashes)


def _reference_lines(plane: Plane, axis: int) -> None:
    for level in (0.0, 1.0):
        plane.across(axis, level, "#888888", dashes="5 3")


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
