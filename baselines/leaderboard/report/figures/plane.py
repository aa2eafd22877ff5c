"""A plane with two axes, drawn as SVG text to put into a page: no file, no script, no style sheet, no network.

The text is 8 to 43 kilobytes and takes one or two milliseconds: a site has hundreds of charts, for which a plotting
library took half of the time that the report took. The same numbers give the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.leaderboard.report.figures.ticks import round_ticks, short

__all__ = ["MARKERS", "Plane"]

# About the width of a telephone in pixels, so that the text stays readable there.
WIDTH = 560.0
_RIGHT, _TOP, _BOTTOM = 24.0, 12.0, 52.0
_FONT = 14
# The ranges reach beyond what is drawn by this share.
_MARGIN = 0.05
# Of what is further away no difference could be formed, and what is closer to zero cannot be divided by.
_FARTHEST, _CLOSEST = 1e150, 1e-150
# What differs by a smaller share is drawn at one place: its ticks would read the same.
_ALIKE = 1e-9
_LINE_WIDTH, _MARKER_RADIUS = 2.0, 5.5
# Outlines of markers with a radius of about 1; y points down.
_CROSS = ((-0.35, -1), (0.35, -1), (0.35, -0.35), (1, -0.35), (1, 0.35), (0.35, 0.35))
_PLUS = np.array([*_CROSS, *(-np.array(_CROSS))])
_TURN = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
_OUTLINES: dict[str, NDArray[np.float64]] = {
    "circle": np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)), np.sin(np.linspace(0, 2 * np.pi, 17))], axis=1)[:-1],
    "square": np.array([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]),
    "diamond": np.array([(0, -1.15), (1.15, 0), (0, 1.15), (-1.15, 0)]),
    "up": np.array([(0, -1.1), (1.1, 0.9), (-1.1, 0.9)]),
    "down": np.array([(0, 1.1), (1.1, -0.9), (-1.1, -0.9)]),
    "plus": _PLUS,
    "cross": _PLUS @ _TURN,
}
MARKERS = tuple(_OUTLINES)
"""Names of the markers."""


class Plane:
    """What is drawn is collected, because the ranges of the axes follow from it."""

    def __init__(self, *, height: float = 360.0, left: float = 64.0) -> None:
        """Start an empty plane.

        Args:
            height: of the picture, in pixels of a picture that is 560 wide.
            left: of the axes, in the same pixels: room for the labels of the ticks.
        """
        self._height, self._left = height, left
        self._shapes: list[tuple[str, NDArray[np.float64], dict[str, Any]]] = []
        self._limits: list[tuple[float, float] | None] = [None, None]
        self._labels = ["", ""]
        self._ticks: list[list[tuple[float, str]] | None] = [None, None]

    def line(self, x: ArrayLike, y: ArrayLike, colour: str, *, dashes: str = "") -> None:
        """Draw a line through points ``[P]``, ``[P]``; it is broken where a number is not finite."""
        extra = {"stroke-dasharray": dashes} if dashes else {}
        self._add("line", x, y, {"fill": "none", "stroke": colour, "stroke-width": _LINE_WIDTH, **extra})

    def bar(self, x: ArrayLike, y: ArrayLike, colour: str, *, width: float) -> None:
        """Draw a broad, pale line through points ``[P]``, ``[P]``, ``width`` in pixels."""
        self._add("line", x, y, {"fill": "none", "stroke": colour, "stroke-width": width, "opacity": 0.4})

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> None:
        """Shade the area between two lines, ``[P]`` each, unless a number is not finite."""
        across = np.asarray(x, np.float64)
        outline = np.concatenate([np.asarray(low, np.float64), np.asarray(high, np.float64)[::-1]])
        if np.isfinite(outline).all():
            self._add("area", np.concatenate([across, across[::-1]]), outline, {"fill": colour, "opacity": 0.15})

    def marker(self, x: float, y: float, colour: str, shape: str) -> None:
        """Put one of the :data:`MARKERS` at a point, unless a number is not finite."""
        self._add("marker", [x], [y], {"fill": colour, "outline": _OUTLINES[shape] * _MARKER_RADIUS})

    def across(self, axis: int, value: float, colour: str, *, dashes: str) -> None:
        """Draw a thin line at ``value`` of an axis through the whole plane; the axis reaches there."""
        style = {"stroke": colour, "stroke-width": 1, "stroke-dasharray": dashes}
        self._add("across", *(([value], [np.nan]) if axis == 0 else ([np.nan], [value])), style)

    def limit(self, axis: int, low: float, high: float) -> None:
        """Fix the range of axis 0 (to the right) or 1 (up)."""
        self._limits[axis] = (low, high)

    def label(self, axis: int, text: str) -> None:
        """Name an axis."""
        self._labels[axis] = text

    def ticks(self, axis: int, ticks: Sequence[tuple[float, str]]) -> None:
        """Choose places and labels of the ticks; round numbers otherwise."""
        self._ticks[axis] = list(ticks)

    def range_of(self, axis: int) -> tuple[float, float]:
        """Return from where to where an axis goes, with what has been drawn so far."""
        fixed = self._limits[axis]
        if fixed is not None:
            return fixed
        seen = [points[:, axis] for _, points, _ in self._shapes]
        values = np.concatenate([np.empty(0), *seen])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        extent, size = high - low, max(abs(low), abs(high))
        # The margin of what has no extent is one of its size, or of 1 around zero.
        if extent <= _ALIKE * size:
            extent = size or 1.0
        return low - _MARGIN * extent, high + _MARGIN * extent

    def svg(self, title: str) -> str:
        """Return the ``<svg>`` element, named ``title`` for screen readers."""
        ranges = self.range_of(0), self.range_of(1)
        size = WIDTH - self._left - _RIGHT, self._height - _TOP - _BOTTOM
        box = "{:g} {:g} {:g} {:g}".format(self._left, _TOP, *size)
        # A fixed range cuts what lies beyond it; without one nothing does, and markers are shown whole.
        overflow = "visible" if self._limits == [None, None] else "hidden"
        name = escape(title, quote=True)
        return (
            f'<svg viewBox="0 0 {WIDTH:g} {self._height:g}" role="img" aria-label="{name}" '
            f'font-family="sans-serif" font-size="{_FONT}">{self._axis(0, ranges)}{self._axis(1, ranges)}'
            f'<svg x="{self._left:g}" y="{_TOP:g}" width="{size[0]:g}" height="{size[1]:g}" viewBox="{box}" '
            f'overflow="{overflow}">{"".join(self._drawn(*shape, ranges) for shape in self._shapes)}</svg></svg>'
        )

    def _add(self, kind: str, x: ArrayLike, y: ArrayLike, style: dict[str, Any]) -> None:
        points = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
        points[np.isinf(points)] = np.nan
        points[np.abs(points) < _CLOSEST] = 0.0
        self._shapes.append((kind, np.clip(points, -_FARTHEST, _FARTHEST), style))

    def _pixels(self, points: NDArray[np.float64], ranges: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
        low, high = np.array(ranges).T
        share = (points - low) / (high - low)
        share[:, 1] = 1 - share[:, 1]
        size = np.array([WIDTH - self._left - _RIGHT, self._height - _TOP - _BOTTOM])
        return np.asarray(np.array([self._left, _TOP]) + share * size)

    def _drawn(self, kind: str, points: NDArray[np.float64], style: dict[str, Any], ranges: Any) -> str:
        shown = {name: value for name, value in style.items() if name != "outline"}
        pixels = self._pixels(points, ranges)
        if kind == "across":
            return f'<path d="{self._through(*pixels[0])}"{_attributes(shown)}/>'
        if kind == "marker":
            if not np.isfinite(pixels).all():
                return ""
            return f'<path d="{_path(pixels + style["outline"], close=True)}"{_attributes(shown)}/>'
        whole = np.isfinite(pixels).all(axis=1)
        pieces = np.split(pixels, np.flatnonzero(np.diff(whole)) + 1)
        path = "".join(_path(piece, close=kind == "area") for piece in pieces if np.isfinite(piece).all())
        return f'<path d="{path}"{_attributes(shown)}/>' if path else ""

    def _through(self, x: float, y: float) -> str:
        if np.isfinite(x):
            return f"M{x:.1f} {_TOP:g}V{self._height - _BOTTOM:g}"
        return f"M{self._left:g} {y:.1f}H{WIDTH - _RIGHT:g}"

    def _axis(self, axis: int, ranges: Any) -> str:
        low, high = ranges[axis]
        known = self._ticks[axis]
        ticks = [(value, short(value)) for value in round_ticks(low, high)] if known is None else known
        bottom, end = self._height - _BOTTOM, WIDTH - _RIGHT
        parts = []
        for value, label in ticks:
            (place,) = self._pixels(np.array([[value, ranges[1][0]] if axis == 0 else [ranges[0][0], value]]), ranges)
            if axis == 0:
                line, at, anchor = f"M{place[0]:.1f} {bottom:g}V{_TOP:g}", (place[0], bottom + 18), "middle"
            else:
                line, at, anchor = f"M{self._left:g} {place[1]:.1f}H{end:g}", (self._left - 8, place[1] + 5), "end"
            parts.append(f'<path d="{line}" stroke="#ddd"/>')
            parts.append(f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">{escape(label)}</text>')
        frame = f"M{self._left:g} {bottom:g}" + (f"H{end:g}" if axis == 0 else f"V{_TOP:g}")
        parts.append(f'<path d="{frame}" stroke="#333"/>')
        if self._labels[axis]:
            parts.append(self._name(axis, bottom, end))
        return "".join(parts)

    def _name(self, axis: int, bottom: float, end: float) -> str:
        text = escape(self._labels[axis])
        if axis == 0:
            x, y, turned = (self._left + end) / 2, self._height - 10, ""
        else:
            x, y = 16.0, (_TOP + bottom) / 2
            turned = f' transform="rotate(-90 {x:g} {y:g})"'
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle"{turned}>{text}</text>'


def _path(pixels: NDArray[np.float64], *, close: bool) -> str:
    points = "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels.tolist())
    return f"M{points}{'Z' if close else ''}"


def _attributes(style: dict[str, Any]) -> str:
    return "".join(f' {name}="{value}"' for name, value in style.items())
