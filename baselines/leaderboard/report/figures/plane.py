"""A plane with two axes, drawn as SVG text to put into a page: no file, no script, no style sheet, no network.

The text is 8 to 43 kilobytes and takes one or two milliseconds: a site has hundreds of charts, for which a plotting
library took half of the time that the report took. The same numbers give the same text. Axes and text have the colour
of the page's text, so that a dark page shows them, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.leaderboard.report.figures.ticks import round_ticks, short

__all__ = ["MARKERS", "Plane"]

# About the width of a telephone in pixels, so that the text stays readable there.
WIDTH = 560.0
_TOP, _BOTTOM = 12.0, 52.0
_FONT, _CHARACTER, _LINE = 14, 8.0, 16.0
# The ranges reach beyond what is drawn by this share.
_MARGIN = 0.05
# Of what is further away no difference could be formed, and what is closer to zero cannot be divided by.
_FARTHEST, _CLOSEST = 1e150, 1e-150
# What differs by a smaller share is drawn at one place: its ticks would read the same.
_ALIKE = 1e-9
_LINE_WIDTH, _MARKER_RADIUS, _CAP = 2.0, 5.5, 5.0
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

    def __init__(self, *, height: float = 360.0, left: float = 64.0, right: float = 24.0) -> None:
        """Start an empty plane.

        Args:
            height: of the picture, in pixels of a picture that is 560 wide.
            left: of the axes, in the same pixels: room for the labels of the ticks.
            right: of the axes: room for the names of lines.
        """
        self._height, self._left, self._right = height, left, right
        self._shapes: list[tuple[str, NDArray[np.float64], dict[str, Any]]] = []
        self._limits: list[tuple[float, float] | None] = [None, None]
        self._labels = ["", ""]
        self._ticks: list[list[tuple[float, str]] | None] = [None, None]
        self._line_names: list[tuple[float, str, str]] = []
        self._point_names: list[tuple[float, float, str]] = []

    def line(self, x: ArrayLike, y: ArrayLike, colour: str, *, dashes: str = "") -> None:
        """Draw a line through points ``[P]``, ``[P]``; it is broken where a number is not finite."""
        extra = {"stroke-dasharray": dashes} if dashes else {}
        self._add("line", x, y, {"fill": "none", "stroke": colour, "stroke-width": _LINE_WIDTH, **extra})

    def whisker(self, x: Sequence[float], y: Sequence[float], colour: str) -> None:
        """Draw a line with two ends from point to point, ``[2]``, ``[2]``, unless a number is not finite."""
        if np.isfinite([*x, *y]).all():
            self._add("whisker", x, y, {"fill": "none", "stroke": colour, "stroke-width": _LINE_WIDTH})

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> None:
        """Shade the area between two lines, ``[P]`` each, unless a number is not finite."""
        across = np.asarray(x, np.float64)
        outline = np.concatenate([np.asarray(low, np.float64), np.asarray(high, np.float64)[::-1]])
        if np.isfinite(outline).all():
            self._add("area", np.concatenate([across, across[::-1]]), outline, {"fill": colour, "opacity": 0.2})

    def marker(self, x: float, y: float, colour: str, shape: str) -> None:
        """Put one of the :data:`MARKERS` at a point, unless a number is not finite."""
        self._add("marker", [x], [y], {"fill": colour, "outline": _OUTLINES[shape] * _MARKER_RADIUS})

    def name_line(self, y: float, text: str, colour: str) -> None:
        """Name a line that ends at ``y``, right of the plane; names give way to each other."""
        if np.isfinite(y):
            self._line_names.append((y, text, colour))

    def name_point(self, x: float, y: float, text: str) -> None:
        """Name a point next to it, unless there is no room."""
        if np.isfinite([x, y]).all():
            self._point_names.append((x, y, text))

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
        """Choose places and labels of the ticks, the most important first, since of labels that would overlap only the
        first is drawn; round numbers otherwise."""
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
        size = self._size()
        box = "{:g} {:g} {:g} {:g}".format(self._left, _TOP, *size)
        # A fixed range cuts what lies beyond it; without one nothing does, and markers are shown whole.
        overflow = "visible" if self._limits == [None, None] else "hidden"
        name = escape(title, quote=True)
        return (
            f'<svg viewBox="0 0 {WIDTH:g} {self._height:g}" role="img" aria-label="{name}" '
            f'font-family="sans-serif" font-size="{_FONT}" fill="currentColor">'
            f"{self._axis(0, ranges)}{self._axis(1, ranges)}"
            f'<svg x="{self._left:g}" y="{_TOP:g}" width="{size[0]:g}" height="{size[1]:g}" viewBox="{box}" '
            f'overflow="{overflow}">{"".join(self._drawn(*shape, ranges) for shape in self._shapes)}</svg>'
            f"{''.join(self._names(ranges))}</svg>"
        )

    def _size(self) -> tuple[float, float]:
        return WIDTH - self._left - self._right, self._height - _TOP - _BOTTOM

    def _add(self, kind: str, x: ArrayLike, y: ArrayLike, style: dict[str, Any]) -> None:
        points = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
        points[np.isinf(points)] = np.nan
        points[np.abs(points) < _CLOSEST] = 0.0
        self._shapes.append((kind, np.clip(points, -_FARTHEST, _FARTHEST), style))

    def _pixels(self, points: NDArray[np.float64], ranges: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
        low, high = np.array(ranges).T
        share = (points - low) / (high - low)
        share[:, 1] = 1 - share[:, 1]
        return np.asarray(np.array([self._left, _TOP]) + share * np.array(self._size()))

    def _drawn(self, kind: str, points: NDArray[np.float64], style: dict[str, Any], ranges: Any) -> str:
        shown = {name: value for name, value in style.items() if name != "outline"}
        pixels = self._pixels(points, ranges)
        if kind == "across":
            return f'<path d="{self._through(*pixels[0])}"{_attributes(shown)}/>'
        if kind == "marker":
            if not np.isfinite(pixels).all():
                return ""
            return f'<path d="{_path(pixels + style["outline"], close=True)}"{_attributes(shown)}/>'
        if kind == "whisker":
            (x, y), (right, top) = pixels
            ends = ((0, _CAP) if x != right else (_CAP, 0)) if (x, y) != (right, top) else (0, 0)
            caps = "".join(
                f"M{a - ends[0]:.1f} {b - ends[1]:.1f}L{a + ends[0]:.1f} {b + ends[1]:.1f}" for a, b in pixels
            )
            return f'<path d="{_path(pixels, close=False)}{caps}"{_attributes(shown)}/>'
        whole = np.isfinite(pixels).all(axis=1)
        pieces = np.split(pixels, np.flatnonzero(np.diff(whole)) + 1)
        path = "".join(_path(piece, close=kind == "area") for piece in pieces if np.isfinite(piece).all())
        return f'<path d="{path}"{_attributes(shown)}/>' if path else ""

    def _through(self, x: float, y: float) -> str:
        if np.isfinite(x):
            return f"M{x:.1f} {_TOP:g}V{self._height - _BOTTOM:g}"
        return f"M{self._left:g} {y:.1f}H{WIDTH - self._right:g}"

    def _axis(self, axis: int, ranges: Any) -> str:
        low, high = ranges[axis]
        known = self._ticks[axis]
        ticks = [(value, short(value)) for value in round_ticks(low, high)] if known is None else known
        bottom, end = self._height - _BOTTOM, WIDTH - self._right
        parts = []
        for place, label in self._fitting(axis, ticks, ranges):
            if axis == 0:
                line, at, anchor = f"M{place:.1f} {bottom:g}V{_TOP:g}", (place, bottom + 18), "middle"
            else:
                line, at, anchor = f"M{self._left:g} {place:.1f}H{end:g}", (self._left - 8, place + 5), "end"
            parts.append(f'<path d="{line}" stroke="currentColor" opacity="0.15"/>')
            parts.append(f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">{escape(label)}</text>')
        frame = f"M{self._left:g} {bottom:g}" + (f"H{end:g}" if axis == 0 else f"V{_TOP:g}")
        parts.append(f'<path d="{frame}" stroke="currentColor"/>')
        if self._labels[axis]:
            parts.append(self._name(axis, bottom, end))
        return "".join(parts)

    def _fitting(self, axis: int, ticks: Sequence[tuple[float, str]], ranges: Any) -> list[tuple[float, str]]:
        """Return pixels and labels of the ticks whose labels overlap none that comes before, in the order of pixels."""
        kept: list[tuple[float, float, str]] = []
        for value, label in ticks:
            (place,) = self._pixels(np.array([[value, ranges[1][0]] if axis == 0 else [ranges[0][0], value]]), ranges)
            room = (_CHARACTER * (len(label) + 1) if axis == 0 else _LINE) / 2
            if all(abs(place[axis] - other) >= room + taken for other, taken, _ in kept):
                kept.append((float(place[axis]), room, label))
        return sorted((place, label) for place, _, label in kept)

    def _names(self, ranges: Any) -> Iterator[str]:
        """Yield the names of lines, below each other at the right, and those of points, in the first free place."""
        edge = WIDTH - self._right
        wanted = [
            (*self._pixels(np.array([[0.0, y]]), ranges)[0][1:], text, colour) for y, text, colour in self._line_names
        ]
        wanted.sort()
        heights = spread([place for place, _, _ in wanted], _LINE, _TOP + 4, self._height - _BOTTOM)
        for (place, text, colour), height in zip(wanted, heights, strict=True):
            at = min(max(place, _TOP), self._height - _BOTTOM)
            yield f'<path d="M{edge:g} {at:.1f}L{edge + 12:g} {height:.1f}" stroke="{colour}" stroke-width="2"/>'
            yield f'<text x="{edge + 16:g}" y="{height + 5:.1f}">{escape(text)}</text>'
        places = [self._pixels(np.array([[x, y]]), ranges)[0] for x, y, _ in self._point_names]
        taken = [(x - _MARKER_RADIUS, y - _MARKER_RADIUS, x + _MARKER_RADIUS, y + _MARKER_RADIUS) for x, y in places]
        for (x, y), (_, _, text) in zip(places, self._point_names, strict=True):
            width = _CHARACTER * len(text)
            for left, line in ((x + 9, y + 5), (x - 9 - width, y + 5), (x - width / 2, y - 9), (x - width / 2, y + 19)):
                box = left, line - 12, left + width, line + 2
                inside = box[0] > self._left and box[2] < WIDTH and box[1] > 0 and box[3] < self._height - _BOTTOM
                if inside and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    yield f'<text class="name" x="{left:.1f}" y="{line:.1f}">{escape(text)}</text>'
                    break

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


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places apart to a distance of ``gap``, between ``low`` and ``high`` as far as there is room."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap if moved else low))
    return [min(place, high - gap * (len(moved) - 1 - index)) for index, place in enumerate(moved)]


def _overlap(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
