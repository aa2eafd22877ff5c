"""Pictures of BPS without a display: a fixed window on the plane, drawn with Pillow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from adaps_envs.core.palette import Colour, colour_of

__all__ = ["EXTENT", "SIZE", "colour_of", "draw", "pixels"]

# Half the width of the window in length units: landmarks lie within 3, and experts never leave it.
EXTENT = 4.0
SIZE = 400
# Drawn larger and averaged down, for smooth edges.
_OVERSAMPLING = 2

_BACKGROUND: Colour = (255, 255, 255)
_GRID: Colour = (232, 232, 232)
_AXIS: Colour = (200, 200, 200)
_INK: Colour = (40, 40, 40)
_UNUSED: Colour = (150, 150, 150)


def draw(
    pos: NDArray[np.float64],
    landmark_pos: NDArray[np.float64],
    agent_types: NDArray[np.int64],
    landmark_of: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Draw one lane.

    Agents are discs in their type's colour, landmarks are crosses with one ring for each type that they pay; grid lines
    are one length unit apart. An agent outside the window is a hollow disc at its border.

    Args:
        pos: ``[N, 2]`` positions (x to the right, y upwards), length units.
        landmark_pos: ``[G, 2]``.
        agent_types: ``[N]`` type of each agent.
        landmark_of: ``[N]`` index of the landmark that pays each agent.

    Returns:
        ``[SIZE, SIZE, 3] uint8``, a fresh array.
    """
    image = Image.new("RGB", (SIZE * _OVERSAMPLING,) * 2, _BACKGROUND)
    canvas = ImageDraw.Draw(image)
    _draw_grid(canvas)
    for index, point in enumerate(landmark_pos):
        types = np.unique(agent_types[landmark_of == index]).tolist()
        _draw_landmark(canvas, point, [colour_of(kind) for kind in types] or [_UNUSED])
    for point, kind in zip(pos, agent_types.tolist(), strict=True):
        _draw_agent(canvas, point, colour_of(kind))
    return np.asarray(image.reduce(_OVERSAMPLING), dtype=np.uint8).copy()


def pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where ``points [N, 2]`` are in the picture, ``[N, 2]`` pixels (x, y); at its border if outside."""
    inside = np.clip(points, -EXTENT, EXTENT)
    return np.stack([inside[:, 0] + EXTENT, EXTENT - inside[:, 1]], axis=1) * SIZE / (2 * EXTENT)


def _pixels(length: float) -> float:
    return length * SIZE * _OVERSAMPLING / (2 * EXTENT)


def _place(point: NDArray[np.float64]) -> tuple[float, float]:
    x, y = np.clip(point, -EXTENT, EXTENT).tolist()
    return _pixels(x + EXTENT), _pixels(EXTENT - y)


def _disc(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


def _draw_grid(canvas: ImageDraw.ImageDraw) -> None:
    end = _pixels(2 * EXTENT)
    for unit in range(-int(EXTENT), int(EXTENT) + 1):
        at = _pixels(unit + EXTENT)
        colour = _AXIS if unit == 0 else _GRID
        canvas.line((at, 0, at, end), fill=colour, width=_OVERSAMPLING)
        canvas.line((0, at, end, at), fill=colour, width=_OVERSAMPLING)


def _draw_landmark(canvas: ImageDraw.ImageDraw, point: NDArray[np.float64], colours: list[Colour]) -> None:
    x, y = _place(point)
    arm = _pixels(0.17)
    for dx, dy in ((1, 1), (1, -1)):
        canvas.line((x - arm * dx, y - arm * dy, x + arm * dx, y + arm * dy), fill=colours[0], width=4 * _OVERSAMPLING)
    for ring, colour in enumerate(colours):
        canvas.ellipse(_disc(x, y, _pixels(0.32 + 0.12 * ring)), outline=colour, width=2 * _OVERSAMPLING)


def _draw_agent(canvas: ImageDraw.ImageDraw, point: NDArray[np.float64], colour: Colour) -> None:
    x, y = _place(point)
    inside = bool((np.abs(point) <= EXTENT).all())
    fill, outline = (colour, _INK) if inside else (_BACKGROUND, colour)
    canvas.ellipse(_disc(x, y, _pixels(0.1)), fill=fill, outline=outline, width=_OVERSAMPLING)
