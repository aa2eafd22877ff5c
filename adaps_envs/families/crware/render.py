"""Pictures of the warehouses without a display, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.drawing import Canvas, Scene, raster, write
from adaps_envs.core.palette import Colour, colour_of
from adaps_envs.families.crware.layout import Layout
from adaps_envs.families.crware.tables import STEP_X, STEP_Y

__all__ = ["cell_size", "draw", "scene"]

# Longer side of a picture, as far as cells stay between these sizes.
SIZE = 560
SMALLEST_CELL, LARGEST_CELL = 8, 32
# The legend below the floor: one line of it, a sign in it, a letter on average, pixels.
_LINE, _SIGN, _LETTER = 24, 16, 6
_LEGEND = ("goal", "shelf", "requested", "robot", "loaded robot")

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
    """Draw one lane; arguments as for :func:`scene`.

    Returns:
        ``[H * cell + legend, W * cell, 3] uint8`` with ``cell = cell_size(plan)``, a fresh array.
    """
    return raster(scene(plan, state, agent_types, shelf_colours))


def scene(
    plan: Layout, state: Mapping[str, NDArray[Any]], agent_types: NDArray[np.int64], shelf_colours: NDArray[Any] | None
) -> Scene:
    """Return the picture of one lane, with a legend below the floor.

    Goals are chequered. Shelves are squares in the colour of the type that delivers their colour by default; requested
    ones carry a dark frame and a white dot; carried ones show round their robot. Robots are discs in
    their type's colour with an arrow where they face; a loaded one has a white ring.

    Args:
        plan: the floor.
        state: one lane of ``get_state()``.
        agent_types: ``[N]`` types of the robots.
        shelf_colours: ``[M]`` colours of the shelves; None where they have none.
    """
    cell = cell_size(plan)
    width, floor = plan.width * cell, plan.height * cell
    places = _legend_places(width)
    wood = _WOOD if shelf_colours is None else colour_of(0)

    def paint(canvas: Canvas, zoom: int) -> None:
        side = cell * zoom
        _draw_floor(canvas, plan, side)
        requested = set(state["request_queue"].tolist())
        for shelf, (x, y) in enumerate(zip(state["shelf_x"].tolist(), state["shelf_y"].tolist(), strict=True)):
            colour = _WOOD if shelf_colours is None else colour_of(int(shelf_colours[shelf]))
            _draw_shelf(canvas, x, y, side, colour, shelf in requested)
        for agent, kind in enumerate(agent_types.tolist()):
            x, y, facing = (int(state[name][agent]) for name in ("agent_x", "agent_y", "agent_dir"))
            _draw_robot(canvas, x, y, facing, side, colour_of(kind), bool(state["carrying"][agent] >= 0))
        for meaning, (x, y) in places.items():
            _draw_legend(canvas, meaning, x * zoom, (floor + y) * zoom, zoom, wood)

    return Scene(width, floor + max(y for _, y in places.values()) + _LINE, _PAPER, paint)


def _legend_places(width: int) -> dict[str, tuple[int, int]]:
    """Return where each sign of the legend begins, below the floor; a line that is full is followed by another."""
    places: dict[str, tuple[int, int]] = {}
    x = y = 0
    for meaning in _LEGEND:
        needed = _SIGN + 8 + _LETTER * len(meaning)
        if x and x + needed > width:
            x, y = 0, y + _LINE
        places[meaning] = (x, y)
        x += needed + 6
    return places


def _draw_legend(canvas: Canvas, meaning: str, left: float, top: float, zoom: int, wood: Colour) -> None:
    side = _SIGN * zoom
    x, y = left / side + 0.15, (top + (_LINE - _SIGN) / 2 * zoom) / side
    if meaning == "goal":
        _draw_goal(canvas, x, y, side)
    elif meaning in ("shelf", "requested"):
        _draw_shelf(canvas, x, y, side, wood, meaning == "requested")
    else:
        loaded = meaning != "robot"
        if loaded:
            _draw_shelf(canvas, x, y, side, wood, False)
        _draw_robot(canvas, x, y, 0, side, colour_of(0), loaded)
    write(canvas, left + side + 5 * zoom, top + _LINE / 2 * zoom, meaning, 11 * zoom, _INK, "lm")


def _box(x: float, y: float, side: int, margin: float) -> Box:
    """Return a cell's square without ``margin`` (a share of the side) on each side."""
    inset = margin * side
    return x * side + inset, y * side + inset, (x + 1) * side - 1 - inset, (y + 1) * side - 1 - inset


def _draw_floor(canvas: Canvas, plan: Layout, side: int) -> None:
    for y, row in enumerate(plan.rows):
        for x, sign in enumerate(row):
            canvas.rectangle(_box(x, y, side, 0), fill=_HOME if sign == "x" else _HIGHWAY, outline=_GRID)
    for x, y in plan.goals:
        _draw_goal(canvas, x, y, side)


def _draw_goal(canvas: Canvas, x: float, y: float, side: int) -> None:
    quarter = side / 4
    for square in range(16):
        left, top = x * side + square % 4 * quarter, y * side + square // 4 * quarter
        fill = _INK if (square % 4 + square // 4) % 2 else _PAPER
        canvas.rectangle((left, top, left + quarter - 1, top + quarter - 1), fill=fill)


def _draw_shelf(canvas: Canvas, x: float, y: float, side: int, colour: Colour, requested: bool) -> None:
    width = max(1, side // 10) if requested else max(1, side // 32)
    canvas.rectangle(_box(x, y, side, 0.08), fill=colour, outline=_INK, width=width)
    if requested:
        canvas.ellipse(_box(x, y, side, 0.34), fill=_PAPER, outline=_INK, width=max(1, side // 32))


def _draw_robot(canvas: Canvas, x: float, y: float, facing: int, side: int, colour: Colour, loaded: bool) -> None:
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
