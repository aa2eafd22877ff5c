"""Pictures of the warehouses without a display, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from adaps_envs.core.palette import Colour, colour_of
from adaps_envs.families.crware.layout import Layout
from adaps_envs.families.crware.tables import STEP_X, STEP_Y

__all__ = ["cell_size", "draw"]

# Longer side of a picture, as far as cells stay between these sizes.
SIZE = 560
SMALLEST_CELL, LARGEST_CELL = 8, 32
# Drawn larger and averaged down, for smooth edges.
_OVERSAMPLING = 2

_HIGHWAY: Colour = (247, 247, 244)
_HOME: Colour = (226, 226, 221)
_GRID: Colour = (208, 208, 203)
_INK: Colour = (30, 30, 30)
_PAPER: Colour = (255, 255, 255)
# Shelves of a warehouse without colours.
_WOOD: Colour = (166, 138, 100)

Box = tuple[float, float, float, float]


def cell_size(plan: Layout) -> int:
    """Return the side of a cell in pixels; the picture is that many times the floor."""
    return min(max(SIZE // max(plan.width, plan.height), SMALLEST_CELL), LARGEST_CELL)


def draw(
    plan: Layout, state: Mapping[str, NDArray[Any]], agent_types: NDArray[np.int64], shelf_colours: NDArray[Any] | None
) -> NDArray[np.uint8]:
    """Draw one lane.

    Goals are chequered. Shelves are squares in the colour of the type that delivers their colour by default; requested
    ones carry a dark frame and a white dot; carried ones show round their robot. Robots are discs in
    their type's colour with an arrow where they face; a loaded one has a white ring.

    Args:
        plan: the floor.
        state: one lane of ``get_state()``.
        agent_types: ``[N]`` types of the robots.
        shelf_colours: ``[M]`` colours of the shelves; None where they have none.

    Returns:
        ``[H * cell, W * cell, 3] uint8`` with ``cell = cell_size(plan)``, a fresh array.
    """
    side = cell_size(plan) * _OVERSAMPLING
    image = Image.new("RGB", (plan.width * side, plan.height * side), _HIGHWAY)
    canvas = ImageDraw.Draw(image)
    _draw_floor(canvas, plan, side)
    requested = set(state["request_queue"].tolist())
    for shelf, (x, y) in enumerate(zip(state["shelf_x"].tolist(), state["shelf_y"].tolist(), strict=True)):
        colour = _WOOD if shelf_colours is None else colour_of(int(shelf_colours[shelf]))
        _draw_shelf(canvas, x, y, side, colour, shelf in requested)
    for agent, kind in enumerate(agent_types.tolist()):
        x, y, facing = (int(state[name][agent]) for name in ("agent_x", "agent_y", "agent_dir"))
        _draw_robot(canvas, x, y, facing, side, colour_of(kind), bool(state["carrying"][agent] >= 0))
    return np.asarray(image.reduce(_OVERSAMPLING), dtype=np.uint8).copy()


def _box(x: int, y: int, side: int, margin: float) -> Box:
    """Return a cell's square without ``margin`` (a share of the side) on each side."""
    inset = margin * side
    return x * side + inset, y * side + inset, (x + 1) * side - 1 - inset, (y + 1) * side - 1 - inset


def _draw_floor(canvas: ImageDraw.ImageDraw, plan: Layout, side: int) -> None:
    for y, row in enumerate(plan.rows):
        for x, sign in enumerate(row):
            canvas.rectangle(_box(x, y, side, 0), fill=_HOME if sign == "x" else _HIGHWAY, outline=_GRID)
    quarter = side / 4
    for x, y in plan.goals:
        for square in range(16):
            left, top = x * side + square % 4 * quarter, y * side + square // 4 * quarter
            fill = _INK if (square % 4 + square // 4) % 2 else _PAPER
            canvas.rectangle((left, top, left + quarter - 1, top + quarter - 1), fill=fill)


def _draw_shelf(canvas: ImageDraw.ImageDraw, x: int, y: int, side: int, colour: Colour, requested: bool) -> None:
    width = max(1, side // 10) if requested else max(1, side // 32)
    canvas.rectangle(_box(x, y, side, 0.08), fill=colour, outline=_INK, width=width)
    if requested:
        canvas.ellipse(_box(x, y, side, 0.34), fill=_PAPER, outline=_INK, width=max(1, side // 32))


def _draw_robot(
    canvas: ImageDraw.ImageDraw, x: int, y: int, facing: int, side: int, colour: Colour, loaded: bool
) -> None:
    margin = 0.24 if loaded else 0.14
    if loaded:
        canvas.ellipse(_box(x, y, side, 0.14), fill=_PAPER, outline=_INK, width=max(1, side // 32))
    canvas.ellipse(_box(x, y, side, margin), fill=colour, outline=_INK, width=max(1, side // 20))
    dx, dy, reach = STEP_X[facing], STEP_Y[facing], (0.5 - margin) * side * 0.85
    centre_x, centre_y = (x + 0.5) * side, (y + 0.5) * side
    tip = (centre_x + dx * reach, centre_y + dy * reach)
    # The base stands across the direction, just behind the centre.
    base_x, base_y = centre_x - dx * reach * 0.1, centre_y - dy * reach * 0.1
    wing_x, wing_y = -dy * reach * 0.7, dx * reach * 0.7
    corners = [tip, (base_x + wing_x, base_y + wing_y), (base_x - wing_x, base_y - wing_y)]
    canvas.polygon(corners, fill=_INK)
