"""Pictures that are painted once and come out as pixels of any scale, or as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from adaps_envs.core.palette import Colour

__all__ = ["OVERSAMPLING", "Canvas", "Scene", "raster", "svg", "write"]

OVERSAMPLING = 2
"""Pixels are painted so many times larger and averaged down, for smooth edges."""

Box = tuple[float, float, float, float]


class Canvas(Protocol):
    """What scenes paint on: these calls of Pillow's ``ImageDraw``. Outlines lie inside of their boxes."""

    def line(self, xy: Box, fill: Any = None, width: int = 0) -> None:
        """Draw from ``(x0, y0)`` to ``(x1, y1)``."""

    def ellipse(self, xy: Box, fill: Any = None, outline: Any = None, width: int = 1) -> None:
        """Draw in a box ``(x0, y0, x1, y1)``."""

    def rectangle(self, xy: Box, fill: Any = None, outline: Any = None, width: int = 1) -> None:
        """Draw a box ``(x0, y0, x1, y1)``."""

    def polygon(self, xy: Sequence[tuple[float, float]], fill: Any = None) -> None:
        """Fill the area within corners."""

    def text(self, xy: tuple[float, float], text: str, fill: Any = None, font: Any = None, anchor: Any = None) -> None:
        """Write, ``anchor`` ``"mm"`` around or ``"lm"`` right of a point."""


@dataclass(frozen=True)
class Scene:
    """A picture that is not painted yet.

    Attributes:
        width, height: pixels at scale 1.
        background: colour.
        paint: paints on a canvas that is ``zoom`` times as large.
    """

    width: int
    height: int
    background: Colour
    paint: Callable[[Any, int], None]


def raster(scene: Scene, scale: int = 1) -> NDArray[np.uint8]:
    """Return ``[height * scale, width * scale, 3] uint8``, a fresh array."""
    zoom = OVERSAMPLING * scale
    image = Image.new("RGB", (scene.width * zoom, scene.height * zoom), scene.background)
    scene.paint(ImageDraw.Draw(image), zoom)
    return np.asarray(image.reduce(OVERSAMPLING), dtype=np.uint8).copy()


def svg(scene: Scene) -> str:
    """Return the picture as the text of an SVG file."""
    canvas = _SvgCanvas()
    scene.paint(canvas, OVERSAMPLING)
    width, height = scene.width * OVERSAMPLING, scene.height * OVERSAMPLING
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="{_hex(scene.background)}"/>{"".join(canvas.parts)}</svg>\n'
    )


def write(canvas: Canvas, x: float, y: float, text: str, size: float, colour: Colour, anchor: str = "mm") -> None:
    """Write in the built-in font, ``size`` pixels of the canvas high."""
    canvas.text((x, y), text, fill=colour, font=ImageFont.load_default(size=size), anchor=anchor)


class _SvgCanvas:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def line(self, xy: Box, fill: Any = None, width: int = 0) -> None:
        x0, y0, x1, y1 = map(_number, xy)
        colour = _hex(fill)
        self.parts.append(f'<path d="M{x0} {y0}L{x1} {y1}" stroke="{colour}" stroke-width="{max(width, 1)}"/>')

    def ellipse(self, xy: Box, fill: Any = None, outline: Any = None, width: int = 1) -> None:
        x0, y0, x1, y1 = _inside(xy, outline, width)
        shape = f'cx="{_number((x0 + x1) / 2)}" cy="{_number((y0 + y1) / 2)}"'
        radii = f'rx="{_number((x1 - x0) / 2)}" ry="{_number((y1 - y0) / 2)}"'
        self.parts.append(f"<ellipse {shape} {radii} {_paint(fill, outline, width)}/>")

    def rectangle(self, xy: Box, fill: Any = None, outline: Any = None, width: int = 1) -> None:
        x0, y0, x1, y1 = _inside(xy, outline, width)
        shape = f'x="{_number(x0)}" y="{_number(y0)}" width="{_number(x1 - x0)}" height="{_number(y1 - y0)}"'
        self.parts.append(f"<rect {shape} {_paint(fill, outline, width)}/>")

    def polygon(self, xy: Sequence[tuple[float, float]], fill: Any = None) -> None:
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in xy)
        self.parts.append(f'<polygon points="{points}" {_paint(fill, None, 0)}/>')

    def text(self, xy: tuple[float, float], text: str, fill: Any = None, font: Any = None, anchor: Any = None) -> None:
        place = f'x="{_number(xy[0])}" y="{_number(xy[1])}" font-size="{_number(font.size)}"'
        align = ' text-anchor="middle"' if anchor == "mm" else ""
        self.parts.append(f'<text {place}{align} dominant-baseline="central" fill="{_hex(fill)}">{escape(text)}</text>')


def _inside(xy: Box, outline: Any, width: int) -> Box:
    """SVG draws half of an outline outside; its last pixel belongs to a box of Pillow's."""
    inset = width / 2 if outline is not None else 0.0
    x0, y0, x1, y1 = xy
    return x0 + inset, y0 + inset, x1 + 1 - inset, y1 + 1 - inset


def _paint(fill: Any, outline: Any, width: int) -> str:
    inner = "none" if fill is None else _hex(fill)
    return f'fill="{inner}"' + ("" if outline is None else f' stroke="{_hex(outline)}" stroke-width="{width}"')


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
