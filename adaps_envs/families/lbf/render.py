"""Pictures of level-based foraging without a display, drawn with Pillow."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.drawing import Canvas, Scene, raster, write
from adaps_envs.core.palette import Colour, colour_of

__all__ = ["cell_size", "draw", "scene"]

# Longer side of a picture, as far as cells stay between these sizes.
SIZE = 480
SMALLEST_CELL, LARGEST_CELL = 8, 48

_BACKGROUND: Colour = (250, 250, 247)
_GRID: Colour = (222, 222, 218)
_INK: Colour = (30, 30, 30)
_PAPER: Colour = (255, 255, 255)
_APPLE: Colour = (176, 28, 46)
_LEAF: Colour = (70, 130, 60)


def cell_size(num_rows: int, num_cols: int) -> int:
    """Return the side of a cell in pixels; the picture is that many times the board."""
    return min(max(SIZE // max(num_rows, num_cols), SMALLEST_CELL), LARGEST_CELL)


def draw(
    field: NDArray[Any], row: NDArray[Any], col: NDArray[Any], level: NDArray[Any], agent_types: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Draw one lane; arguments as for :func:`scene`.

    Returns:
        ``[R * cell, C * cell, 3] uint8`` with ``cell = cell_size(R, C)``, a fresh array.
    """
    return raster(scene(field, row, col, level, agent_types))


def scene(
    field: NDArray[Any], row: NDArray[Any], col: NDArray[Any], level: NDArray[Any], agent_types: NDArray[np.int64]
) -> Scene:
    """Return the picture of one lane: food as apples, players as discs in their type's colour, all with their level.

    Players that share a cell are drawn smaller, side by side.

    Args:
        field: ``[R, C]`` levels of the foods, 0 where there is none.
        row, col: ``[N]`` cells of the players.
        level: ``[N]`` levels of the players.
        agent_types: ``[N]`` types of the players.
    """
    num_rows, num_cols = field.shape
    side = cell_size(num_rows, num_cols)

    def paint(canvas: Canvas, zoom: int) -> None:
        cell = side * zoom
        _draw_grid(canvas, num_rows, num_cols, cell, zoom)
        for r, c in np.argwhere(field > 0).tolist():
            _draw_food(canvas, (c + 0.5) * cell, (r + 0.5) * cell, cell, int(field[r, c]))
        crowds = defaultdict(list)
        for player, place in enumerate(zip(row.tolist(), col.tolist(), strict=True)):
            crowds[place].append(player)
        for (r, c), crowd in crowds.items():
            _draw_crowd(canvas, r, c, cell, [(colour_of(int(agent_types[i])), int(level[i])) for i in crowd])

    return Scene(num_cols * side, num_rows * side, _BACKGROUND, paint)


def _draw_grid(canvas: Canvas, num_rows: int, num_cols: int, cell: int, zoom: int) -> None:
    for r in range(num_rows + 1):
        canvas.line((0, r * cell, num_cols * cell, r * cell), fill=_GRID, width=zoom)
    for c in range(num_cols + 1):
        canvas.line((c * cell, 0, c * cell, num_rows * cell), fill=_GRID, width=zoom)


def _draw_food(canvas: Canvas, x: float, y: float, cell: int, level: int) -> None:
    radius = 0.36 * cell
    stem = (x, y - radius, x + 0.08 * cell, y - 0.48 * cell)
    canvas.ellipse((x - radius, y - 0.9 * radius, x + radius, y + 1.1 * radius), fill=_APPLE)
    canvas.line(stem, fill=_INK, width=max(1, cell // 18))
    canvas.ellipse((x + 0.06 * cell, y - 0.46 * cell, x + 0.3 * cell, y - 0.32 * cell), fill=_LEAF)
    _write(canvas, x, y + 0.1 * radius, level, 0.5 * cell, _PAPER)


def _draw_crowd(canvas: Canvas, r: int, c: int, cell: int, crowd: list[tuple[Colour, int]]) -> None:
    across = math.ceil(math.sqrt(len(crowd)))
    down = math.ceil(len(crowd) / across)
    part = cell / across
    for index, (colour, level) in enumerate(crowd):
        x = c * cell + (index % across + 0.5) * part
        y = (r + 0.5) * cell + (index // across - (down - 1) / 2) * part
        radius = 0.4 * part
        box = (x - radius, y - radius, x + radius, y + radius)
        canvas.ellipse(box, fill=colour, outline=_INK, width=max(1, cell // 24))
        _write(canvas, x, y, level, 0.52 * part, _INK)


def _write(canvas: Canvas, x: float, y: float, level: int, height: float, colour: Colour) -> None:
    text = str(level)
    write(canvas, x, y, text, max(height * min(1.0, 2.0 / len(text)), 4.0), colour)
