"""Pictures of the report as SVG text to put into the page: no file, no script, no network.

Drawn with matplotlib's own SVG canvas and without its global state; the same numbers give the same bytes. Text stays
text, in the reader's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from baselines.leaderboard.report.rows import Curve

__all__ = ["cost_chart", "curve_chart", "score_chart", "style_of"]

# Okabe and Ito's colours, told apart by colour-blind readers; with more rows than colours the dashes change.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = "osD^vPX"
# About the width of a telephone, so that the text stays readable there.
_WIDTH_INCHES = 5.6


def style_of(place: int) -> dict[str, Any]:
    """Return colour and dashes of the scheme at ``place`` in the suite, the same in every chart."""
    return {"color": _COLOURS[place % len(_COLOURS)], "linestyle": _DASHES[place // len(_COLOURS) % len(_DASHES)]}


def curve_chart(curves: Sequence[Curve], places: dict[str, int], budget: int, title: str) -> str:
    """Return learning curves with 95 % intervals over environment steps; a tick marks the end of an identity phase."""
    with _drawing(title, height=3.9) as (figure, axes):
        for curve in curves:
            style = style_of(places[curve.scheme])
            axes.plot(curve.steps, curve.centre, label=curve.scheme, linewidth=1.6, **style)
            if np.isfinite(curve.low).all():
                axes.fill_between(curve.steps, curve.low, curve.high, color=style["color"], alpha=0.15, linewidth=0)
            if curve.identity_steps > 0:
                axes.axvline(curve.identity_steps, color=style["color"], linewidth=0.8, linestyle=":")
        _reference_lines(axes.axhline)
        axes.set_xlim(0, budget)
        axes.set_xlabel("environment steps, identity steps included")
        axes.set_ylabel("normalised return")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        return _svg(figure, title)


def score_chart(rows: Sequence[dict[str, Any]], places: dict[str, int], title: str) -> str:
    """Return final scores with 95 % intervals, one line a scheme, the best on top."""
    scored = [row for row in rows if row["iqm"] is not None]
    with _drawing(title, height=0.9 + 0.3 * max(len(scored), 1)) as (figure, axes):
        for height, row in enumerate(reversed(scored)):
            colour = style_of(places[row["scheme"]])["color"]
            if row["ci_low"] is not None:
                axes.plot([row["ci_low"], row["ci_high"]], [height, height], color=colour, linewidth=3, alpha=0.4)
            axes.plot(row["iqm"], height, "o", color=colour)
        axes.set_yticks(range(len(scored)), [row["scheme"] for row in reversed(scored)])
        _reference_lines(axes.axvline)
        axes.set_xlabel("normalised return at the budget (interquartile mean, 95 % interval)")
        return _svg(figure, title)


def cost_chart(rows: Sequence[dict[str, Any]], places: dict[str, int], title: str) -> str:
    """Return the score over the number of trainable parameters, which is on a logarithmic axis."""
    shown = [row for row in rows if row["iqm"] is not None and row["trainable_parameters"]]
    with _drawing(title, height=3.9) as (figure, axes):
        for row in shown:
            place = places[row["scheme"]]
            axes.plot(
                row["trainable_parameters"], row["iqm"], _MARKERS[place % len(_MARKERS)], label=row["scheme"],
                color=style_of(place)["color"], markersize=8,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.set_xlabel("trainable parameters")
        axes.set_ylabel("normalised return at the budget")
        if shown:
            figure.legend(loc="outside lower center", ncols=4, frameon=False)
        return _svg(figure, title)


@contextmanager
def _drawing(title: str, height: float) -> Iterator[tuple[Figure, Axes]]:
    # Element ids come from the salt: one a picture, because a page holds several.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif", "font.size": 10}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        yield figure, axes


def _reference_lines(line: Any) -> None:
    for level in (0.0, 1.0):
        line(level, color="#888888", linewidth=0.8, linestyle="--", zorder=0)


def _short(value: float, _: int | None = None) -> str:
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _svg(figure: Figure, title: str) -> str:
    """Return the ``<svg>`` element alone, sized by its box and named for screen readers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    # Nothing refers to groups, and every figure numbers its own from 1: ids of a page must differ.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    return f'{opening} role="img" aria-label="{_attribute(title)}">{rest}'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
