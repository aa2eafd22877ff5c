"""Colours of hidden types, the same in the pictures of every family."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Colour", "colour_of"]

Colour: TypeAlias = "tuple[int, int, int]"

# Okabe and Ito's palette: distinct for all common kinds of colour blindness.
_PALETTE: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (0, 114, 178), (204, 121, 167), (240, 228, 66),
)  # fmt: skip


def colour_of(type_index: int) -> Colour:
    """Return the RGB colour of a type; beyond the palette's length the colours come again, each time darker."""
    shade = 0.6 ** (type_index // len(_PALETTE))
    red, green, blue = _PALETTE[type_index % len(_PALETTE)]
    return round(red * shade), round(green * shade), round(blue * shade)
