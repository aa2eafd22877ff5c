"""Floor plans of a warehouse: where the corridors, the goals and the shelves' homes are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidParameterError

__all__ = ["MAX_SHELVES", "MAX_SIDE", "Layout", "grid_layout", "text_layout"]

# Cells and shelf ids are stored as int16.
MAX_SIDE = 4096
MAX_SHELVES = 32_000
MAX_CELLS = 1_000_000

Cell = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """A floor plan. ``x`` is the column (0 at the left), ``y`` the row (0 at the top).

    Attributes:
        rows: H strings of W characters: ``x`` a shelf's home, ``.`` a corridor, ``g`` a goal.
        goals: the goals ``(x, y)`` in the order in which deliveries are looked at.
    """

    rows: tuple[str, ...]
    goals: tuple[Cell, ...]

    @property
    def height(self) -> int:
        """H."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """W."""
        return len(self.rows[0])

    @property
    def shelves(self) -> tuple[Cell, ...]:
        """The shelves' homes ``(x, y)`` in the order of their ids: row by row."""
        return tuple((x, y) for y, row in enumerate(self.rows) for x, sign in enumerate(row) if sign == "x")

    @property
    def highway(self) -> NDArray[np.bool_]:
        """``[H, W] bool``: cells that are no shelf's home; nothing can be put down there."""
        return np.array([[sign != "x" for sign in row] for row in self.rows])


def grid_layout(shelf_rows: int, shelf_columns: int, column_height: int) -> Layout:
    """Return the regular plan: pairs of shelf columns between corridors, two goals in the middle of the bottom row.

    Raises:
        InvalidParameterError: a size is not an integer >= 1, ``shelf_columns`` is even, or no shelf fits.
    """
    sizes = {"shelf_rows": shelf_rows, "shelf_columns": shelf_columns, "column_height": column_height}
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidParameterError(f"{name} is {value!r}; it must be an integer >= 1.")
    if shelf_columns % 2 == 0:
        raise InvalidParameterError(
            f"shelf_columns is {shelf_columns}; it must be odd, so that a middle column can make way for the goals."
        )
    height, width = (column_height + 1) * shelf_rows + 2, 3 * shelf_columns + 1
    _check_size(width, height)
    middle = (width // 2 - 1, width // 2)

    def sign(x: int, y: int) -> str:
        if y == height - 1 and x in middle:
            return "g"
        aisle = x % 3 == 0 or y % (column_height + 1) == 0 or y == height - 1
        queue = y > height - (column_height + 3) and x in middle
        return "." if aisle or queue else "x"

    rows = tuple("".join(sign(x, y) for x in range(width)) for y in range(height))
    return _checked(Layout(rows, tuple((x, height - 1) for x in middle)))


def text_layout(text: str) -> Layout:
    """Return the plan drawn as text: ``x`` shelf, ``.`` corridor, ``g`` goal; goals count in reading order.

    Raises:
        InvalidParameterError: another character, lines of unequal length, no goal or no shelf.
    """
    if not isinstance(text, str):
        raise InvalidParameterError(f"layout is {text!r}; give a string of x (shelf), . (corridor) and g (goal).")
    rows = tuple("".join(line.split()).lower() for line in text.strip().splitlines())
    unknown = sorted(set("".join(rows)) - set("x.g"))
    if not rows or unknown:
        raise InvalidParameterError(
            f"layout holds {unknown or 'nothing'}; draw it with x (shelf), . (corridor) and g (goal), a line a row."
        )
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise InvalidParameterError(f"layout has lines of {lengths} cells; all lines must be equally long.")
    _check_size(lengths[0], len(rows))
    goals = tuple((x, y) for y, row in enumerate(rows) for x, sign in enumerate(row) if sign == "g")
    if not goals:
        raise InvalidParameterError("layout has no goal; mark at least one cell with g.")
    return _checked(Layout(rows, goals))


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE or width * height > MAX_CELLS:
        raise InvalidParameterError(
            f"the warehouse has {width} x {height} cells; the limit is {MAX_SIDE} a side and {MAX_CELLS} in all."
        )


def _checked(layout: Layout) -> Layout:
    count = sum(row.count("x") for row in layout.rows)
    if not 2 <= count <= MAX_SHELVES:
        raise InvalidParameterError(
            f"the layout has {count} shelves; it needs 2 to {MAX_SHELVES}: one requested, and one to request next."
        )
    return layout
