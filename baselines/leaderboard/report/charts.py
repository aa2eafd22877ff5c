"""Pictures of the report as SVG text to put into a page: no file, no script, no network.

Drawn with matplotlib's own SVG canvas and without its global state; the same numbers give the same bytes. Text stays
text, in the reader's font. Lines have no legend of their own: a page has one for all its charts.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from baselines.leaderboard.report.board import Curve
from baselines.leaderboard.report.comparisons import Profile
from baselines.leaderboard.report.rows import Row

__all__ = [
    "COSTS",
    "Cost",
    "Style",
    "cost_axis_ticks",
    "cost_chart",
    "curve_chart",
    "profile_chart",
    "score_chart",
    "style_of",
]

# Okabe and Ito's colours, told apart by colour-blind readers; with more rows than colours dashes and markers change.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("", "6 3", "1.5 2", "6 2 1.5 2")
_MARKERS = "osD^vPX"
# About the width of a telephone, so that the text stays readable there.
_WIDTH_INCHES = 5.6
_CHARACTER_INCHES = 0.085
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Style:
    """How a scheme is drawn, the same in every chart: colour, dashes as in SVG, marker of matplotlib."""

    colour: str
    dashes: str
    marker: str

    def line(self) -> dict[str, Any]:
        """Return the style of a line as matplotlib's keyword arguments."""
        dashes = (0, [float(length) for length in self.dashes.split()]) if self.dashes else "-"
        return {"color": self.colour, "linestyle": dashes}


@dataclass(frozen=True)
class Cost:
    """A cost that scores are drawn over: key of a board row, what it is, and how many of the key's units make one."""

    key: str
    label: str
    unit: float = 1.0


COSTS = (
    Cost("trainable_parameters", "trainable parameters"),
    Cost("flops_per_decision", "floating-point operations a decision"),
    Cost("cpu_seconds", "processor seconds a run"),
    Cost("peak_memory_bytes", "peak memory, MiB", 2.0**20),
)


def style_of(place: int) -> Style:
    """Return the style of the scheme at ``place`` in the suite; it repeats after 28."""
    turn = place // len(_COLOURS)
    return Style(
        _COLOURS[place % len(_COLOURS)], _DASHES[turn % len(_DASHES)], _MARKERS[(place + turn) % len(_MARKERS)]
    )


def curve_chart(curves: Sequence[Curve], styles: dict[str, Style], budget: int, title: str) -> str:
    """Return learning curves with 95 % intervals over environment steps; a dotted line ends an identity phase."""
    with _drawing(title) as (figure, axes):
        for curve in curves:
            style = styles[curve.scheme]
            _banded(axes, curve.steps, (curve.centre, curve.low, curve.high), style)
            if curve.identity_steps > 0:
                axes.axvline(curve.identity_steps, color=style.colour, linewidth=0.8, linestyle=":")
        _reference_lines(axes.axhline)
        axes.set_xlim(0, budget)
        axes.set_xlabel("environment steps, identity steps included")
        axes.set_ylabel("normalised return")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        return _svg(figure, title)


def profile_chart(profiles: Sequence[Profile], styles: dict[str, Style], title: str) -> str:
    """Return performance profiles: the fraction of runs above each score, with pointwise 95 % intervals."""
    with _drawing(title) as (figure, axes):
        for profile in profiles:
            _banded(axes, profile.thresholds, (profile.fraction, profile.low, profile.high), styles[profile.scheme])
        axes.set_ylim(-0.02, 1.02)
        axes.margins(x=0)
        axes.set_xlabel("normalised return at the budget")
        axes.set_ylabel("fraction of runs above it")
        return _svg(figure, title)


def score_chart(rows: Sequence[Row], styles: dict[str, Style], title: str) -> str:
    """Return final scores with 95 % intervals, one line a scheme, the best on top."""
    longest = max((len(row["scheme"]) for row in rows), default=0)
    left = 0.3 + _CHARACTER_INCHES * min(longest, _LONGEST_NAME)
    with _drawing(title, height=0.8 + 0.3 * max(len(rows), 1), left=left) as (figure, axes):
        for height, row in enumerate(reversed(rows)):
            colour = styles[row["scheme"]].colour
            if row["ci_low"] is not None:
                axes.plot([row["ci_low"], row["ci_high"]], [height, height], color=colour, linewidth=4, alpha=0.4)
            axes.plot(row["iqm"], height, "o", color=colour)
        axes.set_yticks(range(len(rows)), [_shortened(row["scheme"]) for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        _reference_lines(axes.axvline)
        axes.set_xlabel("normalised return at the budget (interquartile mean, 95 % interval)")
        return _svg(figure, title)


def cost_chart(rows: Sequence[Row], styles: dict[str, Style], cost: Cost, title: str) -> str:
    """Return scores with 95 % intervals over what they cost, which is on a logarithmic axis.

    Args:
        rows: with a score and a cost above 0.
        styles: of the schemes.
        cost: the horizontal axis.
        title: for those who don't see the chart.
    """
    with _drawing(title) as (figure, axes):
        for row in rows:
            style, place = styles[row["scheme"]], np.log10(row[cost.key] / cost.unit)
            if row["ci_low"] is not None:
                axes.plot([place, place], [row["ci_low"], row["ci_high"]], color=style.colour, linewidth=3, alpha=0.4)
            axes.plot(place, row["iqm"], style.marker, color=style.colour, markersize=8)
        ticks = cost_axis_ticks(*axes.get_xlim())
        axes.set_xticks(np.log10(ticks), [_short(tick) for tick in ticks])
        axes.set_xlabel(f"{cost.label} (logarithmic)")
        axes.set_ylabel("normalised return at the budget")
        return _svg(figure, title)


@contextmanager
def _drawing(title: str, height: float = 3.6, left: float = 0.65) -> Iterator[tuple[Figure, Axes]]:
    # Element ids come from the salt: one a picture, because a page holds several.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif", "font.size": 10}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        # Margins in inches; matplotlib could fit them to the text, which takes as long again as the drawing.
        figure.subplots_adjust(left / _WIDTH_INCHES, 0.5 / height, 1 - 0.3 / _WIDTH_INCHES, 1 - 0.12 / height)
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        yield figure, axes


def _banded(axes: Axes, x: Any, values: tuple[Any, Any, Any], style: Style) -> None:
    centre, low, high = values
    axes.plot(x, centre, linewidth=1.6, **style.line())
    if np.isfinite(low).all():
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)


def cost_axis_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two powers of ten, at least two as far as there are; finer the closer the ends.

    matplotlib's own logarithmic axis takes three times as long as all else, and there are many charts.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), np.arange(10, 100) / 10):
        ticks = [float(digit) * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(ticks) >= 4:
            break
    if not ticks:  # the ends lie closer together than round numbers do
        return [10.0 ** ((low + high) / 2)]
    return ticks[:: math.ceil(len(ticks) / 8)]


def _reference_lines(line: Callable[..., Any]) -> None:
    for level in (0.0, 1.0):
        line(level, color="#888888", linewidth=0.8, linestyle="--", zorder=0)


def _short(value: float, _: int | None = None) -> str:
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _svg(figure: Figure, title: str) -> str:
    """Return the ``<svg>`` element alone, sized by its box and named for screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    # Nothing refers to groups, and every figure numbers its own from 1: ids of a page must differ.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    return f'{opening} role="img" aria-label="{_attribute(title)}">{rest}'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
